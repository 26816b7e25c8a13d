/*
 * Gate: the C base of every policy and of Pipeline: its life and its table of methods. Its making is gate_bind.c, its calls are gate_call.c.
 */
#include "steps.h"

#include <structmember.h>

/* ---- life ---- */

static PyObject *
gate_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args, (void)kwargs;
    GateObject *self = (GateObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    /* Else zeroed: until it is bound or composed its one step, itself, lets nothing pass. */
    self->threaded_at = -1;
    self->own = self;
    self->steps = &self->own;
    self->n_steps = self->n_all = 1;
    hf_gate_enlist(self);
    return (PyObject *)self;
}

#define HF_VISIT(field) Py_VISIT(self->field);
#define HF_CLEAR(field) Py_CLEAR(self->field);

static int
gate_traverse(PyObject *op, visitproc visit, void *arg)
{
    GateObject *self = (GateObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->kernels);  /* or a pipeline's parts */
    Py_VISIT(self->wanted);   /* or its rest */
    Py_VISIT(self->stand_in); /* or what else only one kind has */
    HF_GATE_OBJECTS(HF_VISIT)
    return 0;
}

/* Only what can close a cycle and is not needed by calls that may still come. */
static int
gate_clear(PyObject *op)
{
    GateObject *self = (GateObject *)op;
    Py_CLEAR(self->is_failure);
    if (self->kind != HF_KIND_PIPELINE)
        Py_CLEAR(self->wanted);
    Py_CLEAR(self->retry_after);
    Py_CLEAR(self->listeners);
    Py_CLEAR(self->queue);
    return 0;
}

static void
gate_dealloc(PyObject *op)
{
    GateObject *self = (GateObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    hf_gate_strike(self);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs(op);
    hf_entries_forget(self);
    if (self->n_cells > 1)
        PyMem_Free(self->cells);
    if (self->steps != &self->own)
        PyMem_Free(self->steps);
    Py_CLEAR(self->kernels);
    Py_CLEAR(self->wanted);
    Py_CLEAR(self->stand_in);
    HF_GATE_OBJECTS(HF_CLEAR)
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *
counter_value(PyObject *op, void *closure)
{
    return PyLong_FromUnsignedLongLong(hf_load_relaxed((hf_au64 *)((char *)op + (size_t)closure)));
}

/* What it was made of, at that offset; None where its kind has none. */
static PyObject *
made_of(PyObject *op, void *closure)
{
    if (hf_need_made((GateObject *)op) < 0)
        return NULL;
    PyObject *value = *(PyObject **)((char *)op + (size_t)closure);
    return Py_NewRef(value != NULL ? value : Py_None);
}

/* What is made when it is first used, at that offset; None before. */
static PyObject *
made_so_far(PyObject *op, void *closure)
{
    PyObject *value;
    HF_BEGIN_EXCLUSIVE(op);
    value = *(PyObject **)((char *)op + (size_t)closure);
    value = Py_NewRef(value != NULL ? value : Py_None);
    HF_END_EXCLUSIVE();
    return value;
}

static PyObject *
all_kernels(PyObject *op, void *closure)
{
    const GateObject *self = (GateObject *)op;
    if (self->n_cells == 1)
        return PyTuple_Pack(1, self->kernels);
    return self->kind == HF_KIND_PIPELINE ? Py_NewRef(Py_None) : made_of(op, closure);
}

static PyObject *
all_parts(PyObject *op, void *closure)
{
    const GateObject *self = (GateObject *)op;
    return self->n_cells > 0 ? Py_NewRef(Py_None) : made_of(op, closure);
}

static PyObject *
histogram_so_far(PyObject *op, void *closure)
{
    const GateObject *self = (GateObject *)op;
    return self->kind != HF_KIND_BREAKER ? Py_NewRef(Py_None) : made_so_far(op, closure);
}

static PyObject *
ends_so_far(PyObject *op, void *closure)
{
    const GateObject *self = (GateObject *)op;
    return self->kind != HF_KIND_PIPELINE ? Py_NewRef(Py_None) : made_so_far(op, closure);
}

static PyObject *
is_made(PyObject *op, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((GateObject *)op)->kind != HF_KIND_NONE);
}

static PyObject *
tells(PyObject *op, void *closure)
{
    (void)closure;
    return PyLong_FromLong(((GateObject *)op)->tells);
}

static PyMemberDef gate_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(GateObject, weakrefs), READONLY, NULL},
    {"name", T_OBJECT, offsetof(GateObject, name), READONLY, "The policy's name."},
    {"_listening", T_BOOL, offsetof(GateObject, listening), 0, NULL},
    {"_can_wait", T_BOOL, offsetof(GateObject, can_wait), 0, NULL},
    {"_rest", T_OBJECT, offsetof(GateObject, rest), 0, NULL},
    {"_controls", T_BOOL, offsetof(GateObject, controls), READONLY, NULL},
    {"_records", T_BOOL, offsetof(GateObject, records), READONLY, NULL},
    {"_reruns", T_BOOL, offsetof(GateObject, reruns), READONLY, NULL},
    {"_asks", T_BOOL, offsetof(GateObject, asks), 0, NULL},
    {"_threaded_at", T_BYTE, offsetof(GateObject, threaded_at), READONLY, NULL},
    {NULL},
};

