/*
 * The types of Guard: how one binds, is looked at and dropped.
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
        guard = hf_guard_new(self->policy, bound);
    Py_XDECREF(bound);
    Py_DECREF(op);
    return guard;
}

static PyObject *
guard_repr(PyObject *op)
{
    GuardObject *self = (GuardObject *)op;
    return PyUnicode_FromFormat("<%R guarded by %R>", self->fn, self->policy);
}

static int
guard_traverse(PyObject *op, visitproc visit, void *arg)
{
    GuardObject *self = (GuardObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->policy);
    Py_VISIT(self->fn);
    Py_VISIT(self->dict);
    Py_VISIT(self->face);
    return 0;
}

static int
guard_clear(PyObject *op)
{
    GuardObject *self = (GuardObject *)op;
    /* Policy and fn stay: a call may still come while the cycle is taken apart. */
    Py_CLEAR(self->dict);
    PyDict_Clear(self->face);
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
    Py_DECREF(self->policy);
    PyObject_GC_Del(op);
    Py_DECREF(type);
    Py_TRASHCAN_END;
}

static PyMemberDef guard_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(GuardObject, vectorcall), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(GuardObject, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(GuardObject, weakrefs), READONLY, NULL},
    {"policy", T_OBJECT_EX, offsetof(GuardObject, policy), READONLY,
     "The policy, pipeline or operation that guards."},
    {NULL},
};

/* ---- the face: what a guard looks like, as holdfast/guards.py says ---- */

/* dicts: name -> get(guard, name), name -> set(guard, name, [value]). NULL until there are policies. */
static PyObject *getters, *setters;

static PyObject *
guard_getattro(PyObject *op, PyObject *name)
{
    PyObject *get = getters != NULL ? PyDict_GetItemWithError(getters, name) : NULL;
    PyObject *args[] = {op, name}, *value = NULL;
    if (get != NULL)
        value = PyObject_Vectorcall(get, args, 2, NULL);
    if (value != Py_NotImplemented && (value != NULL || PyErr_Occurred()))
        return value;
    Py_XDECREF(value);
    return PyObject_GenericGetAttr(op, name);
}

static int
guard_setattro(PyObject *op, PyObject *name, PyObject *value)
{
    PyObject *set = setters != NULL ? PyDict_GetItemWithError(setters, name) : NULL;
    PyObject *args[] = {op, name, value}, *answer = NULL;
    if (set != NULL)
        answer = PyObject_Vectorcall(set, args, value != NULL ? 3 : 2, NULL);
    if (answer == NULL && PyErr_Occurred())
        return -1;
    bool done = answer != NULL && answer != Py_NotImplemented;
    Py_XDECREF(answer);
    return done ? 0 : PyObject_GenericSetAttr(op, name, value);
}

/*
 * _install_guard_face(attributes, getters, setters): further attributes of the types, and what is called for
 * names that cannot be any. Those of the first import stay: another thread may be looking at a guard.
 */
PyObject *
hf_guard_install_face(PyObject *module, PyObject *given)
{
    PyTypeObject *types[] = {hf_guard_type, hf_loose_guard_type, hf_asking_guard_type};
    PyObject *attributes, *get, *set;
    (void)module;
    if (!PyArg_ParseTuple(given, "O!O!O!:_install_guard_face", &PyDict_Type, &attributes,
                          &PyDict_Type, &get, &PyDict_Type, &set))
        return NULL;
    for (size_t i = 0; getters == NULL && i < sizeof types / sizeof *types; i++) {
        if (PyDict_Update(types[i]->tp_dict, attributes) < 0)
            return NULL;
        PyType_Modified(types[i]);
    }
    if (getters == NULL) {
        getters = Py_NewRef(get);
        setters = Py_NewRef(set);
    }
    Py_RETURN_NONE;
}

/* _inside_guard(op): what the guard guards, and the dict of what was set of its face. None: it is no guard. */
PyObject *
hf_guard_inside(PyObject *module, PyObject *op)
{
    GuardObject *self = (GuardObject *)op;
    (void)module;
    return hf_is_guard(op) ? PyTuple_Pack(2, self->fn, self->face) : Py_NewRef(Py_None);
}

static PyGetSetDef guard_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL},
};

#define SLOTS                                                                                      \
    {Py_tp_dealloc, guard_dealloc}, {Py_tp_traverse, guard_traverse}, {Py_tp_clear, guard_clear},  \
        {Py_tp_repr, guard_repr}, {Py_tp_call, PyVectorcall_Call},                                 \
        {Py_tp_getattro, guard_getattro}, {Py_tp_setattro, guard_setattro},                        \
        {Py_tp_members, guard_members},                                                            \
    {                                                                                              \
        Py_tp_getset, guard_getset                                                                 \
    }

/* Users name this type, and none of the others, in annotations. */
static PyMethodDef guard_methods[] = {
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     "__class_getitem__($type, item, /)\n--\n\nReturn Guard[item], for annotations."},
    {NULL},
};

static PyType_Slot guard_slots[] = {
    SLOTS,
    {Py_tp_descr_get, guard_bind},
    {Py_tp_methods, guard_methods},
    {0, NULL},
};

/*
 * Of what is no method in a class: a class, a builtin function, an object, a partial (before 3.14). The
 * flag that makes calls of methods cheap belongs to a type, so there are three, with that of who is asked.
 */
static PyType_Slot loose_slots[] = {SLOTS, {0, NULL}};

static PyType_Slot asking_slots[] = {SLOTS, {Py_tp_descr_get, guard_ask}, {0, NULL}};

int
hf_guard_ready(PyObject *module)
{
    if (hf_callable_kind_ready() < 0 || hf_late_ready() < 0)
        return -1;
    unsigned long flags = Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL;
    hf_guard_type = hf_final_type(module, "holdfast._native.gate.Guard", sizeof(GuardObject),
                                  flags | Py_TPFLAGS_METHOD_DESCRIPTOR, guard_slots);
    hf_loose_guard_type = hf_final_type(module, "holdfast._native.gate.LooseGuard",
                                        sizeof(GuardObject), flags, loose_slots);
    hf_asking_guard_type = hf_final_type(module, "holdfast._native.gate.AskingGuard",
                                         sizeof(GuardObject), flags, asking_slots);
    if (hf_loose_guard_type == NULL || hf_asking_guard_type == NULL)
        return -1;
    return PyModule_AddObjectRef(module, "Guard", (PyObject *)hf_guard_type);
}
