/*
 * What GuardedCoroutine.__await__() answers to Python code: an iterator over its steps, as that of a native
 * coroutine. `await` itself does without: the interpreter is given the coroutine.
 */
#include "coroutine.h"

static PyTypeObject *wrapper_type;

typedef struct {
    PyObject_HEAD
    PyObject *coroutine;
} WrapperObject;

static PyObject *
inside(PyObject *op)
{
    return ((WrapperObject *)op)->coroutine;
}

PyObject *
hf_wrapper_of(PyObject *coroutine, PyObject *ignored)
{
    (void)ignored;
    WrapperObject *self = PyObject_GC_New(WrapperObject, wrapper_type);
    if (self == NULL)
        return NULL;
    self->coroutine = Py_NewRef(coroutine);
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

static PySendResult
wrapper_am_send(PyObject *op, PyObject *value, PyObject **answer)
{
    return hf_coroutine_am_send(inside(op), value, answer);
}

static PyObject *
wrapper_next(PyObject *op)
{
    return hf_coroutine_iternext(inside(op));
}

static PyObject *
wrapper_send(PyObject *op, PyObject *value)
{
    return hf_coroutine_send(inside(op), value);
}

static PyObject *
wrapper_throw(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    return hf_coroutine_throw(inside(op), args, nargs);
}

static PyObject *
wrapper_close(PyObject *op, PyObject *ignored)
{
    return hf_coroutine_close(inside(op), ignored);
}

static int
wrapper_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(inside(op));
    return 0;
}

static void
wrapper_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_DECREF(inside(op));
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

static PyMethodDef wrapper_methods[] = {
    {"send", wrapper_send, METH_O, "send($self, value, /)\n--\n\nMake one step."},
    {"throw", (PyCFunction)(void (*)(void))wrapper_throw, METH_FASTCALL,
     "throw($self, typ, val=None, tb=None, /)\n--\n\nRaise inside the call."},
    {"close", wrapper_close, METH_NOARGS, "close($self, /)\n--\n\nEnd the call without a verdict."},
    {NULL},
};

static PyType_Slot wrapper_slots[] = {
    {Py_tp_doc, "The steps of a guarded coroutine."},
    {Py_tp_dealloc, wrapper_dealloc},
    {Py_tp_traverse, wrapper_traverse},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, wrapper_next},
    {Py_am_send, wrapper_am_send},
    {Py_tp_methods, wrapper_methods},
    {0, NULL},
};

static PyType_Spec wrapper_spec = {
    .name = "holdfast._native.gate.CoroutineSteps",
    .basicsize = sizeof(WrapperObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = wrapper_slots,
};

int
hf_wrapper_ready(PyObject *module)
{
    wrapper_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &wrapper_spec, NULL);
    return wrapper_type == NULL ? -1 : 0;
}
