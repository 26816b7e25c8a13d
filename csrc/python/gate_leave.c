/*
 * The way out: leaving the steps in reverse, each with its verdict (judge.c).
 */
#include "control.h"

/* ---- leaving ---- */

static int Py_NO_INLINE
leave_breaker(GateObject *step, const hf_pass *pass, const hf_hold *hold, int outcome,
              int64_t end_ns)
{
    hf_breaker *breaker = step->cell;
    int64_t duration = -1, now = end_ns;
    if (step->timed) {
        bool shared = pass->clock == step->clock;
        now = shared && end_ns != HF_NOTHING_HELD ? end_ns : hf_clock_now_ns(step->clock);
        /* A call that began before its breaker was put into a pipeline has not been timed. */
        if (hold->since_ns != HF_NOTHING_HELD)
            duration = now - hold->since_ns;
        else if (shared)
            duration = now - pass->now_ns;
        if (step->histogram != NULL && outcome != HF_IGNORED && duration >= 0 &&
            !(hold->breaker.flags & HF_PERMIT_SILENT))
            hf_histogram_record(step->histogram, duration);
    } else if (outcome != HF_SUCCESS) {
        now = hf_clock_now_ns(step->clock);
    } else if (hf_breaker_settle_fast(breaker, &hold->breaker)) {
        return 0;
    } else {
        now = hf_clock_coarse_ns(step->clock);
    }
    hf_change change = hf_breaker_settle(breaker, &hold->breaker, outcome, duration, now);
    hf_probe_end(step, &hold->breaker);
    return change.happened ? hf_report_change(step, change) : 0;
}

/*
 * Let in who waits for the place that came free. -1: interrupted (KeyboardInterrupt and the like); its
 * exception is set, and whoever is next to leave lets in who was not let in.
 */
int
hf_step_let_in(GateObject *step)
{
    if (Py_REFCNT(step) == 0)
        return 0; /* it dies with an entry open: nobody is left who could wait */
    PyObject *raised = hf_take_exception();
    PyObject *answer = PyObject_CallMethod((PyObject *)step, "_admit", NULL);
    if (answer == NULL && !PyErr_ExceptionMatches(PyExc_Exception)) {
        hf_chain(raised);
        return -1;
    }
    if (answer == NULL)
        PyErr_WriteUnraisable((PyObject *)step);
    Py_XDECREF(answer);
    hf_give_exception(raised);
    return 0;
}

/* What the call has left behind in threads since it had its place; NULL: nothing. */
static PyObject *
works_of(const hf_pass *pass, const hf_hold *hold)
{
    const hf_course *course = pass->course;
    PyObject *works = course != NULL ? course->works : NULL;
    Py_ssize_t all = works != NULL ? PyList_GET_SIZE(works) : 0;
    if (all <= (Py_ssize_t)hold->works)
        return NULL;
    PyObject *raised = hf_take_exception();
    PyObject *since = PyList_GetSlice(works, hold->works, all);
    if (since == NULL)
        PyErr_Clear(); /* no memory: the place comes free early */
    hf_give_exception(raised);
    return since;
}

/* The place is kept until those have stopped; steals them. -1: interrupted. */
static int
leave_with_works(GateObject *step, const hf_hold *hold, PyObject *works)
{
    PyObject *raised = hf_take_exception();
    PyObject *answer = PyObject_CallMethod((PyObject *)step, "_leave_with", "N[L]", works,
                                           (long long)hold->since_ns);
    if (answer == NULL) {
        hf_chain(raised);
        return -1;
    }
    Py_DECREF(answer);
    hf_give_exception(raised);
    return 0;
}

static int
leave_bulkhead(GateObject *step, const hf_pass *pass, const hf_hold *hold, int64_t end_ns)
{
    PyObject *works = works_of(pass, hold);
    if (works != NULL)
        return leave_with_works(step, hold, works);
    int64_t end = pass->clock == step->clock && end_ns != HF_NOTHING_HELD
                      ? end_ns
                      : hf_clock_coarse_ns(step->clock);
    bool waiters;
    if (end > hold->since_ns)
        hf_count(&step->busy_ns, (uint64_t)(end - hold->since_ns));
    return hf_bulkhead_leave(step->cell, &waiters) && waiters ? hf_step_let_in(step) : 0;
}

/*
 * Leave one step. -1: it has raised something else, or instead of a result: Python code of the user's
 * that was asked on the way out, or a timeout.
 */
int
hf_step_leave(GateObject *step, const hf_pass *pass, hf_hold *hold, PyObject *result, int outcome,
              int64_t end_ns)
{
    if (step->kind == HF_KIND_BULKHEAD)
        return leave_bulkhead(step, pass, hold, end_ns);
    if (step->kind == HF_KIND_TIMEOUT)
        return hf_timeout_leave(step, pass, hold, result, outcome, end_ns);
    if (step->kind != HF_KIND_BREAKER)
        return 0; /* tokens are spent */
    int verdict = outcome == HF_UNJUDGED ? hf_step_judge(step, result) : outcome;
    int left = leave_breaker(step, pass, hold, verdict < 0 ? HF_IGNORED : verdict, end_ns);
    return verdict < 0 ? -1 : left;
}

/*
 * Leave every step in reverse. Steals `result`; NULL means that the call raised. Returns what the call
 * is to return: `result`, or NULL with an exception set.
 */
