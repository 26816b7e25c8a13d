/*
 * Refusals, and Rejected, what a refused call raises. A rejection is built without running Python and
 * raised without an earlier exception as its context: an open breaker must cost next to nothing and keep
 * nothing alive. How a rejection is made in Python, shown and pickled is in holdfast/errors.py.
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
    PyObject *detail;   /* what else is known: of a breaker, why it opened; or NULL */
    double retry_after; /* seconds; NaN: unknown */
    double waited;      /* seconds that the call has waited; NaN: unknown */
    uint32_t figures[HF_REFUSAL_FIGURES];
} RejectedObject;

/* The words, interned once: a rejection only takes a reference. */
static const char *const reason_words[HF_REASONS] = {
    "closed",       "half-open", "open", "forced-open", "disabled",
    "metrics-only", "rate",      "full", "timeout",     "budget"};
static PyObject *reasons[HF_REASONS];
static PyObject *no_args;

#ifndef Py_GIL_DISABLED
#define HF_FREE_REJECTIONS 16
static RejectedObject *free_rejections[HF_FREE_REJECTIONS]; /* cleared, and of no type */
static int n_free_rejections;
#endif

static PyObject *
rejected_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    RejectedObject *self =
        (RejectedObject *)((PyTypeObject *)PyExc_Exception)->tp_new(type, args, NULL);
    if (self != NULL)
        self->retry_after = self->waited = NAN;
    (void)kwargs;
    return (PyObject *)self;
}

static void rejected_dealloc(PyObject *op);

/* Rejected, or a class that keeps its memory at hand, as against one that other code has derived from them. */
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

/* Why a breaker is open, or None; a new reference. NULL: it never was, or has opened at this moment. */
static inline PyObject *
trip_of(GateObject *step)
{
    PyObject *trips = HF_GET_POINTER(&step->queue);
    return trips != NULL && PyList_CheckExact(trips) ? hf_list_item(trips, 0) : NULL;
}

/* What a full bulkhead shows. With nobody waiting, all its slots were taken when it refused. */
static void
take_figures_of_bulkhead(RejectedObject *self, const hf_refusal *why)
{
    const hf_bulkhead *bulkhead = why->step->cell;
    uint32_t inside = hf__word_inside(why->seen), limit = hf__word_limit(why->seen);
    uint32_t waiting = hf__word_waiting(why->seen);
    bool all_taken = why->reason == HF_REASON_FULL && waiting == 0;
    self->figures[0] = all_taken && inside < limit ? limit : inside;
    self->figures[1] = limit;
    self->figures[2] = waiting;
    self->figures[3] = hf_load_relaxed(&bulkhead->max_waiting);
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
    self->name = Py_XNewRef(step->name);
    self->reason = Py_NewRef(reasons[why->reason]);
    self->retry_after = why->retry_after_ns < 0 ? NAN : (double)why->retry_after_ns / 1e9;
    self->waited = why->waited_ns < 0 ? NAN : (double)why->waited_ns / 1e9;
    if (step->kind == HF_KIND_BREAKER)
        self->detail = trip_of(step);
    else if (step->kind == HF_KIND_BULKHEAD)
        take_figures_of_bulkhead(self, why);
    else
        self->figures[0] = (uint32_t)why->seen;
    return (PyObject *)self;
}

/* ---- refusing ---- */

