/*
 * Alarms of asyncio tasks: they cut a call short when its time is over.
 *
 * An alarm is set when the call is first suspended. As asyncio.timeout does, it asks the task to end, and
 * takes that back when its step is left; the count of who has asked tells a cancellation of the caller's
 * from ours. Where no task awaits the call, what the call waits for is cancelled. When an alarm rings is
 * alarm_queue.c's; which loop and task there are, alarm_loop.c's.
 */
#include "alarm.h"

/* The count of who has asked the task to end, without the timeouts of this call and of those around it. */
static long
others_who_ask(const hf_alarms *alarms)
{
    long all = alarms->task != NULL ? hf_cancelling_of(alarms->task) : 0;
    if (all == 0)
        return 0;
    return all - __builtin_popcount(alarms->asked) - hf_cuts_around(alarms->course->limit);
}

/* ---- setting and clearing ---- */

/* Set an alarm for each timeout and each hedge entered, as each would be set by itself. -1: an exception is set. */
static int
set_alarms(GateObject *gate, hf_pass *pass, hf_alarms *alarms)
{
    long asking = -1; /* not asked yet */
    for (int at = pass->entered - 1; at >= 0; at--) {
        GateObject *step = gate->steps[at];
        hf_alarm *alarm = &alarms->alarm[at];
        bool rings = step->kind == HF_KIND_TIMEOUT ||
                     (step->kind == HF_KIND_HEDGE && pass->hold[at].hedge.due_ns != HF_HEDGE_NEVER);
        if (!rings || step->mode == HF_OBSERVE || alarm->is_set)
            continue;
        if (asking < 0)
            asking = others_who_ask(alarms);
        alarm->cancelling = asking;
        alarm->deadline_ns = pass->hold[at].timeout.own_ns; /* or due_ns of a hedge */
        alarm->of = alarms;
        alarm->at = (int8_t)at;
        if (hf_alarm_enqueue(step, alarms->loop, alarm) < 0) {
            hf_alarm_dequeue(alarm); /* where the call is suspended next, it is set anew */
            return -1;
        }
        alarm->is_set = true;
    }
    return 0;
}

/* With room for faults that become steps of the gate while the call goes on, and for one that is attached. */
static hf_alarms *
alarms_new(hf_course *course, const GateObject *gate, PyObject *coroutine)
{
    size_t n_steps = (size_t)gate->n_all + 1;
    hf_alarms *alarms = PyMem_Calloc(1, sizeof *alarms + n_steps * sizeof *alarms->alarm);
    if (alarms == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    alarms->course = course;
    alarms->coroutine = coroutine;
    alarms->due = HF_MAX_STEPS;
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
        alarms = alarms_new(course, gate, coroutine);
        if (alarms == NULL || hf_find_driver(&alarms->loop, &alarms->task) < 0)
            return -1;
    }
    Py_XSETREF(alarms->awaited, yielded != Py_None ? Py_NewRef(yielded) : NULL);
    if (alarms->loop != NULL && set_alarms(gate, pass, alarms) < 0)
        return -1;
    if (course->limit != NULL && course->limit->cut_again) {
        course->limit->cut_again = false;
        alarms->due = course->fired;
    }
    if (alarms->due != HF_MAX_STEPS) {
        int8_t at = alarms->due;
        alarms->raises = hf_cancel(alarms->awaited) <= 0;
        alarms->due = HF_MAX_STEPS;
        if (hf_alarms_step(alarms, at)->kind == HF_KIND_TIMEOUT)
            course->fired = Py_MIN(course->fired, at);
    }
    return 0;
}

/*
 * A fallback is to be awaited: what it stands in for may have been cut, but it has no more time than that,
 * and is cut where it waits. An alarm that has not rung will do so by itself.
 */
void
hf_alarms_ring_again(const hf_pass *pass)
{
    hf_alarms *alarms = pass->course->alarms;
    for (int at = 0; at < pass->entered && alarms != NULL; at++) {
        if (!alarms->alarm[at].is_set || alarms->alarm[at].queue != NULL ||
            hf_alarms_step(alarms, at)->kind != HF_KIND_TIMEOUT)
            continue;
        alarms->due = (int8_t)at; /* the outermost, as where they ring together */
        return;
    }
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
    hf_raise_cancelled();
    return true;
}

/*
 * Whether what is set is the cut of the alarm that has rung, and nobody else has asked the task to end
 * since that was set: then theirs counts.
 */
bool
hf_alarms_cut(const hf_course *course)
{
    const hf_alarms *alarms = course->alarms;
    if (!hf_is_cancelled())
        return false;
    if (alarms->task == NULL)
        return true;
    PyObject *raised = hf_take_exception();
    bool ours = others_who_ask(alarms) <= alarms->alarm[course->fired].cancelling;
    hf_give_exception(raised);
    return ours;
}

void
hf_alarm_clear(hf_alarms *alarms, int at)
{
    hf_alarm *alarm = &alarms->alarm[at];
    if (!alarm->is_set)
        return;
    alarm->is_set = false;
    if (alarms->due == at)
        alarms->due = HF_MAX_STEPS; /* what it was to cut has ended by itself */
    hf_alarm_dequeue(alarm);
    if (alarms->asked >> at & 1) {
        hf_alarm_set_asked(alarms, at, false);
        hf_uncancel_task(alarms->task);
    }
}

/*
 * The first attempt of the hedge at that place has ended. True: it was cancelled, and somebody else than the race
 * has asked for that.
 */
bool
hf_alarm_leave(hf_alarms *alarms, int at)
{
    bool foreign = false;
    if (alarms->alarm[at].is_set && alarms->task != NULL && hf_is_cancelled()) {
        PyObject *raised = hf_take_exception();
        foreign = others_who_ask(alarms) > alarms->alarm[at].cancelling;
        hf_give_exception(raised);
    }
    hf_alarm_clear(alarms, at);
    return foreign;
}

/*
 * Whether the call is being cut or cancelled around the hedge at that place: its first attempt ends, however long
 * that takes.
 */
bool
hf_alarms_end_around(const hf_alarms *alarms, int at)
{
    if (alarms->task == NULL || !alarms->alarm[at].is_set)
        return false;
    bool is_cut =
        hf_cuts_around(alarms->course->limit) > 0 || (alarms->asked & ((1u << at) - 1)) != 0;
    return is_cut || others_who_ask(alarms) > alarms->alarm[at].cancelling;
}

/* All that are set of a call that dies, or is another process's: they are to find nothing of it. */
void
hf_alarms_forget(const hf_pass *pass)
{
    for (int at = 0; at < pass->entered && pass->course->alarms != NULL; at++)
        hf_alarm_clear(pass->course->alarms, at);
}

int
hf_alarms_traverse(const hf_course *course, visitproc visit, void *arg)
{
    const hf_alarms *alarms = course->alarms;
    if (alarms == NULL)
        return 0;
    Py_VISIT(alarms->awaited);
    Py_VISIT(alarms->task);
    Py_VISIT(alarms->loop);
    return 0;
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
