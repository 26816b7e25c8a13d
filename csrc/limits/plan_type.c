/* Plan: what an item means. Tally: where its hits are counted, and whether they are refused at all. */
#include "limits.h"

#include "holdfast/hf_bucket.h"
#include "holdfast/hf_sliding.h"

#include <math.h>
#include <stddef.h>
#include <string.h>
#include <structmember.h>

PyTypeObject *hf_tally_type, *hf_plan_type;

int
hf_read_whole(PyObject *value, const char *name, int64_t least, int64_t most, int64_t *number)
{
    int overflow = 0;
    if (!PyLong_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s: got %R, allowed an integer", name, value);
        return -1;
    }
    *number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (*number == -1 && PyErr_Occurred())
        return -1;
    if (!overflow && *number >= least && *number <= most)
        return 0;
    PyErr_Format(PyExc_ValueError, "%s: got %R, allowed %lld to %lld", name, value,
                 (long long)least, (long long)most);
    return -1;
}

int
hf_read_cost(PyObject *value, const char *name, int64_t *number)
{
    if (PyFloat_Check(value)) {
        const double cost = PyFloat_AS_DOUBLE(value);
        if (cost >= 0) {
            *number = cost >= (double)HF_AMOUNT_MOST ? HF_AMOUNT_MOST : (int64_t)ceil(cost);
            return 0;
        }
    } else if (!PyLong_Check(value) && PyIndex_Check(value)) { /* of numpy */
        PyObject *whole = PyNumber_Index(value);
        const int answer = whole != NULL ? hf_read_cost(whole, name, number) : -1;
        Py_XDECREF(whole);
        return answer;
    } else if (hf_read_clamped(value, name, -1, HF_AMOUNT_MOST, number) < 0) {
        return -1;
    } else if (*number >= 0) {
        return 0;
    }
    PyErr_Format(PyExc_ValueError, "%s: got %R, allowed an integer of at least 0", name, value);
    return -1;
}

int
hf_read_clamped(PyObject *value, const char *name, int64_t least, int64_t most, int64_t *number)
{
    int overflow = 0;
    if (!PyLong_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s: got %R, allowed an integer", name, value);
        return -1;
    }
    *number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (*number == -1 && PyErr_Occurred())
        return -1;
    if (overflow > 0 || *number > most)
        *number = most;
    else if (overflow < 0 || *number < least)
        *number = least;
    return 0;
}

/* ---- Tally ---- */

static int
set_mode(PyObject *op, PyObject *value, void *closure)
{
    int64_t mode;
    (void)closure;
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "mode cannot be deleted");
        return -1;
    }
    if (hf_read_whole(value, "mode", HF_TALLY_ENFORCE, HF_TALLY_OFF, &mode) < 0)
        return -1;
    hf_store_relaxed(&((TallyObject *)op)->mode, (uint32_t)mode);
    return 0;
}

static PyObject *
get_mode(PyObject *op, void *closure)
{
    (void)closure;
    return PyLong_FromUnsignedLong(hf_load_relaxed(&((TallyObject *)op)->mode));
}

/* Where the kernel of a rate limiter counts. */
static int
find_words(TallyObject *self, PyObject *kernel)
{
    PyObject *capsule = PyObject_CallMethod(kernel, "_capsule", NULL);
    if (capsule == NULL)
        return -1;
    void *at;
    if (PyCapsule_IsValid(capsule, "holdfast.sliding")) {
        at = PyCapsule_GetPointer(capsule, "holdfast.sliding");
        self->allowed = &((hf_sliding *)at)->allowed;
        self->rejected = &((hf_sliding *)at)->rejected;
    } else if ((at = PyCapsule_GetPointer(capsule, "holdfast.bucket")) != NULL) {
        self->allowed = &((hf_bucket *)at)->allowed;
        self->rejected = &((hf_bucket *)at)->rejected;
    }
    Py_DECREF(capsule);
    return at != NULL ? 0 : -1;
}

