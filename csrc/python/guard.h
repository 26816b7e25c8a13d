/*
 * Guard: what its call (guard.c) and its types (guard_type.c) share.
 */
#ifndef HF_GUARD_H
#define HF_GUARD_H

#include "hfpy.h"

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *policy; /* a gate, or a handle: then the gate that it has when a call comes */
    PyObject *fn;     /* never changed: it may be looked at as long as the guard lives */
    PyObject *dict;
    PyObject *weakrefs;
    PyObject *face; /* dict: what was set of what a function keeps outside its __dict__ */
    int8_t kind;    /* hf_callable */
    hf_au16 late;   /* hf_late: what came late from it, if anything did */
} GuardObject;

/* What the function it guards gives when it is called. */
static inline hf_callable
hf_guard_kind(const PyObject *op)
{
    return (hf_callable)((const GuardObject *)op)->kind;
}

#endif /* HF_GUARD_H */
