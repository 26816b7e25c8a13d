/*
 * One timeout on the way in and out: the deadline of what is inside, and what came of it.
 *
 * In a thread the deadline is cooperative: a value that comes late is dropped. In a task an alarm cuts
 * the call short (alarm.c); what it then raises says so here.
 */
#include "alarm.h"
#include "steps.h"

/* The coarse clock lags by a tick at most, which is 10 ms where the kernel ticks slowest. */
#define HF_LAG_NS INT64_C(10000000)

/* ---- in ---- */

/* A permit or a block has no deadline any more, and lets go of the policy that it was of. */
static void
drop_limit(const GateObject *step, hf_hold *hold)
{
    hf_limit *limit = hold->timeout.limit;
    if (limit == NULL)
        return;
    GateObject *owner = limit->deadline.step;
    hold->timeout.limit = NULL;
    hf_limit_free(limit);
    if (owner != step)
        Py_DECREF((PyObject *)owner);
}

/* The time of those around is over: what is inside does not begin. */
static hf_entering
refuse_late(GateObject *step, const hf_deadline *around)
{
    hf_count(&((hf_timeout *)step->cell)->refused, 1);
    hf_raise_exceeded(around, true);
    return HF_BROKEN;
}

/*
 * Enter for a permit or a block, whose deadline would be over at own_ns. It has a limit of its own, which
 * holds the policy whose deadline it is: the call around may end before.
 */
static hf_entering Py_NO_INLINE
enter_held(GateObject *step, hf_hold *hold, int64_t own_ns, int64_t now)
{
    hf_deadline around, own = {step, own_ns};
    if (hf_deadline_in_force(&around) < 0)
        return HF_BROKEN;
    int64_t outer_ns = hf_deadline_on(&around, step->clock, now);
    bool is_late = outer_ns <= now && step->mode != HF_OBSERVE;
    if (is_late)
        refuse_late(step, &around);
    hf_limit *limit = is_late ? NULL : hf_limit_new();
    bool is_own = own_ns < outer_ns || around.step == NULL;
    if (limit == NULL || is_own || around.step == step)
        Py_XDECREF((PyObject *)around.step);
    if (limit == NULL)
        return HF_BROKEN;
    limit->deadline = is_own ? own : around;
    limit->own_ns = own_ns;
    hold->timeout.limit = limit;
    if (step->mode == HF_OBSERVE || hf_limit_apply_to_block(limit) == 0)
        return HF_IN;
    drop_limit(step, hold);
    return HF_BROKEN;
}

static inline hf_entering
enter(GateObject *step, const hf_pass *pass, hf_hold *hold, hf_refusal *why)
{
    (void)why;
    hf_course *course = pass->course;
    int64_t now = pass->clock == step->clock ? pass->now_ns : hf_clock_now_ns(step->clock);
    int64_t own_ns = step->adaptive != NULL
                         ? hf_ns_add(now, hf_adaptive_timeout_get_ns(step->adaptive))
                         : hf_timeout_deadline_ns(step->cell, now);
    hold->since_ns = now;
    hold->timeout.limit = NULL;
    hold->timeout.block = NULL;
    if (course == NULL)
        return enter_held(step, hold, own_ns, now);
    GateObject *around = course->deadline.step;
    int64_t around_ns = course->deadline.ns, outer_ns = INT64_MAX;
    if (around != NULL)
        outer_ns = around->clock == step->clock
                       ? around_ns
                       : hf_deadline_on(&course->deadline, step->clock, now);
    if (outer_ns <= now && step->mode != HF_OBSERVE)
        return refuse_late(step, &course->deadline);
    hold->timeout.own_ns = own_ns;
    hold->timeout.outer.step = around;
    hold->timeout.outer.ns = around_ns;
    if (own_ns >= outer_ns || step->mode == HF_OBSERVE)
        return HF_IN;
    return hf_course_limit(course, (hf_deadline){step, own_ns}) < 0 ? HF_BROKEN : HF_IN;
}

/* ---- out ---- */

