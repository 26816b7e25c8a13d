/*
 * The steps of a GuardedCoroutine: one state machine.
 *
 * A plain call enters the gate, perhaps waits for a step of it, runs the inner coroutine and leaves. A
 * controlled one, where retries, timeouts or fallbacks decide, is entered, run and unwound as often as it
 * takes; what is decided is gate_unwind.c's, here it is awaited. A refusal closes the inner coroutine before
 * it is raised.
 */
#include "coroutine.h"

typedef enum {
    HF_BEGUN,
    HF_RAISED,
    HF_MISUSED /* nothing was called that could tell anything */
} hf_begin;

/* ==== what is driven: begun as `await` begins it, sent to, thrown into ==== */

/* Turn self->inner, whatever was returned, into something that makes steps, as `await` does. */
static hf_begin
begin_awaitable(CoroutineObject *self)
{
    PyObject *made = self->inner;
    if (PyCoro_CheckExact(made) || hf_is_generator_coroutine(made))
        return HF_BEGUN;
    PyAsyncMethods *methods = Py_TYPE(made)->tp_as_async;
    if (methods == NULL || methods->am_await == NULL) {
        if (self->fn != NULL)
            PyErr_Format(PyExc_TypeError,
                         "acall() needs a function that returns an awaitable; %R returned %.100s: "
                         "use call()",
                         self->fn, Py_TYPE(made)->tp_name);
        else
            PyErr_Format(PyExc_TypeError, "object %.100s can't be used in 'await' expression",
                         Py_TYPE(made)->tp_name);
        return HF_MISUSED;
    }
    PyObject *iterator = methods->am_await(made);
    if (iterator == NULL)
        return HF_RAISED;
    hf_replace(self, &self->inner, iterator);
    if (PyIter_Check(iterator))
        return HF_BEGUN;
    PyErr_Format(PyExc_TypeError, "__await__() returned non-iterator of type '%.100s'",
                 Py_TYPE(iterator)->tp_name);
    return HF_MISUSED;
}

static hf_begin
begin_inner(CoroutineObject *self)
{
    if (self->inner == NULL) {
        hf_replace(self, &self->inner, PyObject_Call(self->fn, self->args, self->kwargs));
        if (!self->gate->reruns) { /* it has them: they are to live no longer than it needs them */
            Py_CLEAR(self->args);
            Py_CLEAR(self->kwargs);
        }
        if (self->inner == NULL)
            return HF_RAISED;
    }
    return begin_awaitable(self);
}

/* Raise what throw() was given, as a coroutine that stands nowhere would. */
void
hf_coroutine_raise_thrown(PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *type = args[0], *value = nargs > 1 && args[1] != Py_None ? args[1] : NULL;
    PyObject *traceback = nargs > 2 && args[2] != Py_None ? args[2] : NULL;
    if (traceback != NULL && !PyTraceBack_Check(traceback)) {
        PyErr_SetString(PyExc_TypeError, "throw() third argument must be a traceback object");
    } else if (PyExceptionInstance_Check(type) && value != NULL) {
        PyErr_SetString(PyExc_TypeError, "instance exception may not have a separate value");
    } else if (!PyExceptionInstance_Check(type) && !PyExceptionClass_Check(type)) {
        PyErr_Format(PyExc_TypeError,
                     "exceptions must be classes or instances deriving from BaseException, not %s",
                     Py_TYPE(type)->tp_name);
    } else {
        if (PyExceptionInstance_Check(type))
            PyErr_SetObject((PyObject *)Py_TYPE(type), type);
        else
            PyErr_SetObject(type, value);
        if (traceback != NULL) {
            PyObject *exception = hf_take_exception();
            PyException_SetTraceback(exception, traceback);
            hf_give_exception(exception);
        }
    }
}

/*
 * Throw into what is driven. What cannot be thrown into ends where it stands: then a StopIteration is
 * what was thrown, no result.
 */
