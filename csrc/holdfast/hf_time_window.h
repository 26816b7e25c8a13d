/*
 * The calls of the last slices of time: a ring of slots, four to a slice.
 *
 * Time is cut into slices of slice_ns; a call recorded in slice s counts while the current slice is
 * below s + slices. There are no running totals to drift: reading adds up the slots whose epoch is
 * inside the window, so the window expires when read, without traffic, and after any idle time.
 *
 * Clocks of several threads need not agree. The head is the latest slice that a record came to, and only
 * goes forward. A caller whose time is behind it by less than a window counts in the head's slice. One
 * behind by a window or more is late: what it records counts nowhere in the window, since its slice has
 * left it, and what it reads is the window of the head. So whatever comes late, even after years, takes
 * nothing from what has come since. Policy time never steps back (hf_clock.h). A time that did would find
 * the window as it was until it has caught up.
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
    hf_ai64 head; /* the latest slice; only grows; INT64_MIN before the first record */
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

/* The latest slice that a caller at now_ns knows of, given the head. */
static inline int64_t
hf__time_window_newest(const hf_time_window *w, int64_t now_ns, int64_t head)
{
    int64_t slice = hf_floor_quotient(w->slice_ns, now_ns);
    return slice > head ? slice : head;
}

/* Whether a slice has left the window that ends with the head. */
static inline bool
hf__time_window_has_left(const hf_time_window *w, int64_t slice, int64_t head)
{
    return head > slice && (uint64_t)head - (uint64_t)slice >= w->slices.d;
}

/*
 * The slice that a caller at now_ns counts in: the head's, which follows him. False: he is late.
 * Relaxed: a slot says itself what it counts.
 */
static inline bool
hf__time_window_enter(hf_time_window *w, int64_t now_ns, int64_t *slice)
{
    int64_t mine = hf_floor_quotient(w->slice_ns, now_ns), head = hf_load_relaxed(&w->head);
    do {
        *slice = mine > head ? mine : head;
    } while (HF_UNLIKELY(mine > head) && !hf_cas_weak_relaxed(&w->head, &head, mine));
    return !hf__time_window_has_left(w, mine, *slice);
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
 * Whether the era is over, or the slice has left the window. Asked after a word was read that one of a
 * later era, or of a slice a window later, may have marked: whoever did that had moved era and head
 * first, and acquire pairs with his CAS on the word.
 */
static inline bool
hf__time_window_is_over(const hf_time_window *w, uint64_t era, int64_t slice)
{
    return hf_load_acquire(&w->era) != era ||
           hf__time_window_has_left(w, slice, hf_load_acquire(&w->head));
}

/* The slot counts for another slice or era than the caller's: for one that is over, unless his is. */
HF_RARE void
hf__time_window_count_slow(hf_time_window *w, hf_slot *slot, uint64_t era, int64_t slice,
                           uint64_t seen)
{
    do {
        if (hf__time_window_is_over(w, era, slice))
            return;
        if (hf_slot_replace(slot, seen, era, (uint64_t)slice, 1))
            return;
    } while (!hf_slot_add(slot, era, (uint64_t)slice, 1, &seen));
}

static inline void
hf__time_window_count(hf_time_window *w, hf_slot *slot, uint64_t era, int64_t slice)
{
    uint64_t seen;
    if (HF_UNLIKELY(!hf_slot_add(slot, era, (uint64_t)slice, 1, &seen)))
        hf__time_window_count_slow(w, slot, era, slice, seen);
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
        if (hf__time_window_is_over(w, era, slice))
            return;
    } while (!hf_cas_weak_seq_cst(&w->trouble, &seen, mine));
}

/* Count one finished call of a generation. Nothing happens when the generation is over, or it is late. */
static inline void
hf_time_window_record(hf_time_window *w, uint64_t gen, int64_t now_ns, int outcome, bool slow)
{
    uint64_t era;
    int64_t slice;
    if (!hf__time_window_era(w, gen, &era) || !hf__time_window_enter(w, now_ns, &slice))
        return;
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

/* The window whose latest slice is the newest. */
static inline hf_tally
hf__time_window_sum(const hf_time_window *w, uint64_t era, int64_t newest)
{
    hf_tally t = {0, 0, 0, 0};
    for (uint64_t age = 0; age < w->slices.d; age++) {
        uint64_t slice = (uint64_t)newest - age;
        const hf_slot *slots = &w->slots[hf__time_window_place(w, (int64_t)slice)];
        uint64_t slow = hf_slot_read(&slots[HF__KIND_SLOW], era, slice);
        uint64_t failures = hf_slot_read(&slots[HF__KIND_FAILURE], era, slice);
        uint64_t calls = failures + hf_slot_read(&slots[HF__KIND_SUCCESS], era, slice);
        t.calls += calls;
        t.failures += failures;
        t.slow += slow < calls ? slow : calls; /* a call's slot may be another slice's by now */
        t.ignored += hf_slot_read(&slots[HF__KIND_IGNORED], era, slice);
    }
    return t;
}

/*
 * The window as seen at now_ns, or at the latest record if that is later; all zero for another
 * generation than the last recorded one. Slots that went to a later slice or era while they were added
 * up would be missing: then this looks again, so a reader who was held up never sees failures without
 * the successes beside them.
 */
static inline hf_tally
hf_time_window_read(const hf_time_window *w, uint64_t gen, int64_t now_ns)
{
    hf_tally t = {0, 0, 0, 0};
    const uint64_t era = hf_load_acquire(&w->era);
    if (HF__ERA_GEN(era) != HF_GEN(gen))
        return t;
    int64_t newest, head = hf_load_acquire(&w->head);
    do {
        newest = hf__time_window_newest(w, now_ns, head);
        t = hf__time_window_sum(w, era, newest);
        head = hf_load_acquire(&w->head); /* acquire on the slots keeps this behind them */
    } while (HF_UNLIKELY(head > newest));
    return hf_load_acquire(&w->era) == era ? t : (hf_tally){0, 0, 0, 0};
}

/*
 * A cheap guess whether the window holds a failure or a slow call: true for a little too long at most.
 * A success need not be judged while it is false.
 */
static inline bool
hf_time_window_has_failures(const hf_time_window *w, uint64_t gen, int64_t now_ns)
{
    uint64_t trouble = hf_load_seq_cst(&w->trouble);
    uint64_t era = hf_load_relaxed(&w->era);
    if (HF_LIKELY(HF__TROUBLE_ERA(trouble) != HF__ERA(era)) || HF__ERA_GEN(era) != HF_GEN(gen))
        return false;
    int64_t newest = hf__time_window_newest(w, now_ns, hf_load_relaxed(&w->head));
    return HF__TROUBLE_SLICE((uint64_t)newest - trouble) < w->slices.d;
}

#endif /* HF_TIME_WINDOW_H */
