/*
 * Categories of exceptions: what kind of failure an exception is, as holdfast.categories says.
 *
 * Python is asked for the rule of a class, once per class. The rules are kept in a small table of fixed size. A
 * word of the table is the address of a class and, in the bits that an address leaves free, the category or
 * that each exception is to be looked at. So a reader of categories needs no lock and runs no Python. The table
 * owns its classes: no other class can get the address of one.
 */
#include "hfpy.h"

#define HF_CLASSES 256 /* a power of two */
#define HF_WAYS 4      /* entries, one after the other, in which a class may be */

/* The answers. A category has its place in `words`, plus one. */
enum { HF_NOTHING_KNOWN, HF_LOOK_AT_IT = 7, HF_ANSWERS };
#define HF_ANSWER_BITS ((uint64_t)HF_LOOK_AT_IT)

static const char *const words[] = {"transient", "permanent", "resource", "logic"};
#define HF_CATEGORIES ((int)(sizeof words / sizeof *words))

static hf_au64 known[HF_CLASSES];
static PyObject *rules[HF_CLASSES]; /* what Python said of the class; under `guard` */
static PyObject *guard;             /* whoever writes, or reads `rules`, has exclusive use of it */
static uint64_t forgotten;          /* how often all was forgotten; under `guard` */
static unsigned next_victim;        /* under `guard` */

static PyObject *of_class; /* a Python function: the rule of a class */
static PyObject *cause_name, *parts_name;

int
hf_category_ready(void)
{
    guard = PyList_New(0);
    cause_name = PyUnicode_InternFromString("__cause__");
    parts_name = PyUnicode_InternFromString("exceptions");
    of_class = Py_NewRef(Py_None);
    return guard == NULL || cause_name == NULL || parts_name == NULL ? -1 : 0;
}

static unsigned
entry_of(const PyTypeObject *type, unsigned way)
{
    uint64_t hash = ((uint64_t)(uintptr_t)type >> 4) * UINT64_C(0x9E3779B97F4A7C15);
    return ((unsigned)(hash >> 32) + way) % HF_CLASSES;
}

/* What is known of a class, and in which entry. -1: Python was not asked, or another class has the entry. */
static int
recall(const PyTypeObject *type, unsigned *at)
{
    for (unsigned way = 0; way < HF_WAYS; way++) {
        *at = entry_of(type, way);
        uint64_t word = hf_load_acquire(&known[*at]);
        if ((word & ~HF_ANSWER_BITS) == (uint64_t)(uintptr_t)type)
            return (int)(word & HF_ANSWER_BITS);
    }
    return -1;
}

/* What Python said of a class that is known; NULL: Python was not asked, or all was forgotten. */
static PyObject *
recall_rule(const PyTypeObject *type)
{
    unsigned at;
    PyObject *rule = NULL;
    if (recall(type, &at) < 0)
        return NULL;
    HF_BEGIN_EXCLUSIVE(guard);
    if ((hf_load_relaxed(&known[at]) & ~HF_ANSWER_BITS) == (uint64_t)(uintptr_t)type)
        rule = Py_NewRef(rules[at]);
    HF_END_EXCLUSIVE();
    return rule;
}

static uint64_t
times_forgotten(void)
{
    uint64_t times;
    HF_BEGIN_EXCLUSIVE(guard);
    times = forgotten;
    HF_END_EXCLUSIVE();
    return times;
}

/* Its own entry, or an empty one, or that of another class. Called under `guard`. */
static unsigned
entry_for(const PyTypeObject *type)
{
    unsigned at;
    if (recall(type, &at) >= 0)
        return at;
    for (unsigned way = 0; way < HF_WAYS; way++) {
        at = entry_of(type, way);
        if (hf_load_relaxed(&known[at]) == 0)
            return at;
    }
    return entry_of(type, next_victim++ % HF_WAYS);
}

