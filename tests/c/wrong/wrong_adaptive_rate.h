/*
 * Wrong on purpose: an adaptive rate without a busy bit, whose decision is stored and not swapped.
 *
 * Two samples may both end a window, and a decision may undo a resize. The explorer must find both.
 */
#ifndef HF_WRONG_ADAPTIVE_RATE_H
#define HF_WRONG_ADAPTIVE_RATE_H

#include "holdfast/hf_adaptive_rate.h"

static inline void
wrong_adaptive_rate_record(hf_adaptive_rate *a, hf_bucket *b, int64_t ns)
{
    uint64_t next = hf__rate_with(a, hf_load_acquire(&a->word), ns);
    if (hf__rate_n(next) < a->window) {
        hf_store_release(&a->word, next);
        return;
    }
    uint64_t rate = hf_load_acquire(&a->rate) * 9 / 10;
    hf_store_release(&a->rate, rate);
    hf_count(&a->slowed, 1);
    hf__rate_apply_slow(a, b, 0);
    hf__rate_begin(a, b, next, false, 0);
}

#endif /* HF_WRONG_ADAPTIVE_RATE_H */
