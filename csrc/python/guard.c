/*
 * Guard: a guarded callable. No argument tuple, no Python frame of ours: the arguments go straight
 * through to the wrapped function. It has the function's face (guard_face.c), binds like a method and
 * pickles by its qualified name.
 */
#include "control.h"
#include "guard.h"

#include <structmember.h>

PyTypeObject *hf_guard_type, *hf_loose_guard_type, *hf_asking_guard_type;

/* What the function it guards gives when it is called. */
hf_callable
hf_guard_kind(const PyObject *op)
{
    return (hf_callable)((const GuardObject *)op)->kind;
}

/* ---- calling ---- */

/*
 * Whether a call is put off where it would have to wait: its event loop runs here, and what the function
 * gives is awaited, entered or iterated anyhow.
 */
static bool
puts_off(const GuardObject *self)
{
    hf_late late = (hf_late)hf_load_relaxed(&self->late);
    return late != HF_NOT_LATE && late != HF_LATE_FUTURE && hf_loop_runs_here();
}

/* Enter a gate that controls nothing. False: refused, and the exception is set; or to be put off. */
static bool
enter(const GuardObject *self, hf_pass *pass, bool *put_off)
{
    hf_refusal why;
    *put_off = false;
    if (!puts_off(self))
        return hf_gate_enter_blocking(self->gate, pass) == 0;
    switch (hf_gate_enter(self->gate, pass, &why)) {
    case HF_IN:
        return true;
    case HF_MUST_WAIT:
        *put_off = hf_gate_undo(self->gate, pass) == 0;
        break;
    case HF_REFUSED:
        hf_refuse(&why);
        break;
    case HF_BROKEN:
        break;
    }
    return false;
}

/* What was found to come late from the function is guarded, and known for the next call. */
static PyObject *Py_NO_INLINE
guard_late(GuardObject *self, hf_pass *pass, hf_late late, PyObject *result, PyObject *const *args,
           size_t nargsf, PyObject *kwnames)
{
    hf_store_relaxed(&self->late, (uint16_t)late);
    return hf_late_guarded(self->gate, pass, late, result, self->fn, args, nargsf, kwnames);
}

/*
 * A call that is put off: nothing was entered. What would run at once is called in a task that waits;
 * other functions are called, and it is what they give that waits.
 */
static PyObject *Py_NO_INLINE
call_put_off(GuardObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *gate = (PyObject *)self->gate, *tuple, *dict;
    hf_pass nothing;
    if (hf_load_relaxed(&self->late) == HF_LATE_TASK) {
        return hf_pack_call_for_python(args, nargsf, kwnames, &tuple, &dict) < 0
                   ? NULL
                   : PyObject_CallMethod(gate, "_call_in_task", "ONN", self->fn, tuple, dict);
    }
    PyObject *result = hf_invoke(self->fn, args, nargsf, kwnames);
    hf_late late = hf_late_result(result);
    hf_pass_init(&nothing);
    if (late != HF_NOT_LATE && late != HF_LATE_TASK && late != HF_LATE_FUTURE)
        return guard_late(self, &nothing, late, result, args, nargsf, kwnames);
    /* This time it gave something else, which has run: it is admitted late. */
    return result != NULL ? PyObject_CallMethod(gate, "_has_run", "(N)", result) : NULL;
}

/*
 * A guard is held while it is called, as its frame holds a function: not all who call it do. What calls
 * an iterator's callable, a parser's handler or a signal's lets go of it when it is replaced meanwhile.
 */
static PyObject *
call_plain(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    GuardObject *self = (GuardObject *)Py_NewRef(op);
    PyObject *result = NULL;
    bool put_off = false;
    hf_pass pass;
    hf_pass_init(&pass);
    if (hf_gate_enter_lone(self->gate, &pass) || enter(self, &pass, &put_off)) {
        result = hf_invoke(self->fn, args, nargsf, kwnames);
        hf_late late = hf_late_result(result);
        if (late != HF_NOT_LATE)
            result = guard_late(self, &pass, late, result, args, nargsf, kwnames);
        else if (!hf_gate_leave_lone(self->gate, &pass, result))
            result = hf_gate_leave(self->gate, &pass, result);
    } else if (put_off) {
        result = call_put_off(self, args, nargsf, kwnames);
    }
    Py_DECREF(op);
    return result;
}

