/*
 * Rejected, what a refused call raises, and its classes. A rejection is built without running Python and
 * raised without an earlier exception as its context: an open breaker must cost next to nothing and keep
 * nothing alive. How a rejection is shown and pickled is in holdfast/errors.py.
 */
#include "hfpy.h"

#include <math.h>
#include <stddef.h>
#include <structmember.h>

typedef struct {
    PyBaseExceptionObject base;
    PyObject *policy; /* None after unpickling */
    PyObject *name;
    PyObject *reason;
    double retry_after; /* seconds; NaN: unknown */
} RejectedObject;

/* The words, interned once: a rejection only takes a reference. */
static const char *const reason_words[HF_REASONS] = {"closed",      "half-open", "open",
                                                     "forced-open", "disabled",  "metrics-only",
                                                     "rate",        "full",      "timeout"};
static PyObject *reasons[HF_REASONS];
static PyObject *no_args;

#ifndef Py_GIL_DISABLED
#define HF_FREE_REJECTIONS 16
static RejectedObject *free_rejections[HF_FREE_REJECTIONS]; /* cleared, and of no type */
static int n_free_rejections;
#endif

int
hf_reason_of_word(const char *word)
{
    for (int reason = 0; reason < HF_REASONS; reason++) {
        if (strcmp(word, reason_words[reason]) == 0)
            return reason;
    }
    PyErr_Format(PyExc_ValueError, "unknown reason: '%s'", word);
    return -1;
}

/* The event of a refusal, for those who listen. -1: a listener raised. */
int
hf_tell_refusal(const hf_refusal *why)
{
    PyObject *answer = PyObject_CallMethod((PyObject *)why->step, "_refused", "OL",
                                           reasons[why->reason], (long long)why->retry_after_ns);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

static PyObject *
or_none(PyObject *value)
{
    return Py_NewRef(value != NULL ? value : Py_None);
}

static PyObject *
rejected_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    RejectedObject *self =
        (RejectedObject *)((PyTypeObject *)PyExc_Exception)->tp_new(type, args, NULL);
    if (self != NULL)
        self->retry_after = NAN;
    (void)kwargs;
    return (PyObject *)self;
}

static void rejected_dealloc(PyObject *op);

/* One of the classes made here, as against one that Python code has derived from them. */
static inline bool
is_ours(const PyTypeObject *type)
{
    return type->tp_dealloc == rejected_dealloc;
}

/* What BaseException.__new__() makes of no arguments, with its memory at hand. */
static RejectedObject *
rejected_at_hand(PyTypeObject *type)
{
    RejectedObject *self;
#ifndef Py_GIL_DISABLED
    if (n_free_rejections > 0) {
        self = free_rejections[--n_free_rejections];
        PyObject_Init((PyObject *)self, type);
        self->base.suppress_context = 0;
    } else
#endif
    {
        self = PyObject_GC_New(RejectedObject, type);
        if (self == NULL)
            return NULL;
        memset((char *)self + sizeof(PyObject), 0, sizeof *self - sizeof(PyObject));
    }
    self->base.args = Py_NewRef(no_args);
    PyObject_GC_Track(self);
    return self;
}

PyObject *
hf_rejected_new(const hf_refusal *why, PyObject *cls)
{
    GateObject *step = why->step;
    PyTypeObject *type = (PyTypeObject *)cls;
    RejectedObject *self = is_ours(type) ? rejected_at_hand(type)
                                         : (RejectedObject *)rejected_new(type, no_args, NULL);
    if (self == NULL)
        return NULL;
    self->policy = Py_NewRef((PyObject *)step);
    self->name = or_none(step->name);
    self->reason = Py_NewRef(reasons[why->reason]);
    self->retry_after = why->retry_after_ns < 0 ? NAN : (double)why->retry_after_ns / 1e9;
    return (PyObject *)self;
}

/* Seconds; NaN for None. -1: no number, an exception is set. */
static int
seconds_of(PyObject *value, double *seconds)
{
    *seconds = value == NULL || value == Py_None ? NAN : PyFloat_AsDouble(value);
    return *seconds == -1.0 && PyErr_Occurred() ? -1 : 0;
}

