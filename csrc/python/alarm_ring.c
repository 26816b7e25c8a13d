/*
 * An alarm that rings: its call is cut short, at once or as soon as it can be.
 */
#include "alarm.h"

static bool
is_busy(const hf_alarms *alarms)
{
    return hf_coroutine_is_busy((const CoroutineObject *)alarms->coroutine);
}

/* Cancel what is awaited. 1: done. 0: it has ended by itself. -1: there is no way to. */
int
hf_alarm_cancel_awaited(hf_alarms *alarms)
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

/* Whether this step has asked the task to end and is not left. */
void
hf_alarm_set_asked(hf_alarms *alarms, int at, bool asked)
{
    unsigned bit = 1u << at, all = asked ? alarms->asked | bit : alarms->asked & ~bit;
    hf_limit *limit = alarms->course->limit;
    alarms->asked = (uint16_t)all;
    if (limit == NULL)
        return;
    limit->cuts = (uint8_t)__builtin_popcount(all);
}

/* Ask the task to end. Whoever hears of it may end the call then and there, and its alarms with it. */
static void
ask_task(hf_alarms *alarms, int at)
{
    hf_course *course = alarms->course;
    PyObject *task = Py_NewRef(alarms->task);
    long before = hf_cancelling_of(task);
    hf_alarm_set_asked(alarms, at, true);
    bool delivered = hf_cancel_task(task);
    if (course->alarms == alarms && (alarms->asked >> at & 1)) {
        if (hf_cancelling_of(task) <= before)
            hf_alarm_set_asked(alarms, at, false);
        alarms->raises |= !delivered;
    }
    Py_DECREF(task);
}

/* The time of its step is over: end what goes on inside of it, at once or as soon as it can be. */
void
hf_alarm_ring(hf_alarm *alarm)
{
    hf_alarms *alarms = alarm->of;
    hf_course *course = alarms->course;
    int8_t at = alarm->at, fired = course->fired;
    if (is_busy(alarms)) { /* it has moved a manual clock itself */
        alarms->due = Py_MIN(alarms->due, at);
        return;
    }
    course->fired = Py_MIN(fired, at);
    if (alarms->task != NULL && hf_task_waits_for(alarms->task, alarms->awaited)) {
        ask_task(alarms, at);
        return;
    }
    alarms->due = at;
    int cancelled = hf_alarm_cancel_awaited(alarms);
    if (course->alarms != alarms)
        return;
    if (cancelled == 0) {
        course->fired = fired; /* its result is on the way; should it wait again, it is cut then */
        return;
    }
    alarms->raises = cancelled < 0;
    alarms->due = HF_MAX_STEPS;
}