/* Whether that deadline, which is some step's, has passed. */
static bool
has_passed(const hf_deadline *deadline, const hf_pass *pass, int64_t end_ns)
{
    const hf_clock *clock = deadline->step->clock;
    if (end_ns != HF_NOTHING_HELD && pass->clock == clock)
        return end_ns >= deadline->ns;
    /* Nearly every call is far from its deadline: precise time is for those that are near. */
    return hf_clock_coarse_ns(clock) >= hf_ns_sub(deadline->ns, HF_LAG_NS) &&
           hf_clock_now_ns(clock) >= deadline->ns;
}

/* Nobody will say how the block ended. */
static void
drop_block(hf_hold *hold)
{
    PyObject *block = hold->timeout.block;
    hold->timeout.block = NULL;
    if (block == NULL)
        return;
    PyObject *raised = hf_take_exception();
    PyObject *answer = PyObject_CallMethod(block, "drop", NULL);
    if (answer == NULL)
        PyErr_WriteUnraisable(block);
    Py_XDECREF(answer);
    Py_DECREF(block);
    hf_give_exception(raised);
}

/* Put the deadline of those outside back into force, and forget the alarm. */
static inline void
drop(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    hf_course *course = pass->course;
    if (course == NULL) {
        drop_block(hold);
        drop_limit(step, hold);
        return;
    }
    if (course->alarms != NULL)
        hf_alarm_clear(course->alarms, (int)(hold - pass->hold));
    hf_course_unlimit(course, hold->timeout.outer);
}

/* In a forked child: of the parent's call nothing rings, and no block of it is open. */
void
hf_timeouts_forget(GateObject *gate, hf_pass *pass)
{
    if (pass->course != NULL) {
        hf_alarms_forget(pass);
        return;
    }
    for (int at = 0; at < pass->entered && gate->controls; at++) {
        if (gate->steps[at]->kind == HF_KIND_TIMEOUT)
            drop(gate->steps[at], pass, &pass->hold[at]);
    }
}

/* The exception that is set was the cut's: raise instead of it, from it, what says so. */
static void
raise_cut(const hf_deadline *deadline)
{
    PyObject *cut = hf_take_exception();
    hf_raise_exceeded(deadline, false);
    PyObject *error = hf_take_exception();
    if (PyException_GetCause(error) == NULL) {
        PyException_SetCause(error, Py_NewRef(cut));
        PyException_SetContext(error, cut);
    } else {
        Py_DECREF(cut);
    }
    hf_give_exception(error);
}

/* What came of the call, as far as its time is concerned. */
typedef enum { IN_TIME, LATE /* its end was after its deadline */, CUT } ending;

/* Whether the alarm of this step, or of one around it, has cut the call, and nobody else did. */
static bool
is_cut(const hf_pass *pass, const hf_hold *hold)
{
    const hf_course *course = pass->course;
    return course->awaits && course->alarms != NULL && course->fired <= (int)(hold - pass->hold) &&
           hf_alarms_cut(course);
}

/* Whether nothing cuts the call short when its time is over: it is then late at its end. */
static bool
is_cooperative(const hf_course *course)
{
    return course == NULL || !course->awaits ||
           (course->alarms != NULL && course->alarms->loop == NULL);
}

static ending
end_of_call(GateObject *step, const hf_pass *pass, const hf_hold *hold, hf_deadline in_force,
            bool has_value, int64_t end_ns)
{
    hf_course *course = pass->course;
    if (step->mode == HF_OBSERVE) {
        int64_t allowed = step->adaptive != NULL
                              ? hf_adaptive_timeout_get_ns(step->adaptive)
                              : hf_load_relaxed(&((hf_timeout *)step->cell)->duration_ns);
        int64_t now = hf_clock_now_ns(step->clock);
        return hf_ns_sub(now, hold->since_ns) >= allowed ? LATE : IN_TIME;
    }
    if (in_force.step == NULL)
        return IN_TIME;
    if (is_cooperative(course))
        return has_passed(&in_force, pass, end_ns) ? LATE : IN_TIME;
    if (has_value)
        return IN_TIME; /* as a block of asyncio.timeout that comes to its end all the same */
    if (is_cut(pass, hold))
        return CUT;
    return has_passed(&in_force, pass, end_ns) ? LATE : IN_TIME;
}

