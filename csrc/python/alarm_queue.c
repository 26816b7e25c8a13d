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
    hf_alarm *newest; /* of those in there the last that was set, or one beside it */
    PyObject *loop;   /* a weak reference: what a policy was once used in is not to be kept */
    PyObject *timer;  /* cancels the loop's timer; NULL: none is set */
    int64_t timer_ns; /* when that rings */
};

static PyTypeObject *queue_type;

/* ---- an alarm that rings ---- */

/* The call goes on, and what begins inside of it is to know of its cuts: it may have had no limit before. */
void
hf_alarms_share(const hf_course *course)
{
    if (course->limit != NULL && course->alarms != NULL)
        course->limit->cuts = (uint8_t)__builtin_popcount(course->alarms->asked);
}

/* Whether this step has asked the task to end and is not left. */
void
hf_alarm_set_asked(hf_alarms *alarms, int at, bool asked)
{
    unsigned bit = 1u << at;
    alarms->asked = (uint16_t)(asked ? alarms->asked | bit : alarms->asked & ~bit);
    hf_alarms_share(alarms->course);
}

/* Ask the task to end. Whoever hears of it may end the call then and there, and its alarms with it. */
static void
ask_task(hf_alarms *alarms, int at)
{
    hf_course *course = alarms->course;
    PyObject *task = Py_NewRef(alarms->task);
    long before = hf_cancelling_of(task);
    hf_alarm_set_asked(alarms, at, true);
    bool delivered = hf_cancel(task) >= 0;
    if (course->alarms == alarms && (alarms->asked >> at & 1)) {
        if (hf_cancelling_of(task) <= before)
            hf_alarm_set_asked(alarms, at, false);
        alarms->raises |= !delivered;
    }
    Py_DECREF(task);
}

/* End what goes on inside of a step, at once or as soon as it can be. */
static void
cut(hf_alarms *alarms, int8_t at)
{
    hf_course *course = alarms->course;
    int8_t fired = course->fired;
    bool is_timeout = hf_alarms_step(alarms, at)->kind == HF_KIND_TIMEOUT;
    if (hf_coroutine_is_busy(
            (const CoroutineObject *)alarms->coroutine)) { /* it has moved a manual clock itself */
        alarms->due = Py_MIN(alarms->due, at);
        return;
    }
    if (is_timeout)
        course->fired = Py_MIN(fired, at);
    if (alarms->task != NULL && hf_task_waits_for(alarms->task, alarms->awaited)) {
        ask_task(alarms, at);
        return;
    }
    alarms->due = at;
    int cancelled = hf_cancel(alarms->awaited);
    if (course->alarms != alarms)
        return;
    if (cancelled == 0) {
        course->fired = fired; /* its result is on the way; should it wait again, it is cut then */
        return;
    }
    alarms->raises = cancelled < 0;
    alarms->due = HF_MAX_STEPS;
}

/* A hedge's time has come: its race begins, if the call goes on. */
static void
begin_race(hf_alarms *alarms, int at)
{
    CoroutineObject *coroutine = (CoroutineObject *)alarms->coroutine;
    PyObject *step = (PyObject *)hf_alarms_step(alarms, at);
    PyObject *race =
        PyObject_CallMethod(step, "_begin_race", "OiO", (PyObject *)coroutine, at, Py_True);
    hf_hold *hold = &coroutine->pass.hold[at];
    if (race == NULL)
        PyErr_WriteUnraisable(step); /* the first attempt goes on */
    else if (coroutine->course.alarms == alarms && alarms->alarm[at].is_set &&
             hold->hedge.race == NULL)
        hold->hedge.race = Py_NewRef(race);
    Py_XDECREF(race);
}

/* The time of its step is over. */
static void
ring(hf_alarm *alarm)
{
    hf_alarms *alarms = alarm->of;
    if (hf_alarms_step(alarms, alarm->at)->kind == HF_KIND_HEDGE)
        begin_race(alarms, alarm->at);
    else
        cut(alarms, alarm->at);
}

/* _cut_first(coroutine, at): a race is decided, and the first attempt is to end, if it has not. */
static PyObject *
cut_first(PyObject *module, PyObject *args)
{
    PyObject *op;
    int at;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!i:_cut_first", hf_coroutine_type, &op, &at))
        return NULL;
    CoroutineObject *self = (CoroutineObject *)op;
    hf_alarms *alarms = self->controlled ? self->course.alarms : NULL;
    if (alarms != NULL && at < self->pass.entered && alarms->alarm[at].is_set)
        cut(alarms, (int8_t)at);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"_cut_first", cut_first, METH_VARARGS, NULL},
    {NULL},
};

