/*
 * Guard: a guarded callable. No argument tuple, no Python frame of ours: the arguments go straight
 * through to the wrapped function. It has the function's face (holdfast/guards.py), binds like a method and
 * pickles by its qualified name.
 */
#include "guard.h"
#include "handle.h"
#include "steps.h"

/* ---- calling ---- */

/*
 * Whether a call is put off where it would have to wait: its event loop runs here, and what the function
 * gives is awaited, entered or iterated anyhow.
 */
static bool
puts_off(const GuardObject *self)
{
    hf_late late = (hf_late)hf_load_relaxed(&self->late);
    return late != HF_NOT_LATE && late != HF_LATE_FUTURE && hf_loop_runs_here();
}

/* Enter a gate that controls nothing. False: refused, and the exception is set; or to be put off. */
static bool
enter(const GuardObject *self, GateObject *gate, hf_pass *pass, bool *put_off)
{
    hf_refusal why;
    *put_off = false;
    if (!puts_off(self))
        return hf_gate_enter_blocking(gate, pass) == 0;
    switch (hf_gate_enter(gate, pass, &why)) {
    case HF_IN:
        return true;
    case HF_MUST_WAIT:
        hf_step_put_off(gate, pass);
        *put_off = hf_gate_undo(gate, pass) == 0;
        break;
    case HF_REFUSED:
        hf_refuse(&why);
        break;
    case HF_BROKEN:
    case HF_FAILED:
        break;
    }
    return false;
}

/* What was found to come late from the function is guarded, and known for the next call. */
static PyObject *Py_NO_INLINE
guard_late(GuardObject *self, GateObject *gate, hf_pass *pass, hf_late late, PyObject *result,
           PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    hf_store_relaxed(&self->late, (uint16_t)late);
    return hf_late_guarded(gate, pass, late, result, self->fn, args, nargsf, kwnames);
}

/*
 * A call that is put off: nothing was entered. What would run at once is called in a task that waits;
 * other functions are called, and it is what they give that waits.
 */
static PyObject *Py_NO_INLINE
call_put_off(GuardObject *self, GateObject *gate, PyObject *const *args, size_t nargsf,
             PyObject *kwnames)
{
    PyObject *tuple, *dict;
    hf_pass nothing;
    if (hf_load_relaxed(&self->late) == HF_LATE_TASK) {
        return hf_pack_call_for_python(args, nargsf, kwnames, &tuple, &dict) < 0
                   ? NULL
                   : PyObject_CallMethod((PyObject *)gate, "_call_in_task", "ONN", self->fn, tuple,
                                         dict);
    }
    PyObject *result = hf_invoke(self->fn, args, nargsf, kwnames);
    hf_late late = hf_late_result(result);
    hf_pass_init(&nothing);
    if (late != HF_NOT_LATE && late != HF_LATE_TASK && late != HF_LATE_FUTURE)
        return guard_late(self, gate, &nothing, late, result, args, nargsf, kwnames);
    /* This time it gave something else, which has run: it is admitted late. */
    return result != NULL ? PyObject_CallMethod((PyObject *)gate, "_has_run", "(N)", result) : NULL;
}

static inline PyObject *Py_ALWAYS_INLINE
plain(GuardObject *self, GateObject *gate, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *result = NULL;
    bool put_off = false;
    hf_pass pass;
    hf_pass_init(&pass);
    if (hf_gate_enter_lone(gate, &pass) || enter(self, gate, &pass, &put_off)) {
        result = hf_invoke(self->fn, args, nargsf, kwnames);
        hf_late late = hf_late_result(result);
        if (late != HF_NOT_LATE)
            result = guard_late(self, gate, &pass, late, result, args, nargsf, kwnames);
        else if (!hf_gate_leave_lone(gate, &pass, result))
            result = hf_gate_leave(gate, &pass, result);
    } else if (put_off) {
        result = call_put_off(self, gate, args, nargsf, kwnames);
    }
    return result;
}

/*
 * Whether nobody expects more than a value: a function that wraps none, or none that matters here. Told
 * without Python, for which there may be no room: a fallback may stand in at the end of the stack.
 */