/*
 * Whether the time a call took says how long calls take. Values do, and failures; what was cancelled or
 * refused took as long as somebody else had it, and so did what a timeout around this one cut short.
 */
static bool
is_sample(bool has_value, int outcome, bool own, ending ended)
{
    if (has_value || (own && ended == CUT))
        return true;
    if (outcome == HF_IGNORED || (ended != IN_TIME && !own))
        return false;
    return outcome != HF_UNJUDGED || !PyErr_Occurred() || hf_raised_proves();
}

/* Let the timeout follow what the call took. */
static void
record(GateObject *step, const hf_hold *hold, bool timed_out)
{
    int64_t now = hf_clock_now_ns(step->clock);
    hf_adaptive_timeout_record(step->adaptive, hf_ns_sub(now, hold->since_ns), timed_out);
}

/* A permit is entered: its deadline is no longer that of who has asked for it. */
void
hf_timeouts_entered(GateObject *gate, hf_pass *pass)
{
    for (int at = 0; at < pass->entered && gate->controls; at++) {
        hf_limit *limit = pass->hold[at].timeout.limit;
        if (gate->steps[at]->kind == HF_KIND_TIMEOUT && limit != NULL)
            hf_limit_lift(limit);
    }
}

/*
 * Have Python watch over a block of a task that has been entered. -1: it cannot; an exception is set. Each
 * is told of the one around it in this gate: whichever cuts, all say so.
 */
int
hf_timeouts_open_blocks(GateObject *gate, hf_pass *pass)
{
    PyObject *outer = Py_None;
    for (int at = 0; at < pass->entered; at++) {
        GateObject *step = gate->steps[at];
        hf_hold *hold = &pass->hold[at];
        if (step->kind != HF_KIND_TIMEOUT || step->mode == HF_OBSERVE)
            continue;
        hold->timeout.block = PyObject_CallMethod((PyObject *)step, "_open_block", "LO",
                                                  (long long)hold->timeout.limit->own_ns, outer);
        if (hold->timeout.block == NULL)
            return -1;
        outer = hold->timeout.block;
    }
    return 0;
}

/* Whether its alarm cut the block of a task that is left. -1: interrupted. */
static int
close_block(hf_hold *hold, bool *cut)
{
    PyObject *block = hold->timeout.block, *raised = hf_take_exception();
    PyObject *answer = PyObject_CallMethod(block, "close", "O", raised != NULL ? raised : Py_None);
    hold->timeout.block = NULL;
    Py_DECREF(block);
    if (answer == NULL) {
        hf_chain(raised);
        return -1;
    }
    *cut = answer == Py_True;
    Py_DECREF(answer);
    hf_give_exception(raised);
    return 0;
}

/* Count what came of a call, and raise where its time is over. `own`: the deadline is this step's. */
static int
tell_end(GateObject *step, const hf_deadline *its, bool own, ending ended, bool has_value, bool ran)
{
    hf_timeout *kernel = step->cell;
    if (step->mode == HF_OBSERVE) {
        hf_count(ended == LATE ? &kernel->observed : &kernel->in_time, ran);
        return 0;
    }
    if (own && ended != IN_TIME)
        hf_count(&kernel->expired, 1);
    else
        hf_count(&kernel->in_time, ran);
    if (ended == CUT) {
        raise_cut(its);
        return -1;
    }
    if (ended == IN_TIME || !has_value)
        return 0;
    hf_count(&kernel->late, own);
    hf_raise_exceeded(its, true);
    return -1;
}

/* The same, and let an adaptive timeout follow: last, or its message would tell of the next call. */
static int
end_call(GateObject *step, hf_hold *hold, const hf_deadline *its, bool own, ending ended,
         bool has_value, int outcome, bool ran)
{
    bool sample = step->adaptive != NULL && is_sample(has_value, outcome, own, ended);
    int answer = tell_end(step, its, own, ended, has_value, ran);
    if (sample)
        record(step, hold, own && ended != IN_TIME);
    if (own && ended != IN_TIME && step->mode != HF_OBSERVE)
        hold->since_ns = HF_TIME_IS_OVER; /* who leaves it may count that */
    return answer;
}