static PyGetSetDef gate_getset[] = {
    {"_is_made", is_made, NULL, NULL, NULL},
    {"_kernels", all_kernels, NULL, NULL, (void *)offsetof(GateObject, kernels)},
    {"_kernel", made_of, NULL, NULL, (void *)offsetof(GateObject, kernels)},
    {"_clock", made_of, NULL, NULL, (void *)offsetof(GateObject, clock_object)},
    {"_histogram", histogram_so_far, NULL, NULL, (void *)offsetof(GateObject, histogram_object)},
    {"_ends", ends_so_far, NULL, NULL, (void *)offsetof(GateObject, ends_object)},
    {"_listeners", made_so_far, NULL, NULL, (void *)offsetof(GateObject, listeners)},
    {"_tells", tells, hf_gate_put_tells, NULL, NULL},
    {"_queue", made_so_far, NULL, NULL, (void *)offsetof(GateObject, queue)},
    {"_parts", all_parts, NULL, NULL, (void *)offsetof(GateObject, parts)},
    {"_observed", counter_value, NULL, NULL, (void *)offsetof(GateObject, observed)},
    {"_unobserved", counter_value, NULL, NULL, (void *)offsetof(GateObject, unobserved)},
    {"_busy_ns", counter_value, NULL, NULL, (void *)offsetof(GateObject, busy_ns)},
    {"_settled_twice", counter_value, NULL, NULL, (void *)offsetof(GateObject, settled_twice)},
    {NULL},
};