static bool
is_for_values(PyObject *fn)
{
    if (!PyFunction_Check(fn))
        return !hf_loop_runs_here();
    PyObject *set = ((PyFunctionObject *)fn)->func_dict;
    if (set == NULL || PyDict_GET_SIZE(set) == 0)
        return true;
    return !hf_loop_runs_here() && !hf_is_of_contextlib(fn);
}

/* What a fallback gave, which is stolen, as the caller expects it: to be awaited, to be entered. */
static PyObject *
as_expected(const GuardObject *self, GateObject *gate, PyObject *given)
{
    int late = hf_load_relaxed(&self->late);
    if (late == HF_NOT_LATE && is_for_values(self->fn))
        return given;
    return PyObject_CallMethod((PyObject *)gate, "_as_expected", "NOii", given, self->fn, late,
                               (int)hf_loop_runs_here());
}

/* The same for calls that retries, timeouts or fallbacks control. */
static inline PyObject *
controlled(GuardObject *self, GateObject *gate, PyObject *const *args, size_t nargsf,
           PyObject *kwnames)
{
    hf_late late;
    PyObject *result =
        hf_gate_run_call(gate, self->fn, args, nargsf, kwnames, puts_off(self), &late);
    if (late == HF_PUT_OFF && result == NULL && !PyErr_Occurred())
        result = call_put_off(self, gate, args, nargsf, kwnames);
    else if (result != NULL && late == HF_STOOD_IN)
        result = as_expected(self, gate, result);
    else if (result != NULL && late != HF_NOT_LATE && late != HF_STOOD_IN)
        result = guard_late(self, gate, NULL, late, result, args, nargsf, kwnames);
    return result;
}

/* Creating a coroutine runs nothing of it, and wrong arguments fail here as they do unguarded. */
static inline PyObject *
coroutine(GuardObject *self, GateObject *gate, PyObject *const *args, size_t nargsf,
          PyObject *kwnames)
{
    PyObject *inner = hf_invoke(self->fn, args, nargsf, kwnames);
    if (inner == NULL)
        return NULL;
    return gate->reruns ? hf_coroutine_of_call(gate, inner, self->fn, args, nargsf, kwnames)
                        : hf_coroutine_of(gate, inner);
}

/* Generators are driven by Python: admitted at the first item. Creating one runs nothing of it. */
static inline PyObject *
stream(GuardObject *self, GateObject *gate, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    const char *drive = self->kind == HF_CALL_GENERATOR ? "_generator" : "_async_generator";
    PyObject *made = hf_invoke(self->fn, args, nargsf, kwnames);
    return made != NULL ? hf_gate_stream(gate, drive, made, self->fn, args, nargsf, kwnames) : NULL;
}

/*
 * A guard is held while it is called, as its frame holds a function: not all who call it do. What calls
 * an iterator's callable, a parser's handler or a signal's lets go of it when it is replaced meanwhile.
 */
#define GUARDED(name, runs)                                                                        \
    static PyObject *name(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)   \
    {                                                                                              \
        GuardObject *self = (GuardObject *)Py_NewRef(op);                                          \
        PyObject *result = runs(self, (GateObject *)self->policy, args, nargsf, kwnames);          \
        Py_DECREF(op);                                                                             \
        return result;                                                                             \
    }

GUARDED(call_plain, plain)
GUARDED(call_controlled, controlled)
GUARDED(call_coroutine, coroutine)
GUARDED(call_stream, stream)

static PyObject *
call_by(GuardObject *self, GateObject *gate, PyObject *const *args, size_t nargsf,
        PyObject *kwnames)
{
    switch (self->kind) {
    case HF_CALL_PLAIN:
        return gate->controls ? controlled(self, gate, args, nargsf, kwnames)
                              : plain(self, gate, args, nargsf, kwnames);
    case HF_CALL_COROUTINE:
        return coroutine(self, gate, args, nargsf, kwnames);
    default: /* a gate that came later may have a hedge */
        return hf_need_no_hedge(gate) < 0 ? NULL : stream(self, gate, args, nargsf, kwnames);
    }
}

/* The gate of this moment, which the call holds to its end. */
static PyObject *
call_by_handle(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    GuardObject *self = (GuardObject *)Py_NewRef(op);
    PyObject *result = NULL, *course = NULL;
    GateObject *gate = hf_handle_gate_or_null((HandleObject *)self->policy);
    if (HF_UNLIKELY(gate == NULL))
        gate = hf_handle_gate_slowly((HandleObject *)self->policy, &course);
    if (gate != NULL) {
        result = call_by(self, gate, args, nargsf, kwnames);
        Py_DECREF((PyObject *)gate);
    } else if (course != NULL) {
        result = hf_call_by_course(course, self->fn, args, nargsf, kwnames);
    }
    Py_DECREF(op);
    return result;
}

