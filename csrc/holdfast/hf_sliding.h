/*
 * Sliding window limit: at most `limit` in any span of `per` nanoseconds, wherever it begins.
 *
 * Time is cut into slices of a tenth of the span; the slice of a take and the ten before it cover
 * every span that ends with the take. So it never admits more than the limit, and may refuse up
 * to a tenth of the span early. A take adds itself first and adds up afterwards: of two that
 * together are too many, at least one sees the other. One that sees too many takes itself back.
 *
 * Tokens only, as in hf_bucket.h. `now_ns` comes from hf_clock; one that is older than another
 * thread's counts as that one: time stands still here until it has caught up.
 */
#ifndef HF_SLIDING_H
#define HF_SLIDING_H

#include "hf_compiler.h"
#include "hf_divide.h"
#include "hf_slot.h"

#define HF_SLIDING_LIMIT_MAX HF_SLOT_MOST
#define HF_SLIDING_NEVER INT64_MAX

enum {
    HF__SPAN = 10, /* slices of a span; with the one that has begun, 11 count */
    HF__RING = 16, /* the 11, and 5 that may begin while a thread adds them up */
    HF__AHEAD = HF__RING - HF__SPAN - 1,
};

/*
 * Slice number t counts in ring[t % 16], as epoch t / 16 of the generation `turn`. Slices 2^40
 * apart look the same: three years for a span of a millisecond, for one refusal too many.
 */
typedef struct hf_sliding {
    hf_ai64 head; /* the latest slice anybody has seen */
    hf_au64 turn; /* clears so far, and one: an untouched slot is of turn 0 */
    hf_au64 limit;
    hf_divisor slice;                    /* ns in a slice; set by init, read-only afterwards */
    hf_au64 allowed, rejected, refunded; /* calls, not tokens */
    hf_slot ring[HF__RING];
} hf_sliding;

/* 1 <= limit <= HF_SLIDING_LIMIT_MAX, per_ns >= 1. */
static inline void
hf_sliding_init(hf_sliding *s, uint64_t limit, int64_t per_ns)
{
    hf_store_relaxed(&s->head, INT64_MIN);
    hf_store_relaxed(&s->turn, 1);
    hf_store_relaxed(&s->limit, limit);
    s->slice = hf_divisor_of(((uint64_t)per_ns + HF__SPAN - 1) / HF__SPAN);
    hf_store_relaxed(&s->allowed, 0);
    hf_store_relaxed(&s->rejected, 0);
    hf_store_relaxed(&s->refunded, 0);
    for (int i = 0; i < HF__RING; i++)
        hf_store_relaxed(&s->ring[i].word, 0);
}

/* In a forked child: counts start at zero, what was taken stays. */
static inline void
hf_sliding_forget(hf_sliding *s)
{
    hf_count_forget(&s->allowed);
    hf_count_forget(&s->rejected);
    hf_count_forget(&s->refunded);
}

static inline hf_slot *
hf__sliding_slot(hf_sliding *s, int64_t t)
{
    return &s->ring[(uint64_t)t % HF__RING];
}

static inline uint64_t
hf__sliding_epoch(int64_t t)
{
    return (uint64_t)t / HF__RING;
}

/* All that counts for a take in this slice: the ten before, and any that have begun since. */
static inline uint64_t
hf__sliding_sum(const hf_sliding *s, uint64_t turn, int64_t slice)
{
    uint64_t first = (uint64_t)slice - HF__SPAN, sum = 0;
    uint64_t lap = hf__slot_word(turn, first / HF__RING, 0);
    uint64_t next_lap = hf__slot_word(turn, first / HF__RING + 1, 0);
    for (uint64_t i = 0; i < HF__RING; i++) {
        uint64_t w = hf_load_seq_cst(&s->ring[i].word);
        if (hf__slot_is_same(w, i >= first % HF__RING ? lap : next_lap))
            sum += HF_SLOT_COUNT(w);
    }
    return sum;
}

/* The slice of this moment, never one before the latest that was seen. Changes nothing. */
static inline int64_t
hf__sliding_peek(const hf_sliding *s, int64_t now_ns)
{
    int64_t head = hf_load_seq_cst(&s->head), slice = hf_floor_quotient(s->slice, now_ns);
    return slice > head ? slice : head;
}

/* The same, and from here on nobody counts in a slice before it. */
static inline int64_t
hf__sliding_enter(hf_sliding *s, int64_t now_ns)
{
    int64_t head = hf_load_seq_cst(&s->head), slice = hf_floor_quotient(s->slice, now_ns);
    while (head < slice)
        if (hf_cas_weak_seq_cst(&s->head, &head, slice))
            return slice;
    return head;
}

/* A thread this far behind may miss slices whose slots are in use again. */
static inline bool
hf__sliding_outrun(const hf_sliding *s, int64_t slice)
{
    return (uint64_t)hf_load_seq_cst(&s->head) - (uint64_t)slice > HF__AHEAD;
}

/*
 * Add n to a slice. False: it holds all it can, or time has outrun it; nothing was added.
 * A slot in use for another slice is replaced, but only while no later slice that shares it has
 * begun (the head moves before anything is added): a straggler does not wipe what came after.
 */
