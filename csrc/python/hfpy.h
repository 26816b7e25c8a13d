/*
 * The native gate: what its parts share. ARCHITECTURE.md has its files, from the ground up.
 *
 * A policy is a gate of one step; a pipeline is a gate of many. Steps are entered in order and left in
 * reverse. What a call holds meanwhile is an hf_pass: on the C stack of a guarded call, inside the
 * object of everything that outlives a C frame.
 */
#ifndef HFPY_H
#define HFPY_H

#include "hf_build.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "free_list.h"
#include "holdfast/hf_adaptive_rate.h"
#include "holdfast/hf_adaptive_timeout.h"
#include "holdfast/hf_backoff.h"
#include "holdfast/hf_breaker.h"
#include "holdfast/hf_bucket.h"
#include "holdfast/hf_budget.h"
#include "holdfast/hf_bulkhead.h"
#include "holdfast/hf_clock.h"
#include "holdfast/hf_error_budget.h"
#include "holdfast/hf_failure_rate.h"
#include "holdfast/hf_fallback.h"
#include "holdfast/hf_hedge.h"
#include "holdfast/hf_histogram.h"
#include "holdfast/hf_latency_budget.h"
#include "holdfast/hf_pipeline.h"
#include "holdfast/hf_retry.h"
#include "holdfast/hf_roster.h"
#include "holdfast/hf_sliding.h"
#include "holdfast/hf_timeout.h"
#include "py_versions.h"

#define HF_MAX_STEPS 16
#define HF_MAX_CELLS 8 /* limits that one rate limiter applies together */

/* The kinds of steps: its name here, its word in Python, and whose verbs it has (step_*.c; see steps.h). */
#define HF_STEP_KINDS(X)                                                                           \
    X(BREAKER, "breaker", breaker)                                                                 \
    X(BUCKET, "bucket", limiter)                                                                   \
    X(SLIDING, "sliding", limiter)                                                                 \
    X(BULKHEAD, "bulkhead", bulkhead)                                                              \
    X(TIMEOUT, "timeout", timeout)                                                                 \
    X(RETRY, "retry", retry)                                                                       \
    X(FALLBACK, "fallback", fallback)                                                              \
    X(LATENCY_BUDGET, "latency_budget", latency)                                                   \
    X(HEDGE, "hedge", hedge)                                                                       \
    X(ERROR_BUDGET, "error_budget", error_budget)                                                  \
    X(ADAPTIVE, "adaptive", adaptive)                                                              \
    X(CHAOS, "chaos", chaos)

#define HF_KIND_NAME(KIND, word, verbs) HF_KIND_##KIND,
typedef enum { HF_KIND_NONE, HF_STEP_KINDS(HF_KIND_NAME) HF_KIND_PIPELINE } hf_kind;
typedef enum { HF_ENFORCE, HF_OBSERVE, HF_OFF } hf_mode;

typedef struct GateObject GateObject;

/* When what is going on has to be over. */
typedef struct hf_deadline {
    GateObject *step; /* whose it is; NULL: nobody's, there is none */
    int64_t ns;       /* on that policy's clock */
} hf_deadline;

struct hf_course;

/* What one step holds for one call. */
typedef struct hf_hold {
    union {
        struct {
            hf_breaker_permit breaker;
            struct hf_probe *probe; /* of a permit that is one, owned; NULL: there was no memory */
        };
        struct {
            int64_t
                taken_ns;    /* limiter: when its tokens were taken; HF_NOTHING_HELD if none were */
            uint64_t clears; /* how often it had been cleared by then: a later one has them back */
            bool sampled;    /* adaptive: a stream, whose first item was there */
        };
        struct {
            hf_deadline outer; /* of a call: what held outside */
            union {
                int64_t own_ns;         /* of a call: when its alarm is to ring */
                struct hf_limit *limit; /* of a permit or a block, which owns it: its deadline */
            };
            PyObject *block; /* what cuts an `async with` block short, or NULL */
        } timeout;
        struct {
            int64_t previous_ns; /* the delay before this attempt; < 0: it is the first */
            uint32_t retries;    /* made */
            bool ran;            /* what is inside ran, in this attempt's time or before */
            bool failed;         /* the last result was judged a failure */
        } retry;
        struct {
            PyObject *race;    /* with further attempts; NULL: none so far */
            PyObject *context; /* of a task: what further attempts get a copy of */
            int64_t due_ns;    /* when the first further one begins; at the place of own_ns */
            bool failed;       /* the last result was judged a failure */
            bool foreign;      /* the first attempt was cancelled, and not by the race */
        } hedge;
        uint32_t works;       /* bulkhead: how many the call had left behind in threads before */
        uint64_t call_number; /* chaos: of the fault's calls; HF_CHAOS_NO_NUMBER: of none */
    };
    int64_t
        since_ns; /* bulkhead, timeout, retry, latency; a breaker whose clock is not the pass's, or a
                         breaker or an adaptive limiter whose call began before now_ns;
                         error budget: HF_NOTHING_HELD, unless a step inside has refused */
} hf_hold;