/* What functools.wraps would put into a __dict__: what was set on the function, and the function. */
static PyObject *
attributes_of(PyObject *fn)
{
    PyObject *dict = PyDict_New();
    PyObject *own = dict != NULL ? hf_attribute_or_null(fn, "__dict__") : NULL;
    if (own != NULL && PyDict_Check(own))
        PyDict_Update(dict, own);
    Py_XDECREF(own);
    if (PyErr_Occurred() || PyDict_SetItemString(dict, "__wrapped__", fn) < 0)
        Py_CLEAR(dict);
    return dict;
}

/* Bound to the instance in a class, or as it says itself, or not at all. */
static PyTypeObject *
type_for(PyObject *fn)
{
    descrgetfunc bind = Py_TYPE(fn)->tp_descr_get;
    if (bind != NULL &&
        bind == hf_partial_type->tp_descr_get) /* of 3.13: warns that it will bind */
        return PY_VERSION_HEX < 0x030E0000 ? hf_loose_guard_type : hf_guard_type;
    if (bind == NULL)
        return hf_loose_guard_type;
    bool as_functions = PyType_HasFeature(Py_TYPE(fn), Py_TPFLAGS_METHOD_DESCRIPTOR);
    return as_functions ? hf_guard_type : hf_asking_guard_type;
}

/* What decides how this kind of function is called; of a handle, when the call comes. */
static vectorcallfunc
call_for(PyObject *policy, hf_callable kind)
{
    static const vectorcallfunc calls[] = {call_plain, call_coroutine, call_stream, call_stream};
    if (hf_is_handle(policy))
        return call_by_handle;
    return kind == HF_CALL_PLAIN && ((GateObject *)policy)->controls ? call_controlled
                                                                     : calls[kind];
}

/* Whether this gate guards functions of that kind; NULL: a handle has none yet, which says so later. */
static int
need_gate_for(GateObject *gate, hf_callable kind)
{
    bool streams = kind == HF_CALL_GENERATOR || kind == HF_CALL_ASYNC_GENERATOR;
    return gate != NULL && streams ? hf_need_no_hedge(gate) : 0;
}

/* _guard(fn): a method of Gate and of Handle. */
PyObject *
hf_guard_new(PyObject *policy, PyObject *fn)
{
    bool is_handle = hf_is_handle(policy);
    if (!is_handle && hf_need_made((GateObject *)policy) < 0)
        return NULL;
    if (!PyCallable_Check(fn)) {
        PyObject *name = is_handle ? ((HandleObject *)policy)->name : ((GateObject *)policy)->name;
        PyErr_Format(PyExc_TypeError, HF_TITLE " guards callables, not %.100s%s",
                     Py_TYPE(policy)->tp_name, name != NULL ? name : Py_None, Py_TYPE(fn)->tp_name,
                     hf_callable_meant(fn));
        return NULL;
    }
    hf_callable kind = hf_callable_kind(fn);
    if (kind == HF_CALL_BROKEN)
        return NULL;
    GateObject *gate = is_handle ? hf_handle_gate_or_null((HandleObject *)policy)
                                 : (GateObject *)Py_NewRef(policy);
    int is_for = need_gate_for(gate, kind);
    Py_XDECREF((PyObject *)gate);
    GuardObject *self = is_for == 0 ? PyObject_GC_New(GuardObject, type_for(fn)) : NULL;
    if (self == NULL)
        return NULL;
    self->kind = (int8_t)kind;
    hf_store_relaxed(&self->late, HF_NOT_LATE);
    self->vectorcall = call_for(policy, kind);
    self->policy = Py_NewRef(policy);
    self->fn = Py_NewRef(fn);
    self->weakrefs = NULL;
    self->face = PyDict_New();
    self->dict = self->face != NULL ? attributes_of(fn) : NULL;
    PyObject_GC_Track(self);
    if (self->dict == NULL)
        Py_CLEAR(self);
    return (PyObject *)self;
}