static int
rejected_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"policy", "name", "reason", "retry_after", NULL};
    RejectedObject *self = (RejectedObject *)op;
    PyObject *none = PyTuple_New(0), *policy = NULL, *name = NULL, *reason = NULL,
             *retry_after = NULL;
    if (none == NULL)
        return -1;
    int parsed = PyArg_ParseTupleAndKeywords(none, kwargs, "|$OOUO:Rejected", keywords, &policy,
                                             &name, &reason, &retry_after);
    Py_DECREF(none);
    if (!parsed || ((PyTypeObject *)PyExc_Exception)->tp_init(op, args, NULL) < 0)
        return -1;
    double seconds;
    if (seconds_of(retry_after, &seconds) < 0)
        return -1;
    Py_XSETREF(self->policy, or_none(policy));
    Py_XSETREF(self->name, or_none(name));
    Py_XSETREF(self->reason, reason != NULL ? Py_NewRef(reason) : PyUnicode_FromString(""));
    self->retry_after = seconds;
    return 0;
}

static int
rejected_traverse(PyObject *op, visitproc visit, void *arg)
{
    RejectedObject *self = (RejectedObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->policy);
    Py_VISIT(self->name);
    Py_VISIT(self->reason);
    return ((PyTypeObject *)PyExc_Exception)->tp_traverse(op, visit, arg);
}

static int
rejected_clear(PyObject *op)
{
    RejectedObject *self = (RejectedObject *)op;
    Py_CLEAR(self->policy);
    Py_CLEAR(self->name);
    Py_CLEAR(self->reason);
    return ((PyTypeObject *)PyExc_Exception)->tp_clear(op);
}

/* Keep its memory for the next one. False: it is another class's, it has a chain, or there is enough. */
static inline bool
keep_at_hand(PyObject *op)
{
#ifndef Py_GIL_DISABLED
    PyTypeObject *type = Py_TYPE(op);
    RejectedObject *self = (RejectedObject *)op;
    if (!is_ours(type) || self->base.context != NULL || self->base.cause != NULL)
        return false;
    rejected_clear(op); /* others may die of it, and be kept */
    if (n_free_rejections == HF_FREE_REJECTIONS)
        return false;
    free_rejections[n_free_rejections++] = self;
    Py_DECREF(type);
    return true;
#else
    (void)op;
    return false;
#endif
}

static void
rejected_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    if (keep_at_hand(op))
        return;
    Py_TRASHCAN_BEGIN(op, rejected_dealloc); /* a chain of causes may be long */
    rejected_clear(op);
    PyObject_GC_Track(op); /* the base untracks it again */
    ((PyTypeObject *)PyExc_Exception)->tp_dealloc(op);
    Py_DECREF(type);
    Py_TRASHCAN_END;
}

static PyObject *
rejected_retry_after(PyObject *op, void *closure)
{
    double seconds = ((RejectedObject *)op)->retry_after;
    (void)closure;
    if (isnan(seconds))
        Py_RETURN_NONE;
    return PyFloat_FromDouble(seconds);
}

static PyMemberDef rejected_members[] = {
    {"policy", T_OBJECT, offsetof(RejectedObject, policy), READONLY,
     "The policy that refused; None after unpickling."},
    {"name", T_OBJECT, offsetof(RejectedObject, name), READONLY, "Its name."},
    {"reason", T_OBJECT, offsetof(RejectedObject, reason), READONLY, "Why, in a word."},
    {NULL},
};

static PyGetSetDef rejected_getset[] = {
    {"retry_after", rejected_retry_after, NULL,
     "Seconds until a call may be admitted again; None when unknown.", NULL},
    {NULL},
};

static PyType_Slot rejected_slots[] = {
    {Py_tp_doc,
     "A policy has rejected the call; the function did not run.\n\nAttributes: policy, name, reason, retry_after (seconds or None)."},
    {Py_tp_new, rejected_new},
    {Py_tp_init, rejected_init},
    {Py_tp_dealloc, rejected_dealloc},
    {Py_tp_traverse, rejected_traverse},
    {Py_tp_clear, rejected_clear},
    {Py_tp_members, rejected_members},
    {Py_tp_getset, rejected_getset},
    {0, NULL},
};