#define HF_NOTHING_HELD INT64_MIN
#define HF_TIME_IS_OVER INT64_MAX /* since_ns of a timeout that was left, and had run out */
#define HF_UNJUDGED (-2) /* the outcome is still to be judged from the result or the exception */

/* What a call holds between entering a gate and leaving it. Only the first `entered` holds mean anything. */
typedef struct hf_pass {
    int64_t now_ns;        /* the gate's time when it was last read: the start of the call */
    int64_t began_ns;      /* when it was first read; HF_NOTHING_HELD, or anything: it was not */
    const hf_clock *clock; /* whose time now_ns is; NULL: not read, or stale after a wait */
    uint32_t fork_epoch;   /* the process that entered: a forked child holds nothing */
    int entered;
    struct hf_course
        *course; /* of a call that steps control; NULL: a permit or a block, or none do */
    hf_hold hold[HF_MAX_STEPS];
} hf_pass;

/* Why a step refused, in a word; the first are the states of a breaker. */
typedef enum {
    HF_REASON_HALF_OPEN = HF_HALF_OPEN,
    HF_REASON_OPEN = HF_OPEN,
    HF_REASON_FORCED_OPEN = HF_FORCED_OPEN,
    HF_REASON_RATE = HF_STATES,
    HF_REASON_FULL,
    HF_REASON_TIMEOUT,
    HF_REASON_BUDGET,
    HF_REASONS
} hf_reason;

#define HF_REFUSAL_FIGURES 4 /* of a bulkhead: inside, limit, waiting, max_waiting */

typedef struct hf_refusal {
    GateObject *step; /* borrowed from the gate */
    hf_reason reason;
    uint64_t seen; /* bulkhead: its word. Limiter: which limit refused, from 1; 0: unknown */
    int64_t retry_after_ns; /* < 0: unknown */
    int64_t waited_ns;      /* < 0: unknown */
} hf_refusal;

typedef enum {
    HF_IN,
    HF_REFUSED,
    HF_MUST_WAIT,
    HF_BROKEN, /* a Python error is set */
    HF_FAILED  /* a fault has raised in place of the function, and the gate is left */
} hf_entering;

/* What a gate holds of Python, but for its entries and for what only one kind has. */
#define HF_GATE_OBJECTS(X)                                                                           \
    X(name)                                                                                          \
    X(clock_object)                                                                                  \
    X(equipment) /* a tuple: what a retry or a timeout is equipped with; or NULL */                  \
    X(rejection) /* exception class of its refusals */                                               \
    X(on)        /* a tuple of exception classes, or NULL; so is the next one */                     \
    X(on_neutral)                                                                                    \
    X(ignore)     /* such a tuple, or a predicate */                                                 \
    X(is_failure) /* of a retry: whether a result is to be tried again */                            \
    X(retry_after) /* of a retry: what is asked how long to wait, or NULL; of an error budget that \
                      sheds: the variable with the priority of a call; of an adaptive limiter: whether \
                      an answer throttles */ \
    X(listeners)   /* made when somebody listens; NULL: nobody did so far */                         \
    X(queue)       /* made when somebody waits: a bulkhead's room, a limiter's line, a timeout's   \
                      alarms by event loop; when a breaker opens: why; or NULL */

#define HF_HOLDS_OBJECT(field) PyObject *field;

typedef enum hf_tells { HF_TELLS_FAILURES = 1, HF_TELLS_SUCCESSES = 2 } hf_tells;

