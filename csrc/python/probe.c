/*
 * Probes of a half-open breaker, by who is inside of them: a call made inside of a probe of the same breaker
 * belongs to that probe. Without that, a function whose own parts are guarded by its breaker would be
 * refused by itself, and the breaker would never recover.
 *
 * A context variable names the probes that what runs here is inside of. Tasks and threads that are given a
 * copy of the context are inside as well. A name alone lets nobody in: the probe has to go on, in the kernel
 * (its lease) and here (`over`), so a context that outlives it is worth nothing. Whoever holds the permit
 * holds its probe, and the breaker: a probe that goes on is of a breaker that lives.
 *
 * Only a half-open breaker comes here. Without memory a probe is not known, and a call inside of it is one
 * like any other.
 */
#include "control.h"

typedef struct hf_probe {
    PyObject_HEAD
    const GateObject *step; /* borrowed; only compared */
    hf_breaker_permit permit;
    uint32_t fork_epoch; /* a forked child is inside of no probe of its parent's */
    hf_au32 over;
} ProbeObject;

static PyTypeObject *probe_type;
static PyObject *here; /* the variable: a tuple, the innermost probe last, or None */

/* ---- what the context says ---- */

/* A new reference to the tuple; NULL: inside of none. */
static PyObject *
probes_here(void)
{
    PyObject *probes = NULL;
    if (PyContextVar_Get(here, NULL, &probes) < 0)
        PyErr_Clear();
    if (probes != NULL && !PyTuple_Check(probes))
        Py_CLEAR(probes);
    return probes;
}

/* Steals `probes`; NULL: none. */
static void
set_probes_here(PyObject *probes)
{
    PyObject *token = PyContextVar_Set(here, probes != NULL ? probes : Py_None);
    if (token == NULL)
        PyErr_Clear();
    Py_XDECREF(token);
    Py_XDECREF(probes);
}

static bool
goes_on(const PyObject *op)
{
    ProbeObject *probe = (ProbeObject *)op;
    return !hf_load_relaxed(&probe->over) && probe->fork_epoch == hf_fork_epoch;
}

/* Let this be what runs here is inside of: those that go on but for `without`, and after them `with`. */
static void
change_here(const ProbeObject *without, ProbeObject *with)
{
    PyObject *old = probes_here();
    Py_ssize_t n_old = old != NULL ? PyTuple_GET_SIZE(old) : 0, n = 0;
    PyObject *changed = PyTuple_New(n_old + (with != NULL));
    for (Py_ssize_t i = 0; changed != NULL && i < n_old; i++) {
        PyObject *one = PyTuple_GET_ITEM(old, i);
        if (one != (PyObject *)without && one != (PyObject *)with && goes_on(one))
            PyTuple_SET_ITEM(changed, n++, Py_NewRef(one));
    }
    Py_XDECREF(old);
    if (changed != NULL && with != NULL)
        PyTuple_SET_ITEM(changed, n++, Py_NewRef((PyObject *)with));
    if (changed == NULL || _PyTuple_Resize(&changed, n) < 0)
        PyErr_Clear();
    else if (n != n_old || with != NULL)
        set_probes_here(n > 0 ? Py_NewRef(changed) : NULL);
    Py_XDECREF(changed);
}

/* ---- who is inside ---- */

/*
 * Admit a call as part of a probe of this breaker that what runs here is inside of; without a permit only tell
 * whether one would admit it.
 */
static bool
admit_inside(GateObject *step, int64_t now_ns, hf_breaker_permit *permit)
{
    if (hf_breaker_state(step->cell) != HF_HALF_OPEN)
        return false;
    PyObject *probes = probes_here();
    bool admitted = false;
    for (Py_ssize_t i = probes != NULL ? PyTuple_GET_SIZE(probes) : 0; i-- > 0 && !admitted;) {
        const ProbeObject *probe = (ProbeObject *)PyTuple_GET_ITEM(probes, i);
        if (probe->step != step || !goes_on((PyObject *)probe))
            continue;
        admitted = permit != NULL
                       ? hf_breaker_admit_inside(step->cell, &probe->permit, now_ns, permit)
                       : hf_breaker_peek_inside(step->cell, &probe->permit, now_ns);
    }
    Py_XDECREF(probes);
    return admitted;
}