static PyType_Spec rejected_spec = {
    .name = "holdfast.errors.Rejected",
    .basicsize = sizeof(RejectedObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = rejected_slots,
};

static int
rejected_words_ready(void)
{
    no_args = PyTuple_New(0);
    for (int reason = 0; reason < HF_REASONS; reason++) {
        reasons[reason] = PyUnicode_InternFromString(reason_words[reason]);
        if (reasons[reason] == NULL)
            return -1;
    }
    return no_args == NULL ? -1 : 0;
}

/* ---- HoldfastError and the classes of rejections: names, codes, summaries ---- */

/* The classes, by the module that shows them: name, what happened, code, summary. */
static const char *const classes[][4] = {
    {"holdfast.errors.CircuitOpenError", "The circuit breaker admits no call, or no further probe.",
     "CIRCUIT_OPEN", "circuit breaker is open"},
    {"holdfast.errors.RateLimitedError", "The rate limiter has no tokens, or not soon enough.",
     "RATE_LIMITED", "rate limit exceeded"},
    {"holdfast.errors.BulkheadFullError",
     "All slots of the bulkhead and all places in its queue are taken.", "BULKHEAD_FULL",
     "bulkhead is full"},
    {"holdfast.errors.BulkheadTimeoutError", "No slot of the bulkhead became free in time.",
     "BULKHEAD_TIMEOUT", "bulkhead wait timeout"},
    {"holdfast.errors.ShedError", "The call was shed to keep the latency of the others.", "SHED",
     "load is shed"},
    {"holdfast.errors.EmergencyModeError",
     "The system is in emergency mode, and this call is not essential.", "EMERGENCY_MODE",
     "system in emergency mode"},
};

/* Of the layout of an Exception, which RejectedObject continues: a class statement would add to it. */
static int
error_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    return ((PyTypeObject *)PyExc_Exception)->tp_traverse(op, visit, arg);
}

static int
error_clear(PyObject *op)
{
    return ((PyTypeObject *)PyExc_Exception)->tp_clear(op);
}

static PyType_Slot error_slots[] = {
    {Py_tp_traverse, error_traverse},
    {Py_tp_clear, error_clear},
    {Py_tp_doc, "The base class of all errors of holdfast. `code` is a stable identifier."},
    {0, NULL},
};

static PyType_Spec error_spec = {
    .name = "holdfast.errors.HoldfastError",
    .basicsize = sizeof(PyBaseExceptionObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = error_slots,
};

static int
set_words(PyObject *type, const char *code, const char *summary)
{
    PyObject *code_text = PyUnicode_FromString(code), *summary_text = PyUnicode_FromString(summary);
    int answer = code_text == NULL || summary_text == NULL ||
                 PyObject_SetAttrString(type, "code", code_text) < 0 ||
                 PyObject_SetAttrString(type, "summary", summary_text) < 0;
    Py_XDECREF(code_text);
    Py_XDECREF(summary_text);
    return answer ? -1 : 0;
}

/* The first is filled in for each class. A heap type inherits none of the others. */
static PyType_Slot class_slots[] = {
    {Py_tp_doc, NULL},
    {Py_tp_dealloc, rejected_dealloc},
    {Py_tp_traverse, rejected_traverse},
    {Py_tp_clear, rejected_clear},
    {0, NULL},
};

static int
add_class(PyObject *module, const char *const about[4])
{
    PyType_Spec spec = {
        .name = about[0],
        .basicsize = sizeof(RejectedObject),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
        .slots = class_slots,
    };
    class_slots[0].pfunc = (void *)about[1];
    PyObject *cls = PyType_FromSpecWithBases(&spec, hf_rejected_type);
    if (cls == NULL)
        return -1;
    int answer = set_words(cls, about[2], about[3]) < 0 ||
                 PyModule_AddObjectRef(module, strrchr(about[0], '.') + 1, cls) < 0;
    Py_DECREF(cls);
    return answer ? -1 : 0;
}

int
hf_rejected_ready(PyObject *module)
{
    hf_error_type = PyType_FromSpecWithBases(&error_spec, PyExc_Exception);
    if (rejected_words_ready() < 0 || hf_error_type == NULL ||
        set_words(hf_error_type, "HOLDFAST_ERROR", "holdfast error") < 0)
        return -1;
    hf_rejected_type = PyType_FromSpecWithBases(&rejected_spec, hf_error_type);
    if (hf_rejected_type == NULL || set_words(hf_rejected_type, "REJECTED", "call rejected") < 0)
        return -1;
    if (PyModule_AddObjectRef(module, "HoldfastError", hf_error_type) < 0 ||
        PyModule_AddObjectRef(module, "Rejected", hf_rejected_type) < 0)
        return -1;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (add_class(module, classes[i]) < 0)
            return -1;
    }
    return 0;
}
