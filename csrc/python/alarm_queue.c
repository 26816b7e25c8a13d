/*
 * The alarms of one timeout in one event loop: a queue, longest waiting first, and one timer of the loop
 * for its head.
 *
 * All calls of one timeout may take equally long, so their deadlines come in order. Setting and clearing
 * an alarm costs a few pointers; the loop hears of it once in the time that one call may take.
 */
#include "alarm.h"

struct QueueObject {
    PyObject_HEAD
    hf_alarm *first;
    hf_alarm *newest;    /* of those in there the last that was set, or one beside it */
    GateObject *step;    /* borrowed: it closes its queues when it dies; NULL: it has */
    PyObject *loop;      /* a weak reference: what a policy was once used in is not to be kept */
    const void *address; /* of the loop: only compared */
    bool over;           /* the loop was closed */
    PyObject *timer;     /* cancels the loop's timer; NULL: none is set */
    int64_t timer_ns;    /* when that rings */
};

static PyTypeObject *queue_type;

/* ---- a queue ---- */

/* Strong; NULL: it is no more. */
static PyObject *
loop_of(const QueueObject *queue)
{
    return queue->loop != NULL ? hf_weak_target(queue->loop) : NULL;
}

/*
 * Insert it where its deadline belongs: nearly always after the one that was set before. That is the end,
 * unless calls have been given less time than those before them.
 */
static void
insert(QueueObject *queue, hf_alarm *alarm)
{
    hf_alarm *before = queue->newest, *after;
    while (before != NULL && before->deadline_ns > alarm->deadline_ns)
        before = before->before;
    while ((after = before != NULL ? before->after : queue->first) != NULL &&
           after->deadline_ns <= alarm->deadline_ns)
        before = after;
    queue->newest = alarm;
    alarm->before = before;
    alarm->after = after;
    *(before != NULL ? &before->after : &queue->first) = alarm;
    if (after != NULL)
        after->before = alarm;
    alarm->queue = (QueueObject *)Py_NewRef((PyObject *)queue);
}

/* The queue it was in, whose reference is the caller's, or NULL. */
static QueueObject *
take_out(hf_alarm *alarm)
{
    QueueObject *queue = alarm->queue;
    if (queue == NULL)
        return NULL;
    *(alarm->before != NULL ? &alarm->before->after : &queue->first) = alarm->after;
    if (alarm->after != NULL)
        alarm->after->before = alarm->before;
    if (queue->newest == alarm)
        queue->newest = alarm->before != NULL ? alarm->before : alarm->after;
    alarm->queue = NULL;
    return queue;
}

/* Cancel what was set as a timer; the reference is taken over. */
static void
cancel_timer(PyObject *timer, bool is_told)
{
    if (timer == NULL)
        return;
    PyObject *raised = hf_take_exception();
    PyObject *answer = PyObject_CallNoArgs(timer);
    if (answer == NULL && is_told)
        PyErr_WriteUnraisable(timer);
    PyErr_Clear();
    Py_XDECREF(answer);
    Py_DECREF(timer);
    hf_give_exception(raised);
}

/* Put another timer, or NULL, in the place of the queue's. Both references are handed over. */
static PyObject *
exchange_timer(QueueObject *queue, PyObject *timer)
{
    PyObject *old;
    HF_BEGIN_EXCLUSIVE(queue);
    old = queue->timer;
    queue->timer = timer;
    HF_END_EXCLUSIVE();
    return old;
}

/*
 * The policy, strong, if the queue needs a timer that rings earlier than the one it has; else NULL. While
 * there is an alarm, its coroutine holds the policy.
 */
static PyObject *
wants_timer(QueueObject *queue, int64_t *deadline_ns)
{
    PyObject *step = NULL;
    HF_BEGIN_EXCLUSIVE(queue);
    if (queue->first != NULL && queue->step != NULL &&
        (queue->timer == NULL || queue->timer_ns > queue->first->deadline_ns)) {
        step = Py_NewRef((PyObject *)queue->step);
        queue->timer_ns = *deadline_ns = queue->first->deadline_ns;
    }
    HF_END_EXCLUSIVE();
    return step;
}

/*
 * Have the loop ring when the first alarm is due. -1: an exception is set, and no timer. The caller holds
 * the queue: what is called here may do anything with it.
 */
