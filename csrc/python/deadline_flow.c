/*
 * Which deadlines are in force in which flow of execution.
 *
 * A thread runs many flows: tasks, greenlets. What tells one from another is the context that is current:
 * greenlet puts it back at every switch, a task has its own, and who shares one on purpose (SQLAlchemy's
 * greenlets) goes on with the same work. A limit, a deadline in force, is kept by whoever has set it, and is
 * taken back by nobody else; so calls may end in any order. Nothing of it is on the C stack, which greenlets
 * copy. A block of a task is that task's, in whatever context it runs.
 *
 * The thread has the limits of the context it was last asked for at hand. Those of others wait in a table,
 * by context; and by data stack, for what is run in another context inside of a call. Blocks of tasks, which
 * may be many and wait for long, are in the table by task alone.
 */
#include "control.h"

#define FLOW_OF(op, member) ((hf_flow *)((char *)(op) - offsetof(hf_flow, member)))

HF_HERE hf_flows *hf_flows_here;

#ifdef Py_GIL_DISABLED
static PyMutex threads_mutex; /* of what other threads left, and of threads that end */
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

/* The key of a task's blocks, which no context has. */
static const void *
key_of_task(const PyObject *task)
{
    return (const char *)task + 1;
}

static bool
is_of_task(const hf_flow *flow)
{
    return (uintptr_t)flow->key & 1;
}

static void
put_away(hf_flows *flows, hf_flow *flow)
{
    put(&flows->by_key[slot_of(flows, flow->key)], &flow->by_key);
    if (!is_of_task(flow))
        put(&flows->by_stack[slot_of(flows, flow->stack)], &flow->by_stack);
}

/* Tables of that size, with all that is in those there were. Without memory they stay. */
static void
resize(hf_flows *flows, size_t size)
{
    hf_link **by_key = PyMem_Calloc(2 * size, sizeof *by_key), **old = flows->by_key;
    size_t n = old != NULL ? flows->mask + 1 : 0;
    if (by_key == NULL)
        return;
    flows->by_key = by_key;
    flows->by_stack = by_key + size;
    flows->mask = size - 1;
    for (size_t i = 0; i < n; i++) {
        for (hf_link *it = old[i], *next; it != NULL; it = next) {
            next = it->next;
            put_away(flows, FLOW_OF(it, by_key));
        }
    }
    PyMem_Free(old);
}

static hf_flow *
find(const hf_flows *flows, const void *key)
{
    if (flows->away == 0)
        return NULL;
    for (hf_link *it = flows->by_key[slot_of(flows, key)]; it != NULL; it = it->next) {
        hf_flow *flow = FLOW_OF(it, by_key);
        if (flow->key == key)
            return flow;
    }
    return NULL;
}

/* After `last`, of those that are away the next of that data stack, the newest first. */
static hf_flow *
next_on_stack(const hf_flows *flows, const void *stack, const hf_flow *last)
{
    if (flows->away == 0)
        return NULL;
    hf_link *it = last != NULL ? last->by_stack.next : flows->by_stack[slot_of(flows, stack)];
    for (; it != NULL; it = it->next) {
        hf_flow *flow = FLOW_OF(it, by_stack);
        if (flow->stack == stack)
            return flow;
    }
    return NULL;
}