/* Whether the function's result is awaited: it was so far, or it wraps an `async def` and a loop runs. */
static bool
is_awaited(const GuardObject *self)
{
    hf_late late = (hf_late)hf_load_relaxed(&self->late);
    if (late != HF_NOT_LATE || !hf_loop_runs_here())
        return late == HF_LATE_COROUTINE || late == HF_LATE_AWAITABLE || late == HF_LATE_TASK;
    PyObject *fn = Py_NewRef(self->fn);
    for (int i = 0; fn != NULL && i < 100; i++) { /* wrappers of wrappers, perhaps in a circle */
        PyObject *wrapped = hf_attribute_or_null(fn, "__wrapped__");
        if (wrapped == NULL)
            break;
        Py_SETREF(fn, wrapped);
    }
    bool awaited = hf_callable_kind(fn) == HF_CALL_COROUTINE;
    Py_DECREF(fn);
    PyErr_Clear();
    return awaited;
}

/* What a fallback gave, which is stolen, as the caller expects it: to be awaited, to be entered. */
static PyObject *
as_expected(const GuardObject *self, PyObject *given)
{
    hf_late late = (hf_late)hf_load_relaxed(&self->late);
    bool entered = late == HF_LATE_MANAGER || late == HF_LATE_ASYNC_MANAGER ||
                   (late == HF_NOT_LATE && hf_makes_managers(self->fn));
    if (!entered && !is_awaited(self))
        return given;
    return PyObject_CallMethod((PyObject *)self->gate, entered ? "_given_block" : "_given", "(N)",
                               given);
}

/* The same for calls that retries, timeouts or fallbacks control. */
static PyObject *
call_controlled(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    GuardObject *self = (GuardObject *)Py_NewRef(op);
    hf_late late;
    PyObject *result =
        hf_gate_run_call(self->gate, self->fn, args, nargsf, kwnames, puts_off(self), &late);
    if (late == HF_PUT_OFF && result == NULL && !PyErr_Occurred())
        result = call_put_off(self, args, nargsf, kwnames);
    else if (result != NULL && late == HF_STOOD_IN)
        result = as_expected(self, result);
    else if (result != NULL && late != HF_NOT_LATE && late != HF_STOOD_IN)
        result = guard_late(self, NULL, late, result, args, nargsf, kwnames);
    Py_DECREF(op);
    return result;
}

/* Creating a coroutine runs nothing of it, and wrong arguments fail here as they do unguarded. */
static PyObject *
call_coroutine(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    GuardObject *self = (GuardObject *)Py_NewRef(op);
    PyObject *inner = hf_invoke(self->fn, args, nargsf, kwnames);
    if (inner != NULL)
        inner = self->gate->reruns
                    ? hf_coroutine_of_call(self->gate, inner, self->fn, args, nargsf, kwnames)
                    : hf_coroutine_of(self->gate, inner);
    Py_DECREF(op);
    return inner;
}

/* Generators are driven by Python: admitted at the first item. Creating one runs nothing of it. */
static PyObject *
call_stream(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    GuardObject *self = (GuardObject *)Py_NewRef(op);
    const char *drive = self->kind == HF_CALL_GENERATOR ? "_generator" : "_async_generator";
    PyObject *stream = hf_invoke(self->fn, args, nargsf, kwnames);
    if (stream != NULL)
        stream = hf_gate_stream(self->gate, drive, stream, self->fn, args, nargsf, kwnames);
    Py_DECREF(op);
    return stream;
}

static PyObject *
guard_bind(PyObject *op, PyObject *obj, PyObject *type)
{
    (void)type;
    return obj == NULL || obj == Py_None ? Py_NewRef(op) : PyMethod_New(op, obj);
}

/* What functools.wraps would put into a __dict__: what was set on the function, and the function. */
static PyObject *
attributes_of(PyObject *fn)
{
    PyObject *dict = PyDict_New();
    PyObject *own = dict != NULL ? hf_attribute_or_null(fn, "__dict__") : NULL;
    if (own != NULL && PyDict_Check(own))
        PyDict_Update(dict, own);
    Py_XDECREF(own);
    if (PyErr_Occurred() || PyDict_SetItemString(dict, "__wrapped__", fn) < 0)
        Py_CLEAR(dict);
    return dict;
}

/* Bind what has a __get__ of its own, such as wrapt's wrapper of a class method, and guard the result. */
static PyObject *
guard_ask(PyObject *op, PyObject *obj, PyObject *type)
{
    GuardObject *self = (GuardObject *)Py_NewRef(op);
    PyObject *bound = Py_TYPE(self->fn)->tp_descr_get(self->fn, obj, type), *guard = NULL;
    if (bound == self->fn)
        guard = Py_NewRef(op);
    else if (bound != NULL)
        guard = hf_guard_new(self->gate, bound);
    Py_XDECREF(bound);
    Py_DECREF(op);
    return guard;
}

