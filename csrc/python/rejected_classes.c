/*
 * HoldfastError and the classes of rejections: names, codes, summaries. What one is, is rejected.c.
 */
#include "rejected.h"

#include <string.h>

PyObject *hf_error_type, *hf_rejected_type;

/* The classes, by the module that shows them: name, what happened, code, summary. */
static const char *const classes[][4] = {
    {"holdfast.errors.CircuitOpenError", "The circuit breaker admits no call, or no further probe.",
     "CIRCUIT_OPEN", "circuit breaker is open"},
    {"holdfast.errors.RateLimitedError", "The rate limiter has no tokens left, or none in time.",
     "RATE_LIMITED", "rate limit exceeded"},
    {"holdfast.errors.BulkheadFullError",
     "Every place of the bulkhead is taken, and every place to wait for one.", "BULKHEAD_FULL",
     "bulkhead is full"},
    {"holdfast.errors.BulkheadTimeoutError",
     "No place of the bulkhead came free within the longest wait.", "BULKHEAD_TIMEOUT",
     "bulkhead wait timeout"},
    {"holdfast.errors.ShedError", "The call was shed to keep the latency of the others.", "SHED",
     "load is shed"},
    {"holdfast.errors.EmergencyModeError",
     "The system runs in emergency mode, which this call is no part of.", "EMERGENCY_MODE",
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
    {Py_tp_doc, "Base of every error that holdfast raises. `code` is a stable word for machines."},
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
    {Py_tp_dealloc, hf_rejected_dealloc},
    {Py_tp_traverse, hf_rejected_traverse},
    {Py_tp_clear, hf_rejected_clear},
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
    if (hf_rejected_words_ready() < 0 || hf_error_type == NULL ||
        set_words(hf_error_type, "HOLDFAST_ERROR", "holdfast error") < 0)
        return -1;
    hf_rejected_type = PyType_FromSpecWithBases(&hf_rejected_spec, hf_error_type);
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
