/*
 * How calls of a pipeline end: counted here, natively, where the gate is left or has refused.
 *
 * The counters are made for the first call, so a pipeline without calls takes no memory for them. No clock
 * is read for a duration: a call has one where a step of its gate wants it.
 */
#include "control.h"

/* ---- which end it is ---- */

/* Whether it is holdfast's DeadlineExceededError, known by its name: its module is above this one. */
static bool
is_exceeded(PyTypeObject *type)
{
    if (!PyType_IsSubtype(type, (PyTypeObject *)PyExc_TimeoutError))
        return false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(type->tp_mro); i++) {
        PyTypeObject *class = (PyTypeObject *)PyTuple_GET_ITEM(type->tp_mro, i);
        if (strcmp(class->tp_name, "DeadlineExceededError") == 0)
            return true;
    }
    return false;
}

/* What the exception that is set makes of the call. */
static hf_pipeline_end
end_of_raised(void)
{
    PyTypeObject *type = (PyTypeObject *)PyErr_Occurred();
    switch (hf_class_says(type)) {
    case HF_SAYS_CANCELLED:
        return HF_PIPELINE_CANCELLED;
    case HF_SAYS_REJECTED:
        return HF_PIPELINE_REJECTED;
    default:
        return is_exceeded(type) ? HF_PIPELINE_TIMEOUT : HF_PIPELINE_FAILURE;
    }
}

/* Whether some step has judged the result that the caller gets a failure. */
bool
hf_result_failed(const GateObject *gate, const hf_pass *pass)
{
    const hf_course *course = pass->course;
    int inside = gate->n_steps;
    if (course != NULL && course->failed_inside)
        return true;
    if (course != NULL && course->threaded)
        inside = gate->threaded_at + 1;
    if (course != NULL && course->stood_in_at < inside)
        inside = course->stood_in_at;     /* what is inside of it has not judged what it gave */
    for (int at = 0; at < inside; at++) { /* a call that has a result has entered them all */
        const GateObject *step = gate->steps[at];
        const hf_hold *hold = &pass->hold[at];
        if (step->is_failure == NULL)
            continue;
        if (step->kind == HF_KIND_RETRY   ? hold->retry.failed
            : step->kind == HF_KIND_HEDGE ? hold->hedge.failed
                                          : (hold->breaker.flags & HF_PERMIT_FAILED) != 0)
            return true;
    }
    return false;
}

/* ---- counting ---- */

/*
 * Have the counters made for the first call. Where there is no memory that call is not counted, and the
 * next one asks again. -1: interrupted (KeyboardInterrupt and the like); the exception is set.
 */
static int
make_ends(GateObject *gate)
{
    PyObject *raised = hf_take_exception();
    PyObject *answer = PyObject_CallMethod((PyObject *)gate, "_make_ends", NULL);
    if (answer == NULL && !PyErr_ExceptionMatches(PyExc_Exception)) {
        hf_chain(raised);
        return -1;
    }
    PyErr_Clear();
    Py_XDECREF(answer);
    hf_give_exception(raised);
    return 0;
}

int Py_NO_INLINE
hf_count_end_slow(GateObject *gate, int end, int64_t duration_ns)
{
    if (!gate->counts)
        return 0;
    hf_pipeline *ends = hf_load_acquire(&gate->ends);
    int made = ends == NULL ? make_ends(gate) : 0;
    if (ends == NULL)
        ends = hf_load_acquire(&gate->ends);
    if (ends != NULL)
        hf_pipeline_count(ends, (hf_pipeline_end)end, duration_ns);
    return made;
}

/* A call has ended with the exception that is set. -1: with another one, which interrupted. */
int Py_NO_INLINE
hf_count_raised(GateObject *gate, int64_t duration_ns)
{
    return gate->counts ? hf_count_end_slow(gate, end_of_raised(), duration_ns) : 0;
}

