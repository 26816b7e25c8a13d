/*
 * How a handle finds its gate where it has none.
 */
#include "handle.h"

/*
 * There was none: _missing() turns to one and returns true, or raises why there is none. Another thread may
 * take that gate away before it is seen here: then what there is by now counts. Where it returns a gate, this
 * call passes that one, whatever the next call finds: so nobody who takes gates away can hold it up. Where it
 * returns a function, this is the course of a guarded call or of call(), which *course gets if that is not NULL.
 */
GateObject *
hf_handle_gate_slowly(HandleObject *self, PyObject **course)
{
    GateObject *gate = NULL;
    int turned = 1;
    Py_INCREF(self);
    while (turned > 0 && gate == NULL) {
        PyObject *answer = PyObject_CallMethod((PyObject *)self, "_missing", NULL);
        if (answer != NULL && PyObject_TypeCheck(answer, hf_gate_type)) {
            gate = (GateObject *)answer;
            break;
        }
        bool is_course = answer != NULL && PyCallable_Check(answer);
        if (is_course && course != NULL) {
            *course = answer;
            break;
        }
        if (is_course)
            turned = 0;
        else
            turned = answer != NULL ? PyObject_IsTrue(answer) : -1;
        Py_XDECREF(answer);
        if (turned >= 0)
            gate = hf_handle_gate_or_null(self);
    }
    if (gate == NULL && turned == 0 && !(course != NULL && *course != NULL))
        PyErr_Format(PyExc_RuntimeError, HF_TITLE " has no gate", HF_TITLE_OF(self));
    Py_DECREF(self);
    return gate;
}

/*
 * Call a course, which is stolen: with the guarded function, or None for that of call(), which is the first
 * argument then, and with all arguments.
 */
PyObject *
hf_call_by_course(PyObject *course, PyObject *guarded, PyObject *const *args, size_t nargsf,
                  PyObject *kwnames)
{
    PyObject *tuple, *dict, *result = NULL;
    if (hf_pack_call_for_python(args, nargsf, kwnames, &tuple, &dict) == 0) {
        Py_ssize_t n = PyTuple_GET_SIZE(tuple);
        PyObject *all = PyTuple_New(n + 1);
        if (all != NULL) {
            PyTuple_SET_ITEM(all, 0, Py_NewRef(guarded));
            for (Py_ssize_t i = 0; i < n; i++)
                PyTuple_SET_ITEM(all, i + 1, Py_NewRef(PyTuple_GET_ITEM(tuple, i)));
            result = PyObject_Call(course, all, dict);
            Py_DECREF(all);
        }
        Py_DECREF(tuple);
        Py_DECREF(dict);
    }
    Py_DECREF(course);
    return result;
}
