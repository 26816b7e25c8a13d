/*
 * Gate: the C base of every policy and of Pipeline. It holds the compiled steps and the methods that
 * every policy has: call, try_call, their asynchronous twins, permits, `with`, and use as a decorator.
 *
 * What a policy is made of is given once by its Python class, through _bind() or _compose().
 */
#include "hfpy.h"

#include <structmember.h>

PyTypeObject *hf_gate_type;

/* ---- making ---- */

static const char *const kind_words[] = {"none",    "breaker",  "bucket",
                                         "sliding", "bulkhead", "pipeline"};

static int
kind_of_word(const char *word)
{
    for (int kind = HF_KIND_BREAKER; kind < HF_KIND_PIPELINE; kind++) {
        if (strcmp(word, kind_words[kind]) == 0)
            return kind;
    }
    PyErr_Format(PyExc_ValueError, "unknown kind of step: '%s'", word);
    return -1;
}

/* The C struct behind a binding; it lives as long as the binding. */
static void *
struct_of(PyObject *binding, const char *kind)
{
    char name[32];
    PyOS_snprintf(name, sizeof name, "holdfast.%s", kind);
    PyObject *capsule = PyObject_CallMethod(binding, "_capsule", NULL);
    if (capsule == NULL)
        return NULL;
    void *pointer = PyCapsule_GetPointer(capsule, name);
    Py_DECREF(capsule);
    return pointer;
}

/* A tuple of exception classes; the empty one is kept as NULL. */
static int
keep_classes(PyObject **slot, PyObject *classes)
{
    if (classes == NULL || classes == Py_None || PyTuple_GET_SIZE(classes) == 0)
        Py_CLEAR(*slot);
    else
        Py_XSETREF(*slot, Py_NewRef(classes));
    return 0;
}

/* Those classes of `on` that name rejections: only by them does a refusal of another policy count. */
static PyObject *
rejections_among(PyObject *on)
{
    PyObject *found = PyList_New(0);
    for (Py_ssize_t i = 0; found != NULL && on != NULL && i < PyTuple_GET_SIZE(on); i++) {
        PyObject *cls = PyTuple_GET_ITEM(on, i);
        if (PyType_Check(cls) &&
            PyType_IsSubtype((PyTypeObject *)cls, (PyTypeObject *)hf_rejected_type) &&
            PyList_Append(found, cls) < 0)
            Py_CLEAR(found);
    }
    if (found == NULL)
        return NULL;
    PyObject *classes = PyList_AsTuple(found);
    Py_DECREF(found);
    return classes;
}

/* What entering and leaving must read, from what the steps want. */
static void
compile_steps(GateObject *self)
{
    self->reads_clock = false;
    self->lone = self->kind == HF_KIND_BREAKER && self->n_steps == 1 && !self->timed &&
                 self->is_failure == NULL;
    GateObject *own = self->kind == HF_KIND_PIPELINE ? NULL : self;
    for (Py_ssize_t i = 0; i < self->n_steps; i++) {
        GateObject *step = self->steps[i];
        bool limiter = step->kind == HF_KIND_BUCKET || step->kind == HF_KIND_SLIDING;
        if (!limiter && !step->timed)
            continue;
        if (!self->reads_clock && own == NULL)
            self->clock = step->clock;
        self->reads_clock = true;
        if (own == NULL && step->timed && step->clock == self->clock)
            self->timed = true;
    }
}

/* A copy of an array, of at least one pointer so that NULL means that there was no memory. */
static void **
kept_array(void *const *pointers, Py_ssize_t n)
{
    void **kept = PyMem_Calloc((size_t)n + 1, sizeof *kept);
    if (kept != NULL)
        memcpy(kept, pointers, (size_t)n * sizeof *kept);
    return kept;
}

