/* FixedWindows, MovingWindows, CounterWindows: the tables as Python has them. */
#include "limits.h"

#include <stddef.h>
#include <string.h>
#include <structmember.h>

PyTypeObject *hf_windows_types[3];

static uint64_t secret[3]; /* of this process */

/* ---- life ---- */

static hf_clock *
clock_of(PyObject *clock)
{
    PyObject *capsule = PyObject_CallMethod(clock, "_capsule", NULL);
    if (capsule == NULL)
        return NULL;
    hf_clock *at = PyCapsule_GetPointer(capsule, "holdfast.clock");
    Py_DECREF(capsule);
    return at;
}

static PyObject *
windows_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"plan_of", "clock", "most_keys", NULL};
    static char *counter_names[] = {"plan_of", "clock", "most_keys", "phase_ns", NULL};
    PyObject *plan_of, *clock, *most_object = NULL;
    long long phase_ns = 0;
    int64_t most = 1000000;
    const hf_window_kind kind = type == hf_windows_types[HF_FIXED]    ? HF_FIXED
                                : type == hf_windows_types[HF_MOVING] ? HF_MOVING
                                                                      : HF_COUNTER;
    if (kind == HF_COUNTER ? !PyArg_ParseTupleAndKeywords(args, kwargs, "OO|OL", counter_names,
                                                          &plan_of, &clock, &most_object, &phase_ns)
                           : !PyArg_ParseTupleAndKeywords(args, kwargs, "OO|O", names, &plan_of,
                                                          &clock, &most_object))
        return NULL;
    if (!PyCallable_Check(plan_of)) {
        PyErr_Format(PyExc_TypeError, "plan_of: got %R, allowed a callable", plan_of);
        return NULL;
    }
    if (most_object != NULL &&
        hf_read_whole(most_object, "most_keys", 1, INT64_C(1) << 40, &most) < 0)
        return NULL;
    hf_clock *at = clock_of(clock);
    WindowsObject *self = at != NULL ? (WindowsObject *)type->tp_alloc(type, 0) : NULL;
    if (self == NULL)
        return NULL;
    hf_windows_init(&self->windows, kind, (size_t)most, phase_ns, secret);
    self->clock = at;
    self->clock_object = Py_NewRef(clock);
    self->plan_of = Py_NewRef(plan_of);
    return (PyObject *)self;
}

static int
windows_traverse(PyObject *op, visitproc visit, void *arg)
{
    WindowsObject *self = (WindowsObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->clock_object);
    Py_VISIT(self->plan_of);
    Py_VISIT(self->tally_of);
    return 0;
}

static int
windows_clear_cycle(PyObject *op)
{
    Py_CLEAR(((WindowsObject *)op)->tally_of);
    return 0;
}

