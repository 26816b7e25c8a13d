/*
 * The way out of a controlled call: the steps in reverse, until one of them turns it around.
 */
#include "steps.h"

/* ---- one step ---- */

static inline int
leave_or_undo(GateObject *step, const hf_pass *pass, hf_hold *hold, PyObject *result, int outcome,
              int64_t end_ns)
{
    bool left =
        pass->course->ran_here || step->kind == HF_KIND_TIMEOUT; /* waiting takes time too */
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
        if (step->reruns) {
            hf_unwinding how = hf_step_turn(gate, pass, result);
            if (how != HF_UNWOUND)
                return how;
        } else if (leave_or_undo(step, pass, hold, *result,
                                 HF_UNLIKELY(course->keeps) && *result != NULL ? HF_SUCCESS
                                                                               : HF_UNJUDGED,
                                 end_ns) < 0) {
            Py_CLEAR(*result);
            course->refused = false;
        }
        if (HF_UNLIKELY(hf_ran_out(step, hold)) && hf_operation_of(gate) != NULL)
            hf_pipeline_count_timeout(hf_operation_of(gate));
        pass->entered = at;
    }
    bool goes_on = course->keeps && *result != NULL; /* as a stream, whose permit counts its end */
    if (!goes_on && hf_count_end(gate, pass, *result != NULL, end_ns) < 0)
        Py_CLEAR(*result);
    return HF_UNWOUND;
}

/* The pause of the innermost step entered, a retry, is over, or the caller gave up in it. */
void
hf_pause_ended(GateObject *gate, hf_pass *pass, bool interrupted)
{
    hf_course *course = pass->course;
    int at = pass->entered - 1;
    course->waits = HF_WAITS_STEP;
    course->stood_in_at = HF_MAX_STEPS;
    course->failed_inside = false;
    if (pass->fork_epoch != hf_fork_epoch)
        return;
    hf_retry_paused(gate->steps[at], &pass->hold[at], interrupted);
    if (!interrupted) {
        course->waited_ns = hf_ns_add(course->waited_ns, course->pause_ns);
        if (hf_operation_of(gate) != NULL)
            hf_pipeline_count_retry(hf_operation_of(gate));
        return;
    }
    pass->entered = at;
    course->ran_here = pass->hold[at].retry.ran;
    course->refused = false;
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
    } else if (course->waits == HF_WAITS_STAND_IN) {
        course->ran_here = true;
        hf_fallback_failed(gate->steps[pass->entered]);
    } else if (course->waits == HF_WAITS_RACE) {
        hf_raced(gate, pass, false, false);
    }
    for (; pass->entered > 0 && pass->fork_epoch == hf_fork_epoch; pass->entered--) {
        int at = pass->entered - 1;
        GateObject *step = gate->steps[at];
        bool ran = course->ran_here || step->reruns;
        if ((ran ? hf_step_abandon : hf_step_undo)(step, pass, &pass->hold[at]) < 0)
            answer = -1;
        if (step->kind == HF_KIND_RETRY)
            course->ran_here |= pass->hold[at].retry.ran;
    }
    hf_course_suspend(course);
    return answer;
}

/* ---- streams: control ends with the first item, admission goes on ---- */

/*
 * The first item is there. False: late, the call is to be unwound. True: what controls has let go of it,
 * and what is left in the pass is a permit's to hold.
 */
bool
hf_gate_keep(GateObject *gate, hf_pass *pass)
{
    if (pass->fork_epoch == hf_fork_epoch && hf_timeout_is_late(pass))
        return false;
    for (int at = pass->entered - 1; at >= 0; at--)
        hf_step_keep(gate->steps[at], pass, &pass->hold[at]);
    return true;
}
