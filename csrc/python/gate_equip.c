/*
 * What a retry, a timeout or a fallback is equipped with beside its kernel: given once, by _equip().
 */
#include "control.h"

static bool
is_given(const PyObject *value)
{
    return value != NULL && value != Py_None;
}

/* The struct behind an optional binding. -1: it is none of that kind. */
static int
take_struct(PyObject *binding, const char *kind, void **pointer)
{
    *pointer = is_given(binding) ? hf_struct_of(binding, kind) : NULL;
    return is_given(binding) && *pointer == NULL ? -1 : 0;
}

static PyObject *
keep(PyObject *value)
{
    return is_given(value) ? Py_NewRef(value) : NULL;
}

PyObject *
hf_gate_equip(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {
        "backoff", "own_backoff", "budget",   "budget_clock", "failure_rate",
        "wanted",  "retry_after", "adaptive", "stand_in",     "stands_by_call",
        "asks",    "threads",     NULL};
    GateObject *self = (GateObject *)op;
    PyObject *backoff = NULL, *own_backoff = NULL, *budget = NULL, *budget_clock = NULL,
             *failure_rate = NULL, *wanted = NULL, *retry_after = NULL, *adaptive = NULL,
             *stand_in = NULL;
    int stands_by_call = 0, asks = 0, threads = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOOOOOOOOppp:_equip", keywords, &backoff,
                                     &own_backoff, &budget, &budget_clock, &failure_rate, &wanted,
                                     &retry_after, &adaptive, &stand_in, &stands_by_call, &asks,
                                     &threads))
        return NULL;
    if (self->equipment != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a gate is equipped once");
        return NULL;
    }
    void *pointers[5];
    if (take_struct(backoff, "backoff", &pointers[0]) < 0 ||
        take_struct(budget, "budget", &pointers[1]) < 0 ||
        take_struct(budget_clock, "clock", &pointers[2]) < 0 ||
        take_struct(failure_rate, "failure_rate", &pointers[3]) < 0 ||
        take_struct(adaptive, "adaptive_timeout", &pointers[4]) < 0)
        return NULL;
    PyObject *none = Py_None;
    self->equipment = PyTuple_Pack(5, backoff ? backoff : none, budget ? budget : none,
                                   budget_clock ? budget_clock : none,
                                   failure_rate ? failure_rate : none, adaptive ? adaptive : none);
    if (self->equipment == NULL)
        return NULL;
    self->backoff = pointers[0];
    self->budget = pointers[1];
    self->budget_clock = pointers[2];
    self->failure_rate = pointers[3];
    self->adaptive = pointers[4];
    self->own_backoff = keep(own_backoff);
    self->wanted = keep(wanted);
    self->retry_after = keep(retry_after);
    self->stand_in = Py_XNewRef(stand_in); /* None may be what stands in */
    self->stands_by_call = stands_by_call;
    self->asks = asks;
    self->threads = threads;
    if (threads && self->mode == HF_ENFORCE && self->n_steps == 1)
        self->threaded_at = 0;
    Py_RETURN_NONE;
}
