/*
 * An awaitable of None that is ready at once: what leaving an `async with` answers, which never waits.
 */
#include "hfpy.h"

PyObject *hf_done;

static PyObject *
done_next(PyObject *op)
{
    (void)op;
    return NULL; /* StopIteration of None */
}

static void
done_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_Free(op);
    Py_DECREF(type);
}

static PyType_Slot done_slots[] = {
    {Py_tp_doc, "An awaitable of None that is ready at once."},
    {Py_tp_dealloc, done_dealloc},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, done_next},
    {Py_am_await, PyObject_SelfIter},
    {0, NULL},
};

static PyType_Spec done_spec = {
    .name = "holdfast._native.gate.Done",
    .basicsize = sizeof(PyObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = done_slots,
};

int
hf_done_ready(PyObject *module)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &done_spec, NULL);
    if (type == NULL)
        return -1;
    hf_done = (PyObject *)PyObject_New(PyObject, type);
    Py_DECREF(type); /* hf_done holds it */
    return hf_done == NULL ? -1 : 0;
}
