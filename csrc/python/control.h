/*
 * Calls that are controlled: retries run them again, hedges run them once more beside, timeouts cut them short,
 * fallbacks stand in.
 *
 * A gate is entered and left as any other, but a step that controls may turn the way out around:
 *
 *   enter -> run -> unwind --HF_UNWOUND--> done
 *     ^               |  |
 *     |  HF_AGAIN,    |  +--HF_STAND_IN--> the fallback --> unwind from the steps outside of it
 *     +--HF_PAUSE <---+
 *
 * What is decided here is the same for threads and for tasks; gate_run.c and coroutine_step.c differ in how
 * they wait. The state of one call is its hf_course.
 */
#ifndef HF_CONTROL_H
#define HF_CONTROL_H

#include "deadline_flow.h"

/* ---- deadline.c ---- */

int hf_deadline_ready(PyObject *module);
int64_t hf_deadline_left_ns(const hf_deadline *deadline);
int64_t hf_deadline_on(const hf_deadline *deadline, const hf_clock *clock, int64_t now_ns);
void hf_raise_exceeded(const hf_deadline *deadline, bool cooperative);

static inline bool
hf_is_same_deadline(const hf_deadline *a, const hf_deadline *b)
{
    return a->step == b->step && a->ns == b->ns;
}

/* ---- alarm_loop.c ---- */

typedef enum {
    HF_UNKNOWN, /* an exception is set */
    HF_OUTSIDE, /* no loop runs here */
    HF_IN_LOOP
} hf_surroundings;

PyObject *hf_asyncio_install(PyObject *module, PyObject *callable);
int hf_find_driver(PyObject **loop, PyObject **task);
int hf_task_here(PyObject **task);
bool hf_loop_runs_here(void);
hf_surroundings hf_task_around(const void **loop, const void **its, PyObject **context);

/* ---- the course of one call ---- */

typedef enum {
    HF_WAITS_STEP,
    HF_WAITS_PAUSE,    /* a retry was granted and has not begun */
    HF_WAITS_STAND_IN, /* what the fallback pass->entered gave is awaited */
    HF_WAITS_RACE      /* the race of the hedge pass->entered */
} hf_waits;

typedef struct hf_course {
    hf_deadline deadline; /* of what is inside the steps that are entered */
    GateObject *around;   /* whose deadline held where the call began, which is held; or NULL */
    hf_limit *limit;    /* what the first is in force by, while the call or a step of it is made */
    uint32_t attempts;  /* calls of the function */
    uint32_t stand_ins; /* fallbacks that gave the result */
    bool ran_here;      /* in the step that is left next the function was called, or stood in for */
    bool refused;       /* what is raised is a refusal by a step of this gate */
    bool failed_inside; /* in a thread a step has judged the last result a failure */
    int8_t stood_in_at; /* the fallback that gave the last result; HF_MAX_STEPS: none did */
    bool keeps;         /* a stream: its result is its first item, which nobody judges */
    uint8_t waits;      /* hf_waits: what for, if the call is suspended in none of its attempts */
    bool awaits;        /* a task: deadlines are its alarms', where it has any */
    bool threaded;      /* what is inside of gate->threaded_at runs in a thread */
    uint8_t late;       /* hf_late: the result is to run yet, and nothing is held */
    int8_t fired;       /* the outermost timeout whose alarm cut the call; HF_MAX_STEPS: none did */
    int64_t pause_ns;   /* HF_PAUSE: how long */
    int64_t waited_ns;  /* all pauses together */
    PyObject *works;    /* a list: what goes on in threads though the call has left it behind */
    struct hf_alarms *alarms; /* of a task that was suspended */
} hf_course;

typedef struct hf_invocation {
    PyObject *fn;
    PyObject *const *args;
    size_t nargsf;
    PyObject *kwnames;
    bool puts_off; /* not to be waited for here: HF_PUT_OFF instead */
} hf_invocation;

int hf_course_begin(hf_course *course, hf_pass *pass, bool awaits);
void hf_course_end(hf_course *course);

int hf_course_limit_first(hf_course *course, hf_deadline deadline);
void hf_course_unlimit(hf_course *course, hf_deadline outer);

/* What is inside from here on has that deadline. -1: an exception is set. */
static inline int
hf_course_limit(hf_course *course, hf_deadline deadline)
{
    hf_limit *limit = course->limit;
    if (limit == NULL || limit->flow == NULL)
        return hf_course_limit_first(course, deadline);
    limit->deadline = course->deadline = deadline;
    return 0;
}

/* A step of a task begins, in whatever thread, with the deadline that the call has reached. */
static inline void
hf_course_resume(hf_course *course)
{
    if (course->deadline.step != NULL && hf_course_limit(course, course->deadline) < 0)
        PyErr_Clear(); /* there is no memory to have it seen */
}

