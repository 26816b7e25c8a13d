/*
 * Directory: handles by name. A call by name takes one look into a dict, and goes on as the handle's.
 */
#include "handle.h"

#include <structmember.h>

typedef struct {
    PyObject_HEAD
    PyObject *weakrefs;
    PyObject *handles; /* a dict, filled by the subclass in Python */
} DirectoryObject;

/* The gate of that name, strong, from what _missing(name) finds. */
static GateObject *Py_NO_INLINE
gate_missing(DirectoryObject *self, PyObject *name)
{
    if (PyErr_Occurred())
        return NULL;
    PyObject *found = PyObject_CallMethod((PyObject *)self, "_missing", "(O)", name);
    GateObject *gate = NULL;
    if (found != NULL && hf_is_handle(found))
        gate = hf_handle_gate((HandleObject *)found);
    else if (found != NULL)
        PyErr_Format(PyExc_TypeError, "an operation is a handle, not %.100s",
                     Py_TYPE(found)->tp_name);
    Py_XDECREF(found);
    return gate;
}

/* The gate of that name, strong. NULL: an exception is set. */
static inline GateObject *
gate_named(DirectoryObject *self, PyObject *name)
{
#ifdef Py_GIL_DISABLED
    PyObject *found;
    if (PyDict_GetItemRef(self->handles, name, &found) <= 0)
        return gate_missing(self, name);
    GateObject *gate = NULL;
    if (hf_is_handle(found))
        gate = hf_handle_gate((HandleObject *)found);
    else
        gate = gate_missing(self, name);
    Py_DECREF(found);
    return gate;
#else
    PyObject *found = PyDict_GetItemWithError(self->handles, name);
    return found != NULL && hf_is_handle(found) ? hf_handle_gate((HandleObject *)found)
                                                : gate_missing(self, name);
#endif
}

static int
need_both(const char *method, Py_ssize_t nargs)
{
    if (nargs >= 2)
        return 0;
    PyErr_Format(PyExc_TypeError, "%s() needs the name of an operation and the function to call",
                 method);
    return -1;
}

static PyObject *
execute(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    GateObject *gate =
        need_both("execute", nargs) < 0 ? NULL : gate_named((DirectoryObject *)op, args[0]);
    if (gate == NULL)
        return NULL;
    PyObject *result = hf_held_gate_call(gate, "execute", args + 1, nargs - 1, kwnames);
    Py_DECREF((PyObject *)gate);
    return result;
}

static PyObject *
aexecute(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    GateObject *gate =
        need_both("aexecute", nargs) < 0 ? NULL : gate_named((DirectoryObject *)op, args[0]);
    if (gate == NULL)
        return NULL;
    PyObject *result = hf_gate_acall_as(gate, "aexecute", args + 1, nargs - 1, kwnames);
    Py_DECREF((PyObject *)gate);
    return result;
}

static PyObject *
missing(PyObject *op, PyObject *name)
{
    (void)op;
    PyErr_SetObject(PyExc_KeyError, name);
    return NULL;
}

static PyObject *
directory_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args, (void)kwargs;
    DirectoryObject *self = (DirectoryObject *)type->tp_alloc(type, 0);
    if (self != NULL && (self->handles = PyDict_New()) == NULL)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int
directory_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((DirectoryObject *)op)->handles);
    return 0;
}

/* It stays: a call may still come. */
static int
directory_clear(PyObject *op)
{
    PyDict_Clear(((DirectoryObject *)op)->handles);
    return 0;
}

static void
directory_dealloc(PyObject *op)
{
    DirectoryObject *self = (DirectoryObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs(op);
    Py_XDECREF(self->handles);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMemberDef directory_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(DirectoryObject, weakrefs), READONLY, NULL},
    {"_handles", T_OBJECT_EX, offsetof(DirectoryObject, handles), READONLY, NULL},
    {NULL},
};

#define FAST(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef directory_methods[] = {
    {"_missing", missing, METH_O, NULL},
    {"execute", FAST(execute), METH_FASTCALL | METH_KEYWORDS,
     "execute($self, name, fn, /, *args, **kwargs)\n--\n\n"
     "Call fn with all protection that is registered for the operation of that name.\n\n"
     "Args:\n    name: The operation.\n"
     "    fn: The function; *args and **kwargs are its arguments.\n\n"
     "Returns:\n    What fn returns.\n\n"
     "Raises:\n    Rejected: A policy has rejected the call; fn did not run.\n"
     "    UnprotectedError: The operation has no policy, or names a policy that is not registered.\n"
     "    TypeError: fn is a coroutine function, or returned an object that can only be awaited;\n"
     "        use aexecute()."},
    {"aexecute", FAST(aexecute), METH_FASTCALL | METH_KEYWORDS,
     "aexecute($self, name, fn, /, *args, **kwargs)\n--\n\n"
     "Await fn(*args, **kwargs) with all protection registered for the operation of that name.\n\n"
     "Args:\n    name: The operation.\n"
     "    fn: A coroutine function, or a function that returns an awaitable; *args and **kwargs\n"
     "        are its arguments.\n\n"
     "Returns:\n    A coroutine of the result.\n\n"
     "Raises:\n    Rejected: A policy has rejected the call; fn did not run.\n"
     "    UnprotectedError: The operation has no policy, or names a policy that is not registered.\n"
     "    TypeError: fn returned no awaitable; use execute()."},
    {NULL},
};

static PyType_Slot directory_slots[] = {
    {Py_tp_doc, "The native base class of managers: operations by name.\n\n"
                "Safe to share between threads and event loops."},
    {Py_tp_new, directory_new},
    {Py_tp_dealloc, directory_dealloc},
    {Py_tp_traverse, directory_traverse},
    {Py_tp_clear, directory_clear},
    {Py_tp_members, directory_members},
    {Py_tp_methods, directory_methods},
    {0, NULL},
};

static PyType_Spec directory_spec = {
    .name = "holdfast._native.gate.Directory",
    .basicsize = sizeof(DirectoryObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = directory_slots,
};

int
hf_directory_ready(PyObject *module)
{
    hf_directory_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &directory_spec, NULL);
    if (hf_directory_type == NULL)
        return -1;
    return PyModule_AddObjectRef(module, "Directory", (PyObject *)hf_directory_type);
}
