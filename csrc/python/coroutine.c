/*
 * GuardedCoroutine: the awaitable of a guarded `async def`, of acall, of an asynchronous permit and of
 * `async with`. Nothing is admitted before the first step; a refusal closes the inner coroutine first.
 *
 *   CREATED --first step--> WAITING (a step is waited for) --> RUNNING (the inner coroutine) --> DONE
 *
 * It satisfies collections.abc.Coroutine, so create_task, gather, wait_for and eager tasks take it.
 */
#include "hfpy.h"

#include <structmember.h>

PyTypeObject *hf_coroutine_type;

typedef enum { PHASE_CREATED, PHASE_WAITING, PHASE_RUNNING, PHASE_DONE } phase;

typedef struct {
    PyObject_HEAD
    PyObject *weakrefs;
    GateObject *gate;
    PyObject *inner;              /* the guarded coroutine; the Entry for HF_FOR_ENTRY */
    PyObject *waiting;            /* what waits for the step pass.entered */
    PyObject *fn, *args, *kwargs; /* acall: called only once admitted */
    uint8_t phase, purpose;
    bool busy; /* a step is being made: no other may begin */
    hf_pass pass;
} CoroutineObject;

#ifndef Py_GIL_DISABLED
#define HF_FREE_COROUTINES 64
static CoroutineObject *free_coroutines[HF_FREE_COROUTINES];
static int n_free_coroutines;
#endif

static CoroutineObject *
coroutine_new(GateObject *gate, hf_purpose purpose)
{
    CoroutineObject *self;
#ifndef Py_GIL_DISABLED
    if (n_free_coroutines > 0) {
        self = free_coroutines[--n_free_coroutines];
        _Py_NewReference((PyObject *)self); /* its type it has kept */
    } else
#endif
    {
        self = PyObject_GC_New(CoroutineObject, hf_coroutine_type);
        if (self == NULL)
            return NULL;
    }
    self->weakrefs = NULL;
    self->gate = (GateObject *)Py_NewRef((PyObject *)gate);
    self->inner = self->waiting = self->fn = self->args = self->kwargs = NULL;
    self->phase = PHASE_CREATED;
    self->purpose = (uint8_t)purpose;
    self->busy = false;
    return self;
}