static inline void
hf_course_suspend(hf_course *course)
{
    if (course->limit != NULL)
        hf_limit_lift(course->limit);
}

PyObject *hf_course_counts(const hf_course *course, PyObject *outcome);

/* ---- gate_unwind.c ---- */

typedef enum {
    HF_UNWOUND,  /* left: the result, or the exception that is set, is the call's */
    HF_AGAIN,    /* enter again from pass->entered on */
    HF_PAUSE,    /* the same after course->pause_ns */
    HF_STAND_IN, /* the fallback pass->entered is to give the result; the exception is set */
    HF_RACE,     /* the hedge pass->entered has further attempts, or is to begin one */
} hf_unwinding;

hf_unwinding hf_gate_unwind(GateObject *gate, hf_pass *pass, PyObject **result);
void hf_pause_ended(GateObject *gate, hf_pass *pass, bool interrupted);
int hf_gate_abandon_course(GateObject *gate, hf_pass *pass);
bool hf_gate_keep(GateObject *gate, hf_pass *pass);

/* ---- step_retry.c and others: what is theirs alone; else see steps.h ---- */

extern hf_au32 hf_retrying_off; /* no call is tried again: somebody tests without retries */
int hf_retry_ready(void);
int hf_adaptive_ready(void);
hf_unwinding hf_retry_turn(GateObject *gate, hf_pass *pass, PyObject **result);
void hf_retry_paused(GateObject *step, const hf_hold *hold, bool interrupted);
hf_unwinding hf_fallback_turn(GateObject *gate, hf_pass *pass, PyObject **result);
void hf_fallback_failed(GateObject *step);
PyObject *hf_stand_in(GateObject *step, PyObject *exception);
void hf_stood_in(GateObject *step, hf_pass *pass, PyObject *exception, bool failed);

hf_unwinding hf_hedge_turn(GateObject *gate, hf_pass *pass, PyObject **result);
void hf_hedge_release(hf_hold *hold);
void hf_raced(GateObject *gate, hf_pass *pass, bool has_value, bool failed);
PyObject *hf_gate_attempt_failed(PyObject *op, PyObject *args);

void hf_timeouts_forget(GateObject *gate, hf_pass *pass);
int hf_timeouts_open_blocks(GateObject *gate, hf_pass *pass);
void hf_timeouts_entered(GateObject *gate, hf_pass *pass);
bool hf_timeout_is_late(const hf_pass *pass);

PyObject *hf_gate_attempt_made(PyObject *op, PyObject *args);
PyObject *hf_gate_pause_ended(PyObject *op, PyObject *args);
PyObject *hf_gate_check_begin(PyObject *op, PyObject *ignored);

/* ---- alarm.c, alarm_queue.c ---- */

int hf_alarms_set(GateObject *gate, hf_pass *pass, PyObject *yielded, PyObject *coroutine);
void hf_alarms_ring_again(const hf_pass *pass);
void hf_alarms_share(const hf_course *course);
bool hf_alarms_wake(hf_course *course);
int hf_refuse_trio(PyObject *gate);
bool hf_alarms_cut(const hf_course *course);
void hf_alarm_clear(struct hf_alarms *alarms, int at);
void hf_alarms_forget(const hf_pass *pass);
int hf_alarms_traverse(const hf_course *course, visitproc visit, void *arg);
void hf_alarms_end(hf_course *course);
int hf_alarm_ready(PyObject *module);
int hf_race_ready(PyObject *module);

/* ---- gate_run.c ---- */

/* The arguments of a call that may be made again, held: few in here, many in memory of their own. */
#define HF_FEW_ARGUMENTS 8
typedef struct hf_kept_call {
    PyObject **items; /* NULL: none are held */
    Py_ssize_t n;
    PyObject *kwnames;
    PyObject *few[HF_FEW_ARGUMENTS + 1]; /* the first is for who is called to write to */
} hf_kept_call;

int hf_keep_call_slowly(hf_kept_call *kept, hf_invocation *what);
void hf_let_go_of_call_slowly(hf_kept_call *kept);

/* -1: no memory. */
static inline int
hf_keep_call(const GateObject *gate, hf_kept_call *kept, hf_invocation *what)
{
    kept->items = NULL;
    return gate->reruns ? hf_keep_call_slowly(kept, what) : 0;
}

static inline void
hf_let_go_of_call(hf_kept_call *kept)
{
    if (kept->items != NULL)
        hf_let_go_of_call_slowly(kept);
}

PyObject *hf_gate_run(GateObject *gate, hf_pass *pass, hf_course *course, const hf_invocation *what,
                      bool keep);

#endif /* HF_CONTROL_H */