/* Keep an answer, unless all was forgotten since it was asked for: then it may be out of date. */
static void
remember(PyTypeObject *type, int answer, PyObject *rule, uint64_t asked_after)
{
    PyObject *old_type = NULL, *old_rule = NULL;
    HF_BEGIN_EXCLUSIVE(guard);
    if (forgotten == asked_after) {
        unsigned at = entry_for(type);
        old_type = (PyObject *)(uintptr_t)(hf_load_relaxed(&known[at]) & ~HF_ANSWER_BITS);
        old_rule = rules[at];
        rules[at] = Py_NewRef(rule);
        Py_INCREF(type);
        hf_store_release(&known[at], (uint64_t)(uintptr_t)type | (uint64_t)answer);
    }
    HF_END_EXCLUSIVE();
    Py_XDECREF(old_type);
    Py_XDECREF(old_rule);
}

/* _forget_classes(): ask Python again about every class. */
PyObject *
hf_forget_classes(PyObject *module, PyObject *ignored)
{
    PyObject *types[HF_CLASSES], *old_rules[HF_CLASSES];
    (void)module, (void)ignored;
    HF_BEGIN_EXCLUSIVE(guard);
    forgotten++;
    for (int i = 0; i < HF_CLASSES; i++) {
        types[i] = (PyObject *)(uintptr_t)(hf_load_relaxed(&known[i]) & ~HF_ANSWER_BITS);
        hf_store_release(&known[i], 0);
        old_rules[i] = rules[i];
        rules[i] = NULL;
    }
    HF_END_EXCLUSIVE();
    for (int i = 0; i < HF_CLASSES; i++) {
        Py_XDECREF(types[i]);
        Py_XDECREF(old_rules[i]);
    }
    Py_RETURN_NONE;
}

/* ---- asking Python ---- */

/* What Python has answered, which is stolen: HF_NOTHING_KNOWN or a category. -1: that raised, or is neither. */
static int
answer_of(PyObject *answer)
{
    int known_as = answer == Py_None ? HF_NOTHING_KNOWN : -1;
    for (int i = 0; i < HF_CATEGORIES && answer != NULL && PyUnicode_Check(answer); i++) {
        if (PyUnicode_CompareWithASCIIString(answer, words[i]) == 0)
            known_as = i + 1;
    }
    if (known_as < 0 && answer != NULL)
        PyErr_Format(PyExc_TypeError, "a classifier returned %R, allowed a category or None",
                     answer);
    Py_XDECREF(answer);
    return known_as;
}

/*
 * A question about a category has raised: then nothing is known, and the call's own error goes on.
 * -1: an interruption; it stays set.
 */
static int
unanswered(PyObject *asked)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    hf_report_raised(asked);
    return HF_NOTHING_KNOWN;
}

/* _install_rules(of_class): whom to ask about the class of an exception inside another one. */
PyObject *
hf_install_rules(PyObject *module, PyObject *function)
{
    (void)module;
    Py_SETREF(of_class, Py_NewRef(function));
    Py_RETURN_NONE;
}

/*
 * The rule of a class: a category, None, a function or a tuple. Python is asked once, by the step where there
 * is one, for its answer imports the rules. NULL: that raised.
 */
static PyObject *
rule_of(const GateObject *step, PyTypeObject *type)
{
    PyObject *class = (PyObject *)type, *rule = recall_rule(type);
    if (rule != NULL)
        return rule;
    uint64_t asked_after = times_forgotten();
    rule = step != NULL ? PyObject_CallMethod((PyObject *)step, "_category_of_class", "O", class)
                        : PyObject_CallOneArg(of_class, class);
    if (rule == NULL)
        return NULL;
    int known_as = HF_LOOK_AT_IT;
    if (!PyTuple_Check(rule) && !PyCallable_Check(rule))
        known_as = answer_of(Py_NewRef(rule));
    if (known_as < 0)
        Py_CLEAR(rule);
    else
        remember(type, known_as, rule, asked_after);
    return rule;
}

/* ---- looking at an exception ---- */

