/*
 * `with policy:` and `async with policy:`.
 *
 * One policy is entered by many threads and tasks at once, so what an entry holds cannot live in the
 * policy. `__enter__` and `__exit__` are descriptors: the interpreter looks both up before it calls the
 * first, and both look-ups answer the same Entry, which then rides on the interpreter's own stack until
 * the block ends. They are told from others by where the interpreter stands: one frame, and the
 * instruction, or the few, of a `with`. One that is on that stack alone, twice, has been looked up for
 * nothing else. Should it die there while the block is open, an interrupt came between the entry and the
 * block, and what it holds is given back.
 *
 * Looked up in any other way (ExitStack, calls by hand), an entry belongs to the policy once it is made,
 * and an exit that has none of its own settles one of them: see entry_open.c.
 */
#include "control.h"

#include <structmember.h>

typedef enum { OUTSIDE, ON_THE_WAY, INSIDE } entry_state;

/* Where the interpreter stands in this thread. */
typedef struct {
    const void *frame; /* only compared */
    intptr_t at;       /* its instruction, in bytes */
} standpoint;

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    GateObject *gate;
    bool is_async;
    bool is_exit;  /* which look-up made it */
    bool paired;   /* both look-ups of a `with` answered this one */
    bool rides;    /* the interpreter alone holds it: what it enters, it leaves */
    uint8_t state; /* entry_state */
    standpoint looked_up;
    hf_pass pass;
} EntryObject;

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    bool is_async, is_exit;
} DescriptorObject;

static PyTypeObject *entry_type, *descriptor_type;

/* ---- what leaving an `async with` answers, which never waits: an awaitable of None that is ready at once ---- */

static PyObject *done;

static PyObject *
done_next(PyObject *op)
{
    (void)op;
    return NULL; /* StopIteration of None */
}

static PyType_Slot done_slots[] = {
    {Py_tp_doc, "An awaitable of None that is ready at once."},
    {Py_tp_dealloc, hf_free},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, done_next},
    {Py_am_await, PyObject_SelfIter},
    {0, NULL},
};

static int
done_ready(PyObject *module)
{
    PyTypeObject *type =
        hf_final_type(module, "holdfast._native.gate.Done", sizeof(PyObject), 0, done_slots);
    if (type == NULL)
        return -1;
    done = (PyObject *)PyObject_New(PyObject, type);
    Py_DECREF(type); /* done holds it */
    return done == NULL ? -1 : 0;
}

/* ---- from one look-up to the other ---- */

/*
 * What `with` looks up first; no Python code runs before it looks up the other. Up to 3.13 one instruction
 * does both. Later there is one for each, three code units apart; look-ups by name are further apart.
 */
#if PY_VERSION_HEX >= 0x030E0000
#define HF_EXIT_COMES_FIRST true
#define HF_FURTHEST_APART ((intptr_t)12) /* bytes: six code units */
#else
#define HF_EXIT_COMES_FIRST false
#endif

static inline standpoint
standpoint_now(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyThreadState *thread = PyThreadState_GetUnchecked();
    struct _PyInterpreterFrame *frame = thread->current_frame;
#else
    PyThreadState *thread = _PyThreadState_UncheckedGet();
    struct _PyInterpreterFrame *frame = thread->cframe->current_frame;
#endif
    if (frame == NULL)
        return (standpoint){NULL, 0};
#if PY_VERSION_HEX >= 0x030C0000
    return (standpoint){frame, PyUnstable_InterpreterFrame_GetLasti(frame)};
#else
    /* No function tells; `prev_instr` is the eighth pointer of 3.11's frames. */
    return (standpoint){frame, (intptr_t)((void *const *)frame)[7]};
#endif
}

/* Whether a `with` has looked up the one there and the other here. */
static inline bool
is_same_with(standpoint first, standpoint second)
{
    if (first.frame == NULL || first.frame != second.frame)
        return false;
#ifdef HF_FURTHEST_APART
    return second.at > first.at && second.at - first.at <= HF_FURTHEST_APART;
#else
    return first.at == second.at;
#endif
}

#ifdef Py_GIL_DISABLED

