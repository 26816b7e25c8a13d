/*
 * Limits, deadlines that are in force somewhere: deadline_flow.c, and what of it every call goes through.
 */
#ifndef HF_DEADLINE_FLOW_H
#define HF_DEADLINE_FLOW_H

#include "hfpy.h"

#define HF_FREE_LIMITS 64

typedef struct hf_limit {
    hf_deadline
        deadline; /* whose policy is held by who has set it, also while it is not in force */
    struct hf_limit *before, *after;
    struct hf_limit *shorter; /* of a block: the next that may be shorter; see name_shorter() */
    struct hf_flow *flow;     /* where it is in force; NULL: nowhere */
    struct hf_flows *flows;   /* of the thread of that */
    PyObject *of;   /* its context, strong; of a block a weak reference to its task, or to that */
    int64_t own_ns; /* of a block: when its task is to be cut, on its policy's clock */
    uint8_t cuts;   /* how many timeouts of the call have asked its task to end */
    bool cut_again; /* if it was cut, that was taken for the cut of a call inside of it */
    bool is_block;
    bool is_named; /* as the `shorter` of one before it */
#ifdef Py_GIL_DISABLED
    bool is_left;  /* in the list of those that other threads left; it holds its policy */
    bool is_freed; /* of such a one: nobody else needs it */
    struct hf_limit *left_after;
#endif
} hf_limit;

typedef struct hf_link {
    struct hf_link *next, **at;
} hf_link;

/* The limits of one context; or, always away, those of the blocks of one task. */
typedef struct hf_flow {
    hf_link by_key, by_stack; /* while it is away */
    const void *key;          /* the context, or the address after the task's; only compared */
    PyObject *known;          /* a weak reference to the context whose task is known; or NULL */
    const void *loop, *task;  /* that this belongs to, or NULL; only compared */
    const void *stack;        /* the data stack of its first limit */
    hf_limit *first;          /* the newest */
    uint64_t since;           /* how many flows had a first limit before, in this thread */
} hf_flow;

/*
 * The flows of one thread, which nobody else changes. Without the GIL, another thread that leaves a block puts
 * its limit into a list; this thread takes out what is in the list before it looks at its limits.
 */
typedef struct hf_flows {
    hf_flow *now;   /* of the context that was last asked for; perhaps without a limit */
    hf_flow *spare; /* one more, or NULL */
    hf_limit *free; /* linked by `after` */
    int n_free;
    Py_ssize_t limits; /* in force, in all its flows */
    Py_ssize_t blocks; /* of those blocks' */
    uint64_t begun;    /* how often a flow had its first limit */
    size_t away, mask; /* flows in the tables; their size less one */
    hf_link **by_key, **by_stack;
#ifdef Py_GIL_DISABLED
    hf_limit *left; /* by other threads, linked by `left_after` */
#endif
} hf_flows;

extern HF_HERE hf_flows *hf_flows_here;

#ifdef Py_GIL_DISABLED
#define HF_FLOWS_OF(limit) ((hf_flows *)_Py_atomic_load_ptr_acquire(&(limit)->flows))
#define HF_SET_FLOWS(limit, value) _Py_atomic_store_ptr_release(&(limit)->flows, value)
#else
#define HF_FLOWS_OF(limit) ((limit)->flows)
#define HF_SET_FLOWS(limit, value) ((limit)->flows = (value))
#endif

PyObject *hf_context_here(void);
hf_limit *hf_limit_new_slowly(void);
int hf_limit_apply_slowly(hf_limit *limit);
int hf_limit_apply_to_block(hf_limit *limit);
void hf_limit_lift_slowly(hf_limit *limit);
void hf_limit_free_slowly(hf_limit *limit);
void hf_limit_rename(hf_limit *limit);
int hf_deadline_find(hf_deadline *deadline);
void hf_flows_tidy_slowly(hf_flows *flows);
long hf_cuts_around(const hf_limit *own);
void hf_cut_again_around(const hf_limit *own);
PyObject *hf_limits_in_force(PyObject *module, PyObject *ignored);

/* Not in force yet. NULL: an exception is set. */
static inline hf_limit *
hf_limit_new(void)
{
    hf_flows *flows = hf_flows_here;
    if (flows == NULL || flows->free == NULL)
        return hf_limit_new_slowly();
    hf_limit *limit = flows->free;
    flows->free = limit->after;
    flows->n_free--;
    limit->cuts = 0;
    limit->cut_again = limit->is_named = false;
    return limit;
}

