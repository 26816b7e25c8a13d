/*
 * Wrong on purpose: a slot whose epoch and count are two words, so that it is begun in two steps.
 *
 * Who reads in between meets the new time with the old count, and who adds in between is lost when
 * the count is put back (trap 23). The explorer and the stress test must find both.
 */
#ifndef HF_WRONG_SLOT_H
#define HF_WRONG_SLOT_H

#include "holdfast/hf_slot.h"

typedef struct wrong_slot {
    hf_au64 epoch, count;
} wrong_slot;

static inline void
wrong_slot_init(wrong_slot *s)
{
    hf_store_relaxed(&s->epoch, 0);
    hf_store_relaxed(&s->count, 0);
}

static inline bool
wrong_slot_add(wrong_slot *s, uint64_t epoch, uint64_t n)
{
    uint64_t seen = hf_load_seq_cst(&s->epoch);
    if (seen > epoch)
        return false;
    if (seen < epoch) {
        hf_store_release(&s->epoch, epoch);
        hf_store_release(&s->count, 0);
    }
    (void)hf_fetch_add_seq_cst(&s->count, n);
    return true;
}

static inline uint64_t
wrong_slot_read(const wrong_slot *s, uint64_t epoch)
{
    return hf_load_seq_cst(&s->epoch) == epoch ? hf_load_seq_cst(&s->count) : 0;
}

#endif /* HF_WRONG_SLOT_H */