static PyObject *
tally_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"kernel", "mode", "policy", NULL};
    PyObject *kernel, *mode = NULL, *policy = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|OO:Tally", names, &kernel, &mode, &policy))
        return NULL;
    TallyObject *self = (TallyObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->kernel = Py_NewRef(kernel);
    self->policy = Py_XNewRef(policy);
    if (find_words(self, kernel) < 0 ||
        (mode != NULL && set_mode((PyObject *)self, mode, NULL) < 0)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int
tally_traverse(PyObject *op, visitproc visit, void *arg)
{
    TallyObject *self = (TallyObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->kernel);
    Py_VISIT(self->on_refused);
    Py_VISIT(self->policy);
    return 0;
}

static int
tally_clear(PyObject *op)
{
    Py_CLEAR(((TallyObject *)op)->on_refused);
    Py_CLEAR(((TallyObject *)op)->policy);
    return 0;
}

static void
tally_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    (void)tally_clear(op);
    Py_CLEAR(((TallyObject *)op)->kernel);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *
get_on_refused(PyObject *op, void *closure)
{
    TallyObject *self = (TallyObject *)op;
    PyObject *value;
    (void)closure;
    HF_BEGIN_EXCLUSIVE(op);
    value = Py_NewRef(self->on_refused != NULL ? self->on_refused : Py_None);
    HF_END_EXCLUSIVE();
    return value;
}

static int
set_on_refused(PyObject *op, PyObject *value, void *closure)
{
    TallyObject *self = (TallyObject *)op;
    PyObject *before;
    (void)closure;
    if (value != NULL && value != Py_None && !PyCallable_Check(value)) {
        PyErr_Format(PyExc_TypeError, "on_refused: got %R, allowed None or a callable", value);
        return -1;
    }
    HF_BEGIN_EXCLUSIVE(op);
    before = self->on_refused;
    self->on_refused = value == Py_None ? NULL : Py_XNewRef(value);
    HF_END_EXCLUSIVE();
    Py_XDECREF(before);
    return 0;
}

static int
tell_refused(TallyObject *self)
{
    if (HF_GET_POINTER(&self->on_refused) == NULL)
        return 0;
    PyObject *listener = get_on_refused((PyObject *)self, NULL);
    PyObject *answer = listener != Py_None ? PyObject_CallNoArgs(listener) : Py_NewRef(Py_None);
    Py_DECREF(listener);
    Py_XDECREF(answer);
    return answer != NULL ? 0 : -1;
}

int
hf_tally_count(TallyObject *self, bool taken)
{
    const uint32_t mode = hf_load_relaxed(&self->mode);
    if (mode == HF_TALLY_OFF)
        return 1;
    hf_count(taken ? self->allowed : self->rejected, 1);
    if (taken)
        return 1;
    if (mode == HF_TALLY_OBSERVE)
        return 1;
    return tell_refused(self) < 0 ? -1 : 0;
}

static PyObject *
tally_count(PyObject *op, PyObject *taken)
{
    const int is_taken = PyObject_IsTrue(taken);
    const int told = is_taken < 0 ? -1 : hf_tally_count((TallyObject *)op, is_taken);
    return told < 0 ? NULL : PyBool_FromLong(told);
}

static PyMemberDef tally_members[] = {
    {"kernel", T_OBJECT, offsetof(TallyObject, kernel), READONLY, "What counts."},
    {"policy", T_OBJECT, offsetof(TallyObject, policy), READONLY,
     "The policy whose hits these are, which lives as long; or None."},
    {NULL},
};

static PyGetSetDef tally_getset[] = {
    {"mode", get_mode, set_mode, "0: enforce; 1: observe; 2: off.", NULL},
    {"on_refused", get_on_refused, set_on_refused,
     "What is called without arguments after each refused hit, or None.", NULL},
    {NULL},
};

static PyMethodDef tally_methods[] = {
    {"count", tally_count, METH_O,
     "count($self, taken, /)\n--\n\nCount a hit that was decided elsewhere, and return what to answer."},
    {NULL},
};

static PyType_Slot tally_slots[] = {
    {Py_tp_doc, "Where the hits of one name are counted: the words of a rate limiter's kernel.\n\n"
                "Safe to share between threads."},
    {Py_tp_new, tally_new},
    {Py_tp_dealloc, tally_dealloc},
    {Py_tp_traverse, tally_traverse},
    {Py_tp_clear, tally_clear},
    {Py_tp_members, tally_members},
    {Py_tp_getset, tally_getset},
    {Py_tp_methods, tally_methods},
    {0, NULL},
};

static PyType_Spec tally_spec = {
    .name = "holdfast._native.limit_windows.Tally",
    .basicsize = sizeof(TallyObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = tally_slots,
};

/* ---- Plan ---- */

static int
fill_text(PlanObject *self)
{
    hf_text text;
    hf_text_init(&text);
    int answer = hf_text_add_object(&text, self->head);
    self->head_length = text.length;
    if (answer == 0)
        answer = hf_text_add_object(&text, self->tail);
    self->tail_length = text.length - self->head_length;
    if (answer == 0 && (self->text = PyMem_RawMalloc(text.length + 1)) == NULL) {
        PyErr_NoMemory();
        answer = -1;
    }
    if (answer == 0)
        memcpy(self->text, text.at, text.length);
    hf_text_end(&text);
    return answer;
}

static PyObject *
plan_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"head", "tail", "amount", "expiry_ns", "tally", NULL};
    PyObject *head, *tail, *amount, *expiry, *tally = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "UUOO|O:Plan", names, &head, &tail, &amount,
                                     &expiry, &tally))
        return NULL;
    if (tally != Py_None && !Py_IS_TYPE(tally, hf_tally_type)) {
        PyErr_Format(PyExc_TypeError, "tally: got %R, allowed None or a Tally", tally);
        return NULL;
    }
    PlanObject *self = (PlanObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->head = Py_NewRef(head);
    self->tail = Py_NewRef(tail);
    self->tally = tally != Py_None ? (TallyObject *)Py_NewRef(tally) : NULL;
    if (hf_read_clamped(amount, "amount", -HF_AMOUNT_MOST, HF_AMOUNT_MOST, &self->amount) < 0 ||
        hf_read_clamped(expiry, "expiry_ns", 1, HF_PER_MOST, &self->expiry_ns) < 0 ||
        fill_text(self) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int
plan_traverse(PyObject *op, visitproc visit, void *arg)
{
    PlanObject *self = (PlanObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->tally);
    return 0;
}

static void
plan_dealloc(PyObject *op)
{
    PlanObject *self = (PlanObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_CLEAR(self->head);
    Py_CLEAR(self->tail);
    Py_CLEAR(self->tally);
    PyMem_RawFree(self->text);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMemberDef plan_members[] = {
    {"head", T_OBJECT, offsetof(PlanObject, head), READONLY, "What a key begins with."},
    {"tail", T_OBJECT, offsetof(PlanObject, tail), READONLY, "What a key ends with."},
    {"amount", T_LONGLONG, offsetof(PlanObject, amount), READONLY, "How many a window holds."},
    {"expiry_ns", T_LONGLONG, offsetof(PlanObject, expiry_ns), READONLY, "How long a window is."},
    {"tally", T_OBJECT, offsetof(PlanObject, tally), READONLY, "Where hits are counted, or None."},
    {NULL},
};

static PyType_Slot plan_slots[] = {
    {Py_tp_doc,
     "What an item means: the text of its keys, its limit and its span.\n\n"
     "Immutable; amount is held at 2**61 and expiry_ns from 1 to 2**60. Safe to share between threads."},
    {Py_tp_new, plan_new},
    {Py_tp_dealloc, plan_dealloc},
    {Py_tp_traverse, plan_traverse},
    {Py_tp_members, plan_members},
    {0, NULL},
};

static PyType_Spec plan_spec = {
    .name = "holdfast._native.limit_windows.Plan",
    .basicsize = sizeof(PlanObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = plan_slots,
};

int
hf_plan_ready(PyObject *module)
{
    hf_tally_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &tally_spec, NULL);
    if (hf_tally_type == NULL ||
        PyModule_AddObjectRef(module, "Tally", (PyObject *)hf_tally_type) < 0)
        return -1;
    hf_plan_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &plan_spec, NULL);
    if (hf_plan_type == NULL)
        return -1;
    return PyModule_AddObjectRef(module, "Plan", (PyObject *)hf_plan_type);
}
