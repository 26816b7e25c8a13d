/*
 * Which deadlines are in force in which flow of execution.
 *
 * A thread runs many flows: tasks, greenlets. What tells one from another is the context that is current:
 * greenlet puts it back at every switch, a task has its own, and who shares one on purpose (SQLAlchemy's
 * greenlets) goes on with the same work. A limit, a deadline in force, is kept by whoever has set it, and is
 * taken back by nobody else; so calls may end in any order. Nothing of it is on the C stack, which greenlets
 * copy.
 *
 * The thread has the limits of the context it was last asked for at hand. Those of others wait in a table,
 * by context; and by data stack, for what is run in another context inside of a call.
 */
#include "control.h"

#define FLOW_OF(op, member) ((hf_flow *)((char *)(op) - offsetof(hf_flow, member)))

HF_HERE hf_flows *hf_flows_here;

#ifdef Py_GIL_DISABLED
static PyMutex threads_mutex; /* held before a mutex of flows: their thread may end */
#define LOCK_THREADS() PyMutex_Lock(&threads_mutex)
#define UNLOCK_THREADS() PyMutex_Unlock(&threads_mutex)
#else
#define LOCK_THREADS() ((void)0)
#define UNLOCK_THREADS() ((void)0)
#endif

/* ---- the tables ---- */

static size_t
slot_of(const hf_flows *flows, const void *key)
{
    uintptr_t bits = (uintptr_t)key;
    return (size_t)((bits >> 4) ^ (bits >> 14) ^ (bits >> 24)) & flows->mask;
}

static void
put(hf_link **slot, hf_link *it)
{
    it->next = *slot;
    it->at = slot;
    if (it->next != NULL)
        it->next->at = &it->next;
    *slot = it;
}

static void
cut(hf_link *it)
{
    *it->at = it->next;
    if (it->next != NULL)
        it->next->at = it->at;
}

/*
 * Whose blocks alone are in this flow: that task, only to be compared. Else NULL: then it is for all that
 * run on its data stack to look at. Tasks that wait with a block open may be many.
 */
static const PyObject *
only_in(const hf_flow *flow)
{
    const PyObject *weak = flow->first->task;
    for (const hf_limit *limit = flow->first; limit != NULL; limit = limit->after) {
        if (!limit->is_block || limit->task != weak)
            return NULL;
    }
    return weak != NULL ? hf_weak_address(weak) : NULL;
}

static hf_link **
stack_slot(const hf_flows *flows, const void *stack, const PyObject *only)
{
    return &flows->by_stack[slot_of(flows, (const char *)stack + (uintptr_t)only)];
}

static void
put_away(hf_flows *flows, hf_flow *flow)
{
    flow->only = only_in(flow);
    put(&flows->by_context[slot_of(flows, flow->context)], &flow->by_context);
    put(stack_slot(flows, flow->stack, flow->only), &flow->by_stack);
}

/* Tables of that size, with all that is in those there were. Without memory they stay. */
static void
resize(hf_flows *flows, size_t size)
{
    hf_link **by_context = PyMem_Calloc(2 * size, sizeof *by_context), **old = flows->by_context;
    size_t n = old != NULL ? flows->mask + 1 : 0;
    if (by_context == NULL)
        return;
    flows->by_context = by_context;
    flows->by_stack = by_context + size;
    flows->mask = size - 1;
    for (size_t i = 0; i < n; i++) {
        for (hf_link *it = old[i], *next; it != NULL; it = next) {
            next = it->next;
            put_away(flows, FLOW_OF(it, by_context));
        }
    }
    PyMem_Free(old);
}

static hf_flow *
find(const hf_flows *flows, const PyObject *context)
{
    if (flows->away == 0)
        return NULL;
    for (hf_link *it = flows->by_context[slot_of(flows, context)]; it != NULL; it = it->next) {
        hf_flow *flow = FLOW_OF(it, by_context);
        if (flow->context == context)
            return flow;
    }
    return NULL;
}

