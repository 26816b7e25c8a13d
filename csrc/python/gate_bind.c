/*
 * What a gate is made of: given once by its Python class, as kernels through _bind() or as other gates
 * through _compose().
 */
#include "control.h"

#define WORD(KIND, word, verbs) [HF_KIND_##KIND] = word,
static const char *const kind_words[] = {HF_STEP_KINDS(WORD)};

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

/*
 * Those classes of `on` that name rejections or cancellations of futures, which count only where they are
 * named as such.
 */
static PyObject *
neutral_among(PyObject *on)
{
    PyObject *found = PyList_New(0);
    for (Py_ssize_t i = 0; found != NULL && on != NULL && i < PyTuple_GET_SIZE(on); i++) {
        PyObject *cls = PyTuple_GET_ITEM(on, i);
        bool neutral = PyType_Check(cls) && (hf_class_says((PyTypeObject *)cls) &
                                             (HF_SAYS_REJECTED | HF_SAYS_CANCELLED));
        if (neutral && PyList_Append(found, cls) < 0)
            Py_CLEAR(found);
    }
    if (found == NULL)
        return NULL;
    PyObject *classes = PyList_AsTuple(found);
    Py_DECREF(found);
    return classes;
}

static void
compile_control(GateObject *self)
{
    self->controls = self->reruns = self->times = false;
    self->threaded_at = -1;
    for (Py_ssize_t i = 0; i < self->n_steps; i++) {
        const GateObject *step = self->steps[i];
        bool reruns = step->kind == HF_KIND_RETRY || step->kind == HF_KIND_FALLBACK;
        self->reruns |= reruns;
        self->controls |= reruns || step->kind == HF_KIND_TIMEOUT;
        self->times |= step->kind == HF_KIND_TIMEOUT && step->mode == HF_ENFORCE;
        if (step->threads && step->mode == HF_ENFORCE && self->threaded_at < 0)
            self->threaded_at = (int8_t)i;
    }
}

