/*
 * Stripes: which of a few cache lines a thread counts in, so that threads which count the same events
 * at the same time do not wait for each other's line.
 *
 * Only for builds without a GIL (HF_STRIPED): with one, threads take turns anyway, and one word is
 * quicker. Counting in one's own stripe is hf_count(); whoever reads adds the stripes up.
 */
#ifndef HF_STRIPE_H
#define HF_STRIPE_H

#include "hf_atomic.h"

enum { HF_STRIPES = 8, HF_STRIPE_BYTES = 64 };

#ifdef HF_STRIPED

/* The calling thread's stripe: threads take them in turn, more threads than stripes share. */
static inline unsigned
hf_stripe(void)
{
    static hf_au64 threads;
    static _Thread_local unsigned mine; /* one more than the stripe; 0: none yet */
    if (mine == 0)
        mine = (unsigned)(hf_fetch_add_relaxed(&threads, 1) % HF_STRIPES) + 1;
    return mine - 1;
}

#endif

#endif /* HF_STRIPE_H */
