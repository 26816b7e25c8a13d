/*
 * Judging: what an exception, or a result, means to a step. A group of exceptions means what is in it.
 *
 * Classes are compared by PyType_IsSubtype() alone, as `except` does where it can: that runs no Python and
 * needs no room, so the end of the stack and of memory are judged as anything else. A category may have to be
 * asked for in Python; where there is no room for that, nothing is known, and no category matches.
 */
#include "control.h"

/* ---- classes ---- */

#define HF_MODULE_OF_FUTURES "concurrent.futures._base"

static bool
is_a(PyTypeObject *type, PyObject *class)
{
    return PyType_IsSubtype(type, (PyTypeObject *)class);
}

static bool
is_of_futures(PyTypeObject *class)
{
    PyObject *raised = hf_take_exception();
    PyObject *module = PyObject_GetAttrString((PyObject *)class, "__module__");
    bool is = module != NULL && PyUnicode_Check(module) &&
              PyUnicode_CompareWithASCIIString(module, HF_MODULE_OF_FUTURES) == 0;
    PyErr_Clear();
    hf_give_exception(raised);
    Py_XDECREF(module);
    return is;
}

/*
 * Whether it is concurrent.futures.CancelledError. Known by its name: that module need not be imported, and
 * may be imported again. An exception of CPython's own, made in C, is told at a glance to be none.
 */
static bool
is_cancelled_future(PyTypeObject *type)
{
    PyObject *mro = PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) ? type->tp_mro : NULL;
    for (Py_ssize_t i = 0; mro != NULL && i < PyTuple_GET_SIZE(mro); i++) {
        PyTypeObject *class = (PyTypeObject *)PyTuple_GET_ITEM(mro, i);
        if (PyType_HasFeature(class, Py_TPFLAGS_HEAPTYPE) &&
            strcmp(class->tp_name, "CancelledError") == 0 && is_of_futures(class))
            return true;
    }
    return false;
}

/* What a class says of the call, whatever a step names: HF_SAYS_FAILURE, if it is an error like any other. */
unsigned
hf_class_says(PyTypeObject *type)
{
    if (!is_a(type, PyExc_Exception))
        return HF_SAYS_CANCELLED;
    if (is_a(type, PyExc_BaseExceptionGroup))
        return HF_SAYS_WHAT_IS_IN_IT;
    if (is_a(type, hf_rejected_type))
        return HF_SAYS_REJECTED;
    return is_cancelled_future(type) ? HF_SAYS_CANCELLED : HF_SAYS_FAILURE;
}

/* Whether one of them but `but`, or NULL, is the class of what is raised, or a base of that. A predicate
 * names none. */
static bool
names_but(PyObject *classes, PyTypeObject *type, const PyObject *but)
{
    Py_ssize_t n = classes != NULL && PyTuple_Check(classes) ? PyTuple_GET_SIZE(classes) : 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *class = PyTuple_GET_ITEM(classes, i);
        if (class != but && is_a(type, class))
            return true;
    }
    return false;
}

static bool
names(PyObject *classes, PyTypeObject *type)
{
    return names_but(classes, type, NULL);
}

/* Whether they name a group as such, and not for being an Exception. */
static bool
names_group(PyObject *classes, PyTypeObject *type)
{
    return names_but(classes, type, PyExc_Exception);
}

/* ---- what one exception says to a step ---- */

/* `error` is NULL for the exception that is set. */
typedef unsigned (*opinion)(const GateObject *step, PyTypeObject *type, PyObject *error);

static unsigned
says_at_all(const GateObject *step, PyTypeObject *type, PyObject *error)
{
    (void)step, (void)error;
    return hf_class_says(type);
}

/*
 * What the step's `on` and `ignore` say of an exception that is no group. Only errors have categories: a
 * rejection or a cancellation counts where its class is named.
 */
static unsigned
says_by_name(const GateObject *step, PyTypeObject *type, PyObject *error, bool is_error)
{
    if (names(step->ignore, type))
        return is_error ? HF_SAYS_NOTHING : HF_SAYS_SUCCESS;
    bool named = step->on_everything || names(step->on, type);
    unsigned asked = step->ignore_categories | (named ? 0u : step->on_categories);
    if (asked == 0 || !is_error)
        return named ? HF_SAYS_FAILURE : HF_SAYS_SUCCESS;
    int category = hf_category_of(step, type, error);
    if (category < 0)
        return HF_SAYS_BROKEN;
    if ((unsigned)category & step->ignore_categories)
        return HF_SAYS_NOTHING;
    return named || ((unsigned)category & step->on_categories) ? HF_SAYS_FAILURE : HF_SAYS_SUCCESS;
}

