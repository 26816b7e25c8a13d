/*
 * Driving a GuardedCoroutine: entering the gate, waiting for a step of it, running the inner coroutine,
 * leaving. A refusal closes the inner coroutine before it is raised.
 */
#include "coroutine.h"

/* ---- ends ---- */

/* The call ended with `result`, or, with NULL, by raising. Leaves the gate. */
PySendResult
hf_coroutine_finish(CoroutineObject *self, PyObject *result, PyObject **answer)
{
    hf_set_phase(self, PHASE_DONE);
    if (!hf_gate_leave_lone(self->gate, &self->pass, result))
        result = hf_gate_leave(self->gate, &self->pass, result);
    if (self->purpose == HF_FOR_OUTCOME)
        result = result != NULL ? hf_outcome_value(result) : hf_outcome_error();
    *answer = result;
    return hf_sent(result);
}

/* The caller's mistake proves nothing about what was to be called. */
static PySendResult
end_misused(CoroutineObject *self)
{
    hf_set_phase(self, PHASE_DONE);
    hf_gate_settle(self->gate, &self->pass, HF_IGNORED);
    return PYGEN_ERROR;
}

static PySendResult
end_refused(CoroutineObject *self, const hf_refusal *why, PyObject **answer)
{
    hf_set_phase(self, PHASE_DONE);
    *answer = NULL;
    if (self->purpose == HF_FOR_OUTCOME)
        *answer = hf_outcome_refused(why);
    else
        hf_refuse(why);
    hf_coroutine_close_unbegun(self);
    return hf_sent(*answer);
}

/* An exception while entering: everything entered so far is given back. */
PySendResult
hf_coroutine_end_broken(CoroutineObject *self, PyObject **answer)
{
    hf_set_phase(self, PHASE_DONE);
    hf_gate_undo(self->gate, &self->pass);
    hf_coroutine_close_unbegun(self);
    *answer = NULL;
    if (self->purpose == HF_FOR_OUTCOME)
        *answer = hf_outcome_rejection();
    return hf_sent(*answer);
}

/* ---- entering ---- */

static PySendResult
hand_over(CoroutineObject *self, PyObject **answer)
{
    hf_set_phase(self, PHASE_DONE);
    if (self->purpose == HF_FOR_ENTRY && self->gate->controls &&
        hf_timeouts_open_blocks(self->gate, &self->pass) < 0) {
        hf_gate_undo(self->gate, &self->pass);
        return PYGEN_ERROR;
    }
    if (self->purpose == HF_FOR_ENTRY) {
        hf_entry_take(self->inner, &self->pass);
        hf_replace(self, &self->inner, NULL);
        *answer = Py_NewRef((PyObject *)self->gate);
        return PYGEN_RETURN;
    }
    *answer = hf_permit_new(self->gate, &self->pass);
    if (*answer == NULL)
        hf_gate_undo(self->gate, &self->pass);
    return hf_sent(*answer);
}

static PySendResult
admitted(CoroutineObject *self, PyObject **answer)
{
    if (self->purpose == HF_FOR_PERMIT || self->purpose == HF_FOR_ENTRY)
        return hand_over(self, answer);
    hf_set_phase(self, PHASE_RUNNING);
    if (self->inner != NULL && PyCoro_CheckExact(self->inner))
        return PYGEN_NEXT;
    switch (hf_coroutine_begin_inner(self)) {
    case HF_BEGUN:
        return PYGEN_NEXT;
    case HF_RAISED:
        return hf_coroutine_finish(self, NULL, answer);
    case HF_MISUSED:
        break;
    }
    return end_misused(self);
}

/* Go on entering until inside, refused, or a step must be waited for. PYGEN_NEXT with NULL: go on. */
static PySendResult
enter(CoroutineObject *self, PyObject **answer)
{
    hf_refusal why;
    *answer = NULL;
    switch (hf_gate_enter(self->gate, &self->pass, &why)) {
    case HF_IN:
        return admitted(self, answer);
    case HF_REFUSED:
        return end_refused(self, &why, answer);
    case HF_BROKEN:
        return hf_coroutine_end_broken(self, answer);
    case HF_MUST_WAIT:
        break;
    }
    GateObject *step = self->gate->steps[self->pass.entered];
    hf_replace(self, &self->waiting, PyObject_CallMethod((PyObject *)step, "_suspend", NULL));
    if (self->waiting == NULL)
        return hf_coroutine_end_broken(self, answer);
    hf_set_phase(self, PHASE_WAITING);
    return PYGEN_NEXT;
}

/* The wait is over: the step that was waited for is held. */
PySendResult
hf_coroutine_enter_after_wait(CoroutineObject *self, PyObject **answer)
{
    hf_replace(self, &self->waiting, NULL);
    hf_gate_waited(self->gate, &self->pass);
    return enter(self, answer);
}

/* ---- one step ---- */

/* Guards of guards drive each other without a frame in between that would be counted. */
static PySendResult Py_NO_INLINE
send_to_guarded(PyObject *inner, PyObject *value, PyObject **answer)
{
    if (Py_EnterRecursiveCall(" while awaiting a guarded coroutine"))
        return PYGEN_ERROR;
    PySendResult made = hf_coroutine_am_send(inner, value, answer);
    Py_LeaveRecursiveCall();
    return made;
}