static void
take_back(hf_flows *flows, hf_flow *flow)
{
    cut(&flow->by_key);
    if (!is_of_task(flow))
        cut(&flow->by_stack);
    flows->away--;
    if (flows->away == 0 && flows->mask >= 1024) { /* there were many at once */
        PyMem_Free(flows->by_key);
        flows->by_key = NULL;
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

static hf_flow *
new_flow(hf_flows *flows, const void *key)
{
    hf_flow *flow = flows->spare != NULL ? flows->spare : PyMem_Calloc(1, sizeof *flow);
    if (flow != NULL) {
        flows->spare = NULL;
        flow->first = NULL;
        flow->key = key;
    }
    return flow;
}

/* Put it into the tables. False: no memory. */
static bool
set_aside(hf_flows *flows, hf_flow *flow)
{
    if (flows->by_key == NULL || flows->away > flows->mask)
        resize(flows, flows->by_key == NULL ? 16 : 4 * (flows->mask + 1));
    if (flows->by_key == NULL)
        return false;
    put_away(flows, flow);
    flows->away++;
    return true;
}

/* Have the limits of that context at hand. NULL: no memory; nothing is changed. */
static hf_flow *
switch_to(hf_flows *flows, const PyObject *context)
{
    hf_flow *now = flows->now, *other;
    if (now->key == context)
        return now;
    other = find(flows, context);
    if (other != NULL) {
        take_back(flows, other);
    } else if (now->first == NULL) {
        now->key = context;
        return now;
    } else if ((other = new_flow(flows, context)) == NULL) {
        return NULL;
    }
    if (now->first == NULL) {
        drop_flow(flows, now);
    } else if (!set_aside(flows, now)) {
        drop_flow(flows, other); /* it was made above: there are no tables */
        return NULL;
    }
    return flows->now = other;
}

/* The blocks of that task. NULL: no memory. */
static hf_flow *
blocks_of(hf_flows *flows, const PyObject *task)
{
    hf_flow *flow = find(flows, key_of_task(task));
    if (flow == NULL && (flow = new_flow(flows, key_of_task(task))) != NULL &&
        !set_aside(flows, flow)) {
        drop_flow(flows, flow);
        return NULL;
    }
    return flow;
}

/* ---- threads ---- */

static void
free_limit(hf_limit *limit)
{
    Py_CLEAR(limit->of);
    PyMem_Free(limit);
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
    }
}

#ifdef Py_GIL_DISABLED

/*
 * A block of another thread is left here. That thread may be looking at its limit, which holds its policy until
 * it is taken out. The threads are locked.
 */
static void
leave_to_its_thread(hf_flows *flows, hf_limit *limit)
{
    if (limit->is_left)
        return;
    assert(limit->is_block);
    Py_INCREF((PyObject *)limit->deadline.step);
    limit->is_left = true;
    limit->is_freed = false;
    limit->left_after = flows->left;
    _Py_atomic_store_ptr_release(&flows->left, limit);
}

/* They are taken out, or their thread has ended. */
static void
let_go_of_left(hf_limit *limit)
{
    for (hf_limit *after; limit != NULL; limit = after) {
        PyObject *step = (PyObject *)limit->deadline.step;
        after = limit->left_after;
        LOCK_THREADS();
        bool is_freed = limit->is_freed;
        limit->is_left = false;
        UNLOCK_THREADS();
        if (is_freed)
            free_limit(limit);
        Py_DECREF(step);
    }
}

void
hf_flows_tidy_slowly(hf_flows *flows)
{
    LOCK_THREADS();
    hf_limit *left = flows->left;
    _Py_atomic_store_ptr_relaxed(&flows->left, NULL);
    UNLOCK_THREADS();
    for (hf_limit *limit = left; limit != NULL; limit = limit->left_after)
        take_out(flows, limit);
    let_go_of_left(left);
}

/* Whether its thread has yet to let go of it, and will free it. */
static bool
is_freed_by_its_thread(hf_limit *limit)
{
    LOCK_THREADS();
    bool is_left = limit->is_left;
    limit->is_freed = true;
    UNLOCK_THREADS();
    return is_left;
}

#endif

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
#ifdef Py_GIL_DISABLED
    hf_limit *left = flows->left;
#endif
    forget_limits(flows->now);
    for (size_t i = 0; flows->away > 0 && i <= flows->mask; i++) {
        for (hf_link *it = flows->by_key[i], *next; it != NULL; it = next) {
            hf_flow *flow = FLOW_OF(it, by_key);
            next = it->next;
            forget_limits(flow);
            free_flow(flow);
        }
    }
    UNLOCK_THREADS();
#ifdef Py_GIL_DISABLED
    let_go_of_left(left);
#endif
    for (hf_limit *limit = flows->free, *after; limit != NULL; limit = after) {
        after = limit->after;
        PyMem_Free(limit);
    }
    PyMem_Free(flows->by_key);
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

/*
 * Blocks may be open by the thousand. A block has at most the time of those around it, so from one of them the
 * search goes on after all the blocks behind it that are of the same owner and on the same clock, and no shorter.
 * Their deadlines never change. The limit of a call, whose deadline does, is never passed over.
 */
static bool
is_covered(const hf_limit *limit, const hf_limit *by)
{
    return limit->is_block && limit->deadline.step->clock == by->deadline.step->clock &&
           limit->deadline.ns >= by->deadline.ns &&
           hf_weak_address(limit->of) == hf_weak_address(by->of);
}

static void
name_shorter(hf_limit *block)
{
    hf_limit *limit = block->after;
    while (limit != NULL && is_covered(limit, block))
        limit = limit->shorter;
    block->shorter = limit;
    if (limit != NULL)
        limit->is_named = true;
}

/* It is taken out: those before it that name it name the one behind it instead. */
void
hf_limit_rename(hf_limit *limit)
{
    for (hf_limit *it = limit->before; it != NULL && it->is_block; it = it->before) {
        if (it->shorter == limit)
            it->shorter = limit->after;
    }
    if (limit->after != NULL)
        limit->after->is_named = true;
    limit->is_named = false;
}

/* In this context or, with a task, wherever that runs. -1: an exception is set. */
static int
put_in_force(hf_limit *limit, PyObject *context, const PyObject *of_task)
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
    hf_flows_tidy(flows);
    hf_flow *flow = of_task != NULL ? blocks_of(flows, of_task) : switch_to(flows, context);
    if (flow != NULL) {
        PyObject *old = flow->known;
        flow->loop = loop;
        flow->task = task;
        flow->known = known;
        flows->blocks += limit->is_block;
        hf_limit_put(flows, flow, limit, PyThreadState_Get());
        if (limit->is_block)
            name_shorter(limit);
        known = old;
    }
    Py_XDECREF(known);
    if (flow == NULL)
        PyErr_NoMemory();
    return flow == NULL ? -1 : 0;
}

