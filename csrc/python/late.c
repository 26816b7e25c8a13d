/*
 * Results that come late: what a plain function returned though nothing of it has run, or not all. Such is
 * a coroutine, another awaitable, a generator, what @contextmanager makes, a future.
 *
 * Here it is told from other results, and handed to what guards it. The call that gave it was as if it had
 * never been asked for; only a future runs already: the call is admitted, and settles when that is done.
 */
#include "coroutine.h"

static PyObject *contextlib; /* loads little */
static PyTypeObject *manager_type, *async_manager_type;
static PyObject *future_mark, *enter_name;

/* concurrent.futures.Future, as a number; 0: nobody had imported it when there were so many modules. */
static hf_au64 future_type, modules_seen;

static PyTypeObject *
find_future_type(void)
{
    uint64_t seen = (uint64_t)PyDict_GET_SIZE(hf_modules);
    if (hf_load_relaxed(&modules_seen) == seen)
        return NULL;
    PyObject *name = PyUnicode_FromString("concurrent.futures._base");
    PyObject *module = name != NULL ? PyImport_GetModule(name) : NULL;
    PyObject *type = module != NULL ? hf_attribute_or_null(module, "Future") : NULL;
    Py_XDECREF(module);
    Py_XDECREF(name);
    PyErr_Clear();
    if (type != NULL && PyType_Check(type)) /* kept: it lives as long as the process */
        hf_store_release(&future_type, (uint64_t)(uintptr_t)type);
    else
        Py_CLEAR(type);
    hf_store_relaxed(&modules_seen, seen);
    return (PyTypeObject *)type;
}

/* A future of a thread pool or process pool. */
static bool
is_concurrent_future(PyTypeObject *type)
{
    PyTypeObject *base = (PyTypeObject *)(uintptr_t)hf_load_acquire(&future_type);
    if (base == NULL)
        base = find_future_type();
    return base != NULL && PyType_IsSubtype(type, base);
}

/* Of functions, those that it makes as a decorator, and its own. */
bool
hf_is_of_contextlib(PyObject *fn)
{
    return PyFunction_GET_GLOBALS(fn) == PyModule_GetDict(contextlib);
}

/* What asyncio.isfuture() says. */
static bool
is_asyncio_future(PyObject *op)
{
    PyObject *mark = hf_attribute_if_any((PyObject *)Py_TYPE(op), future_mark);
    PyObject *own = mark != NULL ? hf_attribute_if_any(op, future_mark) : NULL;
    bool answer = own != NULL && own != Py_None;
    Py_XDECREF(own);
    Py_XDECREF(mark);
    PyErr_Clear();
    return answer;
}

/* Any other than None of types that say how they are awaited: see hf_may_come_late(). */
hf_late
hf_late_kind(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    if (hf_is_coroutine(op) || hf_is_generator_coroutine(op))
        return HF_LATE_COROUTINE;
    if (PyGen_CheckExact(op))
        return HF_LATE_GENERATOR;
    if (PyAsyncGen_CheckExact(op))
        return HF_LATE_ASYNC_GENERATOR;
    if (type->tp_as_async->am_await != NULL)
        return is_asyncio_future(op) ? HF_LATE_TASK : HF_LATE_AWAITABLE;
    if (!(type->tp_flags & Py_TPFLAGS_HEAPTYPE))
        return HF_NOT_LATE;
    if (PyType_IsSubtype(type, manager_type))
        return HF_LATE_MANAGER;
    if (PyType_IsSubtype(type, async_manager_type))
        return HF_LATE_ASYNC_MANAGER;
    return is_concurrent_future(type) ? HF_LATE_FUTURE : HF_NOT_LATE;
}

/* Admitted, and settled when the future is done. Steals it, and gives it back. */
static PyObject *
settle_when_done(GateObject *gate, const hf_pass *pass, PyObject *future)
{
    PyObject *permit = hf_permit_new(gate, pass);
    if (permit == NULL) {
        hf_gate_abandon(gate, (hf_pass *)pass);
        Py_DECREF(future);
        return NULL;
    }
    return PyObject_CallMethod((PyObject *)gate, "_settle_when_done", "NN", future, permit);
}

