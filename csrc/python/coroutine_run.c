/*
 * Driving a GuardedCoroutine that retries, timeouts or fallbacks control: entered, run and unwound as
 * often as it takes. What is decided is gate_unwind.c's; here it is awaited.
 */
#include "coroutine.h"

/* What comes next; for UNWIND and END with a result, or an exception that is set. */
typedef enum { DRIVE, ENTER, UNWIND, END } next_move;

/* ---- ends ---- */

void
hf_coroutine_end_course(CoroutineObject *self)
{
    if (!self->controlled)
        return;
    self->controlled = false;
    self->pass.course = NULL;
    hf_course_end(&self->course);
    Py_CLEAR(self->args); /* a task keeps its coroutine when that has ended */
    Py_CLEAR(self->kwargs);
}

static PyObject *
outcome_of(const CoroutineObject *self, PyObject *result)
{
    return result != NULL         ? hf_outcome_value(result)
           : self->course.refused ? hf_outcome_rejection()
                                  : hf_outcome_error();
}

/* The call is over, with `result`, which is stolen, or, with NULL, the exception that is set. */
static PySendResult
end(CoroutineObject *self, PyObject *result, PyObject **answer)
{
    bool kept = self->purpose == HF_FOR_STREAM && result != NULL;
    hf_set_phase(self, PHASE_DONE);
    if (self->purpose == HF_FOR_OUTCOME || self->purpose == HF_FOR_STATS)
        result = outcome_of(self, result);
    if (self->purpose == HF_FOR_STATS && result != NULL)
        result = hf_course_counts(&self->course, result);
    hf_coroutine_end_course(self);
    if (kept)
        result = hf_permit_with(self->gate, &self->pass, result);
    *answer = result;
    return result != NULL ? PYGEN_RETURN : PYGEN_ERROR;
}

/* ---- waiting ---- */

static PyObject *
driven(const CoroutineObject *self)
{
    return hf_phase_of(self) == PHASE_WAITING ? self->waiting : self->inner;
}

static void
wait_for(CoroutineObject *self, hf_waits_for what, PyObject *waiting)
{
    hf_set_phase(self, PHASE_WAITING);
    self->waits_for = (uint8_t)what;
    hf_replace(self, &self->waiting, waiting);
}

/* Nothing is awaited yet that could be thrown into. */
static next_move
wait_for_call(CoroutineObject *self, hf_waits_for what, PyObject *waiting, next_move otherwise)
{
    if (waiting == NULL)
        return otherwise;
    wait_for(self, what, waiting);
    return DRIVE;
}

/* ---- in ---- */

static next_move
begin_attempt(CoroutineObject *self)
{
    hf_course *course = &self->course;
    course->attempts++;
    course->ran_here = true;
    hf_set_phase(self, PHASE_RUNNING);
    switch (hf_coroutine_begin_inner(self)) {
    case HF_BEGUN:
        return DRIVE;
    case HF_RAISED:
        return UNWIND;
    case HF_MISUSED: /* the caller's mistake, which no further attempt would mend, nor an outcome tell */
        self->purpose = HF_FOR_RESULT;
        hf_gate_drop(self->gate, &self->pass, true);
        break;
    }
    return END;
}

static next_move
enter(CoroutineObject *self)
{
    hf_course *course = &self->course;
    hf_refusal why;
    course->refused = false;
    switch (hf_gate_enter_steps(self->gate, &self->pass, &why)) {
    case HF_IN:
        return begin_attempt(self);
    case HF_MUST_WAIT:
        return wait_for_call(self, WAITS_FOR_STEP,
                             PyObject_CallMethod((PyObject *)self->gate->steps[self->pass.entered],
                                                 "_suspend", NULL),
                             UNWIND);
    case HF_REFUSED:
        hf_refuse(&why);
        course->refused = true;
        break;
    case HF_BROKEN:
        break;
    }
    return UNWIND;
}

/* ---- out ---- */

/* A fallback is to give the result: at once, or when it has been awaited. */
static next_move
stand_in(CoroutineObject *self, PyObject **result)
{
    GateObject *step = self->gate->steps[self->pass.entered];
    PyObject *exception = hf_take_exception(), *given = hf_stand_in(step, exception);
    PyAsyncMethods *methods =
        given != NULL && step->stands_by_call ? Py_TYPE(given)->tp_as_async : NULL;
    if (methods != NULL && methods->am_await != NULL) {
        PyObject *iterator = methods->am_await(given);
        Py_DECREF(given);
        if (iterator != NULL) {
            Py_XSETREF(self->failure, exception);
            hf_alarms_ring_again(self->gate, &self->pass);
            self->course.standing_in = true;
            wait_for(self, WAITS_FOR_STAND_IN, iterator);
            return DRIVE;
        }
        given = NULL;
    }
    hf_stood_in(step, &self->pass, exception, given == NULL);
    *result = given;
    return UNWIND;
}

static next_move
pause_before(CoroutineObject *self)
{
    hf_pass *pass = &self->pass;
    PyObject *step = (PyObject *)self->gate->steps[pass->entered - 1];
    PyObject *pausing = PyObject_CallMethod(step, "_pause", "L", (long long)self->course.pause_ns);
    if (pausing == NULL)
        hf_pause_ended(self->gate, pass, true);
    return wait_for_call(self, WAITS_FOR_PAUSE, pausing, UNWIND);
}

static next_move
unwind(CoroutineObject *self, PyObject **result)
{
    hf_coroutine_close_unbegun(self);
    hf_replace(self, &self->inner, NULL);
    switch (hf_gate_unwind(self->gate, &self->pass, result)) {
    case HF_AGAIN:
        hf_pause_ended(self->gate, &self->pass, false);
        return ENTER;
    case HF_PAUSE:
        return pause_before(self);
    case HF_STAND_IN:
        return stand_in(self, result);
    case HF_UNWOUND:
        break;
    }
    return END;
}

