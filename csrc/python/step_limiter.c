/*
 * One rate limiter on the way in and out, and what its Python class asks. Its cells, one for each of its
 * limits, are taken together or not at all.
 */
#include "steps.h"

static inline int64_t
pass_now(const hf_pass *pass, const hf_clock *clock)
{
    return pass->clock == clock ? pass->now_ns : hf_clock_now_ns(clock);
}

static inline bool
cell_try_take(const GateObject *step, int cell, uint64_t n, int64_t now)
{
    return step->kind != HF_KIND_SLIDING ? hf_bucket_try_take(step->cells[cell], n, now)
                                         : hf_sliding_try_take(step->cells[cell], n, now);
}

static inline int64_t
cell_wait_ns(const GateObject *step, int cell, uint64_t n, int64_t now)
{
    return step->kind != HF_KIND_SLIDING ? hf_bucket_wait_ns(step->cells[cell], n, now)
                                         : hf_sliding_wait_ns(step->cells[cell], n, now);
}

static void
limiter_refund(const GateObject *step, int count, uint64_t n, int64_t taken_ns)
{
    for (int cell = 0; cell < count; cell++) {
        if (step->kind != HF_KIND_SLIDING)
            hf_bucket_refund(step->cells[cell], n);
        else
            hf_sliding_refund(step->cells[cell], n, taken_ns);
    }
}

/* How long until every cell has n tokens, and which of them, from 1, has them last; 0: all have them. */
static int64_t
limiter_wait_for(const GateObject *step, uint64_t n, int64_t now, uint32_t *limit)
{
    int64_t longest = 0;
    *limit = 0;
    for (int cell = 0; cell < step->n_cells; cell++) {
        int64_t wait = cell_wait_ns(step, cell, n, now);
        if (wait > longest) {
            longest = wait;
            *limit = (uint32_t)cell + 1;
        }
    }
    return longest;
}

static int64_t
limiter_wait_ns(const GateObject *step, uint64_t n, int64_t now)
{
    uint32_t limit;
    return limiter_wait_for(step, n, now, &limit);
}

/* Take n tokens from every cell, or none from any. */
static bool
limiter_take(const GateObject *step, uint64_t n, int64_t now)
{
    if (step->n_cells == 1 && step->kind != HF_KIND_SLIDING)
        return hf_bucket_try_take(step->cell, n, now); /* as nearly all are */
    for (int cell = 0; cell < step->n_cells; cell++) {
        if (!cell_try_take(step, cell, n, now)) {
            limiter_refund(step, cell, n, now);
            return false;
        }
    }
    return true;
}

static hf_entering
enter(GateObject *step, const hf_pass *pass, hf_hold *hold, hf_refusal *why)
{
    int64_t now = pass_now(pass, step->clock);
    const uint64_t clears = hf_load_acquire(&step->clears);
    if (step->can_wait && limiter_wait_ns(step, 1, now) > 0)
        return HF_MUST_WAIT;
    if (limiter_take(step, 1, now)) {
        hold->taken_ns = now;
        hold->clears = clears;
        return HF_IN;
    }
    if (step->can_wait)
        return HF_MUST_WAIT; /* another thread was faster */
    if (step->mode != HF_OBSERVE) {
        uint32_t limit;
        int64_t wait = limiter_wait_for(step, 1, now, &limit);
        hf_entering answer = hf_step_refuse(step, why, HF_REASON_RATE, wait);
        why->seen = limit;
        return answer;
    }
    hf_count(&step->observed, 1);
    hold->taken_ns = HF_NOTHING_HELD;
    return HF_IN;
}

static int
undo(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    (void)pass;
    if (hold->taken_ns == HF_NOTHING_HELD)
        hf_count(&step->unobserved, 1);
    else if (hold->clears == hf_load_acquire(&step->clears))
        limiter_refund(step, step->n_cells, 1, hold->taken_ns);
    return 0;
}

static void
waited(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    (void)pass;
    hold->taken_ns = hf_clock_now_ns(step->clock);
    hold->clears = hf_load_acquire(&step->clears);
}

/* Left or abandoned, its tokens are spent. */
HF_STEP_VERBS(limiter, enter, hf_step_no_leave, undo, hf_step_nothing_held, hf_step_goes_on, waited)

/* ---- what Python asks ---- */

static inline int
need_limiter(const GateObject *self)
{
    return hf_need_kind(self, hf_is_limiter(self), "rate limiter");
}

static uint64_t
most_tokens(const GateObject *self)
{
    uint64_t most = UINT64_MAX;
    for (int cell = 0; cell < self->n_cells; cell++) {
        uint64_t burst = self->kind != HF_KIND_SLIDING ? hf_bucket_rate(self->cells[cell]).burst
                                                       : hf_sliding_limit(self->cells[cell]);
        if (burst < most)
            most = burst;
    }
    return most;
}

/* Set a ValueError that shows n: short, and whatever its repr does. */
static void
refuse_weight(PyObject *n, uint64_t most)
{
    PyObject *shown = PyObject_Repr(n);
    if (shown == NULL && PyErr_ExceptionMatches(PyExc_Exception)) {
        PyErr_Clear();
        shown = PyUnicode_FromFormat("<%.60s without a repr>", Py_TYPE(n)->tp_name);
    }
    if (shown == NULL)
        return;
    PyErr_Format(PyExc_ValueError, "n: got %.80U, allowed an integer from 1 to %llu, the burst",
                 shown, (unsigned long long)most);
    Py_DECREF(shown);
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
    refuse_weight(n, most);
    return 0;
}

PyObject *
hf_gate_weight(PyObject *op, PyObject *n)
{
    return weight_of((GateObject *)op, n) == 0 ? NULL : Py_NewRef(n);
}

PyObject *
hf_gate_try_take(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    GateObject *self = (GateObject *)op;
    Py_ssize_t nkw = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    uint64_t n = 1;
    if (nargs + nkw > 1 ||
        (nkw == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "n") != 0)) {
        PyErr_SetString(PyExc_TypeError, "try_acquire() takes one argument, n");
        return NULL;
    }
    if (nargs + nkw == 1 ? (n = weight_of(self, args[0])) == 0 : need_limiter(self) < 0)
        return NULL;
    if (self->mode == HF_OFF || limiter_take(self, n, hf_clock_now_ns(self->clock)))
        Py_RETURN_TRUE;
    if (self->mode != HF_OBSERVE)
        Py_RETURN_FALSE;
    hf_count(&self->observed, 1);
    Py_RETURN_TRUE;
}

/* How long until n tokens are there: _wait_ns(n). */
PyObject *
hf_gate_wait_ns(PyObject *op, PyObject *n)
{
    GateObject *self = (GateObject *)op;
    uint64_t weight = weight_of(self, n);
    if (weight == 0)
        return NULL;
    return PyLong_FromLongLong(limiter_wait_ns(self, weight, hf_clock_now_ns(self->clock)));
}

/* Before the cells of a limiter are cleared, and after: tokens taken before that are not given back. */
PyObject *
hf_gate_count_clear(PyObject *op, PyObject *ignored)
{
    (void)ignored;
    /* Seen by whoever takes tokens that the clearing has brought. */
    (void)hf_fetch_add_seq_cst(&((GateObject *)op)->clears, 1);
    Py_RETURN_NONE;
}