/* ---- a queue ---- */

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

/* The policy whose alarm is the first, strong, if no timer rings in time for that; else NULL. */
static PyObject *
wants_timer(QueueObject *queue, int64_t *deadline_ns)
{
    PyObject *step = NULL;
    HF_BEGIN_EXCLUSIVE(queue);
    const hf_alarm *first = queue->first;
    if (first != NULL && (queue->timer == NULL || queue->timer_ns > first->deadline_ns)) {
        step = Py_NewRef((PyObject *)hf_alarms_step(first->of, first->at));
        queue->timer_ns = *deadline_ns = first->deadline_ns;
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
    PyObject *loop = queue->loop != NULL ? hf_weak_target(queue->loop) : NULL, *timer = NULL;
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
    hf_alarm *first = *alarm = queue->first;
    if (first != NULL &&
        first->deadline_ns <= hf_clock_now_ns(hf_alarms_step(first->of, first->at)->clock)) {
        coroutine = Py_NewRef(first->of->coroutine);
        was = take_out(first);
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
        ring(alarm);
        Py_DECREF(coroutine);
    }
    return start_timer(self) < 0 ? NULL : Py_NewRef(Py_None);
}

/*
 * _stop(): the timeout is about to die, and nobody needs its timers any more. The loop may die with it, so
 * what cancelling raises is not told.
 */
static PyObject *
queue_stop(PyObject *op, PyObject *ignored)
{
    (void)ignored;
    cancel_timer(exchange_timer((QueueObject *)op, NULL), false);
    Py_RETURN_NONE;
}

/* ---- the queues of one timeout ---- */

static PyObject *
queue_new(PyObject *loop)
{
    PyObject *weak = PyWeakref_NewRef(loop, NULL);
    QueueObject *self = weak != NULL ? PyObject_GC_New(QueueObject, queue_type) : NULL;
    if (self == NULL) {
        Py_XDECREF(weak);
        return NULL;
    }
    self->first = self->newest = NULL;
    self->loop = weak;
    self->timer = NULL;
    self->timer_ns = 0;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

/* The queue of the loop that this timeout was last used in, strong, if that is this one; else NULL. */
static PyObject *
last_queue(GateObject *step, PyObject *loop)
{
    PyObject *last = NULL;
    HF_BEGIN_EXCLUSIVE(step);
    const QueueObject *queue = (const QueueObject *)step->alarms;
    if (queue != NULL && queue->loop != NULL && hf_weak_address(queue->loop) == loop)
        last = Py_NewRef(step->alarms);
    HF_END_EXCLUSIVE();
    return last;
}

/* The alarms of this timeout in that loop, strong. Python has them by loop, for as long as that lives. */
static PyObject *
queue_in(GateObject *step, PyObject *loop)
{
    PyObject *queue = last_queue(step, loop), *old;
    PyObject *made = queue == NULL ? queue_new(loop) : NULL;
    if (made == NULL)
        return queue;
    queue = PyObject_CallMethod((PyObject *)step, "_alarms_in", "ON", loop, made);
    if (queue == NULL)
        return NULL;
    HF_BEGIN_EXCLUSIVE(step);
    old = step->alarms;
    step->alarms = Py_NewRef(queue);
    HF_END_EXCLUSIVE();
    Py_XDECREF(old);
    return queue;
}

/* Set an alarm, which need not be in the queue before. -1: an exception is set, and no timer. */
int
hf_alarm_enqueue(GateObject *step, PyObject *loop, hf_alarm *alarm)
{
    QueueObject *queue = (QueueObject *)queue_in(step, loop);
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

static PyMethodDef queue_methods[] = {
    {"_stop", queue_stop, METH_NOARGS, NULL},
    {NULL},
};

static PyType_Slot queue_slots[] = {
    {Py_tp_doc, "The alarms of one timeout in one event loop; called by the loop's timer."},
    {Py_tp_dealloc, queue_dealloc},
    {Py_tp_traverse, queue_traverse},
    {Py_tp_clear, queue_clear},
    {Py_tp_call, queue_ring},
    {Py_tp_methods, queue_methods},
    {0, NULL},
};

int
hf_alarm_ready(PyObject *module)
{
    queue_type = hf_final_type(module, "holdfast._native.gate.Alarms", sizeof(QueueObject),
                               Py_TPFLAGS_HAVE_GC, queue_slots);
    if (queue_type == NULL || PyModule_AddFunctions(module, functions) < 0)
        return -1;
    return hf_alarm_loop_ready();
}
