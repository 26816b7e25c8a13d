/* A hit, from its arguments to its answer: item and identifiers make a key, the table answers. */
#include "limits.h"

#include <math.h>

static PyObject *word_cost, *word_item, *word_key_for, *word_amount, *word_get_expiry;

/* What the arguments of hit() and test() come to. */
typedef struct asked_for {
    PyObject *item;
    PyObject *const *ids;
    Py_ssize_t n_ids;
    int64_t cost;
} asked_for;

static inline bool
is_word(PyObject *name, PyObject *word)
{
    return name == word || PyUnicode_Compare(name, word) == 0;
}

static int
read_arguments(const char *function, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
               asked_for *asked)
{
    const Py_ssize_t nkw = kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0;
    *asked = (asked_for){.item = nargs > 0 ? args[0] : NULL,
                         .ids = args + 1,
                         .n_ids = nargs > 0 ? nargs - 1 : 0,
                         .cost = 1};
    for (Py_ssize_t i = 0; i < nkw; i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i), *value = args[nargs + i];
        if (is_word(name, word_cost)) {
            if (hf_read_cost(value, "cost", &asked->cost) < 0)
                return -1;
        } else if (is_word(name, word_item) && asked->item == NULL) {
            asked->item = value;
        } else {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", function,
                         name);
            return -1;
        }
    }
    if (asked->item != NULL)
        return 0;
    PyErr_Format(PyExc_TypeError, "%s() missing 1 required positional argument: 'item'", function);
    return -1;
}

/* ---- keys ---- */

static int
add_ids(hf_text *text, PyObject *const *ids, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++)
        if (hf_text_add_object(text, ids[i]) < 0 || hf_text_add(text, "/", 1) < 0)
            return -1;
    return 0;
}

static int
plan_text(hf_text *text, const PlanObject *plan, PyObject *const *ids, Py_ssize_t n)
{
    if (hf_text_add(text, plan->text, plan->head_length) < 0 || add_ids(text, ids, n) < 0)
        return -1;
    return hf_text_add(text, plan->text + plan->head_length, plan->tail_length);
}

static inline hf_key
key_of(const WindowsObject *self, const hf_text *text)
{
    return (hf_key){.text = text->at,
                    .length = text->length,
                    .hash = hf_windows_hash(&self->windows, text->at, text->length)};
}

/*
 * The plan of an item, a new reference. NULL without an error: it has none, and what it says itself is asked
 * each time.
 */
static PlanObject *
ask_plan(WindowsObject *self, PyObject *item)
{
    PyObject *plan = PyObject_CallOneArg(self->plan_of, item);
    if (plan == Py_None) {
        Py_DECREF(plan);
        return NULL;
    }
    if (plan != NULL && !Py_IS_TYPE(plan, hf_plan_type)) {
        PyErr_Format(PyExc_TypeError, "plan_of(%R) returned %R, allowed None or a Plan", item,
                     plan);
        Py_CLEAR(plan);
    }
    if (plan != NULL && PyObject_TypeCheck(item, hf_item_type) &&
        hf_item_set_plan((ItemObject *)item, plan) < 0)
        Py_CLEAR(plan);
    return (PlanObject *)plan;
}

/* The plan that an item keeps; NULL: ask_plan(). HF_USED() ends its use. */
static inline PlanObject *
kept_plan(PyObject *item)
{
    if (HF_UNLIKELY(!PyObject_TypeCheck(item, hf_item_type)))
        return NULL;
    return (PlanObject *)HF_USE_POINTER(&((ItemObject *)item)->plan);
}

/* ---- items without a plan ---- */

/* Seconds as nanoseconds, held at the bounds of the kernels. */
static int
read_expiry(PyObject *seconds, int64_t *per_ns)
{
    const double s = PyFloat_AsDouble(seconds);
    if (s == -1.0 && PyErr_Occurred())
        return -1;
    if (isnan(s)) {
        PyErr_SetString(PyExc_ValueError, "expiry: got nan, allowed seconds");
        return -1;
    }
    *per_ns = s * 1e9 >= (double)HF_PER_MOST ? HF_PER_MOST : s * 1e9 < 1 ? 1 : (int64_t)(s * 1e9);
    return 0;
}

/* The limit and the span that an item says. */
static int
ask_limit(PyObject *item, hf_asked *asked)
{
    PyObject *amount = PyObject_GetAttr(item, word_amount);
    int answer = amount == NULL ? -1
                                : hf_read_clamped(amount, "amount", -HF_AMOUNT_MOST, HF_AMOUNT_MOST,
                                                  &asked->limit);
    Py_XDECREF(amount);
    PyObject *seconds = answer == 0 ? PyObject_CallMethodNoArgs(item, word_get_expiry) : NULL;
    answer = seconds != NULL ? read_expiry(seconds, &asked->per_ns) : -1;
    Py_XDECREF(seconds);
    return answer;
}