/* What tells the data stack of one greenlet from another's. */
static inline const void *
hf_stack_of(const PyThreadState *thread)
{
    const _PyStackChunk *chunk = thread->datastack_chunk;
    while (chunk != NULL && chunk->previous != NULL)
        chunk = chunk->previous;
    return chunk;
}

/* What a weak reference is to, only to be compared: None once that has died. */
static inline const PyObject *
hf_weak_address(const PyObject *weak)
{
#ifdef Py_GIL_DISABLED
    return _Py_atomic_load_ptr_relaxed(&((const PyWeakReference *)weak)->wr_object);
#else
    return ((const PyWeakReference *)weak)->wr_object;
#endif
}

/* Whether the limits at hand are this context's, and its task is known: not of one that had its address. */
static inline bool
hf_flow_is_known(const hf_flow *flow, const PyObject *context)
{
    return flow->key == context && flow->known != NULL && hf_weak_address(flow->known) == context;
}

/* Take out what other threads left. */
static inline void
hf_flows_tidy(hf_flows *flows)
{
#ifdef Py_GIL_DISABLED
    if (_Py_atomic_load_ptr_relaxed(&flows->left) != NULL)
        hf_flows_tidy_slowly(flows);
#else
    (void)flows;
#endif
}

static inline void
hf_limit_put(hf_flows *flows, hf_flow *flow, hf_limit *limit, const PyThreadState *thread)
{
    if (flow->first == NULL) {
        flow->stack = hf_stack_of(thread);
        flow->since = flows->begun++;
    } else {
        flow->first->before = limit;
    }
    limit->before = NULL;
    limit->after = flow->first;
    flow->first = limit;
    limit->flow = flow;
    HF_SET_FLOWS(limit, flows);
    flows->limits++;
}

/*
 * The deadline of a call, which holds the policy that it is of, is in force here from now on, if it was
 * not in force. -1: an exception is set.
 */
static inline int
hf_limit_apply(hf_limit *limit)
{
    if (limit->flow != NULL)
        return 0;
    hf_flows *flows = hf_flows_here;
    const PyThreadState *thread = PyThreadState_Get();
    PyObject *context = thread->context;
    if (flows == NULL || context == NULL || !hf_flow_is_known(flows->now, context))
        return hf_limit_apply_slowly(limit);
    limit->of = Py_NewRef(context);
    hf_flows_tidy(flows);
    hf_limit_put(flows, flows->now, limit, thread);
    return 0;
}

static inline void
hf_limit_unlink(hf_limit *limit)
{
    if (limit->is_named)
        hf_limit_rename(limit);
    *(limit->before != NULL ? &limit->before->after : &limit->flow->first) = limit->after;
    if (limit->after != NULL)
        limit->after->before = limit->before;
    limit->flow = NULL;
    HF_SET_FLOWS(limit, NULL);
}

/* It is in force no longer, wherever it was. */
static inline void
hf_limit_lift(hf_limit *limit)
{
    hf_flows *flows = HF_FLOWS_OF(limit);
    if (flows == NULL)
        return;
    if (flows != hf_flows_here || limit->flow != flows->now || limit->is_block) {
        hf_limit_lift_slowly(limit);
        return;
    }
    PyObject *context = limit->of;
    limit->of = NULL;
    hf_limit_unlink(limit);
    flows->limits--;
    Py_DECREF(context);
}

static inline void
hf_limit_free(hf_limit *limit)
{
    hf_flows *flows = hf_flows_here;
    hf_limit_lift(limit);
    if (flows == NULL || flows->n_free >= HF_FREE_LIMITS || limit->of != NULL) {
        hf_limit_free_slowly(limit);
        return;
    }
    limit->after = flows->free;
    flows->free = limit;
    flows->n_free++;
}

/* False: nothing is in force in this thread, whoever asks. */
static inline bool
hf_may_have_deadline(void)
{
    const hf_flows *flows = hf_flows_here;
    return flows != NULL && flows->limits > 0;
}

/* The deadline in force, whose policy is held. -1: it could not be found out; an exception is set. */
static inline int
hf_deadline_in_force(hf_deadline *deadline)
{
    if (hf_may_have_deadline())
        return hf_deadline_find(deadline);
    *deadline = (hf_deadline){NULL, 0};
    return 0;
}

#endif /* HF_DEADLINE_FLOW_H */
