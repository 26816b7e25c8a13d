/*
 * Gate: the C base of every policy and of Pipeline: its life, its table of methods, and what its Python
 * class asks of its own step. Its making is gate_bind.c, its calls are gate_call.c.
 */
#include "control.h"

#include <structmember.h>

PyTypeObject *hf_gate_type;

/* ---- what the Python side asks of its own step ---- */

/* Raise a rejection by this step, which its kernel has counted: _refuse(reason, retry_after_ns, type). */
static PyObject *
gate_refuse(PyObject *op, PyObject *args)
{
    GateObject *self = (GateObject *)op;
    const char *word;
    PyObject *type = self->rejection;
    long long retry_after_ns = -1;
    if (!PyArg_ParseTuple(args, "s|LO:_refuse", &word, &retry_after_ns, &type))
        return NULL;
    if (type == NULL || !PyType_Check(type) ||
        !PyType_IsSubtype((PyTypeObject *)type, (PyTypeObject *)hf_rejected_type)) {
        PyErr_SetString(PyExc_TypeError, "_refuse() needs a class of rejections");
        return NULL;
    }
    int reason = hf_reason_of_word(word);
    if (reason < 0)
        return NULL;
    hf_refusal why = {self, (hf_reason)reason, retry_after_ns};
    Py_INCREF(op); /* a listener may let go of both */
    Py_INCREF(type);
    PyObject *exception =
        self->listening && hf_tell_refusal(&why) < 0 ? NULL : hf_rejected_new(&why, type);
    Py_DECREF(type);
    Py_DECREF(op);
    if (exception != NULL)
        hf_give_exception(exception);
    return NULL;
}

/* What follows is bound to every gate, and makes sense for one kind of step. */
static int
need_kind(const GateObject *self, bool right, const char *what)
{
    if (right)
        return 0;
    if (hf_need_made(self) == 0)
        PyErr_Format(PyExc_TypeError, "%R is not a %s", (PyObject *)self, what);
    return -1;
}

static PyObject *
gate_try_enter(PyObject *op, PyObject *ignored)
{
    GateObject *self = (GateObject *)op;
    (void)ignored;
    if (need_kind(self, self->kind == HF_KIND_BULKHEAD, "bulkhead") < 0)
        return NULL;
    if (self->mode == HF_OFF || hf_bulkhead_try_enter(self->cell))
        Py_RETURN_TRUE;
    if (self->mode != HF_OBSERVE)
        Py_RETURN_FALSE;
    hf_bulkhead_force_enter(self->cell);
    hf_count(&self->observed, 1);
    Py_RETURN_TRUE;
}

/*
 * Give back a place that was kept for what went on in threads: _leave_place(place), a list of when it was
 * taken. Emptied here and at once, so that it is given back once, whoever is interrupted on the way.
 */
