/*
 * Where the free lists are, and how a thread without the GIL begins and ends its own.
 */
#include "hfpy.h"

void
hf_free_list_free(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

#ifndef Py_GIL_DISABLED

hf_free_lists hf_free_lists_of_all;

#else

HF_HERE hf_free_lists *hf_free_lists_here;
HF_HERE unsigned hf_own_stripe_here;

/* The thread state whose lists are freed: what dies or is made after that has none. */
static _Thread_local uint64_t ended;

/*
 * One bit for each stripe that a thread owns. There is no lock that a fork could leave locked. The next owner of
 * a stripe sees all that the last one has counted: the CAS that gives it back releases, the one that takes it
 * acquires.
 */
static hf_au32 owned_stripes;

/* Take a stripe. More than there are: each has an owner. */
static unsigned
take_stripe(void)
{
    uint32_t owned = hf_load_relaxed(&owned_stripes);
    unsigned stripe;
    do {
        for (stripe = 1; stripe <= HF_STRIPES && (owned & 1u << stripe);)
            stripe++;
    } while (stripe <= HF_STRIPES &&
             !hf_cas_weak_acq_rel(&owned_stripes, &owned, owned | 1u << stripe));
    return stripe;
}

static void
give_stripe_back(unsigned stripe)
{
    uint32_t owned = hf_load_relaxed(&owned_stripes);
    while (stripe <= HF_STRIPES &&
           !hf_cas_weak_acq_rel(&owned_stripes, &owned, owned & ~(1u << stripe))) {
    }
}

#define CAPSULE_NAME "holdfast.free_lists"

/* Another thread may do this: in a forked child, for a thread that is not there. */
static void
end_thread(PyObject *capsule)
{
    hf_free_lists *lists = PyCapsule_GetPointer(capsule, CAPSULE_NAME);
    if (lists == hf_free_lists_here) {
        hf_free_lists_here = NULL;
        hf_own_stripe_here = 0;
        ended = PyThreadState_GetID(PyThreadState_Get());
    }
    for (int which = 0; which < HF_N_FREE_LISTS; which++) {
        while (lists->of[which].n > 0)
            hf_free_list_free(lists->of[which].kept[--lists->of[which].n]);
    }
    Py_XDECREF((PyObject *)lists->spare_stop);
    give_stripe_back(lists->stripe);
    PyMem_Free(lists);
}

/* The thread's own dictionary dies with it, and then its lists do. Without memory there are none. */
void
hf_thread_begin_slowly(void)
{
    if (ended == PyThreadState_GetID(PyThreadState_Get()))
        return;
    PyObject *raised = hf_take_exception();
    PyObject *dict = PyThreadState_GetDict(); /* borrowed */
    hf_free_lists *lists = dict != NULL ? PyMem_Calloc(1, sizeof *lists) : NULL;
    PyObject *capsule = lists != NULL ? PyCapsule_New(lists, CAPSULE_NAME, end_thread) : NULL;
    if (capsule != NULL) {
        hf_free_lists_here = lists;
        hf_own_stripe_here = lists->stripe = take_stripe();
        PyDict_SetItemString(dict, CAPSULE_NAME, capsule); /* else both die here */
        Py_DECREF(capsule);
    } else {
        PyMem_Free(lists);
    }
    PyErr_Clear();
    hf_give_exception(raised);
}

#endif

PyObject *
hf_free_list_new_slowly(PyTypeObject *type)
{
    hf_thread_begin();
    return PyObject_GC_New(PyObject, type);
}
