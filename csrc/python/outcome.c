/*
 * Outcome: what try_call answers instead of raising. The rejection is an object only once somebody asks.
 */
#include "hfpy.h"

#include <structmember.h>

typedef struct {
    PyObject_HEAD
    PyObject *value;
    PyObject *error;
    PyObject *rejection; /* built on the first look, unless it came as an exception */
    hf_refusal why;      /* what to build it from, whose step is held; NULL: nothing */
    bool ok;
} OutcomeObject;

static OutcomeObject *
outcome_new(void)
{
    OutcomeObject *self = (OutcomeObject *)hf_free_list_new(HF_FREE_OUTCOMES, hf_outcome_type);
    if (self == NULL)
        return NULL;
    self->value = self->error = self->rejection = NULL;
    self->why.step = NULL;
    self->ok = false;
    return self;
}

/* Steals `value`. */
PyObject *
hf_outcome_value(PyObject *value)
{
    OutcomeObject *self = outcome_new();
    if (self == NULL) {
        Py_DECREF(value);
        return NULL;
    }
    self->value = value;
    self->ok = true;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

/*
 * The call raised: only an Exception becomes an outcome, a cancellation or an interrupt is no answer. Or it was
 * refused, or waited in vain: only a rejection becomes one. What is raised else stays set (NULL).
 */
PyObject *
hf_outcome_raised(bool refused)
{
    if (!PyErr_ExceptionMatches(refused ? hf_rejected_type : PyExc_Exception))
        return NULL;
    PyObject *raised = hf_take_exception();
    OutcomeObject *self = outcome_new();
    if (self == NULL) {
        Py_DECREF(raised);
        return NULL;
    }
    *(refused ? &self->rejection : &self->error) = raised;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

PyObject *
hf_outcome_refused(const hf_refusal *why)
{
    OutcomeObject *self = outcome_new();
    if (self == NULL)
        return NULL;
    self->why = *why;
    Py_INCREF((PyObject *)why->step);
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

static PyObject *
or_none(PyObject *value)
{
    return Py_NewRef(value != NULL ? value : Py_None);
}

static PyObject *
outcome_rejection(PyObject *op, void *closure)
{
    OutcomeObject *self = (OutcomeObject *)op;
    (void)closure;
    PyObject *made = NULL, *rejection;
    /* Making it may collect garbage, and a finaliser look here meanwhile: the first that was kept stays. */
    if (self->rejection == NULL && self->why.step != NULL) {
        made = hf_rejected_new(&self->why, self->why.step->rejection);
        if (made == NULL)
            return NULL;
    }
    HF_BEGIN_EXCLUSIVE(op);
    if (self->rejection == NULL) {
        self->rejection = made;
        made = NULL;
    }
    rejection = or_none(self->rejection);
    HF_END_EXCLUSIVE();
    Py_XDECREF(made);
    return rejection;
}

static int
outcome_bool(PyObject *op)
{
    return ((OutcomeObject *)op)->ok;
}

/* What it is made of is None once it has been taken apart with the cycle it was in. */
static PyObject *
outcome_unwrap(PyObject *op, PyObject *ignored)
{
    OutcomeObject *self = (OutcomeObject *)op;
    (void)ignored;
    if (self->ok)
        return or_none(self->value);
    PyObject *error = self->error != NULL ? Py_NewRef(self->error) : outcome_rejection(op, NULL);
    if (error == NULL || error == Py_None)
        return error;
    hf_give_exception(error);
    return NULL;
}

static PyObject *
outcome_value_or(PyObject *op, PyObject *otherwise)
{
    OutcomeObject *self = (OutcomeObject *)op;
    return self->ok ? or_none(self->value) : Py_NewRef(otherwise);
}

static PyObject *
outcome_repr(PyObject *op)
{
    const OutcomeObject *self = (OutcomeObject *)op;
    const char *name = self->ok ? "value" : self->error != NULL ? "error" : "rejection";
    PyObject *what = PyObject_GetAttrString(op, name);
    PyObject *repr = what == NULL ? NULL : PyUnicode_FromFormat("<Outcome %s=%R>", name, what);
    Py_XDECREF(what);
    return repr;
}

static int
outcome_traverse(PyObject *op, visitproc visit, void *arg)
{
    OutcomeObject *self = (OutcomeObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->value);
    Py_VISIT(self->error);
    Py_VISIT(self->rejection);
    Py_VISIT(self->why.step);
    return 0;
}

static int
outcome_clear(PyObject *op)
{
    OutcomeObject *self = (OutcomeObject *)op;
    Py_CLEAR(self->value);
    Py_CLEAR(self->error);
    Py_CLEAR(self->rejection);
    return 0; /* why.step stays: it may have to be asked yet */
}

static void
let_go(PyObject *op)
{
    outcome_clear(op);
    Py_XDECREF((PyObject *)((OutcomeObject *)op)->why.step);
    hf_free_list_del(HF_FREE_OUTCOMES, op);
}

static void
outcome_dealloc(PyObject *op)
{
    OutcomeObject *self = (OutcomeObject *)op;
    PyObject_GC_UnTrack(op);
    if (self->value == NULL || !Py_IS_TYPE(self->value, hf_outcome_type)) {
        let_go(op);
        return;
    }
    Py_TRASHCAN_BEGIN(op, outcome_dealloc); /* outcomes of outcomes may be many */
    let_go(op);
    Py_TRASHCAN_END;
}

static PyMemberDef outcome_members[] = {
    {"value", T_OBJECT, offsetof(OutcomeObject, value), READONLY,
     "The result of the call; None unless ok."},
    {"error", T_OBJECT, offsetof(OutcomeObject, error), READONLY,
     "The Exception the call raised, or None."},
    {"ok", T_BOOL, offsetof(OutcomeObject, ok), READONLY, "True when the call ran and returned."},
    {NULL},
};

static PyGetSetDef outcome_getset[] = {
    {"rejection", outcome_rejection, NULL, "The Rejected that kept the call from running, or None.",
     NULL},
    {NULL},
};

static PyMethodDef outcome_methods[] = {
    {"unwrap", outcome_unwrap, METH_NOARGS,
     "unwrap($self, /)\n--\n\nReturn the value, or raise the error or the rejection."},
    {"value_or", outcome_value_or, METH_O,
     "value_or($self, default, /)\n--\n\nReturn the value if the call succeeded, also if it is None; else the default."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     "__class_getitem__($type, item, /)\n--\n\nReturn Outcome[item], for annotations."},
    {NULL},
};

static PyType_Slot outcome_slots[] = {
    {Py_tp_doc,
     "The result of try_call: a value, an error or a rejection. True if the call succeeded.\n\n"
     "A match statement takes it apart: `case Outcome(ok=True, value=value)`, or by position, which is\n"
     "(value, error, rejection).\n\n"
     "Immutable; may be shared by threads."},
    {Py_tp_dealloc, outcome_dealloc},
    {Py_tp_traverse, outcome_traverse},
    {Py_tp_clear, outcome_clear},
    {Py_tp_repr, outcome_repr},
    {Py_tp_members, outcome_members},
    {Py_tp_getset, outcome_getset},
    {Py_tp_methods, outcome_methods},
    {Py_nb_bool, outcome_bool},
    {0, NULL},
};

int
hf_outcome_ready(PyObject *module)
{
    hf_outcome_type = hf_final_type(module, "holdfast._native.gate.Outcome", sizeof(OutcomeObject),
                                    Py_TPFLAGS_HAVE_GC, outcome_slots);
    PyObject *parts = Py_BuildValue("(sss)", "value", "error", "rejection");
    int set = hf_outcome_type == NULL || parts == NULL
                  ? -1
                  : PyDict_SetItemString(hf_outcome_type->tp_dict, "__match_args__", parts);
    Py_XDECREF(parts);
    return set < 0 ? -1 : PyModule_AddObjectRef(module, "Outcome", (PyObject *)hf_outcome_type);
}
