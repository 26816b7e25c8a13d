/*
 * throw() and close() of a GuardedCoroutine: into what it drives, or where it stands.
 */
#include "coroutine.h"

/* Raise what throw() was given, as a coroutine that stands nowhere would. */
static void
raise_thrown(PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *type = args[0], *value = nargs > 1 && args[1] != Py_None ? args[1] : NULL;
    PyObject *traceback = nargs > 2 && args[2] != Py_None ? args[2] : NULL;
    if (traceback != NULL && !PyTraceBack_Check(traceback)) {
        PyErr_SetString(PyExc_TypeError, "throw() third argument must be a traceback object");
    } else if (PyExceptionInstance_Check(type) && value != NULL) {
        PyErr_SetString(PyExc_TypeError, "instance exception may not have a separate value");
    } else if (!PyExceptionInstance_Check(type) && !PyExceptionClass_Check(type)) {
        PyErr_Format(PyExc_TypeError,
                     "exceptions must be classes or instances deriving from BaseException, not %s",
                     Py_TYPE(type)->tp_name);
    } else {
        if (PyExceptionInstance_Check(type))
            PyErr_SetObject((PyObject *)Py_TYPE(type), type);
        else
            PyErr_SetObject(type, value);
        if (traceback != NULL) {
            PyObject *exception = hf_take_exception();
            PyException_SetTraceback(exception, traceback);
            hf_give_exception(exception);
        }
    }
}

/*
 * Throw into what is driven. What cannot be thrown into ends where it stands: then a StopIteration is
 * what was thrown, no result.
 */
PySendResult
hf_coroutine_throw_on(PyObject *target, PyObject *const *args, Py_ssize_t nargs, PyObject **answer)
{
    PyObject *method = PyObject_GetAttrString(target, "throw");
    if (method == NULL) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError))
            raise_thrown(args, nargs);
        return PYGEN_ERROR;
    }
    *answer = PyObject_Vectorcall(method, args, (size_t)nargs, NULL);
    Py_DECREF(method);
    if (*answer != NULL)
        return PYGEN_NEXT;
    *answer = hf_stop_value();
    return hf_sent(*answer);
}

static PySendResult
throw_uncontrolled(CoroutineObject *self, PyObject *const *args, Py_ssize_t nargs,
                   PyObject **answer)
{
    bool waiting = self->phase == PHASE_WAITING;
    PyObject *value = NULL;
    if (hf_coroutine_throw_on(waiting ? self->waiting : self->inner, args, nargs, &value) ==
        PYGEN_NEXT) {
        *answer = value;
        return PYGEN_NEXT;
    }
    if (!waiting)
        return hf_coroutine_finish(self, value, answer);
    if (value == NULL) {
        Py_CLEAR(self->waiting);
        return hf_coroutine_end_broken(self, answer);
    }
    Py_DECREF(value);
    PySendResult entered = hf_coroutine_enter_after_wait(self, answer);
    return entered != PYGEN_NEXT ? entered : hf_coroutine_step(self, Py_None, answer);
}

static PySendResult
throw_into(CoroutineObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject **answer)
{
    if (self->controlled)
        return hf_coroutine_run_thrown(self, args, nargs, answer);
    return throw_uncontrolled(self, args, nargs, answer);
}

/* throw() before the first step: the call never begins, nothing was admitted. */
static PySendResult
throw_unstarted(CoroutineObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    self->phase = PHASE_DONE;
    hf_coroutine_close_unbegun(self);
    raise_thrown(args, nargs);
    return PYGEN_ERROR;
}

PyObject *
hf_coroutine_throw(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    CoroutineObject *self = (CoroutineObject *)op;
    if (nargs < 1 || nargs > 3) {
        PyErr_SetString(PyExc_TypeError, "throw() takes one to three arguments");
        return NULL;
    }
    if (!hf_coroutine_begin_step(self))
        return NULL;
    PyObject *answer = NULL;
    PySendResult made = self->phase == PHASE_CREATED ? throw_unstarted(self, args, nargs)
                                                     : throw_into(self, args, nargs, &answer);
    return hf_stop_answer(hf_coroutine_end_step(self, made), answer);
}

/* What close() raises is raised once everything has come home. */
PyObject *
hf_coroutine_close(PyObject *op, PyObject *ignored)
{
    CoroutineObject *self = (CoroutineObject *)op;
    (void)ignored;
    if (self->phase == PHASE_DONE)
        Py_RETURN_NONE;
    if (!hf_coroutine_begin_step(self))
        return NULL;
    int was = self->phase, closed = 0;
    if (was == PHASE_WAITING)
        closed = hf_coroutine_close_it(self->waiting);
    else if (was == PHASE_RUNNING && PyObject_HasAttrString(self->inner, "close"))
        closed = hf_coroutine_close_it(self->inner);
    if (was != PHASE_RUNNING)
        hf_coroutine_close_unbegun(self);
    bool ran = was == PHASE_RUNNING || (was == PHASE_WAITING && self->controlled);
    int left = ran                    ? hf_gate_abandon(self->gate, &self->pass)
               : was == PHASE_WAITING ? hf_gate_undo(self->gate, &self->pass)
                                      : 0;
    hf_coroutine_end_course(self);
    self->phase = PHASE_DONE;
    self->busy = false;
    if (closed < 0 || left < 0)
        return NULL;
    Py_RETURN_NONE;
}
