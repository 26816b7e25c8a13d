/*
 * The type Handle: calls go to the gate that it has at this moment. Its subclass in Python makes the gates.
 */
#include "handle.h"

#include <structmember.h>

/* ---- the gate, and the next one ---- */

static PyObject *
missing(PyObject *op, PyObject *ignored)
{
    (void)op, (void)ignored;
    Py_RETURN_NONE;
}

static PyObject *
get_gate(PyObject *op, void *closure)
{
    (void)closure;
    GateObject *gate = hf_handle_gate_or_null((HandleObject *)op);
    return gate != NULL ? (PyObject *)gate : Py_NewRef(Py_None);
}

/* -1: an exception is set. Whoever reads the gate finds it whole. */
static int
set_gate(HandleObject *self, PyObject *to)
{
#ifdef Py_GIL_DISABLED
    return PySequence_SetItem(self->cell, 0, to); /* PyList_SetItem() of 3.13 is no release */
#else
    Py_XSETREF(self->gate, to != Py_None ? (GateObject *)Py_NewRef(to) : NULL);
    return 0;
#endif
}

/* _turn_to(gate or None): calls from now on go there. */
static PyObject *
turn_to(PyObject *op, PyObject *to)
{
    HandleObject *self = (HandleObject *)op;
    if (to != Py_None && !PyObject_TypeCheck(to, hf_gate_type)) {
        PyErr_Format(PyExc_TypeError, HF_TITLE " turns to a policy or to None, not to %.100s",
                     HF_TITLE_OF(self), Py_TYPE(to)->tp_name);
        return NULL;
    }
    if (to != Py_None && hf_need_made((GateObject *)to) < 0)
        return NULL;
    if (set_gate(self, to) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* ---- life ---- */

static PyObject *
handle_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args, (void)kwargs;
    HandleObject *self = (HandleObject *)type->tp_alloc(type, 0);
#ifdef Py_GIL_DISABLED
    if (self == NULL || (self->cell = PyList_New(1)) == NULL) {
        Py_XDECREF((PyObject *)self);
        return NULL;
    }
    PyList_SET_ITEM(self->cell, 0, Py_NewRef(Py_None));
    PyObject_GC_UnTrack(self->cell); /* nobody else is to change it, or to empty it */
#endif
    return (PyObject *)self;
}

static int
handle_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"name", NULL};
    HandleObject *self = (HandleObject *)op;
    PyObject *name;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "U:Handle", names, &name))
        return -1;
    if (self->name != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a handle is named once");
        return -1;
    }
    self->name = Py_NewRef(name);
    return 0;
}

static int
handle_traverse(PyObject *op, visitproc visit, void *arg)
{
    const HandleObject *self = (HandleObject *)op;
    Py_VISIT(Py_TYPE(op));
#ifdef Py_GIL_DISABLED
    if (self->cell != NULL)
        Py_VISIT(PyList_GET_ITEM(self->cell, 0));
#else
    Py_VISIT(self->gate);
#endif
    return 0;
}

/*
 * A gate may hold the handle by a fallback or a hook, and nothing else there can be let go of. A call that
 * still comes finds that there is none.
 */
static int
handle_clear(PyObject *op)
{
    return set_gate((HandleObject *)op, Py_None);
}

static void
handle_dealloc(PyObject *op)
{
    HandleObject *self = (HandleObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs(op);
#ifdef Py_GIL_DISABLED
    Py_XDECREF(self->cell);
#else
    Py_XDECREF((PyObject *)self->gate);
#endif
    Py_XDECREF(self->name);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *
handle_repr(PyObject *op)
{
    return PyUnicode_FromFormat(HF_TITLE, HF_TITLE_OF((HandleObject *)op));
}

/* A copy of what has a handle shares it, as it shares a policy. */
static PyObject *
copy(PyObject *op, PyObject *ignored)
{
    (void)ignored;
    return Py_NewRef(op);
}

static PyObject *
refuse_pickle(PyObject *op, PyObject *protocol)
{
    (void)protocol;
    PyErr_Format(PyExc_TypeError,
                 "cannot pickle " HF_TITLE ": it belongs to one process. Pickle a guarded "
                 "function, which is pickled by its name, or make it in the other process",
                 HF_TITLE_OF((HandleObject *)op));
    return NULL;
}

/* ---- calls ---- */

static PyObject *
call(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *course = NULL;
    GateObject *gate = hf_handle_gate_or_null((HandleObject *)op);
    if (HF_UNLIKELY(gate == NULL))
        gate = hf_handle_gate_slowly((HandleObject *)op, &course);
    if (gate == NULL)
        return course != NULL ? hf_call_by_course(course, Py_None, args, (size_t)nargs, kwnames)
                              : NULL;
    PyObject *result = hf_held_gate_call(gate, "call", args, nargs, kwnames);
    Py_DECREF((PyObject *)gate);
    return result;
}

/* The further methods, by what the gate does. */
#define FORWARD(name, forwarded)                                                                   \
    static PyObject *name(PyObject *op, PyObject *const *args, Py_ssize_t nargs,                   \
                          PyObject *kwnames)                                                       \
    {                                                                                              \
        GateObject *gate = hf_handle_gate((HandleObject *)op);                                     \
        if (gate == NULL)                                                                          \
            return NULL;                                                                           \
        PyObject *result = forwarded((PyObject *)gate, args, nargs, kwnames);                      \
        Py_DECREF((PyObject *)gate);                                                               \
        return result;                                                                             \
    }

FORWARD(try_call, hf_gate_try_call)
FORWARD(acall, hf_gate_acall)
FORWARD(try_acall, hf_gate_try_acall)

static PyObject *
forward_bare(PyObject *op, PyObject *(*forwarded)(PyObject *, PyObject *))
{
    GateObject *gate = hf_handle_gate((HandleObject *)op);
    if (gate == NULL)
        return NULL;
    PyObject *result = forwarded((PyObject *)gate, NULL);
    Py_DECREF((PyObject *)gate);
    return result;
}

static PyObject *
acquire(PyObject *op, PyObject *ignored)
{
    (void)ignored;
    return forward_bare(op, hf_gate_permit);
}

static PyObject *
aacquire(PyObject *op, PyObject *ignored)
{
    (void)ignored;
    return forward_bare(op, hf_gate_apermit);
}

static PyMemberDef handle_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(HandleObject, weakrefs), READONLY, NULL},
    {"name", T_OBJECT, offsetof(HandleObject, name), READONLY, "The name of the operation."},
    {NULL},
};

