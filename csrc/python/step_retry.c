/*
 * One retry on the way in and out: whether the call is to be run again, and after how long.
 *
 * Everything plain is decided here; Python is asked for predicates and hooks, and told of every retry
 * where somebody listens.
 */
#include "steps.h"

static PyObject *retry_after_name;

/* Where an error may have a response, or its headers: of HTTP clients, and of gRPC. */
static const char *const sources[] = {"response", "headers", "trailing_metadata"};
#define N_SOURCES (sizeof sources / sizeof *sources)
static PyObject *source_names[N_SOURCES];
hf_au32 hf_retrying_off;

int
hf_retry_ready(void)
{
    retry_after_name = PyUnicode_InternFromString("retry_after");
    if (retry_after_name == NULL)
        return -1;
    for (size_t i = 0; i < N_SOURCES; i++) {
        source_names[i] = PyUnicode_InternFromString(sources[i]);
        if (source_names[i] == NULL)
            return -1;
    }
    return 0;
}

static int64_t
now_ns(const GateObject *step)
{
    return hf_clock_now_ns(step->clock);
}

/* ---- in ---- */

/* Not begun where the time that is left is over already. */
static hf_entering
enter(GateObject *step, const hf_pass *pass, hf_hold *hold, hf_refusal *why)
{
    (void)why;
    const hf_course *course = pass->course;
    bool shared = pass->clock == step->clock;
    hold->retry.retries = 0;
    hold->retry.ran = hold->retry.failed = false;
    hold->retry.previous_ns = -1;
    /* Where it is only told how long it took, the coarse clock will do; a limit may be shorter. */
    bool is_limited = ((const hf_retry *)step->cell)->max_time_ns >= 0;
    hold->since_ns = shared       ? pass->now_ns
                     : is_limited ? now_ns(step)
                                  : hf_clock_coarse_ns(step->clock);
    if (course == NULL || course->deadline.step == NULL || step->mode == HF_OBSERVE)
        return HF_IN;
    int64_t now = shared ? pass->now_ns : now_ns(step);
    if (hf_deadline_on(&course->deadline, step->clock, now) > now)
        return HF_IN;
    hf_raise_exceeded(&course->deadline, true);
    return HF_BROKEN;
}

/* ---- judging ---- */

/*
 * Whether the exception that is set, of an attempt, may be followed by another attempt: a group, if all that
 * is in it may. -1: the predicate raised; that is set, from the attempt's own.
 */
static int
may_follow(GateObject *step, hf_retry_verdict *otherwise)
{
    unsigned says = hf_raised_says(step);
    if (says & HF_SAYS_BROKEN)
        return -1;
    *otherwise = says == HF_SAYS_CANCELLED  ? HF_RETRY_CANCELLED
                 : says == HF_SAYS_REJECTED ? HF_RETRY_REJECTED
                                            : HF_RETRY_NOT_RETRYABLE;
    if (says != HF_SAYS_FAILURE)
        return 0;
    return hf_ask_names(step);
}

/* ---- how long to wait ---- */

/* Whether an exception has something that requests a delay. What is no Exception stays set. */
static bool
has_source(PyObject *exception)
{
    bool has = false;
    for (size_t i = 0; i < N_SOURCES && !has && !PyErr_Occurred(); i++) {
        PyObject *source = hf_attribute_if_any(exception, source_names[i]);
        has = source != NULL && source != Py_None;
        Py_XDECREF(source);
        if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_Exception))
            PyErr_Clear();
    }
    return has;
}

/* NULL, where what was asked has raised an Exception: the call's own outcome is what matters. */
static PyObject *
or_no_wish(PyObject *value, PyObject *asked)
{
    if (value == NULL && PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_Exception))
        hf_report_raised(asked);
    return value;
}

/* What the headers of a response or of an error request, read in Python; NULL: nothing, or it raised. */
static PyObject *
requested_by(GateObject *step, PyObject *about)
{
    return or_no_wish(PyObject_CallMethod((PyObject *)step, "_requested_delay", "(O)", about),
                      about);
}

/* An exception's own wish, or that of the response that it was made of. */
static PyObject *
wish_of(GateObject *step, PyObject *exception)
{
    if (hf_is_plain_error(exception))
        return NULL;
    PyObject *value = or_no_wish(hf_attribute_if_any(exception, retry_after_name), exception);
    if (value != NULL && value != Py_None)
        return value;
    Py_XDECREF(value);
    return !PyErr_Occurred() && has_source(exception) ? requested_by(step, exception) : NULL;
}

