/*
 * Threads that count in one slot while its epochs go by, and what each of them checks: a reader never
 * meets a count of another epoch. The slot is the real one or the one that is wrong on purpose.
 */
#ifndef HF_SLOT_CROWD_H
#define HF_SLOT_CROWD_H

#include "hf_threads.h"
#include "wrong/wrong_slot.h"

enum { CROWD = 8, MUCH = 1000 };

typedef struct crowd {
    bool wrong;
    long rounds;
    hf_slot real;
    wrong_slot faulty;
    hf_au64 epoch;
    hf_au64 mixed; /* readings that were not of one epoch alone */
} crowd;

/* Count n events as those do who look whether their epoch is over, between seeing a slot and taking it. */
static inline bool
add_or_begin(hf_slot *s, const hf_au64 *latest, uint64_t gen, uint64_t epoch, uint64_t n)
{
    uint64_t seen;
    while (!hf_slot_add(s, gen, epoch, n, &seen)) {
        if (hf_load_acquire(latest) != epoch)
            return false;
        if (hf_slot_replace(s, seen, gen, epoch, n))
            return true;
    }
    return true;
}

/* Of neighbouring epochs one counts little and the other much. */
static inline uint64_t
share_of(uint64_t epoch)
{
    return epoch % 2 ? 1 : MUCH;
}

static inline uint64_t
add_and_read(crowd *c, uint64_t epoch)
{
    if (c->wrong) {
        (void)wrong_slot_add(&c->faulty, epoch, share_of(epoch));
        return wrong_slot_read(&c->faulty, epoch);
    }
    (void)add_or_begin(&c->real, &c->epoch, 1, epoch, share_of(epoch));
    return hf_slot_read(&c->real, 1, epoch);
}

/* Adds once to each epoch it meets, then lets the next begin. */
static inline void
count_in_passing(void *shared, int index)
{
    crowd *c = shared;
    uint64_t last = 0;
    for (long i = 0; i < c->rounds && hf_load_relaxed(&c->mixed) == 0; i++) {
        uint64_t epoch = hf_load_relaxed(&c->epoch);
        if (epoch == last && hf_cas_weak_relaxed(&c->epoch, &epoch, epoch + 1))
            epoch++;
        if (epoch == last)
            continue;
        last = epoch;
        uint64_t there = add_and_read(c, epoch);
        if (there % share_of(epoch) != 0 || there / share_of(epoch) > CROWD)
            hf_count(&c->mixed, 1);
    }
}

/* Whether every reading was of one epoch alone. */
static inline bool
epochs_stay_apart(bool wrong, long rounds)
{
    static crowd c;
    c = (crowd){.wrong = wrong, .rounds = rounds};
    hf_store_relaxed(&c.epoch, 1);
    hf_threads_run(CROWD, count_in_passing, &c);
    return hf_load_relaxed(&c.mixed) == 0;
}

#endif /* HF_SLOT_CROWD_H */