/*
 * Guard what a plain function gave, which is stolen. `pass` is what the call holds; of a gate that controls
 * nothing, as that has let go of all.
 */
PyObject *
hf_late_guarded(GateObject *gate, hf_pass *pass, hf_late kind, PyObject *late, PyObject *fn,
                PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    static const char *const drives[] = {
        [HF_LATE_GENERATOR] = "_generator",      [HF_LATE_ASYNC_GENERATOR] = "_async_generator",
        [HF_LATE_MANAGER] = "_late_manager",     [HF_LATE_ASYNC_MANAGER] = "_late_async_manager",
        [HF_LATE_AWAITABLE] = "_late_awaitable", [HF_LATE_TASK] = "_late_task",
        [HF_LATE_FUTURE] = "_late_future",
    };
    bool runs = kind == HF_LATE_TASK || kind == HF_LATE_FUTURE;
    if (runs && !gate->controls)
        return settle_when_done(gate, pass, late);
    if (!gate->controls && hf_gate_undo(gate, pass) < 0) {
        Py_DECREF(late);
        return NULL;
    }
    if (kind != HF_LATE_COROUTINE)
        return hf_gate_stream(gate, drives[kind], late, fn, args, nargsf, kwnames);
    return gate->controls ? hf_coroutine_of_call(gate, late, fn, args, nargsf, kwnames)
                          : hf_coroutine_of(gate, late);
}

/* Whether call() can hand it over guarded; else it is to be awaited, for which there is acall(). */
bool
hf_late_is_for_call(hf_late kind, PyObject *late)
{
    if (kind != HF_LATE_AWAITABLE)
        return kind != HF_LATE_COROUTINE;
    PyObject *enter = hf_attribute_if_any((PyObject *)Py_TYPE(late), enter_name);
    PyErr_Clear();
    Py_XDECREF(enter);
    return enter != NULL;
}

/*
 * The end of it cannot be seen, so it is refused, and closed. Steals it; `pass` is what the call holds, if
 * anything. Always NULL, with an exception.
 */
PyObject *
hf_late_refuse(GateObject *gate, hf_pass *pass, hf_late kind, PyObject *late, const char *method,
               PyObject *fn)
{
    PyObject *never =
        PyObject_CallMethod((PyObject *)gate, "_refuse_late", "siON", method, (int)kind, fn, late);
    Py_XDECREF(never);
    if (pass != NULL)
        hf_gate_undo(gate, pass);
    return NULL;
}

/* _await(awaitable) or, where it may be called again, _await(awaitable, fn, args, kwargs): it, guarded. */
PyObject *
hf_gate_await(PyObject *op, PyObject *given)
{
    PyObject *inner, *fn = NULL, *args = NULL, *kwargs = NULL;
    if (!PyArg_ParseTuple(given, "O|OO!O!:_await", &inner, &fn, &PyTuple_Type, &args, &PyDict_Type,
                          &kwargs))
        return NULL;
    PyObject *made = hf_coroutine_of((GateObject *)op, Py_NewRef(inner));
    if (made != NULL && kwargs != NULL) {
        CoroutineObject *coroutine = (CoroutineObject *)made;
        coroutine->fn = Py_NewRef(fn);
        coroutine->args = Py_NewRef(args);
        coroutine->kwargs = Py_NewRef(kwargs);
    }
    return made;
}

int
hf_late_ready(void)
{
    contextlib = PyImport_ImportModule("contextlib");
    if (contextlib == NULL)
        return -1;
    manager_type = (PyTypeObject *)PyObject_GetAttrString(contextlib, "_GeneratorContextManager");
    async_manager_type =
        (PyTypeObject *)PyObject_GetAttrString(contextlib, "_AsyncGeneratorContextManager");
    future_mark = PyUnicode_InternFromString("_asyncio_future_blocking");
    enter_name = PyUnicode_InternFromString("__aenter__");
    bool whole = manager_type != NULL && async_manager_type != NULL && future_mark != NULL;
    return whole && enter_name != NULL ? 0 : -1;
}
