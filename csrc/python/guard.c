/*
 * Guard: a guarded callable. No argument tuple, no Python frame of ours: the arguments go straight
 * through to the wrapped function. It wears the function's name, signature and code flags, binds like
 * a method and pickles by its qualified name.
 */
#include "hfpy.h"

#include <structmember.h>

PyTypeObject *hf_guard_type;

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    GateObject *gate;
    PyObject *fn;
    PyObject *dict;
    PyObject *weakrefs;
    int8_t kind; /* hf_callable */
} GuardObject;

/* What the function it guards gives when it is called. */
hf_callable
hf_guard_kind(const PyObject *op)
{
    return (hf_callable)((const GuardObject *)op)->kind;
}

/* ---- calling ---- */

/*
 * A plain function that answered with a coroutine, as many a wrapper of an `async def` does: nothing of
 * that has run. It is guarded when it is awaited, and this call was as if it had never been asked for.
 */
static PyObject *Py_NO_INLINE
guard_late(GateObject *gate, hf_pass *pass, PyObject *coroutine)
{
    if (hf_gate_undo(gate, pass) == 0)
        return hf_coroutine_of(gate, coroutine);
    Py_DECREF(coroutine);
    return NULL;
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
    hf_pass pass;
    hf_pass_init(&pass);
    if (hf_gate_enter_lone(self->gate, &pass) || hf_gate_enter_blocking(self->gate, &pass) == 0) {
        result = hf_invoke(self->fn, args, nargsf, kwnames);
        if (result != NULL && hf_is_coroutine(result))
            result = guard_late(self->gate, &pass, result);
        else if (!hf_gate_leave_lone(self->gate, &pass, result))
            result = hf_gate_leave(self->gate, &pass, result);
    }
    Py_DECREF(op);
    return result;
}

