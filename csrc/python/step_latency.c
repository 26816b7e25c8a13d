/*
 * One latency budget on the way in and out: it keeps nobody out, and records how long a call took.
 */
#include "steps.h"

static hf_entering
enter(GateObject *step, const hf_pass *pass, hf_hold *hold, hf_refusal *why)
{
    (void)why;
    hold->since_ns = pass->clock == step->clock ? pass->now_ns : hf_clock_now_ns(step->clock);
    return HF_IN;
}

/*
 * Tell the policy that it became exhausted or recovered, with whatever exception the call raised set aside. -1:
 * the listener ended the call (KeyboardInterrupt and the like); its exception is set.
 */
static int Py_NO_INLINE
report_turn(GateObject *step)
{
    PyObject *raised = hf_take_exception();
    PyObject *answer = PyObject_CallMethod((PyObject *)step, "_turned", NULL);
    if (answer == NULL && !PyErr_ExceptionMatches(PyExc_Exception)) {
        hf_chain(raised);
        return -1;
    }
    if (answer == NULL)
        hf_report_raised((PyObject *)step);
    Py_XDECREF(answer);
    hf_give_exception(raised);
    return 0;
}

/*
 * A failure that comes quickly says nothing about latency; one that comes late is a caller who has waited too
 * long. What was cancelled or refused says nothing, for it took as long as somebody else had it.
 */
static inline bool
is_sample(const GateObject *step, int verdict, int64_t ns)
{
    return verdict == HF_SUCCESS ||
           (verdict == HF_FAILURE && ns > ((const hf_latency_budget *)step->cell)->target_ns);
}

static int
leave(GateObject *step, const hf_pass *pass, hf_hold *hold, PyObject *result, int outcome,
      int64_t end_ns)
{
    int verdict = outcome != HF_UNJUDGED ? outcome
                  : result != NULL       ? HF_SUCCESS
                                         : hf_step_judge(step, NULL);
    int64_t end = pass->clock == step->clock && end_ns != HF_NOTHING_HELD
                      ? end_ns
                      : hf_clock_now_ns(step->clock);
    int64_t ns = hf_ns_sub(end, hold->since_ns);
    if (verdict < 0)
        return -1;
    return is_sample(step, verdict, ns) && hf_latency_budget_record(step->cell, ns)
               ? report_turn(step)
               : 0;
}

HF_STEP_VERBS(latency, enter, leave, hf_step_nothing_held, hf_step_nothing_held, hf_step_goes_on,
              hf_step_goes_on)
