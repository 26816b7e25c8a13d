/*
 * Calls through a gate: call, try_call, their asynchronous twins, and permits.
 */
#include "control.h"

static int
need_callable(const char *method, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs >= 1 && PyCallable_Check(args[0]))
        return 0;
    if (nargs < 1)
        PyErr_Format(PyExc_TypeError, "%s() needs the function to call", method);
    else
        PyErr_Format(PyExc_TypeError, "%s() needs a callable, not %.100s%s", method,
                     Py_TYPE(args[0])->tp_name, hf_callable_meant(args[0]));
    return -1;
}

/* What call and try_call cannot see the end of. Always NULL, with an exception. */
static PyObject *
refuse_kind(GateObject *self, const char *method, PyObject *fn, hf_callable kind)
{
    return kind == HF_CALL_BROKEN ? NULL
                                  : PyObject_CallMethod((PyObject *)self, "_refuse_kind", "siO",
                                                        method, (int)kind, fn);
}

/* No PY_VECTORCALL_ARGUMENTS_OFFSET: what lies before these arguments may be a tuple of the caller's. */
static inline PyObject *
run(PyObject *fn, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return PyObject_Vectorcall(fn, args + 1, (size_t)(nargs - 1), kwnames);
}

/* What call() got from a plain function is to run yet: it is guarded, or refused where only acall() could. */
static PyObject *Py_NO_INLINE
hand_over_late(GateObject *self, const char *method, hf_pass *pass, hf_late late, PyObject *result,
               PyObject *fn, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (self->calls_coroutines || hf_late_is_for_call(late, result))
        return hf_late_guarded(self, pass, late, result, fn, args + 1, (size_t)(nargs - 1),
                               kwnames);
    return hf_late_refuse(self, pass, late, result, method, fn);
}

static inline PyObject *
call(GateObject *self, const char *method, PyObject *fn, PyObject *const *args, Py_ssize_t nargs,
     PyObject *kwnames)
{
    hf_pass pass;
    hf_callable kind = hf_callable_kind(fn);
    bool awaits = kind == HF_CALL_COROUTINE && self->calls_coroutines;
    if (!awaits && (kind == HF_CALL_COROUTINE || kind == HF_CALL_BROKEN))
        return refuse_kind(self, method, fn, kind);
    if (kind != HF_CALL_PLAIN) {
        if (hf_need_made(self) < 0 || hf_need_no_hedge(self) < 0)
            return NULL;
        PyObject *inner = run(fn, args, nargs, kwnames);
        if (awaits)
            return inner == NULL ? NULL : hf_coroutine_of(self, inner);
        const char *drive = kind == HF_CALL_GENERATOR ? "_generator" : "_async_generator";
        return inner == NULL
                   ? NULL
                   : hf_gate_stream(self, drive, inner, fn, args + 1, (size_t)(nargs - 1), kwnames);
    }
    PyObject *result;
    hf_late late;
    hf_pass_init(&pass);
    if (self->controls) {
        result = hf_gate_run_call(self, fn, args + 1, (size_t)(nargs - 1), kwnames, false, &late);
    } else if (hf_gate_enter_blocking(self, &pass) < 0) {
        return NULL;
    } else {
        result = run(fn, args, nargs, kwnames);
        late = hf_late_result(result);
    }
    if (result != NULL && late != HF_NOT_LATE && late != HF_STOOD_IN)
        return hand_over_late(self, method, &pass, late, result, fn, args, nargs, kwnames);
    return self->controls || hf_gate_leave_lone(self, &pass, result)
               ? result
               : hf_gate_leave(self, &pass, result);
}

typedef PyObject *(*caller)(GateObject *self, const char *method, PyObject *fn,
                            PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);

/*
 * A policy and the function are held while the call runs: not all who call a method hold it and its
 * arguments. What calls an iterator's callable lets go of both when the iterator is exhausted meanwhile.
 */
