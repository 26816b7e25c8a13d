/*
 * Categories of exceptions: what kind of failure an exception is, as holdfast.categories says.
 *
 * Python is asked once per class. The answers are kept in a small table of fixed size. A word of the table
 * is the address of a class and, in the bits that an address leaves free, the answer, so a reader needs no
 * lock and runs no Python. The table owns its classes: no other class can get the address of one.
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
static PyObject *looks[HF_CLASSES]; /* of HF_LOOK_AT_IT: the function that looks; under `guard` */
static PyObject *guard;             /* whoever writes, or reads `looks`, has exclusive use of it */
static uint64_t forgotten;          /* how often all was forgotten; under `guard` */
static unsigned next_victim;        /* under `guard` */

int
hf_category_ready(void)
{
    guard = PyList_New(0);
    return guard == NULL ? -1 : 0;
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

/* The function that looks at exceptions of a class; NULL: the entry has changed meanwhile. */
static PyObject *
recall_look(const PyTypeObject *type, unsigned at)
{
    PyObject *look = NULL;
    HF_BEGIN_EXCLUSIVE(guard);
    if (hf_load_relaxed(&known[at]) == ((uint64_t)(uintptr_t)type | HF_LOOK_AT_IT))
        look = Py_XNewRef(looks[at]);
    HF_END_EXCLUSIVE();
    return look;
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
remember(PyTypeObject *type, int answer, PyObject *look, uint64_t asked_after)
{
    PyObject *old_type = NULL, *old_look = NULL;
    HF_BEGIN_EXCLUSIVE(guard);
    if (forgotten == asked_after) {
        unsigned at = entry_for(type);
        old_type = (PyObject *)(uintptr_t)(hf_load_relaxed(&known[at]) & ~HF_ANSWER_BITS);
        old_look = looks[at];
        looks[at] = Py_XNewRef(look);
        Py_INCREF(type);
        hf_store_release(&known[at], (uint64_t)(uintptr_t)type | (uint64_t)answer);
    }
    HF_END_EXCLUSIVE();
    Py_XDECREF(old_type);
    Py_XDECREF(old_look);
}

/* _forget_classes(): ask Python again about every class. */
PyObject *
hf_forget_classes(PyObject *module, PyObject *ignored)
{
    PyObject *types[HF_CLASSES], *functions[HF_CLASSES];
    (void)module, (void)ignored;
    HF_BEGIN_EXCLUSIVE(guard);
    forgotten++;
    for (int i = 0; i < HF_CLASSES; i++) {
        types[i] = (PyObject *)(uintptr_t)(hf_load_relaxed(&known[i]) & ~HF_ANSWER_BITS);
        hf_store_release(&known[i], 0);
        functions[i] = looks[i];
        looks[i] = NULL;
    }
    HF_END_EXCLUSIVE();
    for (int i = 0; i < HF_CLASSES; i++) {
        Py_XDECREF(types[i]);
        Py_XDECREF(functions[i]);
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

/* Have Python say what a class is. `look` becomes the function that it names for looking, or NULL. */
static int
ask_about_class(const GateObject *step, PyTypeObject *type, PyObject **look)
{
    uint64_t asked_after = times_forgotten();
    PyObject *answer =
        PyObject_CallMethod((PyObject *)step, "_category_of_class", "O", (PyObject *)type);
    *look = NULL;
    if (answer != NULL && PyCallable_Check(answer)) {
        *look = answer;
        remember(type, HF_LOOK_AT_IT, answer, asked_after);
        return HF_LOOK_AT_IT;
    }
    int known_as = answer_of(answer);
    if (known_as < 0)
        return unanswered((PyObject *)step);
    remember(type, known_as, NULL, asked_after);
    return known_as;
}

/* Have a function look at an exception. Both are no longer than this call. */
static int
look_at(PyObject *look, PyObject *error)
{
    int known_as = answer_of(PyObject_CallOneArg(look, error));
    return known_as < 0 ? unanswered(look) : known_as;
}

/* What Python says, where no exception is set. -1: an interruption is. */
static int
ask(const GateObject *step, PyTypeObject *type, PyObject *error, PyObject *look)
{
    int known_as = look != NULL ? HF_LOOK_AT_IT : ask_about_class(step, type, &look);
    if (known_as == HF_LOOK_AT_IT)
        known_as = look_at(look, error);
    Py_XDECREF(look);
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
    PyObject *look = NULL, *raised = NULL;
    int known_as = recall(type, &at);
    if (known_as == HF_LOOK_AT_IT)
        look = recall_look(type, at);
    if (known_as < 0 || known_as == HF_LOOK_AT_IT) {
        if (error == NULL)
            error = raised = hf_take_exception();
        known_as = ask(step, type, error, look);
        if (known_as < 0)
            hf_chain(raised);
        else
            hf_give_exception(raised);
    }
    return known_as <= 0 ? known_as : 1 << (known_as - 1);
}