/* The same for calls that retries, timeouts or fallbacks control. */
static PyObject *
call_controlled(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    GuardObject *self = (GuardObject *)Py_NewRef(op);
    PyObject *result = hf_gate_run_call(self->gate, self->fn, args, nargsf, kwnames);
    if (result != NULL && hf_is_coroutine(result))
        result = hf_coroutine_of_call(self->gate, result, self->fn, args, nargsf, kwnames);
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

/* ---- wearing the function's face ---- */

static const char *const face[] = {
    "__module__",
    "__name__",
    "__qualname__",
    "__doc__",
    "__type_params__",
    /* what inspect asks a function-like object for: */
    "__code__",
    "__defaults__",
    "__kwdefaults__",
};

static int
wear(GuardObject *self)
{
    PyObject *own = hf_attribute_or_null(self->fn, "__dict__");
    if (own != NULL && PyDict_Check(own))
        PyDict_Update(self->dict, own);
    Py_XDECREF(own);
    for (size_t i = 0; !PyErr_Occurred() && i < sizeof face / sizeof *face; i++) {
        PyObject *value = hf_attribute_or_null(self->fn, face[i]);
        if (value != NULL)
            PyDict_SetItemString(self->dict, face[i], value);
        Py_XDECREF(value);
    }
    return PyErr_Occurred() ? -1 : PyDict_SetItemString(self->dict, "__wrapped__", self->fn);
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
    GuardObject *self = kind != HF_CALL_BROKEN ? PyObject_GC_New(GuardObject, hf_guard_type) : NULL;
    if (self == NULL)
        return NULL;
    self->kind = (int8_t)kind;
    self->vectorcall = kind == HF_CALL_PLAIN && gate->controls ? call_controlled : calls[kind];
    self->gate = (GateObject *)Py_NewRef((PyObject *)gate);
    self->fn = Py_NewRef(fn);
    self->weakrefs = NULL;
    self->dict = PyDict_New();
    PyObject_GC_Track(self);
    if (self->dict == NULL || wear(self) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* Annotations are not copied: from 3.14 on they are evaluated only for those who look. */
static PyObject *
guard_annotations(PyObject *op, void *closure)
{
    GuardObject *self = (GuardObject *)op;
    (void)closure;
    PyObject *own = self->dict != NULL ? PyDict_GetItemString(self->dict, "__annotations__") : NULL;
    return own != NULL ? Py_NewRef(own) : PyObject_GetAttrString(self->fn, "__annotations__");
}

static int
guard_set_annotations(PyObject *op, PyObject *value, void *closure)
{
    (void)closure;
    /* Made anew where the collector has taken it. */
    PyObject *dict = PyObject_GenericGetDict(op, NULL);
    if (dict == NULL)
        return -1;
    int answer = value != NULL ? PyDict_SetItemString(dict, "__annotations__", value)
                               : PyDict_DelItemString(dict, "__annotations__");
    Py_DECREF(dict);
    if (answer < 0 && value == NULL && PyErr_ExceptionMatches(PyExc_KeyError))
        PyErr_SetString(PyExc_AttributeError, "__annotations__");
    return answer;
}

/* As a function: found again by its name, and a copy of it is itself. */
static PyObject *
guard_reduce(PyObject *op, PyObject *ignored)
{
    (void)ignored;
    PyObject *name = PyObject_GetAttrString(op, "__qualname__");
    if (name == NULL && PyErr_ExceptionMatches(PyExc_AttributeError))
        PyErr_Format(PyExc_TypeError, "cannot pickle %R: it has no name to be found by", op);
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
                     "%R is guarded by %R: only a pipeline has policies to be exchanged", self->fn,
                     (PyObject *)self->gate);
        return NULL;
    }
    PyObject *method = PyObject_GetAttrString((PyObject *)self->gate, "with_options");
    PyObject *gate = method == NULL ? NULL : PyObject_Call(method, args, kwargs), *guard = NULL;
    Py_XDECREF(method);
    if (gate != NULL && PyObject_TypeCheck(gate, hf_gate_type))
        guard = hf_guard_new((GateObject *)gate, self->fn);
    else if (gate != NULL)
        PyErr_Format(PyExc_TypeError, "with_options() of %R gave no pipeline",
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
    return 0;
}

static int
guard_clear(PyObject *op)
{
    GuardObject *self = (GuardObject *)op;
    /* Gate and fn stay: a call may still come while the cycle is taken apart. */
    Py_CLEAR(self->dict);
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

static PyGetSetDef guard_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {"__annotations__", guard_annotations, guard_set_annotations, NULL, NULL},
    {NULL},
};

static PyMethodDef guard_methods[] = {
    {"with_options", (PyCFunction)(void (*)(void))guard_with_options, METH_VARARGS | METH_KEYWORDS,
     "with_options($self, /, **options)\n--\n\n"
     "Return the function guarded by its pipeline with other policies; see Pipeline.with_options.\n\n"
     "Of a method it is one that is not bound, whichever way it was reached: call it with the object.\n\n"
     "Raises:\n    TypeError: What guards is no pipeline.\n    ConfigError: As of Pipeline.with_options."},
    {"__reduce__", guard_reduce, METH_NOARGS, NULL},
    {"__copy__", guard_copy, METH_NOARGS, NULL},
    {"__deepcopy__", guard_copy, METH_O, NULL},
    {NULL},
};

static PyType_Slot guard_slots[] = {
    {Py_tp_dealloc, guard_dealloc},  {Py_tp_traverse, guard_traverse},
    {Py_tp_clear, guard_clear},      {Py_tp_repr, guard_repr},
    {Py_tp_call, PyVectorcall_Call}, {Py_tp_descr_get, guard_bind},
    {Py_tp_members, guard_members},  {Py_tp_getset, guard_getset},
    {Py_tp_methods, guard_methods},  {0, NULL},
};

static PyType_Spec guard_spec = {
    .name = "holdfast._native.gate.Guard",
    .basicsize = sizeof(GuardObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = guard_slots,
};

int
hf_guard_ready(PyObject *module)
{
    if (hf_callable_kind_ready() < 0)
        return -1;
    hf_guard_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &guard_spec, NULL);
    return hf_guard_type == NULL
               ? -1
               : PyModule_AddObjectRef(module, "Guard", (PyObject *)hf_guard_type);
}
