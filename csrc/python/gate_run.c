/*
 * A controlled call in a thread: entered, run and unwound, as often as a retry asks for it.
 */
#include "steps.h"

#include <alloca.h>

/* ---- in, and out again ---- */

/*
 * Enter the steps that are not entered, waiting where it must be. -1: the exception that keeps it out, or
 * course->late says that it is put off.
 */
static int
enter(GateObject *gate, hf_pass *pass, const hf_invocation *what)
{
    hf_refusal why;
    hf_course *course = pass->course;
    bool puts_off = what->puts_off && course->attempts == 0;
    course->refused = false;
    switch (puts_off ? hf_gate_enter_steps(gate, pass, &why)
                     : hf_gate_enter_steps_waiting(gate, pass, &why)) {
    case HF_IN:
        return 0;
    case HF_REFUSED:
        hf_refuse(&why);
        course->refused = true;
        break;
    case HF_BROKEN:
    case HF_FAILED:
        break;
    case HF_MUST_WAIT:
        if (puts_off) {
            hf_step_put_off(gate, pass);
            course->late = HF_PUT_OFF;
        } else if (hf_step_acts_as_call(gate->steps[pass->entered])) {
            course->attempts++;
            course->ran_here = true;
        } else {
            course->refused = PyErr_ExceptionMatches(hf_rejected_type);
        }
    }
    return -1;
}

/* The pause before a retry. True: over; false: the exception that ended it is set. */
static bool
pause_here(GateObject *gate, hf_pass *pass)
{
    PyObject *step = (PyObject *)gate->steps[pass->entered - 1];
    PyObject *answer = PyObject_CallMethod(step, "_sleep", "L", (long long)pass->course->pause_ns);
    Py_XDECREF(answer);
    hf_pause_ended(gate, pass, answer == NULL);
    return answer != NULL;
}

/* A fallback's result in a thread: a coroutine cannot be one. */
static PyObject *
stand_in_here(GateObject *step, PyObject *exception)
{
    PyObject *result = hf_stand_in(step, exception);
    if (result == NULL || !hf_is_coroutine(result) || !step->stands_by_call)
        return result;
    PyObject *closed = PyObject_CallMethod(result, "close", NULL);
    if (closed != NULL)
        PyErr_Format(PyExc_TypeError,
                     "the fallback %R returned a coroutine; only an asynchronous call can await it",
                     step->stand_in);
    Py_XDECREF(closed);
    Py_DECREF(result);
    return NULL;
}

/* Unwind until the call is left or to be entered again, which is told by the answer. */
static hf_unwinding
unwind(GateObject *gate, hf_pass *pass, PyObject **result)
{
    for (;;) {
        hf_unwinding how = hf_gate_unwind(gate, pass, result);
        if (how == HF_UNWOUND)
            return how;
        if (how == HF_AGAIN) {
            hf_pause_ended(gate, pass, false);
            return how;
        }
        if (how == HF_PAUSE) {
            if (pause_here(gate, pass))
                return HF_AGAIN;
            continue;
        }
        GateObject *step = gate->steps[pass->entered];
        PyObject *exception = hf_take_exception();
        *result = stand_in_here(step, exception);
        hf_stood_in(step, pass, exception, *result == NULL);
    }
}

/*
 * Have the innermost step entered run the rest of the gate and the function in a thread. What goes on
 * there is added to the course's works. After them, None says that the rest has refused, and the function
 * was not called; False, that a step of the rest has judged the result a failure.
 */
static PyObject *
run_in_thread(GateObject *gate, hf_course *course, const hf_invocation *what, bool *refused)
{
    PyObject *tuple, *dict, *rest = Py_None;
    if (gate->kind != HF_KIND_HEDGE && gate->rest != NULL) /* of a hedge it is its `on` */
        rest = gate->rest;
    if (course->works == NULL && (course->works = PyList_New(0)) == NULL)
        return NULL;
    if (hf_pack_call_for_python(what->args, what->nargsf, what->kwnames, &tuple, &dict) < 0)
        return NULL;
    PyObject *result =
        PyObject_CallMethod((PyObject *)gate->steps[gate->threaded_at], "_run_in_thread", "OONNO",
                            rest, what->fn, tuple, dict, course->works);
    Py_ssize_t last = PyList_GET_SIZE(course->works) - 1;
    PyObject *end = last >= 0 ? PyList_GET_ITEM(course->works, last) : NULL;
    *refused = end == Py_None;
    course->failed_inside = end == Py_False;
    if (*refused || course->failed_inside) {
        PyObject *raised = hf_take_exception();
        PyList_SetSlice(course->works, last, last + 1, NULL);
        hf_give_exception(raised);
    }
    return result;
}

/* The function, or what is between it and the steps that are entered. */
static PyObject *
run_here(GateObject *gate, hf_course *course, const hf_invocation *what)
{
    bool refused = false;
    course->attempts++;
    course->ran_here = true;
    if (!course->threaded)
        return hf_invoke(what->fn, what->args, what->nargsf, what->kwnames);
    PyObject *result = run_in_thread(gate, course, what, &refused);
    if (refused) {
        course->attempts--;
        course->ran_here = false;
        course->refused = true;
    }
    return result;
}