/*
 * After `last`, of those that are away the next of that data stack, the newest first: of those in which
 * there are only blocks of one task, or of the others.
 */
static hf_flow *
next_on_stack(const hf_flows *flows, const void *stack, const PyObject *only, const hf_flow *last)
{
    if (flows->away == 0)
        return NULL;
    hf_link *it = last != NULL ? last->by_stack.next : *stack_slot(flows, stack, only);
    for (; it != NULL; it = it->next) {
        hf_flow *flow = FLOW_OF(it, by_stack);
        if (flow->stack == stack && flow->only == only)
            return flow;
    }
    return NULL;
}

static void
take_back(hf_flows *flows, hf_flow *flow)
{
    cut(&flow->by_context);
    cut(&flow->by_stack);
    flows->away--;
    if (flows->away == 0 && flows->mask >= 1024) { /* there were many at once */
        PyMem_Free(flows->by_context);
        flows->by_context = NULL;
    }
}

static void
free_flow(hf_flow *flow)
{
    if (flow != NULL)
        Py_XDECREF(flow->known);
    PyMem_Free(flow);
}

static void
drop_flow(hf_flows *flows, hf_flow *flow)
{
    if (flows->spare == NULL)
        flows->spare = flow;
    else
        free_flow(flow);
}

/* Have the limits of that context at hand. -1: no memory; nothing is set. */
static int
switch_to(hf_flows *flows, const PyObject *context)
{
    hf_flow *now = flows->now, *other;
    if (now->context == context)
        return 0;
    other = find(flows, context);
    if (other != NULL) {
        take_back(flows, other);
    } else if (now->first == NULL) {
        now->context = context;
        return 0;
    } else {
        other = flows->spare != NULL ? flows->spare : PyMem_Calloc(1, sizeof *other);
        if (other == NULL)
            return -1;
        flows->spare = NULL;
        other->first = NULL;
        other->context = context;
    }
    flows->now = other;
    if (now->first == NULL) {
        drop_flow(flows, now);
        return 0;
    }
    if (flows->by_context == NULL || flows->away > flows->mask)
        resize(flows, flows->by_context == NULL ? 16 : 4 * (flows->mask + 1));
    if (flows->by_context == NULL) {
        flows->now = now;
        free_flow(other); /* it was made above: there are no tables */
        return -1;
    }
    put_away(flows, now);
    flows->away++;
    return 0;
}

/* ---- threads ---- */

static void
forget_limits(hf_flow *flow)
{
    for (hf_limit *limit = flow->first, *after; limit != NULL; limit = after) {
        after = limit->after;
        limit->flow = NULL;
        HF_SET_FLOWS(limit, NULL);
    }
}

/* The thread is no more: whoever still holds a limit of it has nothing to take back. */
static void
end_thread(PyObject *capsule)
{
    hf_flows *flows = PyCapsule_GetPointer(capsule, "holdfast.deadlines");
    if (flows == hf_flows_here)
        hf_flows_here = NULL;
    LOCK_THREADS();
    forget_limits(flows->now);
    for (size_t i = 0; flows->away > 0 && i <= flows->mask; i++) {
        for (hf_link *it = flows->by_context[i], *next; it != NULL; it = next) {
            hf_flow *flow = FLOW_OF(it, by_context);
            next = it->next;
            forget_limits(flow);
            free_flow(flow);
        }
    }
    UNLOCK_THREADS();
    for (hf_limit *limit = flows->free, *after; limit != NULL; limit = after) {
        after = limit->after;
        PyMem_Free(limit);
    }
    PyMem_Free(flows->by_context);
    free_flow(flows->spare);
    free_flow(flows->now);
    PyMem_Free(flows);
}

