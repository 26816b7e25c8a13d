/*
 * What differs between the versions of CPython, and between its builds, the same for all files here.
 */
#ifndef HF_PY_VERSIONS_H
#define HF_PY_VERSIONS_H

#include <Python.h>

#include <assert.h>

/* The exception in flight, normalised; NULL if there is none. */
static inline PyObject *
hf_take_exception(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (type == NULL)
        return NULL;
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
        Py_DECREF(traceback);
    }
    Py_DECREF(type);
    return value;
#endif
}

/* Steals the reference. NULL clears nothing and sets nothing. */
static inline void
hf_give_exception(PyObject *exception)
{
#if PY_VERSION_HEX >= 0x030C0000
    if (exception != NULL)
        PyErr_SetRaisedException(exception);
#else
    if (exception != NULL)
        PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(exception)), exception,
                      PyException_GetTraceback(exception));
#endif
}

/* Where assertions are on: a result comes without an exception, and an exception without a result. */
static inline void
hf_assert_answer(const PyObject *result)
{
    assert((result != NULL) == (PyErr_Occurred() == NULL));
    (void)result;
}

/* What a weak reference leads to, strong; NULL: it is no more. */
static inline PyObject *
hf_weak_target(PyObject *weak)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *target = NULL;
    if (PyWeakref_GetRef(weak, &target) < 0)
        PyErr_Clear();
    return target;
#else
    PyObject *target = PyWeakref_GetObject(weak);
    return target != Py_None ? Py_NewRef(target) : NULL;
#endif
}

/* Exclusive use of one object where there is no GIL to give it. */
#ifdef Py_GIL_DISABLED
#define HF_BEGIN_EXCLUSIVE(op) Py_BEGIN_CRITICAL_SECTION(op)
#define HF_END_EXCLUSIVE() Py_END_CRITICAL_SECTION()
#else
#define HF_BEGIN_EXCLUSIVE(op) {
#define HF_END_EXCLUSIVE() }
#endif

#if PY_VERSION_HEX >= 0x030D0000
#define hf_is_finalizing() Py_IsFinalizing()
#else
#define hf_is_finalizing() _Py_IsFinalizing()
#endif

/* A pointer that one thread sets once, under exclusive use, and others read without. */
#ifdef Py_GIL_DISABLED
#define HF_SET_POINTER(at, value) _Py_atomic_store_ptr_release(at, value)
#define HF_GET_POINTER(at) _Py_atomic_load_ptr_acquire(at)
#else
#define HF_SET_POINTER(at, value) (*(at) = (value))
#define HF_GET_POINTER(at) (*(at))
#endif

/* An item of a list that other threads may replace; a new reference. NULL: there is none. */
static inline PyObject *
hf_list_item(PyObject *list, Py_ssize_t at)
{
#ifdef Py_GIL_DISABLED
    PyObject *item = PyList_GetItemRef(list, at);
    if (item == NULL)
        PyErr_Clear();
    return item;
#else
    return at < PyList_GET_SIZE(list) ? Py_NewRef(PyList_GET_ITEM(list, at)) : NULL;
#endif
}

/*
 * A pointer of each thread, read at every call. A few fit in what glibc keeps for libraries that are loaded
 * late: the cheapest there is.
 */
#ifdef __GLIBC__
#define HF_HERE _Thread_local __attribute__((tls_model("initial-exec")))
#else
#define HF_HERE _Thread_local
#endif

#endif /* HF_PY_VERSIONS_H */
