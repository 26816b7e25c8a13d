/*
 * What a GuardedCoroutine looks like to Python: as a coroutine.
 */
#include "coroutine.h"

#include <structmember.h>

/* What it was made to drive. */
static PyObject *
inside_of(CoroutineObject *self)
{
    return hf_coroutine_part(self, &self->inner);
}

/* Steals `source`, which is held while it is asked: it may answer by making a step, which lets go of it. */
static PyObject *
ask(PyObject *source, const char *name)
{
    PyObject *value = source != NULL ? PyObject_GetAttrString(source, name) : NULL;
    Py_XDECREF(source);
    return value;
}

/*
 * The last of the coroutines that drive each other, beginning with `op`; strong. They may be many, so
 * they are passed through here, not asked. NULL: they are a circle and have no last one. Each round of a
 * circle meets the mark, which is moved on after one step, two, four …
 */
static CoroutineObject *
last_of(PyObject *op, PyObject *(*next)(CoroutineObject *))
{
    PyObject *at = Py_NewRef(op), *mark = op, *inner;
    size_t steps = 0, most = 1;
    while ((inner = next((CoroutineObject *)at)) != NULL && Py_IS_TYPE(inner, hf_coroutine_type)) {
        Py_SETREF(at, inner);
        if (at == mark) {
            Py_DECREF(at);
            return NULL;
        }
        if (++steps == most) {
            mark = at;
            steps = 0;
            most *= 2;
        }
    }
    Py_XDECREF(inner);
    return (CoroutineObject *)at;
}

static PyObject *
forward(PyObject *op, void *closure)
{
    CoroutineObject *last = last_of(op, hf_coroutine_driven_by);
    PyObject *value = last != NULL ? ask(hf_coroutine_driven_by(last), closure) : NULL;
    Py_XDECREF((PyObject *)last);
    if (value != NULL || (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_AttributeError)))
        return value;
    PyErr_Clear();
    Py_RETURN_NONE;
}

static PyObject *
forward_name(PyObject *op, void *closure)
{
    CoroutineObject *last = last_of(op, inside_of);
    PyObject *source = last != NULL ? inside_of(last) : NULL, *value = NULL;
    if (last == NULL)
        last = (CoroutineObject *)Py_NewRef(op);
    for (int i = 0; i < 2 && value == NULL; i++) {
        value = ask(i == 0 ? source : hf_coroutine_part(last, &last->fn), closure);
        if (value == NULL && PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception))
            break;
        if (value == NULL)
            PyErr_Clear();
    }
    Py_DECREF((PyObject *)last);
    if (value == NULL && !PyErr_Occurred())
        return PyUnicode_FromString("guarded");
    return value;
}

static PyObject *
is_running(PyObject *op, void *closure)
{
    (void)closure;
    return PyBool_FromLong(hf_coroutine_is_busy((CoroutineObject *)op));
}

static PyObject *
is_suspended(PyObject *op, void *closure)
{
    (void)closure;
    return PyBool_FromLong(hf_coroutine_is_suspended((CoroutineObject *)op));
}

/* In the words of inspect.getcoroutinestate(), which asks for them from 3.15 on. */
static PyObject *
state(PyObject *op, void *closure)
{
    (void)closure;
    const CoroutineObject *self = (CoroutineObject *)op;
    return PyUnicode_FromString(hf_coroutine_is_busy(self)           ? "CORO_RUNNING"
                                : hf_phase_of(self) == PHASE_CREATED ? "CORO_CREATED"
                                : hf_phase_of(self) == PHASE_DONE    ? "CORO_CLOSED"
                                                                     : "CORO_SUSPENDED");
}

/* A second `await` of what one waits for would make steps that are the first one's. */
static PyObject *
coroutine_await(PyObject *op)
{
    if (hf_coroutine_is_suspended((CoroutineObject *)op)) {
        PyErr_SetString(PyExc_RuntimeError, "coroutine is being awaited already");
        return NULL;
    }
    return Py_NewRef(op);
}

/* __await__(): for Python code that makes the steps itself. */
static PyObject *
steps(PyObject *op, PyObject *ignored)
{
    (void)ignored;
    return PyObject_CallMethod((PyObject *)((CoroutineObject *)op)->gate, "_steps", "O", op);
}

static PyObject *
coroutine_repr(PyObject *op)
{
    PyObject *name = forward_name(op, "__qualname__");
    if (name == NULL)
        return NULL;
    PyObject *repr = PyUnicode_FromFormat("<guarded coroutine %S at %p>", name, op);
    Py_DECREF(name);
    return repr;
}