static hf_flows *
new_thread(void)
{
    PyObject *raised = hf_take_exception();
    PyObject *dict = PyThreadState_GetDict(); /* borrowed; it dies with the thread */
    hf_flows *flows = PyMem_Calloc(1, sizeof *flows);
    hf_flow *now = PyMem_Calloc(1, sizeof *now);
    PyObject *capsule = NULL;
    if (dict != NULL && flows != NULL && now != NULL) {
        flows->now = now;
        capsule = PyCapsule_New(flows, "holdfast.deadlines", end_thread);
    }
    if (capsule == NULL) {
        PyMem_Free(now);
        PyMem_Free(flows);
    } else {
        hf_flows_here = flows;
        if (PyDict_SetItemString(dict, "holdfast.deadlines", capsule) < 0)
            PyErr_Clear(); /* then the capsule dies here, and the flows with it */
        Py_DECREF(capsule);
    }
    hf_give_exception(raised);
    if (hf_flows_here == NULL && raised == NULL)
        PyErr_NoMemory();
    return hf_flows_here;
}

static inline hf_flows *
flows_here(void)
{
    return hf_flows_here != NULL ? hf_flows_here : new_thread();
}

/* The context that is current, which raw threads and greenlets begin without. Borrowed. */
PyObject *
hf_context_here(void)
{
    PyThreadState *thread = PyThreadState_Get();
    if (thread->context == NULL) {
        PyObject *copy = PyContext_CopyCurrent(); /* makes one */
        Py_XDECREF(copy);
    }
    return thread->context;
}

/* ---- limits ---- */

hf_limit *
hf_limit_new_slowly(void)
{
    hf_limit *limit = flows_here() != NULL ? PyMem_Malloc(sizeof *limit) : NULL;
    if (limit == NULL) {
        if (!PyErr_Occurred())
            PyErr_NoMemory();
        return NULL;
    }
    *limit = (hf_limit){.flow = NULL};
    return limit;
}

static int
put_in_force(hf_limit *limit, PyObject *context)
{
    hf_flows *flows = flows_here();
    PyObject *known = flows != NULL ? PyWeakref_NewRef(context, NULL) : NULL;
    if (known == NULL)
        return -1;
    PyObject *loop, *task, *raised = hf_take_exception();
    if (hf_find_driver(&loop, &task) < 0)
        PyErr_Clear();
    hf_give_exception(raised);
    Py_XDECREF(loop); /* only compared: they run, so others hold them */
    Py_XDECREF(task);
    HF_LOCK(flows);
    int answer = switch_to(flows, context);
    if (answer == 0) {
        PyObject *old = flows->now->known;
        flows->now->loop = loop;
        flows->now->task = task;
        flows->now->known = known;
        flows->blocks += limit->is_block;
        known = old;
    }
    HF_UNLOCK(flows);
    Py_XDECREF(known);
    if (answer == 0)
        hf_limit_put(flows, limit, PyThreadState_Get());
    else
        PyErr_NoMemory();
    return answer;
}

int
hf_limit_apply_slowly(hf_limit *limit)
{
    PyObject *context = hf_context_here();
    if (context == NULL || put_in_force(limit, context) < 0)
        return -1;
    limit->context = Py_NewRef(context);
    return 0;
}

/* The same of a block: it may stay open for as long as nobody leaves it, and keeps nothing alive. */
int
hf_limit_apply_to_block(hf_limit *limit)
{
    PyObject *context = hf_context_here(), *task = NULL;
    if (context == NULL || hf_task_here(&task) < 0)
        return -1;
    PyObject *weak = PyWeakref_NewRef(context, NULL);
    PyObject *weak_task = weak != NULL && task != NULL ? PyWeakref_NewRef(task, NULL) : NULL;
    bool failed = weak == NULL || (task != NULL && weak_task == NULL);
    Py_XDECREF(task);
    if (failed) {
        Py_XDECREF(weak);
        return -1;
    }
    limit->is_block = true; /* from here on it is no other's to use again */
    limit->context = weak;
    limit->task = weak_task;
    return put_in_force(limit, context);
}