static int
start_timer(QueueObject *queue)
{
    int64_t deadline_ns;
    PyObject *step = wants_timer(queue, &deadline_ns);
    if (step == NULL)
        return 0;
    PyObject *loop = loop_of(queue), *timer = NULL;
    cancel_timer(exchange_timer(queue, NULL), true);
    if (loop != NULL)
        timer = PyObject_CallMethod(step, "_set_timer", "OOL", loop, (PyObject *)queue,
                                    (long long)deadline_ns);
    bool failed = loop != NULL && timer == NULL;
    if (!failed)
        cancel_timer(exchange_timer(queue, timer), true); /* that somebody has set meanwhile */
    Py_XDECREF(loop);
    Py_DECREF(step);
    return failed ? -1 : 0;
}

/* Take the first alarm out, if its time is over. Its coroutine, strong; NULL: there is none. */
static PyObject *
take_first_due(QueueObject *queue, hf_alarm **alarm)
{
    PyObject *coroutine = NULL;
    QueueObject *was = NULL;
    HF_BEGIN_EXCLUSIVE(queue);
    *alarm = queue->first;
    if (queue->first != NULL && queue->step != NULL &&
        queue->first->deadline_ns <= hf_clock_now_ns(queue->step->clock)) {
        coroutine = Py_NewRef((*alarm)->of->coroutine);
        was = take_out(*alarm);
    }
    HF_END_EXCLUSIVE();
    Py_XDECREF(was); /* not the last: it is being called */
    return coroutine;
}

