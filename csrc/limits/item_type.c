/*
 * Item: the base of the items of the face. It keeps its plan, so a hit finds that without asking a dict.
 *
 * A hit reads the plan without a lock. So without the GIL, a plan that an item had before is kept until the item
 * ends; with it, a hit has a reference of its own.
 */
#include "limits.h"

#include <stddef.h>

PyTypeObject *hf_item_type;

static int
item_traverse(PyObject *op, visitproc visit, void *arg)
{
    ItemObject *self = (ItemObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->namespace);
    Py_VISIT(self->amount);
    Py_VISIT(self->multiples);
    Py_VISIT(self->plan);
    Py_VISIT(self->parked);
    return 0;
}

static int
item_clear(PyObject *op)
{
    ItemObject *self = (ItemObject *)op;
    Py_CLEAR(self->namespace);
    Py_CLEAR(self->amount);
    Py_CLEAR(self->multiples);
    Py_CLEAR(self->plan);
    Py_CLEAR(self->parked);
    return 0;
}

static void
item_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    (void)item_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

int
hf_keep(PyObject **list, PyObject *replaced)
{
#ifdef HF_SERIALIZED
    (void)list, (void)replaced;
    return 0;
#else
    if (*list == NULL && (*list = PyList_New(0)) == NULL)
        return -1;
    const int is_kept = PySequence_Contains(*list, replaced);
    return is_kept == 0 ? PyList_Append(*list, replaced) : is_kept < 0 ? -1 : 0;
#endif
}

/* Replace the plan; NULL: it is to be asked for. */
int
hf_item_set_plan(ItemObject *self, PyObject *plan)
{
    PyObject *before = NULL;
    int answer = 0;
    HF_BEGIN_EXCLUSIVE((PyObject *)self);
    if (self->plan != NULL && self->plan != plan)
        answer = hf_keep(&self->parked, self->plan);
    if (answer == 0) {
        before = self->plan;
        HF_SET_POINTER(&self->plan, Py_XNewRef(plan));
    }
    HF_END_EXCLUSIVE();
    Py_XDECREF(before);
    return answer;
}

static PyObject *
get_field(PyObject *op, void *closure)
{
    PyObject **at = (PyObject **)((char *)op + (size_t)closure), *value;
    HF_BEGIN_EXCLUSIVE(op);
    value = Py_XNewRef(*at);
    HF_END_EXCLUSIVE();
    if (value == NULL)
        PyErr_Format(PyExc_AttributeError, "'%.100s' object has no attribute '%s'",
                     Py_TYPE(op)->tp_name,
                     (size_t)closure == offsetof(ItemObject, namespace) ? "namespace"
                     : (size_t)closure == offsetof(ItemObject, amount)  ? "amount"
                                                                        : "multiples");
    return value;
}

static int
set_field(PyObject *op, PyObject *value, void *closure)
{
    PyObject **at = (PyObject **)((char *)op + (size_t)closure), *before;
    HF_BEGIN_EXCLUSIVE(op);
    before = *at;
    *at = Py_XNewRef(value);
    HF_END_EXCLUSIVE();
    Py_XDECREF(before);
    return hf_item_set_plan((ItemObject *)op, NULL);
}

static PyObject *
get_plan(PyObject *op, void *closure)
{
    PyObject *plan = HF_GET_POINTER(&((ItemObject *)op)->plan);
    (void)closure;
    return Py_NewRef(plan != NULL ? plan : Py_None);
}

static int
set_plan(PyObject *op, PyObject *value, void *closure)
{
    (void)closure;
    if (value == Py_None)
        value = NULL;
    if (value != NULL && !Py_IS_TYPE(value, hf_plan_type)) {
        PyErr_Format(PyExc_TypeError, "plan: got %R, allowed None or a Plan", value);
        return -1;
    }
    return hf_item_set_plan((ItemObject *)op, value);
}

/* As of a class with slots, so that copy and pickle go on as with one. */
static PyObject *
get_state(PyObject *op, PyObject *ignored)
{
    static const char *const names[] = {"namespace", "amount", "multiples"};
    (void)ignored;
    PyObject *fields = PyDict_New();
    for (int i = 0; fields != NULL && i < 3; i++) {
        PyObject *value = PyObject_GetAttrString(op, names[i]);
        if (value == NULL)
            PyErr_Clear(); /* it is not set yet */
        else if (PyDict_SetItemString(fields, names[i], value) < 0)
            Py_CLEAR(fields);
        Py_XDECREF(value);
    }
    PyObject *dict = PyObject_GetAttrString(op, "__dict__"); /* of a subclass that has one */
    if (dict == NULL) {
        PyErr_Clear();
        dict = Py_NewRef(Py_None);
    }
    PyObject *state = fields != NULL ? PyTuple_Pack(2, dict, fields) : NULL;
    Py_DECREF(dict);
    Py_XDECREF(fields);
    return state;
}

static PyGetSetDef item_getset[] = {
    {"namespace", get_field, set_field, NULL, (void *)offsetof(ItemObject, namespace)},
    {"amount", get_field, set_field, NULL, (void *)offsetof(ItemObject, amount)},
    {"multiples", get_field, set_field, NULL, (void *)offsetof(ItemObject, multiples)},
    {"plan", get_plan, set_plan, "What it means to a table; None: to be asked for.", NULL},
    {NULL},
};

static PyMethodDef item_methods[] = {
    {"__getstate__", get_state, METH_NOARGS, NULL},
    {NULL},
};

static PyType_Slot item_slots[] = {
    {Py_tp_doc,
     "The native base class of rate limit items: namespace, amount, multiples, plan.\n\n"
     "A change of one of the first three drops the plan. Safe to share between threads."},
    {Py_tp_dealloc, item_dealloc},
    {Py_tp_traverse, item_traverse},
    {Py_tp_clear, item_clear},
    {Py_tp_getset, item_getset},
    {Py_tp_methods, item_methods},
    {0, NULL},
};

static PyType_Spec item_spec = {
    .name = "holdfast._native.limit_windows.Item",
    .basicsize = sizeof(ItemObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = item_slots,
};

int
hf_item_ready(PyObject *module)
{
    hf_item_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &item_spec, NULL);
    if (hf_item_type == NULL)
        return -1;
    return PyModule_AddObjectRef(module, "Item", (PyObject *)hf_item_type);
}
