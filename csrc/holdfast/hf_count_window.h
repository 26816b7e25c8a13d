/*
 * The last n calls: a ring of small marks, and their sums in one word.
 *
 * A record takes a ticket (its place in the ring), adds itself to the sums, exchanges its mark for
 * the one n calls older, and takes that one out of the sums. In this order no sum is ever too
 * small, and what is taken out was added before, so the sums equal the marks whenever nobody is
 * under way; in between a reader may see the newest and the oldest call at once, for which n
 * bounds what is shown. An ignored outcome takes no place; it is counted since its generation began.
 *
 * A generation is the owner's (the breaker's, 35 bits). The first record of a later one opens
 * an era: places start at 0 again, and marks and sums of another era count as empty. Nothing is
 * cleared. Records and reads of an earlier generation find nothing.
 *
 *   next                                 totals
 *   63          29 28      19 18     0   63     54 53       36 35       18 17        0
 *   +-------------+----------+-------+   +--------+-----------+-----------+-----------+
 *   |     gen     |   era    | place |   |  era   |   calls   | failures  |   slow    |
 *   +-------------+----------+-------+   +--------+-----------+-----------+-----------+
 *
 *   place: 0 … n-1 in the first lap of an era, n … 2n-1 in the second, then 2n … 3n-1 for ever
 *   mark:  [era:10 | unused:4 | slow:1 | failure:1]
 *   ignored: [gen:35 | count:29], the count stays at its maximum
 */
#ifndef HF_COUNT_WINDOW_H
#define HF_COUNT_WINDOW_H

#include <stddef.h>

#include "hf_atomic.h"
#include "hf_compiler.h"
#include "hf_tally.h"

enum { HF_COUNT_WINDOW_MOST = 100000 }; /* 3n fits the place, and n + 2^17 threads the sums */

typedef struct hf_count_window {
    uint32_t n; /* set by init, read-only afterwards */
    hf_au64 next;
    hf_au64 totals;
    hf_au64 ignored;
    hf_au16 marks[];
} hf_count_window;

#define HF__NEXT_GEN(w) ((w) >> 29)
#define HF__NEXT_ERA(w) (((w) >> 19) & 1023)
#define HF__NEXT_PLACE(w) ((w) & 0x7FFFF)
#define HF__TOTALS_ERA(w) ((w) >> 54)
#define HF__TOTALS_MASK UINT64_C(0x3FFFF)
#define HF__TOTALS_CALLS(w) (((w) >> 36) & HF__TOTALS_MASK)
#define HF__TOTALS_FAILURES(w) (((w) >> 18) & HF__TOTALS_MASK)
#define HF__TOTALS_SLOW(w) ((w) & HF__TOTALS_MASK)
#define HF__IGNORED_MOST ((UINT64_C(1) << 29) - 1)

static inline size_t
hf_count_window_size(uint32_t n)
{
    size_t end = sizeof(hf_count_window) + n * sizeof(hf_au16);
    return (end + 7) & ~(size_t)7; /* what follows it may be words */
}

/* 1 <= n <= HF_COUNT_WINDOW_MOST. The memory is hf_count_window_size(n) long. */
static inline void
hf_count_window_init(hf_count_window *w, uint32_t n)
{
    w->n = n;
    hf_store_relaxed(&w->next, 0);
    hf_store_relaxed(&w->totals, 0);
    hf_store_relaxed(&w->ignored, 0);
    for (uint32_t i = 0; i < n; i++)
        hf_store_relaxed(&w->marks[i], (uint16_t)0);
}

/* What one call with this mark adds to the sums. */
static inline uint64_t
hf__count_window_share(uint64_t mark)
{
    return UINT64_C(1) << 36 | (mark & 1) << 18 | (mark >> 1 & 1);
}

/*
 * Take the next place for a record of this generation. False: the generation is over.
 * Relaxed: hf__count_window_add() orders what depends on the era.
 */
static inline bool
hf__count_window_ticket(hf_count_window *w, uint64_t gen, uint64_t *ticket)
{
    const uint64_t n = w->n;
    uint64_t seen = hf_load_relaxed(&w->next), mine, next;
    do {
        if (HF_UNLIKELY(HF__NEXT_GEN(seen) > gen))
            return false;
        mine = seen;
        if (HF_UNLIKELY(HF__NEXT_GEN(seen) < gen))
            mine = gen << 29 | ((HF__NEXT_ERA(seen) + 1) & 1023) << 19;
        next = HF__NEXT_PLACE(mine) + 1 == 3 * n ? mine + 1 - n : mine + 1;
    } while (!hf_cas_weak_relaxed(&w->next, &seen, next));
    *ticket = mine;
    return true;
}

/* Whether a later era than the ticket's has begun. */
static inline bool
hf__count_window_is_over(const hf_count_window *w, uint64_t ticket)
{
    return HF__NEXT_GEN(hf_load_relaxed(&w->next)) != HF__NEXT_GEN(ticket);
}

/*
 * Add a share to the sums of the ticket's era, which start with it when they still are another's.
 * False: a later era has begun. Acquire pairs with the release of who marked the sums for that
 * era: it had taken its ticket before, so hf__count_window_is_over() sees it.
 */
static inline bool
hf__count_window_add(hf_count_window *w, uint64_t ticket, uint64_t share)
{
    const uint64_t era = HF__NEXT_ERA(ticket);
    uint64_t sums = hf_load_acquire(&w->totals), next;
    do {
        if (HF__TOTALS_ERA(sums) == era)
            next = sums + share;
        else if (hf__count_window_is_over(w, ticket))
            return false;
        else
            next = era << 54 | share;
    } while (!hf_cas_weak_acq_rel(&w->totals, &sums, next));
    return true;
}

