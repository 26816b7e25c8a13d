/*
 * GuardedCoroutine: the awaitable of a guarded `async def`, of acall, of an asynchronous permit and of
 * `async with`. It satisfies collections.abc.Coroutine, so create_task, gather, wait_for and eager tasks
 * take it.
 *
 * Here is how it is made, looked at and dropped; how it is driven, in coroutine_step.c; how its result
 * is handed over, in coroutine_stop.c.
 */
#include "coroutine.h"

#include <structmember.h>

static inline CoroutineObject *Py_ALWAYS_INLINE
coroutine_new(GateObject *gate, hf_purpose purpose)
{
    CoroutineObject *self;
    Py_INCREF((PyObject *)gate); /* making it may collect garbage */
    self = (CoroutineObject *)hf_free_list_new(HF_FREE_COROUTINES, hf_coroutine_type);
    if (self == NULL) {
        Py_DECREF((PyObject *)gate);
        return NULL;
    }
    self->weakrefs = NULL;
    self->gate = gate;
    self->inner = self->waiting = self->fn = self->args = self->kwargs = self->failure = NULL;
    hf_set_phase(self, PHASE_CREATED);
    self->purpose = (uint8_t)purpose;
    hf_store_relaxed(&self->busy, 0);
    self->controlled = false;
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
PyObject *
hf_coroutine_part(CoroutineObject *self, PyObject *const *part)
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
    return hf_coroutine_part(self,
                             hf_phase_of(self) == PHASE_WAITING ? &self->waiting : &self->inner);
}

bool
hf_coroutine_is_suspended(const CoroutineObject *self)
{
    hf_phase phase = hf_phase_of(self);
    return !hf_coroutine_is_busy(self) && phase != PHASE_CREATED && phase != PHASE_DONE;
}

/* ---- life ---- */

int
hf_coroutine_traverse(PyObject *op, visitproc visit, void *arg)
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
    for (int at = 0; at < self->pass.entered && self->gate->reruns; at++) {
        if (self->gate->steps[at]->kind != HF_KIND_HEDGE)
            continue;
        Py_VISIT(self->pass.hold[at].hedge.race);
        Py_VISIT(self->pass.hold[at].hedge.context);
    }
    Py_VISIT(self->course.works);
    Py_VISIT(self->course.around);
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
    int warned = self->fn != NULL
                     ? PyErr_WarnFormat(PyExc_RuntimeWarning, 1,
                                        "guarded coroutine of %R was never awaited", self->fn)
                     : PyErr_WarnFormat(PyExc_RuntimeWarning, 1,
                                        "guarded coroutine of " HF_TITLE " was never awaited",
                                        HF_TITLE_OF(self->gate));
    if (warned < 0)
        PyErr_WriteUnraisable(what);
    hf_give_exception(raised);
}

/* Let go of a part. `alone`: it dies, and nobody looks at it any more. */
static inline void
let_go_of(CoroutineObject *self, PyObject **part, bool alone)
{
    if (alone)
        Py_CLEAR(*part);
    else
        hf_replace(self, part, NULL);
}

/* Dropped, perhaps half-way: the inner coroutine ends first, then its place comes home. */
static inline void Py_ALWAYS_INLINE
take_apart(CoroutineObject *self, bool alone)
{
    int was = (int)hf_phase_of(self);
    hf_set_phase(self, PHASE_DONE);
    if (was == PHASE_CREATED)
        warn_if_forgotten(self);
    if (self->controlled)
        hf_alarms_forget(&self->pass); /* it is not to be cut as it dies */
    let_go_of(self, &self->waiting, alone);
    if (was == PHASE_WAITING)
        hf_coroutine_close_unbegun(self);
    let_go_of(self, &self->inner, alone); /* runs the user's code, if it was suspended */
    if (self->fn != NULL) {
        let_go_of(self, &self->fn, alone);
        Py_CLEAR(self->args);
        Py_CLEAR(self->kwargs);
    }
    Py_CLEAR(self->failure);
    if (was == PHASE_WAITING || was == PHASE_RUNNING)
        hf_gate_drop(self->gate, &self->pass, was == PHASE_RUNNING || self->controlled);
    hf_coroutine_end_course(self);
}

int
hf_coroutine_clear(PyObject *op)
{
    take_apart((CoroutineObject *)op, false);
    return 0;
}

static inline void
let_go(PyObject *op)
{
    CoroutineObject *self = (CoroutineObject *)op;
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs(op);
    hf_stop_forget();
    take_apart(self, true);
    Py_DECREF(self->gate);
    hf_free_list_del(HF_FREE_COROUTINES, op);
}

/* Guards of guards may be many. */
static void Py_NO_INLINE
let_go_nested(PyObject *op)
{
    Py_TRASHCAN_BEGIN(op, hf_coroutine_dealloc);
    let_go(op);
    Py_TRASHCAN_END;
}

/*
 * An alarm borrows its coroutine. So the alarms of one that dies are taken out before anything else is
 * done, even before it is put aside to die later: whatever Python runs meanwhile may have them ring.
 */
void
hf_coroutine_dealloc(PyObject *op)
{
    CoroutineObject *self = (CoroutineObject *)op;
    PyObject *inner = self->inner;
    PyObject_GC_UnTrack(op);
    if (self->controlled)
        hf_alarms_forget(&self->pass);
    if (inner != NULL && Py_IS_TYPE(inner, hf_coroutine_type))
        let_go_nested(op);
    else
        let_go(op);
}

/* False: a step is being made, or was the last; that is set. */
bool
hf_coroutine_begin_step(CoroutineObject *self)
{
    if (!hf_coroutine_claim(self)) {
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
        return false;
    }
    if (hf_phase_of(self) == PHASE_DONE) {
        hf_coroutine_unclaim(self);
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return false;
    }
    return true;
}

PySendResult
hf_coroutine_end_step(CoroutineObject *self, PySendResult made)
{
    hf_coroutine_unclaim(self);
    assert((made == PYGEN_ERROR) == (PyErr_Occurred() != NULL));
    if (made == PYGEN_ERROR)
        hf_stop_mend();
    return made;
}

void
hf_coroutine_end_course(CoroutineObject *self)
{
    if (!self->controlled)
        return;
    self->controlled = false;
    self->pass.course = NULL;
    hf_course_end(&self->course);
    Py_CLEAR(self->args); /* a task keeps its coroutine when that has ended */
    Py_CLEAR(self->kwargs);
}

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