static void
windows_dealloc(PyObject *op)
{
    WindowsObject *self = (WindowsObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs(op);
    hf_windows_end(&self->windows);
    Py_CLEAR(self->clock_object);
    Py_CLEAR(self->plan_of);
    Py_CLEAR(self->tally_of);
    type->tp_free(op);
    Py_DECREF(type);
}

/* ---- by key ---- */

static inline int64_t
now_of(const WindowsObject *self)
{
    return hf_clock_now_ns(self->clock);
}

/* The key that a str is; hf_text_end() in any case. */
static int
read_key(const WindowsObject *self, PyObject *str, hf_text *text, hf_key *key)
{
    hf_text_init(text);
    if (!PyUnicode_Check(str)) {
        PyErr_Format(PyExc_TypeError, "key: got %R, allowed a str", str);
        return -1;
    }
    if (hf_text_add_object(text, str) < 0)
        return -1;
    *key = (hf_key){.text = text->at,
                    .length = text->length,
                    .hash = hf_windows_hash(&self->windows, text->at, text->length)};
    return 0;
}

/* Fixed: (count, end or -1); moving: (the oldest or -1, count); counter: (count, ns, count, ns). */
PyObject *
hf_shown_tuple(WindowsObject *self, const hf_key *key, int64_t per_ns, int64_t now_ns)
{
    hf_shown shown;
    hf_windows_look(&self->windows, key, per_ns, now_ns, &shown);
    const long long at = shown.at_ns != INT64_MIN ? shown.at_ns : -1;
    if (self->windows.kind == HF_FIXED)
        return Py_BuildValue("(LL)", (long long)shown.count, at);
    if (self->windows.kind == HF_MOVING)
        return Py_BuildValue("(LL)", at, (long long)shown.count);
    const int64_t left = per_ns - shown.at_ns;
    return Py_BuildValue("(LLLL)", (long long)shown.previous,
                         (long long)(shown.previous != 0 ? left : 0), (long long)shown.count,
                         (long long)(left + per_ns));
}

/* look(key) of fixed windows, look(key, limit, expiry_ns) of moving ones, look(key, expiry_ns) of counters. */
static PyObject *
look(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    WindowsObject *self = (WindowsObject *)op;
    static const Py_ssize_t wanted[] = {1, 3, 2};
    const Py_ssize_t wants = wanted[self->windows.kind];
    int64_t per_ns = 1;
    hf_text text;
    hf_key key;
    if (nargs != wants) {
        PyErr_Format(PyExc_TypeError, "look() takes %zd arguments, got %zd", wants, nargs);
        return NULL;
    }
    if (wants > 1 && hf_read_clamped(args[wants - 1], "expiry_ns", 1, HF_PER_MOST, &per_ns) < 0)
        return NULL;
    PyObject *result = read_key(self, args[0], &text, &key) == 0
                           ? hf_shown_tuple(self, &key, per_ns, now_of(self))
                           : NULL;
    hf_text_end(&text);
    return result;
}

static PyObject *
clear(PyObject *op, PyObject *str)
{
    WindowsObject *self = (WindowsObject *)op;
    hf_text text;
    hf_key key;
    const int answer = read_key(self, str, &text, &key);
    if (answer == 0)
        hf_windows_clear(&self->windows, &key);
    hf_text_end(&text);
    return answer == 0 ? Py_NewRef(Py_None) : NULL;
}

static PyObject *
add(PyObject *op, PyObject *args)
{
    WindowsObject *self = (WindowsObject *)op;
    PyObject *str, *per, *n;
    hf_asked asked = {.limit = 0};
    hf_text text;
    hf_key key;
    if (!PyArg_ParseTuple(args, "OOO:add", &str, &per, &n) ||
        hf_read_clamped(per, "expiry_ns", 1, HF_PER_MOST, &asked.per_ns) < 0 ||
        (PyFloat_Check(n) ? hf_read_cost(n, "n", &asked.n)
                          : hf_read_clamped(n, "n", -HF_AMOUNT_MOST, HF_AMOUNT_MOST, &asked.n)) < 0)
        return NULL;
    PyObject *result = NULL;
    if (read_key(self, str, &text, &key) == 0) {
        asked.now_ns = now_of(self);
        const int64_t count = hf_windows_add(&self->windows, &key, &asked);
        result = count < 0 ? PyErr_NoMemory() : PyLong_FromLongLong(count);
    }
    hf_text_end(&text);
    return result;
}

static PyObject *
take_back(PyObject *op, PyObject *args)
{
    WindowsObject *self = (WindowsObject *)op;
    PyObject *str, *n_object;
    int64_t n;
    hf_text text;
    hf_key key;
    if (!PyArg_ParseTuple(args, "OO:take_back", &str, &n_object) ||
        hf_read_cost(n_object, "n", &n) < 0)
        return NULL;
    PyObject *result = NULL;
    if (read_key(self, str, &text, &key) == 0)
        result = PyLong_FromLongLong(hf_windows_take_back(&self->windows, &key, n, now_of(self)));
    hf_text_end(&text);
    return result;
}

/* ---- all ---- */

static PyObject *
reset(PyObject *op, PyObject *ignored)
{
    WindowsObject *self = (WindowsObject *)op;
    (void)ignored;
    return PyLong_FromSize_t(hf_windows_reset(&self->windows, now_of(self)));
}

static PyObject *
sweep(PyObject *op, PyObject *ignored)
{
    WindowsObject *self = (WindowsObject *)op;
    (void)ignored;
    return PyLong_FromSize_t(hf_windows_sweep(&self->windows, now_of(self)));
}

static PyObject *
after_fork(PyObject *op, PyObject *ignored)
{
    (void)ignored;
    hf_windows_forked(&((WindowsObject *)op)->windows);
    Py_RETURN_NONE;
}

static Py_ssize_t
length(PyObject *op)
{
    WindowsObject *self = (WindowsObject *)op;
    return (Py_ssize_t)hf_windows_living(&self->windows, now_of(self));
}

/* What is left of a cell when Python has it: fixed: count, end; moving: span, runs; counter: … */
static PyObject *
cell_tuple(hf_window_kind kind, const hf_cell *cell)
{
    PyObject *key = PyUnicode_DecodeUTF8(cell->text, (Py_ssize_t)cell->length, "surrogatepass");
    if (key == NULL)
        return NULL;
    if (kind == HF_FIXED)
        return Py_BuildValue("(NLL)", key, (long long)hf_load_relaxed(&cell->fixed.count),
                             (long long)hf_load_relaxed(&cell->fixed.ends_ns));
    if (kind == HF_COUNTER)
        return Py_BuildValue("(NLLLL)", key, (long long)hf_load_relaxed(&cell->counter.per),
                             (long long)hf_load_relaxed(&cell->counter.window),
                             (long long)hf_load_relaxed(&cell->counter.previous),
                             (long long)hf_load_relaxed(&cell->counter.current));
    const uint64_t used = hf_load_relaxed(&cell->moving.used);
    PyObject *runs = PyList_New((Py_ssize_t)used);
    for (uint64_t i = 0; runs != NULL && i < used; i++) {
        const int64_t at_ns = hf_load_relaxed(&hf__moving_run(&cell->moving, i)->at_ns);
        PyObject *pair = Py_BuildValue("(LL)", (long long)at_ns,
                                       (long long)hf_moving_window_run(&cell->moving, i));
        if (pair == NULL)
            Py_CLEAR(runs);
        else
            PyList_SET_ITEM(runs, (Py_ssize_t)i, pair);
    }
    if (runs == NULL) {
        Py_DECREF(key);
        return NULL;
    }
    return Py_BuildValue("(NLN)", key, (long long)hf_load_relaxed(&cell->moving.kept_ns), runs);
}

static PyObject *
dump(PyObject *op, PyObject *ignored)
{
    WindowsObject *self = (WindowsObject *)op;
    hf_cell **cells;
    size_t n;
    (void)ignored;
    if (hf_windows_copy(&self->windows, now_of(self), &cells, &n) < 0)
        return PyErr_NoMemory();
    PyObject *all = PyList_New(0);
    for (size_t i = 0; all != NULL && i < n; i++) {
        PyObject *one = cell_tuple(self->windows.kind, cells[i]);
        if (one == NULL || PyList_Append(all, one) < 0)
            Py_CLEAR(all);
        Py_XDECREF(one);
    }
    hf_cells_free(self->windows.kind, cells, n);
    return all;
}

/* ---- load ---- */

static int
load_runs(hf_cell *cell, PyObject *runs)
{
    hf_moving_window *m = &cell->moving;
    const int64_t kept_ns = hf_load_relaxed(&m->kept_ns);
    if (!PyList_Check(runs)) {
        PyErr_Format(PyExc_TypeError, "runs: got %R, allowed a list", runs);
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyList_Size(runs); i++) {
        long long at, n;
        PyObject *pair = hf_list_item(runs, i);
        const bool read = pair != NULL && PyArg_ParseTuple(pair, "LL:runs", &at, &n);
        Py_XDECREF(pair);
        if (!read || n < 1 || n > HF_AMOUNT_MOST) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_ValueError, "runs: allowed (ns, from 1 to 2**61)");
            return -1;
        }
        const hf_asked asked = {.n = n, .limit = HF_AMOUNT_MOST, .per_ns = kept_ns, .now_ns = at};
        if (hf_moving_load(m, &asked) < 0) {
            PyErr_NoMemory();
            return -1;
        }
    }
    return 0;
}

