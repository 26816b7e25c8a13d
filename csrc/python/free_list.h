/*
 * Memory of objects that have died, for the next ones of their type, which it keeps. With the GIL alone:
 * without it there is no list, and objects come from the interpreter.
 */
#ifndef HF_FREE_LIST_H
#define HF_FREE_LIST_H

#include <Python.h>

#define HF_LONGEST_FREE_LIST 64
typedef struct hf_free_list {
    PyObject *kept[HF_LONGEST_FREE_LIST];
    int n, most;
} hf_free_list;

/* An object that the collector does not track yet. NULL: no memory; that is set. */
static inline PyObject *
hf_free_list_new(hf_free_list *list, PyTypeObject *type)
{
#ifndef Py_GIL_DISABLED
    if (list->n > 0) {
        PyObject *op = list->kept[--list->n];
        _Py_NewReference(op); /* its type it has kept */
        return op;
    }
#else
    (void)list;
#endif
    return PyObject_GC_New(PyObject, type);
}

/* An emptied object that the collector does not track any more. */
static inline void
hf_free_list_del(hf_free_list *list, PyObject *op)
{
#ifndef Py_GIL_DISABLED
    if (list->n < list->most) {
        list->kept[list->n++] = op;
        return;
    }
#else
    (void)list;
#endif
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

#endif /* HF_FREE_LIST_H */