#define FAST(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef gate_methods[] = {
    {"_bind", FAST(hf_gate_bind), METH_VARARGS | METH_KEYWORDS, NULL},
    {"_compose", hf_gate_compose, METH_VARARGS, NULL},
    {"_inject", hf_gate_inject, METH_O, NULL},
    {"_attach", hf_gate_attach, METH_O, NULL},
    {"_guard", hf_guard_new, METH_O, NULL},
    {"_call_counted", FAST(hf_gate_call_counted), METH_FASTCALL | METH_KEYWORDS, NULL},
    {"_acall_counted", FAST(hf_gate_acall_counted), METH_FASTCALL | METH_KEYWORDS, NULL},
    {"_open", hf_gate_open, METH_O, NULL},
    {"_attempt_made", hf_gate_attempt_made, METH_VARARGS, NULL},
    {"_attempt_failed", hf_gate_attempt_failed, METH_VARARGS, NULL},
    {"_pause_ended", hf_gate_pause_ended, METH_VARARGS, NULL},
    {"_check_begin", hf_gate_check_begin, METH_NOARGS, NULL},
    {"_leave_entry", hf_gate_leave_entry, METH_VARARGS, NULL},
    {"_block_begins", hf_gate_block_begins, METH_NOARGS, NULL},
    {"_block_ended", hf_gate_block_ended, METH_VARARGS, NULL},
    {"_leave_place", hf_gate_leave_place, METH_O, NULL},
    {"_aopen", hf_gate_aopen, METH_O, NULL},
    {"_await", hf_gate_await, METH_VARARGS, NULL},
    {"_call_within", hf_gate_call_within, METH_O, NULL},
    {"_record_latency", hf_gate_record_latency, METH_NOARGS, NULL},
    {"_keep_histogram", hf_gate_keep_histogram, METH_O, NULL},
    {"_keep_ends", hf_gate_keep_ends, METH_O, NULL},
    {"_once", hf_gate_once, METH_VARARGS, NULL},
    {"_keep_trip", hf_gate_keep_trip, METH_VARARGS, NULL},
    {"_refuse", hf_gate_refuse, METH_VARARGS, NULL},
    {"_places_in", hf_gate_places_in, METH_O, NULL},
    {"_peek_inside", hf_gate_peek_inside, METH_O, NULL},
    {"_permit", hf_gate_permit, METH_NOARGS, NULL},
    {"_apermit", hf_gate_apermit, METH_NOARGS, NULL},
    {"_try_enter", hf_gate_try_enter, METH_NOARGS, NULL},
    {"_try_take", FAST(hf_gate_try_take), METH_FASTCALL | METH_KEYWORDS, NULL},
    {"_weight", hf_gate_weight, METH_O, NULL},
    {"_wait_ns", hf_gate_wait_ns, METH_O, NULL},
    {"_count_clear", hf_gate_count_clear, METH_NOARGS, NULL},
    {"call", FAST(hf_gate_call), METH_FASTCALL | METH_KEYWORDS,
     "call($self, fn, /, *args, **kwargs)\n--\n\n"
     "Call fn under this policy and return what it returns.\n\n"
     "Args:\n    fn: The function; *args and **kwargs are its arguments.\n\n"
     "Raises:\n    Rejected: The policy has rejected the call; fn did not run.\n"
     "    TypeError: fn is a coroutine function, or returned an object that can only be awaited;\n"
     "        use acall()."},
    {"try_call", FAST(hf_gate_try_call), METH_FASTCALL | METH_KEYWORDS,
     "try_call($self, fn, /, *args, **kwargs)\n--\n\n"
     "Call fn under this policy and return an Outcome instead of raising.\n\n"
     "Args:\n    fn: The function; *args and **kwargs are its arguments.\n\n"
     "Returns:\n    An Outcome with the value, the Exception that fn raised, or the rejection.\n\n"
     "Raises:\n    TypeError: fn is not a plain function, or its result is still to run."},
    {"acall", FAST(hf_gate_acall), METH_FASTCALL | METH_KEYWORDS,
     "acall($self, fn, /, *args, **kwargs)\n--\n\n"
     "Await fn(*args, **kwargs) under this policy; fn is called once the call is admitted.\n\n"
     "Args:\n    fn: A coroutine function, or a function that returns an awaitable, such as a future\n"
     "        of asyncio; *args and **kwargs are its arguments.\n\n"
     "Returns:\n    A coroutine of the result.\n\n"
     "Raises:\n    Rejected: The policy has rejected the call; fn did not run.\n"
     "    TypeError: fn returned no awaitable; use call()."},
    {"try_acall", FAST(hf_gate_try_acall), METH_FASTCALL | METH_KEYWORDS,
     "try_acall($self, fn, /, *args, **kwargs)\n--\n\n"
     "Await fn(*args, **kwargs) under this policy for an Outcome.\n\n"
     "Args:\n    fn: As of acall(); *args and **kwargs are its arguments.\n\n"
     "Returns:\n    A coroutine of an Outcome with the value, the Exception that was raised, or the\n"
     "    rejection.\n\n"
     "Raises:\n    TypeError: fn returned no awaitable; use try_call()."},
    {NULL},
};

/* Methods above that some policies have under a public name, as `acquire = Gate._permit`. */
static PyMethodDef public_methods[] = {
    {"acquire", hf_gate_permit, METH_NOARGS,
     "acquire($self, /)\n--\n\n"
     "Admit one call and return a permit.\n\n"
     "Returns:\n    A permit. Settle it with success(), failure(exc) or ignore(), or use it as a context\n"
     "    manager. A permit that is garbage-collected frees its slot without an outcome.\n\n"
     "Raises:\n    Rejected: No call is admitted."},
    {"try_enter", hf_gate_try_enter, METH_NOARGS,
     "try_enter($self, /)\n--\n\n"
     "Take a slot if one is free and no call waits for it. Never blocks.\n\n"
     "Returns:\n    True: the caller has a slot and must call leave() exactly once."},
    {"try_acquire", FAST(hf_gate_try_take), METH_FASTCALL | METH_KEYWORDS,
     "try_acquire($self, /, n=1)\n--\n\n"
     "Take n tokens if they are available. Never waits.\n\n"
     "Args:\n    n: Tokens, 1 to the burst.\n\n"
     "Returns:\n    Whether the tokens were taken.\n\n"
     "Raises:\n    ValueError: n is not an integer from 1 to the burst."},
    {NULL},
};