/* Strong: another thread may drop what it was given. So it lives until the thread's next, or its end. */
static _Thread_local EntryObject *pending;
static _Thread_local bool end_is_seen; /* of this thread */

static void
thread_ends(PyObject *capsule)
{
    (void)capsule;
    end_is_seen = false;
    Py_CLEAR(pending);
}

/* Have the thread's own dictionary, which dies with it, drop what is pending. Without memory it stays. */
static void
see_end(void)
{
    PyObject *dict = PyThreadState_GetDict();
    PyObject *capsule = dict != NULL ? PyCapsule_New(&end_is_seen, NULL, thread_ends) : NULL;
    if (capsule != NULL && PyDict_SetItemString(dict, "holdfast.entry", capsule) == 0)
        end_is_seen = true;
    Py_XDECREF(capsule);
    PyErr_Clear();
}

static void
set_pending(EntryObject *entry)
{
    if (!end_is_seen)
        see_end();
    Py_XSETREF(pending, (EntryObject *)Py_NewRef((PyObject *)entry));
}

static void
end_pending(const EntryObject *entry)
{
    if (pending == entry)
        Py_CLEAR(pending);
}

#else

static EntryObject *pending; /* borrowed from who looked it up; when it dies it is not pending */

static void
set_pending(EntryObject *entry)
{
    pending = entry;
}

static void
end_pending(const EntryObject *entry)
{
    if (pending == entry)
        pending = NULL;
}

#endif

/* The entry that the first look-up answered, for the second; NULL where there was no first. */
static EntryObject *
take_pending(const PyObject *gate, bool is_async)
{
    EntryObject *first = pending;
    if (first == NULL || (PyObject *)first->gate != gate || first->is_async != is_async ||
        Py_REFCNT(first) == 0 || !is_same_with(first->looked_up, standpoint_now()))
        return NULL;
    first->paired = true;
    Py_INCREF(first);
    end_pending(first);
    return first;
}

/* ---- entering and leaving ---- */

/* The pass of an entry whose block is open, and its gate; else NULL. */
const hf_pass *
hf_entry_pass(PyObject *op, const GateObject **gate)
{
    EntryObject *self = (EntryObject *)op;
    if (!Py_IS_TYPE(op, entry_type) || self->state != INSIDE)
        return NULL;
    *gate = self->gate;
    return &self->pass;
}

/* The entry is made: keep its pass where its exit will find it. */
void
hf_entry_take(PyObject *op, const hf_pass *pass)
{
    EntryObject *self = (EntryObject *)op;
    if (!self->rides || self->state != OUTSIDE) {
        hf_entry_leave_open(self->gate, pass);
        return;
    }
    hf_pass_copy(&self->pass, pass);
    self->state = INSIDE;
}

static PyObject *
enter_now(EntryObject *self)
{
    GateObject *gate = self->gate;
    if (!self->rides || self->state != OUTSIDE) {
        hf_pass pass;
        if (hf_gate_enter_block(gate, &pass) < 0)
            return NULL;
        hf_entry_leave_open(gate, &pass);
        return Py_NewRef((PyObject *)gate);
    }
    self->state = ON_THE_WAY;
    int entered = hf_gate_enter_block(gate, &self->pass);
    self->state = entered < 0 ? OUTSIDE : INSIDE;
    return entered < 0 ? NULL : Py_NewRef((PyObject *)gate);
}

/* The block ended: with the exception it raised, or None. */
static PyObject *
leave_now(GateObject *gate, hf_pass *pass, PyObject *exception)
{
    int left = PyExceptionInstance_Check(exception) ? hf_gate_settle_raised(gate, pass, exception)
                                                    : hf_gate_settle(gate, pass, HF_SUCCESS);
    return left < 0 ? NULL : Py_NewRef(Py_False);
}

static PyObject *
leave_open(GateObject *gate, PyObject *exception)
{
    hf_pass pass;
    PyObject *answer = NULL;
    Py_INCREF(
        (PyObject *)gate); /* whoever calls an iterator's callable may let go of both meanwhile */
    Py_INCREF(exception);
    if (hf_entry_take_open(gate, &pass))
        answer = leave_now(gate, &pass, exception);
    else
        PyErr_Format(PyExc_RuntimeError, "exit of " HF_TITLE " without an entry",
                     HF_TITLE_OF(gate));
    Py_DECREF(exception);
    Py_DECREF((PyObject *)gate);
    return answer;
}

