/*
 * One fault on the way in: whether this call is struck. What strikes it is its Python class.
 *
 * While chaos is disabled, faults that are innermost are no steps of the compiled gate; others answer at once.
 */
#include "steps.h"

#include "holdfast/hf_chaos.h"

static hf_entering
enter(GateObject *step, const hf_pass *pass, hf_hold *hold, hf_refusal *why)
{
    hf_chaos *kernel = step->cell;
    (void)pass, (void)why;
    hold->call_number = HF_CHAOS_NO_NUMBER;
    if (hf_load_relaxed(&kernel->until_ns) == HF_CHAOS_DISARMED)
        return HF_IN;
    if (!hf_chaos_check(kernel, hf_clock_now_ns(step->clock), &hold->call_number))
        return HF_IN;
    if (step->mode != HF_OBSERVE)
        return HF_MUST_WAIT;
    hf_count(&kernel->observed, 1);
    return HF_IN;
}

/* Have the fault strike; what it raises is the function's own failure. */
PyObject *
hf_chaos_strike(GateObject *step, const hf_hold *hold, const char *method)
{
    hf_count(&((hf_chaos *)step->cell)->injected, 1);
    return PyObject_CallMethod((PyObject *)step, method, "K",
                               (unsigned long long)hold->call_number);
}

/* The call that must wait for this step is put off, and comes again. */
void
hf_chaos_put_off(GateObject *step, const hf_hold *hold)
{
    hf_chaos_give_back(step->cell, hold->call_number, true);
}

static int
undo(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    (void)pass;
    hf_chaos_give_back(step->cell, hold->call_number, false);
    return 0;
}

static void
waited(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    (void)step, (void)pass;
    hold->call_number = HF_CHAOS_NO_NUMBER; /* it was struck: that is not undone */
}

HF_STEP_VERBS(chaos, enter, hf_step_no_leave, undo, hf_step_nothing_held, hf_step_goes_on, waited)

/* ---- faults in and out of a gate ---- */

/* Room for one step more: a pipeline has it, and a policy by itself gets it. -1: an exception is set. */
static int
make_room(GateObject *self)
{
    if (self->n_all == HF_MAX_STEPS) {
        PyErr_SetString(
            PyExc_ValueError,
            "it has " Py_STRINGIFY(HF_MAX_STEPS) " steps already, and no room for a fault");
        return -1;
    }
    if (self->steps != &self->own)
        return 0;
    GateObject **steps = PyMem_Calloc(2, sizeof *steps);
    if (steps == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    steps[0] = self;
    self->lone = false;
    self->steps = steps;
    return 0;
}

/*
 * _attach(fault): from here on the fault is the innermost step, while chaos is enabled. Only once for a gate:
 * its array of steps has room for one more.
 */
PyObject *
hf_gate_attach(PyObject *op, PyObject *fault)
{
    GateObject *self = (GateObject *)op;
    if (hf_need_made(self) < 0)
        return NULL;
    if (!PyObject_TypeCheck(fault, hf_gate_type) ||
        hf_need_kind((GateObject *)fault, ((GateObject *)fault)->kind == HF_KIND_CHAOS, "fault") <
            0)
        return NULL;
    PyObject *before = self->equipment != NULL ? self->equipment : Py_None;
    PyObject *kept = PyTuple_Pack(2, before, fault);
    if (kept == NULL || make_room(self) < 0) {
        Py_XDECREF(kept);
        return NULL;
    }
    Py_XSETREF(self->equipment, kept);
    self->steps[self->n_all] = (GateObject *)fault;
    self->n_all++;
    Py_RETURN_NONE;
}

/* How many steps a gate has without its innermost ones that are faults. */
uint8_t
hf_steps_without_faults(const GateObject *self)
{
    uint8_t n = self->n_all;
    while (n > 0 && self->steps[n - 1]->kind == HF_KIND_CHAOS)
        n--;
    return n;
}

/*
 * _inject(on): have calls pass the innermost faults from here on, or no longer. Calls that are under way go
 * on with what they have entered: the array of steps stays, only its length changes.
 */
PyObject *
hf_gate_inject(PyObject *op, PyObject *on)
{
    GateObject *self = (GateObject *)op;
    int wanted = PyObject_IsTrue(on);
    if (wanted < 0 || hf_need_made(self) < 0)
        return NULL;
    if (self->mode != HF_OFF)
        self->n_steps = wanted ? self->n_all : hf_steps_without_faults(self);
    Py_RETURN_NONE;
}
