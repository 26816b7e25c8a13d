/* The extension module holdfast._native.gate. */
#include "control.h"

#ifndef HF_LTO
#define HF_LTO 0 /* whether the build optimised over all files of the gate */
#endif

/* For tests: whether a failed call may be tried again, in the whole process. */
static PyObject *
set_retrying(PyObject *module, PyObject *on)
{
    (void)module;
    int is_on = PyObject_IsTrue(on);
    if (is_on < 0)
        return NULL;
    hf_store_relaxed(&hf_retrying_off, !is_on);
    Py_RETURN_NONE;
}

static PyObject *
is_retrying(PyObject *module, PyObject *ignored)
{
    (void)module, (void)ignored;
    return PyBool_FromLong(!hf_load_relaxed(&hf_retrying_off));
}

/* _need_answer(field, fn, answer): the answer, unless that would still have to be awaited. */
static PyObject *
need_answer(PyObject *module, PyObject *args)
{
    const char *field;
    PyObject *fn, *answer;
    (void)module;
    if (!PyArg_ParseTuple(args, "sOO:_need_answer", &field, &fn, &answer))
        return NULL;
    return hf_need_answer(field, fn, Py_NewRef(answer));
}

static PyMethodDef methods[] = {
    {"_need_answer", need_answer, METH_VARARGS,
     "_need_answer($module, field, fn, answer, /)\n--\n\nReturn the answer; one to be awaited is an error."},
    {"_at_hand", hf_rejected_at_hand, METH_O, NULL},
    {"_forget_classes", hf_forget_classes, METH_NOARGS, NULL},
    {"_install_rules", hf_install_rules, METH_O, NULL},
    {"_look", (PyCFunction)(void (*)(void))hf_look, METH_FASTCALL, NULL},
    {"_classify", hf_classify, METH_O, NULL},
    {"_set_retrying", set_retrying, METH_O, NULL},
    {"_is_retrying", is_retrying, METH_NOARGS, NULL},
    {"_fork_number", hf_fork_number, METH_NOARGS, NULL},
    {"_settle_fork", hf_fork_settle, METH_NOARGS, NULL},
    {"_install_fork", hf_fork_install, METH_O, NULL},
    {"_referents", hf_referents, METH_O, NULL},
    {"_callable_kind", hf_callable_number, METH_O, NULL},
    {"_own_methods", hf_own_methods, METH_O, NULL},
    {"_install_guard_face", hf_guard_install_face, METH_VARARGS, NULL},
    {"_inside_guard", hf_guard_inside, METH_O, NULL},
    {NULL},
};

/*
 * Types, free lists and the fork epoch are this process's. So there is one module: whoever has taken it
 * out of sys.modules and imports it again is handed the living one, and an interpreter beside the main
 * one, which would share all that, is refused.
 */
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
        PyErr_SetString(PyExc_ImportError,
                        "holdfast._native.gate could not be loaded before in this process");
        return -1;
    }
    begun = true;
    hf_modules = Py_NewRef(PyImport_GetModuleDict());
    if (hf_rejected_ready(module) < 0 || hf_gate_ready(module) < 0 || hf_guard_ready(module) < 0 ||
        hf_coroutine_ready(module) < 0 || hf_permit_ready(module) < 0 ||
        hf_outcome_ready(module) < 0 || hf_handle_ready(module) < 0 ||
        hf_directory_ready(module) < 0 || hf_deadline_ready(module) < 0 ||
        hf_alarm_ready(module) < 0 || hf_race_ready(module) < 0 || hf_retry_ready() < 0 ||
        hf_adaptive_ready() < 0 || hf_category_ready() < 0 || hf_probe_ready(module) < 0 ||
        PyModule_AddIntConstant(module, "MAX_STEPS", HF_MAX_STEPS) < 0 ||
        PyModule_AddObjectRef(module, "LTO", HF_LTO ? Py_True : Py_False) < 0)
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
    .m_name = "holdfast._native.gate",
    .m_doc = "The native gate: guarded callables and awaitables over the kernels.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit_gate(void)
{
    return PyModuleDef_Init(&definition);
}