struct GateObject {
    PyObject_HEAD
    PyObject *weakrefs;

    uint8_t kind;     /* hf_kind */
    uint8_t mode;     /* hf_mode */
    bool can_wait;    /* a refusal may be waited for: _block() or _suspend() */
    bool listening;   /* rejections are events somebody asked for */
    bool timed;       /* wants the precise duration of the call */
    bool records;     /* breaker: durations go into a histogram, made for the first of them */
    bool reads_clock; /* some step wants the precise time: read once on the way in */
    bool lone;     /* one breaker that judges neither results nor durations: the commonest gate */
    bool controls; /* some step is a timeout, a retry, a hedge or a fallback */
    bool times;    /* some step is a timeout that cuts calls short, or a hedge */
    bool reruns; /* some step may run the call again, or something else instead: no `with` block */
    bool counts : 1;    /* pipeline: the ends of its calls are counted */
    bool judges : 1;    /* some step judges results */
    uint8_t tells : 2;  /* breaker: of which calls a log takes the end: hf_tells */
    uint8_t n_all;      /* the steps with those faults that are no part of it now */
    bool asks;          /* retry: Python is asked or told of every retry */
    bool threads;       /* timeout, hedge: runs what is inside of it in a thread */
    bool on_everything; /* on is (Exception,) */
    uint8_t on_categories, ignore_categories; /* bits: category.c */
    bool results_only;                        /* breaker: is_failure is asked about results alone */
    bool reads_results;    /* retry: a result may have headers that ask for a delay */
    bool stands_by_call;   /* of a fallback: what stands in is called for it */
    bool calls_coroutines; /* call() guards what is to be awaited, as acall() does */
    int8_t threaded_at; /* the first step that runs what is inside of it in a thread; < 0: none */
    uint8_t n_cells;
    uint8_t n_steps;

    /* a policy's own step */
    hf_clock *clock;
    void *cell; /* its kernel; of a limiter the first */

    /* what it is made of: itself, or a pipeline's policies */
    GateObject *own;    /* itself */
    GateObject **steps; /* &own, or an array of its own; borrowed from `parts` */

    /* what only one kind of step has */
    union {
        struct {
            hf_aptr histogram; /* breaker; NULL: none so far */
            uint64_t trip_gen; /* the generation that its trip, in `queue`, is of */
        };
        hf_aptr ends; /* pipeline; NULL: none so far */
        struct {
            hf_au64 clears;                  /* limiter: counted before and after each */
            void **cells;                    /* its kernels: &cell, or an array of its own */
            hf_adaptive_rate *adaptive_rate; /* adaptive: its one kernel is a bucket */
        };
        hf_adaptive_timeout *adaptive; /* timeout; NULL: it does not adapt */
        struct {
            hf_backoff *backoff; /* retry; NULL: asked in Python, as `own_backoff` */
            hf_budget *budget;   /* retry, hedge; NULL: none */
            hf_clock *budget_clock;
            hf_failure_rate *failure_rate;
        };
    };

    union {
        PyObject *kernels; /* what keeps the cells alive: the kernel, or a tuple of several */
        PyObject *parts;   /* of a pipeline: its policies */
    };
    union {
        PyObject *histogram_object; /* breaker; NULL: none so far */
        PyObject *ends_object;      /* pipeline; NULL: none so far */
        PyObject *alarms;      /* timeout, hedge: those in the loop that set the last, or NULL */
        PyObject *own_backoff; /* retry: a back-off in Python, or NULL */
        PyObject *stand_in;    /* fallback: its value, or what gives one */
    };
    union {
        PyObject
            *wanted;    /* retry, breaker, fallback, hedge: the predicate given as `on`, or NULL */
        PyObject *rest; /* of a pipeline: what is inside of a threaded timeout, or NULL */
    };
    HF_GATE_OBJECTS(HF_HOLDS_OBJECT)

    PyObject *open; /* entries without an owner: entry_open.c; NULL: none so far */
    hf_au64 settled_twice;

    hf_au64 observed; /* limiter, bulkhead: refused by the kernel, yet run */
    union {
        hf_au64 unobserved; /* limiter: of those, refused further in, so they did not run */
        hf_au64 busy_ns;    /* bulkhead: time spent inside, over all calls */
    };

