/*
 * The steps of a GuardedCoroutine: one state machine.
 *
 * A call enters the gate, perhaps waits for a step of it, runs the inner coroutine and leaves. Where retries,
 * timeouts or fallbacks control it, or what it took is asked for, it has a course: it is entered, run and
 * unwound as often as it takes; what is decided is gate_unwind.c's, here it is awaited. A refusal closes the
 * inner coroutine before it is raised.
 */
#include "coroutine.h"
#include "steps.h"

/* What comes next; for UNWIND and END with a result, or an exception that is set. */
typedef enum { DRIVE, ENTER, UNWIND, END } next_move;

/* ==== what is driven: begun as `await` begins it, sent to, thrown into ==== */

/*
 * Turn self->inner, whatever was returned, into something that makes steps, as `await` does. END: the caller
 * has misused it, and nothing was called that could tell anything.
 */
static next_move
begin_awaitable(CoroutineObject *self)
{
    PyObject *made = self->inner;
    if (PyCoro_CheckExact(made) || hf_is_generator_coroutine(made))
        return DRIVE;
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
        return END;
    }
    PyObject *iterator = methods->am_await(made);
    if (iterator == NULL)
        return UNWIND;
    hf_replace(self, &self->inner, iterator);
    if (PyIter_Check(iterator))
        return DRIVE;
    PyErr_Format(PyExc_TypeError, "__await__() returned non-iterator of type '%.100s'",
                 Py_TYPE(iterator)->tp_name);
    return END;
}