/* Bound to the instance in a class, or as it says itself, or not at all. */
static PyTypeObject *
type_for(PyObject *fn)
{
    descrgetfunc bind = Py_TYPE(fn)->tp_descr_get;
    if (bind != NULL &&
        bind == hf_partial_type->tp_descr_get) /* of 3.13: warns that it will bind */
        return PY_VERSION_HEX < 0x030E0000 ? hf_loose_guard_type : hf_guard_type;
    if (bind == NULL)
        return hf_loose_guard_type;
    bool as_functions = PyType_HasFeature(Py_TYPE(fn), Py_TPFLAGS_METHOD_DESCRIPTOR);
    return as_functions ? hf_guard_type : hf_asking_guard_type;
}

PyObject *
hf_guard_new(GateObject *gate, PyObject *fn)
{
    static const vectorcallfunc calls[] = {call_plain, call_coroutine, call_stream, call_stream};
    if (!PyCallable_Check(fn)) {
        PyErr_Format(PyExc_TypeError, "%R guards callables, not %.100s", (PyObject *)gate,
                     Py_TYPE(fn)->tp_name);
        return NULL;
    }
    hf_callable kind = hf_callable_kind(fn);
    PyTypeObject *type = type_for(fn);
    GuardObject *self = kind != HF_CALL_BROKEN ? PyObject_GC_New(GuardObject, type) : NULL;
    if (self == NULL)
        return NULL;
    self->kind = (int8_t)kind;
    hf_store_relaxed(&self->late, HF_NOT_LATE);
    self->vectorcall = kind == HF_CALL_PLAIN && gate->controls ? call_controlled : calls[kind];
    self->gate = (GateObject *)Py_NewRef((PyObject *)gate);
    self->fn = Py_NewRef(fn);
    self->weakrefs = self->face = NULL;
    self->dict = attributes_of(fn);
    PyObject_GC_Track(self);
    if (self->dict == NULL)
        Py_CLEAR(self);
    return (PyObject *)self;
}

/* As a function: found again by its name, and a copy of it is itself. */
static PyObject *
guard_reduce(PyObject *op, PyObject *ignored)
{
    (void)ignored;
    PyObject *name = PyObject_GetAttrString(op, "__qualname__");
    if (name == NULL && PyErr_ExceptionMatches(PyExc_AttributeError))
        PyErr_Format(PyExc_TypeError, "cannot pickle %R: it cannot be imported by a name", op);
    return name;
}

static PyObject *
guard_copy(PyObject *op, PyObject *ignored)
{
    (void)ignored;
    return Py_NewRef(op);
}

/* with_options(**options): the function guarded anew, by the pipeline with those options. */
static PyObject *
guard_with_options(PyObject *op, PyObject *args, PyObject *kwargs)
{
    GuardObject *self = (GuardObject *)op;
    if (self->gate->kind != HF_KIND_PIPELINE) {
        PyErr_Format(PyExc_TypeError,
                     "%R is guarded by %R: only a pipeline has policies to replace", self->fn,
                     (PyObject *)self->gate);
        return NULL;
    }
    PyObject *method = PyObject_GetAttrString((PyObject *)self->gate, "with_options");
    PyObject *gate = method == NULL ? NULL : PyObject_Call(method, args, kwargs), *guard = NULL;
    Py_XDECREF(method);
    if (gate != NULL && PyObject_TypeCheck(gate, hf_gate_type))
        guard = hf_guard_new((GateObject *)gate, self->fn);
    else if (gate != NULL)
        PyErr_Format(PyExc_TypeError, "with_options() of %R returned no pipeline",
                     (PyObject *)self->gate);
    Py_XDECREF(gate);
    return guard;
}

static PyObject *
guard_repr(PyObject *op)
{
    GuardObject *self = (GuardObject *)op;
    return PyUnicode_FromFormat("<%R guarded by %R>", self->fn, (PyObject *)self->gate);
}

static int
guard_traverse(PyObject *op, visitproc visit, void *arg)
{
    GuardObject *self = (GuardObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->gate);
    Py_VISIT(self->fn);
    Py_VISIT(self->dict);
    Py_VISIT(self->face);
    return 0;
}

static int
guard_clear(PyObject *op)
{
    GuardObject *self = (GuardObject *)op;
    /* Gate and fn stay: a call may still come while the cycle is taken apart. */
    Py_CLEAR(self->dict);
    Py_CLEAR(self->face);
    return 0;
}

static void
guard_dealloc(PyObject *op)
{
    GuardObject *self = (GuardObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_TRASHCAN_BEGIN(op, guard_dealloc); /* guards of guards may be many */
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs(op);
    Py_XDECREF(self->dict);
    Py_XDECREF(self->face);
    Py_DECREF(self->fn);
    Py_DECREF(self->gate);
    PyObject_GC_Del(op);
    Py_DECREF(type);
    Py_TRASHCAN_END;
}

static PyMemberDef guard_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(GuardObject, vectorcall), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(GuardObject, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(GuardObject, weakrefs), READONLY, NULL},
    {"policy", T_OBJECT_EX, offsetof(GuardObject, gate), READONLY,
     "The policy or pipeline that guards."},
    {NULL},
};