static PySendResult
throw_on(PyObject *target, PyObject *const *args, Py_ssize_t nargs, PyObject **answer)
{
    PyObject *method = PyObject_GetAttrString(target, "throw");
    if (method == NULL) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError))
            hf_coroutine_raise_thrown(args, nargs);
        return PYGEN_ERROR;
    }
    *answer = PyObject_Vectorcall(method, args, (size_t)nargs, NULL);
    Py_DECREF(method);
    if (*answer != NULL)
        return PYGEN_NEXT;
    *answer = hf_stop_value();
    return hf_sent(*answer);
}

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
static PySendResult
send_to(PyObject *inner, PyObject *value, PyObject **answer)
{
    PyAsyncMethods *methods = Py_TYPE(inner)->tp_as_async;
    if (methods == NULL || methods->am_send == NULL)
        return PyIter_Send(inner, value, answer);
    if (methods->am_send == hf_coroutine_am_send)
        return send_to_guarded(inner, value, answer);
    return methods->am_send(inner, value, answer);
}

/* ==== a plain call ==== */

/* ---- ends ---- */

/* The call ended with `result`, or, with NULL, by raising. Leaves the gate. */
static PySendResult
finish(CoroutineObject *self, PyObject *result, PyObject **answer)
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
static PySendResult
end_broken(CoroutineObject *self, PyObject **answer)
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
    switch (begin_inner(self)) {
    case HF_BEGUN:
        return PYGEN_NEXT;
    case HF_RAISED:
        return finish(self, NULL, answer);
    case HF_MISUSED:
        break;
    }
    return end_misused(self);
}

/* Go on entering until inside, refused, or a step must be waited for. PYGEN_NEXT with NULL: go on. */
static PySendResult
enter_plain(CoroutineObject *self, PyObject **answer)
{
    hf_refusal why;
    *answer = NULL;
    switch (hf_gate_enter(self->gate, &self->pass, &why)) {
    case HF_IN:
        return admitted(self, answer);
    case HF_REFUSED:
        return end_refused(self, &why, answer);
    case HF_BROKEN:
        return end_broken(self, answer);
    case HF_MUST_WAIT:
        break;
    }
    GateObject *step = self->gate->steps[self->pass.entered];
    hf_replace(self, &self->waiting, PyObject_CallMethod((PyObject *)step, "_suspend", NULL));
    if (self->waiting == NULL)
        return end_broken(self, answer);
    hf_set_phase(self, PHASE_WAITING);
    return PYGEN_NEXT;
}

/* The wait is over: the step that was waited for is held. */
static PySendResult
enter_after_wait(CoroutineObject *self, PyObject **answer)
{
    hf_replace(self, &self->waiting, NULL);
    hf_gate_waited(self->gate, &self->pass);
    return enter_plain(self, answer);
}

/* ---- one step ---- */

static inline PySendResult
step_inner(CoroutineObject *self, PyObject *value, PyObject **answer)
{
    PyObject *out = NULL;
    PySendResult made = send_to(self->inner, value, &out);
    if (made == PYGEN_NEXT) {
        *answer = out;
        return PYGEN_NEXT;
    }
    return finish(self, made == PYGEN_RETURN ? out : NULL, answer);
}

static PySendResult
step(CoroutineObject *self, PyObject *value, PyObject **answer)
{
    if (hf_phase_of(self) == PHASE_CREATED) {
        hf_pass_init(&self->pass);
        PySendResult entered = hf_gate_enter_lone(self->gate, &self->pass)
                                   ? admitted(self, answer)
                                   : enter_plain(self, answer);
        if (entered != PYGEN_NEXT)
            return entered;
    }
    while (hf_phase_of(self) == PHASE_WAITING) {
        PySendResult waited = PyIter_Send(self->waiting, value, answer);
        if (waited == PYGEN_NEXT)
            return PYGEN_NEXT;
        if (waited == PYGEN_ERROR) {
            hf_replace(self, &self->waiting, NULL);
            return end_broken(self, answer);
        }
        Py_DECREF(*answer);
        PySendResult entered = enter_after_wait(self, answer);
        if (entered != PYGEN_NEXT)
            return entered;
        value = Py_None;
    }
    return step_inner(self, value, answer);
}

/* ==== a controlled call ==== */

/* What comes next; for UNWIND and END with a result, or an exception that is set. */
typedef enum { DRIVE, ENTER, UNWIND, END } next_move;

/* ---- ends ---- */

static PyObject *
outcome_of(const CoroutineObject *self, PyObject *result)
{
    return result != NULL         ? hf_outcome_value(result)
           : self->course.refused ? hf_outcome_rejection()
                                  : hf_outcome_error();
}