static next_move
begin_inner(CoroutineObject *self)
{
    if (self->inner == NULL) {
        hf_replace(self, &self->inner, PyObject_Call(self->fn, self->args, self->kwargs));
        if (!self->gate->reruns) { /* it has them: they are to live no longer than it needs them */
            Py_CLEAR(self->args);
            Py_CLEAR(self->kwargs);
        }
        if (self->inner == NULL)
            return UNWIND;
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

/* ==== the call ==== */

/* ---- ends ---- */

static PyObject *
outcome_of(const CoroutineObject *self, PyObject *result)
{
    return result != NULL ? hf_outcome_value(result) : hf_outcome_raised(self->course.refused);
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
    return hf_sent(result);
}

/* What was called with no course has ended, with `result` or, with NULL, by raising. */
static inline PyObject *
leave(CoroutineObject *self, PyObject *result)
{
    hf_set_phase(self, PHASE_DONE);
    return hf_gate_leave_lone(self->gate, &self->pass, result)
               ? result
               : hf_gate_leave(self->gate, &self->pass, result);
}

/* ---- waiting ---- */

static PyObject *
driven(const CoroutineObject *self)
{
    return hf_phase_of(self) == PHASE_WAITING ? self->waiting : self->inner;
}

/* Nothing is awaited yet that could be thrown into. With NULL an exception is set. */
static next_move
wait_for(CoroutineObject *self, PyObject *waiting)
{
    if (waiting == NULL)
        return UNWIND;
    hf_set_phase(self, PHASE_WAITING);
    hf_replace(self, &self->waiting, waiting);
    return DRIVE;
}

/* ---- in ---- */

/* Only to be entered: what is held is handed to a permit, or to the entry of a block. */
static next_move
hand_over(CoroutineObject *self, PyObject **result)
{
    GateObject *gate = self->gate;
    hf_set_phase(self, PHASE_DONE);
    if (self->purpose == HF_FOR_PERMIT) {
        *result = hf_permit_new(gate, &self->pass);
    } else if (!gate->controls || hf_timeouts_open_blocks(gate, &self->pass) == 0) {
        hf_entry_take(self->inner, &self->pass);
        hf_replace(self, &self->inner, NULL);
        *result = Py_NewRef((PyObject *)gate);
    }
    if (*result == NULL)
        hf_gate_undo(gate, &self->pass);
    return END;
}

static next_move
begin(CoroutineObject *self)
{
    hf_set_phase(self, PHASE_RUNNING);
    if (self->controlled) {
        self->course.attempts++;
        self->course.ran_here = true;
    }
    next_move next = begin_inner(self);
    if (next != END)
        return next;
    self->purpose =
        HF_FOR_RESULT; /* no outcome tells of a caller's mistake, nor would a retry mend it */
    hf_set_phase(self, PHASE_DONE);
    if (self->controlled)
        hf_gate_drop(self->gate, &self->pass, true);
    else
        hf_gate_settle(self->gate, &self->pass, HF_IGNORED);
    return END;
}

/* An outcome that says why, of a call that has no course. */
static next_move
end_refused(CoroutineObject *self, const hf_refusal *why, PyObject **result)
{
    self->purpose = HF_FOR_RESULT;
    *result = hf_outcome_refused(why);
    hf_coroutine_close_unbegun(self);
    return END;
}

/* Go on entering until inside, refused, or a step must be waited for. */
static next_move
enter(CoroutineObject *self, PyObject **result)
{
    hf_refusal why;
    hf_pass *pass = &self->pass;
    self->course.refused = false;
    switch (self->controlled ? hf_gate_enter_steps(self->gate, pass, &why)
                             : hf_gate_enter(self->gate, pass, &why)) {
    case HF_IN:
        if (self->purpose == HF_FOR_PERMIT || self->purpose == HF_FOR_ENTRY)
            return hand_over(self, result);
        return begin(self);
    case HF_MUST_WAIT:
        return wait_for(self, hf_step_await(self->gate, pass, "_suspend"));
    case HF_REFUSED:
        if (self->purpose == HF_FOR_OUTCOME && !self->controlled)
            return end_refused(self, &why, result);
        hf_refuse(&why);
        self->course.refused = true;
        break;
    case HF_BROKEN:
    case HF_FAILED:
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
            hf_alarms_ring_again(&self->pass);
            self->course.waits = HF_WAITS_STAND_IN;
            return wait_for(self, iterator);
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
    PyObject *pause = PyObject_CallMethod(step, "_pause", "L", (long long)self->course.pause_ns);
    if (pause == NULL)
        hf_pause_ended(self->gate, pass, true);
    return wait_for(self, pause);
}

/* The first attempt of a hedge has ended, and others go on, or begin. */
static next_move
race(CoroutineObject *self, PyObject **result)
{
    PyObject *waiting = hf_race_turn(self, result);
    if (waiting == NULL)
        return UNWIND;
    hf_alarms_ring_again(&self->pass);
    self->course.waits = HF_WAITS_RACE;
    return wait_for(self, waiting);
}

static next_move
unwind(CoroutineObject *self, PyObject **result)
{
    if (!self->controlled && hf_phase_of(self) == PHASE_RUNNING) {
        *result = leave(self, *result);
        return END;
    }
    if (!self->controlled) { /* an exception kept it out: what was entered is given back */
        hf_set_phase(self, PHASE_DONE);
        hf_gate_undo(self->gate, &self->pass);
        self->course.refused = true;
    }
    hf_coroutine_close_unbegun(self);
    if (!self->controlled)
        return END;
    hf_replace(self, &self->inner, NULL);
    switch (hf_gate_unwind(self->gate, &self->pass, result)) {
    case HF_AGAIN:
        hf_pause_ended(self->gate, &self->pass, false);
        return ENTER;
    case HF_PAUSE:
        return pause_before(self);
    case HF_STAND_IN:
        return stand_in(self, result);
    case HF_RACE:
        return race(self, result);
    case HF_UNWOUND:
        break;
    }
    return END;
}

/* A fault has raised in place of the function: from here on the call has run. */
static void
raised_as_call(CoroutineObject *self)
{
    if (self->controlled) {
        self->course.attempts++;
        self->course.ran_here = true;
    } else {
        hf_coroutine_close_unbegun(self);
        hf_set_phase(self, PHASE_RUNNING);
    }
}

/* The wait is over, by `*result` or, with NULL, by the exception that is set. */
static next_move
waited(CoroutineObject *self, PyObject **result)
{
    hf_pass *pass = &self->pass;
    bool failed = *result == NULL;
    hf_waits waits = self->controlled ? (hf_waits)self->course.waits : HF_WAITS_STEP;
    hf_replace(self, &self->waiting, NULL);
    if (waits == HF_WAITS_STAND_IN) {
        PyObject *failure = self->failure;
        self->failure = NULL;
        hf_stood_in(self->gate->steps[pass->entered], pass, failure, failed);
        return UNWIND;
    }
    if (waits == HF_WAITS_RACE) {
        hf_race_ended(self, result);
        return UNWIND;
    }
    Py_CLEAR(*result);
    if (waits == HF_WAITS_PAUSE)
        hf_pause_ended(self->gate, pass, failed);
    else if (failed && hf_step_acts_as_call(self->gate->steps[pass->entered]))
        raised_as_call(self);
    else if (failed && !self->controlled)
        hf_count_raised(self->gate, -1);
    else if (failed)
        self->course.refused = PyErr_ExceptionMatches(hf_rejected_type);
    else
        hf_gate_waited(self->gate, pass);
    return failed ? UNWIND : ENTER;
}

/* What was awaited has ended, with `*result` or, with NULL, the exception that is set. */
static inline next_move
ended(CoroutineObject *self, PyObject **result)
{
    if (hf_phase_of(self) == PHASE_WAITING)
        return waited(self, result);
    if (!self->controlled)
        return UNWIND;
    hf_replace(self, &self->inner, NULL);
    bool keeps = self->purpose == HF_FOR_STREAM && *result != NULL;
    return keeps && hf_gate_keep(self->gate, &self->pass) ? END : UNWIND;
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
            next = enter(self, &result);
            break;
        case UNWIND:
            next = unwind(self, &result);
            break;
        case END:
            return end_call(self, result, answer);
        }
    }
}

/* What is driven is sent `value` or, if that is NULL, hears of what throw() was given; and the call goes on. */
static PySendResult
drive(CoroutineObject *self, PyObject *value, PyObject *const *args, Py_ssize_t nargs,
      PyObject **answer)
{
    PyObject *out = NULL, *cut = NULL;
    PySendResult made;
    if (self->controlled && hf_alarms_wake(&self->course))
        cut = hf_take_exception();
    if (value == NULL) /* which counts more than a cut that is due */
        made = throw_on(driven(self), args, nargs, &out);
    else if (cut != NULL)
        made = throw_on(driven(self), &cut, 1, &out);
    else
        made = send_to(driven(self), value, &out);
    Py_XDECREF(cut);
    *answer = out;
    if (made == PYGEN_NEXT)
        return PYGEN_NEXT;
    PyObject *result = made == PYGEN_RETURN ? out : NULL;
    next_move next = ended(self, &result);
    return go_on(self, next, result, answer);
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
        PyObject *exception = hf_take_exception();
        Py_CLEAR(*answer);
        made = drive(self, NULL, &exception, 1, answer);
        Py_DECREF(exception);
    }
    return made;
}

