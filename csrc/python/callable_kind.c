/*
 * What calling something gives: a value, a coroutine, a generator; as inspect would tell, in C.
 */
#include "guard.h"

PyTypeObject *hf_partial_type;

static hf_callable
kind_of_flags(long flags)
{
    if (flags & (CO_COROUTINE | CO_ITERABLE_COROUTINE)) /* the latter: of types.coroutine */
        return HF_CALL_COROUTINE;
    if (flags & CO_ASYNC_GENERATOR)
        return HF_CALL_ASYNC_GENERATOR;
    return flags & CO_GENERATOR ? HF_CALL_GENERATOR : HF_CALL_PLAIN;
}

/* The kind of what was looked up and is given up here; of nothing, as hf_attribute_or_null() left it. */
static hf_callable
kind_found(PyObject *found, hf_callable (*kind_of)(PyObject *))
{
    if (found == NULL)
        return PyErr_Occurred() ? HF_CALL_BROKEN : HF_CALL_PLAIN;
    hf_callable kind = kind_of(found);
    Py_DECREF(found);
    return kind;
}

static hf_callable
kind_of_code(PyObject *code)
{
    return PyCode_Check(code) ? kind_of_flags(((PyCodeObject *)code)->co_flags) : HF_CALL_PLAIN;
}

/* The mark that `module` puts on coroutine functions, if anybody has imported it. */
static hf_callable
kind_by_mark(PyObject *fn, const char *attribute, const char *module_name, const char *mark_name)
{
    PyObject *own = hf_attribute_or_null(fn, attribute);
    if (own == NULL)
        return PyErr_Occurred() ? HF_CALL_BROKEN : HF_CALL_PLAIN;
    PyObject *name = PyUnicode_FromString(module_name);
    PyObject *module = name != NULL ? PyImport_GetModule(name) : NULL;
    PyObject *mark = module != NULL ? hf_attribute_or_null(module, mark_name) : NULL;
    hf_callable kind = own == mark        ? HF_CALL_COROUTINE
                       : PyErr_Occurred() ? HF_CALL_BROKEN
                                          : HF_CALL_PLAIN;
    Py_XDECREF(mark);
    Py_XDECREF(module);
    Py_XDECREF(name);
    Py_DECREF(own);
    return kind;
}

/* inspect.markcoroutinefunction, as 3.13 and 3.12 have it, and asyncio's older mark. */
static hf_callable
kind_by_marks(PyObject *fn)
{
    static const char *const marks[][3] = {
        {"_is_coroutine_marker", "inspect", "_is_coroutine_mark"},
        {"_is_coroutine_marker", "inspect", "_is_coroutine_marker"},
        {"_is_coroutine", "asyncio.coroutines", "_is_coroutine"},
    };
    hf_callable kind = HF_CALL_PLAIN;
    for (size_t i = 0; kind == HF_CALL_PLAIN && i < sizeof marks / sizeof *marks; i++)
        kind = kind_by_mark(fn, marks[i][0], marks[i][1], marks[i][2]);
    return kind;
}

static hf_callable
kind_of_function(PyObject *fn)
{
    hf_callable kind = kind_of_flags(((PyCodeObject *)PyFunction_GET_CODE(fn))->co_flags);
    PyObject *attributes = ((PyFunctionObject *)fn)->func_dict; /* none: no mark either */
    bool bare = attributes == NULL || PyDict_GET_SIZE(attributes) == 0;
    return kind != HF_CALL_PLAIN || bare ? kind : kind_by_marks(fn);
}

static hf_callable
kind_of_partial(PyObject *fn)
{
    if (Py_EnterRecursiveCall(" while looking what a partial calls")) { /* itself, perhaps */
        PyErr_Clear();
        return HF_CALL_PLAIN;
    }
    hf_callable kind = kind_found(hf_attribute_or_null(fn, "func"), hf_callable_kind);
    Py_LeaveRecursiveCall();
    return kind;
}

static hf_callable
kind_of_call(PyObject *call)
{
    return PyFunction_Check(call) || hf_is_guard(call) ? hf_callable_kind(call) : HF_CALL_PLAIN;
}

/*
 * What calling `fn` gives, as inspect would tell: through bound methods, partials and callable objects.
 * HF_CALL_BROKEN: interrupted while looking; that exception is set.
 */
hf_callable
hf_callable_kind(PyObject *fn)
{
    while (PyMethod_Check(fn))
        fn = PyMethod_GET_FUNCTION(fn);
    if (PyFunction_Check(fn))
        return kind_of_function(fn);
    if (hf_is_guard(fn))
        return hf_guard_kind(fn);
    if (PyType_Check(fn) || PyCFunction_Check(fn))
        return HF_CALL_PLAIN;
    if (PyObject_TypeCheck(fn, hf_partial_type))
        return kind_of_partial(fn);
    hf_callable kind = kind_by_marks(fn);
    if (kind == HF_CALL_PLAIN) /* whatever shows a __code__ of its own, as a function does */
        kind = kind_found(hf_attribute_or_null(fn, "__code__"), kind_of_code);
    if (kind == HF_CALL_PLAIN)
        kind = kind_found(hf_attribute_or_null((PyObject *)Py_TYPE(fn), "__call__"), kind_of_call);
    return kind;
}

/* _callable_kind(fn): the number of its hf_callable. */
PyObject *
hf_callable_number(PyObject *module, PyObject *fn)
{
    hf_callable kind = hf_callable_kind(fn);
    (void)module;
    return kind == HF_CALL_BROKEN ? NULL : PyLong_FromLong(kind);
}

int
hf_callable_kind_ready(void)
{
    PyObject *functools = PyImport_ImportModule("functools");
    if (functools == NULL)
        return -1;
    hf_partial_type = (PyTypeObject *)PyObject_GetAttrString(functools, "partial");
    Py_DECREF(functools);
    return hf_partial_type == NULL ? -1 : 0;
}

const char *
hf_callable_meant(PyObject *given)
{
    return PyCoro_CheckExact(given) || PyGen_CheckExact(given) || PyAsyncGen_CheckExact(given)
               ? ": give the function and its arguments, not the result of its call"
               : "";
}
