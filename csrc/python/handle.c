/*
 * How a handle finds its gate where it has none.
 */
#include "handle.h"

/* There was none: _missing() turns to one, or raises why there is none. */
GateObject *
hf_handle_gate_slowly(HandleObject *self)
{
    Py_INCREF(self);
    PyObject *answer = PyObject_CallMethod((PyObject *)self, "_missing", NULL);
    GateObject *gate = answer != NULL ? hf_handle_gate_or_null(self) : NULL;
    if (gate == NULL && answer != NULL)
        PyErr_Format(PyExc_RuntimeError, HF_TITLE " has no gate", HF_TITLE_OF(self));
    Py_XDECREF(answer);
    Py_DECREF(self);
    return gate;
}
