/*
 * asyncio, once somebody has imported it: which loop and task drive a coroutine, and what they raise to
 * end it.
 */
#include "alarm.h"

static PyObject *running_loop, *current_task, *cancelled_error, *cancelling_name;
static PyObject *current_tasks; /* a dict by loop, where asyncio asks it in Python; else NULL */

static int
find_current_tasks(PyObject *asyncio)
{
#if PY_VERSION_HEX < 0x030C0000
    PyObject *tasks = PyObject_GetAttrString(asyncio, "tasks");
    if (tasks == NULL)
        return -1;
    current_tasks = PyObject_GetAttrString(tasks, "_current_tasks");
    Py_DECREF(tasks);
    if (current_tasks == NULL || !PyDict_CheckExact(current_tasks)) {
        Py_CLEAR(current_tasks);
        PyErr_Clear();
    }
#else
    (void)asyncio;
#endif
    return 0;
}

/* False, with nothing set: nobody has imported it, so no loop of its can run. -1: an exception is set. */
static int
find_asyncio(void)
{
    static const char *const names[] = {"_get_running_loop", "current_task", "CancelledError"};
    PyObject **const found[] = {&running_loop, &current_task, &cancelled_error};
    if (cancelled_error != NULL)
        return 1;
    PyObject *modules = PyImport_GetModuleDict(); /* borrowed */
    PyObject *asyncio = PyDict_GetItemString(modules, "asyncio");
    if (asyncio == NULL)
        return 0;
    cancelling_name = PyUnicode_InternFromString("cancelling");
    if (cancelling_name == NULL || find_current_tasks(asyncio) < 0)
        return -1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        PyObject *value = PyObject_GetAttrString(asyncio, names[i]);
        if (value == NULL)
            return -1;
        Py_XSETREF(*found[i], value);
    }
    return 1;
}

/* How often somebody has asked the task to end. */
long
hf_cancelling_of(PyObject *task)
{
    PyObject *answer = PyObject_CallMethodNoArgs(task, cancelling_name);
    long n = answer == NULL ? -1 : PyLong_AsLong(answer);
    Py_XDECREF(answer);
    if (n >= 0)
        return n;
    PyErr_Clear(); /* a task of another kind that cannot tell */
    return 0;
}

/* The task that runs in that loop, or None. */
static PyObject *
task_in(PyObject *loop)
{
    if (current_tasks == NULL)
        return PyObject_CallOneArg(current_task, loop);
    PyObject *task = PyDict_GetItemWithError(current_tasks, loop); /* borrowed */
    return task == NULL && PyErr_Occurred() ? NULL : Py_NewRef(task != NULL ? task : Py_None);
}

/* Find out which loop and task drive the coroutine that has been suspended. -1: an exception is set. */
int
hf_alarms_find_driver(hf_alarms *alarms)
{
    int found = find_asyncio();
    if (found <= 0)
        return found;
    PyObject *loop = PyObject_CallNoArgs(running_loop);
    if (loop == NULL || loop == Py_None) {
        Py_XDECREF(loop);
        return loop == NULL ? -1 : 0;
    }
    PyObject *task = task_in(loop);
    if (task == NULL) {
        Py_DECREF(loop);
        return -1;
    }
    alarms->loop = loop;
    alarms->cancelling = task != Py_None ? hf_cancelling_of(task) : 0;
    if (task == Py_None)
        Py_DECREF(task);
    else
        alarms->task = task;
    return 0;
}

/* Whether the exception that is set is a cancellation. */
bool
hf_is_cancelled(void)
{
    return cancelled_error != NULL && PyErr_ExceptionMatches(cancelled_error);
}

void
hf_raise_cancelled(void)
{
    PyErr_SetNone(cancelled_error);
}
