/*
 * One adaptive rate limiter on the way in and out. In, it is a limiter like any other; out, it learns what
 * the call took, and whether it was throttled.
 */
#include "steps.h"

/* ---- whether an answer throttles ---- */

/* The attributes that say so, of results: those of HTTP responses, and the delay itself. */
static const char *const attributes[] = {"status_code", "status", "retry_after"};
#define N_ATTRIBUTES (sizeof attributes / sizeof *attributes)
static PyObject *attribute_names[N_ATTRIBUTES];
#define HTTP_ERRORS 400

int
hf_adaptive_ready(void)
{
    for (size_t i = 0; i < N_ATTRIBUTES; i++) {
        attribute_names[i] = PyUnicode_InternFromString(attributes[i]);
        if (attribute_names[i] == NULL)
            return -1;
    }
    return 0;
}

/* Have Python look for a delay; what it raises is no answer, but for an interruption: -1. */
static int
look(GateObject *step, PyObject *about)
{
    PyObject *answer = PyObject_CallMethod((PyObject *)step, "_throttles", "(O)", about);
    int throttles = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    if (throttles < 0 && PyErr_ExceptionMatches(PyExc_Exception)) {
        hf_report_raised((PyObject *)step);
        throttles = 0;
    }
    return throttles;
}

/* Whether a result may ask for a delay: only an error's response, or what has one and no status. */
static int
may_throttle(PyObject *result)
{
    for (size_t i = 0; i < N_ATTRIBUTES; i++) {
        PyObject *value = hf_attribute_if_any(result, attribute_names[i]);
        if (value == NULL && PyErr_Occurred()) {
            if (!PyErr_ExceptionMatches(PyExc_Exception))
                return -1;
            PyErr_Clear();
        }
        bool is_delay = i == N_ATTRIBUTES - 1;
        bool has = value != NULL && (is_delay ? value != Py_None : PyLong_Check(value));
        long status = has && !is_delay ? PyLong_AsLong(value) : HTTP_ERRORS;
        Py_XDECREF(value);
        if (status == -1 && PyErr_Occurred())
            PyErr_Clear();
        if (has)
            return status >= HTTP_ERRORS;
    }
    return 0;
}

/* Nothing is looked for in results of CPython's own types. */
static inline bool
says_nothing(const GateObject *step, PyObject *result)
{
    return step->retry_after == NULL && !PyType_HasFeature(Py_TYPE(result), Py_TPFLAGS_HEAPTYPE);
}

/* -1: an exception is set. */
static int
result_throttles(GateObject *step, PyObject *result)
{
    if (step->retry_after != NULL)
        return hf_ask("on_throttle", step->retry_after, result);
    if (says_nothing(step, result))
        return 0;
    int may = may_throttle(result);
    return may > 0 ? look(step, result) : may;
}

/* The same of the exception that is set, which stays so. */
static int
raised_throttles(GateObject *step)
{
    if (step->retry_after != NULL)
        return hf_ask_about_raised("on_throttle", step->retry_after);
    PyObject *raised = hf_take_exception();
    int throttles = hf_is_plain_error(raised) ? 0 : look(step, raised);
    if (throttles < 0)
        hf_chain(raised);
    else
        hf_give_exception(raised);
    return throttles;
}

/* ---- what a call says ---- */

typedef enum { NOTHING = -2, BROKEN = -1 } no_evidence; /* beside hf_rate_evidence */

/* What a call that has ended says of the rate. BROKEN: what was asked has raised; that is set. */
static int
evidence_of(GateObject *step, PyObject *result, int outcome)
{
    if (outcome != HF_UNJUDGED)
        return outcome == HF_SUCCESS   ? HF_RATE_LATENCY
               : outcome == HF_FAILURE ? HF_RATE_AT_LEAST
                                       : NOTHING;
    int throttles;
    if (result != NULL) {
        throttles = result_throttles(step, result);
    } else {
        unsigned says = hf_raised_says(step);
        if (!(says & (HF_SAYS_SUCCESS | HF_SAYS_FAILURE)))
            return says & HF_SAYS_CANCELLED ? HF_RATE_AT_LEAST : NOTHING;
        throttles = raised_throttles(step);
    }
    if (throttles != 0)
        return throttles < 0 ? BROKEN : HF_RATE_THROTTLING;
    return result != NULL ? HF_RATE_LATENCY : HF_RATE_AT_LEAST;
}

