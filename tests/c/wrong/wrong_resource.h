/*
 * Wrong on purpose: limits in one word of their own, beside what is registered.
 *
 * Somebody registers on a limit of before. The explorer must find it.
 */
#ifndef HF_WRONG_RESOURCE_H
#define HF_WRONG_RESOURCE_H

#include "holdfast/hf_resource.h"

static inline unsigned
wrong_resource_add(hf_resource *k, uint64_t n)
{
    uint64_t w = hf_load_relaxed(&k->word);
    do {
        if (w + n > hf_load_relaxed(&k->limit[0]))
            return HF_RESOURCE_FULL;
    } while (!hf_cas_weak_acq_rel(&k->word, &w, w + n));
    return HF_RESOURCE_DONE;
}

static inline unsigned
wrong_resource_resize(hf_resource *k, uint64_t limit)
{
    if (hf_load_relaxed(&k->word) > limit)
        return HF_RESOURCE_FULL;
    hf_store_release(&k->limit[0], limit);
    return HF_RESOURCE_DONE;
}

#endif /* HF_WRONG_RESOURCE_H */
