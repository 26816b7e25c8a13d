/*
 * One error budget on the way in and out. It counts what became of the whole call: a value is a success,
 * whoever gave it, and what `on` names is a failure. A call that an inner policy refused has failed as well,
 * unless the budget does not count rejections.
 */
#include "steps.h"

/* Tell the policy that what is true of it may have changed. -1: interrupted; that exception is set. */
static int Py_NO_INLINE
report_change(GateObject *step)
{
    PyObject *raised = hf_take_exception();
    PyObject *answer = PyObject_CallMethod((PyObject *)step, "_changed", NULL);
    if (answer == NULL && !PyErr_ExceptionMatches(PyExc_Exception)) {
        hf_chain(raised);
        return -1;
    }
    if (answer == NULL) /* there was no room to tell: what listeners raise does not come here */
        hf_report_raised((PyObject *)step);
    Py_XDECREF(answer);
    hf_give_exception(raised);
    return 0;
}

/* Something has been recorded that may change what is true. */
static int Py_NO_INLINE
look(GateObject *step, int64_t now_ns)
{
    hf_error_budget *budget = step->cell;
    bool changed = hf_error_budget_judge(budget, now_ns) != hf_load_relaxed(&budget->state);
    bool is_unwatched = step->listening && hf_load_relaxed(&budget->watched) == 0;
    return (changed || is_unwatched) && Py_REFCNT(step) > 0 ? report_change(step) : 0;
}

static int
record(GateObject *step, bool good, int64_t now_ns)
{
    hf_error_budget *budget = step->cell;
    if (good)
        return hf_error_budget_succeed(budget, 1, now_ns) ? look(step, now_ns) : 0;
    hf_error_budget_fail(budget, 1, now_ns);
    return look(step, now_ns);
}

/* ---- in ---- */

/* The priority of this call, 0 to 3, by the variable that holdfast/priority.py keeps it in. */
static unsigned
priority_here(const GateObject *step)
{
    PyObject *value = NULL;
    if (step->retry_after == NULL || PyContextVar_Get(step->retry_after, NULL, &value) < 0)
        PyErr_Clear();
    long priority = value != NULL ? PyLong_AsLong(value) : -1;
    if (PyErr_Occurred())
        PyErr_Clear();
    Py_XDECREF(value);
    return priority >= 0 && priority < HF_BUDGET_PRIORITIES ? (unsigned)priority
                                                            : HF_BUDGET_PRIORITY;
}

/* It is exhausted, as far as is known, and sheds. */
static hf_entering Py_NO_INLINE
enter_exhausted(GateObject *step, hf_refusal *why)
{
    hf_error_budget *budget = step->cell;
    int64_t now = hf_clock_coarse_ns(step->clock);
    uint64_t state = hf_error_budget_judge(budget, now);
    if (state != hf_load_relaxed(&budget->state) && report_change(step) < 0)
        return HF_BROKEN;
    if (!(state & HF_BUDGET_EXHAUSTED) || !hf_error_budget_sheds(budget, priority_here(step), now))
        return HF_IN;
    if (step->mode == HF_OBSERVE) {
        hf_count(&budget->observed, 1);
        return HF_IN;
    }
    hf_count(&budget->shed, 1);
    return hf_step_refuse(step, why, HF_REASON_BUDGET, -1);
}

static hf_entering
enter(GateObject *step, const hf_pass *pass, hf_hold *hold, hf_refusal *why)
{
    (void)pass;
    const hf_error_budget *budget = step->cell;
    hold->breaker.flags = 0;
    hold->since_ns = HF_NOTHING_HELD;
    if (HF_UNLIKELY(budget->rule.sheds && (hf_load_relaxed(&budget->state) & HF_BUDGET_EXHAUSTED)))
        return enter_exhausted(step, why);
    return HF_IN;
}

/* A step inside has refused the call: each budget that is entered is to know when it is undone. */
void
hf_error_budgets_refused(const GateObject *gate, hf_pass *pass)
{
    for (int at = 0; at < pass->entered; at++) {
        if (gate->steps[at]->kind == HF_KIND_ERROR_BUDGET)
            pass->hold[at].since_ns = 0;
    }
}

/* ---- out ---- */

/* Whether the exception that is set is a rejection, or has one in its group. */
static bool
is_rejection(const GateObject *step)
{
    return PyErr_Occurred() && (hf_raised_says(step) & HF_SAYS_REJECTED);
}

/* When the call ended, on the clock of this step. */
static inline int64_t
end_of(const GateObject *step, const hf_pass *pass, int64_t end_ns)
{
    bool shared = pass->clock == step->clock && end_ns != HF_NOTHING_HELD;
    return shared ? end_ns : hf_clock_coarse_ns(step->clock);
}

static int Py_NO_INLINE
leave_judged(GateObject *step, const hf_pass *pass, hf_hold *hold, PyObject *result, int outcome,
             int64_t end_ns)
{
    const hf_error_budget *budget = step->cell;
    int verdict = outcome == HF_UNJUDGED ? hf_step_judge(step, result) : outcome;
    if (verdict < 0)
        return -1;
    if (verdict == HF_IGNORED && outcome == HF_UNJUDGED && result == NULL &&
        budget->rule.counts_rejections && is_rejection(step))
        verdict = HF_FAILURE;
    if (verdict == HF_IGNORED)
        return 0;
    if (HF_UNLIKELY(verdict == HF_FAILURE) && result != NULL)
        hold->breaker.flags |= HF_PERMIT_FAILED;
    return record(step, verdict == HF_SUCCESS, end_of(step, pass, end_ns));
}

static int
leave(GateObject *step, const hf_pass *pass, hf_hold *hold, PyObject *result, int outcome,
      int64_t end_ns)
{
    return HF_LIKELY(hf_step_plainly_succeeds(step, result, outcome))
               ? record(step, true, end_of(step, pass, end_ns))
               : leave_judged(step, pass, hold, result, outcome, end_ns);
}

static int
undo(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    (void)pass;
    const hf_error_budget *budget = step->cell;
    bool refused = hold->since_ns != HF_NOTHING_HELD || is_rejection(step);
    if (!refused || !budget->rule.counts_rejections)
        return 0;
    return record(step, false, hf_clock_coarse_ns(step->clock));
}

HF_STEP_VERBS(error_budget, enter, leave, undo, hf_step_nothing_held, hf_step_goes_on,
              hf_step_goes_on)