/*
 * A coroutine is no iterable: a `for` over one is an `await` that was forgotten. But `yield from` asks as
 * `for` does, and may have it in a generator that is itself a coroutine.
 */
static PyObject *
coroutine_iter(PyObject *op)
{
    PyFrameObject *frame = PyEval_GetFrame(); /* borrowed */
    PyCodeObject *code = frame != NULL ? PyFrame_GetCode(frame) : NULL;
    bool may = code != NULL && (code->co_flags & CO_ITERABLE_COROUTINE);
    Py_XDECREF((PyObject *)code);
    if (may)
        return Py_NewRef(op);
    PyErr_Format(PyExc_TypeError,
                 "'coroutine' object is not iterable: it is guarded by " HF_TITLE
                 ", and was not awaited",
                 HF_TITLE_OF(((CoroutineObject *)op)->gate));
    return NULL;
}

static PyMemberDef coroutine_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(CoroutineObject, weakrefs), READONLY, NULL},
    {NULL},
};

/* Some frameworks await only what inspect.iscoroutine() says yes to; this makes it say yes. */
static PyObject *
shown_class(PyObject *op, void *closure)
{
    (void)op, (void)closure;
    return Py_NewRef((PyObject *)&PyCoro_Type);
}

static PyGetSetDef coroutine_getset[] = {
    {"__class__", shown_class, NULL, NULL, NULL},
    {"cr_await", forward, NULL, NULL, "cr_await"},
    {"cr_code", forward, NULL, NULL, "cr_code"},
    {"cr_frame", forward, NULL, NULL, "cr_frame"},
    {"cr_origin", forward, NULL, NULL, "cr_origin"},
    {"cr_running", is_running, NULL, NULL, NULL},
    {"cr_state", state, NULL, NULL, NULL},
    {"cr_suspended", is_suspended, NULL, NULL, NULL},
    {"__name__", forward_name, NULL, NULL, "__name__"},
    {"__qualname__", forward_name, NULL, NULL, "__qualname__"},
    {NULL},
};

static PyMethodDef coroutine_methods[] = {
    {"send", hf_coroutine_send, METH_O, "send($self, value, /)\n--\n\nMake one step."},
    {"throw", (PyCFunction)(void (*)(void))hf_coroutine_throw, METH_FASTCALL,
     "throw($self, typ, val=None, tb=None, /)\n--\n\nRaise inside the call."},
    {"close", hf_coroutine_close, METH_NOARGS,
     "close($self, /)\n--\n\nEnd the call without a verdict."},
    {"__await__", steps, METH_NOARGS | METH_COEXIST,
     "__await__($self, /)\n--\n\nReturn an iterator that makes its steps."},
    {NULL},
};

static PyType_Slot coroutine_slots[] = {
    {Py_tp_doc, "The awaitable of a guarded call. Belongs to the task that awaits it."},
    {Py_tp_dealloc, hf_coroutine_dealloc},
    {Py_tp_traverse, hf_coroutine_traverse},
    {Py_tp_clear, hf_coroutine_clear},
    {Py_tp_repr, coroutine_repr},
    {Py_tp_iter, coroutine_iter},
    {Py_tp_iternext, hf_coroutine_iternext},
    {Py_am_await, coroutine_await},
    {Py_am_send, hf_coroutine_am_send},
    {Py_tp_members, coroutine_members},
    {Py_tp_getset, coroutine_getset},
    {Py_tp_methods, coroutine_methods},
    {0, NULL},
};

/*
 * The slots are the interpreter's, for `await` and `yield from`. Without the names nothing takes a coroutine
 * for an iterator.
 */
static int
hide_iteration(void)
{
    PyObject *dict = hf_coroutine_type->tp_dict;
    if (PyDict_DelItemString(dict, "__iter__") < 0 || PyDict_DelItemString(dict, "__next__") < 0)
        return -1;
    PyType_Modified(hf_coroutine_type);
    return 0;
}

int
hf_coroutine_ready(PyObject *module)
{
    hf_coroutine_type = hf_final_type(module, "holdfast._native.gate.GuardedCoroutine",
                                      sizeof(CoroutineObject), Py_TPFLAGS_HAVE_GC, coroutine_slots);
    if (hf_coroutine_type == NULL || hide_iteration() < 0)
        return -1;
    return PyModule_AddObjectRef(module, "GuardedCoroutine", (PyObject *)hf_coroutine_type);
}