/* Fill a cell with what cell_tuple() made of one. */
static int
load_fields(hf_window_kind kind, hf_cell *cell, PyObject *tuple)
{
    PyObject *key, *runs;
    long long a, b, c, d;
    if (kind == HF_FIXED) {
        hf_fixed_window_init(&cell->fixed);
        if (!PyArg_ParseTuple(tuple, "OLL:load", &key, &a, &b))
            return -1;
        a = a < 0 ? 0 : a > HF_AMOUNT_MOST ? HF_AMOUNT_MOST : a;
        hf_fixed_window_restore(&cell->fixed, a, b);
    } else if (kind == HF_COUNTER) {
        hf_window_counter_init(&cell->counter);
        if (!PyArg_ParseTuple(tuple, "OLLLL:load", &key, &a, &b, &c, &d))
            return -1;
        if (a < 1 || a > HF_PER_MOST || c < 0 || c > HF_AMOUNT_MOST || d < 0 ||
            d > HF_AMOUNT_MOST) {
            PyErr_SetString(PyExc_ValueError, "load: a number is out of range");
            return -1;
        }
        hf_window_counter_restore(&cell->counter, a,
                                  &(hf_window_counts){.window = b, .previous = c, .current = d});
    } else {
        hf_moving_window_init(&cell->moving);
        if (!PyArg_ParseTuple(tuple, "OLO:load", &key, &a, &runs))
            return -1;
        hf_store_relaxed(&cell->moving.kept_ns, a < 1 ? 1 : a > HF_PER_MOST ? HF_PER_MOST : a);
        return load_runs(cell, runs);
    }
    return 0;
}