/* The call is over, with `result`, which is stolen, or, with NULL, the exception that is set. */
static PySendResult
end_call(CoroutineObject *self, PyObject *result, PyObject **answer)
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
    switch (begin_inner(self)) {
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
enter_attempt(CoroutineObject *self)
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
            if (send_to(driven(self), Py_None, &out) == PYGEN_NEXT) {
                *answer = out;
                return PYGEN_NEXT;
            }
            result = out;
            next = ended(self, &result);
            break;
        case ENTER:
            next = enter_attempt(self);
            break;
        case UNWIND:
            next = unwind(self, &result);
            break;
        case END:
            return end_call(self, result, answer);
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
    PySendResult made = throw_on(driven(self), &exception, 1, &out);
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
        made = throw_on(driven(self), &cancelled, 1, &out);
        Py_DECREF(cancelled);
    } else {
        made = send_to(driven(self), value, &out);
    }
    return go_on_from(self, made, out, answer);
}

static PySendResult
begin_call(CoroutineObject *self, PyObject **answer)
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
static PySendResult
run(CoroutineObject *self, PyObject *value, PyObject **answer)
{
    PySendResult made;
    if (hf_phase_of(self) == PHASE_CREATED) {
        made = begin_call(self, answer);
    } else {
        go_on_limited(&self->course);
        made = resume(self, value, answer);
    }
    made = suspend(self, made, answer);
    hf_course_suspend(&self->course);
    return made;
}

/* The same with an exception, which counts more than a cut that is due. */
static PySendResult
run_thrown(CoroutineObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject **answer)
{
    PyObject *out = NULL;
    if (hf_alarms_wake(&self->course))
        PyErr_Clear();
    go_on_limited(&self->course);
    PySendResult made = throw_on(driven(self), args, nargs, &out);
    made = suspend(self, go_on_from(self, made, out, answer), answer);
    hf_course_suspend(&self->course);
    return made;
}

/* ==== any step ==== */

/* Whether the call has a course: some step controls it, or what it took is asked for. */
static inline bool
has_course(const CoroutineObject *self)
{
    if (self->gate->controls)
        return self->purpose != HF_FOR_PERMIT && self->purpose != HF_FOR_ENTRY;
    return self->purpose == HF_FOR_STATS;
}

static PySendResult
any_step(CoroutineObject *self, PyObject *value, PyObject **answer)
{
    if (has_course(self))
        return run(self, value, answer);
    return step(self, value, answer);
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

PySendResult
hf_coroutine_am_send(PyObject *op, PyObject *value, PyObject **answer)
{
    CoroutineObject *self = (CoroutineObject *)op;
    *answer = NULL;
    if (begin_straight(self))
        return hf_coroutine_end_step(self, step_inner(self, value, answer));
    return hf_coroutine_begin_step(self)
               ? hf_coroutine_end_step(self, any_step(self, value, answer))
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
        made = any_step(self, value, &answer);
    else
        PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started coroutine");
    return hf_stop_answer(hf_coroutine_end_step(self, made), answer);
}

static PySendResult
throw_uncontrolled(CoroutineObject *self, PyObject *const *args, Py_ssize_t nargs,
                   PyObject **answer)
{
    bool waiting = hf_phase_of(self) == PHASE_WAITING;
    PyObject *value = NULL;
    if (throw_on(waiting ? self->waiting : self->inner, args, nargs, &value) == PYGEN_NEXT) {
        *answer = value;
        return PYGEN_NEXT;
    }
    if (!waiting)
        return finish(self, value, answer);
    if (value == NULL) {
        hf_replace(self, &self->waiting, NULL);
        return end_broken(self, answer);
    }
    Py_DECREF(value);
    PySendResult entered = enter_after_wait(self, answer);
    return entered != PYGEN_NEXT ? entered : step(self, Py_None, answer);
}

PySendResult
hf_coroutine_throw_into(CoroutineObject *self, PyObject *const *args, Py_ssize_t nargs,
                        PyObject **answer)
{
    if (self->controlled)
        return run_thrown(self, args, nargs, answer);
    return throw_uncontrolled(self, args, nargs, answer);
}