static PyObject *
gate_bind(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"kind",       "kernels",   "clock", "name", "mode",
                               "rejection",  "can_wait",  "timed", "on",   "ignore",
                               "is_failure", "histogram", NULL};
    GateObject *self = (GateObject *)op;
    const char *word;
    PyObject *kernels, *clock, *name, *rejection, *on = NULL, *ignore = NULL, *is_failure = NULL,
                                                  *histogram = NULL;
    int mode, can_wait = 0, timed = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO!OOiO|$ppO!O!OO:_bind", keywords, &word,
                                     &PyTuple_Type, &kernels, &clock, &name, &mode, &rejection,
                                     &can_wait, &timed, &PyTuple_Type, &on, &PyTuple_Type, &ignore,
                                     &is_failure, &histogram))
        return NULL;
    int kind = kind_of_word(word);
    Py_ssize_t n_cells = PyTuple_GET_SIZE(kernels);
    if (kind < 0)
        return NULL;
    if (self->kind != HF_KIND_NONE || n_cells < 1 || n_cells > HF_MAX_CELLS) {
        PyErr_SetString(PyExc_RuntimeError,
                        "a gate is bound once, to 1 to " Py_STRINGIFY(HF_MAX_CELLS) " kernels");
        return NULL;
    }
    void *cells[HF_MAX_CELLS];
    for (Py_ssize_t i = 0; i < n_cells; i++) {
        if ((cells[i] = struct_of(PyTuple_GET_ITEM(kernels, i), word)) == NULL)
            return NULL;
    }
    hf_clock *time = struct_of(clock, "clock");
    PyObject *on_rejections = time == NULL ? NULL : rejections_among(on);
    if (on_rejections == NULL)
        return NULL;
    self->cell = cells[0];
    self->cells = n_cells == 1 ? &self->cell : kept_array(cells, n_cells);
    if (self->cells == NULL) {
        Py_DECREF(on_rejections);
        return PyErr_NoMemory();
    }
    self->n_cells = (uint8_t)n_cells;
    self->clock = time;
    keep_classes(&self->on_rejections, on_rejections);
    Py_DECREF(on_rejections);
    keep_classes(&self->on, on);
    keep_classes(&self->ignore, ignore);
    self->on_everything =
        on != NULL && PyTuple_GET_SIZE(on) == 1 && PyTuple_GET_ITEM(on, 0) == PyExc_Exception;
    self->kernels = Py_NewRef(kernels);
    self->clock_object = Py_NewRef(clock);
    self->name = Py_NewRef(name);
    self->rejection = Py_NewRef(rejection);
    self->is_failure = is_failure == NULL || is_failure == Py_None ? NULL : Py_NewRef(is_failure);
    self->kind = (uint8_t)kind;
    self->mode = (uint8_t)mode;
    self->can_wait = can_wait;
    self->timed = timed;
    self->n_steps = mode == HF_OFF ? 0 : 1;
    self->own = self;
    self->steps = &self->own;
    compile_steps(self);
    if (histogram != NULL && histogram != Py_None) {
        PyObject *kept = PyObject_CallMethod(op, "_record_latency", "O", histogram);
        if (kept == NULL)
            return NULL;
        Py_DECREF(kept);
    }
    Py_RETURN_NONE;
}

/* From now on this policy's calls are timed into the histogram. Asked again, the first one stays. */
static PyObject *
gate_record_latency(PyObject *op, PyObject *histogram)
{
    GateObject *self = (GateObject *)op;
    hf_histogram *cells = struct_of(histogram, "histogram");
    if (cells == NULL)
        return NULL;
    HF_BEGIN_EXCLUSIVE(op);
    if (self->histogram == NULL) {
        self->histogram_object = Py_NewRef(histogram);
        self->histogram = cells;
        self->timed = true;
        compile_steps(self);
    }
    HF_END_EXCLUSIVE();
    Py_RETURN_NONE;
}

