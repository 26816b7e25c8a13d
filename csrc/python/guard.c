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
    uint8_t kind; /* hf_callable */
} GuardObject;

/* ---- what kind of callable ---- */

static PyTypeObject *partial_type; /* functools.partial */

static hf_callable
kind_of_flags(long flags)
{
    if (flags & (CO_COROUTINE | CO_ITERABLE_COROUTINE)) /* the latter: of types.coroutine */
        return HF_CALL_COROUTINE;
    if (flags & CO_ASYNC_GENERATOR)
        return HF_CALL_ASYNC_GENERATOR;
    return flags & CO_GENERATOR ? HF_CALL_GENERATOR : HF_CALL_PLAIN;
}

static PyObject *
attribute_or_null(PyObject *op, const char *name)
{
    PyObject *value = PyObject_GetAttrString(op, name);
    if (value == NULL)
        PyErr_Clear();
    return value;
}

/* Functions, and whatever shows a __code__ of its own as inspect asks for it. */
static hf_callable
kind_of_code(PyObject *fn)
{
    PyObject *code = attribute_or_null(fn, "__code__");
    PyObject *flags = code != NULL ? attribute_or_null(code, "co_flags") : NULL;
    hf_callable kind =
        flags != NULL && PyLong_Check(flags) ? kind_of_flags(PyLong_AsLong(flags)) : HF_CALL_PLAIN;
    Py_XDECREF(flags);
    Py_XDECREF(code);
    return kind;
}

/* The mark that `module` puts on coroutine functions, if anybody has imported it. */
static bool
bears_mark(PyObject *fn, const char *module_name, const char *attribute, const char *mark_name)
{
    PyObject *own = attribute_or_null(fn, attribute);
    if (own == NULL)
        return false;
    PyObject *name = PyUnicode_FromString(module_name);
    PyObject *module = name != NULL ? PyImport_GetModule(name) : NULL;
    PyObject *mark = module != NULL ? attribute_or_null(module, mark_name) : NULL;
    bool marked = own == mark;
    PyErr_Clear();
    Py_XDECREF(mark);
    Py_XDECREF(module);
    Py_XDECREF(name);
    Py_DECREF(own);
    return marked;
}

/* inspect.markcoroutinefunction, as 3.13 and 3.12 have it, and asyncio's older mark. */
static bool
is_marked_coroutine(PyObject *fn)
{
    return bears_mark(fn, "inspect", "_is_coroutine_marker", "_is_coroutine_mark") ||
           bears_mark(fn, "inspect", "_is_coroutine_marker", "_is_coroutine_marker") ||
           bears_mark(fn, "asyncio.coroutines", "_is_coroutine", "_is_coroutine");
}

static hf_callable
kind_behind(PyObject *fn, const char *attribute)
{
    PyObject *behind = attribute_or_null(fn, attribute);
    hf_callable kind = behind != NULL ? hf_callable_kind(behind) : HF_CALL_PLAIN;
    Py_XDECREF(behind);
    return kind;
}

/* What calling `fn` gives, as inspect would tell: through bound methods, partials and callable objects. */
hf_callable
hf_callable_kind(PyObject *fn)
{
    if (Py_IS_TYPE(fn, hf_guard_type))
        return (hf_callable)((GuardObject *)fn)->kind;
    if (PyFunction_Check(fn)) {
        hf_callable kind = kind_of_flags(((PyCodeObject *)PyFunction_GET_CODE(fn))->co_flags);
        PyObject *attributes = ((PyFunctionObject *)fn)->func_dict; /* none: no mark either */
        bool bare = attributes == NULL || PyDict_GET_SIZE(attributes) == 0;
        return kind == HF_CALL_PLAIN && !bare && is_marked_coroutine(fn) ? HF_CALL_COROUTINE : kind;
    }
    if (PyMethod_Check(fn))
        return hf_callable_kind(PyMethod_GET_FUNCTION(fn));
    if (PyType_Check(fn) || PyCFunction_Check(fn))
        return HF_CALL_PLAIN;
    if (PyObject_TypeCheck(fn, partial_type))
        return kind_behind(fn, "func");
    if (is_marked_coroutine(fn))
        return HF_CALL_COROUTINE;
    hf_callable kind = kind_of_code(fn);
    if (kind != HF_CALL_PLAIN)
        return kind;
    PyObject *call = attribute_or_null((PyObject *)Py_TYPE(fn), "__call__");
    if (call != NULL && (PyFunction_Check(call) || Py_IS_TYPE(call, hf_guard_type)))
        kind = hf_callable_kind(call);
    Py_XDECREF(call);
    return kind;
}