static int
load_one(WindowsObject *self, PyObject *tuple)
{
    hf_text text;
    hf_key key;
    if (!PyTuple_Check(tuple) || PyTuple_GET_SIZE(tuple) == 0) {
        PyErr_Format(PyExc_TypeError, "load: got %R, allowed what dump() gives", tuple);
        return -1;
    }
    hf_cell *cell = NULL;
    if (read_key(self, PyTuple_GET_ITEM(tuple, 0), &text, &key) == 0 &&
        (cell = hf_cell_new(&key)) == NULL)
        PyErr_NoMemory();
    hf_text_end(&text);
    if (cell == NULL)
        return -1;
    if (load_fields(self->windows.kind, cell, tuple) == 0) {
        if (hf_windows_put(&self->windows, cell, now_of(self)) == 0)
            return 0;
        PyErr_NoMemory();
    }
    hf_cell_free(self->windows.kind, cell);
    return -1;
}

static PyObject *
load(PyObject *op, PyObject *cells)
{
    PyObject *all = PySequence_List(cells);
    for (Py_ssize_t i = 0; all != NULL && i < PyList_GET_SIZE(all); i++)
        if (load_one((WindowsObject *)op, PyList_GET_ITEM(all, i)) < 0)
            Py_CLEAR(all);
    if (all == NULL)
        return NULL;
    Py_DECREF(all);
    Py_RETURN_NONE;
}

/* ---- attributes ---- */

static PyObject *
get_evicted(PyObject *op, void *closure)
{
    (void)closure;
    return PyLong_FromUnsignedLongLong(hf_windows_evicted(&((WindowsObject *)op)->windows));
}

static PyObject *
get_held(PyObject *op, void *closure)
{
    (void)closure;
    return PyLong_FromSize_t(hf_windows_held(&((WindowsObject *)op)->windows));
}

static PyObject *
get_tally_of(PyObject *op, void *closure)
{
    PyObject *value = ((WindowsObject *)op)->tally_of;
    (void)closure;
    return Py_NewRef(value != NULL ? value : Py_None);
}

/* Once: a hit reads it without a lock. */
static int
set_tally_of(PyObject *op, PyObject *value, void *closure)
{
    WindowsObject *self = (WindowsObject *)op;
    int answer = 0;
    (void)closure;
    if (value == NULL || !PyCallable_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "tally_of: allowed a callable");
        return -1;
    }
    HF_BEGIN_EXCLUSIVE(op);
    if (self->tally_of == NULL)
        HF_SET_POINTER(&self->tally_of, Py_NewRef(value));
    else
        answer = -1;
    HF_END_EXCLUSIVE();
    if (answer < 0)
        PyErr_SetString(PyExc_ValueError, "tally_of: it has one already");
    return answer;
}

#define FAST(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef windows_methods[] = {
    {"hit", FAST(hf_hit), METH_FASTCALL | METH_KEYWORDS,
     "hit($self, item, /, *identifiers, cost=1)\n--\n\n"
     "Take `cost` of an item for these identifiers; return whether they fitted."},
    {"test", FAST(hf_test), METH_FASTCALL | METH_KEYWORDS,
     "test($self, item, /, *identifiers, cost=1)\n--\n\n"
     "Return whether `cost` would fit. Changes nothing."},
    {"hit_text", FAST(hf_hit_text), METH_FASTCALL | METH_KEYWORDS,
     "hit_text($self, key, limit, expiry_ns, /, cost=1)\n--\n\nAs hit, by the text of a key; not counted."},
    {"test_text", FAST(hf_test_text), METH_FASTCALL | METH_KEYWORDS,
     "test_text($self, key, limit, expiry_ns, /, cost=1)\n--\n\nAs test, by the text of a key."},
    {"look", FAST(look), METH_FASTCALL,
     "look(key), look(key, limit, expiry_ns) or look(key, expiry_ns): what a key has counted."},
    {"look_item", FAST(hf_look_item), METH_FASTCALL,
     "look_item($self, item, /, *identifiers)\n--\n\nReturn what an item has counted for identifiers."},
    {"clear", clear, METH_O, "clear($self, key, /)\n--\n\nForget what a key has counted."},
    {"clear_item", FAST(hf_clear_item), METH_FASTCALL,
     "clear_item($self, item, /, *identifiers)\n--\n\nForget what an item has counted for identifiers."},
    {"reset", reset, METH_NOARGS,
     "reset($self, /)\n--\n\nForget everything; return how many keys had counted something."},
    {"sweep", sweep, METH_NOARGS,
     "sweep($self, /)\n--\n\nDrop all windows that are over; return how many."},
    {"_after_fork", after_fork, METH_NOARGS,
     "_after_fork($self, /)\n--\n\nIn a forked child: open the locks that threads of the parent held."},
    {"dump", dump, METH_NOARGS, "dump($self, /)\n--\n\nReturn all that counts, as plain values."},
    {"load", load, METH_O, "load($self, cells, /)\n--\n\nPut back what dump() gave."},
    {NULL},
};

