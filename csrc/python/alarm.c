/*
 * Alarms of asyncio tasks: they cut a call short when its time is over.
 *
 * All calls of one timeout may take equally long, so their deadlines come in order: a queue for each
 * event loop, longest waiting first, and one timer of the loop for its head. Setting and clearing an
 * alarm costs a few pointers; the loop hears of it once in the time that one call may take.
 *
 * An alarm is set when the call is first suspended, and cancels what the coroutine waits for, not the
 * task: so nothing is to be uncancelled, and a cancellation of the caller's can be told from ours.
 */
#include "control.h"

#include "coroutine.h"

typedef struct QueueObject QueueObject;

typedef struct hf_alarm {
    struct hf_alarm *before, *after; /* in the queue; before: rings earlier */
    QueueObject *queue;              /* strong while it is in there; NULL: it has rung */
    struct hf_alarms *of;
    int64_t deadline_ns;
    int8_t at; /* of which step */
} hf_alarm;

/* What the alarms of one coroutine share. */
typedef struct hf_alarms {
    hf_course *course;
    PyObject *coroutine; /* borrowed: it owns all this */
    PyObject *loop;      /* NULL: no asyncio loop drives it; deadlines are then cooperative */
    PyObject *task;      /* or NULL */
    PyObject *awaited;   /* what it was last suspended on; NULL: nothing that could be cancelled */
    long cancelling;     /* how often the task was asked to end before */
    int8_t due;  /* this step's alarm rang when nothing could be cut; HF_MAX_STEPS: none did */
    bool raises; /* there is nothing to cancel: it is raised as soon as it goes on */
} hf_alarms;

struct QueueObject {
    PyObject_HEAD
    hf_alarm *first, *last;
    GateObject *step; /* borrowed: it closes its queues when it dies; NULL: it has */
    PyObject *loop;
    PyObject *timer;  /* cancels the loop's timer; NULL: none is set */
    int64_t timer_ns; /* when that rings */
};

static PyTypeObject *queue_type;

/* ---- asyncio, once somebody has imported it ---- */

static PyObject *running_loop, *current_task, *cancelled_error;

/* False, with nothing set: nobody has imported it, so no loop of its can run. -1: an exception is set. */
static int
find_asyncio(void)
{
    static const char *const names[] = {"_get_running_loop", "current_task", "CancelledError"};
    PyObject **const found[] = {&running_loop, &current_task, &cancelled_error};
    if (cancelled_error != NULL)
        return 1;
    PyObject *modules = PyImport_GetModuleDict(); /* borrowed */
    PyObject *asyncio = PyDict_GetItemString(modules, "asyncio");
    if (asyncio == NULL)
        return 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        PyObject *value = PyObject_GetAttrString(asyncio, names[i]);
        if (value == NULL)
            return -1;
        Py_XSETREF(*found[i], value);
    }
    return 1;
}

/* How often somebody has asked the task to end. */
static long
cancelling_of(PyObject *task)
{
    PyObject *answer = PyObject_CallMethod(task, "cancelling", NULL);
    long n = answer == NULL ? 0 : PyLong_AsLong(answer);
    Py_XDECREF(answer);
    PyErr_Clear(); /* a task of another kind that cannot tell */
    return n;
}

/* Find out which loop and task drive the coroutine that has been suspended. -1: an exception is set. */
static int
find_driver(hf_alarms *alarms)
{
    int found = find_asyncio();
    if (found <= 0)
        return found;
    PyObject *loop = PyObject_CallNoArgs(running_loop);
    if (loop == NULL || loop == Py_None) {
        Py_XDECREF(loop);
        return loop == NULL ? -1 : 0;
    }
    PyObject *task = PyObject_CallOneArg(current_task, loop);
    if (task == NULL) {
        Py_DECREF(loop);
        return -1;
    }
    alarms->loop = loop;
    alarms->cancelling = task != Py_None ? cancelling_of(task) : 0;
    if (task == Py_None)
        Py_DECREF(task);
    else
        alarms->task = task;
    return 0;
}

/* ---- cutting ---- */

static bool
is_busy(const hf_alarms *alarms)
{
    return ((const CoroutineObject *)alarms->coroutine)->busy;
}