static PyObject *
as_awaitable(bool is_async, PyObject *answer)
{
    if (!is_async || answer == NULL)
        return answer;
    Py_DECREF(answer);
    return Py_NewRef(done);
}

static PyObject *
enter(EntryObject *self, bool rides)
{
    PyObject *op = (PyObject *)self;
    end_pending(self); /* called before the other look-up came: by hand */
    self->rides = rides;
    if (hf_need_no_rerun(self->gate) < 0)
        return NULL;
    return self->is_async ? hf_coroutine_enter(self->gate, HF_FOR_ENTRY, op) : enter_now(self);
}

static PyObject *
leave(EntryObject *self, PyObject *exception)
{
    if (self->state != INSIDE)
        return as_awaitable(self->is_async, leave_open(self->gate, exception));
    self->state = ON_THE_WAY;
    PyObject *answer = leave_now(self->gate, &self->pass, exception);
    self->state = OUTSIDE;
    return as_awaitable(self->is_async, answer);
}

/* Called twice: without arguments to enter, with the exception's three to leave. Held as a guard is. */
static PyObject *
entry_call(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    EntryObject *self = (EntryObject *)op;
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    if (kwnames != NULL || (nargs != 0 && nargs != 3) ||
        (!self->paired && self->is_exit != (nargs == 3))) {
        PyErr_SetString(PyExc_TypeError, "__enter__() takes no arguments, __exit__() takes three");
        return NULL;
    }
    bool rides =
        self->paired && Py_REFCNT(op) == 2; /* on the interpreter's stack, as enter and exit */
    Py_INCREF(op);
    PyObject *answer = nargs == 3 ? leave(self, args[1]) : enter(self, rides);
    Py_DECREF(op);
    return answer;
}

static int
entry_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((EntryObject *)op)->gate);
    return 0;
}

static EntryObject *
entry_new(GateObject *gate, bool is_async, bool is_exit)
{
    EntryObject *self = (EntryObject *)hf_free_list_new(HF_FREE_ENTRIES, entry_type);
    if (self == NULL)
        return NULL;
    self->vectorcall = entry_call;
    self->gate = (GateObject *)Py_NewRef((PyObject *)gate);
    self->is_async = is_async;
    self->is_exit = is_exit;
    self->paired = self->rides = false;
    self->state = OUTSIDE;
    PyObject_GC_Track(self);
    return self;
}

static void
entry_dealloc(PyObject *op)
{
    EntryObject *self = (EntryObject *)op;
    PyObject_GC_UnTrack(op);
    end_pending(self);
    if (self->state == INSIDE)
        hf_gate_drop(self->gate, &self->pass, true);
    Py_DECREF(self->gate);
    hf_free_list_del(HF_FREE_ENTRIES, op);
}

static PyMemberDef entry_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(EntryObject, vectorcall), READONLY, NULL},
    {NULL},
};

static PyType_Slot entry_slots[] = {
    {Py_tp_doc, "One entry of a `with` block."},
    {Py_tp_dealloc, entry_dealloc},
    {Py_tp_traverse, entry_traverse},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_members, entry_members},
    {0, NULL},
};

/* ---- the descriptors ---- */

static PyObject *
descriptor_get(PyObject *op, PyObject *obj, PyObject *type)
{
    DescriptorObject *self = (DescriptorObject *)op;
    (void)type;
    if (obj == NULL)
        return Py_NewRef(op);
    bool is_first = self->is_exit == HF_EXIT_COMES_FIRST;
    EntryObject *entry = is_first ? NULL : take_pending(obj, self->is_async);
    if (entry != NULL)
        return (PyObject *)entry;
    if (!PyObject_TypeCheck(obj, hf_gate_type)) {
        PyErr_Format(PyExc_TypeError, "entering needs a policy, not %.100s", Py_TYPE(obj)->tp_name);
        return NULL;
    }
    entry = entry_new((GateObject *)obj, self->is_async, self->is_exit);
    if (entry != NULL && is_first) {
        entry->looked_up = standpoint_now();
        set_pending(entry);
    }
    return (PyObject *)entry;
}