/*
 * Tell those who wait, and listeners, of another rate. -1: interrupted (KeyboardInterrupt and the like); that
 * exception is set.
 */
static int Py_NO_INLINE
tell(GateObject *step, hf_rate_move move, uint64_t before)
{
    if (!step->listening && step->queue == NULL)
        return 0;
    PyObject *raised = hf_take_exception();
    PyObject *answer = PyObject_CallMethod((PyObject *)step, "_adjusted", "iK", (int)move,
                                           (unsigned long long)before);
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
 * The call began when its time was last read: waits inside of the limiter are behind it by then, and so are
 * the attempts and the pauses of a retry before the last attempt. Or before, if a fault has struck it since.
 */
static int
sample(GateObject *step, const hf_pass *pass, const hf_hold *hold, int evidence, int64_t end_ns)
{
    bool shared = pass->clock == step->clock;
    int64_t now = shared && end_ns != HF_NOTHING_HELD ? end_ns : hf_clock_now_ns(step->clock);
    int64_t began_ns = hold->since_ns != HF_NOTHING_HELD ? hold->since_ns
                       : shared                          ? pass->now_ns
                                                         : hold->taken_ns;
    uint64_t before;
    hf_rate_move move =
        hf_adaptive_rate_record(step->adaptive_rate, step->cell, (hf_rate_evidence)evidence,
                                hold->taken_ns, now, hf_ns_sub(now, began_ns), &before);
    return HF_UNLIKELY(move != HF_RATE_KEPT) ? tell(step, move, before) : 0;
}

/* ---- the verbs ---- */

static inline hf_entering
enter(GateObject *step, const hf_pass *pass, hf_hold *hold, hf_refusal *why)
{
    hold->sampled = false;
    hold->since_ns = HF_NOTHING_HELD;
    return hf_limiter_step_enter(step, pass, hold, why);
}

static int Py_NO_INLINE
leave_with_evidence(GateObject *step, const hf_pass *pass, hf_hold *hold, PyObject *result,
                    int outcome, int64_t end_ns)
{
    int evidence = evidence_of(step, result, outcome);
    return evidence < 0 ? (evidence == BROKEN ? -1 : 0)
                        : sample(step, pass, hold, evidence, end_ns);
}

static int
leave(GateObject *step, const hf_pass *pass, hf_hold *hold, PyObject *result, int outcome,
      int64_t end_ns)
{
    if (hold->sampled || hold->taken_ns == HF_NOTHING_HELD)
        return 0;
    return HF_LIKELY(outcome == HF_UNJUDGED && result != NULL && says_nothing(step, result))
               ? sample(step, pass, hold, HF_RATE_LATENCY, end_ns)
               : leave_with_evidence(step, pass, hold, result, outcome, end_ns);
}

/* A stream takes as long as its first item: what comes after that, its consumer asks for. */
static void
keep(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    if (hold->taken_ns != HF_NOTHING_HELD &&
        sample(step, pass, hold, HF_RATE_LATENCY, HF_NOTHING_HELD) < 0)
        PyErr_WriteUnraisable((PyObject *)step); /* the stream has begun all the same */
    hold->sampled = true;
}

static void
waited(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    hold->sampled = false;
    hold->since_ns = HF_NOTHING_HELD;
    hf_limiter_step_waited(step, pass, hold);
}

HF_STEP_VERBS(adaptive, enter, leave, hf_limiter_step_undo, hf_step_nothing_held, keep, waited)
