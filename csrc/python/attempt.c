/*
 * A retry's decisions for who makes the attempts by hand: `for attempt in retry.attempts()`. The steps of
 * such a call are the retry alone; what one call has used up is the caller's to keep.
 */
#include "control.h"

static int
need_retry(const GateObject *self)
{
    if (self->kind == HF_KIND_RETRY)
        return 0;
    if (hf_need_made(self) == 0)
        PyErr_Format(PyExc_TypeError, "%R is not a retry", (PyObject *)self);
    return -1;
}

/* A pass that stands inside the retry, after so many retries. -1: an exception is set. */
static int
stand_inside(hf_pass *pass, hf_course *course, long retries, long long previous_ns,
             long long started_ns)
{
    if (hf_course_begin(course, pass, true) < 0)
        return -1;
    pass->entered = 1;
    pass->hold[0].retry.retries = (uint32_t)retries;
    pass->hold[0].retry.previous_ns = previous_ns;
    pass->hold[0].since_ns = started_ns;
    return 0;
}

/* The call it stood in is of this function alone. */
static void
step_back(hf_course *course)
{
    hf_course_end(course);
    hf_course_suspend(course);
}

/* Leave with the error that is set or the result; as hf_retry_leave(), but the error is not raised again. */
static bool
leave(GateObject *self, hf_pass *pass, PyObject *error, PyObject *result)
{
    bool again = hf_retry_leave(self, 0, pass, &result);
    Py_XDECREF(result);
    if (again || !PyErr_Occurred())
        return again;
    PyObject *raised = hf_take_exception();
    if (raised == error)
        Py_DECREF(raised); /* the block raises it itself */
    else
        hf_give_exception(raised);
    return false;
}

/*
 * _attempt_made(retries, previous_ns, started_ns, error, result, returned, granted): an attempt has raised
 * `error`, or returned `result`, or has ended. The delay before the next in nanoseconds is put in `granted`,
 * a list of one: as an answer it could be lost to an interrupt, and the retry with it.
 */
PyObject *
hf_gate_attempt_made(PyObject *op, PyObject *args)
{
    GateObject *self = (GateObject *)op;
    PyObject *error, *result, *granted;
    long retries;
    long long previous_ns, started_ns;
    int returned;
    hf_pass pass;
    hf_course course;
    if (need_retry(self) < 0 ||
        !PyArg_ParseTuple(args, "lLLOOpO!:_attempt_made", &retries, &previous_ns, &started_ns,
                          &error, &result, &returned, &PyList_Type, &granted))
        return NULL;
    if (self->mode == HF_OFF)
        Py_RETURN_NONE;
    if (stand_inside(&pass, &course, retries, previous_ns, started_ns) < 0)
        return NULL;
    bool again = false;
    if (error != Py_None) {
        hf_give_exception(Py_NewRef(error));
        again = leave(self, &pass, error, NULL);
    } else if (returned) {
        again = leave(self, &pass, NULL, Py_NewRef(result));
    } else {
        hf_retry_succeed(self, &pass.hold[0]);
    }
    step_back(&course);
    if (PyErr_Occurred())
        return NULL;
    if (!again)
        Py_RETURN_NONE;
    PyObject *delay = PyLong_FromLongLong(course.pause_ns);
    if (delay == NULL || PyList_SetItem(granted, 0, delay) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* _pause_ended(retries, interrupted): before the retry of that number. */
PyObject *
hf_gate_pause_ended(PyObject *op, PyObject *args)
{
    GateObject *self = (GateObject *)op;
    long retries;
    int interrupted;
    if (need_retry(self) < 0 || !PyArg_ParseTuple(args, "lp:_pause_ended", &retries, &interrupted))
        return NULL;
    hf_hold hold = {.retry = {.retries = (uint32_t)retries}};
    hf_retry_paused(self, &hold, interrupted);
    Py_RETURN_NONE;
}

/* _check_begin(): raise if the time for a first attempt is over already. */
PyObject *
hf_gate_check_begin(PyObject *op, PyObject *ignored)
{
    GateObject *self = (GateObject *)op;
    hf_pass pass;
    hf_course course;
    (void)ignored;
    if (need_retry(self) < 0)
        return NULL;
    if (self->mode == HF_OFF)
        Py_RETURN_NONE;
    if (stand_inside(&pass, &course, 0, -1, 0) < 0)
        return NULL;
    hf_entering entered = hf_retry_enter(self, &pass, &pass.hold[0]);
    step_back(&course);
    return entered == HF_IN ? Py_NewRef(Py_None) : NULL;
}
