/*
 * throw() and close() of a GuardedCoroutine: into what it drives, or where it stands.
 */
#include "coroutine.h"

/* Whether it may be raised; hf_coroutine_raise_thrown() says why not. */
static bool
can_be_raised(PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *type = args[0];
    if (nargs > 2 && args[2] != Py_None && !PyTraceBack_Check(args[2]))
        return false;
    return PyExceptionClass_Check(type) ||
           (PyExceptionInstance_Check(type) && (nargs < 2 || args[1] == Py_None));
}

static bool
can_throw(PyObject *op)
{
    return op != NULL && op != Py_None && PyObject_HasAttrString(op, "throw");
}

/* What is thrown into `at`, which is stolen, is handed on to something; else `at` looks at it first. */
static bool
hands_on(PyObject *at)
{
    while (at != NULL && Py_IS_TYPE(at, hf_coroutine_type)) {
        CoroutineObject *guarded = (CoroutineObject *)at;
        PyObject *inner =
            hf_coroutine_is_suspended(guarded) ? hf_coroutine_driven_by(guarded) : NULL;
        Py_SETREF(at, inner);
    }
    bool answer = can_throw(at);
    if (answer && (PyCoro_CheckExact(at) || PyGen_CheckExact(at))) {
        PyObject *awaited =
            PyObject_GetAttrString(at, PyCoro_CheckExact(at) ? "cr_await" : "gi_yieldfrom");
        answer = can_throw(awaited);
        Py_XDECREF(awaited);
        PyErr_Clear();
    }
    Py_XDECREF(at);
    return answer;
}

/*
 * What cannot be raised ends nothing where nobody is suspended on what it could be handed on to: that is
 * an error of the caller's, and the coroutine stays as it is.
 */
static bool
is_refused(CoroutineObject *self, PyObject *const *args, Py_ssize_t nargs)
{
#if PY_VERSION_HEX >= 0x030F0000 /* from there on that it runs or is over is told first */
    if (hf_coroutine_is_busy(self) || hf_phase_of(self) == PHASE_DONE)
        return false;
#endif
    if (can_be_raised(args, nargs) || hands_on(Py_NewRef((PyObject *)self)))
        return false;
    hf_coroutine_raise_thrown(args, nargs);
    return true;
}

static PyObject *
throw_one(CoroutineObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *answer = NULL;
    PySendResult made = PYGEN_ERROR;
    if (!hf_coroutine_begin_step(self))
        return NULL;
    if (hf_phase_of(self) != PHASE_CREATED) {
        made = hf_coroutine_step(self, NULL, args, nargs, &answer);
    } else { /* the call never begins, nothing was admitted */
        hf_set_phase(self, PHASE_DONE);
        hf_coroutine_close_unbegun(self);
        hf_coroutine_raise_thrown(args, nargs);
#if PY_VERSION_HEX >= 0x030C0000 /* from there on a StopIteration is let through */
        hf_coroutine_unclaim(self);
        return NULL;
#endif
    }
    return hf_stop_answer(hf_coroutine_end_step(self, made), answer);
}

PyObject *
hf_coroutine_throw(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    CoroutineObject *self = (CoroutineObject *)op;
    if (nargs < 1 || nargs > 3) {
        PyErr_SetString(PyExc_TypeError, "throw() takes one to three arguments");
        return NULL;
    }
#if PY_VERSION_HEX >= 0x030C0000
    if (nargs > 1 && PyErr_WarnEx(PyExc_DeprecationWarning,
                                  "the (type, exc, tb) signature of throw() is deprecated, use "
                                  "the single-arg signature instead.",
                                  1) < 0)
        return NULL;
#endif
    if (is_refused(self, args, nargs))
        return NULL;
    if (nargs == 1 || !can_be_raised(args, nargs))
        return throw_one(self, args, nargs);
    /* As one exception: what it is thrown into need not be told, nor warn, of three. */
    hf_coroutine_raise_thrown(args, nargs);
    PyObject *exception = hf_take_exception();
    PyObject *answer = throw_one(self, &exception, 1);
    Py_DECREF(exception);
    return answer;
}

/* What close() raises is raised once everything has come home. */
PyObject *
hf_coroutine_close(PyObject *op, PyObject *ignored)
{
    CoroutineObject *self = (CoroutineObject *)op;
    (void)ignored;
    if (hf_phase_of(self) == PHASE_DONE && !hf_coroutine_is_busy(self))
        Py_RETURN_NONE;
    if (!hf_coroutine_begin_step(self))
        return NULL;
    int was = (int)hf_phase_of(self), closed = 0;
    if (was == PHASE_WAITING)
        closed = hf_coroutine_close_it(self->waiting);
    else if (was == PHASE_RUNNING && PyObject_HasAttrString(self->inner, "close"))
        closed = hf_coroutine_close_it(self->inner);
    if (was != PHASE_RUNNING)
        hf_coroutine_close_unbegun(self);
    bool ran = was == PHASE_RUNNING || (was == PHASE_WAITING && self->controlled);
    int left = ran                    ? hf_gate_abandon(self->gate, &self->pass)
               : was == PHASE_WAITING ? hf_gate_abandon_unrun(self->gate, &self->pass)
                                      : 0;
    hf_coroutine_end_course(self);
    hf_set_phase(self, PHASE_DONE);
    hf_coroutine_unclaim(self);
    if (closed < 0 || left < 0)
        return NULL;
    Py_RETURN_NONE;
}