/* Whether the call has a course: some step controls it, or its first item, or what it took is asked for. */
static inline bool
has_course(const CoroutineObject *self)
{
    if (self->gate->controls)
        return self->purpose != HF_FOR_PERMIT && self->purpose != HF_FOR_ENTRY;
    return self->purpose >= HF_FOR_STATS; /* or HF_FOR_STREAM */
}

static PySendResult
begin_call(CoroutineObject *self, PyObject **answer)
{
    int begun = 0;
    self->controlled = has_course(self);
    if (!self->controlled) {
        hf_pass_init(&self->pass);
    } else {
        begun = hf_course_begin(&self->course, &self->pass, true);
        if (begun == 0 && self->gate->times)
            begun = hf_refuse_trio((PyObject *)self->gate);
        self->course.keeps = self->purpose == HF_FOR_STREAM;
    }
    return go_on(self, begun < 0 ? UNWIND : ENTER, NULL, answer);
}

/*
 * One step: it is sent `value` or, if that is NULL, hears of what throw() was given. The deadline of the
 * thread is the call's meanwhile.
 */
PySendResult
hf_coroutine_step(CoroutineObject *self, PyObject *value, PyObject *const *args, Py_ssize_t nargs,
                  PyObject **answer)
{
    hf_course *course = &self->course;
    PySendResult made;
    if (hf_phase_of(self) == PHASE_CREATED) {
        made = begin_call(self, answer);
    } else {
        if (self->controlled) {
            hf_course_resume(course);
            if (course->fired != HF_MAX_STEPS)
                hf_alarms_share(course);
        }
        made = drive(self, value, args, nargs, answer);
    }
    if (!self->controlled)
        return made;
    made = suspend(self, made, answer);
    hf_course_suspend(course);
    return made;
}

/*
 * The commonest first step, a coroutine behind a lone breaker: nothing is in the way. False: nothing
 * was done, make any step.
 */
static inline bool
begin_straight(CoroutineObject *self)
{
    if (hf_phase_of(self) != PHASE_CREATED || self->inner == NULL ||
        !PyCoro_CheckExact(self->inner))
        return false;
    hf_pass_init(&self->pass);
    if (!hf_gate_enter_lone(self->gate, &self->pass))
        return false;
    hf_set_phase(self, PHASE_RUNNING);
    return true;
}

static inline PySendResult
step_straight(CoroutineObject *self, PyObject *value, PyObject **answer)
{
    PySendResult made = send_to(self->inner, value, answer);
    if (made == PYGEN_NEXT)
        return PYGEN_NEXT;
    *answer = leave(self, made == PYGEN_RETURN ? *answer : NULL);
    return hf_sent(*answer);
}

PySendResult
hf_coroutine_am_send(PyObject *op, PyObject *value, PyObject **answer)
{
    CoroutineObject *self = (CoroutineObject *)op;
    *answer = NULL;
    if (!hf_coroutine_begin_step(self))
        return PYGEN_ERROR;
    PySendResult made = begin_straight(self) ? step_straight(self, value, answer)
                                             : hf_coroutine_step(self, value, NULL, 0, answer);
    return hf_coroutine_end_step(self, made);
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
        made = hf_coroutine_step(self, value, NULL, 0, &answer);
    else
        PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started coroutine");
    return hf_stop_answer(hf_coroutine_end_step(self, made), answer);
}
