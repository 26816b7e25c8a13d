/*
 * asyncio, once somebody has imported it: which loop and task drive a coroutine, and what they raise to
 * end it.
 */
#include "alarm.h"

/* What Python finds of it (holdfast.waiting.finding), a tuple of these; once and for all. */
enum { RUNNING_LOOP, CURRENT_TASK, CONTEXT_OF, CANCELLED_ERROR };
static PyObject *find, *parts;
static hf_au32 has_parts;
static PyObject *cancelling_name, *trio_name;
static hf_ai64 modules_without_trio; /* how many there were when it was last looked for, in vain */

/* _install_asyncio(find): call this once somebody has imported asyncio. */
PyObject *
hf_asyncio_install(PyObject *module, PyObject *callable)
{
    (void)module;
    Py_XSETREF(find, Py_NewRef(callable));
    Py_RETURN_NONE;
}

/*
 * 0, with nothing set: nobody has imported it, or another thread is about to, so no loop of its can run
 * here. -1: an exception is set.
 */
static int
find_asyncio(void)
{
    if (hf_load_acquire(&has_parts) != 0)
        return 1;
    if (find == NULL || PyDict_GetItemString(hf_modules, "asyncio") == NULL)
        return 0;
    PyObject *found = PyObject_CallNoArgs(find);
    if (found == NULL)
        return -1;
    bool is_found = found != Py_None;
    HF_BEGIN_EXCLUSIVE((PyObject *)hf_gate_type);
    if (is_found && hf_load_relaxed(&has_parts) == 0) {
        parts = Py_NewRef(found);
        hf_store_release(&has_parts, 1);
    }
    HF_END_EXCLUSIVE();
    Py_DECREF(found);
    return is_found;
}

static PyObject *
part(int which)
{
    return PyTuple_GET_ITEM(parts, which);
}

/*
 * A call with a timeout begins: refuse it in a task of trio's, which no alarm could cut short. Later is
 * too late: what trio has suspended must be resumed by trio. -1: an exception is set.
 */
int
hf_refuse_trio(PyObject *gate)
{
    int64_t size = (int64_t)PyDict_GET_SIZE(hf_modules);
    if (size == hf_load_relaxed(&modules_without_trio))
        return 0;
    if (PyDict_GetItemWithError(hf_modules, trio_name) == NULL) {
        if (PyErr_Occurred())
            return -1;
        hf_store_relaxed(&modules_without_trio, size);
        return 0;
    }
    if (hf_loop_runs_here()) /* httpcore imports trio wherever it is installed */
        return 0;
    PyObject *answer = PyObject_CallMethod(gate, "_refuse_trio", NULL);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

int
hf_alarm_loop_ready(void)
{
    trio_name = PyUnicode_InternFromString("trio");
    cancelling_name = PyUnicode_InternFromString("cancelling");
    return trio_name == NULL || cancelling_name == NULL ? -1 : 0;
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

/* Whether the task is making a step in this thread. */
static bool
is_running_here(const PyObject *task)
{
    PyObject *here;
    if (hf_task_here(&here) < 0)
        PyErr_Clear();
    Py_XDECREF(here); /* it runs: others hold it */
    return here == task;
}

/*
 * Whether the task is suspended on that, or, with NULL, on nothing. If not, it does not await the call, but
 * has made a step of it by hand.
 */
bool
hf_task_waits_for(PyObject *task, const PyObject *awaited)
{
    PyObject *waiter = PyObject_GetAttrString(task, "_fut_waiter");
    bool same = waiter == NULL || waiter == (awaited != NULL ? awaited : Py_None);
    if (waiter == NULL)
        PyErr_Clear(); /* a task of another kind that cannot tell */
    Py_XDECREF(waiter);
    return same && (awaited != NULL || !is_running_here(task));
}

/* Cancel a task, or what is awaited. 1: done. 0: it has ended by itself. -1: there is no way to. */
int
hf_cancel(PyObject *op)
{
    if (op == NULL)
        return -1;
    Py_INCREF(op);
    PyObject *answer = PyObject_CallMethod(op, "cancel", NULL);
    int truth = answer == NULL ? -1 : PyObject_IsTrue(answer);
    if (truth < 0) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError)) /* else it has no cancel() */
            PyErr_WriteUnraisable(op);
        PyErr_Clear();
    }
    Py_XDECREF(answer);
    Py_DECREF(op);
    return truth;
}

/* It was asked once less. */
void
hf_uncancel_task(PyObject *task)
{
    PyObject *raised = hf_take_exception();
    PyObject *answer = PyObject_CallMethod(task, "uncancel", NULL);
    if (answer == NULL)
        PyErr_WriteUnraisable(task);
    Py_XDECREF(answer);
    hf_give_exception(raised);
}

/* The loop that runs in this thread and the task in it, or NULL. -1: an exception is set. */
int
hf_find_driver(PyObject **loop, PyObject **task)
{
    *loop = *task = NULL;
    int found = find_asyncio();
    if (found <= 0)
        return found;
    *loop = PyObject_CallNoArgs(part(RUNNING_LOOP));
    if (*loop != NULL && *loop != Py_None)
        *task = PyObject_CallOneArg(part(CURRENT_TASK), *loop);
    bool failed = *loop == NULL || (*loop != Py_None && *task == NULL);
    if (failed || *loop == Py_None)
        Py_CLEAR(*loop);
    if (*task == Py_None)
        Py_CLEAR(*task);
    return failed ? -1 : 0;
}

/* The task that runs in this thread, or NULL. -1: an exception is set. */
int
hf_task_here(PyObject **task)
{
    PyObject *loop;
    int found = hf_find_driver(&loop, task);
    Py_XDECREF(loop);
    return found;
}

/*
 * The loop and the task that run in this thread, to be compared, and the context of that; or NULL: a task in C
 * does not tell it before 3.12.
 */
hf_surroundings
hf_task_around(const void **loop, const void **its, PyObject **context)
{
    PyObject *running, *task;
    *context = NULL;
    if (hf_find_driver(&running, &task) < 0)
        return HF_UNKNOWN;
    *loop = running;
    *its = task;
    Py_XDECREF(running);
    if (task == NULL)
        return running != NULL ? HF_IN_LOOP : HF_OUTSIDE;
    *context = PyObject_CallOneArg(part(CONTEXT_OF), task);
    Py_DECREF(task);
    if (*context == NULL)
        PyErr_Clear();
    return HF_IN_LOOP;
}

/* Whether an event loop of asyncio runs in this thread, which would stand still while that waits. */
bool
hf_loop_runs_here(void)
{
    PyObject *loop = find_asyncio() > 0 ? PyObject_CallNoArgs(part(RUNNING_LOOP)) : NULL;
    bool runs = loop != NULL && loop != Py_None;
    Py_XDECREF(loop);
    PyErr_Clear();
    return runs;
}

/* Whether the exception that is set is a cancellation. */
bool
hf_is_cancelled(void)
{
    return hf_load_acquire(&has_parts) != 0 && PyErr_ExceptionMatches(part(CANCELLED_ERROR));
}

void
hf_raise_cancelled(void)
{
    PyErr_SetNone(part(CANCELLED_ERROR));
}
