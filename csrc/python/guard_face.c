/*
 * What a guard looks like: the function it guards, to whoever asks for what functions have. Frameworks
 * ask for the class, then for code, defaults, globals and annotations; each is the function's own,
 * looked up when somebody asks. Names, documentation and annotations may be set on the guard alone.
 *
 * Not in the guard's __dict__, which functools.update_wrapper copies onto whatever wraps the guard: a
 * plain function would come to answer with the code of a coroutine function.
 */
#include "guard.h"

/* The callable at the bottom of guards that guard guards. */
static PyObject *
guarded(GuardObject *self)
{
    PyObject *fn = self->fn;
    while (hf_is_guard(fn))
        fn = ((GuardObject *)fn)->fn;
    return fn;
}

/* Steals the dict, which may be NULL. */
static PyObject *
entry_of(PyObject *dict, PyObject *name)
{
    PyObject *value = NULL;
    if (dict == NULL)
        return NULL;
#if PY_VERSION_HEX >= 0x030D0000
    (void)PyDict_GetItemRef(dict, name, &value);
#else
    value = Py_XNewRef(PyDict_GetItemWithError(dict, name));
#endif
    Py_DECREF(dict);
    return value;
}

/* What was set of a name that is not in the __dict__. */
static PyObject *
own_of(GuardObject *self, PyObject *name)
{
    PyObject *face;
    HF_BEGIN_EXCLUSIVE(self);
    face = Py_XNewRef(self->face);
    HF_END_EXCLUSIVE();
    return entry_of(face, name);
}

static PyObject *
attribute_of(GuardObject *self, PyObject *name)
{
    return entry_of(PyObject_GenericGetDict((PyObject *)self, NULL), name);
}

/*
 * What the callable at the bottom has of that name. A method, a proxy or a descriptor may ask something
 * else in its turn, and that a guard again.
 */
static PyObject *
of_guarded(GuardObject *self, PyObject *name)
{
    if (Py_EnterRecursiveCall(" while looking at what is guarded"))
        return NULL;
    PyObject *value = hf_attribute_if_any(guarded(self), name);
    Py_LeaveRecursiveCall();
    return value;
}

/* ---- names, documentation, module ---- */

static PyObject *
show_own(GuardObject *self, PyObject *name)
{
    for (GuardObject *at = self;; at = (GuardObject *)at->fn) {
        PyObject *own = own_of(at, name);
        if (own != NULL || PyErr_Occurred())
            return own;
        if (!hf_is_guard(at->fn))
            return of_guarded(self, name);
    }
}

static PyObject *
show_own_or_none(GuardObject *self, PyObject *name)
{
    PyObject *own = show_own(self, name);
    return own != NULL || PyErr_Occurred() ? own : Py_NewRef(Py_None);
}

static PyObject *
face_of(GuardObject *self)
{
    PyObject *face;
    HF_BEGIN_EXCLUSIVE(self);
    if (self->face == NULL)
        self->face = PyDict_New();
    face = Py_XNewRef(self->face);
    HF_END_EXCLUSIVE();
    return face;
}

static int
put_own(GuardObject *self, PyObject *name, PyObject *value)
{
    PyObject *face = face_of(self);
    if (face == NULL)
        return -1;
    int answer = value != NULL ? PyDict_SetItem(face, name, value) : PyDict_DelItem(face, name);
    Py_DECREF(face);
    if (answer < 0 && value == NULL && PyErr_ExceptionMatches(PyExc_KeyError))
        PyErr_SetObject(PyExc_AttributeError, name);
    return answer;
}

static int
put_name(GuardObject *self, PyObject *name, PyObject *value)
{
    if (value == NULL || PyUnicode_Check(value))
        return put_own(self, name, value);
    PyErr_Format(PyExc_TypeError, "%U must be set to a string object", name);
    return -1;
}

/* ---- annotations: from 3.14 on evaluated for those who look, by __annotate__ ---- */

#if PY_VERSION_HEX >= 0x030E0000
static int
forget_own(GuardObject *self, PyObject *name)
{
    if (self->face == NULL || put_own(self, name, NULL) == 0)
        return 0;
    if (!PyErr_ExceptionMatches(PyExc_AttributeError))
        return -1;
    PyErr_Clear();
    return 0;
}