/* The loop's timer: cut whose time is over, and have it ring again for the next. */
static PyObject *
queue_ring(PyObject *op, PyObject *args, PyObject *kwargs)
{
    QueueObject *self = (QueueObject *)op;
    PyObject *timer = exchange_timer(self, NULL), *coroutine;
    hf_alarm *alarm;
    (void)args, (void)kwargs;
    Py_XDECREF(timer);
    while ((coroutine = take_first_due(self, &alarm)) != NULL) {
        hf_alarm_ring(alarm);
        Py_DECREF(coroutine);
    }
    return start_timer(self) < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- the queues of one timeout ---- */

/*
 * The queue of that loop, strong, or NULL. Nothing of Python's runs here, nor is anything let go of: the
 * caller holds the loop.
 */
static QueueObject *
find_queue(const GateObject *step, PyObject *loop)
{
    for (Py_ssize_t i = 0; step->queues != NULL && i < PyList_GET_SIZE(step->queues); i++) {
        QueueObject *queue = (QueueObject *)PyList_GET_ITEM(step->queues, i);
        if (queue->address != loop || queue->over)
            continue;
        PyObject *its = loop_of(queue);
        Py_XDECREF(its);
        if (its == loop)
            return (QueueObject *)Py_NewRef((PyObject *)queue);
    }
    return NULL;
}

static QueueObject *
queue_new(GateObject *step, PyObject *loop)
{
    PyObject *weak = PyWeakref_NewRef(loop, NULL);
    QueueObject *self = weak != NULL ? PyObject_GC_New(QueueObject, queue_type) : NULL;
    if (self == NULL) {
        Py_XDECREF(weak);
        return NULL;
    }
    self->first = self->newest = NULL;
    self->step = step;
    self->loop = weak;
    self->address = loop;
    self->over = false;
    self->timer = NULL;
    self->timer_ns = 0;
    PyObject_GC_Track(self);
    return self;
}

/* Whether its loop will not run again; asked in Python, which may do anything. */
static bool
is_over(const QueueObject *queue)
{
    PyObject *loop = loop_of(queue);
    PyObject *answer = loop != NULL ? PyObject_CallMethod(loop, "is_closed", NULL) : NULL;
    bool over = loop == NULL || answer == Py_True;
    Py_XDECREF(answer);
    Py_XDECREF(loop);
    PyErr_Clear();
    return over;
}

/* The queues there are, strong, in a list of its own. NULL: no memory. */
static PyObject *
copy_queues(GateObject *step)
{
    PyObject *copy = NULL, *first = PyList_New(0);
    if (first == NULL)
        return NULL;
    HF_BEGIN_EXCLUSIVE(step);
    if (step->queues == NULL)
        step->queues = Py_NewRef(first);
    copy = PyList_GetSlice(step->queues, 0, PY_SSIZE_T_MAX);
    HF_END_EXCLUSIVE();
    Py_DECREF(first);
    return copy;
}

/* Let go of the queues that are over, all of which the caller holds. */
static void
remove_over(PyObject *queues)
{
    for (Py_ssize_t i = PyList_GET_SIZE(queues) - 1; i >= 0; i--) {
        QueueObject *queue = (QueueObject *)PyList_GET_ITEM(queues, i);
        if (!queue->over)
            continue;
        queue->step = NULL;
        PyList_SetSlice(queues, i, i + 1, NULL); /* makes it smaller: that cannot fail */
    }
}

/*
 * A queue of a new loop, strong, in the list without those of loops that were closed. What is asked of
 * them is asked of a copy of the list: whoever runs meanwhile may use this timeout too.
 */
static QueueObject *
add_queue(GateObject *step, PyObject *loop)
{
    PyObject *copy = copy_queues(step);
    QueueObject *self = copy != NULL ? queue_new(step, loop) : NULL, *other = NULL;
    int added = -1;
    if (self == NULL) {
        Py_XDECREF(copy);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(copy); i++) {
        QueueObject *queue = (QueueObject *)PyList_GET_ITEM(copy, i);
        queue->over = is_over(queue);
    }
    HF_BEGIN_EXCLUSIVE(step);
    other = find_queue(step, loop);
    if (step->queues != NULL)
        remove_over(step->queues);
    if (other == NULL && step->queues != NULL) /* the newest first: it will be asked for */
        added = PyList_Insert(step->queues, 0, (PyObject *)self);
    HF_END_EXCLUSIVE();
    Py_DECREF(copy);
    if (other == NULL && added == 0)
        return self;
    Py_DECREF(self);
    return other;
}

/* The alarms of this timeout in that loop, strong. */
static QueueObject *
queue_in(GateObject *step, PyObject *loop)
{
    QueueObject *queue;
    HF_BEGIN_EXCLUSIVE(step);
    queue = find_queue(step, loop);
    HF_END_EXCLUSIVE();
    return queue != NULL ? queue : add_queue(step, loop);
}

/*
 * The timeout is about to die, and with it the timers that nobody needs any more: while all that dies in
 * the same collection can still be called. The loop may be among it, so what it raises is not told.
 */
void
hf_queues_stop(GateObject *step)
{
    for (Py_ssize_t i = 0; step->queues != NULL && i < PyList_GET_SIZE(step->queues); i++) {
        QueueObject *queue = (QueueObject *)Py_NewRef(PyList_GET_ITEM(step->queues, i));
        cancel_timer(exchange_timer(queue, NULL), false);
        Py_DECREF(queue);
    }
}

/* The timeout dies: a timer that still rings finds nothing. */
void
hf_queues_close(GateObject *step)
{
    PyObject *queues = step->queues;
    step->queues = NULL;
    for (Py_ssize_t i = 0; queues != NULL && i < PyList_GET_SIZE(queues); i++) {
        QueueObject *queue = (QueueObject *)PyList_GET_ITEM(queues, i);
        HF_BEGIN_EXCLUSIVE(queue);
        queue->step = NULL;
        HF_END_EXCLUSIVE();
    }
    Py_XDECREF(queues);
}

/* Set an alarm, which need not be in the queue before. -1: an exception is set, and no timer. */
int
hf_alarm_enqueue(GateObject *step, PyObject *loop, hf_alarm *alarm)
{
    QueueObject *queue = queue_in(step, loop);
    if (queue == NULL)
        return -1;
    HF_BEGIN_EXCLUSIVE(queue);
    insert(queue, alarm);
    HF_END_EXCLUSIVE();
    int answer = start_timer(queue);
    Py_DECREF(queue);
    return answer;
}

/* Take it out of its queue, if it has not rung. */
void
hf_alarm_dequeue(hf_alarm *alarm)
{
    QueueObject *queue = alarm->queue, *was = NULL;
    if (queue == NULL)
        return;
    HF_BEGIN_EXCLUSIVE(queue);
    was = take_out(alarm);
    HF_END_EXCLUSIVE();
    Py_XDECREF(was);
}

/* ---- the type ---- */

static int
queue_traverse(PyObject *op, visitproc visit, void *arg)
{
    QueueObject *self = (QueueObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->loop);
    Py_VISIT(self->timer);
    return 0;
}

static int
queue_clear(PyObject *op)
{
    QueueObject *self = (QueueObject *)op;
    Py_CLEAR(self->loop);
    Py_CLEAR(self->timer);
    return 0;
}

static void
queue_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    queue_clear(op);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

static PyType_Slot queue_slots[] = {
    {Py_tp_doc, "The alarms of one timeout in one event loop; called by the loop's timer."},
    {Py_tp_dealloc, queue_dealloc},
    {Py_tp_traverse, queue_traverse},
    {Py_tp_clear, queue_clear},
    {Py_tp_call, queue_ring},
    {0, NULL},
};

static PyType_Spec queue_spec = {
    .name = "holdfast._native.gate.Alarms",
    .basicsize = sizeof(QueueObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = queue_slots,
};

int
hf_alarm_ready(PyObject *module)
{
    queue_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &queue_spec, NULL);
    return queue_type == NULL ? -1 : hf_alarm_loop_ready();
}
