/*
 * The way in: entering the steps of a gate, in order.
 *
 * Owns the order of things; what each step decides is its kernel's business. Nothing here blocks: a
 * step that may be waited for is reported (HF_MUST_WAIT) and the waiting is done by Python above.
 */
#include "steps.h"

/*
 * Enter the steps from pass->entered on. Any other answer but HF_IN leaves what was entered so far in
 * place: whoever waits for HF_MUST_WAIT calls again after `pass->entered++`.
 */
hf_entering
hf_gate_enter_steps(GateObject *gate, hf_pass *pass, hf_refusal *why)
{
    if (gate->reads_clock && pass->clock == NULL) {
        pass->now_ns = hf_clock_now_ns(gate->clock);
        pass->clock = gate->clock;
        if (pass->entered == 0)
            pass->began_ns = pass->now_ns;
    }
    const hf_course *course = pass->course;
    bool threaded = course != NULL && course->threaded;
    Py_ssize_t inside = threaded ? gate->threaded_at + 1 : gate->n_steps;
    while (pass->entered < inside) {
        int at = pass->entered;
        hf_entering answer = hf_step_enter(gate->steps[at], pass, &pass->hold[at], why);
        if (answer != HF_IN)
            return answer;
        pass->entered = at + 1;
    }
    return HF_IN;
}

/* A step has refused the call, or raised: give everything back, and count it. */
static hf_entering Py_NO_INLINE
turn_away(GateObject *gate, hf_pass *pass, hf_entering answer)
{
    if (answer == HF_REFUSED)
        hf_error_budgets_refused(gate, pass);
    if (hf_gate_undo(gate, pass) < 0)
        answer = HF_BROKEN;
    int counted = answer == HF_BROKEN ? hf_count_raised(gate, -1)
                                      : hf_count_end_slow(gate, HF_PIPELINE_REJECTED, -1);
    return counted < 0 ? HF_BROKEN : answer;
}

/* The same, but a refusal has undone everything. */
hf_entering
hf_gate_enter(GateObject *gate, hf_pass *pass, hf_refusal *why)
{
    if (gate->lone) { /* a refusal is to be quick as well */
        hf_entering answer = hf_breaker_step_enter(gate, pass, &pass->hold[0], why);
        pass->entered = answer == HF_IN;
        return answer;
    }
    hf_entering answer = hf_gate_enter_steps(gate, pass, why);
    return answer == HF_REFUSED || answer == HF_BROKEN ? turn_away(gate, pass, answer) : answer;
}

/*
 * After a wait the step is held, and the time is to be read again: waiting is not the call's time. But what a
 * fault does is. Further faults inside of it do not ask for the time.
 */
void
hf_gate_waited(GateObject *gate, hf_pass *pass)
{
    int at = pass->entered;
    bool struck = hf_step_acts_as_call(gate->steps[at]);
    if (struck && at < hf_steps_without_faults(gate))
        hf_keep_beginnings(gate, pass, at, true);
    if (!struck || at < hf_steps_without_faults(gate))
        pass->clock = NULL;
    hf_step_waited(gate->steps[at], pass, &pass->hold[at]);
    pass->entered++;
}

/* Let this thread wait for the step that must be waited for. -1: in vain; an exception is set. */
static int
block(GateObject *gate, const hf_pass *pass)
{
    PyObject *answer = hf_step_await(gate, pass, "_block");
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

typedef hf_entering (*entering)(GateObject *gate, hf_pass *pass, hf_refusal *why);

/* Let this thread wait until it is in, or refused. HF_MUST_WAIT: in vain; an exception is set. */
static hf_entering Py_NO_INLINE
wait_and_enter(GateObject *gate, hf_pass *pass, hf_refusal *why, entering enter)
{
    hf_entering entered;
    do {
        if (block(gate, pass) < 0)
            return HF_MUST_WAIT;
        hf_gate_waited(gate, pass);
        entered = enter(gate, pass, why);
    } while (entered == HF_MUST_WAIT);
    return entered;
}

/* hf_gate_enter_steps() for a thread that may block. */
hf_entering
hf_gate_enter_steps_waiting(GateObject *gate, hf_pass *pass, hf_refusal *why)
{
    hf_entering entered = hf_gate_enter_steps(gate, pass, why);
    return entered == HF_MUST_WAIT ? wait_and_enter(gate, pass, why, hf_gate_enter_steps) : entered;
}

/*
 * hf_gate_enter() for a thread that may block. Any answer but HF_IN has undone everything, or, HF_FAILED, has
 * left everything with the exception that a fault raised.
 */
hf_entering
hf_gate_enter_waiting(GateObject *gate, hf_pass *pass, hf_refusal *why)
{
    hf_entering entered = hf_gate_enter(gate, pass, why);
    if (entered == HF_MUST_WAIT) {
        entered = wait_and_enter(gate, pass, why, hf_gate_enter);
        if (entered == HF_MUST_WAIT && hf_step_acts_as_call(gate->steps[pass->entered])) {
            hf_gate_leave(gate, pass, NULL);
            pass->entered = 0;
            return HF_FAILED;
        }
        if (entered == HF_MUST_WAIT)
            turn_away(gate, pass, HF_BROKEN);
    }
    return entered;
}

/* The same, with the refusal raised. 0: inside. -1: an exception is set. */
int
hf_gate_enter_blocking(GateObject *gate, hf_pass *pass)
{
    hf_refusal why;
    hf_entering entered = hf_gate_enter_waiting(gate, pass, &why);
    if (entered == HF_REFUSED)
        hf_refuse(&why);
    return entered == HF_IN ? 0 : -1;
}

/* Enter from a thread, into a block. -1: an exception is set, and nothing is held. */
int
hf_gate_enter_block(GateObject *gate, hf_pass *pass)
{
    hf_pass_init(pass);
    return hf_gate_enter_lone(gate, pass) ? 0 : hf_gate_enter_blocking(gate, pass);
}
