/*
 * Forks that nobody tells Python of: a server written in C, as uWSGI, loads the application and makes its
 * workers out of that process. The C library tells of every fork; what is due in the child is Python's
 * (holdfast/forks.py), and is done before the next line of Python in its main thread.
 */
#include <pthread.h>

#include "hfpy.h"

static bool told; /* Python forks, and does what is due by itself */
static bool due;
static PyObject *in_child;

static int
settle(void *ignored)
{
    (void)ignored;
    if (!due || in_child == NULL)
        return 0;
    due = false;
    PyObject *answer = PyObject_CallNoArgs(in_child);
    if (answer == NULL)
        PyErr_WriteUnraisable(in_child);
    Py_XDECREF(answer);
    return 0;
}

/* In the child, before fork() returns. It may hold no lock, allocate nothing and call no Python. */
static void
forked(void)
{
    if (told || !Py_IsInitialized())
        return;
    hf_fork_epoch++;
    due = true;
    (void)Py_AddPendingCall(settle, NULL);
}

PyObject *
hf_fork_told(PyObject *module, PyObject *on)
{
    (void)module;
    told = on == Py_True;
    if (!told) /* it has forked: what is due is being done */
        due = false;
    Py_RETURN_NONE;
}

PyObject *
hf_fork_settle(PyObject *module, PyObject *ignored)
{
    (void)module, (void)ignored;
    settle(NULL);
    Py_RETURN_NONE;
}

PyObject *
hf_fork_install(PyObject *module, PyObject *callable)
{
    (void)module;
    if (in_child == NULL && pthread_atfork(NULL, NULL, forked) != 0)
        return PyErr_NoMemory();
    Py_XSETREF(in_child, Py_NewRef(callable));
    Py_RETURN_NONE;
}
