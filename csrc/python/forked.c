/*
 * Forks, whoever makes them: Python, or a server in C (uWSGI), which tells Python nothing. The C library
 * tells of each. In the child, before any other code of it runs, what a call of the parent holds becomes
 * nobody's (the number of forks grows), and the gates count from zero; the kernels do (fork_copy.h).
 *
 * What needs Python (holdfast/forks.py) is due after that: at the end of Python's own forks, else before the
 * main thread's next line of Python, or when somebody asks for it (hf_fork_settle).
 */
#include <pthread.h>

#include "hfpy.h"

static hf_roster gates;
static bool due, queued;
static PyObject *in_child;

static void
forget(void *op, uint64_t seed)
{
    GateObject *gate = op;
    (void)seed;
    hf_count_forget(&gate->settled_twice);
    hf_count_forget(&gate->observed);
    hf_count_forget(&gate->unobserved); /* which is busy_ns as well */
}

void
hf_gate_enlist(GateObject *gate)
{
    hf_roster_join(&gates, &gate->member, gate, forget);
}

void
hf_gate_strike(GateObject *gate)
{
    hf_roster_leave(&gates, &gate->member);
}

static int
settle(void *is_queued)
{
    if (is_queued != NULL)
        queued = false;
    if (!due || in_child == NULL)
        return 0;
    due = false;
    PyObject *answer = PyObject_CallNoArgs(in_child);
    if (answer == NULL)
        PyErr_WriteUnraisable(in_child);
    Py_XDECREF(answer);
    return 0;
}

/* Queued by the parent, where it does nothing: in the child another thread might have held the lock. */
static void
before(void)
{
    if (!queued && Py_IsInitialized())
        queued = Py_AddPendingCall(settle, &queued) == 0;
    hf_roster_lock(&gates);
}

static void
in_parent(void)
{
    hf_roster_unlock(&gates);
}

/* Before fork() returns. It may take no lock, allocate nothing and call no Python. */
static void
forked(void)
{
    hf_fork_epoch++;
    due = true;
    hf_roster_forget(&gates, 0);
    hf_roster_unlock(&gates);
}

/* How often this process and those it comes from have forked, on the way to this one. */
PyObject *
hf_fork_number(PyObject *module, PyObject *ignored)
{
    (void)module, (void)ignored;
    return PyLong_FromUnsignedLong(hf_fork_epoch);
}

PyObject *
hf_fork_settle(PyObject *module, PyObject *ignored)
{
    (void)module, (void)ignored;
    settle(NULL);
    Py_RETURN_NONE;
}

/* Returns whether it is the first time. */
PyObject *
hf_fork_install(PyObject *module, PyObject *callable)
{
    (void)module;
    const bool first = in_child == NULL;
    if (first && pthread_atfork(before, in_parent, forked) != 0)
        return PyErr_NoMemory();
    Py_XSETREF(in_child, Py_NewRef(callable));
    return PyBool_FromLong(first);
}