/*
 * Two kinds of rules are data (holdfast.categories.rules), for a Python function costs more than all that is
 * done here. They are tuples, told apart by their size.
 */
enum { HF_WRAPPER_DEFAULT, HF_WRAPPER_INSIDE, HF_WRAPPER_FIRST, HF_WRAPPER_FIELDS };
enum {
    HF_NUMBERS_NAME,
    HF_NUMBERS_TABLE,
    HF_NUMBERS_MASK,
    HF_NUMBERS_OTHERWISE,
    HF_NUMBERS_FIELDS
};

#define HF_MOST_CAUSES 12 /* a chain of causes may be a circle */

static bool
has_fields(PyObject *rule, Py_ssize_t fields)
{
    return PyTuple_Check(rule) && PyTuple_GET_SIZE(rule) == fields;
}

/* None: there is no such attribute, or reading it raised. NULL: that was an interruption. */
static PyObject *
attribute_of(PyObject *error, PyObject *name)
{
    PyObject *value = hf_attribute_if_any(error, name);
    if (value == NULL && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return NULL;
        PyErr_Clear();
    }
    return value != NULL ? value : Py_NewRef(Py_None);
}

/* The category of a number that an exception has; an object without that number may have another rule. */
static PyObject *
of_number(PyObject *rule, PyObject *error)
{
    PyObject *otherwise = PyTuple_GET_ITEM(rule, HF_NUMBERS_OTHERWISE);
    PyObject *mask = PyTuple_GET_ITEM(rule, HF_NUMBERS_MASK);
    PyObject *number = attribute_of(error, PyTuple_GET_ITEM(rule, HF_NUMBERS_NAME));
    if (number == NULL)
        return NULL;
    if (!PyLong_Check(number) || PyBool_Check(number)) {
        Py_DECREF(number);
        return otherwise == Py_None ? Py_NewRef(Py_None) : PyObject_CallOneArg(otherwise, error);
    }
    if (!PyLong_CheckExact(number))
        Py_SETREF(number, PyNumber_Long(number));
    if (number != NULL && mask != Py_None)
        Py_SETREF(number, PyNumber_And(number, mask));
    if (number == NULL)
        return NULL;
    PyObject *found = PyDict_GetItemWithError(PyTuple_GET_ITEM(rule, HF_NUMBERS_TABLE), number);
    Py_DECREF(number);
    return found != NULL || PyErr_Occurred() ? Py_XNewRef(found) : Py_NewRef(Py_None);
}

/*
 * What is inside an exception: what a function says, or an attribute. Of several values, such as the
 * arguments, that is the first exception, or else the cause. What is no exception is nothing.
 */
static PyObject *
inside_of(PyObject *how, PyObject *error)
{
    if (!PyUnicode_Check(how))
        return PyObject_CallOneArg(how, error);
    PyObject *inside = attribute_of(error, how), *one = NULL;
    if (inside == NULL || !PyTuple_Check(inside))
        return inside;
    for (Py_ssize_t i = 0; one == NULL && i < PyTuple_GET_SIZE(inside); i++) {
        if (PyExceptionInstance_Check(PyTuple_GET_ITEM(inside, i)))
            one = Py_NewRef(PyTuple_GET_ITEM(inside, i));
    }
    Py_DECREF(inside);
    return one != NULL ? one : attribute_of(error, cause_name);
}

/* The category of an exception by a rule that is no wrapper's; None: unknown. */
static PyObject *
look_once(PyObject *rule, PyObject *error)
{
    if (rule == Py_None || PyUnicode_Check(rule))
        return Py_NewRef(rule);
    return has_fields(rule, HF_NUMBERS_FIELDS) ? of_number(rule, error)
                                               : PyObject_CallOneArg(rule, error);
}

/*
 * What the rule of an exception in a chain says: a category, None if it is unknown, or NULL if that raised.
 * `how` becomes the way to the exception inside it.
 */