/* What the guard's own __annotate__ answers, kept; NULL without an error: it has none. */
static PyObject *
annotate_own(GuardObject *self, PyObject *name)
{
    PyObject *annotate = PyUnicode_InternFromString("__annotate__");
    PyObject *function = annotate != NULL ? own_of(self, annotate) : NULL, *answer = NULL;
    Py_XDECREF(annotate);
    if (function == NULL)
        return NULL;
    PyObject *value_format = PyLong_FromLong(1);
    if (value_format != NULL)
        answer = function == Py_None ? PyDict_New() : PyObject_CallOneArg(function, value_format);
    Py_XDECREF(value_format);
    Py_DECREF(function);
    if (answer != NULL && put_own(self, name, answer) < 0)
        Py_CLEAR(answer);
    return answer;
}

static PyObject *
show_annotations(GuardObject *self, PyObject *name)
{
    for (GuardObject *at = self;; at = (GuardObject *)at->fn) {
        PyObject *own = own_of(at, name);
        if (own == NULL && !PyErr_Occurred())
            own = annotate_own(at, name);
        if (own != NULL || PyErr_Occurred())
            return own;
        if (!hf_is_guard(at->fn))
            return of_guarded(self, name);
    }
}

static int
put_annotations(GuardObject *self, PyObject *name, PyObject *value)
{
    PyObject *annotate = PyUnicode_InternFromString("__annotate__");
    int answer = -1;
    if (annotate != NULL && put_own(self, name, value) == 0)
        answer = value != NULL ? put_own(self, annotate, Py_None) : forget_own(self, annotate);
    Py_XDECREF(annotate);
    return answer;
}

static int
put_annotate(GuardObject *self, PyObject *name, PyObject *value)
{
    PyObject *annotations = PyUnicode_InternFromString("__annotations__");
    int answer = -1;
    if (annotations != NULL && put_own(self, name, value) == 0)
        answer = forget_own(self, annotations);
    Py_XDECREF(annotations);
    return answer;
}
#else
#define show_annotations show_own
#define put_annotations put_own
#endif

/* ---- code, defaults, globals: of what runs when the guard is called ---- */

/* Set on the function: a guard whose defaults were others than those it is called with would lie. */
static int
put_through(GuardObject *self, PyObject *name, PyObject *value)
{
    PyObject *fn = guarded(self);
    if (PyFunction_Check(fn))
        return PyObject_SetAttr(fn, name, value);
    PyErr_Format(PyExc_AttributeError, "%R guards no function: %U cannot be set", (PyObject *)self,
                 name);
    return -1;
}

/*
 * The cells of the function, and one with the policy, which the code does not name. Who makes a function
 * anew out of its parts, in this process or pickled for another, would leave the policy behind and call
 * it unguarded: to him it is one cell too many, or one that cannot be pickled.
 */
static PyObject *
show_closure(GuardObject *self, PyObject *name)
{
    PyObject *cells = of_guarded(self, name);
    if (cells == NULL || (cells != Py_None && !PyTuple_CheckExact(cells)))
        return cells;
    PyObject *cell = PyCell_New((PyObject *)self->gate);
    PyObject *last = cell != NULL ? PyTuple_Pack(1, cell) : NULL;
    PyObject *all = last == NULL       ? NULL
                    : cells == Py_None ? Py_NewRef(last)
                                       : PySequence_Concat(cells, last);
    Py_XDECREF(last);
    Py_XDECREF(cell);
    Py_DECREF(cells);
    return all;
}

/* ---- the class ---- */

/* Through methods and guards, however they are nested. */
static PyObject *
called_in_the_end(PyObject *fn)
{
    for (;;)
        if (PyMethod_Check(fn))
            fn = PyMethod_GET_FUNCTION(fn);
        else if (hf_is_guard(fn))
            fn = ((GuardObject *)fn)->fn;
        else
            return fn;
}

/*
 * A guard passes for a function where it guards one, a method of an object included, and likewise for a
 * partial or a builtin function: isinstance() says so, type() does not.
 */
static PyObject *
show_class(GuardObject *self, PyObject *name)
{
    PyObject *fn = called_in_the_end(self->fn);
    (void)name;
    if (PyObject_TypeCheck(guarded(self), hf_partial_type))
        return Py_NewRef((PyObject *)hf_partial_type);
    /* A proxy of a function says itself that it is one. */
    if (PyFunction_Check(fn) || PyObject_IsInstance(fn, (PyObject *)&PyFunction_Type) > 0)
        return Py_NewRef((PyObject *)&PyFunction_Type);
    if (PyErr_Occurred())
        return NULL;
    return Py_NewRef(
        (PyObject *)(PyCFunction_Check(guarded(self)) ? &PyCFunction_Type : hf_guard_type));
}