int
hf_limit_apply_slowly(hf_limit *limit)
{
    PyObject *context = hf_context_here();
    if (context == NULL || put_in_force(limit, context, NULL) < 0)
        return -1;
    limit->of = Py_NewRef(context);
    return 0;
}

/* The same of a block: it may stay open for as long as nobody leaves it, and keeps nothing alive. */
int
hf_limit_apply_to_block(hf_limit *limit)
{
    PyObject *context = hf_context_here(), *task = NULL;
    if (context == NULL || hf_task_here(&task) < 0)
        return -1;
    limit->of = PyWeakref_NewRef(task != NULL ? task : context, NULL);
    limit->is_block = limit->of != NULL; /* from here on it is no other's to use again */
    int answer = limit->of != NULL ? put_in_force(limit, context, task) : -1;
    Py_XDECREF(task);
    return answer;
}

void
hf_limit_lift_slowly(hf_limit *limit)
{
    hf_flows *flows = HF_FLOWS_OF(limit);
#ifdef Py_GIL_DISABLED
    if (flows != hf_flows_here) {
        LOCK_THREADS();
        flows = HF_FLOWS_OF(limit); /* its thread may have ended meanwhile */
        if (flows != NULL)
            leave_to_its_thread(flows, limit);
        UNLOCK_THREADS();
        return;
    }
#endif
    if (flows != NULL)
        take_out(flows, limit);
    if (!limit->is_block)
        Py_CLEAR(limit->of);
}

/* A block's, one whose thread has ended, or one more than are kept. */
void
hf_limit_free_slowly(hf_limit *limit)
{
#ifdef Py_GIL_DISABLED
    if (is_freed_by_its_thread(limit))
        return;
#endif
    free_limit(limit);
}

/* ---- what is in force ---- */

static bool
is_shorter(const hf_deadline *a, const hf_deadline *b)
{
    if (a->step->clock == b->step->clock)
        return a->ns < b->ns;
    return hf_deadline_left_ns(a) < hf_deadline_left_ns(b);
}