static PyObject *
gate_compose(PyObject *op, PyObject *args)
{
    GateObject *self = (GateObject *)op;
    PyObject *name, *parts;
    if (!PyArg_ParseTuple(args, "OO!:_compose", &name, &PyTuple_Type, &parts))
        return NULL;
    if (self->kind != HF_KIND_NONE) {
        PyErr_SetString(PyExc_RuntimeError, "a gate is composed once");
        return NULL;
    }
    Py_ssize_t n_steps = 0;
    void *steps[HF_MAX_STEPS];
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(parts); i++) {
        GateObject *part = (GateObject *)PyTuple_GET_ITEM(parts, i);
        if (!PyObject_TypeCheck(part, hf_gate_type) || part->kind == HF_KIND_NONE) {
            PyErr_Format(PyExc_TypeError, "a pipeline is made of policies, not %.100s",
                         Py_TYPE(part)->tp_name);
            return NULL;
        }
        for (Py_ssize_t j = 0; j < part->n_steps; j++) {
            if (n_steps == HF_MAX_STEPS) {
                PyErr_SetString(PyExc_ValueError,
                                "a pipeline has at most " Py_STRINGIFY(HF_MAX_STEPS) " steps");
                return NULL;
            }
            steps[n_steps++] = part->steps[j];
        }
    }
    self->name = Py_NewRef(name);
    self->parts = Py_NewRef(parts);
    self->steps = (GateObject **)kept_array(steps, n_steps);
    if (self->steps == NULL)
        return PyErr_NoMemory();
    self->n_steps = n_steps;
    self->kind = HF_KIND_PIPELINE;
    compile_steps(self);
    Py_RETURN_NONE;
}

/* ---- calling ---- */

static int
need_callable(const char *method, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs >= 1 && PyCallable_Check(args[0]))
        return 0;
    if (nargs < 1)
        PyErr_Format(PyExc_TypeError, "%s() needs the function to call", method);
    else
        PyErr_Format(PyExc_TypeError, "%s() needs a callable, not %.100s", method,
                     Py_TYPE(args[0])->tp_name);
    return -1;
}

/* What call and try_call cannot see the end of. */
static PyObject *
refuse_kind(const char *method, const char *other, PyObject *fn, hf_callable kind)
{
    static const char *const words[] = {"plain function", "coroutine function",
                                        "generator function", "asynchronous generator function"};
    PyErr_Format(PyExc_TypeError, "%s() got the %s %R; use '%s()'", method, words[kind], fn, other);
    return NULL;
}

/*
 * A plain function answered with a coroutine, which only an event loop can run: it is closed, and the
 * call was as if it had never been asked for.
 */
static PyObject *Py_NO_INLINE
refuse_coroutine(GateObject *gate, hf_pass *pass, const char *method, PyObject *fn,
                 PyObject *coroutine)
{
    PyObject *closed = PyObject_CallMethod(coroutine, "close", NULL);
    Py_DECREF(coroutine);
    if (closed != NULL)
        PyErr_Format(PyExc_TypeError, "%s() got %R, which returned a coroutine; use 'await %s()'",
                     method, fn, strcmp(method, "call") == 0 ? "acall" : "try_acall");
    Py_XDECREF(closed);
    hf_gate_undo(gate, pass);
    return NULL;
}

/* No PY_VECTORCALL_ARGUMENTS_OFFSET: what lies before these arguments may be a tuple of the caller's. */
static inline PyObject *
run(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return PyObject_Vectorcall(args[0], args + 1, (size_t)(nargs - 1), kwnames);
}