    hf_member member; /* of those that forget their counts in a forked child: forked.c */
};

extern uint32_t hf_fork_epoch; /* base.c */

static inline bool
hf_is_limiter(const GateObject *step)
{
    return step->kind == HF_KIND_BUCKET || step->kind == HF_KIND_SLIDING ||
           step->kind == HF_KIND_ADAPTIVE;
}

/* ---- forked.c ---- */
void hf_gate_enlist(GateObject *gate);
void hf_gate_strike(GateObject *gate);
PyObject *hf_fork_number(PyObject *module, PyObject *ignored);
PyObject *hf_fork_settle(PyObject *module, PyObject *ignored);
PyObject *hf_fork_install(PyObject *module, PyObject *callable);

/* ---- gate_enter.c, gate_leave.c ---- */

hf_entering hf_gate_enter(GateObject *gate, hf_pass *pass, hf_refusal *why);
hf_entering hf_gate_enter_waiting(GateObject *gate, hf_pass *pass, hf_refusal *why);
hf_entering hf_gate_enter_steps_waiting(GateObject *gate, hf_pass *pass, hf_refusal *why);
int hf_gate_enter_blocking(GateObject *gate, hf_pass *pass);
int hf_gate_enter_block(GateObject *gate, hf_pass *pass);
PyObject *hf_gate_leave(GateObject *gate, hf_pass *pass, PyObject *result);
int hf_gate_settle(GateObject *gate, hf_pass *pass, int outcome);
int hf_gate_settle_raised(GateObject *gate, hf_pass *pass, PyObject *exception);
void hf_keep_beginnings(const GateObject *gate, hf_pass *pass, int n, bool within_attempt);
void hf_gate_waited(GateObject *gate, hf_pass *pass);
int hf_gate_undo(GateObject *gate, hf_pass *pass);
int hf_gate_abandon(GateObject *gate, hf_pass *pass);
int hf_gate_abandon_unrun(GateObject *gate, hf_pass *pass);
void hf_gate_drop(GateObject *gate, hf_pass *pass, bool ran);
hf_entering hf_gate_enter_steps(GateObject *gate, hf_pass *pass, hf_refusal *why);

static inline void
hf_pass_init(hf_pass *pass)
{
    hf_thread_begin();
    pass->clock = NULL;
    pass->entered = 0;
    pass->fork_epoch = hf_fork_epoch;
    pass->course = NULL;
}

/* Of what may be sixteen holds, most gates use one or two. */
static inline void
hf_pass_copy(hf_pass *to, const hf_pass *from)
{
    memcpy(to, from, offsetof(hf_pass, hold) + (size_t)from->entered * sizeof *from->hold);
}

/*
 * The commonest gate, entered and left without a loop. False: nothing was done, take the general way;
 * which may leave what was entered here. By then the breaker may be timed, and this call is not.
 */
static inline bool
hf_gate_enter_lone(GateObject *gate, hf_pass *pass)
{
    if (!gate->lone || !hf_breaker_admit(gate->cell, &pass->hold[0].breaker))
        return false;
    pass->hold[0].since_ns = HF_NOTHING_HELD;
    pass->entered = 1;
    return true;
}

static inline bool
hf_gate_leave_lone(GateObject *gate, const hf_pass *pass, const PyObject *result)
{
    return gate->lone && result != NULL && pass->fork_epoch == hf_fork_epoch &&
           hf_breaker_settle_fast(gate->cell, &pass->hold[0].breaker);
}

/* ---- gate_ends.c ---- */
int hf_count_end_slow(GateObject *gate, int end, int64_t duration_ns);
int hf_count_raised(GateObject *gate, int64_t duration_ns);
int hf_count_result(GateObject *gate, const hf_pass *pass, int64_t duration_ns);
int hf_count_dropped(GateObject *gate);
void hf_count_timeouts(GateObject *gate, const hf_pass *pass);
bool hf_result_failed(const GateObject *gate, const hf_pass *pass);
PyObject *hf_gate_keep_ends(PyObject *op, PyObject *ends);
PyObject *hf_gate_block_begins(PyObject *op, PyObject *ignored);
PyObject *hf_gate_block_ended(PyObject *op, PyObject *args);

