/*
 * The deadline that holds where somebody asks: of the calls its thread is in, and of the `with` blocks
 * that its task or thread has open.
 */
#include "control.h"

_Thread_local hf_deadline hf_deadline_here;
hf_au64 hf_open_blocks;
static PyObject
    *blocks_here; /* callable: (policy, ns) of each block that is open where it is called */

/* Nanoseconds left, on its own clock; INT64_MAX if there is none. */
int64_t
hf_deadline_left_ns(const hf_deadline *deadline)
{
    if (deadline->step == NULL)
        return INT64_MAX;
    return hf_ns_sub(deadline->ns, hf_clock_now_ns(deadline->step->clock));
}

/* When it is on another clock, which shows now_ns; INT64_MAX if there is none. */
int64_t
hf_deadline_on(const hf_deadline *deadline, const hf_clock *clock, int64_t now_ns)
{
    if (deadline->step == NULL)
        return INT64_MAX;
    if (deadline->step->clock == clock)
        return deadline->ns;
    return hf_ns_add(now_ns, hf_deadline_left_ns(deadline));
}

/* Of the blocks that are open here the one that ends first, if it does before `deadline`. */
static int
shorten(hf_deadline *deadline, PyObject *blocks)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(blocks); i++) {
        PyObject *block = PyTuple_GET_ITEM(blocks, i), *step;
        long long ns;
        if (!PyArg_ParseTuple(block, "O!L", hf_gate_type, &step, &ns))
            return -1;
        hf_deadline its = {(GateObject *)step, ns};
        if (hf_deadline_left_ns(&its) < hf_deadline_left_ns(deadline))
            *deadline = its;
    }
    return 0;
}

/* The deadline in force. -1: what looks for open blocks was interrupted; that exception is set. */
int
hf_deadline_in_force(hf_deadline *deadline)
{
    *deadline = hf_deadline_here;
    if (deadline->step != NULL && hf_deadline_is_foreign())
        *deadline = (hf_deadline){NULL, 0};
    if (hf_load_relaxed(&hf_open_blocks) == 0 || blocks_here == NULL)
        return 0;
    PyObject *blocks = PyObject_CallNoArgs(blocks_here);
    if (blocks == NULL)
        return -1;
    int answer = shorten(deadline, blocks);
    Py_DECREF(blocks); /* whose policies are held by the blocks */
    return answer;
}

/* Raise what says that the time this policy allows is over. */
void
hf_raise_exceeded(GateObject *step)
{
    PyObject *error = PyObject_CallMethod((PyObject *)step, "_exceeded", NULL);
    if (error != NULL)
        hf_give_exception(error);
}

/* ---- what Python asks ---- */

static PyObject *
deadline(PyObject *module, PyObject *ignored)
{
    hf_deadline here;
    (void)module;
    (void)ignored;
    if (hf_deadline_in_force(&here) < 0)
        return NULL;
    if (here.step == NULL)
        Py_RETURN_NONE;
    int64_t left_ns = hf_deadline_left_ns(&here);
    return PyFloat_FromDouble(left_ns > 0 ? (double)left_ns / 1e9 : 0.0);
}

static PyObject *
check_deadline(PyObject *module, PyObject *ignored)
{
    hf_deadline here;
    (void)module;
    (void)ignored;
    if (hf_deadline_in_force(&here) < 0)
        return NULL;
    if (hf_deadline_left_ns(&here) > 0)
        Py_RETURN_NONE;
    hf_raise_exceeded(here.step);
    return NULL;
}

/* _deadline_left_ns(): nanoseconds, perhaps fewer than none; None without a deadline. */
static PyObject *
deadline_left_ns(PyObject *module, PyObject *ignored)
{
    hf_deadline here;
    (void)module;
    (void)ignored;
    if (hf_deadline_in_force(&here) < 0)
        return NULL;
    if (here.step == NULL)
        Py_RETURN_NONE;
    return PyLong_FromLongLong(hf_deadline_left_ns(&here));
}

/* _deadline_here(): (policy, ns on its clock) for _under_deadline() in another thread, or None. */
static PyObject *
deadline_here(PyObject *module, PyObject *ignored)
{
    hf_deadline here;
    (void)module;
    (void)ignored;
    if (hf_deadline_in_force(&here) < 0)
        return NULL;
    if (here.step == NULL)
        Py_RETURN_NONE;
    return Py_BuildValue("OL", (PyObject *)here.step, (long long)here.ns);
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
    hf_deadline before = hf_deadline_here;
    hf_deadline_here =
        (hf_deadline){(GateObject *)step, ns}; /* held by `here`, which is an argument */
    PyObject *result = PyObject_CallNoArgs(fn);
    hf_deadline_here = before;
    return result;
}

/* _install_blocks(callable): who knows the open blocks. */
static PyObject *
install_blocks(PyObject *module, PyObject *callable)
{
    (void)module;
    Py_XSETREF(blocks_here, Py_NewRef(callable));
    Py_RETURN_NONE;
}

/* _count_blocks(n): so many are open. */
static PyObject *
count_blocks(PyObject *module, PyObject *n)
{
    unsigned long long open = PyLong_AsUnsignedLongLong(n);
    (void)module;
    if (open == (unsigned long long)-1 && PyErr_Occurred())
        return NULL;
    hf_store_relaxed(&hf_open_blocks, open);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"deadline", deadline, METH_NOARGS,
     "deadline($module, /)\n--\n\n"
     "Return the seconds left of the innermost enclosing Timeout, or None outside of any.\n\n"
     "Deadlines only shrink: within several it is the one that is over first. 0.0 once it is.\n"
     "Safe to call from any thread and task; each has its own. A task made by create_task() does not\n"
     "inherit it.\n\n"
     ">>> import holdfast as hf\n"
     ">>> hf.deadline() is None\n"
     "True\n"
     ">>> 0 < hf.Timeout(30).call(hf.deadline) <= 30\n"
     "True\n"},
    {"check_deadline", check_deadline, METH_NOARGS,
     "check_deadline($module, /)\n--\n\n"
     "Raise if the time of the innermost enclosing Timeout is over; for loops in synchronous code.\n\n"
     "Raises:\n    DeadlineExceededError: It is over.\n\n"
     "Safe to call from any thread and task; each has its own deadline.\n\n"
     ">>> import holdfast as hf\n"
     ">>> hf.Timeout(30).call(hf.check_deadline)\n"},
    {"_deadline_left_ns", deadline_left_ns, METH_NOARGS, NULL},
    {"_deadline_here", deadline_here, METH_NOARGS, NULL},
    {"_under_deadline", under_deadline, METH_VARARGS, NULL},
    {"_install_blocks", install_blocks, METH_O, NULL},
    {"_count_blocks", count_blocks, METH_O, NULL},
    {NULL},
};

int
hf_deadline_ready(PyObject *module)
{
    hf_store_relaxed(&hf_open_blocks, 0);
    return PyModule_AddFunctions(module, functions);
}
