/*
 * The race of a hedged call in a task: its first attempt, which is the call itself, against further ones.
 *
 * Python has the further attempts (waiting/hedged_tasks.py). Here is what it is given of the call, and what
 * becomes of the call when its first attempt has ended, and when the race has.
 */
#include "alarm.h"

/* What is inside of the hedge at that place as a gate of its own; NULL: nothing. Borrowed. */
static PyObject *
rest_inside(const GateObject *gate, int at)
{
    while (gate != NULL && gate->kind == HF_KIND_PIPELINE && gate->threaded_at >= 0) {
        if (gate->threaded_at == at)
            return gate->rest;
        at -= gate->threaded_at + 1;
        gate = (const GateObject *)gate->rest;
    }
    return NULL;
}

/* The deadline of what is inside of the hedge: that of the call, without timeouts further in. */
static hf_deadline
deadline_inside(const GateObject *gate, const hf_pass *pass, int at)
{
    for (int inner = at + 1; inner < pass->entered; inner++) {
        if (gate->steps[inner]->kind == HF_KIND_TIMEOUT)
            return pass->hold[inner].timeout.outer;
    }
    return pass->course->deadline;
}

/*
 * _race_parts(coroutine, at): what further attempts at a call need: (rest, fn, args, kwargs, context, deadline).
 * None: the call cannot be made again, or has left that hedge.
 */
static PyObject *
race_parts(PyObject *module, PyObject *args)
{
    CoroutineObject *self;
    int at;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!i:_race_parts", hf_coroutine_type, &self, &at))
        return NULL;
    hf_pass *pass = &self->pass;
    if (!self->controlled || self->fn == NULL || self->args == NULL || at >= HF_MAX_STEPS ||
        at > pass->entered || self->gate->steps[at]->kind != HF_KIND_HEDGE ||
        pass->hold[at].hedge.context == NULL)
        Py_RETURN_NONE;
    hf_deadline inside = deadline_inside(self->gate, pass, at);
    PyObject *rest = rest_inside(self->gate, at);
    PyObject *deadline = inside.step != NULL
                             ? Py_BuildValue("OL", (PyObject *)inside.step, (long long)inside.ns)
                             : Py_NewRef(Py_None);
    PyObject *kwargs = self->kwargs != NULL ? Py_NewRef(self->kwargs) : PyDict_New();
    if (deadline == NULL || kwargs == NULL) {
        Py_XDECREF(deadline);
        Py_XDECREF(kwargs);
        return NULL;
    }
    return Py_BuildValue("OOONON", rest != NULL ? rest : Py_None, self->fn, self->args, kwargs,
                         pass->hold[at].hedge.context, deadline);
}

/*
 * The race is over, with `*end` or, with NULL, the exception that is set: (value, error or None, whether every
 * attempt failed). What is to become of the call takes its place.
 */
void
hf_race_ended(CoroutineObject *self, PyObject **end)
{
    PyObject *told = *end, *error = told != NULL ? PyTuple_GET_ITEM(told, 1) : NULL;
    bool failed = told != NULL && PyTuple_GET_ITEM(told, 2) == Py_True;
    *end = told != NULL && error == Py_None ? Py_NewRef(PyTuple_GET_ITEM(told, 0)) : NULL;
    if (told != NULL && error != Py_None)
        hf_give_exception(Py_NewRef(error));
    Py_XDECREF(told);
    hf_raced(self->gate, &self->pass, *end != NULL, failed);
}

/*
 * The first attempt has ended, with `*result` or, with NULL, the exception that is set, and there is a race, or
 * one begins. NULL: it is over, and so for the call; else what is to be awaited.
 */
PyObject *
hf_race_turn(CoroutineObject *self, PyObject **result)
{
    hf_pass *pass = &self->pass;
    int at = pass->entered;
    PyObject *step = (PyObject *)self->gate->steps[at], *end = NULL;
    hf_hold *hold = &pass->hold[at];
    PyObject *error = *result == NULL ? hf_take_exception() : NULL, *value = *result;
    if (hold->hedge.race == NULL)
        hold->hedge.race =
            PyObject_CallMethod(step, "_begin_race", "OiO", (PyObject *)self, at, Py_False);
    if (hold->hedge.race != NULL)
        end = PyObject_CallMethod(hold->hedge.race, "first_ended", "OOii",
                                  error != NULL ? error : Py_None, value != NULL ? value : Py_None,
                                  (int)hold->hedge.failed, (int)hold->hedge.foreign);
    hf_hedge_release(hold);
    *result = NULL;
    Py_XDECREF(value);
    if (end == NULL) { /* interrupted, or there is no memory */
        if (error != NULL)
            hf_chain(error);
        hf_race_ended(self, result);
        return NULL;
    }
    Py_XDECREF(error);
    if (!PyTuple_Check(end))
        return end;
    *result = end;
    hf_race_ended(self, result);
    return NULL;
}

/* _is_ending(coroutine, at): whether the call is being cut or cancelled around that hedge. */
static PyObject *
is_ending(PyObject *module, PyObject *args)
{
    PyObject *op;
    int at;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!i:_is_ending", hf_coroutine_type, &op, &at))
        return NULL;
    const CoroutineObject *self = (CoroutineObject *)op;
    const hf_alarms *alarms = self->controlled ? self->course.alarms : NULL;
    return PyBool_FromLong(alarms != NULL && at < self->pass.entered &&
                           hf_alarms_end_around(alarms, at));
}

static PyMethodDef functions[] = {
    {"_race_parts", race_parts, METH_VARARGS, NULL},
    {"_is_ending", is_ending, METH_VARARGS, NULL},
    {NULL},
};

int
hf_race_ready(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
