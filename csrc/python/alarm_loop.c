/*
 * asyncio, once somebody has imported it: which loop and task drive a coroutine, and what they raise to
 * end it.
 */
#include "alarm.h"

static PyObject *running_loop, *current_task, *cancelled_error, *cancelling_name;
static PyObject *trio_name;
static PyObject *current_tasks; /* a dict by loop, where asyncio asks it in Python; else NULL */
static PyObject
    *eager_tasks; /* those that make their first step inside of who made them; or NULL */
_Thread_local uintptr_t hf_eager_here;

/* Before 3.12 asyncio asks the dict in Python, and knows no eager tasks. */
static void
find_tasks(PyObject *asyncio)
{
#if PY_VERSION_HEX < 0x030C0000
    PyObject **const found = &current_tasks;
    static const char *const name = "_current_tasks";
#else
    PyObject **const found = &eager_tasks;
    static const char *const name = "_eager_tasks";
#endif
    PyObject *tasks = PyObject_GetAttrString(asyncio, "tasks");
    *found = tasks != NULL ? PyObject_GetAttrString(tasks, name) : NULL;
    Py_XDECREF(tasks);
    PyErr_Clear();
    if (current_tasks != NULL && !PyDict_CheckExact(current_tasks))
        Py_CLEAR(current_tasks);
    if (eager_tasks != NULL && !PySet_Check(eager_tasks))
        Py_CLEAR(eager_tasks);
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
    if (cancelling_name == NULL)
        return -1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        PyObject *value = PyObject_GetAttrString(asyncio, names[i]);
        if (value == NULL)
            return -1;
        Py_XSETREF(*found[i], value);
    }
    find_tasks(asyncio);
    return 1;
}

/*
 * The task that runs here, if it makes its first step inside of the one that made it; as a number, which
 * is only compared. 0: none does.
 */
static uintptr_t
eager_task(void)
{
    PyObject *loop = PyObject_CallNoArgs(running_loop);
    PyObject *task =
        loop != NULL && loop != Py_None ? PyObject_CallOneArg(current_task, loop) : NULL;
    uintptr_t number = task != NULL && PySet_Contains(eager_tasks, task) > 0 ? (uintptr_t)task : 0;
    Py_XDECREF(task);
    Py_XDECREF(loop);
    PyErr_Clear();
    return number;
}

/* Whether the deadline of this thread is of the task that is about to make another one. */
bool
hf_deadline_is_foreign(void)
{
    if (eager_tasks == NULL || PySet_GET_SIZE(eager_tasks) == 0)
        return false;
    uintptr_t here = eager_task();
    return here != 0 && here != hf_eager_here;
}

/*
 * A call begins: what it sets as the deadline of this thread is its task's. What that finds there is
 * another task's, if it is eager and has not begun a call before.
 */
void
hf_eager_begin(hf_course *course)
{
    if (course->awaits && find_asyncio() < 0)
        PyErr_Clear();
    if (eager_tasks == NULL || PySet_GET_SIZE(eager_tasks) == 0)
        return;
    if (course->before.step != NULL && hf_deadline_is_foreign())
        *course->thread = (hf_deadline){NULL, 0};
    course->eager = true;
    course->eager_before = hf_eager_here;
    hf_eager_here = eager_task();
}

/*
 * A call with a timeout begins: refuse it in a task of trio's, which no alarm could cut short. Later is
 * too late: what trio has suspended must be resumed by trio. -1: an exception is set.
 */
int
hf_refuse_trio(PyObject *gate)
{
    if (trio_name == NULL && (trio_name = PyUnicode_InternFromString("trio")) == NULL)
        return -1;
    PyObject *modules = PyImport_GetModuleDict(); /* borrowed */
    if (PyDict_GetItemWithError(modules, trio_name) == NULL)
        return PyErr_Occurred() ? -1 : 0;
    PyObject *answer = PyObject_CallMethod(gate, "_refuse_trio", NULL);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
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
    if (task == Py_None)
        Py_DECREF(task);
    else
        alarms->task = task;
    return 0;
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
    return cancelled_error != NULL && PyErr_ExceptionMatches(cancelled_error);
}

void
hf_raise_cancelled(void)
{
    PyErr_SetNone(cancelled_error);
}
