/*
 * Calling the function that is guarded, and packing its arguments for Python.
 */
#include "control.h"

/*
 * 3.12 and 3.13 count to 10,000, however much of the stack each call takes. One through a guard takes
 * more than a ten-thousandth, as compilers have it today: it counts twice.
 */
#if PY_VERSION_HEX >= 0x030C0000 && PY_VERSION_HEX < 0x030E0000
#define HF_COUNTS_TWICE true
#else
#define HF_COUNTS_TWICE false
#endif

/* Guards of guards call each other without a frame in between that would be counted. */
static PyObject *Py_NO_INLINE
call_guard(PyObject *fn, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    if (Py_EnterRecursiveCall(" while calling a guarded function"))
        return NULL;
    PyObject *result = NULL;
    if (!HF_COUNTS_TWICE || !Py_EnterRecursiveCall(" while calling a guarded function")) {
        result = PyObject_Vectorcall(fn, args, nargsf, kwnames);
        if (HF_COUNTS_TWICE)
            Py_LeaveRecursiveCall();
    }
    Py_LeaveRecursiveCall();
    return result;
}

/* So do guards of partials and of methods, which put frames of their own on the stack: counted twice. */
static PyObject *Py_NO_INLINE
call_other(PyObject *fn, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    if (Py_EnterRecursiveCall(" while calling a guarded function"))
        return NULL;
    PyObject *result = call_guard(fn, args, nargsf, kwnames);
    Py_LeaveRecursiveCall();
    return result;
}

/*
 * PyObject_Vectorcall() without its look for a result that comes with an exception: a Python function
 * gives none, and whoever called the guard looks again.
 */
PyObject *
hf_invoke(PyObject *fn, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    if (PyFunction_Check(fn))
        return ((PyFunctionObject *)fn)->vectorcall(fn, args, nargsf, kwnames);
    return Py_IS_TYPE(fn, hf_guard_type) ? call_guard(fn, args, nargsf, kwnames)
                                         : call_other(fn, args, nargsf, kwnames);
}

/* Arguments as a tuple and, where there are keywords, a dict. -1: no memory. */
int
hf_pack_call(PyObject *const *args, size_t nargsf, PyObject *kwnames, PyObject **tuple,
             PyObject **dict)
{
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    Py_ssize_t nkw = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    *tuple = PyTuple_New(nargs);
    *dict = nkw > 0 ? PyDict_New() : NULL;
    int answer = *tuple == NULL || (nkw > 0 && *dict == NULL) ? -1 : 0;
    for (Py_ssize_t i = 0; answer == 0 && i < nargs; i++)
        PyTuple_SET_ITEM(*tuple, i, Py_NewRef(args[i]));
    for (Py_ssize_t i = 0; answer == 0 && i < nkw; i++)
        answer = PyDict_SetItem(*dict, PyTuple_GET_ITEM(kwnames, i), args[nargs + i]);
    if (answer < 0) {
        Py_CLEAR(*tuple);
        Py_CLEAR(*dict);
    }
    return answer;
}

/* The same for Python: the dict may be empty. */
int
hf_pack_call_for_python(PyObject *const *args, size_t nargsf, PyObject *kwnames, PyObject **tuple,
                        PyObject **dict)
{
    if (hf_pack_call(args, nargsf, kwnames, tuple, dict) < 0)
        return -1;
    if (*dict == NULL)
        *dict = PyDict_New();
    if (*dict != NULL)
        return 0;
    Py_CLEAR(*tuple);
    return -1;
}

/* Whether a step is told when the first item is there, though none controls the call. */
static bool
samples_first_item(const GateObject *gate)
{
    for (Py_ssize_t i = 0; i < gate->n_steps; i++) {
        if (gate->steps[i]->kind == HF_KIND_ADAPTIVE)
            return true;
    }
    return false;
}

/* A guarded generator, made by _generator(stream) or, where it may be made again, with how. */
PyObject *
hf_gate_stream(GateObject *gate, const char *drive, PyObject *stream, PyObject *fn,
               PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *tuple, *dict;
    if (!gate->controls && !samples_first_item(gate))
        return PyObject_CallMethod((PyObject *)gate, drive, "N", stream);
    if (hf_pack_call_for_python(args, nargsf, kwnames, &tuple, &dict) < 0) {
        Py_DECREF(stream);
        return NULL;
    }
    return PyObject_CallMethod((PyObject *)gate, drive, "NONN", stream, fn, tuple, dict);
}
