/*
 * One breaker on the way in and out.
 */
#include "steps.h"

/* Of a call that failed without an exception: its result in a tuple, or None. Where there is no memory too. */
static PyObject *
failed_result(PyObject *result)
{
    PyObject *tuple = result != NULL ? PyTuple_Pack(1, result) : NULL;
    if (tuple == NULL)
        PyErr_Clear();
    return tuple != NULL ? tuple : Py_NewRef(Py_None);
}

/* What a hook has answered: an exception is what the caller gets instead of `raised`, which is stolen. */
static int
take_answer(GateObject *step, PyObject *answer, PyObject *raised)
{
    if (answer == NULL && !PyErr_ExceptionMatches(PyExc_Exception)) {
        hf_chain(raised);
        return -1;
    }
    if (answer != NULL && PyExceptionInstance_Check(answer)) {
        hf_give_exception(answer);
        hf_chain(raised);
        return -1;
    }
    if (answer == NULL) /* there was no room to tell: what listeners raise does not come here */
        hf_report_raised((PyObject *)step);
    Py_XDECREF(answer);
    hf_give_exception(raised);
    return 0;
}

/*
 * Tell the policy of a change of state, with whatever exception the call raised set aside; and, if it
 * `failed`, how: by this exception or by its result.
 * -1: the listener ended the call (KeyboardInterrupt and the like), or the policy gave another exception for
 * what the call raised; that is set.
 */
static int
report_change(GateObject *step, hf_change change, bool failed, PyObject *result)
{
    PyObject *raised = hf_take_exception();
    PyObject *failure = failed_result(failed && raised == NULL ? result : NULL);
    PyObject *answer = PyObject_CallMethod(
        (PyObject *)step, "_changed", "iiKiIION", (int)change.from, (int)change.to,
        (unsigned long long)change.gen, (int)change.rule, (unsigned int)change.count,
        (unsigned int)change.calls, failed && raised != NULL ? raised : Py_None, failure);
    return take_answer(step, answer, raised);
}

/* The coarse clock lags by a tick at most, which is 10 ms where the kernel ticks slowest. */
#define HF_LAG_NS INT64_C(10000000)

static hf_entering Py_NO_INLINE
enter_breaker_slow(GateObject *step, const hf_pass *pass, hf_hold *hold, hf_refusal *why)
{
    hf_breaker_permit *permit = &hold->breaker;
    hf_breaker *breaker = step->cell;
    hf_change change = {0};
    /*
     * Amid an opening the coarse clock will do, or a time that was read before, and saves 20 ns a
     * refusal. At its end a time that lags would refuse who comes when told to.
     */
    int64_t now = pass->clock == step->clock ? pass->now_ns : hf_clock_coarse_ns(step->clock);
    int64_t left = step->mode == HF_OBSERVE ? 0 : hf_breaker_refuse_fast(breaker, now, HF_LAG_NS);
    if (left != 0)
        return hf_step_refuse(step, why, left < 0 ? HF_REASON_FORCED_OPEN : HF_REASON_OPEN, left);
    now = hf_clock_now_ns(step->clock);
    bool admitted = hf_probe_admit(step, now, permit, &change);
    if (!admitted && step->mode == HF_OBSERVE) {
        hf_breaker_admit_observed(breaker, permit);
        admitted = true;
    }
    if (change.happened && report_change(step, change, false, NULL) < 0) {
        if (admitted)
            hf_breaker_undo(breaker, permit);
        return HF_BROKEN;
    }
    if (admitted) {
        hf_probe_begin(step, hold);
        return HF_IN;
    }
    return hf_step_refuse(step, why, (hf_reason)change.refused_by,
                          hf_breaker_retry_after_ns(breaker, now));
}

static inline hf_entering
enter_breaker(GateObject *step, const hf_pass *pass, hf_hold *hold, hf_refusal *why)
{
    bool own_clock = step->timed && pass->clock != step->clock;
    hold->since_ns = own_clock ? hf_clock_now_ns(step->clock) : HF_NOTHING_HELD;
    if (hf_breaker_admit(step->cell, &hold->breaker))
        return HF_IN;
    return enter_breaker_slow(step, pass, hold, why);
}

/*
 * Have a histogram made for the first duration. Where there is no memory the duration is lost, and the
 * next one asks again. False: the call is ended (KeyboardInterrupt and the like); the exception is set.
 */
static bool Py_NO_INLINE
make_histogram(GateObject *step)
{
    PyObject *raised = hf_take_exception();
    PyObject *answer = PyObject_CallMethod((PyObject *)step, "_make_histogram", NULL);
    if (answer == NULL && !PyErr_ExceptionMatches(PyExc_Exception)) {
        hf_chain(raised);
        return false;
    }
    PyErr_Clear();
    Py_XDECREF(answer);
    hf_give_exception(raised);
    return true;
}

