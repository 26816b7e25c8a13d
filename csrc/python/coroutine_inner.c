/*
 * What a GuardedCoroutine drives: whatever was awaited or returned, begun as `await` would begin it, or
 * closed where it will not begin.
 */
#include "coroutine.h"

int
hf_coroutine_close_it(PyObject *op)
{
    PyObject *answer = PyObject_CallMethod(op, "close", NULL);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

/* The inner coroutine will not begin: it is not to complain that it was never awaited. */
void
hf_coroutine_close_unbegun(CoroutineObject *self)
{
    if (self->inner == NULL || self->purpose == HF_FOR_ENTRY)
        return;
    PyObject *raised = hf_take_exception();
    /* Of some other awaitable, close() may mean something else. */
    bool closes = hf_is_coroutine(self->inner) || (PyObject_HasAttrString(self->inner, "send") &&
                                                   PyObject_HasAttrString(self->inner, "close"));
    if (closes && hf_coroutine_close_it(self->inner) < 0)
        PyErr_WriteUnraisable(self->inner); /* what is raised instead of running it matters more */
    hf_give_exception(raised);
}

/* Turn self->inner, whatever was returned, into something that makes steps, as `await` does. */
static hf_begin
begin_awaitable(CoroutineObject *self)
{
    PyObject *made = self->inner;
    if (PyCoro_CheckExact(made) || hf_is_generator_coroutine(made))
        return HF_BEGUN;
    PyAsyncMethods *methods = Py_TYPE(made)->tp_as_async;
    if (methods == NULL || methods->am_await == NULL) {
        if (self->fn != NULL)
            PyErr_Format(PyExc_TypeError,
                         "acall() needs a function that returns an awaitable; %R returned %.100s: "
                         "use call()",
                         self->fn, Py_TYPE(made)->tp_name);
        else
            PyErr_Format(PyExc_TypeError, "object %.100s can't be used in 'await' expression",
                         Py_TYPE(made)->tp_name);
        return HF_MISUSED;
    }
    PyObject *iterator = methods->am_await(made);
    if (iterator == NULL)
        return HF_RAISED;
    hf_replace(self, &self->inner, iterator);
    if (PyIter_Check(iterator))
        return HF_BEGUN;
    PyErr_Format(PyExc_TypeError, "__await__() returned non-iterator of type '%.100s'",
                 Py_TYPE(iterator)->tp_name);
    return HF_MISUSED;
}

hf_begin
hf_coroutine_begin_inner(CoroutineObject *self)
{
    if (self->inner == NULL) {
        hf_replace(self, &self->inner, PyObject_Call(self->fn, self->args, self->kwargs));
        if (!self->gate->reruns) { /* it has them: they are to live no longer than it needs them */
            Py_CLEAR(self->args);
            Py_CLEAR(self->kwargs);
        }
        if (self->inner == NULL)
            return HF_RAISED;
    }
    return begin_awaitable(self);
}