/* ---- what is called in the end, to those who look behind a partial or a callable object ---- */

/* They mean to ask what kind of function it is. Who calls it calls it guarded nevertheless. */
static PyObject *
guarded_as_well(GuardObject *self, PyObject *fn)
{
    PyObject *guard = fn != NULL ? hf_guard_new(self->gate, fn) : NULL;
    Py_XDECREF(fn);
    return guard;
}

static PyObject *
show_of_partial(GuardObject *self, PyObject *name)
{
    return PyObject_TypeCheck(guarded(self), hf_partial_type) ? of_guarded(self, name) : NULL;
}

static PyObject *
show_func(GuardObject *self, PyObject *name)
{
    return guarded_as_well(self, show_of_partial(self, name));
}

static int
put_of_partial(GuardObject *self, PyObject *name, PyObject *value)
{
    if (!PyObject_TypeCheck(guarded(self), hf_partial_type))
        return PyObject_GenericSetAttr((PyObject *)self, name, value);
    PyErr_Format(PyExc_AttributeError, "%R: '%U' is read-only", (PyObject *)self, name);
    return -1;
}

/* Of an object whose class says in Python what a call does: its method, which may be a coroutine's. */
static PyObject *
show_call(GuardObject *self, PyObject *name)
{
    PyObject *fn = guarded(self);
    if (PyFunction_Check(fn) || PyMethod_Check(fn) || PyCFunction_Check(fn) || PyType_Check(fn))
        return NULL;
    PyObject *call = of_guarded(self, name);
    if (call == NULL || PyMethod_Check(call))
        return guarded_as_well(self, call);
    Py_DECREF(call);
    return NULL;
}

/* ---- where what is in the __dict__ comes first ---- */

/* Asked for without following __wrapped__, a guard of what is no function has none of its own to show. */
static PyObject *
show_signature(GuardObject *self, PyObject *name)
{
    PyObject *own = attribute_of(self, name);
    if (own != NULL || PyErr_Occurred() || PyFunction_Check(guarded(self)) ||
        PyObject_TypeCheck(guarded(self), hf_partial_type))
        return own;
    PyObject *inspect = PyImport_ImportModule("inspect");
    if (inspect == NULL)
        return NULL;
    PyObject *signature = PyObject_CallMethod(inspect, "signature", "(O)", guarded(self));
    Py_DECREF(inspect);
    if (signature == NULL && PyErr_ExceptionMatches(PyExc_Exception))
        PyErr_Clear(); /* no signature to be had */
    return signature;
}

/* Of its own, or what it guards has: marks in the class of a callable object, functions of a cache. */
static PyObject *
show_either(GuardObject *self, PyObject *name)
{
    PyObject *own = attribute_of(self, name);
    return own != NULL || PyErr_Occurred() ? own : of_guarded(self, name);
}

/* ---- all of them ---- */

typedef struct {
    const char *name;
    PyObject *(*show)(GuardObject *self, PyObject *name); /* NULL without an error: it has none */
    int (*put)(GuardObject *self, PyObject *name, PyObject *value);
} feature;

static PyObject *
get(PyObject *op, void *closure)
{
    const feature *asked = closure;
    PyObject *name = PyUnicode_InternFromString(asked->name);
    PyObject *value = name != NULL ? asked->show((GuardObject *)op, name) : NULL;
    if (value == NULL && !PyErr_Occurred())
        PyErr_Format(PyExc_AttributeError, "%R has no attribute '%U'", op, name);
    Py_XDECREF(name);
    return value;
}

static int
set(PyObject *op, PyObject *value, void *closure)
{
    const feature *meant = closure;
    PyObject *name = PyUnicode_InternFromString(meant->name);
    int answer = name != NULL ? meant->put((GuardObject *)op, name, value) : -1;
    Py_XDECREF(name);
    return answer;
}

#define SETTABLE(name, show, put)                                                                  \
    {                                                                                              \
        name, get, set, NULL, &(feature)                                                           \
        {                                                                                          \
            name, show, put                                                                        \
        }                                                                                          \
    }