/* The event of a refusal, for those who listen. -1: a listener raised. */
static int
tell(const hf_refusal *why)
{
    PyObject *answer = PyObject_CallMethod((PyObject *)why->step, "_refused", "OL",
                                           reasons[why->reason], (long long)why->retry_after_ns);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

hf_entering
hf_step_refuse(GateObject *step, hf_refusal *why, hf_reason reason, int64_t retry_after_ns)
{
    *why = (hf_refusal){step, reason, 0, retry_after_ns, -1};
    if (step->kind == HF_KIND_BULKHEAD)
        why->seen = hf_load_relaxed(&((hf_bulkhead *)step->cell)->word);
    return step->listening && tell(why) < 0 ? HF_BROKEN : HF_REFUSED;
}

static void
raise_as(const hf_refusal *why, PyObject *type)
{
    PyObject *exception = hf_rejected_new(why, type);
    if (exception != NULL)
        hf_give_exception(exception);
}

void
hf_refuse(const hf_refusal *why)
{
    raise_as(why, why->step->rejection);
}

/*
 * Raise a rejection by this step, which its kernel has counted:
 * _refuse(reason, retry_after_ns, type, waited_ns, limit).
 */
PyObject *
hf_gate_refuse(PyObject *op, PyObject *args)
{
    GateObject *self = (GateObject *)op;
    const char *word;
    PyObject *type = self->rejection;
    long long retry_after_ns = -1, waited_ns = -1;
    unsigned int limit = 0;
    if (!PyArg_ParseTuple(args, "s|LOLI:_refuse", &word, &retry_after_ns, &type, &waited_ns,
                          &limit))
        return NULL;
    if (type == Py_None)
        type = self->rejection;
    int reason = 0;
    while (reason < HF_REASONS && strcmp(word, reason_words[reason]) != 0)
        reason++;
    if (reason == HF_REASONS || type == NULL || !PyType_Check(type) ||
        !PyType_IsSubtype((PyTypeObject *)type, (PyTypeObject *)hf_rejected_type)) {
        PyErr_SetString(PyExc_TypeError, "_refuse() needs a reason and a class of rejections");
        return NULL;
    }
    hf_refusal why;
    Py_INCREF(op); /* a listener may let go of both */
    Py_INCREF(type);
    if (hf_step_refuse(self, &why, (hf_reason)reason, retry_after_ns) == HF_REFUSED) {
        why.waited_ns = waited_ns;
        if (limit != 0)
            why.seen = limit;
        raise_as(&why, type);
    }
    Py_DECREF(type);
    Py_DECREF(op);
    return NULL;
}

/* ---- life ---- */

static int
rejected_traverse(PyObject *op, visitproc visit, void *arg)
{
    RejectedObject *self = (RejectedObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->policy);
    Py_VISIT(self->name);
    Py_VISIT(self->reason);
    Py_VISIT(self->detail);
    return ((PyTypeObject *)PyExc_Exception)->tp_traverse(op, visit, arg);
}

static int
rejected_clear(PyObject *op)
{
    RejectedObject *self = (RejectedObject *)op;
    Py_CLEAR(self->policy);
    Py_CLEAR(self->name);
    Py_CLEAR(self->reason);
    Py_CLEAR(self->detail);
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

/*
 * _at_hand(cls): memory of this class of rejections is kept for the next one, of whichever class. A decorator
 * of classes that add nothing to an instance, with slots of which there is none.
 */
PyObject *
hf_rejected_at_hand(PyObject *module, PyObject *cls)
{
    (void)module;
    if (!PyType_Check(cls) ||
        !PyType_IsSubtype((PyTypeObject *)cls, (PyTypeObject *)hf_rejected_type) ||
        ((PyTypeObject *)cls)->tp_basicsize != (Py_ssize_t)sizeof(RejectedObject) ||
        ((PyTypeObject *)cls)->tp_weaklistoffset != 0) { /* from 3.12 in front of an instance */
        PyErr_Format(PyExc_TypeError, "%R is no class of rejections with __slots__ = ()", cls);
        return NULL;
    }
    ((PyTypeObject *)cls)->tp_dealloc = rejected_dealloc;
    return Py_NewRef(cls);
}

static PyMemberDef rejected_members[] = {
    {"policy", T_OBJECT, offsetof(RejectedObject, policy), 0,
     "The policy that refused; None after unpickling."},
    {"name", T_OBJECT, offsetof(RejectedObject, name), 0, "Its name."},
    {"reason", T_OBJECT, offsetof(RejectedObject, reason), 0, "Why, in a word."},
    {"_detail", T_OBJECT, offsetof(RejectedObject, detail), 0, NULL},
    {"_seconds", T_DOUBLE, offsetof(RejectedObject, retry_after), 0, NULL},
    {"_waited", T_DOUBLE, offsetof(RejectedObject, waited), 0, NULL},
    {NULL},
};

static PyObject *
rejected_get_figures(PyObject *op, void *ignored)
{
    const uint32_t *figures = ((RejectedObject *)op)->figures;
    (void)ignored;
    return Py_BuildValue("(IIII)", figures[0], figures[1], figures[2], figures[3]);
}

static int
rejected_set_figures(PyObject *op, PyObject *given, void *ignored)
{
    unsigned int figures[HF_REFUSAL_FIGURES];
    (void)ignored;
    if (given == NULL || !PyTuple_Check(given)) {
        PyErr_SetString(PyExc_TypeError, "_figures must be a tuple");
        return -1;
    }
    if (!PyArg_ParseTuple(given, "IIII", &figures[0], &figures[1], &figures[2], &figures[3]))
        return -1;
    for (int i = 0; i < HF_REFUSAL_FIGURES; i++)
        ((RejectedObject *)op)->figures[i] = figures[i];
    return 0;
}

static PyGetSetDef rejected_getset[] = {
    {"_figures", rejected_get_figures, rejected_set_figures, NULL, NULL},
    {NULL},
};

static PyType_Slot rejected_slots[] = {
    {Py_tp_doc,
     "A policy has rejected the call; the function did not run.\n\nAttributes: policy, name, reason, retry_after (seconds or None)."},
    {Py_tp_new, rejected_new},
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

/* -1: an exception is set. The slots keep the layout of an Exception, which RejectedObject continues. */
int
hf_rejected_ready(PyObject *module)
{
    PyObject *dict = Py_BuildValue("{s:()}", "__slots__");
    PyObject *base =
        dict == NULL
            ? NULL
            : PyErr_NewExceptionWithDoc("holdfast.errors.HoldfastError",
                                        "The base class of all errors of holdfast. `code` is a "
                                        "stable identifier.",
                                        PyExc_Exception, dict);
    Py_XDECREF(dict);
    hf_rejected_type = base == NULL ? NULL : PyType_FromSpecWithBases(&rejected_spec, base);
    int answer = hf_rejected_type == NULL || rejected_words_ready() < 0 ||
                 PyModule_AddObjectRef(module, "HoldfastError", base) < 0 ||
                 PyModule_AddObjectRef(module, "Rejected", hf_rejected_type) < 0;
    Py_XDECREF(base);
    return answer ? -1 : 0;
}