/* How long a call has taken; -1: no step has wanted to know. */
static inline int64_t
hf_pass_duration_ns(const hf_pass *pass, int64_t end_ns)
{
    return end_ns != HF_NOTHING_HELD && pass->began_ns != HF_NOTHING_HELD
               ? hf_ns_sub(end_ns, pass->began_ns)
               : -1;
}

/*
 * A call has ended, with a value or with the exception that is set. -1: the one who makes the counters was
 * interrupted; that exception is set.
 */
static inline int
hf_count_end(GateObject *gate, const hf_pass *pass, bool has_value, int64_t end_ns)
{
    if (!gate->counts)
        return 0;
    int64_t duration_ns = hf_pass_duration_ns(pass, end_ns);
    if (!has_value)
        return hf_count_raised(gate, duration_ns);
    if (gate->judges)
        return hf_count_result(gate, pass, duration_ns);
    hf_pipeline *ends = hf_load_acquire(&gate->ends);
    if (HF_UNLIKELY(ends == NULL))
        return hf_count_end_slow(gate, HF_PIPELINE_SUCCESS, duration_ns);
    hf_pipeline_succeed(ends, duration_ns);
    return 0;
}

/* The counters of an operation's gate, or of a part of it; NULL: it is of no operation. */
static inline hf_pipeline *
hf_operation_of(GateObject *gate)
{
    return gate->kind == HF_KIND_PIPELINE ? hf_load_acquire(&gate->ends) : NULL;
}

/* That step of a gate is left: whether it is a timeout that ran out. */
static inline bool
hf_ran_out(const GateObject *step, const hf_hold *hold)
{
    return step->kind == HF_KIND_TIMEOUT && hold->since_ns == HF_TIME_IS_OVER;
}

/* ---- probe.c ---- */
bool hf_probe_admit(GateObject *step, int64_t now_ns, hf_breaker_permit *permit, hf_change *change);
void hf_probe_begin(const GateObject *step, hf_hold *hold);
void hf_probe_end_slow(GateObject *step, hf_hold *hold);
PyObject *hf_gate_peek_inside(PyObject *op, PyObject *now);
void hf_probes_step(GateObject *gate, const hf_pass *pass, bool into);
int hf_probe_ready(PyObject *module);

/* Whether a permit of this pass may be a probe. */
static inline bool
hf_may_probe(const GateObject *gate, const hf_pass *pass)
{
    return !gate->lone || pass->entered == 0 || (pass->hold[0].breaker.flags & HF_PERMIT_PROBE);
}

/* A permit that this step held has ended. */
static inline void
hf_probe_end(GateObject *step, hf_hold *hold)
{
    if (hold->breaker.flags & HF_PERMIT_PROBE)
        hf_probe_end_slow(step, hold);
}

/* ---- category.c ---- */
int hf_category_ready(void);
int hf_category_of(const GateObject *step, PyTypeObject *type, PyObject *error);
PyObject *hf_forget_classes(PyObject *module, PyObject *ignored);
PyObject *hf_install_rules(PyObject *module, PyObject *function);
PyObject *hf_look(PyObject *module, PyObject *const *args, Py_ssize_t n);
PyObject *hf_classify(PyObject *module, PyObject *error);

/* ---- judge.c ---- */

/* What an exception says about the call. Of what is in a group, several; else one of these. */
enum {
    HF_SAYS_WHAT_IS_IN_IT = 0, /* a group */
    HF_SAYS_SUCCESS = 1,       /* the dependency answered */
    HF_SAYS_FAILURE = 2,
    HF_SAYS_NOTHING = 4, /* ignored by name */
    HF_SAYS_REJECTED = 8,
    HF_SAYS_CANCELLED = 16, /* or interrupted */
    HF_SAYS_BROKEN = 32     /* asking was interrupted; that is set now */
};
unsigned hf_class_says(PyTypeObject *type);
unsigned hf_raised_says(const GateObject *step);
bool hf_is_plain_error(PyObject *exception);
bool hf_raised_proves(void);
int hf_fallback_takes(GateObject *step);
PyObject *hf_need_answer(const char *field, PyObject *fn, PyObject *answer);
int hf_ask(const char *field, PyObject *predicate, PyObject *about);
int hf_ask_about_raised(const char *field, PyObject *predicate);
int hf_step_judge_slowly(GateObject *step, PyObject *result);
int hf_ask_names(GateObject *step);

