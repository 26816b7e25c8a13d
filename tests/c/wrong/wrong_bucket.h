/*
 * Wrong on purpose: a token bucket whose take reads the word, decides, and writes it back.
 *
 * A take or a refund that comes in between is lost, and more is issued than the burst and the rate
 * allow (trap 36). The explorer and the stress test must find it; if they do not, they prove
 * nothing about the real one.
 */
#ifndef HF_WRONG_BUCKET_H
#define HF_WRONG_BUCKET_H

#include "holdfast/hf_bucket.h"

static inline bool
wrong_bucket_try_take(hf_bucket *b, uint64_t n, int64_t now_ns)
{
    uint64_t arrival, word = hf_load_acquire(&b->word);
    hf__bucket_view v = hf__bucket_near(b, &word, now_ns);
    if (hf__bucket_late(&v, n, &arrival) != 0) {
        hf_count(&b->rejected, 1);
        return false;
    }
    hf_store_release(&b->word, (word & ~HF__ARRIVAL_MAX) | arrival); /* whatever it is by now */
    hf_count(&b->allowed, 1);
    return true;
}

#endif /* HF_WRONG_BUCKET_H */