static PyObject *
gate_call(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    GateObject *self = (GateObject *)op;
    hf_pass pass;
    if (need_callable("call", args, nargs) < 0)
        return NULL;
    hf_callable kind = hf_callable_kind(args[0]);
    if (kind == HF_CALL_COROUTINE)
        return refuse_kind("call", "await acall", args[0], kind);
    if (kind != HF_CALL_PLAIN) {
        PyObject *inner = run(args, nargs, kwnames);
        const char *drive = kind == HF_CALL_GENERATOR ? "_generator" : "_async_generator";
        return inner == NULL ? NULL : PyObject_CallMethod(op, drive, "N", inner);
    }
    hf_pass_init(&pass);
    if (hf_gate_enter_blocking(self, &pass) < 0)
        return NULL;
    PyObject *result = run(args, nargs, kwnames);
    if (result != NULL && hf_is_coroutine(result))
        return refuse_coroutine(self, &pass, "call", args[0], result);
    return hf_gate_leave(self, &pass, result);
}

static PyObject *
gate_try_call(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    GateObject *self = (GateObject *)op;
    hf_pass pass;
    hf_refusal why;
    if (need_callable("try_call", args, nargs) < 0)
        return NULL;
    hf_callable kind = hf_callable_kind(args[0]);
    if (kind != HF_CALL_PLAIN)
        return refuse_kind("try_call", kind == HF_CALL_COROUTINE ? "await try_acall" : "call",
                           args[0], kind);
    hf_pass_init(&pass);
    for (;;) {
        hf_entering entered = hf_gate_enter(self, &pass, &why);
        if (entered == HF_IN)
            break;
        if (entered == HF_REFUSED)
            return hf_outcome_refused(&why);
        if (entered == HF_BROKEN)
            return NULL;
        if (hf_gate_block(self, &pass) < 0)
            return hf_outcome_rejection();
    }
    PyObject *result = run(args, nargs, kwnames);
    if (result != NULL && hf_is_coroutine(result))
        return refuse_coroutine(self, &pass, "try_call", args[0], result);
    result = hf_gate_leave(self, &pass, result);
    return result != NULL ? hf_outcome_value(result) : hf_outcome_error();
}

static PyObject *
gate_acall(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (need_callable("acall", args, nargs) < 0)
        return NULL;
    return hf_coroutine_call((GateObject *)op, HF_FOR_RESULT, args, nargs, kwnames);
}

static PyObject *
gate_try_acall(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (need_callable("try_acall", args, nargs) < 0)
        return NULL;
    return hf_coroutine_call((GateObject *)op, HF_FOR_OUTCOME, args, nargs, kwnames);
}

static PyObject *
gate_permit(PyObject *op, PyObject *ignored)
{
    GateObject *self = (GateObject *)op;
    hf_pass pass;
    (void)ignored;
    hf_pass_init(&pass);
    if (hf_gate_enter_blocking(self, &pass) < 0)
        return NULL;
    PyObject *permit = hf_permit_new(self, &pass);
    if (permit == NULL)
        hf_gate_undo(self, &pass);
    return permit;
}

static PyObject *
gate_apermit(PyObject *op, PyObject *ignored)
{
    (void)ignored;
    return hf_coroutine_enter((GateObject *)op, HF_FOR_PERMIT, NULL);
}

/* policy(fn): the guarded function. Class and static methods are guarded inside their wrapper. */
static PyObject *
gate_decorate(PyObject *op, PyObject *args, PyObject *kwargs)
{
    PyObject *fn;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) {
        PyErr_SetString(PyExc_TypeError,
                        "a policy as a decorator takes the function and nothing else");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "O:decorator", &fn))
        return NULL;
    if (!Py_IS_TYPE(fn, &PyClassMethod_Type) && !Py_IS_TYPE(fn, &PyStaticMethod_Type))
        return hf_guard_new((GateObject *)op, fn);
    PyObject *inner = PyObject_GetAttrString(fn, "__func__");
    PyObject *guard = inner != NULL ? hf_guard_new((GateObject *)op, inner) : NULL;
    Py_XDECREF(inner);
    if (guard == NULL)
        return NULL;
    PyObject *wrapped = PyObject_CallOneArg((PyObject *)Py_TYPE(fn), guard);
    Py_DECREF(guard);
    return wrapped;
}

/* ---- what the Python side asks of its own step ---- */