static PyGetSetDef handle_getset[] = {
    {"_gate", get_gate, NULL, NULL, NULL},
    {NULL},
};

#define FAST(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef handle_methods[] = {
    {"_turn_to", turn_to, METH_O, NULL},
    {"_missing", missing, METH_NOARGS, NULL},
    {"_guard", hf_guard_new, METH_O, NULL},
    {"__copy__", copy, METH_NOARGS, NULL},
    {"__deepcopy__", copy, METH_O, NULL},
    {"__reduce_ex__", refuse_pickle, METH_O, NULL},
    {"call", FAST(call), METH_FASTCALL | METH_KEYWORDS,
     "call($self, fn, /, *args, **kwargs)\n--\n\n"
     "Call fn under the policies of this operation and return what it returns.\n\n"
     "Args:\n    fn: The function; *args and **kwargs are its arguments.\n\n"
     "Raises:\n    Rejected: A policy has rejected the call; fn did not run.\n"
     "    TypeError: fn is a coroutine function, or returned an object that can only be awaited;\n"
     "        use acall()."},
    {"try_call", FAST(try_call), METH_FASTCALL | METH_KEYWORDS,
     "try_call($self, fn, /, *args, **kwargs)\n--\n\n"
     "Call fn under the policies of this operation and return an Outcome instead of raising.\n\n"
     "Args:\n    fn: The function; *args and **kwargs are its arguments.\n\n"
     "Returns:\n    An Outcome with the value, the Exception that fn raised, or the rejection.\n\n"
     "Raises:\n    TypeError: fn is not a plain function, or its result is still to run."},
    {"acall", FAST(acall), METH_FASTCALL | METH_KEYWORDS,
     "acall($self, fn, /, *args, **kwargs)\n--\n\n"
     "Await fn(*args, **kwargs) under the policies of this operation.\n\n"
     "The policies are those of the moment of this call, not of the moment of the await.\n\n"
     "Args:\n    fn: A coroutine function, or a function that returns an awaitable, such as a future\n"
     "        of asyncio; *args and **kwargs are its arguments.\n\n"
     "Returns:\n    A coroutine of the result.\n\n"
     "Raises:\n    Rejected: A policy has rejected the call; fn did not run.\n"
     "    TypeError: fn returned no awaitable; use call()."},
    {"try_acall", FAST(try_acall), METH_FASTCALL | METH_KEYWORDS,
     "try_acall($self, fn, /, *args, **kwargs)\n--\n\n"
     "Await fn(*args, **kwargs) under the policies of this operation for an Outcome.\n\n"
     "Args:\n    fn: As of acall(); *args and **kwargs are its arguments.\n\n"
     "Returns:\n    A coroutine of an Outcome with the value, the Exception that was raised, or the\n"
     "    rejection.\n\n"
     "Raises:\n    TypeError: fn returned no awaitable; use try_call()."},
    {"acquire", acquire, METH_NOARGS,
     "acquire($self, /)\n--\n\n"
     "Admit one call and return a permit.\n\n"
     "Returns:\n    A permit. Settle it with success(), failure(exc) or ignore(), or use it as a context\n"
     "    manager. It belongs to the policies of this moment.\n\n"
     "Raises:\n    Rejected: No call is admitted.\n"
     "    TypeError: A retry, a hedge or a fallback cannot run a block again."},
    {"aacquire", aacquire, METH_NOARGS,
     "aacquire($self, /)\n--\n\n"
     "Admit one call, waiting without blocking the event loop.\n\n"
     "Returns:\n    A coroutine of a permit, as of acquire().\n\n"
     "Raises:\n    Rejected: No call is admitted.\n"
     "    TypeError: A retry, a hedge or a fallback cannot run a block again."},
    {NULL},
};

static PyType_Slot handle_slots[] = {
    {Py_tp_doc,
     "The native base class of operations: a name whose gate may be replaced at any time.\n\n"
     "Calls go to the gate of this moment, and end on the gate that they began with, which they keep\n"
     "alive. So do calls of the functions that a handle decorates.\n\n"
     "Safe to share between threads and event loops."},
    {Py_tp_new, handle_new},
    {Py_tp_init, handle_init},
    {Py_tp_dealloc, handle_dealloc},
    {Py_tp_traverse, handle_traverse},
    {Py_tp_clear, handle_clear},
    {Py_tp_repr, handle_repr},
    {Py_tp_members, handle_members},
    {Py_tp_getset, handle_getset},
    {Py_tp_methods, handle_methods},
    {0, NULL},
};

static PyType_Spec handle_spec = {
    .name = "holdfast._native.gate.Handle",
    .basicsize = sizeof(HandleObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = handle_slots,
};

int
hf_handle_ready(PyObject *module)
{
    hf_handle_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &handle_spec, NULL);
    if (hf_handle_type == NULL)
        return -1;
    return PyModule_AddObjectRef(module, "Handle", (PyObject *)hf_handle_type);
}