/* Who binds in a way of its own may need the name. */
static PyObject *
tell_name(PyObject *fn, PyObject *owner_and_name)
{
    PyObject *set_name = hf_attribute_or_null(fn, "__set_name__");
    if (set_name == NULL)
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    PyObject *answer = PyObject_Call(set_name, owner_and_name, NULL);
    Py_DECREF(set_name);
    return answer;
}

/* A class makes class methods of functions of two names; of a guard, which is none, it does not. */
static PyObject *
guard_set_name(PyObject *op, PyObject *args)
{
    PyObject *owner, *name;
    if (!PyArg_ParseTuple(args, "OU:__set_name__", &owner, &name))
        return NULL;
    if (Py_IS_TYPE(op, hf_asking_guard_type))
        return tell_name(((GuardObject *)op)->fn, args);
    if (PyUnicode_CompareWithASCIIString(name, "__init_subclass__") != 0 &&
        PyUnicode_CompareWithASCIIString(name, "__class_getitem__") != 0)
        Py_RETURN_NONE;
    PyObject *method = PyClassMethod_New(op);
    int answer = method != NULL ? PyObject_SetAttr(owner, name, method) : -1;
    Py_XDECREF(method);
    if (answer < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef guard_methods[] = {
    {"with_options", (PyCFunction)(void (*)(void))guard_with_options, METH_VARARGS | METH_KEYWORDS,
     "with_options($self, /, **options)\n--\n\n"
     "Return the function guarded by its pipeline with other policies; see Pipeline.with_options.\n\n"
     "Of a method it is one that is not bound, whichever way it was reached: call it with the object.\n\n"
     "Raises:\n    TypeError: What guards is no pipeline.\n    ConfigError: As of Pipeline.with_options."},
    {"__dir__", hf_guard_dir, METH_NOARGS, NULL},
    {"__set_name__", guard_set_name, METH_VARARGS, NULL},
    {"__reduce__", guard_reduce, METH_NOARGS, NULL},
    {"__copy__", guard_copy, METH_NOARGS, NULL},
    {"__deepcopy__", guard_copy, METH_O, NULL},
    {NULL},
};

#define SLOTS                                                                                      \
    {Py_tp_dealloc, guard_dealloc}, {Py_tp_traverse, guard_traverse}, {Py_tp_clear, guard_clear},  \
        {Py_tp_repr, guard_repr}, {Py_tp_call, PyVectorcall_Call},                                 \
        {Py_tp_getattro, hf_guard_getattro}, {Py_tp_setattro, hf_guard_setattro},                  \
        {Py_tp_members, guard_members}, {Py_tp_getset, hf_guard_getset},                           \
    {                                                                                              \
        Py_tp_methods, guard_methods                                                               \
    }

#define FLAGS                                                                                      \
    (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |                        \
     Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION)

static PyType_Slot guard_slots[] = {SLOTS, {Py_tp_descr_get, guard_bind}, {0, NULL}};

static PyType_Spec guard_spec = {
    .name = "holdfast._native.gate.Guard",
    .basicsize = sizeof(GuardObject),
    .flags = FLAGS | Py_TPFLAGS_METHOD_DESCRIPTOR,
    .slots = guard_slots,
};

/*
 * Of what is no method in a class: a class, a builtin function, an object, a partial (before 3.14). The
 * flag that makes calls of methods cheap belongs to a type, so there are three, with that of who is asked.
 */
static PyType_Slot loose_slots[] = {SLOTS, {0, NULL}};

static PyType_Spec loose_spec = {
    .name = "holdfast._native.gate.LooseGuard",
    .basicsize = sizeof(GuardObject),
    .flags = FLAGS,
    .slots = loose_slots,
};

static PyType_Slot asking_slots[] = {SLOTS, {Py_tp_descr_get, guard_ask}, {0, NULL}};

static PyType_Spec asking_spec = {
    .name = "holdfast._native.gate.AskingGuard",
    .basicsize = sizeof(GuardObject),
    .flags = FLAGS,
    .slots = asking_slots,
};

int
hf_guard_ready(PyObject *module)
{
    if (hf_callable_kind_ready() < 0 || hf_late_ready() < 0 || hf_guard_face_ready() < 0)
        return -1;
    hf_guard_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &guard_spec, NULL);
    hf_loose_guard_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &loose_spec, NULL);
    hf_asking_guard_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &asking_spec, NULL);
    if (hf_guard_type == NULL || hf_loose_guard_type == NULL || hf_asking_guard_type == NULL)
        return -1;
    return PyModule_AddObjectRef(module, "Guard", (PyObject *)hf_guard_type);
}
