/*
 * The bulkhead that explorer and stress test put under load: the real one, or, to see whether
 * they would notice, the one that is wrong on purpose.
 */
#ifndef HF_BULKHEAD_SUBJECT_H
#define HF_BULKHEAD_SUBJECT_H

#include "wrong/wrong_bulkhead.h"

static struct {
    bool wrong;
    hf_bulkhead real;
    wrong_bulkhead faulty;
} subject;

static inline void
open_bulkhead(bool wrong, uint32_t limit, uint32_t max_waiting)
{
    subject.wrong = wrong;
    hf_bulkhead_init(&subject.real, limit, max_waiting);
    wrong_bulkhead_init(&subject.faulty, limit, max_waiting);
}

static inline hf_entry
enter_or_queue(void)
{
    return subject.wrong ? wrong_bulkhead_enter_or_queue(&subject.faulty)
                         : hf_bulkhead_enter_or_queue(&subject.real);
}

static inline bool
leave(bool *waiters)
{
    return subject.wrong ? wrong_bulkhead_leave(&subject.faulty, waiters)
                         : hf_bulkhead_leave(&subject.real, waiters);
}

static inline bool
grant(void)
{
    return subject.wrong ? wrong_bulkhead_grant(&subject.faulty) : hf_bulkhead_grant(&subject.real);
}

static inline uint64_t
inside(void)
{
    return subject.wrong ? hf_load_relaxed(&subject.faulty.in_flight)
                         : hf_bulkhead_in_flight(&subject.real);
}

static inline uint64_t
waiting(void)
{
    return subject.wrong ? hf_load_relaxed(&subject.faulty.waiting)
                         : hf_bulkhead_waiting(&subject.real);
}

static inline uint64_t
limit(void)
{
    return subject.wrong ? hf_load_relaxed(&subject.faulty.limit)
                         : hf_bulkhead_limit(&subject.real);
}

/* Admitted, and not accounted for by any way out. */
static inline uint64_t
inside_by_counters(void)
{
    const hf_bulkhead *bh = &subject.real;
    return hf_load_relaxed(&bh->admitted) - hf_load_relaxed(&bh->completed) -
           hf_load_relaxed(&bh->undone);
}

#endif /* HF_BULKHEAD_SUBJECT_H */