static unsigned
says_to_step(const GateObject *step, PyTypeObject *type, PyObject *error)
{
    unsigned says = hf_class_says(type);
    if (says == HF_SAYS_WHAT_IS_IN_IT) {
        if (names_group(step->ignore, type))
            return HF_SAYS_NOTHING;
        return names_group(step->on, type) ? HF_SAYS_FAILURE : says;
    }
    if (says == HF_SAYS_FAILURE)
        return says_by_name(step, type, error, true);
    return names(step->on_neutral, type) && !names(step->ignore, type) ? HF_SAYS_FAILURE : says;
}

/* A fallback stands in for rejections too; they are Exceptions. */
static unsigned
says_to_fallback(const GateObject *step, PyTypeObject *type, PyObject *error)
{
    unsigned says = hf_class_says(type);
    if (says == HF_SAYS_WHAT_IS_IN_IT)
        return says_to_step(step, type, error);
    if (says == HF_SAYS_CANCELLED && !names(step->on_neutral, type))
        return says;
    return says_by_name(step, type, error, says == HF_SAYS_FAILURE);
}

/* ---- groups ---- */

/* The exceptions of a group; NULL: it was never filled. */
static PyObject *
parts_of(PyObject *group)
{
    return ((PyBaseExceptionGroupObject *)group)->excs;
}

void
hf_groups_begin(hf_groups *groups, PyObject *group)
{
    groups->unseen = groups->few;
    groups->unseen[0] = group;
    groups->n = 1;
    groups->room = HF_FEW_GROUPS;
}

/* Have a look into this one as well. Without memory it is passed over. */
void
hf_groups_add(hf_groups *groups, PyObject *group)
{
    if (groups->n == groups->room) {
        size_t bytes = 2 * (size_t)groups->room * sizeof(PyObject *);
        bool is_few = groups->unseen == groups->few;
        PyObject **more = PyMem_Realloc(is_few ? NULL : groups->unseen, bytes);
        if (more == NULL)
            return;
        if (is_few)
            memcpy(more, groups->few, sizeof groups->few);
        groups->unseen = more;
        groups->room *= 2;
    }
    groups->unseen[groups->n++] = group;
}

/* What is in the next of them, a borrowed tuple; NULL: that was all. */
PyObject *
hf_groups_next(hf_groups *groups)
{
    PyObject *parts = NULL;
    while (parts == NULL && groups->n > 0)
        parts = parts_of(groups->unseen[--groups->n]);
    if (parts == NULL && groups->unseen != groups->few)
        PyMem_Free(groups->unseen);
    return parts;
}

static unsigned
group_says(const GateObject *step, PyObject *group, opinion opinion)
{
    hf_groups groups;
    unsigned says = 0;
    hf_groups_begin(&groups, group);
    for (PyObject *parts; (parts = hf_groups_next(&groups)) != NULL;) {
        /* Whoever interrupts is heard: nothing more is asked while that is set. */
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(parts) && !(says & HF_SAYS_BROKEN); i++) {
            PyObject *part = PyTuple_GET_ITEM(parts, i);
            unsigned one = opinion(step, Py_TYPE(part), part);
            if (one == HF_SAYS_WHAT_IS_IN_IT)
                hf_groups_add(&groups, part);
            says |= one;
        }
    }
    return says != 0 ? says : HF_SAYS_NOTHING;
}

static unsigned
raised_says(const GateObject *step, opinion opinion)
{
    unsigned says = opinion(step, (PyTypeObject *)PyErr_Occurred(), NULL);
    if (says != HF_SAYS_WHAT_IS_IN_IT)
        return says;
    PyObject *raised = hf_take_exception();
    says = group_says(step, raised, opinion);
    if (says & HF_SAYS_BROKEN)
        hf_chain(raised);
    else
        hf_give_exception(raised);
    return says;
}

/* What the exception that is set says to this step: of a group all that is said by what is in it. */
unsigned
hf_raised_says(const GateObject *step)
{
    return raised_says(step, says_to_step);
}

/* Whether it has the attributes that its class has as it comes with CPython, of which none is a wish. */
bool
hf_is_plain_error(PyObject *exception)
{
    return !PyType_HasFeature(Py_TYPE(exception), Py_TPFLAGS_HEAPTYPE) &&
           ((PyBaseExceptionObject *)exception)->dict == NULL;
}

