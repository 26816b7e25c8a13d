/*
 * Wrong on purpose: a bulkhead that counts who is inside and who waits in two words, and looks
 * before it acts.
 *
 * Two callers enter on the last slot (trap 36), and a caller who queues while the last occupant
 * leaves is woken by nobody (trap 33). The explorer and the stress test must find both.
 */
#ifndef HF_WRONG_BULKHEAD_H
#define HF_WRONG_BULKHEAD_H

#include "holdfast/hf_bulkhead.h"

typedef struct wrong_bulkhead {
    hf_au64 in_flight, waiting, limit;
    uint32_t max_waiting;
} wrong_bulkhead;

static inline void
wrong_bulkhead_init(wrong_bulkhead *bh, uint32_t limit, uint32_t max_waiting)
{
    hf_store_relaxed(&bh->in_flight, 0);
    hf_store_relaxed(&bh->waiting, 0);
    hf_store_relaxed(&bh->limit, limit);
    bh->max_waiting = max_waiting;
}

static inline bool
wrong__has_room(const wrong_bulkhead *bh)
{
    return hf_load_seq_cst(&bh->in_flight) < hf_load_relaxed(&bh->limit);
}

static inline hf_entry
wrong_bulkhead_enter_or_queue(wrong_bulkhead *bh)
{
    if (hf_load_seq_cst(&bh->waiting) == 0 && wrong__has_room(bh)) {
        (void)hf_fetch_add_seq_cst(&bh->in_flight, 1);
        return HF_ENTERED;
    }
    if (hf_load_seq_cst(&bh->waiting) >= bh->max_waiting)
        return HF_FULL;
    (void)hf_fetch_add_seq_cst(&bh->waiting, 1);
    return HF_QUEUED;
}

static inline bool
wrong_bulkhead_leave(wrong_bulkhead *bh, bool *waiters)
{
    (void)hf_fetch_add_seq_cst(&bh->in_flight, UINT64_MAX); /* one less */
    *waiters = hf_load_seq_cst(&bh->waiting) != 0 && wrong__has_room(bh);
    return true;
}

static inline bool
wrong_bulkhead_grant(wrong_bulkhead *bh)
{
    if (hf_load_seq_cst(&bh->waiting) == 0 || !wrong__has_room(bh))
        return false;
    (void)hf_fetch_add_seq_cst(&bh->waiting, UINT64_MAX);
    (void)hf_fetch_add_seq_cst(&bh->in_flight, 1);
    return true;
}

#endif /* HF_WRONG_BULKHEAD_H */
