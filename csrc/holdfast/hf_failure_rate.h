/*
 * Failure rate: which share of the last attempts failed, in one word.
 *
 * An exponentially weighted mean (EWMA; Roberts, Technometrics 1959): each attempt weighs a
 * thirty-second, the one before it 31/32 of that, and so on. It begins at 0: what has not been
 * seen to fail is taken to be well. Never comes to rest short of 0 or 1, as what is rounded is
 * rounded away from where it was.
 */
#ifndef HF_FAILURE_RATE_H
#define HF_FAILURE_RATE_H

#include "hf_atomic.h"

/*
 *  31 30                          0
 *  +--+---------------------------+
 *  |       rate * 2^31            |     0 ... 2^31
 *  +--+---------------------------+
 */
typedef struct hf_failure_rate {
    hf_au32 word;
} hf_failure_rate;

#define HF__RATE_ONE (UINT32_C(1) << 31)
enum { HF__RATE_SHIFT = 5 }; /* an attempt weighs 2^-5 */

static inline void
hf_failure_rate_init(hf_failure_rate *r)
{
    hf_store_relaxed(&r->word, 0);
}

static inline uint32_t
hf__rate_step(uint32_t distance)
{
    return (distance + (UINT32_C(1) << HF__RATE_SHIFT) - 1) >> HF__RATE_SHIFT;
}

/* Count an attempt. Relaxed: a rate orders nothing else. */
static inline void
hf_failure_rate_record(hf_failure_rate *r, bool failed)
{
    uint32_t w = hf_load_relaxed(&r->word), next;
    do {
        next = failed ? w + hf__rate_step(HF__RATE_ONE - w) : w - hf__rate_step(w);
    } while (!hf_cas_weak_relaxed(&r->word, &w, next));
}

/* The rate, 0 to 1. */
static inline double
hf_failure_rate_get(const hf_failure_rate *r)
{
    return hf_load_relaxed(&r->word) * 0x1p-31;
}

#endif /* HF_FAILURE_RATE_H */
