/*
 * A step that refuses: told to those who listen, waited for in a thread, raised.
 */
#include "control.h"

hf_entering
hf_step_refuse(GateObject *step, hf_refusal *why, hf_reason reason, int64_t retry_after_ns)
{
    why->step = step;
    why->reason = reason;
    why->retry_after_ns = retry_after_ns;
    if (!step->listening)
        return HF_REFUSED;
    return hf_tell_refusal(why) < 0 ? HF_BROKEN : HF_REFUSED;
}

/* Let this thread wait for the step that must be waited for. -1: in vain; an exception is set. */
int
hf_step_block(GateObject *step)
{
    PyObject *answer = PyObject_CallMethod((PyObject *)step, "_block", NULL);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

void
hf_refuse(const hf_refusal *why)
{
    PyObject *exception = hf_rejected_new(why, why->step->rejection);
    if (exception != NULL)
        hf_give_exception(exception);
}