/* What was awaited has ended, with `*result` or, with NULL, the exception that is set. */
static next_move
ended(CoroutineObject *self, PyObject **result)
{
    hf_pass *pass = &self->pass;
    bool failed = *result == NULL;
    if (hf_phase_of(self) == PHASE_RUNNING) {
        hf_replace(self, &self->inner, NULL);
        bool keeps = self->purpose == HF_FOR_STREAM && !failed;
        return keeps && hf_gate_keep(self->gate, pass) ? END : UNWIND;
    }
    hf_replace(self, &self->waiting, NULL);
    if (self->waits_for == WAITS_FOR_STAND_IN) {
        PyObject *failure = self->failure;
        self->failure = NULL;
        hf_stood_in(self->gate->steps[pass->entered], pass, failure, failed);
        return UNWIND;
    }
    Py_CLEAR(*result);
    if (self->waits_for == WAITS_FOR_PAUSE) {
        hf_pause_ended(self->gate, pass, failed);
    } else if (failed) {
        self->course.refused = PyErr_ExceptionMatches(hf_rejected_type);
    } else {
        hf_gate_waited(self->gate, pass);
    }
    return failed ? UNWIND : ENTER;
}

/* ---- steps ---- */

static PySendResult
go_on(CoroutineObject *self, next_move next, PyObject *result, PyObject **answer)
{
    for (;;) {
        PyObject *out = NULL;
        switch (next) {
        case DRIVE:
            if (hf_coroutine_send_to(driven(self), Py_None, &out) == PYGEN_NEXT) {
                *answer = out;
                return PYGEN_NEXT;
            }
            result = out;
            next = ended(self, &result);
            break;
        case ENTER:
            next = enter(self);
            break;
        case UNWIND:
            next = unwind(self, &result);
            break;
        case END:
            return end(self, result, answer);
        }
    }
}

/* What is driven has made a step. */
static PySendResult
go_on_from(CoroutineObject *self, PySendResult made, PyObject *out, PyObject **answer)
{
    if (made == PYGEN_NEXT) {
        *answer = out;
        return PYGEN_NEXT;
    }
    PyObject *result = made == PYGEN_RETURN ? out : NULL;
    next_move next = ended(self, &result);
    return go_on(self, next, result, answer);
}

/* What is driven hears of the exception that is set, as if it came where that waits. */
static PySendResult
interrupt(CoroutineObject *self, PyObject **answer)
{
    PyObject *exception = hf_take_exception(), *out = NULL;
    Py_CLEAR(*answer);
    if (hf_alarms_wake(&self->course))
        PyErr_Clear();
    PySendResult made = hf_coroutine_throw_on(driven(self), &exception, 1, &out);
    Py_DECREF(exception);
    return go_on_from(self, made, out, answer);
}

/*
 * It is suspended, and may be cut short from here on. Without memory for an alarm it is not; where somebody
 * interrupts its setting, that is the call's to hear of.
 */
static PySendResult
suspend(CoroutineObject *self, PySendResult made, PyObject **answer)
{
    while (made == PYGEN_NEXT && self->gate->times &&
           hf_alarms_set(self->gate, &self->pass, *answer, (PyObject *)self) < 0) {
        if (PyErr_ExceptionMatches(PyExc_Exception)) {
            PyErr_WriteUnraisable((PyObject *)self->gate);
            break;
        }
        made = interrupt(self, answer);
    }
    return made;
}

static PySendResult
resume(CoroutineObject *self, PyObject *value, PyObject **answer)
{
    PyObject *out = NULL;
    PySendResult made;
    if (hf_alarms_wake(&self->course)) {
        PyObject *cancelled = hf_take_exception();
        made = hf_coroutine_throw_on(driven(self), &cancelled, 1, &out);
        Py_DECREF(cancelled);
    } else {
        made = hf_coroutine_send_to(driven(self), value, &out);
    }
    return go_on_from(self, made, out, answer);
}

static PySendResult
begin(CoroutineObject *self, PyObject **answer)
{
    self->controlled = true;
    int begun = hf_course_begin(&self->course, &self->pass, true);
    if (begun == 0 && self->gate->times)
        begun = hf_refuse_trio((PyObject *)self->gate);
    next_move next = begun < 0 ? UNWIND : ENTER;
    self->course.keeps = self->purpose == HF_FOR_STREAM;
    return go_on(self, next, NULL, answer);
}

static void
go_on_limited(hf_course *course)
{
    hf_course_resume(course);
    if (course->fired != HF_MAX_STEPS)
        hf_alarms_share(course);
}

/* One step. The deadline of the thread is the call's meanwhile. */
PySendResult
hf_coroutine_run(CoroutineObject *self, PyObject *value, PyObject **answer)
{
    PySendResult made;
    if (hf_phase_of(self) == PHASE_CREATED) {
        made = begin(self, answer);
    } else {
        go_on_limited(&self->course);
        made = resume(self, value, answer);
    }
    made = suspend(self, made, answer);
    hf_course_suspend(&self->course);
    return made;
}

/* The same with an exception, which counts more than a cut that is due. */
PySendResult
hf_coroutine_run_thrown(CoroutineObject *self, PyObject *const *args, Py_ssize_t nargs,
                        PyObject **answer)
{
    PyObject *out = NULL;
    if (hf_alarms_wake(&self->course))
        PyErr_Clear();
    go_on_limited(&self->course);
    PySendResult made = hf_coroutine_throw_on(driven(self), args, nargs, &out);
    made = suspend(self, go_on_from(self, made, out, answer), answer);
    hf_course_suspend(&self->course);
    return made;
}
