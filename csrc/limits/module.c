/* The extension module holdfast._native.limit_windows. */
#include "limits.h"

static PyMethodDef methods[] = {
    {"own_methods", hf_limiter_own_methods, METH_O,
     "own_methods($module, cls, /)\n--\n\n"
     "Give a subclass of Limiter the methods that it inherits as its own: they are called faster."},
    {NULL},
};

/* Types are this process's: there is one module, as of holdfast._native.gate. */
static PyObject *living;

static PyObject *
create_module(PyObject *spec, PyModuleDef *definition)
{
    (void)definition;
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError,
                        "holdfast works only in the main interpreter of a process, not in a "
                        "subinterpreter: its native types share state without a lock");
        return NULL;
    }
    if (living != NULL)
        return Py_NewRef(living);
    PyObject *name = PyObject_GetAttrString(spec, "name");
    PyObject *module = name != NULL ? PyModule_NewObject(name) : NULL;
    Py_XDECREF(name);
    return module;
}

static int
exec_module(PyObject *module)
{
    static bool begun;
    if (module == living)
        return 0;
    if (begun) {
        PyErr_SetString(PyExc_ImportError, "holdfast._native.limit_windows could not be loaded "
                                           "before in this process");
        return -1;
    }
    begun = true;
    if (hf_hit_ready() < 0 || hf_plan_ready(module) < 0 || hf_item_ready(module) < 0 ||
        hf_windows_ready(module) < 0 || hf_limiter_ready(module) < 0)
        return -1;
    living = Py_NewRef(module);
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_create, create_module},
    {Py_mod_exec, exec_module},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "holdfast._native.limit_windows",
    .m_doc = "Windows by key: how many hits an item has had for whom.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit_limit_windows(void)
{
    return PyModuleDef_Init(&definition);
}
