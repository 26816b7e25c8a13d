/*
 * Wrong on purpose: a result that reads the state, and writes the one that follows.
 *
 * A start in between is undone: what an earlier life has proved makes the next one healthy. The explorer must
 * find it.
 */
#ifndef HF_WRONG_CHECK_H
#define HF_WRONG_CHECK_H

#include "holdfast/hf_check.h"

static inline void
wrong_check_record(hf_check *c, unsigned verdict, int64_t began_ns)
{
    const uint64_t w = hf_check_word(c);
    if (began_ns >= hf_load_relaxed(&c->started_ns))
        hf_store_release(&c->word, hf__check_next(c, w, verdict, false));
}

#endif /* HF_WRONG_CHECK_H */
