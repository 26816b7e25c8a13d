/*
 * Methods of subclasses. The interpreter specialises the call of a native method only where it is the
 * very class's own: inherited from Gate, `breaker.try_call` and `limiter.try_acquire` would cost some
 * 10 ns more. So each subclass is given its own descriptors of the methods it inherits.
 */
#include "hfpy.h"

/* Whether it is a native method of a gate, but not `cls`' own. */
static bool
is_inherited(PyTypeObject *cls, PyObject *method)
{
    return Py_IS_TYPE(method, &PyMethodDescr_Type) && PyDescr_TYPE(method) != cls &&
           PyType_IsSubtype(PyDescr_TYPE(method), hf_gate_type);
}

/* Give cls its own of each that `base` has under a name, unless a class in between has replaced it. */
static int
own_methods_of(PyTypeObject *cls, PyTypeObject *base)
{
    PyObject *name, *method;
    Py_ssize_t at = 0;
    while (PyDict_Next(base->tp_dict, &at, &name, &method)) {
        if (!is_inherited(cls, method) || _PyType_Lookup(cls, name) != method)
            continue;
        PyObject *own = PyDescr_NewMethod(cls, ((PyMethodDescrObject *)method)->d_method);
        int answer = own == NULL ? -1 : PyObject_SetAttr((PyObject *)cls, name, own);
        Py_XDECREF(own);
        if (answer < 0)
            return -1;
    }
    return 0;
}

/* super().__init_subclass__(*args, **kwargs), for the bases that stand behind Gate. */
static int
tell_others(PyObject *cls, PyObject *args, PyObject *kwargs)
{
    PyObject *others = PyObject_CallFunctionObjArgs((PyObject *)&PySuper_Type,
                                                    (PyObject *)hf_gate_type, cls, NULL);
    PyObject *tell = others == NULL ? NULL : PyObject_GetAttrString(others, "__init_subclass__");
    PyObject *answer = tell == NULL ? NULL : PyObject_Call(tell, args, kwargs);
    Py_XDECREF(answer);
    Py_XDECREF(tell);
    Py_XDECREF(others);
    return answer == NULL ? -1 : 0;
}

/* Gate.__init_subclass__ */
PyObject *
hf_init_subclass(PyObject *op, PyObject *args, PyObject *kwargs)
{
    PyTypeObject *cls = (PyTypeObject *)op;
    if (tell_others(op, args, kwargs) < 0)
        return NULL;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(cls->tp_mro); i++) {
        PyTypeObject *base = (PyTypeObject *)PyTuple_GET_ITEM(cls->tp_mro, i);
        if (PyType_IsSubtype(base, hf_gate_type) && own_methods_of(cls, base) < 0)
            return NULL;
    }
    Py_RETURN_NONE;
}