static inline bool
hf__sliding_add(hf_sliding *s, uint64_t turn, int64_t slice, uint64_t n)
{
    hf_slot *slot = hf__sliding_slot(s, slice);
    uint64_t mine = hf__slot_word(turn, hf__sliding_epoch(slice), 0);
    uint64_t count, w = hf_load_seq_cst(&slot->word);
    do {
        count = hf__slot_is_same(w, mine) ? HF_SLOT_COUNT(w) : 0;
        if (n > HF_SLOT_MOST - count || hf__sliding_outrun(s, slice))
            return false;
        /* seq_cst, as the loads of the sum: of two takes one sees the other's addition. */
    } while (!hf_cas_weak_seq_cst(&slot->word, &w, mine | (count + n)));
    return true;
}

/* Take n, if the span that ends with *slice still holds them: that of now, or the latest seen. */
static inline bool
hf__sliding_take(hf_sliding *s, uint64_t n, int64_t now_ns, int64_t *slice)
{
    uint64_t limit = hf_load_relaxed(&s->limit);
    bool outrun;
    do {
        uint64_t turn = hf_load_seq_cst(&s->turn);
        *slice = hf__sliding_enter(s, now_ns);
        /* Look before adding: a refused call leaves no trace for which others could be refused. */
        bool added = n <= limit && hf__sliding_sum(s, turn, *slice) <= limit - n &&
                     hf__sliding_add(s, turn, *slice, n);
        bool fits = added && hf__sliding_sum(s, turn, *slice) <= limit;
        outrun = hf__sliding_outrun(s, *slice); /* then the sums prove nothing */
        if (fits && !outrun)
            return true;
        if (added)
            hf_slot_take_back(hf__sliding_slot(s, *slice), turn, hf__sliding_epoch(*slice), n);
    } while (outrun);
    return false;
}

/*
 * Take n if the span that ends now still holds them. Never waits.
 * True: taken; refund() returns them. False: nothing is taken, counted as rejected.
 */
static inline bool
hf_sliding_try_take(hf_sliding *s, uint64_t n, int64_t now_ns)
{
    int64_t slice;
    bool taken = hf__sliding_take(s, n, now_ns, &slice);
    hf_count(taken ? &s->allowed : &s->rejected, 1);
    return taken;
}

/*
 * Return the n of one take that was not used, given the time it was made with; nothing, if that is
 * too long ago to count. A take may have been counted a little later than it was made; taking off
 * what is oldest first errs towards refusing.
 */
static inline void
hf_sliding_refund(hf_sliding *s, uint64_t n, int64_t taken_ns)
{
    uint64_t turn = hf_load_seq_cst(&s->turn);
    int64_t head = hf_load_seq_cst(&s->head), slice = hf_floor_quotient(s->slice, taken_ns);
    uint64_t ago = slice < head ? (uint64_t)head - (uint64_t)slice : 0;
    for (uint64_t i = 0; ago <= HF__SPAN && n != 0 && i <= ago; i++) {
        int64_t t = (int64_t)((uint64_t)head - ago + i);
        uint64_t there = hf_slot_read(hf__sliding_slot(s, t), turn, hf__sliding_epoch(t));
        uint64_t part = n < there ? n : there;
        hf_slot_take_back(hf__sliding_slot(s, t), turn, hf__sliding_epoch(t), part);
        n -= part;
    }
    hf_count(&s->refunded, 1);
}

/* How many could be taken now. */
static inline uint64_t
hf_sliding_available(const hf_sliding *s, int64_t now_ns)
{
    uint64_t limit = hf_load_relaxed(&s->limit);
    uint64_t sum = hf__sliding_sum(s, hf_load_seq_cst(&s->turn), hf__sliding_peek(s, now_ns));
    return sum < limit ? limit - sum : 0;
}

/*
 * The ns until n can be taken if nobody takes any, or HF_SLIDING_NEVER when n is over the limit.
 * Exact: one ns earlier it would be refused. Changes nothing.
 */
static inline int64_t
hf_sliding_wait_ns(const hf_sliding *s, uint64_t n, int64_t now_ns)
{
    uint64_t limit = hf_load_relaxed(&s->limit), turn = hf_load_seq_cst(&s->turn);
    uint64_t now = (uint64_t)hf_floor_quotient(s->slice, now_ns);
    uint64_t first = (uint64_t)hf__sliding_peek(s, now_ns), slice = first;
    if (n > limit)
        return HF_SLIDING_NEVER;
    while (hf__sliding_sum(s, turn, (int64_t)slice) > limit - n)
        slice++;
    if (slice == first)
        return 0;
    if (slice - now > (uint64_t)INT64_MAX / s->slice.d)
        return HF_SLIDING_NEVER; /* a time that far behind what was seen */
    return (int64_t)((slice - now) * s->slice.d - ((uint64_t)now_ns - now * s->slice.d));
}

/* Change the limit, 1 to HF_SLIDING_LIMIT_MAX. What was taken stays taken. */
static inline void
hf_sliding_resize(hf_sliding *s, uint64_t limit)
{
    hf_store_relaxed(&s->limit, limit);
}

/* Empty again. The counters stay. */
static inline void
hf_sliding_clear(hf_sliding *s)
{
    (void)hf_fetch_add_seq_cst(&s->turn, 1);
}

static inline uint64_t
hf_sliding_limit(const hf_sliding *s)
{
    return hf_load_relaxed(&s->limit);
}

#endif /* HF_SLIDING_H */
