/*
 * A counter that rotates itself: one word says what it counts and how often it happened.
 *
 * Rings of slots make windows. Reset and publish of a ring bucket are one CAS, so no reader meets
 * a new time with an old count, and nothing has to be cleared: a slot that was last written for
 * another epoch, or another generation, counts as zero, and who counts next replaces it.
 *
 *  63     56 55              28 27               0
 *  +--------+------------------+------------------+
 *  |  gen   |      epoch       |      count       |     count stays at its maximum
 *  +--------+------------------+------------------+
 *
 * Callers pass full generations and epochs; the slot keeps their low bits, and the carry of the epoch
 * goes into the generation: the epoch 2^28 later looks like that of a later generation. So two marks
 * look the same only when generations and 2^28 epochs, added up, are a multiple of 256 apart: never
 * by idle time alone, short of 2^36 epochs.
 *
 * Every operation is sequentially consistent: users add to one slot and then read others, and of
 * two that do so at once at least one must see the other's add.
 */
#ifndef HF_SLOT_H
#define HF_SLOT_H

#include "hf_atomic.h"

typedef struct hf_slot {
    hf_au64 word;
} hf_slot;

#define HF_SLOT_MOST ((UINT64_C(1) << 28) - 1)
#define HF_SLOT_GEN(w) ((uint8_t)((w) >> 56))
#define HF_SLOT_EPOCH(w) (((w) >> 28) & HF_SLOT_MOST)
#define HF_SLOT_COUNT(w) ((w) & HF_SLOT_MOST)

static inline uint64_t
hf__slot_word(uint64_t gen, uint64_t epoch, uint64_t count)
{
    return (gen + (epoch >> 28)) << 56 | (epoch & HF_SLOT_MOST) << 28 |
           (count < HF_SLOT_MOST ? count : HF_SLOT_MOST);
}

static inline bool
hf__slot_is_same(uint64_t a, uint64_t b)
{
    return (a ^ b) >> 28 == 0;
}

/*
 * Count n events of an epoch of a generation, if the slot counts for that.
 * False: it counts for another, which *seen receives, and nothing changed. Either that one is over, or
 * the caller's is; which of the two, only the caller can find out (see hf_slot_replace).
 */
static inline bool
hf_slot_add(hf_slot *s, uint64_t gen, uint64_t epoch, uint64_t n, uint64_t *seen)
{
    const uint64_t mine = hf__slot_word(gen, epoch, 0);
    uint64_t w = hf_load_seq_cst(&s->word), count;
    do {
        *seen = w;
        if (!hf__slot_is_same(w, mine))
            return false;
        count = HF_SLOT_COUNT(w) + (n < HF_SLOT_MOST ? n : HF_SLOT_MOST);
    } while (!hf_cas_weak_seq_cst(&s->word, &w, hf__slot_word(gen, epoch, count)));
    return true;
}

/*
 * Start the slot at n events of this epoch and generation, whatever else it counted when it was
 * `seen`: for a caller who found after seeing it that no later one that needs the slot has begun.
 * False: it is not what was seen any more, or counts for the caller already; add again.
 */
static inline bool
hf_slot_replace(hf_slot *s, uint64_t seen, uint64_t gen, uint64_t epoch, uint64_t n)
{
    const uint64_t mine = hf__slot_word(gen, epoch, n);
    return !hf__slot_is_same(seen, mine) && hf_cas_weak_seq_cst(&s->word, &seen, mine);
}

/* Take back up to n events that were added to this epoch and generation; others lose none. */
static inline void
hf_slot_take_back(hf_slot *s, uint64_t gen, uint64_t epoch, uint64_t n)
{
    const uint64_t mine = hf__slot_word(gen, epoch, 0);
    uint64_t w = hf_load_seq_cst(&s->word), left;
    do {
        if (!hf__slot_is_same(w, mine))
            return;
        left = HF_SLOT_COUNT(w) > n ? HF_SLOT_COUNT(w) - n : 0;
    } while (!hf_cas_weak_seq_cst(&s->word, &w, mine | left));
}

/* How many events the slot holds of exactly this epoch and generation. */
static inline uint64_t
hf_slot_read(const hf_slot *s, uint64_t gen, uint64_t epoch)
{
    uint64_t w = hf_load_seq_cst(&s->word);
    return hf__slot_is_same(w, hf__slot_word(gen, epoch, 0)) ? HF_SLOT_COUNT(w) : 0;
}

#endif /* HF_SLOT_H */