/*
 * The sums without a share. Whoever takes a call out has added one before, so calls are never 0 here.
 * The others are tested for 0 because of one mark that was never added: one of exactly k * 1024 eras
 * ago, displaced a lap early since the record before it is still under way.
 */
static inline uint64_t
hf__count_window_without(uint64_t sums, uint64_t share)
{
    if (HF__TOTALS_FAILURES(sums) == 0)
        share &= ~(UINT64_C(1) << 18);
    if (HF__TOTALS_SLOW(sums) == 0)
        share &= ~UINT64_C(1);
    return sums - share;
}

/* Take out what a displaced mark had added; nothing when the sums are another era's. */
static inline void
hf__count_window_take_out(hf_count_window *w, uint64_t ticket, uint64_t share)
{
    uint64_t sums = hf_load_relaxed(&w->totals);
    do {
        if (HF__TOTALS_ERA(sums) != HF__NEXT_ERA(ticket))
            return;
    } while (!hf_cas_weak_acq_rel(&w->totals, &sums, hf__count_window_without(sums, share)));
}

/*
 * Whether a mark found in the first lap was made in this era: only if someone a lap ahead
 * overtook this record between its ticket and its exchange. Otherwise it is a leftover whose era
 * has the same low bits.
 */
static inline bool
hf__count_window_is_lapped(const hf_count_window *w, uint64_t ticket)
{
    uint64_t next = hf_load_relaxed(&w->next);
    return HF__NEXT_GEN(next) == HF__NEXT_GEN(ticket) &&
           HF__NEXT_PLACE(next) > HF__NEXT_PLACE(ticket) + w->n;
}

static inline void
hf__count_window_ignore(hf_count_window *w, uint64_t gen)
{
    uint64_t seen = hf_load_relaxed(&w->ignored), next;
    do {
        if (HF__NEXT_GEN(seen) > gen)
            return;
        next = HF__NEXT_GEN(seen) < gen ? (gen << 29 | 1) : seen + 1;
        if (HF__NEXT_GEN(next) != gen)
            return; /* full */
    } while (!hf_cas_weak_relaxed(&w->ignored, &seen, next));
}

/* Count one finished call of a generation. Nothing happens when the generation is over. */
static inline void
hf_count_window_record(hf_count_window *w, uint64_t gen, int outcome, bool slow)
{
    uint64_t ticket;
    gen = HF_GEN(gen);
    if (HF_UNLIKELY(outcome == HF_IGNORED)) {
        hf__count_window_ignore(w, gen);
        return;
    }
    if (!hf__count_window_ticket(w, gen, &ticket))
        return;
    const uint64_t n = w->n, place = HF__NEXT_PLACE(ticket), era = HF__NEXT_ERA(ticket);
    const uint64_t mine = era << 6 | (uint64_t)slow << 1 | (outcome == HF_FAILURE);
    hf_au16 *mark = &w->marks[place < n ? place : place < 2 * n ? place - n : place - 2 * n];

    /* A call that displaces its like changes nothing: the steady state of a healthy service. */
    if (place >= n && hf_load_relaxed(mark) == mine)
        return;
    if (!hf__count_window_add(w, ticket, hf__count_window_share(mine)))
        return;
    /*
     * Release: who displaces this mark finds its share in the sums. Acquire: and the reverse; also,
     * the look for a later era comes after, so that none of its marks is displaced.
     */
    uint16_t old = hf_load_acquire(mark);
    do {
        if (hf__count_window_is_over(w, ticket))
            return;
    } while (!hf_cas_weak_acq_rel(mark, &old, (uint16_t)mine));
    if (old >> 6 == (int)era && (place >= n || hf__count_window_is_lapped(w, ticket)))
        hf__count_window_take_out(w, ticket, hf__count_window_share(old));
}

/* The window; all zero for another generation than the last recorded one. */
static inline hf_tally
hf_count_window_read(const hf_count_window *w, uint64_t gen)
{
    hf_tally t = {0, 0, 0, 0};
    gen = HF_GEN(gen);
    uint64_t next = hf_load_acquire(&w->next), ignored = hf_load_relaxed(&w->ignored);
    uint64_t sums = hf_load_acquire(&w->totals);
    if (HF__NEXT_GEN(next) == gen && HF__TOTALS_ERA(sums) == HF__NEXT_ERA(next)) {
        uint64_t calls = HF__TOTALS_CALLS(sums);
        t.calls = calls < w->n ? calls : w->n;
        t.failures = HF__TOTALS_FAILURES(sums) < t.calls ? HF__TOTALS_FAILURES(sums) : t.calls;
        t.slow = HF__TOTALS_SLOW(sums) < t.calls ? HF__TOTALS_SLOW(sums) : t.calls;
    }
    if (HF__NEXT_GEN(ignored) == gen)
        t.ignored = ignored & HF__IGNORED_MOST;
    return t;
}

/*
 * A cheap guess whether the window holds a failure or a slow call: true for a little too long at
 * most. Acquire pairs with the CAS on the sums.
 */
static inline bool
hf_count_window_has_failures(const hf_count_window *w)
{
    return (hf_load_acquire(&w->totals) & ((UINT64_C(1) << 36) - 1)) != 0;
}

#endif /* HF_COUNT_WINDOW_H */