/* A permit or a block: what it holds is all there is. */
static int
leave_held(GateObject *step, const hf_pass *pass, hf_hold *hold, bool has_value, int outcome,
           int64_t end_ns)
{
    bool is_async = hold->timeout.block != NULL, cut = false;
    int answer = -1;
    if (hold->timeout.limit == NULL)
        return 0; /* kept only until the first item of a stream */
    hf_limit_lift(hold->timeout.limit);
    hf_deadline its = hold->timeout.limit->deadline;
    if (!is_async || close_block(hold, &cut) == 0) {
        bool in_time = is_async && has_value;
        ending ended = cut       ? CUT
                       : in_time ? IN_TIME
                                 : end_of_call(step, pass, hold, its, has_value, end_ns);
        answer = end_call(step, hold, &its, its.step == step, ended, has_value, outcome, true);
    }
    drop_limit(step, hold);
    return answer;
}

/* The commonest end: a value that came in time, of which nothing but the count is kept. */
static inline bool
is_plainly_in_time(const GateObject *step, const hf_pass *pass, const hf_deadline *in_force,
                   bool has_value, int64_t end_ns)
{
    if (!has_value || step->adaptive != NULL || step->mode == HF_OBSERVE)
        return false;
    if (pass->course->awaits)
        return pass->course->alarms == NULL; /* it never waited */
    return in_force->step != NULL && !has_passed(in_force, pass, end_ns);
}

/* -1: a DeadlineExceededError is set, instead of a result or of what the cut raised. */
static int Py_NO_INLINE
leave(GateObject *step, const hf_pass *pass, hf_hold *hold, PyObject *result, int outcome,
      int64_t end_ns)
{
    hf_course *course = pass->course;
    bool has_value = outcome == HF_UNJUDGED ? result != NULL : outcome == HF_SUCCESS;
    if (course == NULL)
        return leave_held(step, pass, hold, has_value, outcome, end_ns);
    const hf_deadline in_force = {course->deadline.step, course->deadline.ns};
    bool own = !hf_is_same_deadline(&in_force, &hold->timeout.outer);
    drop(step, pass, hold);
    if (is_plainly_in_time(step, pass, &in_force, has_value, end_ns)) {
        hf_count(&((hf_timeout *)step->cell)->in_time, course->ran_here);
        return 0;
    }
    ending ended = end_of_call(step, pass, hold, in_force, has_value, end_ns);
    hf_deadline its = in_force;
    bool fired = course->fired == (int)(hold - pass->hold);
    if (ended == CUT) { /* on another clock an outer one may be over first */
        its = (hf_deadline){hf_alarms_step(course->alarms, course->fired),
                            course->alarms->alarm[course->fired].deadline_ns};
        own = fired;
        hf_cut_again_around(course->limit);
    }
    if (fired)
        course->fired = HF_MAX_STEPS; /* it was this one's: the next attempt has its own */
    return end_call(step, hold, &its, own, ended, has_value, outcome, course->ran_here);
}

/* Whether what is inside all timeouts is late already, where nothing has cut it short. */
bool
hf_timeout_is_late(const hf_pass *pass)
{
    const hf_course *course = pass->course;
    return is_cooperative(course) && course->deadline.step != NULL &&
           has_passed(&course->deadline, pass, HF_NOTHING_HELD);
}

/*
 * Leave with the first item of a stream, which hf_timeout_is_late() has found to be in time. It stays in
 * time whatever the clock shows by now: the item is the caller's already, so nothing can be raised.
 */
static void
keep(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    hf_course *course = pass->course;
    hf_deadline in_force = course->deadline;
    bool own = !hf_is_same_deadline(&in_force, &hold->timeout.outer);
    drop(step, pass, hold);
    ending ended = step->mode == HF_OBSERVE
                       ? end_of_call(step, pass, hold, in_force, true, HF_NOTHING_HELD)
                       : IN_TIME;
    end_call(step, hold, &in_force, own, ended, true, HF_UNJUDGED, course->ran_here);
    hold->timeout.limit = NULL;
    hold->timeout.block = NULL;
}

/* Left, undone or abandoned: its deadline is no more. */
static int
undo(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    drop(step, pass, hold);
    return 0;
}

HF_STEP_VERBS(timeout, enter, leave, undo, undo, keep, hf_step_goes_on)