/* What was asked for, which is stolen, in nanoseconds; -1: nothing, -2: an exception is set. */
static int64_t
asked_ns(GateObject *step, PyObject *value)
{
    if (value == NULL)
        return PyErr_Occurred() ? -2 : -1;
    if (value == Py_None) {
        Py_DECREF(value);
        return -1;
    }
    PyObject *answer = PyObject_CallMethod((PyObject *)step, "_asked_delay_ns", "(N)", value);
    int64_t ns = answer == NULL ? -2 : PyLong_AsLongLong(answer);
    Py_XDECREF(answer);
    return ns;
}

/* The longest that any exception in a group asks for. */
static int64_t
asked_in_group_ns(GateObject *step, PyObject *group)
{
    int64_t longest = -1;
    hf_groups groups;
    hf_groups_begin(&groups, group);
    for (PyObject *parts; (parts = hf_groups_next(&groups)) != NULL;) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(parts) && longest != -2; i++) {
            PyObject *part = PyTuple_GET_ITEM(parts, i);
            if (hf_class_says(Py_TYPE(part)) == HF_SAYS_WHAT_IS_IN_IT)
                hf_groups_add(&groups, part);
            int64_t ns = asked_ns(step, wish_of(step, part));
            longest = ns == -2 || ns > longest ? ns : longest;
        }
    }
    return longest;
}

/* Nanoseconds that a server asks for, by the hook, on its exception or response; -1: none, -2: raised. */
static int64_t
asked_delay_ns(GateObject *step, PyObject *about)
{
    if (step->retry_after != NULL)
        return asked_ns(step, hf_need_answer("retry_after", step->retry_after,
                                             PyObject_CallOneArg(step->retry_after, about)));
    if (!PyExceptionInstance_Check(about))
        return step->reads_results ? asked_ns(step, requested_by(step, about)) : -1;
    int64_t ns = asked_ns(step, wish_of(step, about));
    bool is_group = hf_class_says(Py_TYPE(about)) == HF_SAYS_WHAT_IS_IN_IT;
    return ns == -1 && is_group ? asked_in_group_ns(step, about) : ns;
}

/* Nanoseconds of the back-off before the next attempt; -2: it raised. */
static int64_t
back_off_ns(GateObject *step, const hf_hold *hold)
{
    if (step->backoff != NULL)
        return hf_backoff_delay_ns(step->backoff, hold->retry.retries, hold->retry.previous_ns);
    PyObject *answer = PyObject_CallMethod(step->own_backoff, "_delay_ns", "IL",
                                           hold->retry.retries, (long long)hold->retry.previous_ns);
    int64_t ns = answer == NULL ? -2 : PyLong_AsLongLong(answer);
    Py_XDECREF(answer);
    return ns == -1 && PyErr_Occurred() ? -2 : ns;
}

static int64_t
delay_ns(GateObject *step, const hf_hold *hold, PyObject *about)
{
    int64_t asked = asked_delay_ns(step, about);
    return asked == -1 ? back_off_ns(step, hold) : asked;
}

/* ---- deciding ---- */

static hf_retry_verdict
decide(GateObject *step, const hf_pass *pass, const hf_hold *hold, int64_t delay, int64_t now)
{
    hf_retry *kernel = step->cell;
    int64_t deadline = hf_deadline_on(&pass->course->deadline, step->clock, now);
    hf_retry_verdict verdict = hf_retry_in_time(kernel, hold->since_ns, now, delay, deadline);
    if (verdict != HF_RETRY_AGAIN || step->budget == NULL)
        return verdict;
    int64_t budget_now =
        step->budget_clock == step->clock ? now : hf_clock_now_ns(step->budget_clock);
    return hf_budget_withdraw(step->budget, budget_now) ? HF_RETRY_AGAIN : HF_RETRY_NO_BUDGET;
}