/* What entering and leaving must read, from what the steps want. */
static void
compile_steps(GateObject *self)
{
    self->reads_clock = false;
    self->lone = self->kind == HF_KIND_BREAKER && self->n_steps == 1 && !self->timed &&
                 self->is_failure == NULL;
    GateObject *own = self->kind == HF_KIND_PIPELINE ? NULL : self;
    compile_control(self);
    for (Py_ssize_t i = 0; i < self->n_steps; i++) {
        GateObject *step = self->steps[i];
        bool reads = step->kind == HF_KIND_BUCKET || step->kind == HF_KIND_SLIDING ||
                     step->kind == HF_KIND_TIMEOUT;
        if (!reads && !step->timed)
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

PyObject *
hf_gate_bind(PyObject *op, PyObject *args, PyObject *kwargs)
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
    if (!PyType_Check(rejection) ||
        !PyType_IsSubtype((PyTypeObject *)rejection, (PyTypeObject *)hf_rejected_type) ||
        mode < HF_ENFORCE || mode > HF_OFF) {
        PyErr_SetString(PyExc_TypeError, "a gate needs a class of rejections and a mode");
        return NULL;
    }
    void *cells[HF_MAX_CELLS];
    for (Py_ssize_t i = 0; i < n_cells; i++) {
        if ((cells[i] = struct_of(PyTuple_GET_ITEM(kernels, i), word)) == NULL)
            return NULL;
    }
    hf_clock *time = struct_of(clock, "clock");
    PyObject *on_neutral = time == NULL ? NULL : neutral_among(on);
    if (on_neutral == NULL)
        return NULL;
    self->cell = cells[0];
    self->cells = n_cells == 1 ? &self->cell : kept_array(cells, n_cells);
    if (self->cells == NULL) {
        Py_DECREF(on_neutral);
        return PyErr_NoMemory();
    }
    self->n_cells = (uint8_t)n_cells;
    self->clock = time;
    keep_classes(&self->on_neutral, on_neutral);
    Py_DECREF(on_neutral);
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
PyObject *
hf_gate_record_latency(PyObject *op, PyObject *histogram)
{
    GateObject *self = (GateObject *)op;
    hf_histogram *cells = struct_of(histogram, "histogram");
    if (cells == NULL)
        return NULL;
    if (self->clock_object == NULL) {
        PyErr_SetString(PyExc_TypeError, "durations are recorded by a policy, not by a pipeline");
        return NULL;
    }
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

PyObject *
hf_gate_compose(PyObject *op, PyObject *args)
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
        if (PyObject_TypeCheck(part, hf_gate_type) && hf_need_made(part) < 0)
            return NULL;
        if (!PyObject_TypeCheck(part, hf_gate_type)) {
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

/* A permit or a `with` block cannot be run again, and nothing can stand in for it. */
int
hf_need_no_rerun(GateObject *gate)
{
    if (!gate->reruns)
        return hf_need_made(gate);
    PyErr_Format(PyExc_TypeError,
                 "%R has a retry or a fallback, which cannot run a block again: use it as a "
                 "decorator or with call()%s",
                 (PyObject *)gate,
                 gate->kind == HF_KIND_RETRY
                     ? ", or write 'for attempt in retry.attempts():' (in a coroutine 'async for') "
                       "and 'with attempt:' around the block"
                     : "");
    return -1;
}

static bool
is_given(const PyObject *value)
{
    return value != NULL && value != Py_None;
}

/* The struct behind an optional binding. -1: it is none of that kind. */
static int
take_struct(PyObject *binding, const char *kind, void **pointer)
{
    *pointer = is_given(binding) ? struct_of(binding, kind) : NULL;
    return is_given(binding) && *pointer == NULL ? -1 : 0;
}

static PyObject *
keep(PyObject *value)
{
    return is_given(value) ? Py_NewRef(value) : NULL;
}

PyObject *
hf_gate_equip(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {
        "backoff", "own_backoff", "budget",   "budget_clock", "failure_rate",
        "wanted",  "retry_after", "adaptive", "stand_in",     "stands_by_call",
        "asks",    "threads",     NULL};
    GateObject *self = (GateObject *)op;
    PyObject *backoff = NULL, *own_backoff = NULL, *budget = NULL, *budget_clock = NULL,
             *failure_rate = NULL, *wanted = NULL, *retry_after = NULL, *adaptive = NULL,
             *stand_in = NULL;
    int stands_by_call = 0, asks = 0, threads = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOOOOOOOOppp:_equip", keywords, &backoff,
                                     &own_backoff, &budget, &budget_clock, &failure_rate, &wanted,
                                     &retry_after, &adaptive, &stand_in, &stands_by_call, &asks,
                                     &threads))
        return NULL;
    if (self->equipment != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a gate is equipped once");
        return NULL;
    }
    void *pointers[5];
    if (take_struct(backoff, "backoff", &pointers[0]) < 0 ||
        take_struct(budget, "budget", &pointers[1]) < 0 ||
        take_struct(budget_clock, "clock", &pointers[2]) < 0 ||
        take_struct(failure_rate, "failure_rate", &pointers[3]) < 0 ||
        take_struct(adaptive, "adaptive_timeout", &pointers[4]) < 0)
        return NULL;
    PyObject *none = Py_None;
    self->equipment = PyTuple_Pack(5, backoff ? backoff : none, budget ? budget : none,
                                   budget_clock ? budget_clock : none,
                                   failure_rate ? failure_rate : none, adaptive ? adaptive : none);
    if (self->equipment == NULL)
        return NULL;
    self->backoff = pointers[0];
    self->budget = pointers[1];
    self->budget_clock = pointers[2];
    self->failure_rate = pointers[3];
    self->adaptive = pointers[4];
    self->own_backoff = keep(own_backoff);
    self->wanted = keep(wanted);
    self->retry_after = keep(retry_after);
    self->stand_in = Py_XNewRef(stand_in); /* None may be what stands in */
    self->stands_by_call = stands_by_call;
    self->asks = asks;
    self->threads = threads;
    if (threads && self->mode == HF_ENFORCE && self->n_steps == 1)
        self->threaded_at = 0;
    Py_RETURN_NONE;
}
