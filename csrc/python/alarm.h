/*
 * Alarms, as the files alarm*.c share them.
 */
#ifndef HF_ALARM_H
#define HF_ALARM_H

#include "coroutine.h"

typedef struct QueueObject QueueObject;

typedef struct hf_alarm {
    struct hf_alarm *before, *after; /* in the queue; before: rings earlier */
    QueueObject *queue;              /* strong while it is in there; NULL: it has rung */
    struct hf_alarms *of;
    int64_t deadline_ns;
    long cancelling; /* how often others had asked the task to end when it was set */
    int8_t at;       /* of which step */
    bool is_set;     /* whether it has rung or not */
} hf_alarm;

/* The alarms of one coroutine, one a step. */
typedef struct hf_alarms {
    hf_course *course;
    PyObject *coroutine; /* borrowed: it owns all this */
    PyObject *loop;      /* NULL: no asyncio loop drives it; deadlines are then cooperative */
    PyObject *task;      /* or NULL */
    PyObject *awaited;   /* what it was last suspended on; NULL: nothing that could be cancelled */
    uint16_t asked;      /* the steps that have asked the task to end and are not left, in bits */
    int8_t due;  /* this step's alarm rang when nothing could be cut; HF_MAX_STEPS: none did */
    bool raises; /* there is nothing to cancel: it is raised as soon as it goes on */
    hf_alarm alarm[];
} hf_alarms;

static inline GateObject *
hf_alarms_step(const hf_alarms *alarms, int at)
{
    return ((const CoroutineObject *)alarms->coroutine)->gate->steps[at];
}

/* ---- alarm.c ---- */
bool hf_alarm_leave(hf_alarms *alarms, int at);
bool hf_alarms_end_around(const hf_alarms *alarms, int at);

/* ---- alarm_queue.c ---- */
void hf_alarm_set_asked(hf_alarms *alarms, int at, bool asked);
int hf_alarm_enqueue(GateObject *step, PyObject *loop, hf_alarm *alarm);
void hf_alarm_dequeue(hf_alarm *alarm);

/* ---- alarm_loop.c ---- */
int hf_alarm_loop_ready(void);
long hf_cancelling_of(PyObject *task);
bool hf_task_waits_for(PyObject *task, const PyObject *awaited);
int hf_cancel(PyObject *op);
void hf_uncancel_task(PyObject *task);
bool hf_is_cancelled(void);
void hf_raise_cancelled(void);

#endif /* HF_ALARM_H */
