/*
 * Meter: what something that is no policy, such as a manager, counts and shows.
 *
 * What the numbers mean is known where they are written and where they are exported.
 */
#ifndef HF_METER_H
#define HF_METER_H

#include "hf_atomic.h"

enum { HF_METER_NUMBERS = 2 };

typedef struct hf_meter {
    hf_au64 counted[HF_METER_NUMBERS]; /* they only grow */
    hf_au64 now[HF_METER_NUMBERS];     /* what is true at the moment */
} hf_meter;

static inline void
hf_meter_init(hf_meter *m)
{
    for (unsigned at = 0; at < HF_METER_NUMBERS; at++) {
        hf_store_relaxed(&m->counted[at], 0);
        hf_store_relaxed(&m->now[at], 0);
    }
}

/* In a forked child: counts start at zero, and what runs is the parent's. */
static inline void
hf_meter_forget(hf_meter *m)
{
    for (unsigned at = 0; at < HF_METER_NUMBERS; at++) {
        hf_count_forget(&m->counted[at]);
        hf_count_forget(&m->now[at]);
    }
}

static inline void
hf_meter_count(hf_meter *m, unsigned at, uint64_t n)
{
    hf_count(&m->counted[at], n);
}

static inline void
hf_meter_set(hf_meter *m, unsigned at, uint64_t value)
{
    hf_store_relaxed(&m->now[at], value);
}

#endif /* HF_METER_H */
