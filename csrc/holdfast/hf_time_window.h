/*
 * The calls of the last slices of time: a ring of slots, four to a slice.
 *
 * Time is cut into slices of slice_ns; a call recorded in slice s counts while the current slice is
 * below s + slices. There are no running totals to drift: reading adds up the slots whose epoch is
 * inside the window, so the window expires when read, without traffic, and after any idle time.
 *
 * Clocks of several threads need not agree. The head is the slice records go to. A caller whose time
 * is behind it by less than a window counts in the head's slice; one behind by a window or more
 * shows that time stepped back, and moves the head back. A step costs at most one window.
 *
 * A generation is the owner's (the breaker's, 35 bits). The first record of a later one opens
 * an era, whose number marks the slots; records and reads of an earlier one find nothing.
 *
 * Limits: 2^28 - 1 events of a kind per slice, then the count stays. A slot of k * 256 eras ago in the
 * same slice is taken for a present one, and one of 2^36 slices ago (see hf_slot.h).
 */
#ifndef HF_TIME_WINDOW_H
#define HF_TIME_WINDOW_H

#include <stddef.h>

#include "hf_atomic.h"
#include "hf_compiler.h"
#include "hf_divide.h"
#include "hf_slot.h"
#include "hf_tally.h"

/*
 *   era                              trouble: the last slice with a failure or a slow call
 *   63               29 28       0    63         35 34                 0
 *   +------------------+----------+   +------------+--------------------+
 *   |       gen        |   era    |   |    era     |       slice        |
 *   +------------------+----------+   +------------+--------------------+
 */
typedef struct hf_time_window {
    hf_divisor slice_ns; /* set by init, as is the next */
    hf_divisor slices;
    hf_ai64 head; /* number of the current slice; INT64_MIN before the first record */
    hf_au64 era;
    hf_au64 trouble; /* only a hint to skip judging; all ones: none yet */
    hf_slot slots[]; /* four kinds for each slice of the ring */
} hf_time_window;

enum { HF__KIND_SUCCESS, HF__KIND_FAILURE, HF__KIND_SLOW, HF__KIND_IGNORED, HF__KINDS };

#define HF__ERA_BITS 29
#define HF__ERA(w) ((w) & ((UINT64_C(1) << HF__ERA_BITS) - 1))
#define HF__ERA_GEN(w) ((w) >> HF__ERA_BITS)
#define HF__TROUBLE_BITS 35
#define HF__TROUBLE_SLICE(w) ((w) & ((UINT64_C(1) << HF__TROUBLE_BITS) - 1))
#define HF__TROUBLE_ERA(w) ((w) >> HF__TROUBLE_BITS)

static inline size_t
hf_time_window_size(uint32_t slices)
{
    return sizeof(hf_time_window) + (size_t)slices * HF__KINDS * sizeof(hf_slot);
}

/* slices and slice_ns are at least 1. The memory is hf_time_window_size(slices) long. */
static inline void
hf_time_window_init(hf_time_window *w, uint32_t slices, int64_t slice_ns)
{
    w->slice_ns = hf_divisor_of((uint64_t)slice_ns);
    w->slices = hf_divisor_of(slices);
    hf_store_relaxed(&w->head, INT64_MIN);
    hf_store_relaxed(&w->era, 0);
    hf_store_relaxed(&w->trouble, UINT64_MAX);
    for (size_t i = 0; i < (size_t)slices * HF__KINDS; i++)
        hf_store_relaxed(&w->slots[i].word, 0);
}

/* Where the four slots of a slice begin. */
static inline uint64_t
hf__time_window_place(const hf_time_window *w, int64_t slice)
{
    /* Shifted to unsigned order, so that the ring has no seam at slice 0. */
    return hf_remainder(w->slices, (uint64_t)slice + (UINT64_C(1) << 63)) * HF__KINDS;
}

/* The slice a caller at now_ns counts in, given the head. */
static inline int64_t
hf__time_window_slice(const hf_time_window *w, int64_t now_ns, int64_t head)
{
    int64_t slice = hf_floor_quotient(w->slice_ns, now_ns);
    bool behind = slice < head && (uint64_t)head - (uint64_t)slice < w->slices.d;
    return behind ? head : slice;
}

/* As above, and the head follows. Relaxed: a slot says itself what it counts. */
static inline int64_t
hf__time_window_advance(hf_time_window *w, int64_t now_ns)
{
    int64_t head = hf_load_relaxed(&w->head), slice;
    do {
        slice = hf__time_window_slice(w, now_ns, head);
    } while (HF_UNLIKELY(slice != head) && !hf_cas_weak_relaxed(&w->head, &head, slice));
    return slice;
}

/*
 * The era of a generation, opened by the first who asks for it; *word receives the whole word.
 * False: the generation is over. The release half pairs with hf__time_window_count_slow().
 */
static inline bool
hf__time_window_era(hf_time_window *w, uint64_t gen, uint64_t *word)
{
    gen = HF_GEN(gen);
    uint64_t seen = hf_load_acquire(&w->era);
    while (HF__ERA_GEN(seen) < gen) {
        uint64_t next = gen << HF__ERA_BITS | HF__ERA(seen + 1);
        if (hf_cas_weak_acq_rel(&w->era, &seen, next))
            seen = next;
    }
    *word = seen;
    return HF__ERA_GEN(seen) == gen;
}

/*
 * The slot counts for a later slice or era than the caller's. If neither has begun, time stepped
 * back and the slot is of the future, or its mark is so old that it looks new: it is free.
 */