/* The key that an item makes of identifiers. */
static int
ask_key(PyObject *item, PyObject *const *ids, Py_ssize_t n, hf_text *text)
{
    PyObject *tuple = PyTuple_New(n);
    for (Py_ssize_t i = 0; tuple != NULL && i < n; i++)
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(ids[i]));
    PyObject *key_for = tuple != NULL ? PyObject_GetAttr(item, word_key_for) : NULL;
    PyObject *key = key_for != NULL ? PyObject_CallObject(key_for, tuple) : NULL;
    Py_XDECREF(key_for);
    Py_XDECREF(tuple);
    if (key == NULL)
        return -1;
    int answer = -1;
    if (PyUnicode_Check(key))
        answer = hf_text_add_object(text, key);
    else
        PyErr_Format(PyExc_TypeError, "key_for() returned %R, allowed a str", key);
    Py_DECREF(key);
    return answer;
}

/* A new reference; NULL without an error: there is none. */
static TallyObject *
ask_tally(WindowsObject *self, PyObject *item)
{
    if (self->tally_of == NULL)
        return NULL;
    PyObject *tally = PyObject_CallOneArg(self->tally_of, item);
    if (tally == NULL || tally == Py_None) {
        Py_XDECREF(tally);
        return NULL;
    }
    if (!Py_IS_TYPE(tally, hf_tally_type)) {
        PyErr_Format(PyExc_TypeError, "tally_of(%R) returned %R, allowed None or a Tally", item,
                     tally);
        Py_CLEAR(tally);
    }
    return (TallyObject *)tally;
}

/* ---- the answer ---- */

static PyObject *
answer_hit(WindowsObject *self, const hf_text *text, hf_asked *asked, TallyObject *tally)
{
    const hf_key key = key_of(self, text);
    asked->now_ns = hf_clock_now_ns(self->clock);
    int taken = hf_windows_hit(&self->windows, &key, asked);
    if (HF_UNLIKELY(taken < 0))
        return PyErr_NoMemory();
    if (tally != NULL && (taken = hf_tally_count(tally, taken)) < 0)
        return NULL;
    return Py_NewRef(taken ? Py_True : Py_False);
}

static PyObject *
answer_test(WindowsObject *self, const hf_text *text, hf_asked *asked, TallyObject *tally)
{
    const hf_key key = key_of(self, text);
    asked->now_ns = hf_clock_now_ns(self->clock);
    const bool fits = hf_windows_test(&self->windows, &key, asked);
    const bool refuses = tally == NULL || hf_load_relaxed(&tally->mode) == HF_TALLY_ENFORCE;
    return Py_NewRef(fits || !refuses ? Py_True : Py_False);
}

typedef PyObject *(*answerer)(WindowsObject *, const hf_text *, hf_asked *, TallyObject *);

/* By what an item says itself. */
static PyObject *
ask_itself(WindowsObject *self, const asked_for *what, answerer answer)
{
    hf_asked asked = {.n = what->cost};
    TallyObject *tally = ask_tally(self, what->item);
    if (tally == NULL && PyErr_Occurred())
        return NULL;
    PyObject *result = NULL;
    hf_text text;
    hf_text_init(&text);
    if (hf_tally_is_off(tally))
        result = Py_NewRef(Py_True);
    else if (ask_key(what->item, what->ids, what->n_ids, &text) == 0 &&
             ask_limit(what->item, &asked) == 0)
        result = answer(self, &text, &asked, tally);
    hf_text_end(&text);
    Py_XDECREF(tally);
    return result;
}

static inline PyObject *
ask(WindowsObject *self, const char *function, PyObject *const *args, Py_ssize_t nargs,
    PyObject *kwnames, answerer answer)
{
    asked_for what;
    if (read_arguments(function, args, nargs, kwnames, &what) < 0)
        return NULL;
    PlanObject *made = NULL, *kept = kept_plan(what.item), *plan = kept;
    if (HF_UNLIKELY(plan == NULL)) {
        plan = made = ask_plan(self, what.item);
        if (plan == NULL)
            return PyErr_Occurred() ? NULL : ask_itself(self, &what, answer);
    }
    PyObject *result = NULL;
    if (hf_tally_is_off(plan->tally)) {
        result = Py_NewRef(Py_True);
    } else {
        hf_asked asked = {.n = what.cost, .limit = plan->amount, .per_ns = plan->expiry_ns};
        hf_text text;
        hf_text_init(&text);
        if (plan_text(&text, plan, what.ids, what.n_ids) == 0)
            result = answer(self, &text, &asked, plan->tally);
        hf_text_end(&text);
    }
    HF_USED(kept);
    Py_XDECREF(made);
    return result;
}

