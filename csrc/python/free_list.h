/*
 * Memory of objects that have died, for the next ones of their type, which it keeps. With the GIL all threads
 * share one list of each type. Without it each thread has lists of its own, made at its first call and freed
 * when the thread ends; and a stripe to count in, if one is free. An object goes into the lists of the thread
 * that it dies in.
 */
#ifndef HF_FREE_LIST_H
#define HF_FREE_LIST_H

#include "py_versions.h"

/* The types that have a list, and the longest that it gets. */
#define HF_FREE_LISTS(X)                                                                           \
    X(OUTCOMES, 16)                                                                                \
    X(PERMITS, 32)                                                                                 \
    X(ENTRIES, 32)                                                                                 \
    X(COROUTINES, 64)

#define HF_FREE_LIST_NAME(NAME, most) HF_FREE_##NAME,
typedef enum { HF_FREE_LISTS(HF_FREE_LIST_NAME) HF_N_FREE_LISTS } hf_free_list;

#define HF_LONGEST_FREE_LIST 64
typedef struct hf_free_lists {
    struct {
        PyObject *kept[HF_LONGEST_FREE_LIST];
        int n;
    } of[HF_N_FREE_LISTS];
    PyStopIterationObject *spare_stop; /* see coroutine_stop.c; or NULL */
    unsigned stripe;                   /* without the GIL: see hf_own_stripe_here */
} hf_free_lists;

/* Those at hand. NULL: this thread has none. */
#ifdef Py_GIL_DISABLED
extern HF_HERE hf_free_lists *hf_free_lists_here;
#define HF_FREE_LISTS_HERE hf_free_lists_here
/* See hf_stripe.h. 0: this thread has not begun; more than there are stripes: it owns none. */
extern HF_HERE unsigned hf_own_stripe_here;
#define HF_OWN_STRIPE hf_own_stripe_here
void hf_thread_begin_slowly(void);
#else
extern hf_free_lists hf_free_lists_of_all;
#define HF_FREE_LISTS_HERE (&hf_free_lists_of_all)
#endif

/* Have what a thread owns without the GIL, from its first call on. */
static inline void
hf_thread_begin(void)
{
#ifdef Py_GIL_DISABLED
    if (hf_own_stripe_here == 0)
        hf_thread_begin_slowly();
#endif
}

PyObject *hf_free_list_new_slowly(PyTypeObject *type);
void hf_free_list_free(PyObject *op);

/* An object that the collector does not track yet. NULL: no memory; that is set. */
static inline PyObject *
hf_free_list_new(hf_free_list which, PyTypeObject *type)
{
    hf_free_lists *lists = HF_FREE_LISTS_HERE;
    if (lists == NULL || lists->of[which].n == 0)
        return hf_free_list_new_slowly(type);
    PyObject *op = lists->of[which].kept[--lists->of[which].n];
    _Py_NewReference(op); /* its type it has kept */
    return op;
}

/* An emptied object that the collector does not track any more. */
static inline void
hf_free_list_del(hf_free_list which, PyObject *op)
{
#define HF_FREE_LIST_MOST(NAME, most) most,
    static const int most[] = {HF_FREE_LISTS(HF_FREE_LIST_MOST)};
    hf_free_lists *lists = HF_FREE_LISTS_HERE;
    if (lists != NULL && lists->of[which].n < most[which])
        lists->of[which].kept[lists->of[which].n++] = op;
    else
        hf_free_list_free(op);
}

#endif /* HF_FREE_LIST_H */