static PyType_Slot gate_slots[] = {
    {Py_tp_doc, "The native base class of all policies and pipelines."},
    {Py_tp_new, gate_new},
    {Py_tp_dealloc, gate_dealloc},
    {Py_tp_traverse, gate_traverse},
    {Py_tp_clear, gate_clear},
    {Py_tp_members, gate_members},
    {Py_tp_getset, gate_getset},
    {Py_tp_methods, gate_methods},
    {0, NULL},
};

static PyType_Spec gate_spec = {
    .name = "holdfast._native.gate.Gate",
    .basicsize = sizeof(GateObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = gate_slots,
};

/* The method under this name, with the name and documentation that go with it. */
static PyMethodDef *
method_named(PyObject *name, PyMethodDef *method)
{
    for (PyMethodDef *one = public_methods; one->ml_name != NULL; one++)
        if (one->ml_meth == method->ml_meth &&
            PyUnicode_CompareWithASCIIString(name, one->ml_name) == 0)
            return one;
    return method;
}

/* Give a class, by the names that they have in one of its bases, methods of a native type as its own. */
static int
own_methods_of(PyTypeObject *cls, PyTypeObject *base, PyTypeObject *native)
{
    PyObject *name, *found;
    Py_ssize_t at = 0;
    while (PyDict_Next(base->tp_dict, &at, &name, &found)) {
        if (!Py_IS_TYPE(found, &PyMethodDescr_Type) || PyDescr_TYPE(found) == cls ||
            !PyType_IsSubtype(PyDescr_TYPE(found), native))
            continue;
        PyObject *there = PyObject_GetAttr((PyObject *)cls, name);
        bool overridden = there != found;
        Py_XDECREF(there);
        if (there == NULL)
            return -1;
        if (overridden)
            continue;
        PyMethodDef *method = ((PyMethodDescrObject *)found)->d_method;
        PyObject *own = PyDescr_NewMethod(cls, method_named(name, method));
        int set = own != NULL ? PyObject_SetAttr((PyObject *)cls, name, own) : -1;
        Py_XDECREF(own);
        if (set < 0)
            return -1;
    }
    return 0;
}

/* Which of the native types that have subclasses in Python this is one of. NULL: of none. */
static PyTypeObject *
native_base(PyTypeObject *cls)
{
    PyTypeObject *const natives[] = {hf_gate_type, hf_handle_type, hf_directory_type};
    for (size_t i = 0; i < sizeof natives / sizeof *natives; i++) {
        if (PyType_IsSubtype(cls, natives[i]))
            return natives[i];
    }
    return NULL;
}

/* _own_methods(cls): have a subclass of a native type own what it inherits or has under another name. */
PyObject *
hf_own_methods(PyObject *module, PyObject *op)
{
    (void)module;
    PyTypeObject *cls = (PyTypeObject *)op, *native = PyType_Check(op) ? native_base(cls) : NULL;
    if (native == NULL) {
        PyErr_SetString(PyExc_TypeError, "a subclass of Gate, Handle or Directory is needed");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(cls->tp_mro); i++) {
        PyTypeObject *base = (PyTypeObject *)PyTuple_GET_ITEM(cls->tp_mro, i);
        if (PyType_IsSubtype(base, native) && own_methods_of(cls, base, native) < 0)
            return NULL;
    }
    Py_RETURN_NONE;
}

int
hf_gate_ready(PyObject *module)
{
    hf_gate_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &gate_spec, NULL);
    if (hf_gate_type == NULL || hf_entry_ready(module, hf_gate_type) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "Gate", (PyObject *)hf_gate_type);
}
