/*
 * A lock for structures of many words that are looked at for nanoseconds: a table of windows.
 *
 * Whoever holds it neither waits nor runs code of others. Those who wait look at the word until it is free; the
 * caller may do something else in between (hf_lock_try). With the GIL there is nobody to wait for, and it costs
 * nothing.
 */
#ifndef HF_LOCK_H
#define HF_LOCK_H

#include "hf_atomic.h"

typedef struct hf_lock {
    hf_au32 busy; /* 1: somebody is inside */
} hf_lock;

static inline void
hf_lock_init(hf_lock *l)
{
    hf_store_relaxed(&l->busy, 0);
}

/* Take the lock if it is free. It may fail for no reason, so it stands in a loop. */
static inline bool
hf_lock_try(hf_lock *l)
{
#ifdef HF_SERIALIZED
    (void)l;
    return true;
#else
    uint32_t is = 0;
    /* Acquire pairs with the release in hf_lock_give(). */
    return hf_cas_weak_acquire(&l->busy, &is, 1);
#endif
}

static inline void
hf_lock_give(hf_lock *l)
{
#ifdef HF_SERIALIZED
    (void)l;
#else
    hf_store_release(&l->busy, 0);
#endif
}

#endif /* HF_LOCK_H */
