/*
 * What waiting/own_places.py asks, to find waits that cannot end: how many places of a bulkhead something holds
 * (a permit, the entry of a block, a call under way, or a gate that an exit stack will leave), and what is
 * held by what.
 */
#include "hfpy.h"

/* _places_in(holder): how many places of this policy the holder has. */
PyObject *
hf_gate_places_in(PyObject *op, PyObject *holder)
{
    const GateObject *gate = NULL;
    const hf_pass *pass = hf_entry_pass(holder, &gate);
    if (pass == NULL)
        pass = hf_permit_pass(holder, &gate);
    if (pass == NULL)
        pass = hf_coroutine_pass(holder, &gate);
    Py_ssize_t entered = pass != NULL && pass->fork_epoch == hf_fork_epoch ? pass->entered : 0;
    if (gate == NULL && PyObject_TypeCheck(holder, hf_gate_type)) {
        gate = (const GateObject *)holder;
        entered = gate->n_steps;
    }
    long places = 0;
    for (Py_ssize_t at = 0; at < entered; at++)
        places += (PyObject *)gate->steps[at] == op;
    return PyLong_FromLong(places);
}

static int
add(PyObject *one, void *found)
{
    return PyList_Append(found, one);
}

/*
 * _referents(one): what an object refers to. gc.get_referents() answers the same, but without the GIL it stops
 * all other threads of the process for each answer, and a daemon thread that asks while the interpreter ends
 * keeps it from ending. Safe only for objects that no other thread changes, such as a suspended coroutine of this
 * thread's loop.
 */
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