/* Guard an awaitable that exists already and has not begun. Steals `inner`. */
PyObject *
hf_coroutine_of(GateObject *gate, PyObject *inner)
{
    CoroutineObject *self = coroutine_new(gate, HF_FOR_RESULT);
    if (self == NULL) {
        Py_DECREF(inner);
        return NULL;
    }
    self->inner = inner;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

/* Call args[0] with the rest once admitted. */
PyObject *
hf_coroutine_call(GateObject *gate, hf_purpose purpose, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames)
{
    CoroutineObject *self = coroutine_new(gate, purpose);
    if (self == NULL)
        return NULL;
    self->fn = Py_NewRef(args[0]);
    self->args = PyTuple_New(nargs - 1);
    Py_ssize_t nkw = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    if (nkw > 0)
        self->kwargs = PyDict_New();
    PyObject_GC_Track(self);
    if (self->args == NULL || (nkw > 0 && self->kwargs == NULL))
        goto failed;
    for (Py_ssize_t i = 1; i < nargs; i++)
        PyTuple_SET_ITEM(self->args, i - 1, Py_NewRef(args[i]));
    for (Py_ssize_t i = 0; i < nkw; i++) {
        if (PyDict_SetItem(self->kwargs, PyTuple_GET_ITEM(kwnames, i), args[nargs + i]) < 0)
            goto failed;
    }
    return (PyObject *)self;
failed:
    Py_DECREF(self);
    return NULL;
}

/* Only enter: the answer is a Permit, or the gate itself with its pass handed to `entry`. */
PyObject *
hf_coroutine_enter(GateObject *gate, hf_purpose purpose, PyObject *entry)
{
    CoroutineObject *self = coroutine_new(gate, purpose);
    if (self == NULL)
        return NULL;
    self->inner = Py_XNewRef(entry);
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

/* ---- the inner coroutine ---- */

static int
close_inner(CoroutineObject *self)
{
    if (self->inner == NULL || self->purpose == HF_FOR_ENTRY ||
        !PyObject_HasAttrString(self->inner, "close"))
        return 0;
    PyObject *raised = hf_take_exception();
    PyObject *answer = PyObject_CallMethod(self->inner, "close", NULL);
    if (answer == NULL && raised != NULL) {
        PyErr_WriteUnraisable(self->inner); /* the refusal matters more */
        hf_give_exception(raised);
        return 0;
    }
    Py_XDECREF(answer);
    hf_give_exception(raised);
    return answer == NULL ? -1 : 0;
}

/* Turn what acall's function returned into something that takes send and throw. */
static int
start_inner(CoroutineObject *self)
{
    if (self->fn == NULL)
        return 0;
    PyObject *made = PyObject_Call(self->fn, self->args, self->kwargs);
    if (made == NULL)
        return -1;
    if (!PyCoro_CheckExact(made) && !Py_IS_TYPE(made, hf_coroutine_type)) {
        unaryfunc await =
            Py_TYPE(made)->tp_as_async != NULL ? Py_TYPE(made)->tp_as_async->am_await : NULL;
        if (await == NULL) {
            PyErr_Format(
                PyExc_TypeError,
                "acall() needs a function that returns an awaitable; %R returned %.100s: use call()",
                self->fn, Py_TYPE(made)->tp_name);
            Py_DECREF(made);
            return -1;
        }
        Py_SETREF(made, await(made));
        if (made == NULL)
            return -1;
    }
    self->inner = made;
    return 0;
}

/* The call ended with `result`, or, with NULL, by raising. Leaves the gate. */
static PySendResult
finish(CoroutineObject *self, PyObject *result, PyObject **answer)
{
    self->phase = PHASE_DONE;
    if (!hf_gate_leave_lone(self->gate, &self->pass, result))
        result = hf_gate_leave(self->gate, &self->pass, result);
    if (self->purpose == HF_FOR_OUTCOME)
        result = result != NULL ? hf_outcome_value(result) : hf_outcome_error();
    *answer = result;
    return result != NULL ? PYGEN_RETURN : PYGEN_ERROR;
}

static PySendResult
end_refused(CoroutineObject *self, const hf_refusal *why, PyObject **answer)
{
    self->phase = PHASE_DONE;
    if (self->purpose == HF_FOR_OUTCOME) {
        *answer = hf_outcome_refused(why);
    } else {
        hf_refuse(why);
        *answer = NULL;
    }
    close_inner(self);
    return *answer != NULL ? PYGEN_RETURN : PYGEN_ERROR;
}

/* A Python error while entering: everything entered so far is given back. */
static PySendResult
end_broken(CoroutineObject *self, PyObject **answer)
{
    self->phase = PHASE_DONE;
    hf_gate_undo(self->gate, &self->pass);
    close_inner(self);
    *answer = NULL;
    if (self->purpose == HF_FOR_OUTCOME && PyErr_ExceptionMatches(hf_rejected_type))
        *answer = hf_outcome_error();
    return *answer != NULL ? PYGEN_RETURN : PYGEN_ERROR;
}

static PySendResult
admitted(CoroutineObject *self, PyObject **answer)
{
    if (self->purpose == HF_FOR_PERMIT || self->purpose == HF_FOR_ENTRY) {
        self->phase = PHASE_DONE;
        if (self->purpose == HF_FOR_ENTRY) {
            hf_entry_take(self->inner, &self->pass);
            Py_CLEAR(self->inner);
            *answer = Py_NewRef((PyObject *)self->gate);
            return PYGEN_RETURN;
        }
        *answer = hf_permit_new(self->gate, &self->pass);
        if (*answer == NULL)
            hf_gate_undo(self->gate, &self->pass);
        return *answer != NULL ? PYGEN_RETURN : PYGEN_ERROR;
    }
    self->phase = PHASE_RUNNING;
    if (start_inner(self) < 0)
        return finish(self, NULL, answer);
    return PYGEN_NEXT;
}

/* Go on entering until inside, refused, or a step must be waited for. PYGEN_NEXT with NULL: go on. */
static PySendResult
enter(CoroutineObject *self, PyObject **answer)
{
    hf_refusal why;
    *answer = NULL;
    switch (hf_gate_enter(self->gate, &self->pass, &why)) {
    case HF_IN:
        return admitted(self, answer);
    case HF_REFUSED:
        return end_refused(self, &why, answer);
    case HF_BROKEN:
        return end_broken(self, answer);
    case HF_MUST_WAIT:
        break;
    }
    Py_XSETREF(self->waiting, PyObject_CallMethod((PyObject *)self->gate->steps[self->pass.entered],
                                                  "_suspend", NULL));
    if (self->waiting == NULL)
        return end_broken(self, answer);
    self->phase = PHASE_WAITING;
    return PYGEN_NEXT;
}

/* ---- one step ---- */

static PySendResult
step(CoroutineObject *self, PyObject *value, PyObject **answer)
{
    if (self->phase == PHASE_CREATED) {
        hf_pass_init(&self->pass);
        PySendResult entered = hf_gate_enter_lone(self->gate, &self->pass) ? admitted(self, answer)
                                                                           : enter(self, answer);
        if (entered != PYGEN_NEXT)
            return entered;
    }
    while (self->phase == PHASE_WAITING) {
        PyObject *out = NULL;
        PySendResult waited = PyIter_Send(self->waiting, value, &out);
        if (waited == PYGEN_NEXT) {
            *answer = out;
            return PYGEN_NEXT;
        }
        Py_CLEAR(self->waiting);
        if (waited == PYGEN_ERROR)
            return end_broken(self, answer);
        Py_XDECREF(out);
        hf_gate_waited(self->gate, &self->pass);
        PySendResult entered = enter(self, answer);
        if (entered != PYGEN_NEXT)
            return entered;
        value = Py_None;
    }
    PyObject *out = NULL;
    PySendResult sent = PyIter_Send(self->inner, value, &out);
    if (sent == PYGEN_NEXT) {
        *answer = out;
        return PYGEN_NEXT;
    }
    return finish(self, sent == PYGEN_RETURN ? out : NULL, answer);
}

static bool
begin(CoroutineObject *self)
{
    if (self->busy) {
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
        return false;
    }
    if (self->phase == PHASE_DONE) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return false;
    }
    self->busy = true;
    return true;
}

static PySendResult
coroutine_am_send(PyObject *op, PyObject *value, PyObject **answer)
{
    CoroutineObject *self = (CoroutineObject *)op;
    *answer = NULL;
    if (!begin(self))
        return PYGEN_ERROR;
    PySendResult sent = step(self, value, answer);
    self->busy = false;
    return sent;
}

/* A generator's way to return a value: StopIteration, whatever the value is. */
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

static PyObject *
as_method_answer(PySendResult sent, PyObject *answer)
{
    if (sent != PYGEN_RETURN)
        return answer;
    raise_stop(answer);
    Py_DECREF(answer);
    return NULL;
}

static PyObject *
coroutine_iternext(PyObject *op)
{
    PyObject *answer;
    PySendResult sent = coroutine_am_send(op, Py_None, &answer);
    if (sent == PYGEN_RETURN && answer == Py_None) {
        Py_DECREF(answer);
        return NULL;
    }
    return as_method_answer(sent, answer);
}

static PyObject *
coroutine_send(PyObject *op, PyObject *value)
{
    PyObject *answer;
    if (((CoroutineObject *)op)->phase == PHASE_CREATED && value != Py_None) {
        PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started coroutine");
        return NULL;
    }
    PySendResult sent = coroutine_am_send(op, value, &answer);
    return as_method_answer(sent, answer);
}

/* ---- throw and close ---- */

/* The value of the StopIteration that is set; consumes it. NULL: another exception stays set. */
static PyObject *
returned_value(void)
{
    if (!PyErr_ExceptionMatches(PyExc_StopIteration))
        return NULL;
    PyObject *stop = hf_take_exception();
    PyObject *value = PyObject_GetAttrString(stop, "value");
    Py_DECREF(stop);
    return value;
}

static PySendResult
throw_into(CoroutineObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject **answer)
{
    PyObject *target = self->phase == PHASE_WAITING ? self->waiting : self->inner;
    PyObject *method = PyObject_GetAttrString(target, "throw");
    PyObject *out = method == NULL ? NULL : PyObject_Vectorcall(method, args, (size_t)nargs, NULL);
    Py_XDECREF(method);
    if (out != NULL) {
        *answer = out;
        return PYGEN_NEXT;
    }
    PyObject *value = returned_value();
    if (self->phase == PHASE_RUNNING)
        return finish(self, value, answer);
    Py_CLEAR(self->waiting);
    if (value == NULL)
        return end_broken(self, answer);
    Py_DECREF(value);
    hf_gate_waited(self->gate, &self->pass);
    PySendResult entered = enter(self, answer);
    return entered != PYGEN_NEXT ? entered : step(self, Py_None, answer);
}

/* throw() before the first step: the call never begins, nothing was admitted. */
static PySendResult
throw_unstarted(CoroutineObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    self->phase = PHASE_DONE;
    if (self->inner != NULL && self->purpose != HF_FOR_ENTRY) {
        PyObject *method = PyObject_GetAttrString(self->inner, "throw");
        PyObject *out =
            method == NULL ? NULL : PyObject_Vectorcall(method, args, (size_t)nargs, NULL);
        Py_XDECREF(method);
        Py_XDECREF(out);
        return PYGEN_ERROR;
    }
    PyObject *exception = nargs > 1 && PyExceptionInstance_Check(args[1]) ? args[1] : args[0];
    if (PyExceptionInstance_Check(exception))
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    else if (PyExceptionClass_Check(exception))
        PyErr_SetObject(exception, nargs > 1 && args[1] != Py_None ? args[1] : NULL);
    else
        PyErr_SetString(PyExc_TypeError,
                        "exceptions must be classes or instances deriving from BaseException");
    return PYGEN_ERROR;
}

static PyObject *
coroutine_throw(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    CoroutineObject *self = (CoroutineObject *)op;
    if (nargs < 1 || nargs > 3) {
        PyErr_SetString(PyExc_TypeError, "throw() takes one to three arguments");
        return NULL;
    }
    if (!begin(self))
        return NULL;
    PyObject *answer = NULL;
    PySendResult sent = self->phase == PHASE_CREATED ? throw_unstarted(self, args, nargs)
                                                     : throw_into(self, args, nargs, &answer);
    self->busy = false;
    return as_method_answer(sent, answer);
}

static PyObject *
coroutine_close(PyObject *op, PyObject *ignored)
{
    CoroutineObject *self = (CoroutineObject *)op;
    (void)ignored;
    if (self->phase == PHASE_DONE)
        Py_RETURN_NONE;
    if (!begin(self))
        return NULL;
    int was = self->phase, closed = 0;
    if (was == PHASE_WAITING) {
        PyObject *answer = PyObject_CallMethod(self->waiting, "close", NULL);
        Py_XDECREF(answer);
        closed = answer == NULL ? -1 : 0;
    }
    if (close_inner(self) < 0)
        closed = -1;
    PyObject *raised = hf_take_exception();
    if (was == PHASE_RUNNING)
        hf_gate_abandon(self->gate, &self->pass);
    else if (was == PHASE_WAITING)
        hf_gate_undo(self->gate, &self->pass);
    hf_give_exception(raised);
    self->phase = PHASE_DONE;
    self->busy = false;
    if (closed < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* ---- looking like a coroutine ---- */

static PyObject *
forward(PyObject *op, void *closure)
{
    CoroutineObject *self = (CoroutineObject *)op;
    PyObject *target = self->phase == PHASE_WAITING ? self->waiting : self->inner;
    if (target != NULL && self->phase != PHASE_DONE) {
        PyObject *value = PyObject_GetAttrString(target, closure);
        if (value != NULL || !PyErr_ExceptionMatches(PyExc_AttributeError))
            return value;
        PyErr_Clear();
    }
    Py_RETURN_NONE;
}

static PyObject *
forward_name(PyObject *op, void *closure)
{
    CoroutineObject *self = (CoroutineObject *)op;
    PyObject *source = self->inner != NULL ? self->inner : self->fn;
    PyObject *value = source != NULL ? PyObject_GetAttrString(source, closure) : NULL;
    if (value == NULL) {
        PyErr_Clear();
        return PyUnicode_FromString("guarded");
    }
    return value;
}

static PyObject *
is_running(PyObject *op, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((CoroutineObject *)op)->busy);
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

/* ---- life ---- */

static int
coroutine_traverse(PyObject *op, visitproc visit, void *arg)
{
    CoroutineObject *self = (CoroutineObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->gate);
    Py_VISIT(self->inner);
    Py_VISIT(self->waiting);
    Py_VISIT(self->fn);
    Py_VISIT(self->args);
    Py_VISIT(self->kwargs);
    return 0;
}

static int
coroutine_clear(PyObject *op)
{
    CoroutineObject *self = (CoroutineObject *)op;
    Py_CLEAR(self->waiting);
    Py_CLEAR(self->inner); /* runs the user's code, if it was suspended */
    if (self->fn != NULL) {
        Py_CLEAR(self->fn);
        Py_CLEAR(self->args);
        Py_CLEAR(self->kwargs);
    }
    return 0;
}

/* An inner coroutine that was never begun warns for itself; where there is none yet, we do. */
static void
warn_if_forgotten(CoroutineObject *self)
{
    if (self->fn == NULL && self->purpose != HF_FOR_PERMIT && self->purpose != HF_FOR_ENTRY)
        return;
    PyObject *raised = hf_take_exception();
    PyObject *what = self->fn != NULL ? self->fn : (PyObject *)self->gate;
    if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "guarded coroutine of %R was never awaited",
                         what) < 0)
        PyErr_WriteUnraisable(what);
    hf_give_exception(raised);
}

/* Dropped half-way: the inner coroutine ends first, then its place comes home. */
static void
coroutine_dealloc(PyObject *op)
{
    CoroutineObject *self = (CoroutineObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs(op);
    int was = self->phase;
    self->phase = PHASE_DONE;
    if (was == PHASE_CREATED || was == PHASE_DONE) {
        if (was == PHASE_CREATED)
            warn_if_forgotten(self);
        coroutine_clear(op);
    } else {
        PyObject *raised = hf_take_exception();
        coroutine_clear(op);
        if (was == PHASE_RUNNING)
            hf_gate_abandon(self->gate, &self->pass);
        else
            hf_gate_undo(self->gate, &self->pass);
        hf_give_exception(raised);
    }
    Py_DECREF(self->gate);
#ifndef Py_GIL_DISABLED
    if (n_free_coroutines < HF_FREE_COROUTINES) {
        free_coroutines[n_free_coroutines++] = self;
        return;
    }
#endif
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

static PyMemberDef coroutine_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(CoroutineObject, weakrefs), READONLY, NULL},
    {NULL},
};

static PyGetSetDef coroutine_getset[] = {
    {"cr_await", forward, NULL, NULL, "cr_await"},
    {"cr_code", forward, NULL, NULL, "cr_code"},
    {"cr_frame", forward, NULL, NULL, "cr_frame"},
    {"cr_origin", forward, NULL, NULL, "cr_origin"},
    {"cr_running", is_running, NULL, NULL, NULL},
    {"__name__", forward_name, NULL, NULL, "__name__"},
    {"__qualname__", forward_name, NULL, NULL, "__qualname__"},
    {NULL},
};

static PyMethodDef coroutine_methods[] = {
    {"send", coroutine_send, METH_O, "send($self, value, /)\n--\n\nMake one step."},
    {"throw", (PyCFunction)(void (*)(void))coroutine_throw, METH_FASTCALL,
     "throw($self, typ, val=None, tb=None, /)\n--\n\nRaise inside the call."},
    {"close", coroutine_close, METH_NOARGS,
     "close($self, /)\n--\n\nEnd the call without a verdict."},
    {NULL},
};

static PyType_Slot coroutine_slots[] = {
    {Py_tp_doc, "The awaitable of a guarded call. Belongs to the task that awaits it."},
    {Py_tp_dealloc, coroutine_dealloc},
    {Py_tp_traverse, coroutine_traverse},
    {Py_tp_clear, coroutine_clear},
    {Py_tp_repr, coroutine_repr},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, coroutine_iternext},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, coroutine_am_send},
    {Py_tp_members, coroutine_members},
    {Py_tp_getset, coroutine_getset},
    {Py_tp_methods, coroutine_methods},
    {0, NULL},
};

static PyType_Spec coroutine_spec = {
    .name = "holdfast._native.gate.GuardedCoroutine",
    .basicsize = sizeof(CoroutineObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = coroutine_slots,
};

int
hf_coroutine_ready(PyObject *module)
{
    hf_coroutine_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &coroutine_spec, NULL);
    return hf_coroutine_type == NULL
               ? -1
               : PyModule_AddObjectRef(module, "GuardedCoroutine", (PyObject *)hf_coroutine_type);
}
