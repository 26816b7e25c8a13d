/*
 * Handle: a name whose gate may be replaced while calls are in flight. Each call holds the gate that it began
 * with, and ends on it.
 */
#ifndef HF_HANDLE_H
#define HF_HANDLE_H

#include "hfpy.h"

typedef struct {
    PyObject_HEAD
    PyObject *weakrefs;
    PyObject *name; /* NULL: __init__() was not called */
#ifdef Py_GIL_DISABLED
    PyObject *cell; /* a list of the gate: its items are read without a lock, and held at once */
#else
    GateObject *gate; /* or NULL */
#endif
} HandleObject;

GateObject *hf_handle_gate_slowly(HandleObject *self, PyObject **course);

PyObject *hf_call_by_course(PyObject *course, PyObject *guarded, PyObject *const *args,
                            size_t nargsf, PyObject *kwnames);

static inline bool
hf_is_handle(PyObject *op)
{
    return PyObject_TypeCheck(op, hf_handle_type);
}

/* The present gate, strong; NULL: there is none. */
static inline GateObject *
hf_handle_gate_or_null(const HandleObject *self)
{
#ifdef Py_GIL_DISABLED
    PyObject *gate = hf_list_item(self->cell, 0);
    if (gate != Py_None)
        return (GateObject *)gate;
    Py_DECREF(gate);
    return NULL;
#else
    return (GateObject *)Py_XNewRef((PyObject *)self->gate);
#endif
}

/* The same; NULL: an exception is set. */
static inline GateObject *
hf_handle_gate(HandleObject *self)
{
    GateObject *gate = hf_handle_gate_or_null(self);
    return HF_LIKELY(gate != NULL) ? gate : hf_handle_gate_slowly(self, NULL);
}

#endif /* HF_HANDLE_H */
