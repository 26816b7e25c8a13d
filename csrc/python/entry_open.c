/*
 * Entries without an owner: made by ExitStack or by hand, where no object of the interpreter's stands for
 * them. They belong to their policy. An exit that has no entry of its own takes the newest that was made by
 * the same task or, outside of tasks, in the same context; where there is none, as in another thread, the
 * oldest of whoever has had some open for longest.
 */
#include "control.h"

/*
 * gate->open: {address of who has made them: [their passes as bytes, the newest last]}; NULL: none so far. The
 * collector does not see it, or it would empty it before they are given back.
 */

/* The address of the task that runs here, or else of the context. NULL: no memory; that is set. */
static PyObject *
who_is_here(void)
{
    PyObject *task = NULL;
    if (hf_task_here(&task) < 0)
        PyErr_Clear();
    Py_XDECREF(task); /* it runs: others hold it */
    const void *whose = task != NULL ? task : hf_context_here();
    PyErr_Clear(); /* without a context they are nobody's */
    return PyLong_FromVoidPtr((void *)whose);
}

/* False: no memory; that is set. A list is never empty, and making one may collect what enters here too. */
static bool
add(GateObject *gate, PyObject *whose, const hf_pass *pass)
{
    size_t size = offsetof(hf_pass, hold) + (size_t)pass->entered * sizeof *pass->hold;
    PyObject *kept = PyBytes_FromStringAndSize((const char *)pass, (Py_ssize_t)size);
    PyObject *first = kept != NULL ? Py_BuildValue("[O]", kept) : NULL;
    PyObject *none = gate->open == NULL ? PyDict_New() : NULL;
    if (gate->open == NULL)
        gate->open = Py_XNewRef(none);
    PyObject *passes = first != NULL && whose != NULL && gate->open != NULL
                           ? PyDict_SetDefault(gate->open, whose, first)
                           : NULL;
    bool added = passes != NULL && (passes == first || PyList_Append(passes, kept) == 0);
    Py_XDECREF(none);
    Py_XDECREF(first);
    Py_XDECREF(kept);
    return added;
}

void
hf_entry_leave_open(GateObject *gate, const hf_pass *pass)
{
    bool added;
    PyObject *whose = who_is_here();
    HF_BEGIN_EXCLUSIVE(gate);
    added = add(gate, whose, pass);
    HF_END_EXCLUSIVE();
    Py_XDECREF(whose);
    if (added)
        return;
    PyErr_Clear();
    hf_pass copy = *pass;
    hf_gate_drop(gate, &copy, true); /* no memory to remember it by: give it back now */
}

/* The newest that was made by that one, or else the oldest of the first. False: there is none. */
static bool
take(GateObject *gate, PyObject *whose, hf_pass *pass)
{
    if (gate->open == NULL)
        return false;
    Py_ssize_t at = 0;
    PyObject *passes = whose != NULL ? PyDict_GetItemWithError(gate->open, whose) : NULL;
    bool is_own = passes != NULL;
    if (!is_own && !PyDict_Next(gate->open, &at, &whose, &passes))
        return false;
    at = is_own ? PyList_GET_SIZE(passes) - 1 : 0;
    PyObject *kept = PyList_GET_ITEM(passes, at);
    memcpy(pass, PyBytes_AS_STRING(kept), (size_t)PyBytes_GET_SIZE(kept));
    if (PyList_SetSlice(passes, at, at + 1, NULL) < 0 ||
        (PyList_GET_SIZE(passes) == 0 && PyDict_DelItem(gate->open, whose) < 0))
        PyErr_Clear();
    return true;
}

/* Those of the process that forked are not this one's to leave. */
static bool
take_pass(GateObject *gate, PyObject *whose, hf_pass *pass)
{
    for (;;) {
        bool taken;
        HF_BEGIN_EXCLUSIVE(gate);
        taken = take(gate, whose, pass);
        HF_END_EXCLUSIVE();
        if (!taken || pass->fork_epoch == hf_fork_epoch)
            return taken;
        hf_gate_drop(gate, pass, true);
    }
}

bool
hf_entry_take_open(GateObject *gate, hf_pass *pass)
{
    PyObject *whose = gate->open != NULL ? who_is_here() : NULL;
    PyErr_Clear();
    bool taken = take_pass(gate, whose, pass);
    Py_XDECREF(whose);
    return taken;
}

/* The gate dies: so do the entries nobody closed. */
void
hf_entries_forget(GateObject *gate)
{
    hf_pass pass;
    PyObject *raised = gate->open != NULL ? hf_take_exception() : NULL;
    while (take_pass(gate, NULL, &pass))
        hf_gate_drop(gate, &pass, true);
    Py_CLEAR(gate->open);
    hf_give_exception(raised);
}