/*
 * What the function gives may be awaited in an event loop that runs here; and a thread of the hedge that waits
 * for another of its threads may wait forever. -1: an exception is set.
 */
static int
hedge_here(GateObject *step, hf_course *course)
{
    course->threaded = false;
    if (hf_loop_runs_here())
        return 0;
    PyObject *is_worker = PyObject_CallMethod((PyObject *)step, "_works_here", NULL);
    if (is_worker == NULL)
        return -1;
    course->threaded = is_worker == Py_False;
    Py_DECREF(is_worker);
    return 0;
}

/*
 * Run a call through the gate. Of a result that is to run yet (course->late) nothing of the gate is held:
 * the call was as if it had never been asked for.
 *
 * With `keep`, what admits stays held when it succeeds, for a permit: pass->entered tells.
 */
PyObject *
hf_gate_run(GateObject *gate, hf_pass *pass, hf_course *course, const hf_invocation *what,
            bool keep)
{
    PyObject *result = NULL;
    hf_unwinding how = HF_AGAIN;
    if (hf_course_begin(course, pass, false) < 0)
        return NULL;
    course->keeps = keep;
    course->threaded = gate->threaded_at >= 0 && !keep; /* a stream goes on where it is begun */
    if (course->threaded && gate->steps[gate->threaded_at]->kind == HF_KIND_HEDGE &&
        hedge_here(gate->steps[gate->threaded_at], course) < 0) {
        hf_course_end(course);
        pass->course = NULL;
        return NULL;
    }
    while (how == HF_AGAIN) {
        if (enter(gate, pass, what) == 0) {
            result = run_here(gate, course, what);
            if (!keep && (course->late = (uint8_t)hf_late_result(result)) != HF_NOT_LATE) {
                if (hf_gate_undo(gate, pass) < 0)
                    Py_CLEAR(result);
                break;
            }
            if (keep && result != NULL && hf_gate_keep(gate, pass))
                break;
        } else if (course->late == HF_PUT_OFF) {
            hf_gate_undo(gate, pass);
            break;
        }
        how = unwind(gate, pass, &result);
    }
    hf_course_end(course);
    pass->course = NULL;
    if (course->late != HF_PUT_OFF) /* which is told by nothing else */
        hf_assert_answer(result);
    return result;
}

/*
 * Hold the arguments of what may be called again. Whoever calls an iterator's callable lets go of them, and
 * of the array they stand in, when the iterator is exhausted meanwhile. -1: no memory.
 */
int
hf_keep_call_slowly(hf_kept_call *kept, hf_invocation *what)
{
    Py_ssize_t n = PyVectorcall_NARGS(what->nargsf);
    n += what->kwnames != NULL ? PyTuple_GET_SIZE(what->kwnames) : 0;
    if (n == 0)
        return 0;
    PyObject **items = kept->few;
    if (n > HF_FEW_ARGUMENTS && (items = PyMem_New(PyObject *, (size_t)n + 1)) == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    items[0] = NULL;
    for (Py_ssize_t i = 0; i < n; i++)
        items[i + 1] = Py_NewRef(what->args[i]);
    kept->items = items;
    kept->n = n;
    kept->kwnames = Py_XNewRef(what->kwnames);
    what->args = items + 1;
    return 0;
}

void
hf_let_go_of_call_slowly(hf_kept_call *kept)
{
    for (Py_ssize_t i = 0; i < kept->n; i++)
        Py_DECREF(kept->items[i + 1]);
    Py_XDECREF(kept->kwnames);
    if (kept->items != kept->few)
        PyMem_Free(kept->items);
}

/*
 * A call that is neither counted nor kept. Calls within calls may be many, and each takes more of the
 * stack than others do: so it holds no more than its gate has steps, and counts twice.
 */
PyObject *
hf_gate_run_call(GateObject *gate, PyObject *fn, PyObject *const *args, size_t nargsf,
                 PyObject *kwnames, bool puts_off, hf_late *late)
{
    hf_course course;
    hf_invocation what = {fn, args, nargsf, kwnames, puts_off};
    hf_kept_call kept;
    *late = HF_NOT_LATE;
    if (hf_keep_call(gate, &kept, &what) < 0)
        return NULL;
    PyObject *result = NULL;
    if (Py_EnterRecursiveCall(" while calling a guarded function") == 0) {
        hf_pass *pass =
            alloca(offsetof(hf_pass, hold) + (size_t)(gate->n_all + 1) * sizeof *pass->hold);
        result = hf_gate_run(gate, pass, &course, &what, false);
        *late =
            course.late == HF_NOT_LATE && course.stand_ins > 0 ? HF_STOOD_IN : (hf_late)course.late;
        Py_LeaveRecursiveCall();
    }
    hf_let_go_of_call(&kept);
    return result;
}