/* _peek_inside(now_ns): whether a call here would belong to a probe that this is inside of. */
PyObject *
hf_gate_peek_inside(PyObject *op, PyObject *now)
{
    GateObject *self = (GateObject *)op;
    int64_t now_ns = PyLong_AsLongLong(now);
    if (now_ns == -1 && PyErr_Occurred())
        return NULL;
    return PyBool_FromLong(self->kind == HF_KIND_BREAKER && admit_inside(self, now_ns, NULL));
}

/* hf_breaker_admit_slow(), and first of all for who is inside of a probe. */
bool
hf_probe_admit(GateObject *step, int64_t now_ns, hf_breaker_permit *permit, hf_change *change)
{
    *change = (hf_change){.happened = false};
    return admit_inside(step, now_ns, permit) ||
           hf_breaker_admit_slow(step->cell, now_ns, permit, change);
}

/* ---- the probe of a permit ---- */

/* The step has been entered: if as a probe, what runs here is from now on inside of it. */
void
hf_probe_begin(const GateObject *step, hf_hold *hold)
{
    if (!(hold->breaker.flags & HF_PERMIT_PROBE))
        return;
    ProbeObject *probe = PyObject_New(ProbeObject, probe_type);
    hold->probe = probe;
    if (probe == NULL) {
        PyErr_Clear();
        return;
    }
    probe->step = step;
    probe->permit = hold->breaker;
    probe->fork_epoch = hf_fork_epoch;
    hf_store_relaxed(&probe->over, 0);
    change_here(NULL, probe);
}

/* The permit has come to its end, wherever that is: an exception may be set. */
void
hf_probe_end_slow(GateObject *step, hf_hold *hold)
{
    ProbeObject *probe;
    (void)step; /* with the GIL it need not be locked */
    HF_BEGIN_EXCLUSIVE(step);
    probe = hold->probe;
    hold->probe = NULL;
    HF_END_EXCLUSIVE();
    if (probe == NULL)
        return;
    PyObject *raised = hf_take_exception();
    hf_store_relaxed(&probe->over, 1);
    change_here(probe, NULL);
    hf_give_exception(raised);
    Py_DECREF(probe);
}

/*
 * What is held by hand is held beside what runs here, and not around it: step out of its probes, or, for a
 * block that it stands around, into them.
 */
void
hf_probes_step(GateObject *gate, const hf_pass *pass, bool into)
{
    for (int at = 0; at < pass->entered; at++) {
        GateObject *step = gate->steps[at];
        const hf_hold *hold = &pass->hold[at];
        if (step->kind != HF_KIND_BREAKER || !(hold->breaker.flags & HF_PERMIT_PROBE))
            continue;
        ProbeObject *probe;
        HF_BEGIN_EXCLUSIVE(step);
        probe = (ProbeObject *)Py_XNewRef((PyObject *)hold->probe);
        HF_END_EXCLUSIVE();
        if (probe != NULL)
            change_here(into ? NULL : probe, into ? probe : NULL);
        Py_XDECREF(probe);
    }
}

/* ---- for who runs something in another thread ---- */

static PyObject *
get_probes(PyObject *module, PyObject *ignored)
{
    (void)module, (void)ignored;
    PyObject *probes = probes_here();
    return probes != NULL ? probes : Py_NewRef(Py_None);
}

static PyObject *
set_probes(PyObject *module, PyObject *probes)
{
    (void)module;
    set_probes_here(PyTuple_Check(probes) ? Py_NewRef(probes) : NULL);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"_probes_here", get_probes, METH_NOARGS,
     "_probes_here($module, /)\n--\n\nReturn what _set_probes() takes, in another thread; None: nothing."},
    {"_set_probes", set_probes, METH_O,
     "_set_probes($module, probes, /)\n--\n\nLet what runs here be inside of those probes, or of none."},
    {NULL},
};

static PyType_Slot probe_slots[] = {
    {Py_tp_doc, "A call that a half-open breaker lets through to see whether it may close."},
    {Py_tp_dealloc, hf_free},
    {0, NULL},
};

int
hf_probe_ready(PyObject *module)
{
    probe_type =
        hf_final_type(module, "holdfast._native.gate.Probe", sizeof(ProbeObject), 0, probe_slots);
    here = PyContextVar_New("holdfast.probes", NULL);
    return probe_type == NULL || here == NULL ? -1 : PyModule_AddFunctions(module, methods);
}
