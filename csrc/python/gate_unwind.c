/*
 * The way out of a controlled call: the steps in reverse, until one of them turns it around.
 */
#include "control.h"

/* -1: an exception is set. */
int
hf_course_begin(hf_course *course, hf_pass *pass, bool awaits)
{
    hf_pass_init(pass);
    course->attempts = course->stand_ins = 0;
    course->ran_here = course->refused = false;
    course->pausing = course->standing_in = false;
    course->awaits = awaits;
    course->keeps = course->threaded = false;
    course->late = HF_NOT_LATE;
    course->fired = HF_MAX_STEPS;
    course->waited_ns = 0;
    course->works = NULL;
    course->alarms = NULL;
    course->limit = NULL;
    pass->course = course;
    /* One by one: a copy of what was just stored in halves makes the processor wait for them. */
    course->around.step = course->deadline.step = NULL;
    course->around.ns = course->deadline.ns = 0;
    if (!hf_may_have_deadline())
        return 0;
    int answer = hf_deadline_find(&course->around);
    course->deadline = course->around;
    return answer;
}

int
hf_course_limit_first(hf_course *course, hf_deadline deadline)
{
    if (course->limit == NULL && (course->limit = hf_limit_new()) == NULL)
        return -1;
    course->limit->deadline = deadline;
    if (hf_limit_apply(course->limit) < 0)
        return -1;
    course->deadline = deadline;
    return 0;
}

/* Back outside of a timeout it is the one that held there. */
void
hf_course_unlimit(hf_course *course, hf_deadline outer)
{
    course->deadline = outer;
    if (course->limit == NULL)
        return;
    if (outer.step == NULL)
        hf_limit_lift(course->limit);
    else
        course->limit->deadline = outer;
}

/* The call is over: what its steps hold is left or given back already. */
void
hf_course_end(hf_course *course)
{
    if (course->limit != NULL)
        hf_limit_free(course->limit);
    course->limit = NULL;
    if (course->alarms != NULL)
        hf_alarms_end(course);
    Py_CLEAR(course->works);
    Py_CLEAR(course->around.step);
}

/* What the call has taken, beside its outcome, which is stolen. */
PyObject *
hf_course_counts(const hf_course *course, PyObject *outcome)
{
    return Py_BuildValue("NILI", outcome, course->attempts, (long long)course->waited_ns,
                         course->stand_ins);
}

/* ---- one step ---- */

/* Whether this fallback stands in for what is set. */
static bool
stands_in(GateObject *step)
{
    hf_fallback *kernel = step->cell;
    bool named = hf_fallback_takes(step);
    if (!named || step->mode == HF_OBSERVE) {
        hf_count(named ? &kernel->observed : &kernel->passed, 1);
        return false;
    }
    return true;
}

static bool
pass_fallback(GateObject *step, const PyObject *result)
{
    if (result == NULL)
        return stands_in(step);
    hf_count(&((hf_fallback *)step->cell)->passed, 1);
    return false;
}

static int
leave_or_undo(GateObject *step, const hf_pass *pass, hf_hold *hold, PyObject *result,
              int64_t end_ns)
{
    bool left =
        pass->course->ran_here || step->kind == HF_KIND_TIMEOUT; /* waiting takes time too */
    int outcome = pass->course->keeps && result != NULL ? HF_SUCCESS : HF_UNJUDGED;
    return left ? hf_step_leave(step, pass, hold, result, outcome, end_ns)
                : hf_step_undo(step, pass, hold);
}

/* ---- the way out ---- */

/*
 * Leave from the innermost step entered. `*result` is what the call returned, or, with NULL, an exception
 * is set. Whoever has paused or stood in calls again, or enters again, as hf_unwinding says.
 */
hf_unwinding
hf_gate_unwind(GateObject *gate, hf_pass *pass, PyObject **result)
{
    hf_course *course = pass->course;
    if (pass->fork_epoch != hf_fork_epoch) { /* the parent's: nothing here is ours to leave */
        hf_timeouts_forget(gate, pass);
        pass->entered = 0;
        return HF_UNWOUND;
    }
    int64_t end_ns = gate->timed ? hf_clock_now_ns(gate->clock) : HF_NOTHING_HELD;
    while (pass->entered > 0) {
        int at = pass->entered - 1;
        GateObject *step = gate->steps[at];
        hf_hold *hold = &pass->hold[at];
        if (step->kind == HF_KIND_RETRY) {
            hold->retry.ran |= course->ran_here;
            if (hf_retry_leave(gate, at, pass, result)) {
                course->ran_here = false;
                return course->pause_ns > 0 ? HF_PAUSE : HF_AGAIN;
            }
            course->ran_here = hold->retry.ran;
        } else if (step->kind == HF_KIND_FALLBACK) {
            if (pass_fallback(step, *result)) {
                pass->entered = at;
                return HF_STAND_IN;
            }
        } else if (leave_or_undo(step, pass, hold, *result, end_ns) < 0) {
            Py_CLEAR(*result);
            course->refused = false;
        }
        pass->entered = at;
    }
    return HF_UNWOUND;
}

