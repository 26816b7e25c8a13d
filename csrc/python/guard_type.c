/*
 * The types of Guard: how one binds, is pickled, shown and dropped.
 */
#include "guard.h"

#include <structmember.h>

static PyObject *
guard_bind(PyObject *op, PyObject *obj, PyObject *type)
{
    (void)type;
    return obj == NULL || obj == Py_None ? Py_NewRef(op) : PyMethod_New(op, obj);
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