HF_RARE void
hf__time_window_count_slow(hf_time_window *w, hf_slot *slot, uint64_t era, int64_t slice)
{
    do {
        /* Acquire pairs with the CAS on the slot: whoever marked it had moved era and head first. */
        uint64_t seen = hf_load_acquire(&slot->word);
        int64_t head = hf_load_acquire(&w->head);
        uint64_t ahead = (HF_SLOT_EPOCH(seen) - (uint64_t)slice) & HF_SLOT_MOST;
        if (hf_load_acquire(&w->era) != era)
            return; /* the generation is over */
        if (ahead > 0 && head > slice && (uint64_t)head - (uint64_t)slice >= ahead)
            return; /* its slice has left the window, and another has the slot */
        if (hf_slot_replace(slot, seen, era, (uint64_t)slice, 1))
            return;
    } while (!hf_slot_add(slot, era, (uint64_t)slice, 1));
}

static inline void
hf__time_window_count(hf_time_window *w, hf_slot *slot, uint64_t era, int64_t slice)
{
    if (HF_UNLIKELY(!hf_slot_add(slot, era, (uint64_t)slice, 1)))
        hf__time_window_count_slow(w, slot, era, slice);
}

/*
 * Remember that the window is worth judging. Stays when it names the same era and a slice that
 * leaves the window no sooner. Sequentially consistent, after the count and before the reading of
 * the tally: pairs with hf_time_window_has_failures() after the count of a success, so that of a
 * failure and a success at once at least one sees both in the tally.
 */
HF_RARE void
hf__time_window_warn(hf_time_window *w, uint64_t era, int64_t slice)
{
    const uint64_t mine = HF__ERA(era) << HF__TROUBLE_BITS | HF__TROUBLE_SLICE((uint64_t)slice);
    uint64_t seen = hf_load_seq_cst(&w->trouble);
    do {
        uint64_t ahead = HF__TROUBLE_SLICE(seen - mine);
        if (HF__TROUBLE_ERA(seen) == HF__ERA(era) && ahead < w->slices.d)
            return;
        if (hf_load_acquire(&w->era) != era)
            return;
    } while (!hf_cas_weak_seq_cst(&w->trouble, &seen, mine));
}

/* Count one finished call of a generation. Nothing happens when the generation is over. */
static inline void
hf_time_window_record(hf_time_window *w, uint64_t gen, int64_t now_ns, int outcome, bool slow)
{
    uint64_t era;
    if (!hf__time_window_era(w, gen, &era))
        return;
    int64_t slice = hf__time_window_advance(w, now_ns);
    hf_slot *slots = &w->slots[hf__time_window_place(w, slice)];
    int kind = outcome == HF_SUCCESS   ? HF__KIND_SUCCESS
               : outcome == HF_FAILURE ? HF__KIND_FAILURE
                                       : HF__KIND_IGNORED;
    hf__time_window_count(w, &slots[kind], era, slice);
    if (outcome == HF_IGNORED || (outcome == HF_SUCCESS && !slow))
        return;
    if (slow) /* after the call itself, and read before it: slow never exceeds calls */
        hf__time_window_count(w, &slots[HF__KIND_SLOW], era, slice);
    hf__time_window_warn(w, era, slice);
}

/* The window as seen at now_ns; all zero for another generation than the last recorded one. */
static inline hf_tally
hf_time_window_read(const hf_time_window *w, uint64_t gen, int64_t now_ns)
{
    hf_tally t = {0, 0, 0, 0};
    uint64_t era = hf_load_acquire(&w->era);
    if (HF__ERA_GEN(era) != HF_GEN(gen))
        return t;
    int64_t newest = hf__time_window_slice(w, now_ns, hf_load_relaxed(&w->head));
    for (uint64_t age = 0; age < w->slices.d; age++) {
        uint64_t slice = (uint64_t)newest - age;
        const hf_slot *slots = &w->slots[hf__time_window_place(w, (int64_t)slice)];
        uint64_t slow = hf_slot_read(&slots[HF__KIND_SLOW], era, slice);
        uint64_t failures = hf_slot_read(&slots[HF__KIND_FAILURE], era, slice);
        uint64_t calls = failures + hf_slot_read(&slots[HF__KIND_SUCCESS], era, slice);
        t.calls += calls;
        t.failures += failures;
        /* What time left here before it stepped back is replaced kind by kind. */
        t.slow += slow < calls ? slow : calls;
        t.ignored += hf_slot_read(&slots[HF__KIND_IGNORED], era, slice);
    }
    return t;
}

/*
 * A cheap guess whether the window holds a failure or a slow call: true for a little too long at
 * most, and false only too soon of what was in the future when time stepped back. A success need not
 * be judged while it is false.
 */
static inline bool
hf_time_window_has_failures(const hf_time_window *w, uint64_t gen, int64_t now_ns)
{
    uint64_t trouble = hf_load_seq_cst(&w->trouble);
    uint64_t era = hf_load_relaxed(&w->era);
    if (HF_LIKELY(HF__TROUBLE_ERA(trouble) != HF__ERA(era)) || HF__ERA_GEN(era) != HF_GEN(gen))
        return false;
    int64_t newest = hf__time_window_slice(w, now_ns, hf_load_relaxed(&w->head));
    return HF__TROUBLE_SLICE((uint64_t)newest - trouble) < w->slices.d;
}

#endif /* HF_TIME_WINDOW_H */