static int Py_NO_INLINE
leave_breaker(GateObject *step, const hf_pass *pass, hf_hold *hold, PyObject *result, int outcome,
              int64_t end_ns)
{
    hf_breaker *breaker = step->cell;
    int64_t duration = -1, now = end_ns;
    bool goes_on = true;
    if (step->timed) {
        bool shared = pass->clock == step->clock;
        now = shared && end_ns != HF_NOTHING_HELD ? end_ns : hf_clock_now_ns(step->clock);
        /* A call that began before its breaker was put into a pipeline has not been timed. */
        if (hold->since_ns != HF_NOTHING_HELD)
            duration = now - hold->since_ns;
        else if (shared)
            duration = now - pass->now_ns;
        if (step->records && outcome != HF_IGNORED && duration >= 0 &&
            !(hold->breaker.flags & HF_PERMIT_SILENT)) {
            hf_histogram *cells = hf_load_acquire(&step->histogram);
            if (HF_UNLIKELY(cells == NULL) && (goes_on = make_histogram(step)))
                cells = hf_load_acquire(&step->histogram);
            if (cells != NULL)
                hf_histogram_record(cells, duration);
        }
    } else if (outcome != HF_SUCCESS) {
        now = hf_clock_now_ns(step->clock);
    } else if (hf_breaker_settle_fast(breaker, &hold->breaker)) {
        return 0;
    } else {
        now = hf_clock_coarse_ns(step->clock);
    }
    hf_change change = hf_breaker_settle(breaker, &hold->breaker, outcome, duration, now);
    hf_probe_end(step, hold);
    if (change.happened && report_change(step, change, outcome == HF_FAILURE, result) < 0)
        return -1;
    return goes_on ? 0 : -1;
}

/*
 * Tell the policy how a call has ended, with whatever exception it raised set aside.
 * -1: interrupted (KeyboardInterrupt and the like); that exception is set.
 */
static int
tell_end(GateObject *step, bool failed)
{
    PyObject *raised = hf_take_exception();
    PyObject *answer =
        PyObject_CallMethod((PyObject *)step, "_ended", "OO", failed ? Py_True : Py_False,
                            failed && raised != NULL ? raised : Py_None);
    return take_answer(step, answer, raised);
}

/* The verdict on a call. -1: a predicate raised, its exception is set. */
static inline int
judge(GateObject *step, hf_hold *hold, PyObject *result, int outcome)
{
    int verdict = outcome == HF_UNJUDGED ? hf_step_judge(step, result) : outcome;
    if (HF_UNLIKELY(verdict == HF_FAILURE) && result != NULL)
        hold->breaker.flags |= HF_PERMIT_FAILED;
    return verdict;
}

static int Py_NO_INLINE
leave_and_tell(GateObject *step, const hf_pass *pass, hf_hold *hold, PyObject *result, int outcome,
               int64_t end_ns)
{
    int tells = step->tells;
    int verdict = judge(step, hold, result, outcome);
    int left = leave_breaker(step, pass, hold, result, verdict < 0 ? HF_IGNORED : verdict, end_ns);
    if (verdict < 0 || left < 0)
        return -1;
    bool is_told = (verdict == HF_FAILURE && (tells & HF_TELLS_FAILURES) != 0) ||
                   (verdict == HF_SUCCESS && (tells & HF_TELLS_SUCCESSES) != 0);
    return is_told ? tell_end(step, verdict == HF_FAILURE) : 0;
}

static inline int
leave(GateObject *step, const hf_pass *pass, hf_hold *hold, PyObject *result, int outcome,
      int64_t end_ns)
{
    if (HF_UNLIKELY(step->tells != 0))
        return leave_and_tell(step, pass, hold, result, outcome, end_ns);
    if (HF_LIKELY(hf_step_plainly_succeeds(step, result, outcome)))
        return leave_breaker(step, pass, hold, result, HF_SUCCESS, end_ns);
    int verdict = judge(step, hold, result, outcome);
    int left = leave_breaker(step, pass, hold, result, verdict < 0 ? HF_IGNORED : verdict, end_ns);
    return verdict < 0 ? -1 : left;
}

static int
undo(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    (void)pass;
    hf_breaker_undo(step->cell, &hold->breaker);
    hf_probe_end(step, hold);
    return 0;
}

static int
abandon(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    (void)pass;
    hf_breaker_abandon(step->cell, &hold->breaker);
    hf_probe_end(step, hold);
    return 0;
}

HF_STEP_VERBS(breaker, enter_breaker, leave, undo, abandon, hf_step_goes_on, hf_step_goes_on)

/* ---- what Python asks ---- */

/*
 * _keep_trip(generation, trip): why the breaker opened, or None since it did not, unless a later generation
 * has been kept. The queue of a breaker is a list of two: the trip that refusals show, and the last one.
 */
PyObject *
hf_gate_keep_trip(PyObject *op, PyObject *args)
{
    GateObject *self = (GateObject *)op;
    unsigned long long generation;
    PyObject *trip, *fresh = NULL;
    int answer = 0;
    if (hf_need_kind(self, self->kind == HF_KIND_BREAKER, "circuit breaker") < 0 ||
        !PyArg_ParseTuple(args, "KO:_keep_trip", &generation, &trip))
        return NULL;
    if (self->queue == NULL && (fresh = Py_BuildValue("[OO]", Py_None, Py_None)) == NULL)
        return NULL;
    HF_BEGIN_EXCLUSIVE(op);
    if (self->queue == NULL) {
        HF_SET_POINTER(&self->queue, fresh); /* whole for who reads it at this moment */
        fresh = NULL;
    }
    if (generation >= self->trip_gen) {
        self->trip_gen = generation;
        answer = PyList_SetItem(self->queue, 0, Py_NewRef(trip));
        if (answer == 0 && trip != Py_None)
            answer = PyList_SetItem(self->queue, 1, Py_NewRef(trip));
    }
    HF_END_EXCLUSIVE();
    Py_XDECREF(fresh);
    return answer < 0 ? NULL : Py_NewRef(Py_None);
}
