/*
 * One hedge on the way in and out: whether the first attempt alone answers the call.
 *
 * In a task the first attempt is the call itself. Its alarm, or its failure, begins a race with further
 * attempts, which are tasks of their own (coroutine_race.c, waiting/hedged_tasks.py). In a thread all attempts
 * run in threads of the hedge's (waiting/hedged_threads.py), and here the end of the call is counted.
 */
#include "alarm.h"
#include "steps.h"

/* ---- in ---- */

/* Not begun where the time that is left is over already. Further attempts get the context of this moment. */
static hf_entering
enter(GateObject *step, const hf_pass *pass, hf_hold *hold, hf_refusal *why)
{
    (void)why;
    const hf_course *course = pass->course;
    int64_t now = pass->clock == step->clock ? pass->now_ns : hf_clock_now_ns(step->clock);
    hold->since_ns = now;
    hold->hedge.race = hold->hedge.context = NULL;
    hold->hedge.failed = hold->hedge.foreign = false;
    hold->hedge.due_ns =
        hf_load_relaxed(&hf_retrying_off) ? HF_HEDGE_NEVER : hf_hedge_due_ns(step->cell, now);
    if (course == NULL || step->mode == HF_OBSERVE)
        return HF_IN;
    if (course->deadline.step != NULL &&
        hf_deadline_on(&course->deadline, step->clock, now) <= now) {
        hf_raise_exceeded(&course->deadline, true);
        return HF_BROKEN;
    }
    if (!course->awaits)
        return HF_IN;
    hold->hedge.context = PyContext_CopyCurrent();
    return hold->hedge.context != NULL ? HF_IN : HF_BROKEN;
}

/* ---- out ---- */

void
hf_hedge_release(hf_hold *hold)
{
    Py_CLEAR(hold->hedge.context);
    Py_CLEAR(hold->hedge.race);
}

/* Whether a retry of this gate adds the success of the call to the same budget: once is enough. */
static bool
is_deposited(const GateObject *gate, const GateObject *step)
{
    for (int at = 0; at < gate->n_steps; at++) {
        const GateObject *other = gate->steps[at];
        if (other->kind == HF_KIND_RETRY && other->budget == step->budget)
            return true;
    }
    return false;
}

static void
count_end(const GateObject *gate, const hf_pass *pass, GateObject *step, bool has_value,
          bool failed)
{
    hf_hedge *kernel = step->cell;
    hf_count(&kernel->calls, pass->course->ran_here);
    hf_count(&kernel->failed, failed && !pass->course->threaded); /* else counted in Python */
    if (has_value && !failed && step->budget != NULL && !is_deposited(gate, step))
        hf_budget_deposit(step->budget);
}

/* Whether what an attempt left is a failure: what `on` names, or what `on_result` says is one. -1: it raised. */
static int
is_failed(GateObject *step, PyObject *result)
{
    if (result != NULL)
        return step->is_failure == NULL ? 0 : hf_ask("on_result", step->is_failure, result);
    unsigned says = hf_raised_says(step);
    if (says & HF_SAYS_BROKEN)
        return -1;
    return says == HF_SAYS_FAILURE ? hf_ask_names(step) : 0;
}

/* Whether the first attempt says how long attempts take: it has answered, or another one was faster. */
static bool
is_sample(const hf_pass *pass, const hf_hold *hold, bool has_value, int failed)
{
    if (failed != 0 || !pass->course->ran_here)
        return false;
    if (has_value)
        return true;
    if (hf_raised_proves())
        return true;
    return hold->hedge.race != NULL && hf_is_cancelled() && !hold->hedge.foreign;
}

/*
 * How long the first attempt took. The coarse clock is right up to a tick and much cheaper: it will do for a
 * call that was never suspended, which no further attempt could have overtaken.
 */
static int64_t
duration_ns(const GateObject *gate, const hf_pass *pass, const GateObject *step,
            const hf_hold *hold)
{
    bool suspended = pass->course->alarms != NULL || !gate->times;
    int64_t now = suspended ? hf_clock_now_ns(step->clock) : hf_clock_coarse_ns(step->clock);
    return hf_ns_sub(now, hold->since_ns);
}

