/*
 * One bulkhead on the way in and out, and what its Python class asks.
 */
#include "steps.h"

/* A lone bulkhead times its occupants by the coarse clock: right on average, for 3 ns. */
static inline int64_t
occupancy_now(const hf_pass *pass, const GateObject *step)
{
    return pass->clock == step->clock ? pass->now_ns : hf_clock_coarse_ns(step->clock);
}

/* Inside, from a time on. What goes on in threads from before is no concern of this place. */
static void
occupy(const hf_pass *pass, hf_hold *hold, int64_t now_ns)
{
    const hf_course *course = pass->course;
    PyObject *works = course != NULL ? course->works : NULL;
    hold->works = works != NULL ? (uint32_t)PyList_GET_SIZE(works) : 0;
    hold->since_ns = now_ns;
}

static hf_entering
enter(GateObject *step, const hf_pass *pass, hf_hold *hold, hf_refusal *why)
{
    hf_bulkhead *bulkhead = step->cell;
    if (step->can_wait) {
        if (!hf_bulkhead_enter_if_room(bulkhead))
            return HF_MUST_WAIT;
    } else if (!hf_bulkhead_try_enter(bulkhead)) {
        if (step->mode != HF_OBSERVE)
            return hf_step_refuse(step, why, HF_REASON_FULL, -1);
        hf_bulkhead_force_enter(bulkhead);
        hf_count(&step->observed, 1);
    }
    occupy(pass, hold, occupancy_now(pass, step));
    return HF_IN;
}

/*
 * Let in who waits for the place that came free. -1: interrupted (KeyboardInterrupt and the like); its
 * exception is set, and whoever is next to leave lets in who was not let in.
 */
static int
let_in(GateObject *step)
{
    if (Py_REFCNT(step) == 0)
        return 0; /* it dies with an entry open: nobody is left who could wait */
    PyObject *raised = hf_take_exception();
    PyObject *answer = PyObject_CallMethod((PyObject *)step, "_admit", NULL);
    if (answer == NULL && !PyErr_ExceptionMatches(PyExc_Exception)) {
        hf_chain(raised);
        return -1;
    }
    if (answer == NULL)
        PyErr_WriteUnraisable((PyObject *)step);
    Py_XDECREF(answer);
    hf_give_exception(raised);
    return 0;
}

/* What the call has left behind in threads since it had its place; NULL: nothing. */
static PyObject *Py_NO_INLINE
works_since(PyObject *works, const hf_hold *hold)
{
    Py_ssize_t all = PyList_GET_SIZE(works);
    if (all <= (Py_ssize_t)hold->works)
        return NULL;
    PyObject *raised = hf_take_exception();
    PyObject *since = PyList_GetSlice(works, hold->works, all);
    if (since == NULL)
        PyErr_Clear(); /* no memory: the place comes free early */
    hf_give_exception(raised);
    return since;
}

/* The place is kept until those have stopped; steals them. -1: interrupted. */
static int Py_NO_INLINE
leave_with_works(GateObject *step, const hf_hold *hold, PyObject *works)
{
    PyObject *raised = hf_take_exception();
    PyObject *answer = PyObject_CallMethod((PyObject *)step, "_leave_with", "N[L]", works,
                                           (long long)hold->since_ns);
    if (answer == NULL) {
        hf_chain(raised);
        return -1;
    }
    Py_DECREF(answer);
    hf_give_exception(raised);
    return 0;
}

static int
leave_place(GateObject *step, int64_t since_ns, int64_t end_ns)
{
    bool waiters;
    if (end_ns > since_ns)
        hf_count(&step->busy_ns, (uint64_t)(end_ns - since_ns));
    return hf_bulkhead_leave(step->cell, &waiters) && waiters ? let_in(step) : 0;
}

static int
leave_bulkhead(GateObject *step, const hf_pass *pass, const hf_hold *hold, int64_t end_ns)
{
    const hf_course *course = pass->course;
    PyObject *works = course != NULL ? course->works : NULL;
    if (HF_UNLIKELY(works != NULL) && (works = works_since(works, hold)) != NULL)
        return leave_with_works(step, hold, works);
    int64_t end = pass->clock == step->clock && end_ns != HF_NOTHING_HELD
                      ? end_ns
                      : hf_clock_coarse_ns(step->clock);
    return leave_place(step, hold->since_ns, end);
}

static int
leave(GateObject *step, const hf_pass *pass, hf_hold *hold, PyObject *result, int outcome,
      int64_t end_ns)
{
    (void)result, (void)outcome;
    return leave_bulkhead(step, pass, hold, end_ns);
}

static int
abandon(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    return leave_bulkhead(step, pass, hold, HF_NOTHING_HELD);
}

static int
undo(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    bool waiters;
    (void)pass, (void)hold;
    return hf_bulkhead_undo(step->cell, &waiters) && waiters ? let_in(step) : 0;
}

static void
waited(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    occupy(pass, hold, hf_clock_coarse_ns(step->clock));
}

HF_STEP_VERBS(bulkhead, enter, leave, undo, abandon, hf_step_goes_on, waited)

/* ---- what Python asks ---- */

PyObject *
hf_gate_try_enter(PyObject *op, PyObject *ignored)
{
    GateObject *self = (GateObject *)op;
    (void)ignored;
    if (hf_need_kind(self, self->kind == HF_KIND_BULKHEAD, "bulkhead") < 0)
        return NULL;
    if (self->mode == HF_OFF || hf_bulkhead_try_enter(self->cell))
        Py_RETURN_TRUE;
    if (self->mode != HF_OBSERVE)
        Py_RETURN_FALSE;
    hf_bulkhead_force_enter(self->cell);
    hf_count(&self->observed, 1);
    Py_RETURN_TRUE;
}

/*
 * Give back a place that was kept for what went on in threads: _leave_place(place), a list of when it was
 * taken. Emptied here and at once, so that it is given back once, whoever is interrupted on the way.
 */
PyObject *
hf_gate_leave_place(PyObject *op, PyObject *place)
{
    GateObject *self = (GateObject *)op;
    long long since_ns = 0;
    if (hf_need_kind(self, self->kind == HF_KIND_BULKHEAD, "bulkhead") < 0)
        return NULL;
    if (!PyList_Check(place)) {
        PyErr_SetString(PyExc_TypeError, "a slot is a list with the time at which it was taken");
        return NULL;
    }
    PyObject *tuple = PyList_AsTuple(place);
    bool is_held = tuple != NULL && PyTuple_GET_SIZE(tuple) > 0;
    if (is_held && (!PyArg_ParseTuple(tuple, "L", &since_ns) ||
                    PyList_SetSlice(place, 0, PY_SSIZE_T_MAX, NULL) < 0))
        Py_CLEAR(tuple);
    if (tuple == NULL)
        return NULL;
    Py_DECREF(tuple);
    if (!is_held)
        Py_RETURN_NONE;
    Py_INCREF(op); /* who is let in may let go of it */
    int left = leave_place(self, since_ns, hf_clock_coarse_ns(self->clock));
    Py_DECREF(op);
    return left < 0 ? NULL : Py_NewRef(Py_None);
}
