/*
 * Permit: an admission held by hand. It settles once; a second settling is refused and counted; one
 * that is collected unsettled gives everything back and proves nothing.
 */
#include "control.h"

#include <structmember.h>

typedef struct {
    PyObject_HEAD
    PyObject *weakrefs;
    GateObject *gate;
    hf_au32 settled; /* 1: an outcome was named */
    hf_pass pass;
} PermitObject;

PyObject *
hf_permit_new(GateObject *gate, const hf_pass *pass)
{
    PermitObject *self = (PermitObject *)hf_free_list_new(HF_FREE_PERMITS, hf_permit_type);
    if (self == NULL)
        return NULL;
    self->weakrefs = NULL;
    self->gate = (GateObject *)Py_NewRef((PyObject *)gate);
    hf_store_relaxed(&self->settled, 0);
    hf_pass_copy(&self->pass, pass);
    if (gate->controls)
        hf_timeouts_entered(gate, &self->pass);
    if (hf_may_probe(gate, pass))
        hf_probes_step(gate, pass, false);
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

/* A permit and what goes with it, which is stolen. Without memory everything is given back. */
PyObject *
hf_permit_with(GateObject *gate, hf_pass *pass, PyObject *value)
{
    PyObject *permit = hf_permit_new(gate, pass);
    if (permit != NULL)
        return Py_BuildValue("NN", permit, value);
    hf_gate_undo(gate, pass);
    Py_DECREF(value);
    return NULL;
}

static inline bool
is_settled(PermitObject *self)
{
    return hf_load_relaxed(&self->settled) != 0;
}

/* The pass of a permit that is not settled, and its gate; else NULL. */
const hf_pass *
hf_permit_pass(PyObject *op, const GateObject **gate)
{
    PermitObject *self = (PermitObject *)op;
    if (!Py_IS_TYPE(op, hf_permit_type) || is_settled(self))
        return NULL;
    *gate = self->gate;
    return &self->pass;
}

/* True for the one caller that may settle. */
static bool
claim(PermitObject *self)
{
    uint32_t settled = 0;
    while (!hf_cas_weak_acquire(&self->settled, &settled, 1)) {
        if (settled != 0) {
            hf_count(&self->gate->settled_twice, 1);
            return false;
        }
    }
    return true;
}

/* Settle once: as that outcome or, if there is one, by the exception. Held meanwhile, as what is judged is. */
static PyObject *
settle(PyObject *op, int outcome, PyObject *exception)
{
    PermitObject *self = (PermitObject *)op;
    if (!claim(self))
        Py_RETURN_FALSE;
    if (exception == NULL && outcome == HF_SUCCESS &&
        hf_gate_leave_lone(self->gate, &self->pass, Py_None))
        Py_RETURN_TRUE;
    Py_INCREF(op); /* an iterator of its method may let go of it */
    Py_XINCREF(exception);
    int answer = exception == NULL ? hf_gate_settle(self->gate, &self->pass, outcome)
                                   : hf_gate_settle_raised(self->gate, &self->pass, exception);
    Py_XDECREF(exception);
    Py_DECREF(op);
    return answer < 0 ? NULL : Py_NewRef(Py_True);
}

static PyObject *
permit_success(PyObject *op, PyObject *ignored)
{
    (void)ignored;
    return settle(op, HF_SUCCESS, NULL);
}

static PyObject *
permit_ignore(PyObject *op, PyObject *ignored)
{
    (void)ignored;
    return settle(op, HF_IGNORED, NULL);
}

static PyObject *
permit_failure(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *exception = nargs == 1 ? args[0] : Py_None;
    if (nargs > 1 || (exception != Py_None && !PyExceptionInstance_Check(exception))) {
        PyErr_SetString(PyExc_TypeError, "failure() takes at most one exception instance");
        return NULL;
    }
    return settle(op, HF_FAILURE, exception != Py_None ? exception : NULL);
}

/* Settle with what the call has returned, as if it had ended here. */
static PyObject *
permit_returned(PyObject *op, PyObject *result)
{
    PermitObject *self = (PermitObject *)op;
    if (!claim(self))
        Py_RETURN_FALSE;
    Py_INCREF(op); /* a listener may let go of it meanwhile */
    PyObject *answer = hf_gate_leave(self->gate, &self->pass, Py_NewRef(result));
    Py_DECREF(op);
    if (answer == NULL)
        return NULL;
    Py_DECREF(answer);
    Py_RETURN_TRUE;
}

static PyObject *
permit_enter(PyObject *op, PyObject *ignored)
{
    PermitObject *self = (PermitObject *)op;
    (void)ignored;
    if (!is_settled(self) && hf_may_probe(self->gate, &self->pass))
        hf_probes_step(self->gate, &self->pass, true);
    return Py_NewRef(op);
}

static PyObject *
permit_exit(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 3) {
        PyErr_SetString(PyExc_TypeError, "__exit__() takes three arguments");
        return NULL;
    }
    if (is_settled((PermitObject *)op))
        Py_RETURN_FALSE; /* settled inside the block: that verdict stands */
    PyObject *raised = PyExceptionInstance_Check(args[1]) ? args[1] : NULL;
    PyObject *answer = settle(op, HF_SUCCESS, raised);
    Py_XDECREF(answer);
    return answer == NULL ? NULL : Py_NewRef(Py_False);
}

