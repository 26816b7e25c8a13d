/*
 * What everything here may need to know and nothing here needs: the types, and which process this is.
 */
#include "hfpy.h"

PyTypeObject *hf_gate_type, *hf_guard_type, *hf_loose_guard_type, *hf_asking_guard_type,
    *hf_coroutine_type, *hf_permit_type, *hf_outcome_type;

PyObject *hf_rejected_type;

uint32_t hf_fork_epoch = 1;

/* -1, with a RuntimeError, for a gate that was neither bound nor composed: it guards nothing. */
int
hf_need_made(const GateObject *self)
{
    if (self->kind != HF_KIND_NONE)
        return 0;
    PyErr_Format(PyExc_RuntimeError,
                 "%.200s.__init__() did not call super().__init__(), so this policy guards nothing",
                 Py_TYPE(self)->tp_name);
    return -1;
}

/* What follows is bound to every gate, and makes sense for one kind of step. */
int
hf_need_kind(const GateObject *self, bool right, const char *what)
{
    if (right)
        return 0;
    if (hf_need_made(self) == 0)
        PyErr_Format(PyExc_TypeError, "%R is not a %s", (PyObject *)self, what);
    return -1;
}
