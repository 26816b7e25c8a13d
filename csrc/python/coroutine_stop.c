/*
 * StopIteration, a generator's way to return a value: how a GuardedCoroutine hands over its result where
 * it is not asked by am_send.
 *
 * From 3.12 on that is at every `await`: the interpreter asks only its own types by am_send. It takes
 * the value out of the exception and drops it at once, so one exception serves them all, for half the
 * price. It is emptied when the awaitable dies: a result is not kept alive by having been handed over.
 * Code that calls next() by hand may catch it; then it is replaced when the next result is handed over.
 * Without the GIL each thread has its own: one that many share would be taken by two of them.
 */
#include "coroutine.h"

/* Raise a StopIteration made for this value. */
static void
raise_stop(PyObject *value)
{
    if (value == Py_None) {
        PyErr_SetNone(PyExc_StopIteration);
        return;
    }
    PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, value);
    if (stop != NULL)
        hf_give_exception(stop);
}

/* What a method answers that made a step. */
PyObject *
hf_stop_answer(PySendResult made, PyObject *answer)
{
    if (made != PYGEN_RETURN)
        return answer;
    raise_stop(answer);
    Py_DECREF(answer);
    return NULL;
}

#if PY_VERSION_HEX >= 0x030C0000

/* Raise the spare one with this value, which is stolen. */
static void
raise_spare(PyObject *value)
{
    hf_free_lists *lists = HF_FREE_LISTS_HERE;
    PyStopIterationObject *stop = lists != NULL ? lists->spare_stop : NULL;
    if (stop != NULL && Py_REFCNT(stop) == 1 && stop->traceback == NULL) {
        lists->spare_stop = NULL;
    } else {
        stop = (PyStopIterationObject *)PyObject_CallNoArgs(PyExc_StopIteration);
        if (stop == NULL) {
            Py_DECREF(value);
            return;
        }
    }
    Py_XSETREF(stop->value, value);
    if (lists != NULL)
        Py_XSETREF(lists->spare_stop, (PyStopIterationObject *)Py_NewRef((PyObject *)stop));
    PyErr_SetRaisedException((PyObject *)stop);
}

#else

static void
raise_spare(PyObject *value)
{
    raise_stop(value);
    Py_DECREF(value);
}

#endif

/* What tp_iternext answers: for None no exception is needed. */
PyObject *
hf_stop_next(PySendResult made, PyObject *answer)
{
    if (made != PYGEN_RETURN)
        return answer;
    if (answer == Py_None)
        Py_DECREF(answer);
    else
        raise_spare(answer);
    return NULL;
}

/* The value of the StopIteration that is set; consumes it. NULL: another exception stays set. */
PyObject *
hf_stop_value(void)
{
    if (!PyErr_ExceptionMatches(PyExc_StopIteration))
        return NULL;
    PyObject *stop = hf_take_exception();
    PyObject *value = PyObject_GetAttrString(stop, "value");
    Py_DECREF(stop);
    return value;
}

/* A StopIteration that is raised, not returned, would be taken for a return: as in any coroutine. */
void
hf_stop_mend(void)
{
    if (!PyErr_ExceptionMatches(PyExc_StopIteration))
        return;
    PyObject *stop = hf_take_exception();
    PyErr_SetString(PyExc_RuntimeError, "coroutine raised StopIteration");
    PyObject *error = hf_take_exception();
    PyException_SetCause(error, Py_NewRef(stop));
    PyException_SetContext(error, stop);
    hf_give_exception(error);
}