/* Whether a call that has ended is a success, and nobody is to be asked. */
static inline bool
hf_step_plainly_succeeds(const GateObject *step, const PyObject *result, int outcome)
{
    return outcome == HF_UNJUDGED && result != NULL && step->is_failure == NULL;
}

/*
 * Judge a result, or, with NULL, the exception that is set: HF_SUCCESS, HF_FAILURE or HF_IGNORED. A group in
 * which one failed has failed. -1: a predicate raised: its exception is set (with the call's own as
 * context), and the outcome is to count as ignored.
 */
static inline int
hf_step_judge(GateObject *step, PyObject *result)
{
    return hf_step_plainly_succeeds(step, result, HF_UNJUDGED) ? HF_SUCCESS
                                                               : hf_step_judge_slowly(step, result);
}

/* Groups of exceptions that are still to be looked into, borrowed from the one that they are in. */
#define HF_FEW_GROUPS 16
typedef struct hf_groups {
    PyObject **unseen;
    Py_ssize_t n, room;
    PyObject *few[HF_FEW_GROUPS];
} hf_groups;
void hf_groups_begin(hf_groups *groups, PyObject *group);
void hf_groups_add(hf_groups *groups, PyObject *group);
PyObject *hf_groups_next(hf_groups *groups);

/* ---- rejected.c ---- */
extern PyObject *hf_rejected_type;
hf_entering hf_step_refuse(GateObject *step, hf_refusal *why, hf_reason reason,
                           int64_t retry_after_ns);
void hf_refuse(const hf_refusal *why);
PyObject *hf_gate_refuse(PyObject *op, PyObject *args);
PyObject *hf_rejected_new(const hf_refusal *why, PyObject *type);
PyObject *hf_rejected_at_hand(PyObject *module, PyObject *cls);

/* ---- base.c ---- */
extern PyTypeObject *hf_gate_type, *hf_guard_type, *hf_loose_guard_type, *hf_asking_guard_type,
    *hf_coroutine_type, *hf_permit_type, *hf_outcome_type, *hf_handle_type, *hf_directory_type;
/* sys.modules. Kept: the interpreter ends without one, and finalisers may still call. */
extern PyObject *hf_modules;
PyTypeObject *hf_final_type(PyObject *module, const char *name, size_t size,
                            unsigned long more_flags, PyType_Slot *slots);
void hf_free(PyObject *op);
int hf_need_made(const GateObject *gate);
/* A gate in a message: without its state, which changes from one message to the next. */
#define HF_TITLE "<%.200s %R>"
#define HF_TITLE_OF(gate) Py_TYPE(gate)->tp_name, ((gate)->name != NULL ? (gate)->name : Py_None)
int hf_need_kind(const GateObject *self, bool right, const char *what);
void hf_chain(PyObject *before);
void hf_report_raised(PyObject *asked);
PyObject *hf_attribute_or_null(PyObject *op, const char *name);
PyObject *hf_attribute_if_any(PyObject *op, PyObject *name);

int hf_rejected_ready(PyObject *module);
int hf_gate_ready(PyObject *module);
PyObject *hf_own_methods(PyObject *module, PyObject *op);
int hf_guard_ready(PyObject *module);
int hf_coroutine_ready(PyObject *module);
int hf_permit_ready(PyObject *module);
int hf_entry_ready(PyObject *module, PyTypeObject *gate_type);
int hf_outcome_ready(PyObject *module);
int hf_handle_ready(PyObject *module);
int hf_directory_ready(PyObject *module);