/* ---- calling ---- */

/*
 * PyObject_Vectorcall() without its look for a result that comes with an exception: a Python function
 * gives none, and whoever called the guard looks again.
 */
static inline PyObject *
call_through(PyObject *fn, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    if (PyFunction_Check(fn))
        return ((PyFunctionObject *)fn)->vectorcall(fn, args, nargsf, kwnames);
    return PyObject_Vectorcall(fn, args, nargsf, kwnames);
}

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

static PyObject *
call_plain(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    GuardObject *self = (GuardObject *)op;
    hf_pass pass;
    hf_pass_init(&pass);
    if (!hf_gate_enter_lone(self->gate, &pass) && hf_gate_enter_blocking(self->gate, &pass) < 0)
        return NULL;
    PyObject *result = call_through(self->fn, args, nargsf, kwnames);
    if (result != NULL && hf_is_coroutine(result))
        return guard_late(self->gate, &pass, result);
    return hf_gate_leave_lone(self->gate, &pass, result) ? result
                                                         : hf_gate_leave(self->gate, &pass, result);
}

/* Creating a coroutine runs nothing of it, and wrong arguments fail here as they do unguarded. */
static PyObject *
call_coroutine(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    GuardObject *self = (GuardObject *)op;
    PyObject *inner = call_through(self->fn, args, nargsf, kwnames);
    return inner != NULL ? hf_coroutine_of(self->gate, inner) : NULL;
}

/* Generators are driven by Python: admitted at the first item. Creating one runs nothing of it. */
static PyObject *
call_stream(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    GuardObject *self = (GuardObject *)op;
    PyObject *inner = call_through(self->fn, args, nargsf, kwnames);
    if (inner == NULL)
        return NULL;
    return PyObject_CallMethod((PyObject *)self->gate,
                               self->kind == HF_CALL_GENERATOR ? "_generator" : "_async_generator",
                               "N", inner);
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
    PyObject *own = attribute_or_null(self->fn, "__dict__");
    int answer = own != NULL && PyDict_Check(own) ? PyDict_Update(self->dict, own) : 0;
    Py_XDECREF(own);
    for (size_t i = 0; answer == 0 && i < sizeof face / sizeof *face; i++) {
        PyObject *value = attribute_or_null(self->fn, face[i]);
        if (value != NULL)
            answer = PyDict_SetItemString(self->dict, face[i], value);
        Py_XDECREF(value);
    }
    return answer < 0 ? -1 : PyDict_SetItemString(self->dict, "__wrapped__", self->fn);
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
    GuardObject *self = PyObject_GC_New(GuardObject, hf_guard_type);
    if (self == NULL)
        return NULL;
    self->kind = (uint8_t)hf_callable_kind(fn);
    self->vectorcall = calls[self->kind];
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
    GuardObject *self = (GuardObject *)op;
    (void)closure;
    if (value != NULL)
        return PyDict_SetItemString(self->dict, "__annotations__", value);
    if (PyDict_DelItemString(self->dict, "__annotations__") == 0)
        return 0;
    if (PyErr_ExceptionMatches(PyExc_KeyError))
        PyErr_SetString(PyExc_AttributeError, "__annotations__");
    return -1;
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
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs(op);
    Py_XDECREF(self->dict);
    Py_DECREF(self->fn);
    Py_DECREF(self->gate);
    PyObject_GC_Del(op);
    Py_DECREF(type);
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
    PyObject *functools = PyImport_ImportModule("functools");
    if (functools == NULL)
        return -1;
    partial_type = (PyTypeObject *)PyObject_GetAttrString(functools, "partial");
    Py_DECREF(functools);
    if (partial_type == NULL)
        return -1;
    hf_guard_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &guard_spec, NULL);
    return hf_guard_type == NULL
               ? -1
               : PyModule_AddObjectRef(module, "Guard", (PyObject *)hf_guard_type);
}
