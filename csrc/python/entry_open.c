/*
 * Entries without an owner: made by ExitStack or by hand, where no object of the interpreter's stands for
 * them. They belong to their policy. An exit that has no entry of its own takes the newest that was made by
 * the same task or, outside of tasks, in the same context; where there is none, as in another thread, the
 * oldest of whoever has had some open for longest.
 */
#include "steps.h"

/*
 * gate->open: an ordered dictionary {address of who has made them: [where the oldest is, their passes as bytes,
 * the newest last]}; NULL: none so far. Taking the newest or the oldest costs the same, however many there are:
 * the oldest leaves a gap, and the gaps are closed once they are as many as the passes. The collector does not
 * see the dictionary, or it would empty it before they are given back.
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

/* False: no memory; that is set. Making a list may collect what enters here too. */
static bool
add(GateObject *gate, PyObject *whose, const hf_pass *pass)
{
    size_t size = offsetof(hf_pass, hold) + (size_t)pass->entered * sizeof *pass->hold;
    PyObject *kept = PyBytes_FromStringAndSize((const char *)pass, (Py_ssize_t)size);
    PyObject *first = kept != NULL ? Py_BuildValue("[iO]", 1, kept) : NULL;
    PyObject *none = gate->open == NULL ? PyODict_New() : NULL;
    if (gate->open == NULL)
        gate->open = Py_XNewRef(none);
    bool added = false;
    if (first != NULL && whose != NULL && gate->open != NULL) {
        PyObject *passes = PyDict_GetItemWithError(gate->open, whose);
        added = (passes != NULL ? PyList_Append(passes, kept)
                                : PyODict_SetItem(gate->open, whose, first)) == 0;
    }
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

/* Whoever has had some open for longest, or NULL. */
static PyObject *
first_of_all(PyObject *open)
{
    PyObject *all = PyObject_GetIter(open), *first = all != NULL ? PyIter_Next(all) : NULL;
    Py_XDECREF(all);
    return first;
}

/* Have the passes begin at `oldest`, after a gap. Without memory the one before it leaves no gap. -1: it cannot. */
static int
skip_to(PyObject *passes, Py_ssize_t oldest)
{
    bool half = oldest > PyList_GET_SIZE(passes) - oldest;
    PyObject *at = PyLong_FromSsize_t(half ? 1 : oldest);
    if (at != NULL && (!half || PyList_SetSlice(passes, 1, oldest, NULL) == 0))
        return PyList_SetItem(passes, 0, at);
    Py_XDECREF(at);
    PyErr_Clear();
    return PyList_SetSlice(passes, oldest - 1, oldest, NULL);
}

/* The newest or the oldest of these passes. True: it was the last. */
static bool
take_from(PyObject *passes, bool newest, hf_pass *pass)
{
    Py_ssize_t oldest = PyLong_AsSsize_t(PyList_GET_ITEM(passes, 0)), n = PyList_GET_SIZE(passes);
    Py_ssize_t at = newest ? n - 1 : oldest;
    PyObject *kept = PyList_GET_ITEM(passes, at);
    memcpy(pass, PyBytes_AS_STRING(kept), (size_t)PyBytes_GET_SIZE(kept));
    bool is_last = n - oldest == 1;
    if (!is_last && (newest ? PyList_SetSlice(passes, at, n, NULL) : skip_to(passes, at + 1)) < 0)
        PyErr_Clear();
    return is_last;
}

/* The newest that was made by that one, or else the oldest of the first. False: there is none. */
static bool
take(GateObject *gate, PyObject *whose, hf_pass *pass)
{
    if (gate->open == NULL)
        return false;
    PyObject *own = whose != NULL ? PyDict_GetItemWithError(gate->open, whose) : NULL;
    PyObject *who = own != NULL ? Py_NewRef(whose) : first_of_all(gate->open);
    PyObject *passes = who != NULL ? PyDict_GetItemWithError(gate->open, who) : NULL;
    if (passes != NULL && take_from(passes, own != NULL, pass))
        PyODict_DelItem(gate->open, who);
    Py_XDECREF(who);
    PyErr_Clear();
    return passes != NULL;
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

/* ---- for a block that is tried again ---- */

/*
 * Nothing ran inside: what was granted is given back. But waiting takes time too: a timeout is left where the
 * exception that is set is no refusal.
 */
static void
leave_unrun(GateObject *gate, hf_pass *pass)
{
    bool refused = PyErr_ExceptionMatches(hf_rejected_type);
    for (int at = pass->entered - 1; at >= 0; at--) {
        GateObject *step = gate->steps[at];
        if (step->kind == HF_KIND_TIMEOUT && !refused)
            hf_step_leave(step, pass, &pass->hold[at], NULL, HF_UNJUDGED, HF_NOTHING_HELD);
        else
            hf_step_undo(step, pass, &pass->hold[at]);
    }
}

/*
 * _leave_entry(error, result, returned, ran): the block has raised `error`, or has found `result`, or came to
 * its end. An exception that is raised is another one than `error`, which the block raises itself. Returns
 * whether a step has judged the result a failure.
 */
PyObject *
hf_gate_leave_entry(PyObject *op, PyObject *args)
{
    GateObject *self = (GateObject *)op;
    PyObject *error, *result;
    int returned, ran;
    hf_pass pass;
    if (!PyArg_ParseTuple(args, "OOpp:_leave_entry", &error, &result, &returned, &ran))
        return NULL;
    if (error != Py_None && !PyExceptionInstance_Check(error)) {
        PyErr_SetString(PyExc_TypeError, "a block raises an exception, or none");
        return NULL;
    }
    if (!hf_entry_take_open(self, &pass))
        Py_RETURN_FALSE; /* of the process that forked, or given back already */
    if (error == Py_None && returned) {
        PyObject *left = hf_gate_leave(self, &pass, Py_NewRef(result));
        Py_XDECREF(left);
        return left == NULL ? NULL : PyBool_FromLong(hf_result_failed(self, &pass));
    }
    if (error == Py_None)
        return hf_gate_settle(self, &pass, HF_SUCCESS) < 0 ? NULL : Py_NewRef(Py_False);
    if (ran)
        return hf_gate_settle_raised(self, &pass, error) < 0 ? NULL : Py_NewRef(Py_False);
    hf_give_exception(Py_NewRef(error));
    leave_unrun(self, &pass);
    PyObject *after = hf_take_exception();
    if (after != error) {
        hf_give_exception(after);
        return NULL;
    }
    Py_DECREF(after);
    Py_RETURN_FALSE;
}