PyObject *
hf_hit(WindowsObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return ask(self, "hit", args, nargs, kwnames, answer_hit);
}

PyObject *
hf_test(WindowsObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return ask(self, "test", args, nargs, kwnames, answer_test);
}

/* ---- by text ---- */

/* (key, limit, expiry_ns, cost=1) */
static PyObject *
ask_text(WindowsObject *self, const char *function, PyObject *const *args, Py_ssize_t nargs,
         PyObject *kwnames, answerer answer)
{
    hf_asked asked = {.n = 1};
    const Py_ssize_t nkw = kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0;
    const bool named = nargs == 3 && nkw == 1 && is_word(PyTuple_GET_ITEM(kwnames, 0), word_cost);
    if (!named && (nkw != 0 || nargs < 3 || nargs > 4)) {
        PyErr_Format(PyExc_TypeError, "%s() takes key, limit, expiry_ns and cost", function);
        return NULL;
    }
    if (!PyUnicode_Check(args[0])) {
        PyErr_Format(PyExc_TypeError, "key: got %R, allowed a str", args[0]);
        return NULL;
    }
    if (hf_read_clamped(args[1], "limit", -HF_AMOUNT_MOST, HF_AMOUNT_MOST, &asked.limit) < 0 ||
        hf_read_clamped(args[2], "expiry_ns", 1, HF_PER_MOST, &asked.per_ns) < 0 ||
        (nargs + nkw == 4 && hf_read_cost(args[3], "cost", &asked.n) < 0))
        return NULL;
    PyObject *result = NULL;
    hf_text text;
    hf_text_init(&text);
    if (hf_text_add_object(&text, args[0]) == 0)
        result = answer(self, &text, &asked, NULL);
    hf_text_end(&text);
    return result;
}

PyObject *
hf_hit_text(WindowsObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return ask_text(self, "hit_text", args, nargs, kwnames, answer_hit);
}

PyObject *
hf_test_text(WindowsObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return ask_text(self, "test_text", args, nargs, kwnames, answer_test);
}

/* ---- what else is asked of an item ---- */

static PyObject *
show_key(WindowsObject *self, const hf_text *text, hf_asked *asked, TallyObject *ignored)
{
    (void)ignored;
    const hf_key key = key_of(self, text);
    return hf_shown_tuple(self, &key, asked->per_ns, hf_clock_now_ns(self->clock));
}

static PyObject *
clear_key(WindowsObject *self, const hf_text *text, hf_asked *ignored, TallyObject *tally)
{
    (void)ignored, (void)tally;
    const hf_key key = key_of(self, text);
    hf_windows_clear(&self->windows, &key);
    Py_RETURN_NONE;
}

/* Whatever the mode of its tally. */
static PyObject *
of_item(WindowsObject *self, const char *function, PyObject *const *args, Py_ssize_t nargs,
        answerer answer)
{
    asked_for what;
    if (read_arguments(function, args, nargs, NULL, &what) < 0)
        return NULL;
    PlanObject *kept = kept_plan(what.item);
    PlanObject *plan = (PlanObject *)Py_XNewRef((PyObject *)kept);
    HF_USED(kept);
    if (plan == NULL && (plan = ask_plan(self, what.item)) == NULL && PyErr_Occurred())
        return NULL;
    hf_asked asked = {.n = 0, .per_ns = plan != NULL ? plan->expiry_ns : 1};
    PyObject *result = NULL;
    hf_text text;
    hf_text_init(&text);
    if (plan != NULL ? plan_text(&text, plan, what.ids, what.n_ids) == 0
                     : ask_key(what.item, what.ids, what.n_ids, &text) == 0 &&
                           ask_limit(what.item, &asked) == 0)
        result = answer(self, &text, &asked, NULL);
    hf_text_end(&text);
    Py_XDECREF(plan);
    return result;
}

PyObject *
hf_look_item(WindowsObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    return of_item(self, "look_item", args, nargs, show_key);
}

PyObject *
hf_clear_item(WindowsObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    return of_item(self, "clear_item", args, nargs, clear_key);
}

int
hf_hit_ready(void)
{
    word_cost = PyUnicode_InternFromString("cost");
    word_item = PyUnicode_InternFromString("item");
    word_key_for = PyUnicode_InternFromString("key_for");
    word_amount = PyUnicode_InternFromString("amount");
    word_get_expiry = PyUnicode_InternFromString("get_expiry");
    return word_cost != NULL && word_item != NULL && word_key_for != NULL && word_amount != NULL &&
                   word_get_expiry != NULL
               ? 0
               : -1;
}
