/*
 * One fallback on the way out: whether it stands in, and what came of that.
 */
#include "steps.h"

/* Whether this fallback stands in for what is set. Where a predicate has raised, that is set instead. */
static bool
stands_in(GateObject *step, hf_course *course)
{
    hf_fallback *kernel = step->cell;
    int takes = hf_fallback_takes(step);
    if (takes < 0)
        course->refused = false; /* what comes of the call is something else */
    if (takes <= 0 || step->mode == HF_OBSERVE) {
        hf_count(takes > 0 ? &kernel->observed : &kernel->passed, 1);
        return false;
    }
    return true;
}

static void
pass_by(GateObject *step)
{
    hf_count(&((hf_fallback *)step->cell)->passed, 1);
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
    course->refused = false;
    course->waits = HF_WAITS_STEP;
    hf_count(failed ? &kernel->failed : &kernel->used, 1);
    if (!failed) {
        course->stand_ins++;
        course->failed_inside = false;
        course->stood_in_at = (int8_t)pass->entered;
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

/* Left as the innermost step entered: it stands in, or the way goes on outward. */
hf_unwinding
hf_fallback_turn(GateObject *gate, hf_pass *pass, PyObject **result)
{
    int at = pass->entered - 1;
    if (*result != NULL)
        pass_by(gate->steps[at]);
    if (*result != NULL || !stands_in(gate->steps[at], pass->course))
        return HF_UNWOUND;
    pass->entered = at;
    return HF_STAND_IN;
}

/* What stood in was dropped before its end. */
void
hf_fallback_failed(GateObject *step)
{
    hf_count(&((hf_fallback *)step->cell)->failed, 1);
}

static hf_entering
enter(GateObject *step, const hf_pass *pass, hf_hold *hold, hf_refusal *why)
{
    (void)step, (void)pass, (void)hold, (void)why;
    return HF_IN;
}

static int
abandon(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    (void)hold;
    if (pass->course != NULL) /* else a stream, which it let go of at the first item */
        pass_by(step);
    return 0;
}

static void
keep(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    (void)pass, (void)hold;
    pass_by(step);
}

HF_STEP_VERBS(fallback, enter, hf_step_no_leave, hf_step_nothing_held, abandon, keep,
              hf_step_goes_on)