/* PyIter_Send(), straight to am_send where there is one. */
PySendResult
hf_coroutine_send_to(PyObject *inner, PyObject *value, PyObject **answer)
{
    PyAsyncMethods *methods = Py_TYPE(inner)->tp_as_async;
    if (methods == NULL || methods->am_send == NULL)
        return PyIter_Send(inner, value, answer);
    if (methods->am_send == hf_coroutine_am_send)
        return send_to_guarded(inner, value, answer);
    return methods->am_send(inner, value, answer);
}

static inline PySendResult
step_inner(CoroutineObject *self, PyObject *value, PyObject **answer)
{
    PyObject *out = NULL;
    PySendResult made = hf_coroutine_send_to(self->inner, value, &out);
    if (made == PYGEN_NEXT) {
        *answer = out;
        return PYGEN_NEXT;
    }
    return hf_coroutine_finish(self, made == PYGEN_RETURN ? out : NULL, answer);
}

PySendResult
hf_coroutine_step(CoroutineObject *self, PyObject *value, PyObject **answer)
{
    if (hf_phase_of(self) == PHASE_CREATED) {
        hf_pass_init(&self->pass);
        PySendResult entered = hf_gate_enter_lone(self->gate, &self->pass) ? admitted(self, answer)
                                                                           : enter(self, answer);
        if (entered != PYGEN_NEXT)
            return entered;
    }
    while (hf_phase_of(self) == PHASE_WAITING) {
        PySendResult waited = PyIter_Send(self->waiting, value, answer);
        if (waited == PYGEN_NEXT)
            return PYGEN_NEXT;
        if (waited == PYGEN_ERROR) {
            hf_replace(self, &self->waiting, NULL);
            return hf_coroutine_end_broken(self, answer);
        }
        Py_DECREF(*answer);
        PySendResult entered = hf_coroutine_enter_after_wait(self, answer);
        if (entered != PYGEN_NEXT)
            return entered;
        value = Py_None;
    }
    return step_inner(self, value, answer);
}

/* Whether the call has a course: some step controls it, or what it took is asked for. */
static inline bool
has_course(const CoroutineObject *self)
{
    if (self->gate->controls)
        return self->purpose != HF_FOR_PERMIT && self->purpose != HF_FOR_ENTRY;
    return self->purpose == HF_FOR_STATS;
}

static PySendResult
step(CoroutineObject *self, PyObject *value, PyObject **answer)
{
    if (has_course(self))
        return hf_coroutine_run(self, value, answer);
    return hf_coroutine_step(self, value, answer);
}

/*
 * The commonest first step, a coroutine behind a lone breaker: nothing is in the way. False: nothing
 * was done, make any step.
 */
static inline bool
begin_straight(CoroutineObject *self)
{
    if (!self->straight || hf_phase_of(self) != PHASE_CREATED || !hf_coroutine_claim(self))
        return false;
    hf_pass_init(&self->pass);
    if (hf_phase_of(self) != PHASE_CREATED || !hf_gate_enter_lone(self->gate, &self->pass)) {
        hf_coroutine_unclaim(self);
        return false;
    }
    hf_set_phase(self, PHASE_RUNNING);
    return true;
}

/* False: a step is being made, or was the last; that is set. */
bool
hf_coroutine_begin_step(CoroutineObject *self)
{
    if (!hf_coroutine_claim(self)) {
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
        return false;
    }
    if (hf_phase_of(self) == PHASE_DONE) {
        hf_coroutine_unclaim(self);
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return false;
    }
    return true;
}

PySendResult
hf_coroutine_end_step(CoroutineObject *self, PySendResult made)
{
    hf_coroutine_unclaim(self);
    assert((made == PYGEN_ERROR) == (PyErr_Occurred() != NULL));
    if (made == PYGEN_ERROR)
        hf_stop_mend();
    return made;
}

PySendResult
hf_coroutine_am_send(PyObject *op, PyObject *value, PyObject **answer)
{
    CoroutineObject *self = (CoroutineObject *)op;
    *answer = NULL;
    if (begin_straight(self))
        return hf_coroutine_end_step(self, step_inner(self, value, answer));
    return hf_coroutine_begin_step(self) ? hf_coroutine_end_step(self, step(self, value, answer))
                                         : PYGEN_ERROR;
}

PyObject *
hf_coroutine_iternext(PyObject *op)
{
    PyObject *answer;
    PySendResult made = hf_coroutine_am_send(op, Py_None, &answer);
    return hf_stop_next(made, answer);
}

PyObject *
hf_coroutine_send(PyObject *op, PyObject *value)
{
    CoroutineObject *self = (CoroutineObject *)op;
    PyObject *answer = NULL;
    PySendResult made = PYGEN_ERROR;
    if (value == Py_None) {
        made = hf_coroutine_am_send(op, value, &answer);
        return hf_stop_answer(made, answer);
    }
    if (!hf_coroutine_begin_step(self))
        return NULL;
    if (hf_phase_of(self) != PHASE_CREATED)
        made = step(self, value, &answer);
    else
        PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started coroutine");
    return hf_stop_answer(hf_coroutine_end_step(self, made), answer);
}
