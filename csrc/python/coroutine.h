/*
 * GuardedCoroutine, as the files coroutine*.c share it.
 *
 *   CREATED --first step--> WAITING (a step is waited for) --> RUNNING (the inner coroutine) --> DONE
 *
 * Nothing is admitted before the first step. Where retries, timeouts or fallbacks control the call
 * (coroutine_run.c), it may wait again after it has run: for a pause, for what stands in.
 */
#ifndef HF_COROUTINE_H
#define HF_COROUTINE_H

#include "control.h"

typedef enum { PHASE_CREATED, PHASE_WAITING, PHASE_RUNNING, PHASE_DONE } hf_phase;
typedef enum { WAITS_FOR_STEP, WAITS_FOR_PAUSE, WAITS_FOR_STAND_IN } hf_waits_for;

typedef struct {
    PyObject_HEAD
    PyObject *weakrefs;
    GateObject *gate;
    PyObject *inner;              /* the guarded coroutine; the Entry for HF_FOR_ENTRY */
    PyObject *waiting;            /* what waits for the step pass.entered */
    PyObject *fn, *args, *kwargs; /* acall: called only once admitted; or to call it again */
    PyObject *failure;            /* what something stands in for */
    uint8_t phase, purpose;       /* hf_phase, hf_purpose */
    uint8_t waits_for;            /* hf_waits_for */
    bool straight;                /* a coroutine that exists: entered, it can be run */
    bool busy;                    /* a step is being made: no other may begin */
    bool controlled;              /* the course is in use: begun, and not yet at its end */
    hf_pass pass;
    hf_course course;
} CoroutineObject;

/* ---- coroutine_inner.c ---- */
typedef enum {
    HF_BEGUN,
    HF_RAISED,
    HF_MISUSED /* nothing was called that could tell anything */
} hf_begin;

hf_begin hf_coroutine_begin_inner(CoroutineObject *self);
int hf_coroutine_close_it(PyObject *op);
void hf_coroutine_close_unbegun(CoroutineObject *self);

/* What a step that has ended answers. */
static inline PySendResult
hf_sent(const PyObject *answer)
{
    return answer != NULL ? PYGEN_RETURN : PYGEN_ERROR;
}

/* ---- coroutine_drive.c ---- */
PySendResult hf_coroutine_am_send(PyObject *op, PyObject *value, PyObject **answer);
PyObject *hf_coroutine_iternext(PyObject *op);
PyObject *hf_coroutine_send(PyObject *op, PyObject *value);
PySendResult hf_coroutine_finish(CoroutineObject *self, PyObject *result, PyObject **answer);
PySendResult hf_coroutine_end_broken(CoroutineObject *self, PyObject **answer);
PySendResult hf_coroutine_enter_after_wait(CoroutineObject *self, PyObject **answer);
PySendResult hf_coroutine_step(CoroutineObject *self, PyObject *value, PyObject **answer);
bool hf_coroutine_begin_step(CoroutineObject *self);
PySendResult hf_coroutine_end_step(CoroutineObject *self, PySendResult made);

/* ---- coroutine_throw.c ---- */
PySendResult hf_coroutine_throw_on(PyObject *target, PyObject *const *args, Py_ssize_t nargs,
                                   PyObject **answer);
PyObject *hf_coroutine_throw(PyObject *op, PyObject *const *args, Py_ssize_t nargs);
PyObject *hf_coroutine_close(PyObject *op, PyObject *ignored);

/* ---- coroutine_run.c ---- */
PySendResult hf_coroutine_run(CoroutineObject *self, PyObject *value, PyObject **answer);
PySendResult hf_coroutine_run_thrown(CoroutineObject *self, PyObject *const *args, Py_ssize_t nargs,
                                     PyObject **answer);
PySendResult hf_coroutine_send_to(PyObject *inner, PyObject *value, PyObject **answer);
void hf_coroutine_end_course(CoroutineObject *self);

/* ---- coroutine_stop.c ---- */
PyObject *hf_stop_answer(PySendResult made, PyObject *answer);
PyObject *hf_stop_next(PySendResult made, PyObject *answer);
PyObject *hf_stop_value(void);
void hf_stop_mend(void);

#if PY_VERSION_HEX >= 0x030C0000 && !defined(Py_GIL_DISABLED)
extern PyStopIterationObject *hf_spare_stop;

/* A value that was handed over is not ours any more, unless it is on its way, or somebody kept it. */
static inline void
hf_stop_forget(void)
{
    if (hf_spare_stop != NULL && Py_REFCNT(hf_spare_stop) == 1)
        Py_CLEAR(hf_spare_stop->value);
}
#else
static inline void
hf_stop_forget(void)
{
}
#endif

#endif /* HF_COROUTINE_H */