static PyObject *
gate_leave_place(PyObject *op, PyObject *place)
{
    GateObject *self = (GateObject *)op;
    hf_pass pass;
    long long since_ns = 0;
    if (need_kind(self, self->kind == HF_KIND_BULKHEAD, "bulkhead") < 0)
        return NULL;
    if (!PyList_Check(place)) {
        PyErr_SetString(PyExc_TypeError, "a slot is a list with the time at which it was taken");
        return NULL;
    }
    PyObject *tuple = PyList_AsTuple(place);
    bool is_held = tuple != NULL && PyTuple_GET_SIZE(tuple) > 0;
    if (is_held && (!PyArg_ParseTuple(tuple, "L", &since_ns) ||
                    PyList_SetSlice(place, 0, PY_SSIZE_T_MAX, NULL) < 0))
        Py_CLEAR(tuple);
    if (tuple == NULL)
        return NULL;
    Py_DECREF(tuple);
    if (!is_held)
        Py_RETURN_NONE;
    hf_pass_init(&pass);
    pass.hold[0].since_ns = since_ns;
    Py_INCREF(op); /* who is let in may let go of it */
    int left = hf_step_leave(self, &pass, &pass.hold[0], NULL, HF_SUCCESS, HF_NOTHING_HELD);
    Py_DECREF(op);
    return left < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- a limiter's tokens ---- */

static inline int
need_limiter(const GateObject *self)
{
    return need_kind(self, self->kind == HF_KIND_BUCKET || self->kind == HF_KIND_SLIDING,
                     "rate limiter");
}

static uint64_t
most_tokens(const GateObject *self)
{
    uint64_t most = UINT64_MAX;
    for (int cell = 0; cell < self->n_cells; cell++) {
        uint64_t burst = self->kind == HF_KIND_BUCKET ? hf_bucket_rate(self->cells[cell]).burst
                                                      : hf_sliding_limit(self->cells[cell]);
        if (burst < most)
            most = burst;
    }
    return most;
}

/* Set a ValueError that shows n: short, and whatever its repr does. */
static void
refuse_weight(PyObject *n, uint64_t most)
{
    PyObject *shown = PyObject_Repr(n);
    if (shown == NULL && PyErr_ExceptionMatches(PyExc_Exception)) {
        PyErr_Clear();
        shown = PyUnicode_FromFormat("<%.60s without a repr>", Py_TYPE(n)->tp_name);
    }
    if (shown == NULL)
        return;
    PyErr_Format(PyExc_ValueError, "n: got %.80U, allowed an integer from 1 to %llu, the burst",
                 shown, (unsigned long long)most);
    Py_DECREF(shown);
}

/* A number of tokens: an int, no bool, from 1 to the burst. 0: a ValueError is set. */
static uint64_t
weight_of(const GateObject *self, PyObject *n)
{
    if (need_limiter(self) < 0)
        return 0;
    uint64_t most = most_tokens(self);
    if (PyLong_Check(n) && !PyBool_Check(n)) {
        unsigned long long weight = PyLong_AsUnsignedLongLong(n);
        if (weight == (unsigned long long)-1 && PyErr_Occurred())
            PyErr_Clear(); /* negative or huge: out of range in any case */
        else if (weight >= 1 && weight <= most)
            return weight;
    }
    refuse_weight(n, most);
    return 0;
}

static PyObject *
gate_weight(PyObject *op, PyObject *n)
{
    return weight_of((GateObject *)op, n) == 0 ? NULL : Py_NewRef(n);
}

static PyObject *
gate_try_take(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    GateObject *self = (GateObject *)op;
    Py_ssize_t nkw = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    uint64_t n = 1;
    if (nargs + nkw > 1 ||
        (nkw == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "n") != 0)) {
        PyErr_SetString(PyExc_TypeError, "try_acquire() takes one argument, n");
        return NULL;
    }
    if (nargs + nkw == 1 ? (n = weight_of(self, args[0])) == 0 : need_limiter(self) < 0)
        return NULL;
    if (self->mode == HF_OFF || hf_limiter_take(self, n, hf_clock_now_ns(self->clock)))
        Py_RETURN_TRUE;
    if (self->mode != HF_OBSERVE)
        Py_RETURN_FALSE;
    hf_count(&self->observed, 1);
    Py_RETURN_TRUE;
}

/* How long until n tokens are there: _wait_ns(n). */
static PyObject *
gate_wait_ns(PyObject *op, PyObject *n)
{
    GateObject *self = (GateObject *)op;
    uint64_t weight = weight_of(self, n);
    if (weight == 0)
        return NULL;
    return PyLong_FromLongLong(hf_limiter_wait_ns(self, weight, hf_clock_now_ns(self->clock)));
}

/* Before the cells of a limiter are cleared, and after: tokens taken before that are not given back. */
static PyObject *
gate_count_clear(PyObject *op, PyObject *ignored)
{
    (void)ignored;
    /* Seen by whoever takes tokens that the clearing has brought. */
    (void)hf_fetch_add_seq_cst(&((GateObject *)op)->clears, 1);
    Py_RETURN_NONE;
}

/* ---- life ---- */

static PyObject *
gate_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    GateObject *self = (GateObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    /* Else zeroed: until it is bound or composed its one step, itself, lets nothing pass. */
    self->threaded_at = -1;
    self->own = self;
    self->steps = &self->own;
    self->n_steps = 1;
    return (PyObject *)self;
}

/* -1, with a RuntimeError, for a gate that was neither bound nor composed: it guards nothing. */
int
hf_need_made(const GateObject *self)
{
    if (self->kind != HF_KIND_NONE)
        return 0;
    PyErr_Format(PyExc_RuntimeError,
                 "%.200s.__init__() did not call super().__init__(), so this policy guards nothing",
                 Py_TYPE(self)->tp_name);
    return -1;
}