/* Of a block whose task or context is no more, another of its address has nothing. */
static void
find_shortest(const hf_flow *flow, const PyObject *of, hf_deadline *deadline)
{
    for (const hf_limit *limit = flow->first, *next; limit != NULL; limit = next) {
        next = limit->is_block ? limit->shorter : limit->after;
        if (limit->is_block && hf_weak_address(limit->of) != of)
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
find_inherited(hf_flows *flows, const PyObject *context, const void *stack, hf_deadline *deadline)
{
    const void *loop = NULL, *of = NULL;
    PyObject *its_context = NULL;
    hf_deadline shortest = *deadline;
    hf_surroundings around = hf_task_around(&loop, &of, &its_context);
    if (around == HF_UNKNOWN) {
        Py_CLEAR(deadline->step);
        return -1;
    }
    hf_flows_tidy(flows);
    const hf_flow *its = its_context != context ? find(flows, its_context) : NULL;
    for (const hf_flow *flow = next_on_stack(flows, stack, NULL); flow != NULL;
         flow = next_on_stack(flows, stack, flow)) {
        bool is_around = flow->loop != loop || around == HF_OUTSIDE ||
                         (of != NULL && flow->task == of) ||
                         (its != NULL && its->stack == stack && flow->since >= its->since);
        if (is_around)
            find_shortest(flow, flow->key, &shortest);
    }
    Py_XINCREF((PyObject *)shortest.step);
    Py_XDECREF((PyObject *)deadline->step);
    Py_XDECREF(its_context);
    *deadline = shortest;
    return 0;
}

/* The deadline in force, whose policy is held. -1: it could not be found out; an exception is set. */
int
hf_deadline_find(hf_deadline *deadline)
{
    hf_flows *flows = hf_flows_here;
    *deadline = (hf_deadline){NULL, 0};
    const PyThreadState *thread = PyThreadState_Get();
    PyObject *task = NULL;
    if (thread->context == NULL) /* a thread or greenlet that has set nothing */
        return 0;
    if (flows->blocks > 0 && hf_task_here(&task) < 0)
        return -1;
    hf_flows_tidy(flows);
    const hf_flow *now = switch_to(flows, thread->context);
    const hf_flow *blocks = task != NULL ? find(flows, key_of_task(task)) : NULL;
    if (now != NULL)
        find_shortest(now, thread->context, deadline);
    const void *stack = NULL; /* of a greenlet that runs nothing of Python yet there is none */
    if (now != NULL && deadline->step == NULL && flows->away > 0)
        stack = hf_stack_of(thread);
    bool inherits = stack != NULL && next_on_stack(flows, stack, NULL) != NULL;
    if (now != NULL && blocks != NULL)
        find_shortest(blocks, task, deadline);
    Py_XINCREF((PyObject *)deadline->step);
    Py_XDECREF(task);
    if (now == NULL)
        PyErr_NoMemory();
    return now == NULL ? -1
           : inherits  ? find_inherited(flows, thread->context, stack, deadline)
                       : 0;
}

/* ---- cuts ---- */

/* The newest limit of the flow that runs here, or NULL. */
static hf_limit *
newest_here(const hf_flows *flows)
{
    const PyObject *context = PyThreadState_Get()->context;
    if (flows->limits == 0 || context == NULL)
        return NULL;
    const hf_flow *flow = flows->now->key == context ? flows->now : find(flows, context);
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
    for (const hf_limit *limit = newest_here(flows); limit != NULL; limit = limit->after)
        n += limit == own ? 0 : limit->cuts;
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
    for (hf_limit *limit = newest_here(flows); limit != NULL; limit = limit->after)
        limit->cut_again |= limit != own;
}

/* _limits_in_force(): how many there are in this thread, in all its flows; for tests. */
PyObject *
hf_limits_in_force(PyObject *module, PyObject *ignored)
{
    (void)module, (void)ignored;
    if (hf_flows_here != NULL)
        hf_flows_tidy(hf_flows_here);
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

/*
 * Raise what says that the time this policy allows is over. `cooperative`: the call was not cut short, and
 * this is a check or its end.
 */
void
hf_raise_exceeded(const hf_deadline *deadline, bool cooperative)
{
    PyObject *error = PyObject_CallMethod((PyObject *)deadline->step, "_exceeded", "LO",
                                          -(long long)hf_deadline_left_ns(deadline),
                                          cooperative ? Py_True : Py_False);
    if (error != NULL)
        hf_give_exception(error);
}