/* Cancel what is awaited. 1: done. 0: it has ended by itself. -1: there is no way to. */
static int
cancel_awaited(hf_alarms *alarms)
{
    if (alarms->awaited == NULL)
        return -1;
    PyObject *awaited = Py_NewRef(alarms->awaited);
    PyObject *answer = PyObject_CallMethod(awaited, "cancel", NULL);
    int truth = answer == NULL ? -1 : PyObject_IsTrue(answer);
    if (truth < 0) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError))
            PyErr_WriteUnraisable(awaited);
        PyErr_Clear();
    }
    Py_XDECREF(answer);
    Py_DECREF(awaited);
    return truth;
}

/* The time of the step `at` is over: end what goes on inside of it, at once or as soon as it can be. */
static void
cut(hf_alarms *alarms, int8_t at)
{
    alarms->due = at;
    if (is_busy(alarms))
        return;
    int cancelled = cancel_awaited(alarms);
    if (cancelled == 0)
        return; /* its result is on the way; should it wait again, it is cut then */
    alarms->raises = cancelled < 0;
    alarms->due = HF_MAX_STEPS;
    alarms->course->fired = at;
}

/* ---- the queue ---- */

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

/* True: it was in a queue, whose reference is the caller's. */
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
stop_timer(QueueObject *queue)
{
    PyObject *timer = queue->timer;
    queue->timer = NULL;
    if (timer == NULL)
        return;
    PyObject *raised = hf_take_exception();
    PyObject *answer = PyObject_CallNoArgs(timer);
    if (answer == NULL)
        PyErr_WriteUnraisable(timer);
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
    stop_timer(queue);
    queue->timer_ns = queue->first->deadline_ns;
    PyObject *timer = PyObject_CallMethod((PyObject *)queue->step, "_set_timer", "OOL", queue->loop,
                                          (PyObject *)queue, (long long)queue->timer_ns);
    if (timer == NULL)
        return -1;
    Py_XSETREF(queue->timer, timer);
    return 0;
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
        PyObject *coroutine = Py_NewRef(alarm->of->coroutine);
        Py_DECREF(take_out(alarm)); /* not the last: this is running */
        cut(alarm->of, alarm->at);
        Py_DECREF(coroutine);
    }
    return start_timer(self) < 0 ? NULL : Py_NewRef(Py_None);
}

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

static bool
is_closed(PyObject *loop)
{
    PyObject *answer = PyObject_CallMethod(loop, "is_closed", NULL);
    bool closed = answer == Py_True;
    Py_XDECREF(answer);
    PyErr_Clear();
    return closed;
}

/* A queue of a new loop, in a list without those of loops that were closed. */
static QueueObject *
add_queue(GateObject *step, PyObject *loop)
{
    PyObject *old = step->queues, *queues = PyList_New(0);
    QueueObject *self = queues == NULL ? NULL : PyObject_GC_New(QueueObject, queue_type);
    if (self == NULL) {
        Py_XDECREF(queues);
        return NULL;
    }
    self->first = self->last = NULL;
    self->step = step;
    self->loop = Py_NewRef(loop);
    self->timer = NULL;
    self->timer_ns = 0;
    PyObject_GC_Track(self);
    int kept = PyList_Append(queues, (PyObject *)self); /* the newest first: it will be asked for */
    for (Py_ssize_t i = 0; kept == 0 && old != NULL && i < PyList_GET_SIZE(old); i++) {
        QueueObject *other = (QueueObject *)PyList_GET_ITEM(old, i);
        if (other->loop != NULL && !is_closed(other->loop))
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
        if (queue->loop == loop)
            return queue;
    }
    return add_queue(step, loop);
}

/* The timeout dies, and with it the timers that nobody needs any more. */
void
hf_queues_close(GateObject *step)
{
    for (Py_ssize_t i = 0; step->queues != NULL && i < PyList_GET_SIZE(step->queues); i++) {
        QueueObject *queue = (QueueObject *)PyList_GET_ITEM(step->queues, i);
        queue->step = NULL;
        stop_timer(queue);
    }
    Py_CLEAR(step->queues);
}

/* ---- what a coroutine does with its alarms ---- */

static int
set_alarm(GateObject *step, hf_hold *hold, hf_alarms *alarms, int at, int64_t deadline_ns)
{
    QueueObject *queue = queue_in(step, alarms->loop);
    hf_alarm *alarm = queue == NULL ? NULL : PyMem_Malloc(sizeof *alarm);
    if (alarm == NULL) {
        if (queue != NULL)
            PyErr_NoMemory();
        return -1;
    }
    alarm->of = alarms;
    alarm->at = (int8_t)at;
    alarm->deadline_ns = deadline_ns;
    int answer;
    HF_BEGIN_EXCLUSIVE(queue);
    insert(queue, alarm);
    hold->timeout.alarm = alarm;
    answer = start_timer(queue);
    HF_END_EXCLUSIVE();
    return answer;
}