static inline PyObject *Py_ALWAYS_INLINE
held(const char *method, caller caller, PyObject *op, PyObject *const *args, Py_ssize_t nargs,
     PyObject *kwnames)
{
    if (need_callable(method, args, nargs) < 0)
        return NULL;
    PyObject *fn = Py_NewRef(args[0]);
    Py_INCREF(op);
    PyObject *result = caller((GateObject *)op, method, fn, args, nargs, kwnames);
    Py_DECREF(op);
    Py_DECREF(fn);
    return result;
}

PyObject *
hf_gate_call(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return held("call", call, op, args, nargs, kwnames);
}

/* For a caller that holds the gate; `method` is what the user has called. */
PyObject *
hf_held_gate_call(GateObject *gate, const char *method, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames)
{
    if (need_callable(method, args, nargs) < 0)
        return NULL;
    PyObject *fn = Py_NewRef(args[0]);
    PyObject *result = call(gate, method, fn, args, nargs, kwnames);
    Py_DECREF(fn);
    return result;
}

/* A controlled call as an outcome, and what it took. A result that is to run yet is none. */
static PyObject *
run_for_outcome(GateObject *self, hf_course *course, const char *method, PyObject *fn,
                PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    hf_pass pass;
    hf_invocation what = {fn, args + 1, (size_t)(nargs - 1), kwnames, false};
    hf_kept_call kept;
    if (hf_keep_call(self, &kept, &what) < 0)
        return NULL;
    PyObject *result = hf_gate_run(self, &pass, course, &what, false);
    hf_let_go_of_call(&kept);
    if (result != NULL && course->late != HF_NOT_LATE)
        return hf_late_refuse(self, NULL, (hf_late)course->late, result, method, fn);
    return result != NULL ? hf_outcome_value(result) : hf_outcome_raised(course->refused);
}

static inline PyObject *
try_call(GateObject *self, const char *method, PyObject *fn, PyObject *const *args,
         Py_ssize_t nargs, PyObject *kwnames)
{
    hf_pass pass;
    hf_refusal why;
    hf_callable kind = hf_callable_kind(fn);
    if (kind != HF_CALL_PLAIN)
        return refuse_kind(self, method, fn, kind);
    if (self->controls) {
        hf_course course;
        return run_for_outcome(self, &course, method, fn, args, nargs, kwnames);
    }
    hf_pass_init(&pass);
    switch (hf_gate_enter_waiting(self, &pass, &why)) {
    case HF_IN:
        break;
    case HF_REFUSED:
        return hf_outcome_refused(&why);
    case HF_BROKEN:
        return NULL;
    case HF_MUST_WAIT:
        return hf_outcome_raised(true);
    case HF_FAILED:
        return hf_outcome_raised(false);
    }
    PyObject *result = run(fn, args, nargs, kwnames);
    hf_late late = hf_late_result(result);
    if (late != HF_NOT_LATE)
        return hf_late_refuse(self, &pass, late, result, method, fn);
    if (!hf_gate_leave_lone(self, &pass, result))
        result = hf_gate_leave(self, &pass, result);
    return result != NULL ? hf_outcome_value(result) : hf_outcome_raised(false);
}

PyObject *
hf_gate_try_call(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return held("try_call", try_call, op, args, nargs, kwnames);
}

static PyObject *
call_counted(GateObject *self, const char *method, PyObject *fn, PyObject *const *args,
             Py_ssize_t nargs, PyObject *kwnames)
{
    hf_course course;
    hf_callable kind = hf_callable_kind(fn);
    if (kind != HF_CALL_PLAIN)
        return refuse_kind(self, method, fn, kind);
    PyObject *outcome = run_for_outcome(self, &course, method, fn, args, nargs, kwnames);
    return outcome == NULL ? NULL : hf_course_counts(&course, outcome);
}