/* The unbound form: `cls.__enter__(policy)`, as ExitStack calls it. */
static PyObject *
descriptor_call(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    DescriptorObject *self = (DescriptorObject *)op;
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    if (kwnames != NULL || nargs != (self->is_exit ? 4 : 1) ||
        !PyObject_TypeCheck(args[0], hf_gate_type)) {
        PyErr_Format(PyExc_TypeError, "%s takes a policy%s",
                     self->is_exit ? "__exit__()" : "__enter__()",
                     self->is_exit ? " and three arguments for the exception" : "");
        return NULL;
    }
    GateObject *gate = (GateObject *)args[0];
    if (self->is_exit)
        return as_awaitable(self->is_async, leave_open(gate, args[2]));
    EntryObject *entry = entry_new(gate, self->is_async, false);
    if (entry == NULL)
        return NULL;
    PyObject *answer = entry_call((PyObject *)entry, NULL, 0, NULL);
    Py_DECREF(entry);
    return answer;
}

/* As of a function, for help() and inspect. */
static PyObject *
descriptor_name(PyObject *op, void *closure)
{
    DescriptorObject *self = (DescriptorObject *)op;
    (void)closure;
    return PyUnicode_FromFormat("__%s%s__", self->is_async ? "a" : "",
                                self->is_exit ? "exit" : "enter");
}

static PyObject *
descriptor_signature(PyObject *op, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(
        ((DescriptorObject *)op)->is_exit ? "($self, exc_type, exc, traceback, /)" : "($self, /)");
}

static PyObject *
descriptor_doc(PyObject *op, void *closure)
{
    DescriptorObject *self = (DescriptorObject *)op;
    (void)closure;
    return PyUnicode_FromFormat(self->is_exit
                                    ? "Settle the call by how the %s block ended."
                                    : "Admit the %s block as one call; return the policy.",
                                self->is_async ? "`async with`" : "`with`");
}

static PyGetSetDef descriptor_getset[] = {
    {"__doc__", descriptor_doc, NULL, NULL, NULL},
    {"__name__", descriptor_name, NULL, NULL, NULL},
    {"__text_signature__", descriptor_signature, NULL, NULL, NULL},
    {NULL},
};

static PyMemberDef descriptor_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(DescriptorObject, vectorcall), READONLY, NULL},
    {NULL},
};

static PyType_Slot descriptor_slots[] = {
    {Py_tp_dealloc, hf_free},          {Py_tp_descr_get, descriptor_get},
    {Py_tp_call, PyVectorcall_Call},   {Py_tp_members, descriptor_members},
    {Py_tp_getset, descriptor_getset}, {0, NULL},
};

static int
add_descriptor(PyTypeObject *gate_type, const char *name, bool is_async, bool is_exit)
{
    DescriptorObject *self = PyObject_New(DescriptorObject, descriptor_type);
    if (self == NULL)
        return -1;
    self->vectorcall = descriptor_call;
    self->is_async = is_async;
    self->is_exit = is_exit;
    int answer = PyDict_SetItemString(gate_type->tp_dict, name, (PyObject *)self);
    Py_DECREF(self);
    return answer;
}

int
hf_entry_ready(PyObject *module, PyTypeObject *gate_type)
{
    entry_type = hf_final_type(module, "holdfast._native.gate.Entry", sizeof(EntryObject),
                               Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL, entry_slots);
    descriptor_type =
        hf_final_type(module, "holdfast._native.gate.EntryDescriptor", sizeof(DescriptorObject),
                      Py_TPFLAGS_HAVE_VECTORCALL, descriptor_slots);
    if (entry_type == NULL || descriptor_type == NULL || done_ready(module) < 0 ||
        add_descriptor(gate_type, "__enter__", false, false) < 0 ||
        add_descriptor(gate_type, "__exit__", false, true) < 0 ||
        add_descriptor(gate_type, "__aenter__", true, false) < 0 ||
        add_descriptor(gate_type, "__aexit__", true, true) < 0)
        return -1;
    PyType_Modified(gate_type);
    return 0;
}