/* Raise a rejection by this step, which its kernel has counted: _refuse(reason, retry_after_ns, type). */
static PyObject *
gate_refuse(PyObject *op, PyObject *args)
{
    GateObject *self = (GateObject *)op;
    const char *word;
    PyObject *type = self->rejection;
    long long retry_after_ns = -1;
    if (!PyArg_ParseTuple(args, "s|LO:_refuse", &word, &retry_after_ns, &type))
        return NULL;
    if (type == NULL || !PyType_Check(type) ||
        !PyType_IsSubtype((PyTypeObject *)type, (PyTypeObject *)hf_rejected_type)) {
        PyErr_SetString(PyExc_TypeError, "_refuse() needs a class of rejections");
        return NULL;
    }
    int reason = hf_reason_of_word(word);
    if (reason < 0)
        return NULL;
    hf_refusal why = {self, (hf_reason)reason, retry_after_ns};
    if (self->listening && hf_tell_refusal(&why) < 0)
        return NULL;
    PyObject *exception = hf_rejected_new(&why, type);
    if (exception != NULL)
        hf_give_exception(exception);
    return NULL;
}

/* What follows is bound to every gate, and makes sense for one kind of step. */
static int
need_kind(const GateObject *self, bool right, const char *what)
{
    if (right)
        return 0;
    PyErr_Format(PyExc_TypeError, "%R is no %s", (PyObject *)self, what);
    return -1;
}

static PyObject *
gate_try_enter(PyObject *op, PyObject *ignored)
{
    GateObject *self = (GateObject *)op;
    (void)ignored;
    if (need_kind(self, self->kind == HF_KIND_BULKHEAD, "bulkhead") < 0)
        return NULL;
    if (self->mode == HF_OFF || hf_bulkhead_try_enter(self->cell))
        Py_RETURN_TRUE;
    if (self->mode != HF_OBSERVE)
        Py_RETURN_FALSE;
    hf_bulkhead_force_enter(self->cell);
    hf_count(&self->observed, 1);
    Py_RETURN_TRUE;
}

/* ---- a limiter's tokens ---- */

static inline int
need_limiter(const GateObject *self)
{
    return need_kind(self, self->kind == HF_KIND_BUCKET || self->kind == HF_KIND_SLIDING,
                     "rate limiter");
}

static uint64_t
most_tokens(const GateObject *self)
{
    uint64_t most = UINT64_MAX;
    for (int cell = 0; cell < self->n_cells; cell++) {
        uint64_t burst = self->kind == HF_KIND_BUCKET ? hf_bucket_rate(self->cells[cell]).burst
                                                      : hf_sliding_limit(self->cells[cell]);
        if (burst < most)
            most = burst;
    }
    return most;
}

/* A number of tokens: an int, no bool, from 1 to the burst. 0: a ValueError is set. */
static uint64_t
weight_of(const GateObject *self, PyObject *n)
{
    if (need_limiter(self) < 0)
        return 0;
    uint64_t most = most_tokens(self);
    if (PyLong_Check(n) && !PyBool_Check(n)) {
        unsigned long long weight = PyLong_AsUnsignedLongLong(n);
        if (weight == (unsigned long long)-1 && PyErr_Occurred())
            PyErr_Clear(); /* negative or huge: out of range in any case */
        else if (weight >= 1 && weight <= most)
            return weight;
    }
    PyErr_Format(PyExc_ValueError, "n: got %R, allowed an integer from 1 to %llu, the burst", n,
                 (unsigned long long)most);
    return 0;
}

static PyObject *
gate_weight(PyObject *op, PyObject *n)
{
    return weight_of((GateObject *)op, n) == 0 ? NULL : Py_NewRef(n);
}

