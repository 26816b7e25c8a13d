/*
 * What a gate is made of: given once by its Python class, as kernels through _bind() or as other gates
 * through _compose().
 */
#include "steps.h"

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
    self->controls = self->reruns = self->times = self->judges = false;
    self->threaded_at = -1;
    for (Py_ssize_t i = 0; i < self->n_steps; i++) {
        const GateObject *step = self->steps[i];
        bool hedges = step->kind == HF_KIND_HEDGE;
        bool reruns = step->kind == HF_KIND_RETRY || step->kind == HF_KIND_FALLBACK || hedges;
        self->judges |= step->is_failure != NULL;
        self->reruns |= reruns;
        self->controls |= reruns || step->kind == HF_KIND_TIMEOUT;
        self->times |= (step->kind == HF_KIND_TIMEOUT || hedges) && step->mode == HF_ENFORCE;
        if (step->threads && step->mode == HF_ENFORCE && self->threaded_at < 0)
            self->threaded_at = (int8_t)i;
    }
}

static bool
is_lone(const GateObject *self)
{
    return self->kind == HF_KIND_BREAKER && self->n_steps == 1 && !self->timed &&
           self->is_failure == NULL && self->tells == 0;
}

/* What entering and leaving must read, from what the steps want. */
static void
compile_steps(GateObject *self)
{
    self->reads_clock = false;
    self->lone = is_lone(self);
    GateObject *own = self->kind == HF_KIND_PIPELINE ? NULL : self;
    compile_control(self);
    for (Py_ssize_t i = 0; i < self->n_steps; i++) {
        GateObject *step = self->steps[i];
        bool reads =
            hf_is_limiter(step) || step->kind == HF_KIND_TIMEOUT || step->kind == HF_KIND_HEDGE;
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

/* What _bind() takes by name: flags, objects, and the structs of bindings, which the gate's equipment holds. */
typedef enum { IS_FLAG, IS_BITS, IS_OBJECT, IS_VALUE, IS_STRUCT } part_kind;
#define FLAG(field) {#field, NULL, offsetof(GateObject, field), IS_FLAG}
#define BITS(field) {#field, NULL, offsetof(GateObject, field), IS_BITS}
#define OBJECT(field) {#field, NULL, offsetof(GateObject, field), IS_OBJECT}
#define VALUE(field) {#field, NULL, offsetof(GateObject, field), IS_VALUE} /* None is one */
#define STRUCT(field, kind) {#field, kind, offsetof(GateObject, field), IS_STRUCT}
static const struct {
    const char *name, *kind;
    size_t at;
    part_kind is;
} parts[] = {
    FLAG(can_wait),
    FLAG(timed),
    FLAG(asks),
    FLAG(threads),
    FLAG(stands_by_call),
    FLAG(calls_coroutines),
    FLAG(results_only),
    FLAG(reads_results),
    BITS(on_categories),
    BITS(ignore_categories),
    OBJECT(on),
    OBJECT(ignore),
    OBJECT(is_failure),
    OBJECT(wanted),
    OBJECT(retry_after),
    OBJECT(own_backoff),
    VALUE(stand_in),
    STRUCT(backoff, "backoff"),
    STRUCT(budget, "budget"),
    STRUCT(budget_clock, "clock"),
    STRUCT(failure_rate, "failure_rate"),
    STRUCT(adaptive, "adaptive_timeout"),
    STRUCT(adaptive_rate, "adaptive_rate"),
};
#define HF_MAX_BINDINGS 4 /* those of a retry; a timeout has one */
#define N_PARTS ((Py_ssize_t)(sizeof parts / sizeof *parts))

/* The bindings whose structs a gate is given. */
typedef struct {
    Py_ssize_t n;
    PyObject *one[HF_MAX_BINDINGS];
} hf_bindings;

/* They live as long as the gate. In one step, as gc shows every tuple to everybody: none may have a hole. */
static int
keep_bindings(GateObject *self, const hf_bindings *b)
{
    if (b->n == 0)
        return 0;
    PyObject *kept = PyTuple_Pack(b->n, b->one[0], b->one[1], b->one[2], b->one[3]);
    if (kept == NULL)
        return -1;
    Py_XSETREF(self->equipment, kept);
    return 0;
}

static int
equip_with(GateObject *self, Py_ssize_t part, PyObject *value, hf_bindings *bindings)
{
    void *at = (char *)self + parts[part].at;
    part_kind is = parts[part].is;
    if (is == IS_FLAG)
        *(bool *)at = PyObject_IsTrue(value) == 1;
    else if (is == IS_BITS)
        *(uint8_t *)at = (uint8_t)PyLong_AsLong(value);
    else if (value == Py_None && is != IS_VALUE)
        return 0;
    else if (is != IS_STRUCT)
        Py_XSETREF(*(PyObject **)at, Py_NewRef(value));
    else if ((*(void **)at = struct_of(value, parts[part].kind)) == NULL)
        return -1;
    else
        bindings->one[bindings->n++] = value;
    return 0;
}

static int
equip(GateObject *self, PyObject *equipment)
{
    PyObject *name, *value;
    Py_ssize_t at = 0;
    hf_bindings bindings = {0};
    while (equipment != NULL && PyDict_Next(equipment, &at, &name, &value)) {
        Py_ssize_t part = 0;
        while (part < N_PARTS && PyUnicode_CompareWithASCIIString(name, parts[part].name) != 0)
            part++;
        if (part == N_PARTS)
            PyErr_Format(PyExc_TypeError, "a gate is equipped with no %R", name);
        if (part == N_PARTS || equip_with(self, part, value, &bindings) < 0)
            return -1;
    }
    return keep_bindings(self, &bindings);
}

/* The kernels, of which a limiter alone has several, and their clock. -1: an exception is set. */
static int
keep_kernels(GateObject *self, int kind, PyObject *kernels, PyObject *clock)
{
    const char *word = kind_words[kind == HF_KIND_ADAPTIVE ? HF_KIND_BUCKET : kind];
    void *cells[HF_MAX_CELLS];
    Py_ssize_t n_cells = PyTuple_GET_SIZE(kernels);
    for (Py_ssize_t i = 0; i < n_cells; i++) {
        if ((cells[i] = struct_of(PyTuple_GET_ITEM(kernels, i), word)) == NULL)
            return -1;
    }
    hf_clock *time = struct_of(clock, "clock");
    if (time == NULL)
        return -1;
    if (kind == HF_KIND_BUCKET || kind == HF_KIND_SLIDING || kind == HF_KIND_ADAPTIVE) {
        self->cells = n_cells == 1 ? &self->cell : kept_array(cells, n_cells);
        if (self->cells == NULL) {
            PyErr_NoMemory();
            return -1;
        }
    }
    self->cell = cells[0];
    self->n_cells = (uint8_t)n_cells;
    self->kernels = Py_NewRef(n_cells == 1 ? PyTuple_GET_ITEM(kernels, 0) : kernels);
    self->clock = time;
    self->clock_object = Py_NewRef(clock);
    return 0;
}

PyObject *
hf_gate_bind(PyObject *op, PyObject *args, PyObject *equipment)
{
    GateObject *self = (GateObject *)op;
    const char *word;
    PyObject *kernels, *clock, *name, *rejection;
    int mode;
    if (!PyArg_ParseTuple(args, "sO!OOiO:_bind", &word, &PyTuple_Type, &kernels, &clock, &name,
                          &mode, &rejection))
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
    if (equip(self, equipment) < 0)
        return NULL;
    Py_XSETREF(self->on_neutral, neutral_among(self->on));
    if (self->on_neutral == NULL || keep_kernels(self, kind, kernels, clock) < 0)
        return NULL;
    self->on_everything = self->on != NULL && PyTuple_GET_SIZE(self->on) == 1 &&
                          PyTuple_GET_ITEM(self->on, 0) == PyExc_Exception;
    self->name = Py_NewRef(name);
    self->rejection = Py_NewRef(rejection);
    self->kind = (uint8_t)kind;
    self->mode = (uint8_t)mode;
    self->n_all = 1;
    self->n_steps = mode == HF_OFF || kind == HF_KIND_CHAOS ? 0 : 1;
    self->own = self;
    self->steps = &self->own;
    compile_steps(self);
    Py_RETURN_NONE;
}

/* From now on this breaker's calls are timed; the first duration has a histogram made. */
PyObject *
hf_gate_record_latency(PyObject *op, PyObject *ignored)
{
    GateObject *self = (GateObject *)op;
    (void)ignored;
    if (hf_need_kind(self, self->kind == HF_KIND_BREAKER, "circuit breaker") < 0)
        return NULL;
    HF_BEGIN_EXCLUSIVE(op);
    hf_store_relaxed(&((hf_breaker *)self->cell)->timed, 1);
    self->records = self->timed = true;
    compile_steps(self);
    HF_END_EXCLUSIVE();
    Py_RETURN_NONE;
}

/* Durations go into this histogram. Asked again, the first one stays. */
PyObject *
hf_gate_keep_histogram(PyObject *op, PyObject *histogram)
{
    GateObject *self = (GateObject *)op;
    hf_histogram *cells = struct_of(histogram, "histogram");
    if (cells == NULL)
        return NULL;
    HF_BEGIN_EXCLUSIVE(op);
    if (self->histogram_object == NULL) {
        self->histogram_object = Py_NewRef(histogram);
        /* Release pairs with the acquire in leave_breaker(): it finds the cells empty. */
        hf_store_release(&self->histogram, cells);
    }
    HF_END_EXCLUSIVE();
    Py_RETURN_NONE;
}

/* _once(attribute, make): what is made when it is first used. Of several made at once one stays. */
PyObject *
hf_gate_once(PyObject *op, PyObject *args)
{
    GateObject *self = (GateObject *)op;
    const char *what;
    PyObject *make;
    if (!PyArg_ParseTuple(args, "sO:_once", &what, &make) || hf_need_made(self) < 0)
        return NULL;
    PyObject **at = strcmp(what, "_listeners") == 0 ? &self->listeners : &self->queue;
    PyObject *made = PyObject_CallNoArgs(make);
    if (made == NULL)
        return NULL;
    HF_BEGIN_EXCLUSIVE(op);
    if (*at == NULL)
        *at = Py_NewRef(made);
    else
        Py_SETREF(made, Py_NewRef(*at));
    HF_END_EXCLUSIVE();
    return made;
}

/* The steps of a part, with the faults that are no part of it while chaos is disabled. */
static Py_ssize_t
steps_of_part(const GateObject *part)
{
    return part->mode == HF_OFF ? 0 : part->n_all;
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
        for (Py_ssize_t j = 0; j < steps_of_part(part); j++) {
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
    self->n_all = (uint8_t)n_steps;
    self->n_steps = hf_steps_without_faults(self);
    self->kind = HF_KIND_PIPELINE;
    /* What a timeout's thread runs is a part of a call. */
    self->counts = !Py_IS_TYPE(op, hf_gate_type);
    compile_steps(self);
    for (int i = self->n_steps; i < self->n_all; i++) {
        PyObject *told = PyObject_CallMethod((PyObject *)self->steps[i], "_placed_in", "O", op);
        if (told == NULL)
            return NULL;
        Py_DECREF(told);
    }
    Py_RETURN_NONE;
}

/* Whose attempts a block may be tried in: "" where something stands in for a call, or nothing tries again. */
static const char *
whose_attempts(const GateObject *gate)
{
    const char *whose = "";
    for (Py_ssize_t i = 0; i < gate->n_steps; i++) {
        if (gate->steps[i]->kind == HF_KIND_FALLBACK || gate->steps[i]->kind == HF_KIND_HEDGE)
            return "";
        if (gate->steps[i]->kind == HF_KIND_RETRY)
            whose = gate->kind == HF_KIND_PIPELINE ? "pipeline" : "retry";
    }
    return whose;
}

/* A permit or a `with` block cannot be run again, and nothing can stand in for it. */
int
hf_need_no_rerun(GateObject *gate)
{
    if (!gate->reruns)
        return hf_need_made(gate);
    const char *whose = whose_attempts(gate);
    PyErr_Format(PyExc_TypeError,
                 HF_TITLE "%s cannot run a block again: use it as a decorator or with call()%s%s%s",
                 HF_TITLE_OF(gate),
                 gate->kind == HF_KIND_PIPELINE ? " has a retry, a hedge or a fallback, which" : "",
                 *whose ? ", or write 'for attempt in " : "", whose,
                 *whose ? ".attempts():' (in a coroutine 'async for') and 'with attempt:' around "
                          "the block"
                        : "");
    return -1;
}

/* A generator is consumed while it runs: of two at once, the items of one would be lost. */
int
hf_need_no_hedge(GateObject *gate)
{
    for (Py_ssize_t i = 0; i < gate->n_steps && gate->reruns; i++) {
        if (gate->steps[i]->kind != HF_KIND_HEDGE)
            continue;
        PyErr_Format(PyExc_TypeError,
                     HF_TITLE "%s cannot run a generator twice at once: guard a function that "
                              "returns a value, such as a list of all items",
                     HF_TITLE_OF(gate),
                     gate->kind == HF_KIND_PIPELINE ? " has a hedge, which" : "");
        return -1;
    }
    return 0;
}

/* _tells = bits: of which calls the end is told to _ended(). Of those that run, some may not be. */
int
hf_gate_put_tells(PyObject *op, PyObject *value, void *closure)
{
    (void)closure;
    GateObject *self = (GateObject *)op;
    long bits = value == NULL ? -1 : PyLong_AsLong(value);
    if (bits == -1 && PyErr_Occurred())
        return -1;
    if (bits < 0 || bits > (HF_TELLS_FAILURES | HF_TELLS_SUCCESSES)) {
        PyErr_SetString(PyExc_ValueError, "_tells is 0 to 3");
        return -1;
    }
    if (hf_need_kind(self, self->kind == HF_KIND_BREAKER, "circuit breaker") < 0)
        return -1;
    self->tells = (uint8_t)bits & (HF_TELLS_FAILURES | HF_TELLS_SUCCESSES);
    self->lone = is_lone(self);
    return 0;
}
