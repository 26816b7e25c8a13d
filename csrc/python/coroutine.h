/*
 * GuardedCoroutine, as coroutine.c and coroutine_drive.c share it.
 *
 *   CREATED --first step--> WAITING (a step is waited for) --> RUNNING (the inner coroutine) --> DONE
 *
 * Nothing is admitted before the first step.
 */
#ifndef HF_COROUTINE_H
#define HF_COROUTINE_H

#include "hfpy.h"

typedef enum { PHASE_CREATED, PHASE_WAITING, PHASE_RUNNING, PHASE_DONE } hf_phase;

typedef struct {
    PyObject_HEAD
    PyObject *weakrefs;
    GateObject *gate;
    PyObject *inner;              /* the guarded coroutine; the Entry for HF_FOR_ENTRY */
    PyObject *waiting;            /* what waits for the step pass.entered */
    PyObject *fn, *args, *kwargs; /* acall: called only once admitted */
    uint8_t phase, purpose;       /* hf_phase, hf_purpose */
    bool busy;                    /* a step is being made: no other may begin */
    hf_pass pass;
} CoroutineObject;

/* ---- coroutine_drive.c ---- */
PySendResult hf_coroutine_am_send(PyObject *op, PyObject *value, PyObject **answer);
PyObject *hf_coroutine_iternext(PyObject *op);
PyObject *hf_coroutine_send(PyObject *op, PyObject *value);
PyObject *hf_coroutine_throw(PyObject *op, PyObject *const *args, Py_ssize_t nargs);
PyObject *hf_coroutine_close(PyObject *op, PyObject *ignored);
void hf_coroutine_close_unbegun(CoroutineObject *self);

#endif /* HF_COROUTINE_H */