static PyObject *
gate_try_take(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    GateObject *self = (GateObject *)op;
    Py_ssize_t nkw = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    uint64_t n = 1;
    if (nargs + nkw > 1 ||
        (nkw == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "n") != 0)) {
        PyErr_SetString(PyExc_TypeError, "try_acquire() takes n and nothing else");
        return NULL;
    }
    if (nargs + nkw == 1 ? (n = weight_of(self, args[0])) == 0 : need_limiter(self) < 0)
        return NULL;
    if (self->mode == HF_OFF || hf_limiter_take(self, n, hf_clock_now_ns(self->clock)))
        Py_RETURN_TRUE;
    if (self->mode != HF_OBSERVE)
        Py_RETURN_FALSE;
    hf_count(&self->observed, 1);
    Py_RETURN_TRUE;
}

/* How long until n tokens are there: _wait_ns(n). */
static PyObject *
gate_wait_ns(PyObject *op, PyObject *n)
{
    GateObject *self = (GateObject *)op;
    uint64_t weight = weight_of(self, n);
    if (weight == 0)
        return NULL;
    return PyLong_FromLongLong(hf_limiter_wait_ns(self, weight, hf_clock_now_ns(self->clock)));
}

/* ---- life ---- */

static PyObject *
gate_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    return type->tp_alloc(type, 0); /* zeroed: a gate of no steps, which lets everything pass */
}

static int
gate_traverse(PyObject *op, visitproc visit, void *arg)
{
    GateObject *self = (GateObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->clock_object);
    Py_VISIT(self->kernels);
    Py_VISIT(self->histogram_object);
    Py_VISIT(self->rejection);
    Py_VISIT(self->on);
    Py_VISIT(self->ignore);
    Py_VISIT(self->on_rejections);
    Py_VISIT(self->is_failure);
    Py_VISIT(self->parts);
    return 0;
}

/* Only what can close a cycle and is not needed by calls that may still come. */
static int
gate_clear(PyObject *op)
{
    Py_CLEAR(((GateObject *)op)->is_failure);
    return 0;
}

static void
gate_dealloc(PyObject *op)
{
    GateObject *self = (GateObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs(op);
    hf_entries_forget(self);
    if (self->cells != &self->cell)
        PyMem_Free(self->cells);
    if (self->steps != &self->own)
        PyMem_Free(self->steps);
    Py_CLEAR(self->name);
    Py_CLEAR(self->clock_object);
    Py_CLEAR(self->kernels);
    Py_CLEAR(self->histogram_object);
    Py_CLEAR(self->rejection);
    Py_CLEAR(self->on);
    Py_CLEAR(self->ignore);
    Py_CLEAR(self->on_rejections);
    Py_CLEAR(self->is_failure);
    Py_CLEAR(self->parts);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *
counter_value(PyObject *op, void *closure)
{
    return PyLong_FromUnsignedLongLong(hf_load_relaxed((hf_au64 *)((char *)op + (size_t)closure)));
}

static PyMemberDef gate_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(GateObject, weakrefs), READONLY, NULL},
    {"name", T_OBJECT, offsetof(GateObject, name), READONLY, "The policy's name."},
    {"_listening", T_BOOL, offsetof(GateObject, listening), 0, NULL},
    {"_can_wait", T_BOOL, offsetof(GateObject, can_wait), 0, NULL},
    {"_kernels", T_OBJECT, offsetof(GateObject, kernels), READONLY, NULL},
    {"_clock", T_OBJECT, offsetof(GateObject, clock_object), READONLY, NULL},
    {"_histogram", T_OBJECT, offsetof(GateObject, histogram_object), READONLY, NULL},
    {"_parts", T_OBJECT, offsetof(GateObject, parts), READONLY, NULL},
    {NULL},
};

static PyGetSetDef gate_getset[] = {
    {"_observed", counter_value, NULL, NULL, (void *)offsetof(GateObject, observed)},
    {"_busy_ns", counter_value, NULL, NULL, (void *)offsetof(GateObject, busy_ns)},
    {"_settled_twice", counter_value, NULL, NULL, (void *)offsetof(GateObject, settled_twice)},
    {NULL},
};