/* Have Python told of a retry (delay >= 0) or of an end. `error` or `result` is NULL. -1: it raised. */
static int
tell(GateObject *step, const hf_hold *hold, hf_retry_verdict verdict, int64_t delay, int64_t now,
     PyObject *error, PyObject *result)
{
    PyObject *op = (PyObject *)step, *none = Py_None, *answer;
    long long elapsed = (long long)(now - hold->since_ns);
    error = error != NULL ? error : none;
    result = result != NULL ? result : none;
    if (verdict == HF_RETRY_AGAIN)
        answer = PyObject_CallMethod(op, "_before_retry", "ILLOO", hold->retry.retries + 1,
                                     (long long)delay, elapsed, error, result);
    else
        answer = PyObject_CallMethod(op, "_gave_up", "iILOO", (int)verdict, hold->retry.retries + 1,
                                     elapsed, error, result);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

typedef enum {
    GO_ON,
    GO_AGAIN,
    GO_BROKEN /* Python raised; that is set, and nothing else */
} going;

/*
 * What was asked about the failure has raised: that is no reason to try again. An interruption is the
 * caller's, who gave up.
 */
static going
broken(hf_retry *kernel)
{
    bool interrupted = !PyErr_ExceptionMatches(PyExc_Exception);
    hf_count(&kernel->gave_up[interrupted ? HF_RETRY_CANCELLED : HF_RETRY_NOT_RETRYABLE], 1);
    return GO_BROKEN;
}

/*
 * An attempt has failed in a way that another one may follow; what it left is set aside as `error` or
 * `result`.
 */
static going
go(GateObject *step, const hf_pass *pass, hf_hold *hold, PyObject *error, PyObject *result)
{
    hf_retry *kernel = step->cell;
    hf_retry_verdict verdict = HF_RETRY_EXHAUSTED;
    int64_t delay = 0, now = now_ns(step);
    if (step->mode == HF_OBSERVE) {
        hf_count(&kernel->observed, kernel->attempts != 1);
        hf_count(&kernel->gave_up[verdict], 1);
        return GO_ON;
    }
    if (hf_retry_has_attempts(kernel, hold->retry.retries) && !hf_load_relaxed(&hf_retrying_off)) {
        delay = delay_ns(step, hold, error != NULL ? error : result);
        if (delay < 0)
            return broken(kernel);
        verdict = decide(step, pass, hold, delay, now);
    }
    if (verdict == HF_RETRY_AGAIN) {
        if ((step->asks || step->listening) &&
            tell(step, hold, verdict, delay, now, error, result) < 0) {
            if (step->budget != NULL)
                hf_budget_give_back(step->budget);
            return broken(kernel);
        }
        hold->retry.retries += hold->retry.retries < UINT32_MAX - 1; /* there may be no limit */
        hold->retry.previous_ns = delay;
        hf_retry_count_delay(kernel, delay);
        return GO_AGAIN;
    }
    hf_count(&kernel->gave_up[verdict], 1);
    return tell(step, hold, verdict, delay, now, error, result) < 0 ? GO_BROKEN : GO_ON;
}

static void
record(GateObject *step, bool failed)
{
    if (step->failure_rate != NULL)
        hf_failure_rate_record(step->failure_rate, failed);
}

/* The call is a success. -1: one that listens, to a call that a retry has saved, ended it. */
static int
succeed(GateObject *step, const hf_hold *hold)
{
    hf_retry_count_success(step->cell, hold->retry.retries);
    record(step, false);
    if (step->budget != NULL)
        hf_budget_deposit(step->budget);
    if (hold->retry.retries == 0 || !step->listening)
        return 0;
    PyObject *answer =
        PyObject_CallMethod((PyObject *)step, "_recovered", "I", hold->retry.retries + 1);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

/*
 * Have those who listen told of an error that no attempt follows. It is set again, but for an interruption
 * (KeyboardInterrupt and the like) that takes its place: false.
 */
static bool Py_NO_INLINE
tell_not_retried(GateObject *step, const hf_hold *hold)
{
    PyObject *error = hf_take_exception();
    PyObject *answer =
        PyObject_CallMethod((PyObject *)step, "_not_retried", "IO", hold->retry.retries + 1, error);
    if (answer == NULL && !PyErr_ExceptionMatches(PyExc_Exception)) {
        hf_chain(error);
        return false;
    }
    if (answer == NULL)
        hf_report_raised((PyObject *)step);
    Py_XDECREF(answer);
    hf_give_exception(error);
    return true;
}

/* An attempt raised. True: again, and nothing is set. */
static bool
leave_raised(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    hf_retry *kernel = step->cell;
    hf_retry_verdict otherwise;
    int may = may_follow(step, &otherwise);
    if (may == 0) {
        hf_count(&kernel->gave_up[otherwise], 1);
        if (step->listening && otherwise == HF_RETRY_NOT_RETRYABLE && step->mode != HF_OBSERVE &&
            !tell_not_retried(step, hold))
            pass->course->refused = false;
        return false;
    }
    if (may < 0) {
        broken(kernel);
        pass->course->refused = false;
        return false;
    }
    record(step, true);
    PyObject *error = hf_take_exception();
    going on = go(step, pass, hold, error, NULL);
    if (on != GO_ON)
        pass->course->refused = false; /* what comes of the call is something else */
    if (on == GO_BROKEN)
        hf_chain(error);
    else if (on == GO_ON)
        hf_give_exception(error);
    else
        Py_DECREF(error);
    return on == GO_AGAIN;
}

/* An attempt returned what may be no success. True: again, and `*result` is gone. */
static bool
leave_returned(GateObject *step, const hf_pass *pass, hf_hold *hold, PyObject **result)
{
    hf_retry *kernel = step->cell;
    int again = hf_ask("on_result", step->is_failure, *result);
    hold->retry.failed = again > 0;
    if (again == 0) {
        if (succeed(step, hold) < 0)
            Py_CLEAR(*result);
        return false;
    }
    going on;
    if (again < 0) {
        on = broken(kernel);
    } else {
        record(step, true);
        on = go(step, pass, hold, NULL, *result);
    }
    if (on != GO_ON)
        Py_CLEAR(*result);
    return on == GO_AGAIN;
}

/*
 * An attempt has ended, with `*result` or, with NULL, the exception that is set. True: another one is to
 * follow after course->pause_ns.
 */
static bool
leave(GateObject *gate, int at, hf_pass *pass, PyObject **result)
{
    GateObject *step = gate->steps[at];
    hf_hold *hold = &pass->hold[at];
    bool again = false;
    if (*result == NULL)
        again = leave_raised(step, pass, hold);
    else if (step->is_failure != NULL && !pass->course->keeps)
        again = leave_returned(step, pass, hold, result);
    else if (succeed(step, hold) < 0)
        Py_CLEAR(*result);
    if (again) {
        pass->course->pause_ns = hold->retry.previous_ns;
        pass->course->waits = HF_WAITS_PAUSE;
        hf_keep_beginnings(gate, pass, at, false);
        pass->clock = NULL;
    }
    return again;
}

/* The pause before an attempt is over, or the caller gave up in it: then the attempt is not made. */
void
hf_retry_paused(GateObject *step, const hf_hold *hold, bool interrupted)
{
    hf_retry *kernel = step->cell;
    if (!interrupted) {
        hf_retry_count_retry(kernel, hold->retry.retries);
        return;
    }
    hf_count(&kernel->gave_up[HF_RETRY_CANCELLED], 1);
    if (step->budget != NULL)
        hf_budget_give_back(step->budget);
}

/* The call is dropped: while it ran, or in the pause of this retry. */
static int
abandon(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    const hf_course *course = pass->course;
    if (course == NULL)
        return 0; /* a stream, which this let go of at the first item */
    bool pauses = course->waits == HF_WAITS_PAUSE && hold == &pass->hold[pass->entered - 1];
    if (pauses)
        hf_retry_paused(step, hold, true);
    else
        hf_count(&((hf_retry *)step->cell)->gave_up[HF_RETRY_CANCELLED], 1);
    return 0;
}

/* Left as the innermost step entered: again, perhaps after a pause, or outward. */
hf_unwinding
hf_retry_turn(GateObject *gate, hf_pass *pass, PyObject **result)
{
    hf_course *course = pass->course;
    int at = pass->entered - 1;
    pass->hold[at].retry.ran |= course->ran_here;
    if (!leave(gate, at, pass, result)) {
        course->ran_here = pass->hold[at].retry.ran;
        return HF_UNWOUND;
    }
    course->ran_here = false;
    return course->pause_ns > 0 ? HF_PAUSE : HF_AGAIN;
}

static void
keep(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    (void)pass;
    if (succeed(step, hold) < 0)
        PyErr_WriteUnraisable((PyObject *)step); /* the stream has begun all the same */
}

HF_STEP_VERBS(retry, enter, hf_step_no_leave, hf_step_nothing_held, abandon, keep, hf_step_goes_on)

/* ---- for who makes the attempts by hand ---- */

static int
need_retry(const GateObject *self)
{
    return hf_need_kind(self, self->kind == HF_KIND_RETRY, "retry");
}

/* A pass that stands inside the retry, after so many retries. -1: an exception is set. */
static int
stand_inside(hf_pass *pass, hf_course *course, long retries, long long previous_ns,
             long long started_ns)
{
    if (hf_course_begin(course, pass, true) < 0)
        return -1;
    pass->entered = 1;
    pass->hold[0].retry.retries = (uint32_t)retries;
    pass->hold[0].retry.previous_ns = previous_ns;
    pass->hold[0].retry.failed = false;
    pass->hold[0].since_ns = started_ns;
    return 0;
}

/* Leave with the error that is set or the result; as leave(), but the error is not raised again. */
static bool
leave_attempt(GateObject *self, hf_pass *pass, PyObject *error, PyObject *result)
{
    bool again = leave(self, 0, pass, &result);
    Py_XDECREF(result);
    if (again || !PyErr_Occurred())
        return again;
    PyObject *raised = hf_take_exception();
    if (raised == error)
        Py_DECREF(raised); /* the block raises it itself */
    else
        hf_give_exception(raised);
    return false;
}

/*
 * _attempt_made(retries, previous_ns, started_ns, error, result, returned, granted): an attempt has raised
 * `error`, or returned `result`, or has ended. The delay before the next in nanoseconds is put in `granted`,
 * a list of one: as an answer it could be lost to an interrupt, and the retry with it. Returns whether the
 * result was judged a failure.
 */
PyObject *
hf_gate_attempt_made(PyObject *op, PyObject *args)
{
    GateObject *self = (GateObject *)op;
    PyObject *error, *result, *granted;
    long retries;
    long long previous_ns, started_ns;
    int returned;
    hf_pass pass;
    hf_course course;
    if (need_retry(self) < 0 ||
        !PyArg_ParseTuple(args, "lLLOOpO!:_attempt_made", &retries, &previous_ns, &started_ns,
                          &error, &result, &returned, &PyList_Type, &granted))
        return NULL;
    if (self->mode == HF_OFF)
        Py_RETURN_FALSE;
    if (stand_inside(&pass, &course, retries, previous_ns, started_ns) < 0)
        return NULL;
    bool again = false;
    if (error != Py_None) {
        hf_give_exception(Py_NewRef(error));
        again = leave_attempt(self, &pass, error, NULL);
    } else if (returned) {
        again = leave_attempt(self, &pass, NULL, Py_NewRef(result));
    } else {
        succeed(self, &pass.hold[0]);
    }
    hf_course_end(&course);
    if (PyErr_Occurred())
        return NULL;
    PyObject *delay = again ? PyLong_FromLongLong(course.pause_ns) : NULL;
    if (again && (delay == NULL || PyList_SetItem(granted, 0, delay) < 0))
        return NULL;
    return PyBool_FromLong(pass.hold[0].retry.failed);
}

/* _pause_ended(retries, interrupted): before the retry of that number. */
PyObject *
hf_gate_pause_ended(PyObject *op, PyObject *args)
{
    GateObject *self = (GateObject *)op;
    long retries;
    int interrupted;
    if (need_retry(self) < 0 || !PyArg_ParseTuple(args, "lp:_pause_ended", &retries, &interrupted))
        return NULL;
    hf_hold hold = {.retry = {.retries = (uint32_t)retries}};
    hf_retry_paused(self, &hold, interrupted);
    Py_RETURN_NONE;
}

/* _check_begin(): raise if the time for a first attempt is over already. */
PyObject *
hf_gate_check_begin(PyObject *op, PyObject *ignored)
{
    GateObject *self = (GateObject *)op;
    hf_pass pass;
    hf_course course;
    (void)ignored;
    if (need_retry(self) < 0)
        return NULL;
    if (self->mode == HF_OFF)
        Py_RETURN_NONE;
    if (stand_inside(&pass, &course, 0, -1, 0) < 0)
        return NULL;
    hf_entering entered = enter(self, &pass, &pass.hold[0], NULL);
    hf_course_end(&course);
    return entered == HF_IN ? Py_NewRef(Py_None) : NULL;
}
