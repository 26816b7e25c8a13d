/*
 * Jitter: a small seedable generator (SplitMix64: Steele, Lea and Flood, OOPSLA 2014).
 *
 * The state is one word that each draw advances by a constant, so threads share a generator
 * without a lock, no two draws return the same position of the sequence, and the sequence
 * (not who gets which part of it) follows from the seed alone.
 * For spreading load, not for secrets. The caller seeds.
 */
#ifndef HF_RANDOM_H
#define HF_RANDOM_H

#include "hf_atomic.h"

/*
 *  63                            0
 *  +-----------------------------+
 *  |   seed + draws * HF__GAMMA  |     modulo 2^64: the period is 2^64 draws
 *  +-----------------------------+
 */
typedef struct hf_random {
    hf_au64 state;
} hf_random;

#define HF__GAMMA UINT64_C(0x9E3779B97F4A7C15) /* odd, 2^64 divided by the golden ratio */

/* Start the sequence of this seed. Any seed will do, 0 too; also used to seed again. */
static inline void
hf_random_init(hf_random *r, uint64_t seed)
{
    hf_store_relaxed(&r->state, seed);
}

/* In a forked child: go on with other numbers than the parent, and than a child with another seed. */
static inline void
hf_random_forget(hf_random *r, uint64_t seed)
{
    hf_random_init(r, hf_load_relaxed(&r->state) ^ seed);
}

/* The next 64 bits. Relaxed: draws only have to differ, they order nothing else. */
static inline uint64_t
hf_random_next(hf_random *r)
{
    uint64_t z = hf_fetch_add_relaxed(&r->state, HF__GAMMA) + HF__GAMMA;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* Uniform in [0, 1): one of the 2^53 multiples of 2^-53, so never 1. */
static inline double
hf_random_unit(hf_random *r)
{
    return (double)(hf_random_next(r) >> 11) * 0x1p-53;
}

/* Uniform in 0 … n-1 without bias; 0 when n is 0. */
static inline uint64_t
hf_random_below(hf_random *r, uint64_t n)
{
    if (n == 0)
        return 0;
    uint64_t uneven = (0 - n) % n; /* 2^64 modulo n: the draws that would favour small results */
    uint64_t x;
    do {
        x = hf_random_next(r);
    } while (x < uneven);
    return x % n;
}

#endif /* HF_RANDOM_H */