/* A call that would have been hedged if this did not observe. */
static void
observe(GateObject *step, const hf_hold *hold, int failed)
{
    bool late =
        hold->hedge.due_ns != HF_HEDGE_NEVER && hf_clock_now_ns(step->clock) >= hold->hedge.due_ns;
    hf_count(&((hf_hedge *)step->cell)->observed, late || failed > 0);
}

/*
 * Left as the innermost step entered: outward, or into the race, which pass->entered is then the step of.
 */
hf_unwinding
hf_hedge_turn(GateObject *gate, hf_pass *pass, PyObject **result)
{
    hf_course *course = pass->course;
    int at = pass->entered - 1;
    GateObject *step = gate->steps[at];
    hf_hold *hold = &pass->hold[at];
    hold->hedge.foreign = course->alarms != NULL && hf_alarm_leave(course->alarms, at);
    int failed = course->keeps ? 0 : is_failed(step, *result);
    if (failed < 0)
        Py_CLEAR(*result);
    hold->hedge.failed = failed > 0;
    if (step->mode == HF_OBSERVE)
        observe(step, hold, failed);
    if (!course->threaded && hf_hedge_samples(step->cell) &&
        is_sample(pass, hold, *result != NULL, failed))
        hf_hedge_record(step->cell, duration_ns(gate, pass, step, hold));
    bool begins = failed > 0 && course->awaits && step->mode == HF_ENFORCE &&
                  !hf_load_relaxed(&hf_retrying_off);
    if (hold->hedge.race == NULL && !begins) {
        count_end(gate, pass, step, *result != NULL, failed > 0);
        hf_hedge_release(hold);
        return HF_UNWOUND;
    }
    pass->entered = at;
    return HF_RACE;
}

/* The race of the step pass->entered is over, with a result or, without one, the exception that is set. */
void
hf_raced(GateObject *gate, hf_pass *pass, bool has_value, bool failed)
{
    hf_course *course = pass->course;
    int at = pass->entered;
    course->waits = HF_WAITS_STEP;
    course->ran_here = true;
    course->refused = !has_value && PyErr_ExceptionMatches(hf_rejected_type);
    pass->hold[at].hedge.failed = has_value && failed;
    if (has_value)
        course->stood_in_at = (int8_t)(at + 1); /* what is inside has not judged it */
    count_end(gate, pass, gate->steps[at], has_value, failed);
}

/* Nobody will say how the call ended: the other attempts end as well. */
static int
abandon(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    PyObject *race = hold->hedge.race;
    if (pass->course == NULL)
        return 0; /* a stream, which no hedge guards */
    if (pass->course->alarms != NULL)
        hf_alarm_clear(pass->course->alarms, (int)(hold - pass->hold));
    hf_count(&((hf_hedge *)step->cell)->calls, pass->course->ran_here);
    if (race != NULL) {
        PyObject *raised = hf_take_exception();
        PyObject *answer = PyObject_CallMethod(race, "drop", NULL);
        if (answer == NULL)
            PyErr_WriteUnraisable(race);
        Py_XDECREF(answer);
        hf_give_exception(raised);
    }
    hf_hedge_release(hold);
    return 0;
}

static int
undo(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    (void)step;
    if (pass->course != NULL && pass->course->alarms != NULL)
        hf_alarm_clear(pass->course->alarms, (int)(hold - pass->hold));
    hf_hedge_release(hold);
    return 0;
}

static void
keep(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    undo(step, pass, hold);
}

HF_STEP_VERBS(hedge, enter, hf_step_no_leave, undo, abandon, keep, hf_step_goes_on)

/* ---- what further attempts ask ---- */

/* _attempt_failed(error, result): whether an attempt failed that raised `error`, or with None returned `result`. */
PyObject *
hf_gate_attempt_failed(PyObject *op, PyObject *args)
{
    GateObject *self = (GateObject *)op;
    PyObject *error, *result;
    if (hf_need_kind(self, self->kind == HF_KIND_HEDGE, "hedge") < 0 ||
        !PyArg_ParseTuple(args, "OO:_attempt_failed", &error, &result))
        return NULL;
    bool raised = PyExceptionInstance_Check(error);
    if (raised)
        hf_give_exception(Py_NewRef(error));
    int failed = is_failed(self, raised ? NULL : result);
    if (failed < 0)
        return NULL;
    if (raised)
        Py_XDECREF(hf_take_exception());
    return PyBool_FromLong(failed);
}