static int
permit_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((PermitObject *)op)->gate);
    return 0;
}

static void
permit_dealloc(PyObject *op)
{
    PermitObject *self = (PermitObject *)op;
    PyObject_GC_UnTrack(op);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs(op);
    if (!is_settled(self))
        hf_gate_drop(self->gate, &self->pass, true);
    Py_DECREF(self->gate);
    hf_free_list_del(HF_FREE_PERMITS, op);
}

static PyObject *
permit_repr(PyObject *op)
{
    PermitObject *self = (PermitObject *)op;
    return PyUnicode_FromFormat("<Permit of %R, %s>", (PyObject *)self->gate,
                                is_settled(self) ? "settled" : "held");
}

static PyMemberDef permit_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(PermitObject, weakrefs), READONLY, NULL},
    {NULL},
};

/* For a stream, which is left and gone on with: what runs here is inside of the permit's probe, or not. */
static PyObject *
permit_step(PyObject *op, PyObject *into)
{
    PermitObject *self = (PermitObject *)op;
    if (!is_settled(self))
        hf_probes_step(self->gate, &self->pass, into == Py_True);
    Py_RETURN_NONE;
}

static PyObject *
permit_is_probe(PyObject *op, void *closure)
{
    PermitObject *self = (PermitObject *)op;
    bool is = false;
    (void)closure;
    for (int at = 0; at < self->pass.entered; at++)
        is |= self->gate->steps[at]->kind == HF_KIND_BREAKER &&
              (self->pass.hold[at].breaker.flags & HF_PERMIT_PROBE);
    return PyBool_FromLong(is);
}

static PyObject *
permit_is_settled(PyObject *op, void *closure)
{
    (void)closure;
    return PyBool_FromLong(is_settled((PermitObject *)op));
}

static PyGetSetDef permit_getset[] = {
    {"settled", permit_is_settled, NULL, "Whether the permit is settled.", NULL},
    {"_is_probe", permit_is_probe, NULL, "Whether a half-open breaker waits for its outcome.",
     NULL},
    {NULL},
};

static PyMethodDef permit_methods[] = {
    {"_step", permit_step, METH_O,
     "_step($self, into, /)\n--\n\nStep into the permit's probe, or out."},
    {"success", permit_success, METH_NOARGS,
     "success($self, /)\n--\n\nSettle as a success. Returns False if the permit is already settled."},
    {"failure", (PyCFunction)(void (*)(void))permit_failure, METH_FASTCALL,
     "failure($self, exc=None, /)\n--\n\nSettle as a failure. An exception is judged as if the call had raised it."},
    {"ignore", permit_ignore, METH_NOARGS,
     "ignore($self, /)\n--\n\nFree the slot without an outcome.\n\n"
     "The call counts neither as success nor as failure."},
    {"_returned", permit_returned, METH_O, NULL},
    {"__enter__", permit_enter, METH_NOARGS, "__enter__($self, /)\n--\n\nReturn the permit."},
    {"__exit__", (PyCFunction)(void (*)(void))permit_exit, METH_FASTCALL,
     "__exit__($self, exc_type, exc, traceback, /)\n--\n\nSettle by how the block ended, unless it is settled."},
    {NULL},
};

static PyType_Slot permit_slots[] = {
    {Py_tp_doc,
     "An admission held by hand: settle it once, or use it as a context manager.\n\n"
     "May be settled from any thread or task. Collected unsettled, it frees its slot without an\n"
     "outcome."},
    {Py_tp_dealloc, permit_dealloc},
    {Py_tp_traverse, permit_traverse},
    {Py_tp_repr, permit_repr},
    {Py_tp_members, permit_members},
    {Py_tp_getset, permit_getset},
    {Py_tp_methods, permit_methods},
    {0, NULL},
};

int
hf_permit_ready(PyObject *module)
{
    hf_permit_type = hf_final_type(module, "holdfast._native.gate.Permit", sizeof(PermitObject),
                                   Py_TPFLAGS_HAVE_GC, permit_slots);
    return PyModule_AddObjectRef(module, "Permit", (PyObject *)hf_permit_type);
}