/* Set an alarm for each timeout entered whose own deadline is in force. -1: an exception is set. */
static int
set_alarms(GateObject *gate, hf_pass *pass, hf_alarms *alarms)
{
    hf_deadline deadline = pass->course->deadline;
    for (int at = pass->entered - 1; at >= 0; at--) {
        GateObject *step = gate->steps[at];
        hf_hold *hold = &pass->hold[at];
        if (step->kind != HF_KIND_TIMEOUT || step->mode == HF_OBSERVE)
            continue;
        const hf_deadline outer = hold->timeout.outer;
        bool own = deadline.step != outer.step || deadline.ns != outer.ns;
        if (own && hold->timeout.alarm == NULL &&
            set_alarm(step, hold, alarms, at, deadline.ns) < 0)
            return -1;
        deadline = outer;
    }
    return 0;
}

static hf_alarms *
alarms_new(hf_course *course, PyObject *coroutine)
{
    hf_alarms *alarms = PyMem_Malloc(sizeof *alarms);
    if (alarms == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    alarms->course = course;
    alarms->coroutine = coroutine;
    alarms->loop = alarms->task = alarms->awaited = NULL;
    alarms->cancelling = 0;
    alarms->due = HF_MAX_STEPS;
    alarms->raises = false;
    course->alarms = alarms;
    return alarms;
}

/* The coroutine is being suspended on what it yields. -1: an exception is set. */
int
hf_alarms_set(GateObject *gate, hf_pass *pass, PyObject *yielded, PyObject *coroutine)
{
    hf_course *course = pass->course;
    hf_alarms *alarms = course->alarms;
    if (alarms == NULL) {
        alarms = alarms_new(course, coroutine);
        if (alarms == NULL || find_driver(alarms) < 0)
            return -1;
    }
    Py_XSETREF(alarms->awaited, yielded != Py_None ? Py_NewRef(yielded) : NULL);
    if (alarms->loop != NULL && set_alarms(gate, pass, alarms) < 0)
        return -1;
    if (alarms->due != HF_MAX_STEPS) {
        int8_t at = alarms->due;
        int cancelled = cancel_awaited(alarms);
        alarms->raises = cancelled <= 0;
        alarms->due = HF_MAX_STEPS;
        course->fired = at;
    }
    return 0;
}

/* It goes on. True: by a CancelledError, which is set, whatever it was sent. */
bool
hf_alarms_wake(hf_course *course)
{
    hf_alarms *alarms = course->alarms;
    if (alarms == NULL)
        return false;
    Py_CLEAR(alarms->awaited);
    if (!alarms->raises)
        return false;
    alarms->raises = false;
    PyErr_SetNone(cancelled_error);
    return true;
}

bool
hf_alarms_have_loop(const hf_course *course)
{
    return course->alarms->loop != NULL;
}

/* Whether what is set is our cut, and nobody else has asked the task to end: then theirs counts. */
bool
hf_alarms_cut(const hf_course *course)
{
    const hf_alarms *alarms = course->alarms;
    if (cancelled_error == NULL || !PyErr_ExceptionMatches(cancelled_error))
        return false;
    if (alarms->task == NULL)
        return true;
    PyObject *raised = hf_take_exception();
    bool ours = cancelling_of(alarms->task) <= alarms->cancelling;
    hf_give_exception(raised);
    return ours;
}

void
hf_alarm_clear(hf_alarm *alarm)
{
    if (alarm == NULL)
        return;
    QueueObject *queue = alarm->queue;
    if (queue != NULL) {
        HF_BEGIN_EXCLUSIVE(queue);
        take_out(alarm);
        HF_END_EXCLUSIVE();
        Py_DECREF(queue);
    }
    PyMem_Free(alarm);
}

void
hf_alarms_end(hf_course *course)
{
    hf_alarms *alarms = course->alarms;
    course->alarms = NULL;
    Py_XDECREF(alarms->awaited);
    Py_XDECREF(alarms->task);
    Py_XDECREF(alarms->loop);
    PyMem_Free(alarms);
}

/* ---- the type ---- */

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
