/*
 * asyncio, once somebody has imported it: which loop and task drive a coroutine, and what they raise to
 * end it.
 */
#include "alarm.h"

static PyObject *running_loop, *current_task, *cancelled_error, *cancelling_name;
static PyObject *trio_name;
static hf_ai64 modules_without_trio; /* how many there were when it was last looked for, in vain */
static PyObject *current_tasks; /* a dict by loop, where asyncio asks it in Python; else NULL */
static hf_au32 found_asyncio;   /* all of these are set, once and for all */

/* Before 3.12 asyncio asks the dict in Python. */
static PyObject *
find_tasks(PyObject *asyncio)
{
    PyObject *dict = NULL;
#if PY_VERSION_HEX < 0x030C0000
    PyObject *tasks = PyObject_GetAttrString(asyncio, "tasks");
    dict = tasks != NULL ? PyObject_GetAttrString(tasks, "_current_tasks") : NULL;
    Py_XDECREF(tasks);
    PyErr_Clear();
    if (dict != NULL && !PyDict_CheckExact(dict))
        Py_CLEAR(dict);
#else
    (void)asyncio;
#endif
    return dict;
}

/* Take what has been found over, unless another thread was quicker. */
static void
keep_found(PyObject *asyncio, PyObject *const *values)
{
    PyObject **const places[] = {&running_loop, &current_task, &cancelled_error, &cancelling_name,
                                 &current_tasks};
    (void)asyncio;
    HF_BEGIN_EXCLUSIVE(asyncio);
    bool first = hf_load_relaxed(&found_asyncio) == 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (first)
            *places[i] = values[i];
        else
            Py_XDECREF(values[i]);
    }
    hf_store_release(&found_asyncio, 1);
    HF_END_EXCLUSIVE();
}

/*
 * 0, with nothing set: nobody has imported it, or another thread is about to, so no loop of its can run
 * here. -1: an exception is set.
 */
static int
find_asyncio(void)
{
    static const char *const names[] = {"_get_running_loop", "current_task", "CancelledError"};
    PyObject *values[5] = {NULL};
    if (hf_load_acquire(&found_asyncio) != 0)
        return 1;
    PyObject *modules = PyImport_GetModuleDict(); /* borrowed */
    PyObject *asyncio = Py_XNewRef(PyDict_GetItemString(modules, "asyncio"));
    if (asyncio == NULL)
        return 0;
    bool all = (values[3] = PyUnicode_InternFromString("cancelling")) != NULL;
    for (size_t i = 0; all && i < sizeof names / sizeof *names; i++)
        all = (values[i] = PyObject_GetAttrString(asyncio, names[i])) != NULL;
    if (all) {
        values[4] = find_tasks(asyncio);
        keep_found(asyncio, values);
        Py_DECREF(asyncio);
        return 1;
    }
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        Py_XDECREF(values[i]);
    Py_DECREF(asyncio);
    if (!PyErr_ExceptionMatches(PyExc_AttributeError))
        return -1;
    PyErr_Clear(); /* it is being imported */
    return 0;
}

/*
 * A call with a timeout begins: refuse it in a task of trio's, which no alarm could cut short. Later is
 * too late: what trio has suspended must be resumed by trio. -1: an exception is set.
 */
int
hf_refuse_trio(PyObject *gate)
{
    PyObject *modules = PyImport_GetModuleDict(); /* borrowed */
    int64_t size = (int64_t)PyDict_GET_SIZE(modules);
    if (size == hf_load_relaxed(&modules_without_trio))
        return 0;
    if (PyDict_GetItemWithError(modules, trio_name) == NULL) {
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
    return trio_name == NULL ? -1 : 0;
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

/* Ask the task to end. False: that cannot be delivered. */
bool
hf_cancel_task(PyObject *task)
{
    PyObject *answer = PyObject_CallMethod(task, "cancel", NULL);
    Py_XDECREF(answer);
    if (answer != NULL)
        return true;
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) /* what it waits for has no cancel() */
        PyErr_WriteUnraisable(task);
    PyErr_Clear();
    return false;
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

/* The task that runs in that loop, or None. */
static PyObject *
task_in(PyObject *loop)
{
    if (current_tasks == NULL)
        return PyObject_CallOneArg(current_task, loop);
    PyObject *task = PyDict_GetItemWithError(current_tasks, loop); /* borrowed */
    return task == NULL && PyErr_Occurred() ? NULL : Py_NewRef(task != NULL ? task : Py_None);
}

/* The loop that runs in this thread and the task in it, or NULL. -1: an exception is set. */
static int
find_here(PyObject **loop, PyObject **task)
{
    *loop = *task = NULL;
    int found = find_asyncio();
    if (found <= 0)
        return found;
    *loop = PyObject_CallNoArgs(running_loop);
    if (*loop == NULL)
        return -1;
    if (*loop == Py_None) {
        Py_CLEAR(*loop);
        return 0;
    }
    *task = task_in(*loop);
    if (*task == NULL) {
        Py_CLEAR(*loop);
        return -1;
    }
    if (*task == Py_None)
        Py_CLEAR(*task);
    return 0;
}

/* Find out which loop and task drive the coroutine that has been suspended. -1: an exception is set. */
int
hf_alarms_find_driver(hf_alarms *alarms)
{
    return find_here(&alarms->loop, &alarms->task);
}

/* The task that runs in this thread, or NULL. -1: an exception is set. */
int
hf_task_here(PyObject **task)
{
    PyObject *loop;
    int found = find_here(&loop, task);
    Py_XDECREF(loop);
    return found;
}

/* The loop and the task that run in this thread, to be compared, or NULL. An exception may be set. */
void
hf_find_driver(const void **loop, const void **task)
{
    PyObject *its, *of, *raised = hf_take_exception();
    if (find_here(&its, &of) < 0)
        PyErr_Clear();
    *loop = its;
    *task = of;
    Py_XDECREF(its); /* they run: others hold them */
    Py_XDECREF(of);
    hf_give_exception(raised);
}

/* The loop and the task that run in this thread, to be compared, and the context of that; or NULL. */
hf_surroundings
hf_task_around(const void **loop, const void **its, PyObject **context)
{
    PyObject *running, *task;
    *context = NULL;
    if (find_here(&running, &task) < 0)
        return HF_UNKNOWN;
    *loop = running;
    *its = task;
    Py_XDECREF(running);
    if (task == NULL)
        return running != NULL ? HF_IN_LOOP : HF_OUTSIDE;
    *context = PyObject_CallMethod(task, "get_context", NULL);
    if (*context == NULL) {
        PyErr_Clear(); /* it came with 3.12; before, what is written in Python has the attribute */
        *context = PyObject_GetAttrString(task, "_context");
    }
    Py_DECREF(task);
    if (*context != NULL)
        return HF_IN_LOOP;
    PyErr_Clear();
    return HF_OUTSIDE;
}

/* Whether an event loop of asyncio runs in this thread, which would stand still while that waits. */
bool
hf_loop_runs_here(void)
{
    PyObject *loop = find_asyncio() > 0 ? PyObject_CallNoArgs(running_loop) : NULL;
    bool runs = loop != NULL && loop != Py_None;
    Py_XDECREF(loop);
    PyErr_Clear();
    return runs;
}

/* Whether the exception that is set is a cancellation. */
bool
hf_is_cancelled(void)
{
    return hf_load_acquire(&found_asyncio) != 0 && PyErr_ExceptionMatches(cancelled_error);
}

void
hf_raise_cancelled(void)
{
    PyErr_SetNone(cancelled_error);
}
