/*
 * Wrong on purpose: a call that reads how many injections are left, and writes one less.
 *
 * Two calls may take the last one. The explorer must find it.
 */
#ifndef HF_WRONG_CHAOS_H
#define HF_WRONG_CHAOS_H

#include "holdfast/hf_chaos.h"

static inline bool
wrong_chaos_check(hf_chaos *k, int64_t now_ns, uint64_t *number)
{
    const uint64_t left = hf_load_relaxed(&k->left);
    (void)now_ns;
    *number = hf_fetch_add_relaxed(&k->calls, 1);
    if (left == 0)
        return false;
    hf_store_relaxed(&k->left, left - 1);
    return true;
}

#endif /* HF_WRONG_CHAOS_H */