/* ---- gate_bind.c, gate_call.c: methods of Gate ---- */
PyObject *hf_gate_call_counted(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                               PyObject *kwnames);
PyObject *hf_gate_acall_counted(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                                PyObject *kwnames);
PyObject *hf_gate_open(PyObject *op, PyObject *opener);
PyObject *hf_gate_call_within(PyObject *op, PyObject *fn);
PyObject *hf_gate_aopen(PyObject *op, PyObject *opener);
PyObject *hf_gate_bind(PyObject *op, PyObject *args, PyObject *equipment);
int hf_gate_put_tells(PyObject *op, PyObject *value, void *closure);
PyObject *hf_gate_record_latency(PyObject *op, PyObject *ignored);
PyObject *hf_gate_keep_histogram(PyObject *op, PyObject *histogram);
PyObject *hf_gate_once(PyObject *op, PyObject *args);
PyObject *hf_gate_compose(PyObject *op, PyObject *args);
PyObject *hf_gate_call(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *hf_held_gate_call(GateObject *gate, const char *method, PyObject *const *args,
                            Py_ssize_t nargs, PyObject *kwnames);
PyObject *hf_gate_try_call(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                           PyObject *kwnames);
PyObject *hf_gate_acall(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *hf_gate_acall_as(GateObject *gate, const char *method, PyObject *const *args,
                           Py_ssize_t nargs, PyObject *kwnames);
PyObject *hf_gate_try_acall(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                            PyObject *kwnames);
int hf_need_no_rerun(GateObject *gate);
int hf_need_no_hedge(GateObject *gate);
/* ---- step_breaker.c, step_bulkhead.c, step_limiter.c: methods of Gate ---- */
PyObject *hf_gate_keep_trip(PyObject *op, PyObject *args);
PyObject *hf_gate_try_enter(PyObject *op, PyObject *ignored);
PyObject *hf_gate_leave_place(PyObject *op, PyObject *place);
PyObject *hf_gate_weight(PyObject *op, PyObject *n);
PyObject *hf_gate_try_take(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                           PyObject *kwnames);
PyObject *hf_gate_wait_ns(PyObject *op, PyObject *n);
PyObject *hf_gate_count_clear(PyObject *op, PyObject *ignored);

PyObject *hf_gate_permit(PyObject *op, PyObject *ignored);
PyObject *hf_gate_apermit(PyObject *op, PyObject *ignored);

/* ---- callable_kind.c, guard.c, guard_type.c ---- */
typedef enum {
    HF_CALL_BROKEN = -1, /* a Python error is set; the others: see waiting/late.py */
    HF_CALL_PLAIN,
    HF_CALL_COROUTINE,
    HF_CALL_GENERATOR,
    HF_CALL_ASYNC_GENERATOR
} hf_callable;
hf_callable hf_callable_kind(PyObject *fn);
/* The end of a message about what is no callable: "" or what was probably meant. */
const char *hf_callable_meant(PyObject *given);
PyObject *hf_callable_number(PyObject *module, PyObject *fn);
int hf_callable_kind_ready(void);
extern PyTypeObject *hf_partial_type; /* functools.partial */

static inline bool
hf_is_guard(const PyObject *op)
{
    return Py_IS_TYPE(op, hf_guard_type) || Py_IS_TYPE(op, hf_loose_guard_type) ||
           Py_IS_TYPE(op, hf_asking_guard_type);
}

PyObject *hf_guard_new(PyObject *policy, PyObject *fn);
PyObject *hf_guard_install_face(PyObject *module, PyObject *given);
PyObject *hf_guard_inside(PyObject *module, PyObject *op);

/* ---- coroutine.c ---- */
typedef enum {
    HF_FOR_RESULT,
    HF_FOR_OUTCOME,
    HF_FOR_PERMIT,
    HF_FOR_ENTRY,
    HF_FOR_STATS, /* this and the next have a course in every gate */
    HF_FOR_STREAM
} hf_purpose;
PyObject *hf_coroutine_of(GateObject *gate, PyObject *inner);
PyObject *hf_coroutine_of_call(GateObject *gate, PyObject *inner, PyObject *fn,
                               PyObject *const *args, size_t nargsf, PyObject *kwnames);

/* A coroutine that somebody made by calling a function, guarded or not. */
static inline bool
hf_is_coroutine(const PyObject *op)
{
    return PyCoro_CheckExact(op) || Py_IS_TYPE(op, hf_coroutine_type);
}

/* The same of a generator: types.coroutine makes them. */
static inline bool
hf_is_generator_coroutine(PyObject *op)
{
    if (!PyGen_CheckExact(op))
        return false;
    PyObject *code = PyObject_GetAttrString(op, "gi_code");
    bool answer = code != NULL && (((PyCodeObject *)code)->co_flags & CO_ITERABLE_COROUTINE);
    Py_XDECREF(code);
    PyErr_Clear();
    return answer;
}

PyObject *hf_coroutine_call(GateObject *gate, hf_purpose purpose, PyObject *const *args,
                            Py_ssize_t nargs, PyObject *kwnames);
PyObject *hf_coroutine_enter(GateObject *gate, hf_purpose purpose, PyObject *entry);

/* ---- late.c ---- */
typedef enum {
    HF_NOT_LATE,
    HF_LATE_COROUTINE,
    HF_LATE_GENERATOR,
    HF_LATE_ASYNC_GENERATOR,
    HF_LATE_MANAGER, /* this and the next: of contextlib */
    HF_LATE_ASYNC_MANAGER,
    HF_LATE_AWAITABLE,
    HF_LATE_TASK,   /* this and the next run already: a future of asyncio, */
    HF_LATE_FUTURE, /* one of concurrent.futures */
    HF_PUT_OFF,     /* no result: the call would have to wait before it, and nothing is held */
    HF_STOOD_IN     /* what a fallback gave */
} hf_late;
int hf_late_ready(void);
hf_late hf_late_kind(PyObject *op);
bool hf_is_of_contextlib(PyObject *fn);
PyObject *hf_late_guarded(GateObject *gate, hf_pass *pass, hf_late kind, PyObject *late,
                          PyObject *fn, PyObject *const *args, size_t nargsf, PyObject *kwnames);
bool hf_late_is_for_call(hf_late kind, PyObject *late);
PyObject *hf_late_refuse(GateObject *gate, hf_pass *pass, hf_late kind, PyObject *late,
                         const char *method, PyObject *fn);
PyObject *hf_gate_await(PyObject *op, PyObject *given);

/* False for what most functions return: None, numbers, text, containers. Others take a closer look. */
static inline bool
hf_may_come_late(const PyObject *op)
{
    return Py_TYPE(op)->tp_as_async != NULL;
}

static inline hf_late
hf_late_result(PyObject *op)
{
    return op != NULL && hf_may_come_late(op) ? hf_late_kind(op) : HF_NOT_LATE;
}

/* ---- invoke.c, gate_run.c ---- */
int hf_pack_call(PyObject *const *args, size_t nargsf, PyObject *kwnames, PyObject **tuple,
                 PyObject **dict);
PyObject *hf_invoke(PyObject *fn, PyObject *const *args, size_t nargsf, PyObject *kwnames);
PyObject *hf_gate_stream(GateObject *gate, const char *drive, PyObject *stream, PyObject *fn,
                         PyObject *const *args, size_t nargsf, PyObject *kwnames);
int hf_pack_call_for_python(PyObject *const *args, size_t nargsf, PyObject *kwnames,
                            PyObject **tuple, PyObject **dict);
PyObject *hf_gate_run_call(GateObject *gate, PyObject *fn, PyObject *const *args, size_t nargsf,
                           PyObject *kwnames, bool puts_off, hf_late *late);

/* ---- permit.c, entry.c, entry_open.c, outcome.c, places.c ---- */
const hf_pass *hf_entry_pass(PyObject *op, const GateObject **gate);
const hf_pass *hf_permit_pass(PyObject *op, const GateObject **gate);
const hf_pass *hf_coroutine_pass(PyObject *op, const GateObject **gate);
PyObject *hf_gate_places_in(PyObject *op, PyObject *holder);
PyObject *hf_referents(PyObject *module, PyObject *one);
PyObject *hf_permit_new(GateObject *gate, const hf_pass *pass);
PyObject *hf_permit_with(GateObject *gate, hf_pass *pass, PyObject *value);
void hf_entry_take(PyObject *entry, const hf_pass *pass);
void hf_entry_leave_open(GateObject *gate, const hf_pass *pass);
bool hf_entry_take_open(GateObject *gate, hf_pass *pass);
void hf_entries_forget(GateObject *gate);
PyObject *hf_gate_leave_entry(PyObject *op, PyObject *args);
PyObject *hf_outcome_value(PyObject *value);
PyObject *hf_outcome_raised(bool refused);
PyObject *hf_outcome_refused(const hf_refusal *why);

#endif /* HFPY_H */