static int
gate_traverse(PyObject *op, visitproc visit, void *arg)
{
    GateObject *self = (GateObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->clock_object);
    Py_VISIT(self->kernels);
    Py_VISIT(self->histogram_object);
    Py_VISIT(self->rejection);
    Py_VISIT(self->on);
    Py_VISIT(self->ignore);
    Py_VISIT(self->on_neutral);
    Py_VISIT(self->is_failure);
    Py_VISIT(self->parts);
    Py_VISIT(self->own_backoff);
    Py_VISIT(self->wanted);
    Py_VISIT(self->retry_after);
    Py_VISIT(self->stand_in);
    Py_VISIT(self->equipment);
    Py_VISIT(self->queues);
    Py_VISIT(self->rest);
    return 0;
}

/* Only what can close a cycle and is not needed by calls that may still come. */
static int
gate_clear(PyObject *op)
{
    GateObject *self = (GateObject *)op;
    Py_CLEAR(self->is_failure);
    Py_CLEAR(self->wanted);
    Py_CLEAR(self->retry_after);
    return 0;
}

/* Before anything of what dies with it is emptied: the last time that Python may be called. */
static void
gate_finalize(PyObject *op)
{
    hf_queues_stop((GateObject *)op);
}

static void
gate_dealloc(PyObject *op)
{
    GateObject *self = (GateObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs(op);
    hf_entries_forget(self);
    hf_probes_forget(self);
    if (self->cells != &self->cell)
        PyMem_Free(self->cells);
    if (self->steps != &self->own)
        PyMem_Free(self->steps);
    Py_CLEAR(self->name);
    Py_CLEAR(self->clock_object);
    Py_CLEAR(self->kernels);
    Py_CLEAR(self->histogram_object);
    Py_CLEAR(self->rejection);
    Py_CLEAR(self->on);
    Py_CLEAR(self->ignore);
    Py_CLEAR(self->on_neutral);
    Py_CLEAR(self->is_failure);
    Py_CLEAR(self->parts);
    hf_queues_close(self);
    Py_CLEAR(self->own_backoff);
    Py_CLEAR(self->wanted);
    Py_CLEAR(self->retry_after);
    Py_CLEAR(self->stand_in);
    Py_CLEAR(self->equipment);
    Py_CLEAR(self->rest);
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

static PyObject *
is_made(PyObject *op, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((GateObject *)op)->kind != HF_KIND_NONE);
}

static PyMemberDef gate_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(GateObject, weakrefs), READONLY, NULL},
    {"name", T_OBJECT, offsetof(GateObject, name), READONLY, "The policy's name."},
    {"_listening", T_BOOL, offsetof(GateObject, listening), 0, NULL},
    {"_can_wait", T_BOOL, offsetof(GateObject, can_wait), 0, NULL},
    {"_rest", T_OBJECT, offsetof(GateObject, rest), 0, NULL},
    {"_controls", T_BOOL, offsetof(GateObject, controls), READONLY, NULL},
    {"_reruns", T_BOOL, offsetof(GateObject, reruns), READONLY, NULL},
    {"_asks", T_BOOL, offsetof(GateObject, asks), 0, NULL},
    {"_threaded_at", T_BYTE, offsetof(GateObject, threaded_at), READONLY, NULL},
    {NULL},
};

static PyGetSetDef gate_getset[] = {
    {"_is_made", is_made, NULL, NULL, NULL},
    {"_kernels", made_of, NULL, NULL, (void *)offsetof(GateObject, kernels)},
    {"_clock", made_of, NULL, NULL, (void *)offsetof(GateObject, clock_object)},
    {"_histogram", made_of, NULL, NULL, (void *)offsetof(GateObject, histogram_object)},
    {"_parts", made_of, NULL, NULL, (void *)offsetof(GateObject, parts)},
    {"_observed", counter_value, NULL, NULL, (void *)offsetof(GateObject, observed)},
    {"_unobserved", counter_value, NULL, NULL, (void *)offsetof(GateObject, unobserved)},
    {"_busy_ns", counter_value, NULL, NULL, (void *)offsetof(GateObject, busy_ns)},
    {"_settled_twice", counter_value, NULL, NULL, (void *)offsetof(GateObject, settled_twice)},
    {NULL},
};

