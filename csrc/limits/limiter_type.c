/*
 * Limiter: the base of the strategies of the face. Over a table it answers itself; without one it asks the
 * Python of the face, which goes to a storage of somebody else's.
 */
#include "limits.h"

#include <stddef.h>
#include <string.h>

typedef struct LimiterObject {
    PyObject_HEAD
    WindowsObject *table; /* or NULL */
    PyObject *former;     /* a list of the tables that it had, or NULL; see hf_keep() */
} LimiterObject;

PyTypeObject *hf_limiter_type;
static PyObject *word_hit, *word_test; /* of its methods in Python */

static int
limiter_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((LimiterObject *)op)->table);
    Py_VISIT(((LimiterObject *)op)->former);
    return 0;
}

static int
limiter_clear(PyObject *op)
{
    Py_CLEAR(((LimiterObject *)op)->table);
    Py_CLEAR(((LimiterObject *)op)->former);
    return 0;
}

static void
limiter_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    (void)limiter_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *
get_table(PyObject *op, void *closure)
{
    PyObject *table = (PyObject *)HF_GET_POINTER(&((LimiterObject *)op)->table);
    (void)closure;
    return Py_NewRef(table != NULL ? table : Py_None);
}

static int
set_table(PyObject *op, PyObject *value, void *closure)
{
    LimiterObject *self = (LimiterObject *)op;
    WindowsObject *before = NULL;
    int answer;
    (void)closure;
    if (value == NULL || (value != Py_None && !hf_is_windows(value))) {
        PyErr_SetString(PyExc_TypeError, "table: allowed None or a table of windows");
        return -1;
    }
    HF_BEGIN_EXCLUSIVE(op);
    answer = self->table != NULL ? hf_keep(&self->former, (PyObject *)self->table) : 0;
    if (answer == 0) {
        before = self->table;
        HF_SET_POINTER(&self->table, value == Py_None ? NULL : (WindowsObject *)Py_NewRef(value));
    }
    HF_END_EXCLUSIVE();
    Py_XDECREF(before);
    return answer;
}

/* self.<name>(*args, **kwargs) */
static PyObject *
in_python(PyObject *op, PyObject *name, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    const Py_ssize_t n = nargs + (kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0);
    PyObject **all = PyMem_New(PyObject *, (size_t)n + 1);
    if (all == NULL)
        return PyErr_NoMemory();
    all[0] = op;
    if (n > 0)
        memcpy(all + 1, args, (size_t)n * sizeof *all);
    PyObject *answer = PyObject_VectorcallMethod(name, all, (size_t)nargs + 1, kwnames);
    PyMem_Free(all);
    return answer;
}

static PyObject *
hit(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    WindowsObject *table = (WindowsObject *)HF_USE_POINTER(&((LimiterObject *)op)->table);
    if (HF_UNLIKELY(table == NULL))
        return in_python(op, word_hit, args, nargs, kwnames);
    PyObject *answer = hf_hit(table, args, nargs, kwnames);
    HF_USED(table);
    return answer;
}

static PyObject *
test(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    WindowsObject *table = (WindowsObject *)HF_USE_POINTER(&((LimiterObject *)op)->table);
    if (HF_UNLIKELY(table == NULL))
        return in_python(op, word_test, args, nargs, kwnames);
    PyObject *answer = hf_test(table, args, nargs, kwnames);
    HF_USED(table);
    return answer;
}

static PyGetSetDef limiter_getset[] = {
    {"table", get_table, set_table, "The table that answers; None: _hit() and _test() do.", NULL},
    {NULL},
};

#define FAST(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef limiter_methods[] = {
    {"hit", FAST(hit), METH_FASTCALL | METH_KEYWORDS,
     "hit($self, item, /, *identifiers, cost=1)\n--\n\n"
     "Consume the rate limit.\n\n"
     "Args:\n    item: The rate limit item.\n"
     "    identifiers: What the limit is counted for, joined with '/'.\n"
     "    cost: How much this hit consumes, 0 or more; rounded up.\n\n"
     "Returns:\n    Whether the limit held it.\n\n"
     "Raises:\n    TypeError: cost is no number.\n    ValueError: cost is negative."},
    {"test", FAST(test), METH_FASTCALL | METH_KEYWORDS,
     "test($self, item, /, *identifiers, cost=1)\n--\n\n"
     "Return whether the rate limit would hold a hit of this cost. Consumes nothing.\n\n"
     "Raises:\n    TypeError: cost is no number.\n    ValueError: cost is negative."},
    {NULL},
};

/*
 * own_methods(cls): give a subclass the methods as its own. The interpreter makes the call of a native method
 * cheap only where it is the very class's.
 */
PyObject *
hf_limiter_own_methods(PyObject *module, PyObject *op)
{
    (void)module;
    PyTypeObject *cls = (PyTypeObject *)op;
    if (!PyType_Check(op) || !PyType_IsSubtype(cls, hf_limiter_type)) {
        PyErr_SetString(PyExc_TypeError, "own_methods: allowed a subclass of Limiter");
        return NULL;
    }
    for (PyMethodDef *method = limiter_methods; method->ml_name != NULL; method++) {
        PyObject *found = PyObject_GetAttrString(op, method->ml_name);
        if (found == NULL)
            return NULL;
        const bool ours = Py_IS_TYPE(found, &PyMethodDescr_Type) &&
                          ((PyMethodDescrObject *)found)->d_method == method;
        Py_DECREF(found);
        PyObject *own = ours ? PyDescr_NewMethod(cls, method) : NULL;
        if (ours && (own == NULL || PyObject_SetAttrString(op, method->ml_name, own) < 0)) {
            Py_XDECREF(own);
            return NULL;
        }
        Py_XDECREF(own);
    }
    Py_RETURN_NONE;
}

static PyType_Slot limiter_slots[] = {
    {Py_tp_doc, "The native base class of strategies over a table of windows.\n\n"
                "Safe to share between threads and event loops; no method waits."},
    {Py_tp_dealloc, limiter_dealloc},
    {Py_tp_traverse, limiter_traverse},
    {Py_tp_clear, limiter_clear},
    {Py_tp_getset, limiter_getset},
    {Py_tp_methods, limiter_methods},
    {0, NULL},
};

static PyType_Spec limiter_spec = {
    .name = "holdfast._native.limit_windows.Limiter",
    .basicsize = sizeof(LimiterObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = limiter_slots,
};

int
hf_limiter_ready(PyObject *module)
{
    word_hit = PyUnicode_InternFromString("_hit");
    word_test = PyUnicode_InternFromString("_test");
    hf_limiter_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &limiter_spec, NULL);
    if (word_hit == NULL || word_test == NULL || hf_limiter_type == NULL)
        return -1;
    return PyModule_AddObjectRef(module, "Limiter", (PyObject *)hf_limiter_type);
}