static void
take_out(hf_flows *flows, hf_limit *limit)
{
    hf_flow *flow = limit->flow;
    hf_limit_unlink(limit);
    flows->limits--;
    flows->blocks -= limit->is_block;
    if (flow == flows->now)
        return;
    if (flow->first == NULL) {
        take_back(flows, flow);
        drop_flow(flows, flow);
    } else if (flow->only != only_in(flow)) {
        flow->only = only_in(flow);
        cut(&flow->by_stack);
        put(stack_slot(flows, flow->stack, flow->only), &flow->by_stack);
    }
}

void
hf_limit_lift_slowly(hf_limit *limit)
{
    hf_flows *flows = HF_FLOWS_OF(limit);
    bool is_here = flows != NULL && flows == hf_flows_here;
    if (!is_here) {
        LOCK_THREADS();
        flows = HF_FLOWS_OF(limit); /* its thread may have ended meanwhile */
    }
    if (flows != NULL) {
        HF_LOCK(flows);
        take_out(flows, limit);
        HF_UNLOCK(flows);
    }
    if (!is_here)
        UNLOCK_THREADS();
    if (!limit->is_block)
        Py_CLEAR(limit->context);
}

/* A block's, one whose thread has ended, or one more than are kept. */
void
hf_limit_free_slowly(hf_limit *limit)
{
    Py_CLEAR(limit->context);
    Py_CLEAR(limit->task);
    PyMem_Free(limit);
}

/* ---- what is in force ---- */

static bool
is_shorter(const hf_deadline *a, const hf_deadline *b)
{
    if (a->step->clock == b->step->clock)
        return a->ns < b->ns;
    return hf_deadline_left_ns(a) < hf_deadline_left_ns(b);
}

/*
 * Whether that weak reference, or NULL, is to this, or to nothing. Only compared: to let go of what has died
 * meanwhile might run anything, and the flows are locked.
 */
static bool
is_of(const PyObject *weak, const PyObject *op)
{
    return weak != NULL ? hf_weak_address(weak) == op : op == NULL;
}

/* A block of another task that has been given the same context, or of a context that is no more, is not. */
static void
find_shortest(const hf_flow *flow, const PyObject *task, hf_deadline *deadline)
{
    for (const hf_limit *limit = flow->first; limit != NULL; limit = limit->after) {
        if (limit->is_block && !(is_of(limit->context, flow->context) && is_of(limit->task, task)))
            continue;
        if (deadline->step == NULL || is_shorter(&limit->deadline, deadline))
            *deadline = limit->deadline;
    }
}

/*
 * Nothing is in force in this context. What is run in another context inside of a call has the deadline of
 * that call, which is on the same data stack; so has what an event loop runs that runs inside of the call.
 * A greenlet has a data stack of its own, and inherits nothing; nor does a task that makes its first step
 * inside of another of its loop: what the task that runs has set, and what was set after that, is around it.
 */
static int
find_inherited(hf_flows *flows, const PyObject *context, const PyObject *task,
               hf_deadline *deadline)
{
    const void *stack = hf_stack_of(PyThreadState_Get()), *loop = NULL, *of = NULL;
    PyObject *its_context = NULL;
    if (stack == NULL) /* of a greenlet that runs nothing of Python yet */
        return 0;
    HF_LOCK(flows);
    bool is_any = next_on_stack(flows, stack, NULL, NULL) != NULL ||
                  (task != NULL && next_on_stack(flows, stack, task, NULL) != NULL);
    HF_UNLOCK(flows);
    if (!is_any)
        return 0;
    hf_surroundings around = hf_task_around(&loop, &of, &its_context);
    if (around == HF_UNKNOWN)
        return -1;
    HF_LOCK(flows);
    const hf_flow *its = its_context != context ? find(flows, its_context) : NULL;
    for (const PyObject *only = NULL;; only = task) {
        for (const hf_flow *flow = next_on_stack(flows, stack, only, NULL); flow != NULL;
             flow = next_on_stack(flows, stack, only, flow)) {
            bool is_around = flow->loop != loop || around == HF_OUTSIDE ||
                             (of != NULL && flow->task == of) ||
                             (its != NULL && its->stack == stack && flow->since >= its->since);
            if (is_around)
                find_shortest(flow, flow->loop == loop ? task : NULL, deadline);
        }
        if (only == task)
            break;
    }
    Py_XINCREF((PyObject *)deadline->step);
    HF_UNLOCK(flows);
    Py_XDECREF(its_context);
    return 0;
}

