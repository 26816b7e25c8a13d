/*
 * The way out: leaving the steps in reverse, each with its verdict (judge.c).
 */
#include "steps.h"

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
    if (gate->controls)
        hf_count_timeouts(gate, pass);
    if (hf_count_end(gate, pass, result != NULL, end_ns) < 0)
        Py_CLEAR(result);
    hf_assert_answer(result);
    return result;
}

/* What an outcome that the holder names makes of the call. */
static hf_pipeline_end
end_of_outcome(int outcome)
{
    return outcome == HF_SUCCESS   ? HF_PIPELINE_SUCCESS
           : outcome == HF_FAILURE ? HF_PIPELINE_FAILURE
                                   : HF_PIPELINE_CANCELLED;
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
    int64_t duration_ns = hf_pass_duration_ns(pass, end_ns);
    hf_pipeline_end end = end_of_outcome(outcome);
    int answer = 0;
    for (int at = pass->entered - 1; at >= 0; at--) {
        GateObject *step = gate->steps[at];
        if (hf_step_leave(step, pass, &pass->hold[at], NULL, outcome, end_ns) < 0) {
            answer = -1;
            if (step->kind == HF_KIND_TIMEOUT)
                outcome = HF_UNJUDGED; /* to those outside the call has raised */
        }
    }
    if (gate->controls)
        hf_count_timeouts(gate, pass);
    pass->entered = 0;
    int counted =
        answer < 0 ? hf_count_raised(gate, duration_ns) : hf_count_end_slow(gate, end, duration_ns);
    return counted < 0 ? -1 : answer;
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
    bool ours = pass->fork_epoch == hf_fork_epoch;
    int answer = pass->course != NULL ? hf_gate_abandon_course(gate, pass)
                                      : give_back(gate, pass, hf_step_abandon);
    return ours && hf_count_dropped(gate) < 0 ? -1 : answer;
}

/* The same for a call that waits to be admitted: nothing of it has run. */
int
hf_gate_abandon_unrun(GateObject *gate, hf_pass *pass)
{
    bool ours = pass->fork_epoch == hf_fork_epoch;
    int answer = hf_gate_undo(gate, pass);
    return ours && hf_count_dropped(gate) < 0 ? -1 : answer;
}

/*
 * The same when the holder dies: nobody is left to be told of an interruption. The gate may be dying
 * with its open entries, and is then not to be shown to anybody.
 */
void
hf_gate_drop(GateObject *gate, hf_pass *pass, bool ran)
{
    PyObject *raised = hf_take_exception();
    if ((ran ? hf_gate_abandon(gate, pass) : hf_gate_abandon_unrun(gate, pass)) < 0)
        PyErr_WriteUnraisable(Py_REFCNT(gate) > 0 ? (PyObject *)gate : NULL);
    hf_give_exception(raised);
}
