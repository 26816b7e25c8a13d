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
    hf_alarm *first, *last;
    GateObject *step; /* borrowed: it closes its queues when it dies; NULL: it has */
    PyObject *loop;   /* a weak reference: what a policy was once used in is not to be kept */
    PyObject *timer;  /* cancels the loop's timer; NULL: none is set */
    int64_t timer_ns; /* when that rings */
};

static PyTypeObject *queue_type;

/* ---- a queue ---- */

/* Strong; NULL: it is no more. */
static PyObject *
loop_of(const QueueObject *queue)
{
    return queue->loop != NULL ? hf_weak_target(queue->loop) : NULL;
}

/* Insert it where its deadline belongs: nearly always at the end. */
static void
insert(QueueObject *queue, hf_alarm *alarm)
{
    hf_alarm *before = queue->last;
    while (before != NULL && before->deadline_ns > alarm->deadline_ns)
        before = before->before;
    alarm->before = before;
    alarm->after = before != NULL ? before->after : queue->first;
    *(before != NULL ? &before->after : &queue->first) = alarm;
    *(alarm->after != NULL ? &alarm->after->before : &queue->last) = alarm;
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
    *(alarm->after != NULL ? &alarm->after->before : &queue->last) = alarm->before;
    alarm->queue = NULL;
    return queue;
}

static void
stop_timer(QueueObject *queue, bool is_told)
{
    PyObject *timer = queue->timer;
    queue->timer = NULL;
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

/* Have the loop ring when the first alarm is due. -1: an exception is set, and no timer. */
static int
start_timer(QueueObject *queue)
{
    if (queue->first == NULL || queue->step == NULL ||
        (queue->timer != NULL && queue->timer_ns <= queue->first->deadline_ns))
        return 0;
    PyObject *step = Py_NewRef((PyObject *)queue->step), *loop = loop_of(queue), *timer = NULL;
    int64_t deadline_ns = queue->first->deadline_ns;
    stop_timer(queue, true);
    queue->timer_ns = deadline_ns;
    if (loop != NULL)
        timer = PyObject_CallMethod(step, "_set_timer", "OOL", loop, (PyObject *)queue,
                                    (long long)deadline_ns);
    bool failed = loop != NULL && timer == NULL;
    Py_XSETREF(queue->timer, timer);
    Py_XDECREF(loop);
    Py_DECREF(step);
    return failed ? -1 : 0;
}

/* The loop's timer: cut whose time is over, and have it ring again for the next. */
static PyObject *
queue_ring(PyObject *op, PyObject *args, PyObject *kwargs)
{
    QueueObject *self = (QueueObject *)op;
    (void)args;
    (void)kwargs;
    Py_CLEAR(self->timer);
    while (self->step != NULL && self->first != NULL &&
           self->first->deadline_ns <= hf_clock_now_ns(self->step->clock)) {
        hf_alarm *alarm = self->first;
        PyObject *coroutine = alarm->of->coroutine;
        Py_DECREF(take_out(alarm)); /* not the last: this is running */
        if (Py_REFCNT(coroutine) == 0)
            continue; /* it is dying, and its alarm with it */
        Py_INCREF(coroutine);
        hf_alarm_ring(alarm);
        Py_DECREF(coroutine);
    }
    return start_timer(self) < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- the queues of one timeout ---- */

/* Whether its loop may still run. */
static bool
is_open(const QueueObject *queue)
{
    PyObject *loop = loop_of(queue);
    PyObject *answer = loop != NULL ? PyObject_CallMethod(loop, "is_closed", NULL) : NULL;
    bool closed = loop == NULL || answer == Py_True;
    Py_XDECREF(answer);
    Py_XDECREF(loop);
    PyErr_Clear();
    return !closed;
}

/* A queue of a new loop, in a list without those of loops that were closed. */
static QueueObject *
add_queue(GateObject *step, PyObject *loop)
{
    PyObject *old = step->queues, *queues = PyList_New(0), *weak = PyWeakref_NewRef(loop, NULL);
    QueueObject *self =
        queues == NULL || weak == NULL ? NULL : PyObject_GC_New(QueueObject, queue_type);
    if (self == NULL) {
        Py_XDECREF(queues);
        Py_XDECREF(weak);
        return NULL;
    }
    self->first = self->last = NULL;
    self->step = step;
    self->loop = weak;
    self->timer = NULL;
    self->timer_ns = 0;
    PyObject_GC_Track(self);
    int kept = PyList_Append(queues, (PyObject *)self); /* the newest first: it will be asked for */
    for (Py_ssize_t i = 0; kept == 0 && old != NULL && i < PyList_GET_SIZE(old); i++) {
        QueueObject *other = (QueueObject *)PyList_GET_ITEM(old, i);
        if (is_open(other))
            kept = PyList_Append(queues, (PyObject *)other);
        else
            other->step = NULL;
    }
    Py_DECREF(self);
    if (kept < 0) {
        Py_DECREF(queues);
        return NULL;
    }
    Py_XSETREF(step->queues, queues);
    return self;
}

/* The alarms of this timeout in that loop; borrowed from the step. */
static QueueObject *
queue_in(GateObject *step, PyObject *loop)
{
    for (Py_ssize_t i = 0; step->queues != NULL && i < PyList_GET_SIZE(step->queues); i++) {
        QueueObject *queue = (QueueObject *)PyList_GET_ITEM(step->queues, i);
        PyObject *its = loop_of(queue);
        Py_XDECREF(its); /* the caller holds the one it looks for */
        if (its == loop)
            return queue;
    }
    return add_queue(step, loop);
}

/*
 * The timeout is about to die, and with it the timers that nobody needs any more: while all that dies in
 * the same collection can still be called. The loop may be among it, so what it raises is not told.
 */
void
hf_queues_stop(GateObject *step)
{
    for (Py_ssize_t i = 0; step->queues != NULL && i < PyList_GET_SIZE(step->queues); i++)
        stop_timer((QueueObject *)PyList_GET_ITEM(step->queues, i), false);
}

/* The timeout dies: a timer that still rings finds nothing. */
void
hf_queues_close(GateObject *step)
{
    for (Py_ssize_t i = 0; step->queues != NULL && i < PyList_GET_SIZE(step->queues); i++)
        ((QueueObject *)PyList_GET_ITEM(step->queues, i))->step = NULL;
    Py_CLEAR(step->queues);
}

/* Set an alarm, which need not be in the queue before. -1: an exception is set, and no timer. */
int
hf_alarm_enqueue(GateObject *step, PyObject *loop, hf_alarm *alarm)
{
    QueueObject *queue = queue_in(step, loop);
    int answer;
    if (queue == NULL)
        return -1;
    HF_BEGIN_EXCLUSIVE(queue);
    insert(queue, alarm);
    answer = start_timer(queue);
    HF_END_EXCLUSIVE();
    return answer;
}

/* Take it out of its queue, if it has not rung. */
void
hf_alarm_dequeue(hf_alarm *alarm)
{
    QueueObject *queue = alarm->queue;
    if (queue == NULL)
        return;
    HF_BEGIN_EXCLUSIVE(queue);
    take_out(alarm);
    HF_END_EXCLUSIVE();
    Py_DECREF(queue);
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
    return queue_type == NULL ? -1 : 0;
}
