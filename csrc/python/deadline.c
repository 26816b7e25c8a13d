/*
 * Deadlines, and what Python asks about the one in force. Where which is, is deadline_flow.c's.
 */
#include "control.h"

/* ---- the operation that this code belongs to, which may be cancelled: holdfast.waiting.cancelling ---- */

static PyObject *current_scope; /* a context variable; NULL: nothing can be cancelled */

/* _install_scope(variable) */
static PyObject *
install_scope(PyObject *module, PyObject *variable)
{
    (void)module;
    Py_XSETREF(current_scope, Py_NewRef(variable));
    Py_RETURN_NONE;
}

/* Ask the scope of this code, if it has one, by a method. Strong; NULL: an exception is set. */
static PyObject *
ask_scope(const char *method)
{
    PyObject *scope;
    if (current_scope == NULL)
        Py_RETURN_NONE;
    if (PyContextVar_Get(current_scope, Py_None, &scope) < 0)
        return NULL;
    if (scope == Py_None)
        return scope;
    PyObject *answer = PyObject_CallMethod(scope, method, NULL);
    Py_DECREF(scope);
    return answer;
}

/* ---- what Python asks ---- */

static PyObject *
deadline(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    hf_deadline here;
    (void)module;
    if (nargs > 1)
        return PyErr_Format(PyExc_TypeError, "deadline() takes at most 1 argument (%zd given)",
                            nargs);
    PyObject *cut = ask_scope("is_in_force");
    if (cut == NULL)
        return NULL;
    Py_DECREF(cut);
    if (cut == Py_True)
        return PyFloat_FromDouble(0.0);
    if (hf_deadline_in_force(&here) < 0)
        return NULL;
    if (here.step == NULL)
        return Py_NewRef(nargs == 1 ? args[0] : Py_None);
    int64_t left_ns = hf_deadline_left_ns(&here);
    Py_DECREF((PyObject *)here.step);
    return PyFloat_FromDouble(left_ns > 0 ? (double)left_ns / 1e9 : 0.0);
}

static PyObject *
check_deadline(PyObject *module, PyObject *ignored)
{
    hf_deadline here;
    (void)module, (void)ignored;
    PyObject *answer = ask_scope("check");
    if (answer == NULL)
        return NULL;
    Py_DECREF(answer);
    if (hf_deadline_in_force(&here) < 0)
        return NULL;
    bool over = hf_deadline_left_ns(&here) <= 0;
    if (over)
        hf_raise_exceeded(&here, true);
    Py_XDECREF((PyObject *)here.step);
    return over ? NULL : Py_NewRef(Py_None);
}

/* _deadline_here(): (policy, ns on its clock), or None. */
static PyObject *
deadline_here(PyObject *module, PyObject *ignored)
{
    hf_deadline here;
    (void)module, (void)ignored;
    if (hf_deadline_in_force(&here) < 0)
        return NULL;
    if (here.step == NULL)
        Py_RETURN_NONE;
    return Py_BuildValue("NL", (PyObject *)here.step, (long long)here.ns);
}

/* _under_deadline(here, fn): call fn() under a deadline of another thread. */
static PyObject *
under_deadline(PyObject *module, PyObject *args)
{
    PyObject *here, *fn, *step;
    long long ns;
    (void)module;
    if (!PyArg_ParseTuple(args, "OO:_under_deadline", &here, &fn))
        return NULL;
    if (here == Py_None)
        return PyObject_CallNoArgs(fn);
    if (!PyArg_ParseTuple(here, "O!L", hf_gate_type, &step, &ns))
        return NULL;
    hf_limit *limit = hf_limit_new();
    if (limit == NULL)
        return NULL;
    limit->deadline = (hf_deadline){(GateObject *)step, ns}; /* held by an argument */
    PyObject *result = hf_limit_apply(limit) == 0 ? PyObject_CallNoArgs(fn) : NULL;
    hf_limit_free(limit);
    return result;
}

static PyMethodDef functions[] = {
    {"deadline", (PyCFunction)(void (*)(void))deadline, METH_FASTCALL,
     "deadline($module, default=None, /)\n--\n\n"
     "Return the seconds that the enclosing Timeout has left; the default without a Timeout.\n\n"
     "With several timeouts, the earliest deadline counts. The result is 0.0 after the deadline. A\n"
     "Timeout in observe mode or off sets no deadline. Safe to call from any thread and task; each\n"
     "has its own. A task from create_task() does not inherit it.\n\n"
     ">>> import holdfast as hf\n"
     ">>> hf.deadline() is None\n"
     "True\n"
     ">>> hf.deadline(5)\n"
     "5\n"
     ">>> 0 < hf.Timeout(30).call(hf.deadline) <= 30\n"
     "True\n"},
    {"check_deadline", check_deadline, METH_NOARGS,
     "check_deadline($module, /)\n--\n\n"
     "Raise an error if the enclosing Timeout has expired; for loops in synchronous code.\n\n"
     "Raises:\n    DeadlineExceededError: The deadline has passed.\n"
     "    Cancelled: The operation of a TimeoutManager that this code belongs to was cancelled.\n\n"
     "Safe to call from any thread and task; each has its own deadline.\n\n"
     ">>> import holdfast as hf\n"
     ">>> hf.Timeout(30).call(hf.check_deadline)\n"},
    {"_deadline_here", deadline_here, METH_NOARGS, NULL},
    {"_under_deadline", under_deadline, METH_VARARGS, NULL},
    {"_install_scope", install_scope, METH_O, NULL},
    {"_install_asyncio", hf_asyncio_install, METH_O, NULL},
    {"_limits_in_force", hf_limits_in_force, METH_NOARGS, NULL},
    {NULL},
};

int
hf_deadline_ready(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
