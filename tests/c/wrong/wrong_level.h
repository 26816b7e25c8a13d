/*
 * Wrong on purpose: a change that is published before it is counted.
 *
 * Who reads may see the level, and no change into it. The explorer must find it.
 */
#ifndef HF_WRONG_LEVEL_H
#define HF_WRONG_LEVEL_H

#include "holdfast/hf_level.h"

static inline bool
wrong_level_ask(hf_level *k, uint64_t asked, int64_t now_ns)
{
    hf_store_relaxed(&k->asked, asked);
    hf_store_release(&k->level, asked);
    hf_store_relaxed(&k->since_ns, now_ns);
    hf_count(&k->changes[asked], 1);
    return true;
}

#endif /* HF_WRONG_LEVEL_H */
