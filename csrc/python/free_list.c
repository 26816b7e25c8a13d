/*
 * Where the free lists are, and how a thread without the GIL begins and ends its own.
 */
#include "free_list.h"

void
hf_free_list_free(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

#ifndef Py_GIL_DISABLED

hf_free_lists hf_free_lists_of_all;

PyObject *
hf_free_list_new_slowly(PyTypeObject *type)
{
    return PyObject_GC_New(PyObject, type);
}

#else

HF_HERE hf_free_lists *hf_free_lists_here;

/* The thread state whose lists are freed: what dies or is made after that has none. */
static _Thread_local uint64_t ended;

#define CAPSULE_NAME "holdfast.free_lists"

/* Another thread may do this: in a forked child, for a thread that is not there. */
static void
end_thread(PyObject *capsule)
{
    hf_free_lists *lists = PyCapsule_GetPointer(capsule, CAPSULE_NAME);
    if (lists == hf_free_lists_here) {
        hf_free_lists_here = NULL;
        ended = PyThreadState_GetID(PyThreadState_Get());
    }
    for (int which = 0; which < HF_N_FREE_LISTS; which++) {
        while (lists->of[which].n > 0)
            hf_free_list_free(lists->of[which].kept[--lists->of[which].n]);
    }
    Py_XDECREF((PyObject *)lists->spare_stop);
    PyMem_Free(lists);
}

/* The thread's own dictionary dies with it, and then its lists do. Without memory there are none. */
static void
begin_thread(void)
{
    if (ended == PyThreadState_GetID(PyThreadState_Get()))
        return;
    PyObject *raised = hf_take_exception();
    PyObject *dict = PyThreadState_GetDict(); /* borrowed */
    hf_free_lists *lists = dict != NULL ? PyMem_Calloc(1, sizeof *lists) : NULL;
    PyObject *capsule = lists != NULL ? PyCapsule_New(lists, CAPSULE_NAME, end_thread) : NULL;
    if (capsule != NULL) {
        hf_free_lists_here = lists;
        PyDict_SetItemString(dict, CAPSULE_NAME, capsule); /* else both die here */
        Py_DECREF(capsule);
    } else {
        PyMem_Free(lists);
    }
    PyErr_Clear();
    hf_give_exception(raised);
}

PyObject *
hf_free_list_new_slowly(PyTypeObject *type)
{
    PyObject *op = PyObject_GC_New(PyObject, type);
    if (op != NULL && hf_free_lists_here == NULL)
        begin_thread();
    return op;
}

#endif