/* _call_counted(fn, …): (outcome, calls of fn, nanoseconds waited for retries, fallbacks used). */
PyObject *
hf_gate_call_counted(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return held("call_with_stats", call_counted, op, args, nargs, kwnames);
}

PyObject *
hf_gate_acall_counted(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (need_callable("acall_with_stats", args, nargs) < 0 || hf_need_made((GateObject *)op) < 0)
        return NULL;
    return hf_coroutine_call((GateObject *)op, HF_FOR_STATS, args, nargs, kwnames);
}

/* What fn() returns, and what goes with it: a permit that holds what has admitted it, if it is to be kept;
 * else whether a step has judged it a failure. */
static PyObject *
call_here(PyObject *op, PyObject *fn, bool keep)
{
    hf_pass pass;
    hf_course course;
    hf_invocation what = {fn, NULL, 0, NULL, false};
    Py_INCREF(fn);
    Py_INCREF(op);
    GateObject *gate = (GateObject *)op;
    PyObject *result = hf_gate_run(gate, &pass, &course, &what, keep);
    if (result != NULL && keep) {
        result = hf_permit_with(gate, &pass, result);
    } else if (result != NULL) {
        pass.course = &course;
        bool failed = course.late == HF_NOT_LATE && hf_result_failed(gate, &pass);
        result = Py_BuildValue("NO", result, failed ? Py_True : Py_False);
    }
    Py_DECREF(op);
    Py_DECREF(fn);
    return result;
}

/* _open(opener): (a permit that holds what admitted opener(), what that returned). */
PyObject *
hf_gate_open(PyObject *op, PyObject *opener)
{
    return hf_need_no_hedge((GateObject *)op) < 0 ? NULL : call_here(op, opener, true);
}

/* _call_within(fn): (what fn() returned, whether a step has judged it a failure), for a gate around this one. */
PyObject *
hf_gate_call_within(PyObject *op, PyObject *fn)
{
    return call_here(op, fn, false);
}

PyObject *
hf_gate_aopen(PyObject *op, PyObject *opener)
{
    return hf_need_no_hedge((GateObject *)op) < 0
               ? NULL
               : hf_coroutine_call((GateObject *)op, HF_FOR_STREAM, &opener, 1, NULL);
}

PyObject *
hf_gate_acall_as(GateObject *gate, const char *method, PyObject *const *args, Py_ssize_t nargs,
                 PyObject *kwnames)
{
    if (need_callable(method, args, nargs) < 0 || hf_need_made(gate) < 0)
        return NULL;
    return hf_coroutine_call(gate, HF_FOR_RESULT, args, nargs, kwnames);
}

PyObject *
hf_gate_acall(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return hf_gate_acall_as((GateObject *)op, "acall", args, nargs, kwnames);
}

PyObject *
hf_gate_try_acall(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (need_callable("try_acall", args, nargs) < 0 || hf_need_made((GateObject *)op) < 0)
        return NULL;
    return hf_coroutine_call((GateObject *)op, HF_FOR_OUTCOME, args, nargs, kwnames);
}

PyObject *
hf_gate_permit(PyObject *op, PyObject *ignored)
{
    GateObject *self = (GateObject *)op;
    hf_pass pass;
    PyObject *permit = NULL;
    (void)ignored;
    if (hf_need_no_rerun(self) < 0)
        return NULL;
    Py_INCREF(op); /* an iterator of its method may let go of it meanwhile */
    if (hf_gate_enter_block(self, &pass) == 0) {
        permit = hf_permit_new(self, &pass);
        if (permit == NULL)
            hf_gate_undo(self, &pass);
    }
    Py_DECREF(op);
    return permit;
}

PyObject *
hf_gate_apermit(PyObject *op, PyObject *ignored)
{
    (void)ignored;
    if (hf_need_no_rerun((GateObject *)op) < 0)
        return NULL;
    return hf_coroutine_enter((GateObject *)op, HF_FOR_PERMIT, NULL);
}