/* What only fixed windows have. */
static PyMethodDef fixed_methods[] = {
    {"add", add, METH_VARARGS,
     "add($self, key, expiry_ns, n, /)\n--\n\nAdd n, whether it fits or not; return the count."},
    {"take_back", take_back, METH_VARARGS,
     "take_back($self, key, n, /)\n--\n\nTake back up to n; return the count."},
    {NULL},
};

static PyMemberDef windows_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(WindowsObject, weakrefs), READONLY, NULL},
    {"clock", T_OBJECT, offsetof(WindowsObject, clock_object), READONLY, "The source of time."},
    {NULL},
};

static PyGetSetDef windows_getset[] = {
    {"evicted", get_evicted, NULL, "Windows that were dropped before they were over.", NULL},
    {"held", get_held, NULL, "Keys that take memory: those whose windows are over, too.", NULL},
    {"tally_of", get_tally_of, set_tally_of,
     "What gives the tally of an item that has no plan, or None; set once.", NULL},
    {NULL},
};

static PyType_Slot windows_slots[] = {
    {Py_tp_doc, "A table of windows by key.\n\n"
                "A window goes when it is over, or when there are too many.\n\n"
                "Safe to share between threads and event loops; no method waits."},
    {Py_tp_new, windows_new},
    {Py_tp_dealloc, windows_dealloc},
    {Py_tp_traverse, windows_traverse},
    {Py_tp_clear, windows_clear_cycle},
    {Py_tp_members, windows_members},
    {Py_tp_getset, windows_getset},
    {Py_tp_methods, windows_methods},
    {Py_sq_length, length},
    {0, NULL},
};

static PyType_Spec windows_specs[] = {
    {.name = "holdfast._native.limit_windows.FixedWindows"},
    {.name = "holdfast._native.limit_windows.MovingWindows"},
    {.name = "holdfast._native.limit_windows.CounterWindows"},
};

static int
make_secret(void)
{
    PyObject *os = PyImport_ImportModule("os");
    PyObject *bytes =
        os != NULL ? PyObject_CallMethod(os, "urandom", "n", (Py_ssize_t)sizeof secret) : NULL;
    Py_XDECREF(os);
    if (bytes == NULL || !PyBytes_Check(bytes) ||
        PyBytes_GET_SIZE(bytes) != (Py_ssize_t)sizeof secret) {
        Py_XDECREF(bytes);
        return -1;
    }
    memcpy(secret, PyBytes_AS_STRING(bytes), sizeof secret);
    Py_DECREF(bytes);
    return 0;
}

static int
add_fixed_methods(PyTypeObject *type)
{
    for (PyMethodDef *method = fixed_methods; method->ml_name != NULL; method++) {
        PyObject *own = PyDescr_NewMethod(type, method);
        const int set =
            own != NULL ? PyObject_SetAttrString((PyObject *)type, method->ml_name, own) : -1;
        Py_XDECREF(own);
        if (set < 0)
            return -1;
    }
    return 0;
}

int
hf_windows_ready(PyObject *module)
{
    static const char *const names[] = {"FixedWindows", "MovingWindows", "CounterWindows"};
    if (make_secret() < 0)
        return -1;
    for (int kind = HF_FIXED; kind <= HF_COUNTER; kind++) {
        PyType_Spec *spec = &windows_specs[kind];
        spec->basicsize = sizeof(WindowsObject);
        spec->flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC;
        spec->slots = windows_slots;
        hf_windows_types[kind] = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
        if (hf_windows_types[kind] == NULL ||
            PyModule_AddObjectRef(module, names[kind], (PyObject *)hf_windows_types[kind]) < 0)
            return -1;
    }
    return add_fixed_methods(hf_windows_types[HF_FIXED]);
}
