/*
 * What everything here may need and nothing here needs: the types, which process this is, exceptions as
 * Python code would leave them, attributes that may be missing.
 */
#include "hfpy.h"

PyTypeObject *hf_gate_type, *hf_guard_type, *hf_loose_guard_type, *hf_asking_guard_type,
    *hf_coroutine_type, *hf_permit_type, *hf_outcome_type, *hf_handle_type, *hf_directory_type;

PyObject *hf_rejected_type;
PyObject *hf_modules;

uint32_t hf_fork_epoch = 1;

/* A type of which Python code makes no objects and no subclasses. NULL: an exception is set. */
PyTypeObject *
hf_final_type(PyObject *module, const char *name, size_t size, unsigned long more_flags,
              PyType_Slot *slots)
{
    PyType_Spec spec = {
        .name = name,
        .basicsize = (int)size,
        .flags = (unsigned int)(Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE |
                                Py_TPFLAGS_DISALLOW_INSTANTIATION | more_flags),
        .slots = slots,
    };
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
}

/* tp_dealloc of what holds nothing. */
void
hf_free(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_Free(op);
    Py_DECREF(type);
}

/* -1, with a RuntimeError, for a gate that was neither bound nor composed: it guards nothing. */
int
hf_need_made(const GateObject *self)
{
    if (self->kind != HF_KIND_NONE)
        return 0;
    PyErr_Format(PyExc_RuntimeError,
                 "%.200s.__init__() did not call super().__init__(), so this policy guards nothing",
                 Py_TYPE(self)->tp_name);
    return -1;
}

/* What follows is bound to every gate, and makes sense for one kind of step. */
int
hf_need_kind(const GateObject *self, bool right, const char *what)
{
    if (right)
        return 0;
    if (hf_need_made(self) == 0)
        PyErr_Format(PyExc_TypeError, HF_TITLE " is not a %s", HF_TITLE_OF(self), what);
    return -1;
}

/* ---- exceptions and attributes ---- */

#define HF_LONGEST_CHAIN 100 /* of exceptions; whatever is beyond may be a circle */

/* Whether it is `first` or among its contexts, and theirs. */
static bool
in_chain(const PyObject *exception, PyObject *first)
{
    bool found = false;
    Py_INCREF(first);
    for (int i = 0; i < HF_LONGEST_CHAIN && first != NULL && !found; i++) {
        found = first == exception;
        Py_SETREF(first, PyException_GetContext(first));
    }
    Py_XDECREF(first);
    return found;
}

/*
 * The exception that is set was raised while `before`, which is stolen and may be NULL, was on its way:
 * as in an `except` block it gets that as its context, at the end of what it has brought itself. Nothing
 * is to be done where Python code was shown `before` and has raised it, or from it.
 */
void
hf_chain(PyObject *before)
{
    if (before == NULL)
        return;
    PyObject *exception = hf_take_exception(), *last = Py_NewRef(exception), *context = NULL;
    for (int i = 0; i < HF_LONGEST_CHAIN && !in_chain(last, before); i++) {
        context = PyException_GetContext(last);
        if (context == NULL || in_chain(context, before)) {
            if (context != before)
                PyException_SetContext(last, Py_NewRef(before));
            break;
        }
        Py_SETREF(last, context);
        context = NULL;
    }
    Py_XDECREF(context);
    Py_DECREF(last);
    Py_DECREF(before);
    hf_give_exception(exception);
}

/* Where it is rare that there is one: no exception is made for that. What else is raised stays set. */
PyObject *
hf_attribute_if_any(PyObject *op, PyObject *name)
{
    PyObject *value = NULL;
#if PY_VERSION_HEX >= 0x030D0000
    PyObject_GetOptionalAttr(op, name, &value);
#else
    _PyObject_LookupAttr(op, name, &value);
#endif
    return value;
}

/* NULL: there is none to be had. What is no Exception, such as KeyboardInterrupt, stays set. */
PyObject *
hf_attribute_or_null(PyObject *op, const char *name)
{
    PyObject *unicode = PyUnicode_FromString(name);
    PyObject *value = unicode != NULL ? hf_attribute_if_any(op, unicode) : NULL;
    Py_XDECREF(unicode);
    if (value == NULL && PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_Exception))
        PyErr_Clear();
    return value;
}

/*
 * What was asked has raised the Exception that is set: report it, for nobody is given it. The end of the
 * stack, of memory or of the interpreter, which imports no more, says nothing about who was asked.
 */
void
hf_report_raised(PyObject *asked)
{
    bool is_over = hf_is_finalizing() && PyErr_ExceptionMatches(PyExc_ImportError);
    if (is_over || PyErr_ExceptionMatches(PyExc_RecursionError) ||
        PyErr_ExceptionMatches(PyExc_MemoryError))
        PyErr_Clear();
    else
        PyErr_WriteUnraisable(asked);
}