#define FAST(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef gate_methods[] = {
    {"__init_subclass__", FAST(hf_init_subclass), METH_VARARGS | METH_KEYWORDS | METH_CLASS,
     "__init_subclass__($type, /, **kwargs)\n--\n\n"
     "Give the subclass native methods of its own, which are cheaper to call."},
    {"_bind", FAST(hf_gate_bind), METH_VARARGS | METH_KEYWORDS, NULL},
    {"_compose", hf_gate_compose, METH_VARARGS, NULL},
    {"_equip", FAST(hf_gate_equip), METH_VARARGS | METH_KEYWORDS, NULL},
    {"_call_counted", FAST(hf_gate_call_counted), METH_FASTCALL | METH_KEYWORDS, NULL},
    {"_acall_counted", FAST(hf_gate_acall_counted), METH_FASTCALL | METH_KEYWORDS, NULL},
    {"_open", hf_gate_open, METH_O, NULL},
    {"_attempt_made", hf_gate_attempt_made, METH_VARARGS, NULL},
    {"_pause_ended", hf_gate_pause_ended, METH_VARARGS, NULL},
    {"_check_begin", hf_gate_check_begin, METH_NOARGS, NULL},
    {"_leave_place", gate_leave_place, METH_O, NULL},
    {"_aopen", hf_gate_aopen, METH_O, NULL},
    {"_await", hf_gate_await, METH_VARARGS, NULL},
    {"_call_within", hf_gate_call_within, METH_O, NULL},
    {"_record_latency", hf_gate_record_latency, METH_O, NULL},
    {"_refuse", gate_refuse, METH_VARARGS, NULL},
    {"_places_in", hf_gate_places_in, METH_O, NULL},
    {"_peek_inside", hf_gate_peek_inside, METH_O, NULL},
    {"_permit", hf_gate_permit, METH_NOARGS,
     "_permit($self, /)\n--\n\n"
     "Admit one call by hand.\n\n"
     "Returns:\n    A permit: settle it with success(), failure(exc) or ignore(), or use it as a context manager.\n"
     "    Collected unsettled it frees its place and proves nothing.\n\n"
     "Raises:\n    Rejected: No call is admitted."},
    {"_apermit", hf_gate_apermit, METH_NOARGS, NULL},
    {"_try_enter", gate_try_enter, METH_NOARGS,
     "_try_enter($self, /)\n--\n\n"
     "Take a place if one is free and nobody waits for it. Never blocks.\n\n"
     "Returns:\n    True: the caller is inside and must leave() exactly once."},
    {"_try_take", FAST(gate_try_take), METH_FASTCALL | METH_KEYWORDS,
     "_try_take($self, /, n=1)\n--\n\n"
     "Take n tokens if they are there. Never waits.\n\n"
     "Raises:\n    ValueError: n is no whole number from 1 to the burst."},
    {"_weight", gate_weight, METH_O, NULL},
    {"_wait_ns", gate_wait_ns, METH_O, NULL},
    {"_count_clear", gate_count_clear, METH_NOARGS, NULL},
    {"call", FAST(hf_gate_call), METH_FASTCALL | METH_KEYWORDS,
     "call($self, fn, /, *args, **kwargs)\n--\n\n"
     "Call fn under this policy and return what it returns.\n\n"
     "Raises:\n    Rejected: The policy refused; fn did not run.\n    TypeError: fn is a coroutine function, or returned what can only be awaited; use acall()."},
    {"try_call", FAST(hf_gate_try_call), METH_FASTCALL | METH_KEYWORDS,
     "try_call($self, fn, /, *args, **kwargs)\n--\n\n"
     "Call fn under this policy and return an Outcome: its value, its Exception or the rejection."},
    {"acall", FAST(hf_gate_acall), METH_FASTCALL | METH_KEYWORDS,
     "acall($self, fn, /, *args, **kwargs)\n--\n\n"
     "Await fn(*args, **kwargs) under this policy; fn is called once admitted."},
    {"try_acall", FAST(hf_gate_try_acall), METH_FASTCALL | METH_KEYWORDS,
     "try_acall($self, fn, /, *args, **kwargs)\n--\n\n"
     "Await fn(*args, **kwargs) under this policy and return an Outcome."},
    {NULL},
};

static PyType_Slot gate_slots[] = {
    {Py_tp_doc, "The native part of every policy and pipeline: its compiled steps."},
    {Py_tp_new, gate_new},
    {Py_tp_finalize, gate_finalize},
    {Py_tp_dealloc, gate_dealloc},
    {Py_tp_traverse, gate_traverse},
    {Py_tp_clear, gate_clear},
    {Py_tp_call, hf_gate_decorate},
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

int
hf_gate_ready(PyObject *module)
{
    hf_gate_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &gate_spec, NULL);
    if (hf_gate_type == NULL || hf_entry_ready(module, hf_gate_type) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "Gate", (PyObject *)hf_gate_type);
}
