/*
 * What an object refers to. gc.get_referents() answers the same, but without the GIL it stops all other
 * threads of the process for each answer, and a daemon thread that asks while the interpreter ends keeps
 * it from ending.
 */
#include "hfpy.h"

static int
add(PyObject *one, void *found)
{
    return PyList_Append(found, one);
}

/* Safe only for objects that no other thread changes, such as a suspended coroutine of this thread's loop. */
PyObject *
hf_referents(PyObject *module, PyObject *one)
{
    (void)module;
    PyObject *found = PyList_New(0);
    traverseproc traverse = PyObject_IS_GC(one) ? Py_TYPE(one)->tp_traverse : NULL;
    if (found != NULL && traverse != NULL && traverse(one, add, found) != 0)
        Py_CLEAR(found);
    return found;
}
