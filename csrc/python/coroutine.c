/*
 * GuardedCoroutine: the awaitable of a guarded `async def`, of acall, of an asynchronous permit and of
 * `async with`. It satisfies collections.abc.Coroutine, so create_task, gather, wait_for and eager tasks
 * take it.
 *
 * Here is how it is made, looked at and dropped; how it is driven, in coroutine_drive.c; how its result
 * is handed over, in coroutine_stop.c.
 */
#include "coroutine.h"

#include <structmember.h>

PyTypeObject *hf_coroutine_type;

#ifndef Py_GIL_DISABLED
#define HF_FREE_COROUTINES 64
static CoroutineObject *free_coroutines[HF_FREE_COROUTINES];
static int n_free_coroutines;
#endif

static inline CoroutineObject *Py_ALWAYS_INLINE
coroutine_new(GateObject *gate, hf_purpose purpose)
{
    CoroutineObject *self;
    Py_INCREF((PyObject *)gate); /* making it may collect garbage */
#ifndef Py_GIL_DISABLED
    if (n_free_coroutines > 0) {
        self = free_coroutines[--n_free_coroutines];
        _Py_NewReference((PyObject *)self); /* its type it has kept */
    } else
#endif
    {
        self = PyObject_GC_New(CoroutineObject, hf_coroutine_type);
        if (self == NULL) {
            Py_DECREF((PyObject *)gate);
            return NULL;
        }
    }
    self->weakrefs = NULL;
    self->gate = gate;
    self->inner = self->waiting = self->fn = self->args = self->kwargs = self->failure = NULL;
    hf_set_phase(self, PHASE_CREATED);
    self->purpose = (uint8_t)purpose;
    hf_store_relaxed(&self->busy, 0);
    self->straight = self->controlled = false;
    return self;
}

