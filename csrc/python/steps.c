/*
 * The one place that knows all kinds of steps, and hands each verb on to the kind.
 *
 * By a switch, not by a table of functions: the build optimises over all files, so the way in is inlined here. The way
 * out is not: of so many kinds each would save the registers that the greediest needs.
 */
#include "steps.h"

#define ENTER(KIND, word, name)                                                                    \
    case HF_KIND_##KIND:                                                                           \
        return hf_##name##_step_enter(step, pass, hold, why);
#define LEAVE(KIND, word, name)                                                                    \
    case HF_KIND_##KIND:                                                                           \
        return hf_##name##_step_leave(step, pass, hold, result, outcome, end_ns);
#define UNDO(KIND, word, name)                                                                     \
    case HF_KIND_##KIND:                                                                           \
        return hf_##name##_step_undo(step, pass, hold);
#define ABANDON(KIND, word, name)                                                                  \
    case HF_KIND_##KIND:                                                                           \
        return hf_##name##_step_abandon(step, pass, hold);
#define KEEP(KIND, word, name)                                                                     \
    case HF_KIND_##KIND:                                                                           \
        hf_##name##_step_keep(step, pass, hold);                                                   \
        break;
#define WAITED(KIND, word, name)                                                                   \
    case HF_KIND_##KIND:                                                                           \
        hf_##name##_step_waited(step, pass, hold);                                                 \
        break;

hf_entering
hf_step_enter(GateObject *step, const hf_pass *pass, hf_hold *hold, hf_refusal *why)
{
    switch (step->kind) {
        HF_STEP_KINDS(ENTER)
    default:
        hf_need_made(step);
        return HF_BROKEN;
    }
}

int
hf_step_leave(GateObject *step, const hf_pass *pass, hf_hold *hold, PyObject *result, int outcome,
              int64_t end_ns)
{
    switch (step->kind) {
        HF_STEP_KINDS(LEAVE)
    default:
        return 0;
    }
}

int
hf_step_undo(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    switch (step->kind) {
        HF_STEP_KINDS(UNDO)
    default:
        return 0;
    }
}

int
hf_step_abandon(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    switch (step->kind) {
        HF_STEP_KINDS(ABANDON)
    default:
        return 0;
    }
}

void
hf_step_keep(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    switch (step->kind) {
        HF_STEP_KINDS(KEEP)
    default:
        break;
    }
}

void
hf_step_waited(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    switch (step->kind) {
        HF_STEP_KINDS(WAITED)
    default:
        break;
    }
}

/* Wait for the step pass->entered, by that method of its Python class. */
PyObject *
hf_step_await(GateObject *gate, const hf_pass *pass, const char *method)
{
    GateObject *step = gate->steps[pass->entered];
    return step->kind == HF_KIND_CHAOS ? hf_chaos_strike(step, &pass->hold[pass->entered], method)
                                       : PyObject_CallMethod((PyObject *)step, method, NULL);
}

/* Nobody waits for the step pass->entered, and the call comes again. */
void
hf_step_put_off(GateObject *gate, const hf_pass *pass)
{
    GateObject *step = gate->steps[pass->entered];
    if (step->kind == HF_KIND_CHAOS)
        hf_chaos_put_off(step, &pass->hold[pass->entered]);
}

/*
 * A step that may run the call again (GateObject.reruns) is left, the innermost entered. HF_UNWOUND: go on with
 * those outside of it.
 */
hf_unwinding
hf_step_turn(GateObject *gate, hf_pass *pass, PyObject **result)
{
    switch (gate->steps[pass->entered - 1]->kind) {
    case HF_KIND_RETRY:
        return hf_retry_turn(gate, pass, result);
    case HF_KIND_HEDGE:
        return hf_hedge_turn(gate, pass, result);
    default:
        return hf_fallback_turn(gate, pass, result);
    }
}
