/*
 * The course of one controlled call: its beginning, its deadline, its end.
 */
#include "control.h"

/* -1: an exception is set. */
int
hf_course_begin(hf_course *course, hf_pass *pass, bool awaits)
{
    hf_pass_init(pass);
    pass->began_ns = HF_NOTHING_HELD;
    course->attempts = course->stand_ins = 0;
    course->ran_here = course->refused = course->failed_inside = false;
    course->stood_in_at = HF_MAX_STEPS;
    course->waits = HF_WAITS_STEP;
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
    course->around = course->deadline.step = NULL;
    course->deadline.ns = 0;
    if (!hf_may_have_deadline())
        return 0;
    int answer = hf_deadline_find(&course->deadline);
    course->around = course->deadline.step;
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
    Py_CLEAR(course->around);
}

/* What the call has taken, beside its outcome, which is stolen. */
PyObject *
hf_course_counts(const hf_course *course, PyObject *outcome)
{
    return Py_BuildValue("NILI", outcome, course->attempts, (long long)course->waited_ns,
                         course->stand_ins);
}

/*
 * The time of the call is about to be read anew, after an attempt or while one is under way: the first `n` steps
 * go on measuring from where they began. But an adaptive limiter measures the last attempt alone.
 */
void
hf_keep_beginnings(const GateObject *gate, hf_pass *pass, int n, bool within_attempt)
{
    for (int at = 0; at < n; at++) {
        const GateObject *step = gate->steps[at];
        hf_hold *hold = &pass->hold[at];
        bool attempts = step->kind == HF_KIND_ADAPTIVE;
        if (attempts && !within_attempt)
            hold->since_ns = HF_NOTHING_HELD;
        else if ((attempts || step->kind == HF_KIND_BREAKER) && hold->since_ns == HF_NOTHING_HELD &&
                 pass->clock == step->clock)
            hold->since_ns = pass->now_ns;
    }
}
