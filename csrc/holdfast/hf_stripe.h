/*
 * Stripes: which of a few cache lines a thread counts in, so that threads which count the same events
 * at the same time do not wait for each other's line.
 *
 * Only for builds without a GIL (HF_STRIPED): with one, threads take turns anyway, and one word is
 * quicker. Whoever reads adds the stripes up.
 *
 * A stripe may have an owner, who has words of its own there: nobody else counts in them, so that a plain
 * load and store will do. Other threads are guests of the stripe, and count in words that they share.
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

/*
 * One more than the stripe that the calling thread owns; 0, or more than there are: it is a guest everywhere. A
 * stripe has one owner at a time in the whole process. So only one module, the gate, defines this; what others
 * count, they count as guests.
 */
#ifndef HF_OWN_STRIPE
#define HF_OWN_STRIPE 0u
#endif

#endif

#endif /* HF_STRIPE_H */