/* The pass of a guarded coroutine that has begun and not ended, and its gate; else NULL. */
const hf_pass *
hf_coroutine_pass(PyObject *op, const GateObject **gate)
{
    CoroutineObject *self = (CoroutineObject *)op;
    if (!Py_IS_TYPE(op, hf_coroutine_type) || hf_phase_of(self) == PHASE_CREATED ||
        hf_phase_of(self) == PHASE_DONE)
        return NULL;
    *gate = self->gate;
    return &self->pass;
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
    self->straight = PyCoro_CheckExact(inner);
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

/* The same, of a call that may have to be made again. Steals `inner`, what it answered. */
PyObject *
hf_coroutine_of_call(GateObject *gate, PyObject *inner, PyObject *fn, PyObject *const *args,
                     size_t nargsf, PyObject *kwnames)
{
    PyObject *op = hf_coroutine_of(gate, inner);
    CoroutineObject *self = (CoroutineObject *)op;
    if (op == NULL || hf_pack_call(args, nargsf, kwnames, &self->args, &self->kwargs) == 0) {
        if (op != NULL)
            self->fn = Py_NewRef(fn);
        return op;
    }
    Py_DECREF(op);
    return NULL;
}

/* Call args[0] with the rest once admitted. */
PyObject *
hf_coroutine_call(GateObject *gate, hf_purpose purpose, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames)
{
    CoroutineObject *self = coroutine_new(gate, purpose);
    if (self == NULL)
        return NULL;
    PyObject_GC_Track(self);
    self->fn = Py_NewRef(args[0]);
    if (hf_pack_call(args + 1, (size_t)(nargs - 1), kwnames, &self->args, &self->kwargs) == 0)
        return (PyObject *)self;
    hf_set_phase(self, PHASE_DONE); /* nobody forgot to await it */
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

/* ---- looking like a coroutine ---- */

/* A part of it, strong; NULL: there is none. */
static PyObject *
part_of(CoroutineObject *self, PyObject *const *part)
{
    PyObject *op;
    (void)self; /* with the GIL it need not be locked */
    HF_BEGIN_EXCLUSIVE(self);
    op = Py_XNewRef(*part);
    HF_END_EXCLUSIVE();
    return op;
}

/* What it drives at the moment. */
PyObject *
hf_coroutine_driven_by(CoroutineObject *self)
{
    return part_of(self, hf_phase_of(self) == PHASE_WAITING ? &self->waiting : &self->inner);
}

/* What it was made to drive. */
static PyObject *
inside_of(CoroutineObject *self)
{
    return part_of(self, &self->inner);
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

/* Steals `source`, which is held while it is asked: it may answer by making a step, which lets go of it. */
static PyObject *
ask(PyObject *source, const char *name)
{
    PyObject *value = source != NULL ? PyObject_GetAttrString(source, name) : NULL;
    Py_XDECREF(source);
    return value;
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
        value = ask(i == 0 ? source : part_of(last, &last->fn), closure);
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

bool
hf_coroutine_is_suspended(const CoroutineObject *self)
{
    hf_phase phase = hf_phase_of(self);
    return !hf_coroutine_is_busy(self) && phase != PHASE_CREATED && phase != PHASE_DONE;
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
    Py_VISIT(self->failure);
    if (!self->controlled)
        return 0;
    Py_VISIT(self->course.works);
    Py_VISIT(self->course.around.step);
    return hf_alarms_traverse(&self->course, visit, arg);
}

/* An inner coroutine that was never begun warns for itself; where there is none yet, we do. */
static void
warn_if_forgotten(const CoroutineObject *self)
{
    bool owns = self->purpose == HF_FOR_PERMIT || self->purpose == HF_FOR_ENTRY;
    if (!owns && (self->fn == NULL || self->inner != NULL))
        return;
    PyObject *raised = hf_take_exception();
    PyObject *what = self->fn != NULL ? self->fn : (PyObject *)self->gate;
    if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "guarded coroutine of %R was never awaited",
                         what) < 0)
        PyErr_WriteUnraisable(what);
    hf_give_exception(raised);
}

/* Dropped, perhaps half-way: the inner coroutine ends first, then its place comes home. */
static int
coroutine_clear(PyObject *op)
{
    CoroutineObject *self = (CoroutineObject *)op;
    int was = (int)hf_phase_of(self);
    hf_set_phase(self, PHASE_DONE);
    if (was == PHASE_CREATED)
        warn_if_forgotten(self);
    if (self->controlled)
        hf_alarms_forget(self->gate, &self->pass); /* it is not to be cut as it dies */
    hf_replace(self, &self->waiting, NULL);
    if (was == PHASE_WAITING)
        hf_coroutine_close_unbegun(self);
    hf_replace(self, &self->inner, NULL); /* runs the user's code, if it was suspended */
    if (self->fn != NULL) {
        hf_replace(self, &self->fn, NULL);
        Py_CLEAR(self->args);
        Py_CLEAR(self->kwargs);
    }
    Py_CLEAR(self->failure);
    if (was == PHASE_WAITING || was == PHASE_RUNNING)
        hf_gate_drop(self->gate, &self->pass, was == PHASE_RUNNING || self->controlled);
    hf_coroutine_end_course(self);
    return 0;
}

static inline void
let_go(PyObject *op)
{
    CoroutineObject *self = (CoroutineObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs(op);
    hf_stop_forget();
    coroutine_clear(op);
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

static void coroutine_dealloc(PyObject *op);

/* Guards of guards may be many. */
static void Py_NO_INLINE
let_go_nested(PyObject *op)
{
    Py_TRASHCAN_BEGIN(op, coroutine_dealloc);
    let_go(op);
    Py_TRASHCAN_END;
}

/*
 * An alarm borrows its coroutine. So the alarms of one that dies are taken out before anything else is
 * done, even before it is put aside to die later: whatever Python runs meanwhile may have them ring.
 */
static void
coroutine_dealloc(PyObject *op)
{
    CoroutineObject *self = (CoroutineObject *)op;
    PyObject *inner = self->inner;
    PyObject_GC_UnTrack(op);
    if (self->controlled)
        hf_alarms_forget(self->gate, &self->pass);
    if (inner != NULL && Py_IS_TYPE(inner, hf_coroutine_type))
        let_go_nested(op);
    else
        let_go(op);
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
                 "'coroutine' object is not iterable: it is guarded by %R, and was not awaited",
                 (PyObject *)((CoroutineObject *)op)->gate);
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
    (void)op;
    (void)closure;
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
    {"__await__", hf_wrapper_of, METH_NOARGS | METH_COEXIST,
     "__await__($self, /)\n--\n\nReturn an iterator that makes its steps."},
    {NULL},
};

static PyType_Slot coroutine_slots[] = {
    {Py_tp_doc, "The awaitable of a guarded call. Belongs to the task that awaits it."},
    {Py_tp_dealloc, coroutine_dealloc},
    {Py_tp_traverse, coroutine_traverse},
    {Py_tp_clear, coroutine_clear},
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

static PyType_Spec coroutine_spec = {
    .name = "holdfast._native.gate.GuardedCoroutine",
    .basicsize = sizeof(CoroutineObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = coroutine_slots,
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
    hf_coroutine_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &coroutine_spec, NULL);
    if (hf_coroutine_type == NULL || hide_iteration() < 0 || hf_wrapper_ready(module) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "GuardedCoroutine", (PyObject *)hf_coroutine_type);
}
