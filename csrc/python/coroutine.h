/*
 * GuardedCoroutine, as the files coroutine*.c share it.
 *
 *   CREATED --first step--> WAITING (a step is waited for) --> RUNNING (the inner coroutine) --> DONE
 *
 * Nothing is admitted before the first step. Where retries, timeouts or fallbacks control the call
 * it may wait again after it has run, which its course tells: for a pause, for what stands in.
 */
#ifndef HF_COROUTINE_H
#define HF_COROUTINE_H

#include "control.h"

typedef enum { PHASE_CREATED, PHASE_WAITING, PHASE_RUNNING, PHASE_DONE } hf_phase;

typedef struct {
    PyObject_HEAD
    PyObject *weakrefs;
    GateObject *gate;
    PyObject *inner;              /* the guarded coroutine; the Entry for HF_FOR_ENTRY */
    PyObject *waiting;            /* what waits for the step pass.entered */
    PyObject *fn, *args, *kwargs; /* acall: called only once admitted; or to call it again */
    PyObject *failure;            /* what something stands in for */
    hf_au32 busy;                 /* 1: a step is being made, and no other may begin */
    hf_au32 phase;                /* hf_phase; changed by who makes a step, seen by who looks */
    uint8_t purpose;              /* hf_purpose */
    bool controlled;              /* the course is in use: begun, and not yet at its end */
    hf_pass pass;
    hf_course course;
} CoroutineObject;

static inline hf_phase
hf_phase_of(const CoroutineObject *self)
{
    return (hf_phase)hf_load_relaxed(&((CoroutineObject *)self)->phase);
}

static inline void
hf_set_phase(CoroutineObject *self, hf_phase phase)
{
    hf_store_relaxed(&self->phase, phase);
}

static inline bool
hf_coroutine_is_busy(const CoroutineObject *self)
{
    return hf_load_relaxed(&((CoroutineObject *)self)->busy) != 0;
}

/* Begin a step. False: somebody makes one. What the last one left is seen by whoever makes the next. */
static inline bool
hf_coroutine_claim(CoroutineObject *self)
{
    uint32_t free = 0;
    while (
        !hf_cas_weak_acquire(&self->busy, &free, 1)) { /* pairs with the release of the last step */
        if (free != 0)
            return false;
    }
    return true;
}

static inline void
hf_coroutine_unclaim(CoroutineObject *self)
{
    hf_store_release(&self->busy, 0);
}

/* Exchange a part that others may look at meanwhile. Steals `value`. */
static inline void
hf_replace(CoroutineObject *self, PyObject **part, PyObject *value)
{
    PyObject *old;
    (void)self; /* with the GIL it need not be locked */
    if (*part == NULL && value == NULL)
        return; /* nothing was there, and nothing comes: nobody else changes it */
    HF_BEGIN_EXCLUSIVE(self);
    old = *part;
    *part = value;
    HF_END_EXCLUSIVE();
    Py_XDECREF(old);
}

/* What a step that has ended answers. */
static inline PySendResult
hf_sent(const PyObject *answer)
{
    return answer != NULL ? PYGEN_RETURN : PYGEN_ERROR;
}

/* ---- coroutine.c ---- */
PyObject *hf_coroutine_part(CoroutineObject *self, PyObject *const *part);
PyObject *hf_coroutine_driven_by(CoroutineObject *self);
bool hf_coroutine_is_suspended(const CoroutineObject *self);
int hf_coroutine_close_it(PyObject *op);
void hf_coroutine_close_unbegun(CoroutineObject *self);
bool hf_coroutine_begin_step(CoroutineObject *self);
PySendResult hf_coroutine_end_step(CoroutineObject *self, PySendResult made);
void hf_coroutine_end_course(CoroutineObject *self);
int hf_coroutine_traverse(PyObject *op, visitproc visit, void *arg);
int hf_coroutine_clear(PyObject *op);
void hf_coroutine_dealloc(PyObject *op);

/* ---- coroutine_step.c ---- */
PySendResult hf_coroutine_am_send(PyObject *op, PyObject *value, PyObject **answer);
PyObject *hf_coroutine_iternext(PyObject *op);
PyObject *hf_coroutine_send(PyObject *op, PyObject *value);
PySendResult hf_coroutine_step(CoroutineObject *self, PyObject *value, PyObject *const *args,
                               Py_ssize_t nargs, PyObject **answer);
void hf_coroutine_raise_thrown(PyObject *const *args, Py_ssize_t nargs);

/* ---- coroutine_race.c ---- */
PyObject *hf_race_turn(CoroutineObject *self, PyObject **result);
void hf_race_ended(CoroutineObject *self, PyObject **end);

/* ---- coroutine_throw.c ---- */
PyObject *hf_coroutine_throw(PyObject *op, PyObject *const *args, Py_ssize_t nargs);
PyObject *hf_coroutine_close(PyObject *op, PyObject *ignored);

/* ---- coroutine_stop.c ---- */
PyObject *hf_stop_answer(PySendResult made, PyObject *answer);
PyObject *hf_stop_next(PySendResult made, PyObject *answer);
PyObject *hf_stop_value(void);
void hf_stop_mend(void);

/* A value that was handed over is not ours any more, unless it is on its way, or somebody kept it. */
static inline void
hf_stop_forget(void)
{
    const hf_free_lists *lists = HF_FREE_LISTS_HERE;
    PyStopIterationObject *stop = lists != NULL ? lists->spare_stop : NULL;
    if (stop != NULL && Py_REFCNT(stop) == 1)
        Py_CLEAR(stop->value);
}

#endif /* HF_COROUTINE_H */
