/*
 * A breaker that is wrong on purpose: the explorer and the stress test have to find it out.
 *
 * Each fault is one that has been shipped (traps 2, 7, 9): the state is two variables that can
 * disagree, the deadline is set after the state that it belongs to, probes are counted by a load
 * and a later store, and a result does not say which generation it comes from.
 */
#ifndef WRONG_BREAKER_H
#define WRONG_BREAKER_H

#include "holdfast/hf_atomic.h"

typedef struct wrong_breaker {
    hf_au64 is_open;
    hf_au64 is_probing; /* half-open, if it is open as well */
    hf_au64 probes;     /* in flight */
    hf_ai64 until_ns;
    uint64_t half_open_max;
    int64_t reset_ns;
} wrong_breaker;

static inline void
wrong_init(wrong_breaker *w, uint64_t half_open_max, int64_t reset_ns)
{
    hf_store_relaxed(&w->is_open, 0);
    hf_store_relaxed(&w->is_probing, 0);
    hf_store_relaxed(&w->probes, 0);
    hf_store_relaxed(&w->until_ns, 0);
    w->half_open_max = half_open_max;
    w->reset_ns = reset_ns;
}

static inline bool
wrong_admit(wrong_breaker *w, int64_t now_ns, bool *is_probe)
{
    *is_probe = hf_load_acquire(&w->is_open) != 0;
    if (!*is_probe)
        return true;
    if (now_ns < hf_load_acquire(&w->until_ns)) /* whose deadline? */
        return false;
    hf_store_release(&w->is_probing, 1);
    const uint64_t probes = hf_load_acquire(&w->probes); /* everybody may read the same */
    if (probes >= w->half_open_max)
        return false;
    hf_store_release(&w->probes, probes + 1);
    return true;
}

static inline void
wrong_settle(wrong_breaker *w, bool succeeded, bool was_probe, int64_t now_ns)
{
    if (was_probe)
        hf_store_release(&w->probes, hf_load_acquire(&w->probes) - 1);
    if (succeeded && hf_load_acquire(&w->is_probing)) { /* whoever it comes from */
        hf_store_release(&w->is_probing, 0);
        hf_store_release(&w->is_open, 0);
    } else if (!succeeded) {
        hf_store_release(&w->is_open, 1);
        hf_store_release(&w->is_probing, 0);
        hf_store_release(&w->until_ns, now_ns + w->reset_ns);
    }
}

#endif /* WRONG_BREAKER_H */