#define FAST(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef gate_methods[] = {
    {"__init_subclass__", FAST(hf_init_subclass), METH_VARARGS | METH_KEYWORDS | METH_CLASS,
     "__init_subclass__($type, /, **kwargs)\n--\n\n"
     "Give the subclass native methods of its own, which are cheaper to call."},
    {"_bind", FAST(gate_bind), METH_VARARGS | METH_KEYWORDS, NULL},
    {"_compose", gate_compose, METH_VARARGS, NULL},
    {"_record_latency", gate_record_latency, METH_O, NULL},
    {"_refuse", gate_refuse, METH_VARARGS, NULL},
    {"_permit", gate_permit, METH_NOARGS,
     "_permit($self, /)\n--\n\n"
     "Admit one call by hand.\n\n"
     "Returns:\n    A permit: settle it with success(), failure(exc) or ignore(), or use it as a context manager.\n"
     "    Collected unsettled it frees its place and proves nothing.\n\n"
     "Raises:\n    Rejected: No call is admitted."},
    {"_apermit", gate_apermit, METH_NOARGS, NULL},
    {"_try_enter", gate_try_enter, METH_NOARGS,
     "_try_enter($self, /)\n--\n\n"
     "Take a place if one is free and nobody waits for it. Never blocks.\n\n"
     "Returns:\n    True: the caller is inside and must leave() exactly once."},
    {"_try_take", FAST(gate_try_take), METH_FASTCALL | METH_KEYWORDS,
     "_try_take($self, /, n=1)\n--\n\n"
     "Take n tokens if they are there. Never waits.\n\n"
     "Raises:\n    ValueError: n is no whole number from 1 to the burst."},
    {"_weight", gate_weight, METH_O, NULL},
    {"_wait_ns", gate_wait_ns, METH_O, NULL},
    {"call", FAST(gate_call), METH_FASTCALL | METH_KEYWORDS,
     "call($self, fn, /, *args, **kwargs)\n--\n\n"
     "Call fn under this policy and return what it returns.\n\n"
     "Raises:\n    Rejected: The policy refused; fn did not run.\n    TypeError: fn is a coroutine function; use acall()."},
    {"try_call", FAST(gate_try_call), METH_FASTCALL | METH_KEYWORDS,
     "try_call($self, fn, /, *args, **kwargs)\n--\n\n"
     "Call fn under this policy and return an Outcome: its value, its Exception or the rejection."},
    {"acall", FAST(gate_acall), METH_FASTCALL | METH_KEYWORDS,
     "acall($self, fn, /, *args, **kwargs)\n--\n\n"
     "Await fn(*args, **kwargs) under this policy; fn is called once admitted."},
    {"try_acall", FAST(gate_try_acall), METH_FASTCALL | METH_KEYWORDS,
     "try_acall($self, fn, /, *args, **kwargs)\n--\n\n"
     "Await fn(*args, **kwargs) under this policy and return an Outcome."},
    {NULL},
};

static PyType_Slot gate_slots[] = {
    {Py_tp_doc, "The native part of every policy and pipeline: its compiled steps."},
    {Py_tp_new, gate_new},
    {Py_tp_dealloc, gate_dealloc},
    {Py_tp_traverse, gate_traverse},
    {Py_tp_clear, gate_clear},
    {Py_tp_call, gate_decorate},
    {Py_tp_members, gate_members},
    {Py_tp_getset, gate_getset},
    {Py_tp_methods, gate_methods},
    {0, NULL},
};

static PyType_Spec gate_spec = {
    .name = "holdfast._native.gate.Gate",
    .basicsize = sizeof(GateObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = gate_slots,
};

int
hf_gate_ready(PyObject *module)
{
    hf_gate_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &gate_spec, NULL);
    if (hf_gate_type == NULL || hf_entry_ready(module, hf_gate_type) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "Gate", (PyObject *)hf_gate_type);
}