/* Whether the exception that is set says anything about what was called, whoever asks. */
bool
hf_raised_proves(void)
{
    return (raised_says(NULL, says_at_all) & HF_SAYS_FAILURE) != 0;
}

/* ---- verdicts ---- */

/* Whether it would still have to be awaited, or iterated over: nothing of it has run. */
static bool
is_unanswered(PyObject *answer)
{
    const PyAsyncMethods *async = Py_TYPE(answer)->tp_as_async;
    return (async != NULL && async->am_await != NULL) || PyGen_CheckExact(answer) ||
           PyAsyncGen_CheckExact(answer);
}

/*
 * What a function of the user's has answered, which is stolen. NULL: it raised, or it is asynchronous, or a
 * generator's, and has answered nothing: that is an error, and never true.
 */
PyObject *
hf_need_answer(const char *field, PyObject *fn, PyObject *answer)
{
    if (answer == NULL || !is_unanswered(answer))
        return answer;
    PyErr_Format(PyExc_TypeError, "%s: %R returned %R, but must return a plain value: %s", field,
                 fn, answer, "it cannot be asynchronous or a generator");
    PyObject *error = hf_take_exception(); /* of a repr perhaps, which says as much */
    PyObject *closed = PyCoro_CheckExact(answer) || PyGen_CheckExact(answer) ||
                               Py_IS_TYPE(answer, hf_coroutine_type)
                           ? PyObject_CallMethod(answer, "close", NULL)
                           : Py_NewRef(Py_None);
    if (closed == NULL)
        PyErr_WriteUnraisable(answer);
    Py_XDECREF(closed);
    Py_DECREF(answer);
    hf_give_exception(error);
    return NULL;
}

/* Ask a predicate of the user's. -1: it raised; that is set. */
int
hf_ask(const char *field, PyObject *predicate, PyObject *about)
{
    PyObject *answer = hf_need_answer(field, predicate, PyObject_CallOneArg(predicate, about));
    int truth = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    return truth;
}

/* The same about the exception that is set, which its own has as context. */
int
hf_ask_about_raised(const char *field, PyObject *predicate)
{
    PyObject *raised = hf_take_exception();
    int truth = hf_ask(field, predicate, raised);
    if (truth < 0)
        hf_chain(raised);
    else
        hf_give_exception(raised);
    return truth;
}

/* Whether the predicate given as `ignore`, if one was, says so of the exception that is set. -1: it raised. */
static int
ask_ignore(GateObject *step)
{
    bool is_predicate = step->ignore != NULL && !PyTuple_Check(step->ignore);
    return is_predicate ? hf_ask_about_raised("ignore", step->ignore) : 0;
}

/* Whether the predicates given as `on` and `ignore` leave the exception that is set a failure. -1: one raised. */
int
hf_ask_names(GateObject *step)
{
    int ignored = ask_ignore(step);
    if (ignored != 0)
        return ignored < 0 ? -1 : 0;
    return step->wanted == NULL ? 1 : hf_ask_about_raised("on", step->wanted);
}

/* Whether this fallback is there for the exception that is set. -1: what was asked about it raised. */
int
hf_fallback_takes(GateObject *step)
{
    unsigned says = raised_says(step, says_to_fallback);
    if (says & HF_SAYS_BROKEN)
        return -1;
    return says == HF_SAYS_FAILURE ? hf_ask_names(step) : 0;
}

static int
verdict_of(int truth)
{
    return truth < 0 ? -1 : truth ? HF_FAILURE : HF_SUCCESS;
}

int
hf_step_judge_slowly(GateObject *step, PyObject *result)
{
    if (result != NULL)
        return verdict_of(hf_ask("is_failure", step->is_failure, result));
    unsigned says = hf_raised_says(step);
    if (says & HF_SAYS_BROKEN)
        return -1;
    if (!(says & (HF_SAYS_FAILURE | HF_SAYS_SUCCESS)))
        return HF_IGNORED;
    int ignored = ask_ignore(step);
    if (ignored != 0)
        return ignored < 0 ? -1 : HF_IGNORED;
    if (!(says & HF_SAYS_FAILURE))
        return HF_SUCCESS;
    int wanted = step->wanted == NULL ? 1 : hf_ask_about_raised("on", step->wanted);
    if (wanted <= 0)
        return verdict_of(wanted);
    return step->is_failure == NULL || step->results_only
               ? HF_FAILURE
               : verdict_of(hf_ask_about_raised("is_failure", step->is_failure));
}
