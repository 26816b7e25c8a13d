/*
 * Wrong on purpose: a lock that is given back without publishing what was written under it, and one that looks
 * before it takes. Whoever comes next may find an old count, or two be inside (trap 36). The explorer must find
 * both, and real threads the second.
 */
#ifndef HF_WRONG_LOCK_H
#define HF_WRONG_LOCK_H

#include "holdfast/hf_lock.h"

static inline void
wrong_lock_give(hf_lock *l)
{
    hf_store_relaxed(&l->busy, 0);
}

static inline bool
wrong_lock_try(hf_lock *l)
{
    if (hf_load_acquire(&l->busy) != 0)
        return false;
    hf_store_relaxed(&l->busy, 1);
    return true;
}

#endif /* HF_WRONG_LOCK_H */
