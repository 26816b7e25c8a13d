/*
 * Guard: what its call (guard.c) and its face (guard_face.c) share.
 */
#ifndef HF_GUARD_H
#define HF_GUARD_H

#include "hfpy.h"

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    GateObject *gate;
    PyObject *fn; /* never changed: it may be looked at as long as the guard lives */
    PyObject *dict;
    PyObject *weakrefs;
    PyObject *face; /* what was set of what a function keeps outside its __dict__; NULL: nothing */
    int8_t kind;    /* hf_callable */
    hf_au16 late;   /* hf_late: what came late from it, if anything did */
} GuardObject;

/* What the function it guards gives when it is called. */
static inline hf_callable
hf_guard_kind(const PyObject *op)
{
    return (hf_callable)((const GuardObject *)op)->kind;
}

/* tp_getattro, tp_setattro and __dir__: the attributes a function has. */
PyObject *hf_guard_getattro(PyObject *op, PyObject *name);
int hf_guard_setattro(PyObject *op, PyObject *name, PyObject *value);
PyObject *hf_guard_dir(PyObject *op, PyObject *ignored);
extern PyGetSetDef hf_guard_getset[];
int hf_guard_face_ready(void);

#endif /* HF_GUARD_H */