static PyObject *
look_on_the_way(PyObject *rule, PyObject *error, PyObject **how)
{
    bool wraps = has_fields(rule, HF_WRAPPER_FIELDS);
    bool groups = PyObject_TypeCheck(error, (PyTypeObject *)PyExc_BaseExceptionGroup);
    *how = wraps ? PyTuple_GET_ITEM(rule, HF_WRAPPER_INSIDE) : groups ? parts_name : cause_name;
    if (wraps)
        return look_once(PyTuple_GET_ITEM(rule, HF_WRAPPER_FIRST), error);
    return look_once(groups && !PyUnicode_Check(rule) ? Py_None : rule, error);
}

/* The category of the first exception, from a wrapper inwards, of which one is known, or the first default. */
static PyObject *
look_inside(PyObject *rule, PyObject *error)
{
    PyObject *found = Py_NewRef(Py_None), *by_default = Py_NewRef(Py_None), *how;
    Py_INCREF(rule);
    Py_INCREF(error);
    for (int n = 0; n < HF_MOST_CAUSES && rule != NULL && found == Py_None; n++) {
        if (by_default == Py_None && has_fields(rule, HF_WRAPPER_FIELDS))
            Py_SETREF(by_default, Py_NewRef(PyTuple_GET_ITEM(rule, HF_WRAPPER_DEFAULT)));
        Py_SETREF(found, look_on_the_way(rule, error, &how));
        if (found != Py_None)
            break;
        Py_SETREF(error, inside_of(how, error));
        if (error == NULL || !PyExceptionInstance_Check(error))
            break;
        Py_SETREF(rule, rule_of(NULL, Py_TYPE(error)));
    }
    if (error == NULL || rule == NULL)
        Py_CLEAR(found);
    else if (found == Py_None)
        Py_SETREF(found, Py_NewRef(by_default));
    Py_XDECREF(rule);
    Py_XDECREF(error);
    Py_DECREF(by_default);
    return found;
}

static PyObject *
look(PyObject *rule, PyObject *error)
{
    return has_fields(rule, HF_WRAPPER_FIELDS) ? look_inside(rule, error) : look_once(rule, error);
}

/* _look(rule, error): the category by this rule. */
PyObject *
hf_look(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    (void)module;
    if (n != 2) {
        PyErr_SetString(PyExc_TypeError, "_look() takes a rule and an error");
        return NULL;
    }
    return look(args[0], args[1]);
}

/* _classify(error): the category by the rule of its class. */
PyObject *
hf_classify(PyObject *module, PyObject *error)
{
    (void)module;
    PyObject *rule = rule_of(NULL, Py_TYPE(error));
    PyObject *found = rule != NULL ? look(rule, error) : NULL;
    Py_XDECREF(rule);
    return found;
}

/* ---- what the gate asks ---- */

/* What Python says, where no exception is set. -1: an interruption is. */
static int
ask(const GateObject *step, PyTypeObject *type, PyObject *error)
{
    PyObject *rule = rule_of(step, type);
    if (rule == NULL)
        return unanswered((PyObject *)step);
    int known_as = answer_of(look(rule, error));
    if (known_as < 0)
        known_as = unanswered(PyTuple_Check(rule) ? (PyObject *)type : rule);
    Py_DECREF(rule);
    return known_as;
}

/*
 * The category of an exception as a bit; 0: nothing is known of it. `error` NULL: of the exception that is
 * set, which `type` is the class of. -1: asking was interrupted; that is set, with the exception as context.
 */
int
hf_category_of(const GateObject *step, PyTypeObject *type, PyObject *error)
{
    unsigned at;
    PyObject *raised = NULL;
    int known_as = recall(type, &at);
    if (known_as < 0 || known_as == HF_LOOK_AT_IT) {
        if (error == NULL)
            error = raised = hf_take_exception();
        known_as = ask(step, type, error);
        if (known_as < 0)
            hf_chain(raised);
        else
            hf_give_exception(raised);
    }
    return known_as <= 0 ? known_as : 1 << (known_as - 1);
}