PyObject *
hf_gate_leave(GateObject *gate, hf_pass *pass, PyObject *result)
{
    if (pass->fork_epoch != hf_fork_epoch) {
        hf_timeouts_forget(gate, pass);
        return result;
    }
    int64_t end_ns = gate->timed ? hf_clock_now_ns(gate->clock) : HF_NOTHING_HELD;
    for (int at = pass->entered - 1; at >= 0; at--) {
        if (hf_step_leave(gate->steps[at], pass, &pass->hold[at], result, HF_UNJUDGED, end_ns) < 0)
            Py_CLEAR(result);
    }
    hf_assert_answer(result);
    return result;
}

/* Leave with an outcome that the holder names. -1: a listener raised, its exception is set. */
int
hf_gate_settle(GateObject *gate, hf_pass *pass, int outcome)
{
    if (pass->fork_epoch != hf_fork_epoch) {
        hf_timeouts_forget(gate, pass);
        return 0;
    }
    int64_t end_ns = gate->timed ? hf_clock_now_ns(gate->clock) : HF_NOTHING_HELD;
    int answer = 0;
    for (int at = pass->entered - 1; at >= 0; at--) {
        GateObject *step = gate->steps[at];
        if (hf_step_leave(step, pass, &pass->hold[at], NULL, outcome, end_ns) < 0) {
            answer = -1;
            if (step->kind == HF_KIND_TIMEOUT)
                outcome = HF_UNJUDGED; /* to those outside the call has raised */
        }
    }
    pass->entered = 0;
    return answer;
}

/*
 * Leave with an exception that is judged as if the call had raised it. -1: a listener or predicate
 * raised, its exception is set.
 */
int
hf_gate_settle_raised(GateObject *gate, hf_pass *pass, PyObject *exception)
{
    hf_give_exception(Py_NewRef(exception));
    hf_gate_leave(gate, pass, NULL);
    PyObject *after = hf_take_exception();
    if (after != exception) {
        hf_give_exception(after);
        return -1;
    }
    Py_DECREF(after);
    return 0;
}

/* The call did not run: give back what one step holds. -1: interrupted; that exception is set. */
int
hf_step_undo(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    bool waiters;
    switch (step->kind) {
    case HF_KIND_BREAKER:
        hf_breaker_undo(step->cell, &hold->breaker);
        hf_probe_end(step, &hold->breaker);
        break;
    case HF_KIND_BULKHEAD:
        if (hf_bulkhead_undo(step->cell, &waiters) && waiters)
            return hf_step_let_in(step);
        break;
    case HF_KIND_BUCKET:
    case HF_KIND_SLIDING:
        if (hold->taken_ns == HF_NOTHING_HELD)
            hf_count(&step->unobserved, 1);
        else if (hold->clears == hf_load_acquire(&step->clears))
            hf_limiter_refund(step, step->n_cells, 1, hold->taken_ns);
        break;
    case HF_KIND_TIMEOUT:
        hf_timeout_drop(step, pass, hold);
        break;
    default:
        break;
    }
    return 0;
}

/* Nobody will ever say what came of the call. -1: interrupted; that exception is set. */
int
hf_step_abandon(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    switch (step->kind) {
    case HF_KIND_BREAKER:
        hf_breaker_abandon(step->cell, &hold->breaker);
        hf_probe_end(step, &hold->breaker);
        break;
    case HF_KIND_BULKHEAD:
        return leave_bulkhead(step, pass, hold, HF_NOTHING_HELD);
    case HF_KIND_TIMEOUT:
        hf_timeout_drop(step, pass, hold);
        break;
    case HF_KIND_RETRY:
        hf_retry_abandon(step, pass, hold);
        break;
    case HF_KIND_FALLBACK:
        if (pass->course != NULL) /* else a stream, which it let go of at the first item */
            hf_count(&((hf_fallback *)step->cell)->passed, 1);
        break;
    default:
        break;
    }
    return 0;
}

static int
give_back(GateObject *gate, hf_pass *pass, int (*give)(GateObject *, const hf_pass *, hf_hold *))
{
    bool ours = pass->fork_epoch == hf_fork_epoch;
    int answer = 0;
    if (!ours)
        hf_timeouts_forget(gate, pass);
    for (int at = pass->entered - 1; at >= 0 && ours; at--) {
        if (give(gate->steps[at], pass, &pass->hold[at]) < 0)
            answer = -1;
    }
    pass->entered = 0;
    return answer;
}

/*
 * The call did not run: everything is given back as if it had never been asked for. -1: interrupted on
 * the way; that exception is set.
 */
int
hf_gate_undo(GateObject *gate, hf_pass *pass)
{
    return give_back(gate, pass, hf_step_undo);
}

/*
 * Nobody will ever say what came of the call: places and probes come home, nothing is proven. -1:
 * interrupted on the way; that exception is set.
 */
int
hf_gate_abandon(GateObject *gate, hf_pass *pass)
{
    return pass->course != NULL ? hf_gate_abandon_course(gate, pass)
                                : give_back(gate, pass, hf_step_abandon);
}

/*
 * The same when the holder dies: nobody is left to be told of an interruption. The gate may be dying
 * with its open entries, and is then not to be shown to anybody.
 */
void
hf_gate_drop(GateObject *gate, hf_pass *pass, bool ran)
{
    PyObject *raised = hf_take_exception();
    if ((ran ? hf_gate_abandon(gate, pass) : hf_gate_undo(gate, pass)) < 0)
        PyErr_WriteUnraisable(Py_REFCNT(gate) > 0 ? (PyObject *)gate : NULL);
    hf_give_exception(raised);
}