/* The deadline in force, whose policy is held. -1: it could not be found out; an exception is set. */
int
hf_deadline_find(hf_deadline *deadline)
{
    hf_flows *flows = hf_flows_here;
    *deadline = (hf_deadline){NULL, 0};
    const PyObject *context = PyThreadState_Get()->context;
    PyObject *task = NULL;
    if (context == NULL) /* a thread or greenlet that has set nothing */
        return 0;
    if (flows->blocks > 0 && hf_task_here(&task) < 0)
        return -1;
    HF_LOCK(flows);
    int answer = switch_to(flows, context);
    if (answer == 0)
        find_shortest(flows->now, task, deadline);
    Py_XINCREF((PyObject *)deadline->step);
    HF_UNLOCK(flows);
    if (answer < 0)
        PyErr_NoMemory();
    else if (deadline->step == NULL && flows->away > 0)
        answer = find_inherited(flows, context, task, deadline);
    Py_XDECREF(task);
    return answer;
}

/* ---- cuts ---- */

/* The newest limit of the flow that runs here, or NULL. */
static hf_limit *
newest_here(const hf_flows *flows)
{
    const PyObject *context = PyThreadState_Get()->context;
    if (flows->limits == 0 || context == NULL)
        return NULL;
    const hf_flow *flow = flows->now->context == context ? flows->now : find(flows, context);
    return flow != NULL ? flow->first : NULL;
}

/* How often calls around this one have asked the task to end. */
long
hf_cuts_around(const hf_limit *own)
{
    hf_flows *flows = hf_flows_here;
    long n = 0;
    if (flows == NULL)
        return 0;
    HF_LOCK(flows);
    for (const hf_limit *limit = newest_here(flows); limit != NULL; limit = limit->after)
        n += limit == own ? 0 : limit->cuts;
    HF_UNLOCK(flows);
    return n;
}

/*
 * This call raises that it was cut. What cut a call around it as well came in the same exception: should
 * that go on, it is cut once more, if any timeout of it that has fired is not left.
 */
void
hf_cut_again_around(const hf_limit *own)
{
    hf_flows *flows = hf_flows_here;
    if (flows == NULL)
        return;
    HF_LOCK(flows);
    for (hf_limit *limit = newest_here(flows); limit != NULL; limit = limit->after)
        limit->cut_again |= limit != own;
    HF_UNLOCK(flows);
}

/* _limits_in_force(): how many there are in this thread, in all its flows; for tests. */
PyObject *
hf_limits_in_force(PyObject *module, PyObject *ignored)
{
    (void)module, (void)ignored;
    return PyLong_FromSsize_t(hf_flows_here != NULL ? hf_flows_here->limits : 0);
}

/* Nanoseconds left, on its own clock; INT64_MAX if there is none. */
int64_t
hf_deadline_left_ns(const hf_deadline *deadline)
{
    if (deadline->step == NULL)
        return INT64_MAX;
    return hf_ns_sub(deadline->ns, hf_clock_now_ns(deadline->step->clock));
}

/* When it is on another clock, which shows now_ns; INT64_MAX if there is none. */
int64_t
hf_deadline_on(const hf_deadline *deadline, const hf_clock *clock, int64_t now_ns)
{
    if (deadline->step == NULL)
        return INT64_MAX;
    if (deadline->step->clock == clock)
        return deadline->ns;
    return hf_ns_add(now_ns, hf_deadline_left_ns(deadline));
}

/* Raise what says that the time this policy allows is over. */
void
hf_raise_exceeded(GateObject *step)
{
    PyObject *error = PyObject_CallMethod((PyObject *)step, "_exceeded", NULL);
    if (error != NULL)
        hf_give_exception(error);
}