#define READ_ONLY(name, show)                                                                      \
    {                                                                                              \
        name, get, NULL, NULL, &(feature)                                                          \
        {                                                                                          \
            name, show, NULL                                                                       \
        }                                                                                          \
    }

/* Descriptors, as a function's are: what looks without asking finds them in the type. */
PyGetSetDef hf_guard_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    SETTABLE("__name__", show_own, put_name),
    SETTABLE("__qualname__", show_own, put_name),
    SETTABLE("__doc__", show_own_or_none, put_own),
    SETTABLE("__type_params__", show_own, put_own),
    SETTABLE("__annotations__", show_annotations, put_annotations),
#if PY_VERSION_HEX >= 0x030E0000
    SETTABLE("__annotate__", show_own, put_annotate),
#endif
    SETTABLE("__code__", of_guarded, put_through),
    SETTABLE("__defaults__", of_guarded, put_through),
    SETTABLE("__kwdefaults__", of_guarded, put_through),
    READ_ONLY("__globals__", of_guarded),
    READ_ONLY("__builtins__", of_guarded),
    READ_ONLY("__closure__", show_closure),
    READ_ONLY("__text_signature__", of_guarded),
    {NULL},
};

/* What cannot be one: the type has its own of that name, or most guards have none. */
static const feature others[] = {
    {"__module__", show_own, put_own},
    {"__class__", show_class, NULL},
    {"__call__", show_call, NULL},
    {"__signature__", show_signature, NULL},
    {"func", show_func, put_of_partial},
    {"args", show_of_partial, put_of_partial},
    {"keywords", show_of_partial, put_of_partial},
    {"_is_coroutine_marker", show_either, NULL},
    {"_is_coroutine", show_either, NULL},
    {"cache_info", show_either, NULL},
    {"cache_clear", show_either, NULL},
    {"cache_parameters", show_either, NULL},
};

static PyObject *place_of_name; /* dict: name -> its place among the others */

/* NULL: none; an error may be set. */
static const feature *
feature_named(PyObject *name)
{
    PyObject *place = PyDict_GetItemWithError(place_of_name, name);
    return place != NULL ? &others[PyLong_AsSsize_t(place)] : NULL;
}

PyObject *
hf_guard_getattro(PyObject *op, PyObject *name)
{
    const feature *asked = feature_named(name);
    PyObject *value = asked != NULL ? asked->show((GuardObject *)op, name) : NULL;
    return value != NULL || PyErr_Occurred() ? value : PyObject_GenericGetAttr(op, name);
}

int
hf_guard_setattro(PyObject *op, PyObject *name, PyObject *value)
{
    const feature *meant = feature_named(name);
    if (meant != NULL && meant->put != NULL)
        return meant->put((GuardObject *)op, name, value);
    return PyErr_Occurred() ? -1 : PyObject_GenericSetAttr(op, name, value);
}

/* By the type, whatever class the guard passes for; but for what the function has not. */
PyObject *
hf_guard_dir(PyObject *op, PyObject *ignored)
{
    (void)ignored;
    PyObject *names = PyObject_Dir((PyObject *)Py_TYPE(op));
    PyObject *own = names != NULL ? PyObject_GenericGetDict(op, NULL) : NULL;
    PyObject *all = own != NULL ? PySet_New(own) : NULL;
    for (Py_ssize_t i = 0; all != NULL && i < PyList_GET_SIZE(names); i++) {
        PyObject *name = PyList_GET_ITEM(names, i), *value = PyObject_GetAttr(op, name);
        /* Annotations that name what is not there are there nevertheless. */
        bool has = value != NULL || !PyErr_ExceptionMatches(PyExc_AttributeError);
        if (value == NULL && PyErr_ExceptionMatches(PyExc_Exception))
            PyErr_Clear();
        if (PyErr_Occurred() || (has && PySet_Add(all, name) < 0))
            Py_CLEAR(all);
        Py_XDECREF(value);
    }
    Py_XDECREF(own);
    Py_XDECREF(names);
    return all;
}

int
hf_guard_face_ready(void)
{
    place_of_name = PyDict_New();
    int answer = place_of_name != NULL ? 0 : -1;
    for (size_t i = 0; answer == 0 && i < sizeof others / sizeof *others; i++) {
        PyObject *place = PyLong_FromSize_t(i);
        answer = place != NULL ? PyDict_SetItemString(place_of_name, others[i].name, place) : -1;
        Py_XDECREF(place);
    }
    return answer;
}