/* A call has ended with a result, which steps have judged. */
int Py_NO_INLINE
hf_count_result(GateObject *gate, const hf_pass *pass, int64_t duration_ns)
{
    hf_pipeline_end end = hf_result_failed(gate, pass) ? HF_PIPELINE_FAILURE : HF_PIPELINE_SUCCESS;
    return hf_count_end_slow(gate, end, duration_ns);
}

/* Nobody will say how a call ended. An exception may be set. For a dying gate nothing is made. */
int
hf_count_dropped(GateObject *gate)
{
    bool is_dying = Py_REFCNT(gate) == 0;
    if (!gate->counts || (is_dying && hf_load_acquire(&gate->ends) == NULL))
        return 0;
    return hf_count_end_slow(gate, HF_PIPELINE_CANCELLED, -1);
}

/* ---- what an operation counts besides ---- */

/* Count what has run out of the timeouts of a permit or a block, which are left. */
void Py_NO_INLINE
hf_count_timeouts(GateObject *gate, const hf_pass *pass)
{
    hf_pipeline *ends = hf_operation_of(gate);
    for (int at = 0; ends != NULL && at < pass->entered; at++)
        if (hf_ran_out(gate->steps[at], &pass->hold[at]))
            hf_pipeline_count_timeout(ends);
}

/* Ends of calls are counted in there. Of several made at once the first stays. */
PyObject *
hf_gate_keep_ends(PyObject *op, PyObject *ends)
{
    GateObject *self = (GateObject *)op;
    if (hf_need_kind(self, self->kind == HF_KIND_PIPELINE, "pipeline") < 0)
        return NULL;
    PyObject *capsule = PyObject_CallMethod(ends, "_capsule", NULL);
    if (capsule == NULL)
        return NULL;
    void *kernel = PyCapsule_GetPointer(capsule, "holdfast.pipeline");
    Py_DECREF(capsule);
    if (kernel == NULL)
        return NULL;
    HF_BEGIN_EXCLUSIVE(op);
    if (self->ends_object == NULL) {
        self->ends_object = Py_NewRef(ends);
        /* Release pairs with the acquire in hf_count_end(): it finds the counters at zero. */
        hf_store_release(&self->ends, kernel);
    }
    HF_END_EXCLUSIVE();
    Py_RETURN_NONE;
}

/* ---- for a block that is tried again, which passes this gate in parts ---- */

/* _block_begins(): the time, if durations are asked for; -1: they are not. */
PyObject *
hf_gate_block_begins(PyObject *op, PyObject *ignored)
{
    const GateObject *self = (GateObject *)op;
    (void)ignored;
    if (hf_need_kind(self, self->kind == HF_KIND_PIPELINE, "pipeline") < 0)
        return NULL;
    return PyLong_FromLongLong(self->timed ? hf_clock_now_ns(self->clock) : -1);
}

/* _block_ended(error, began_ns, failed): with that exception, or with None and a result that may be a failure. */
PyObject *
hf_gate_block_ended(PyObject *op, PyObject *args)
{
    GateObject *self = (GateObject *)op;
    PyObject *error;
    long long began_ns;
    int failed;
    if (hf_need_kind(self, self->kind == HF_KIND_PIPELINE, "pipeline") < 0 ||
        !PyArg_ParseTuple(args, "OLp:_block_ended", &error, &began_ns, &failed))
        return NULL;
    int64_t duration_ns =
        began_ns < 0 ? -1 : hf_ns_sub(hf_clock_now_ns(self->clock), (int64_t)began_ns);
    if (!PyExceptionInstance_Check(error)) {
        hf_pipeline_end end = failed ? HF_PIPELINE_FAILURE : HF_PIPELINE_SUCCESS;
        return hf_count_end_slow(self, end, duration_ns) < 0 ? NULL : Py_NewRef(Py_None);
    }
    hf_give_exception(Py_NewRef(error));
    int counted = hf_count_raised(self, duration_ns);
    if (counted < 0)
        return NULL;
    Py_XDECREF(hf_take_exception());
    Py_RETURN_NONE;
}