/* The pause of the innermost step entered, a retry, is over, or the caller gave up in it. */
void
hf_pause_ended(GateObject *gate, hf_pass *pass, bool interrupted)
{
    hf_course *course = pass->course;
    int at = pass->entered - 1;
    course->pausing = false;
    if (pass->fork_epoch != hf_fork_epoch)
        return;
    hf_retry_paused(gate->steps[at], &pass->hold[at], interrupted);
    if (!interrupted) {
        course->waited_ns = hf_ns_add(course->waited_ns, course->pause_ns);
        return;
    }
    pass->entered = at;
    course->ran_here = pass->hold[at].retry.ran;
    course->refused = false;
}

/* What stands in for the exception, or what is to be awaited for it; NULL: that raised, from it. */
PyObject *
hf_stand_in(GateObject *step, PyObject *exception)
{
    return step->stands_by_call ? PyObject_CallOneArg(step->stand_in, exception)
                                : Py_NewRef(step->stand_in);
}

/* The fallback has given a result, or has raised: the first error then stays its cause. */
void
hf_stood_in(GateObject *step, hf_pass *pass, PyObject *exception, bool failed)
{
    hf_course *course = pass->course;
    hf_fallback *kernel = step->cell;
    course->ran_here = true;
    course->refused = course->standing_in = false;
    hf_count(failed ? &kernel->failed : &kernel->used, 1);
    if (!failed) {
        course->stand_ins++;
        Py_DECREF(exception);
        return;
    }
    PyObject *error = hf_take_exception(), *cause = PyException_GetCause(error);
    if (error != exception && cause == NULL)
        PyException_SetCause(error, Py_NewRef(exception));
    Py_XDECREF(cause);
    hf_give_exception(error);
    if (error != exception)
        hf_chain(exception);
    else
        Py_DECREF(exception);
}

/* The call is dropped, wherever it stands. -1: interrupted on the way; that exception is set. */
int
hf_gate_abandon_course(GateObject *gate, hf_pass *pass)
{
    hf_course *course = pass->course;
    hf_course_resume(course); /* in the thread of whoever drops it */
    int answer = 0;
    if (pass->fork_epoch != hf_fork_epoch) {
        hf_timeouts_forget(gate, pass);
    } else if (course->standing_in) {
        course->ran_here = true;
        hf_count(&((hf_fallback *)gate->steps[pass->entered]->cell)->failed, 1);
    }
    for (; pass->entered > 0 && pass->fork_epoch == hf_fork_epoch; pass->entered--) {
        int at = pass->entered - 1;
        GateObject *step = gate->steps[at];
        bool control = step->kind == HF_KIND_RETRY || step->kind == HF_KIND_FALLBACK;
        bool ran = course->ran_here || control;
        if ((ran ? hf_step_abandon : hf_step_undo)(step, pass, &pass->hold[at]) < 0)
            answer = -1;
        if (step->kind == HF_KIND_RETRY)
            course->ran_here |= pass->hold[at].retry.ran;
    }
    hf_course_suspend(course);
    return answer;
}

/* ---- streams: control ends with the first item, admission goes on ---- */

static void
let_go(GateObject *step, hf_pass *pass, hf_hold *hold)
{
    if (step->kind == HF_KIND_TIMEOUT)
        hf_timeout_keep(step, pass, hold);
    else if (step->kind == HF_KIND_FALLBACK)
        pass_fallback(step, Py_None);
}

/*
 * The first item is there. False: late, the call is to be unwound. True: what controls has let go of it,
 * and what is left in the pass is a permit's to hold.
 */
bool
hf_gate_keep(GateObject *gate, hf_pass *pass)
{
    if (pass->fork_epoch == hf_fork_epoch && hf_timeout_is_late(pass))
        return false;
    for (int at = pass->entered - 1; at >= 0; at--) {
        GateObject *step = gate->steps[at];
        if (step->kind != HF_KIND_RETRY)
            let_go(step, pass, &pass->hold[at]);
        else if (hf_retry_succeed(step, &pass->hold[at]) < 0)
            PyErr_WriteUnraisable((PyObject *)step); /* the stream has begun all the same */
    }
    return true;
}
