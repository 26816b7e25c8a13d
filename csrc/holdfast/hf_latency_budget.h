/*
 * Latency budget: whether a percentile of the last calls' durations is above a target.
 *
 * A ring has one mark a call: the cell of a histogram (hf_histogram.h) that its duration is in, and whether it
 * exceeds the target. The counts of cells follow the ring, so a percentile is a walk over cells, within 2 %.
 * How many calls exceed the target is exact, and so is the decision. It is made in integers:
 *
 *   rank      ceil(percentile of n)       the call that the percentile is, by duration; at least the first
 *   allowed   n - rank                    so many calls may exceed the target
 *   exhausted once more exceed it; recovered when no more than nine tenths of `allowed` do, so that a
 *             budget at its limit does not turn with each call
 *
 * Fewer calls than `least` turn nothing. A record counts its cell, replaces the mark that is `size` calls
 * older, and takes that one out of its cell. In this order no count is ever below zero.
 *
 *   tally:  [calls:32 | exceeding:32]      of the ring
 *   mark:   [exceeds:1 | unused:5 | cell + 1:10], 0: empty
 *   turns:  how often it became exhausted or recovered; odd while it is exhausted
 *
 * Not here: what a duration is, and who is told of a turn.
 */
#ifndef HF_LATENCY_BUDGET_H
#define HF_LATENCY_BUDGET_H

#include <stddef.h>

#include "hf_compiler.h"
#include "hf_histogram.h"

enum {
    HF_LATENCY_BUDGET_MOST = 100000, /* calls of a ring */
    HF_PERCENTILE_UNIT = 10000,      /* percentiles are in ten thousandths of a percent … */
    HF_PERCENTILE_MOST = 100 * HF_PERCENTILE_UNIT,
    HF__MARK_EXCEEDS = 0x8000,
    HF__MARK_CELL = 0x3FF,
    HF__RECOVERY_SHARE = 10, /* a tenth of what is allowed is to be free again */
};

typedef struct hf_latency_budget {
    int64_t target_ns; /* this and the next three: set by init, read-only afterwards */
    uint32_t size, least;
    uint32_t percentile;
    hf_au32 next; /* the place of the next record */
    hf_au64 tally;
    hf_au64 turns;
    hf_au64 recorded, exceeded,
        exhausted;                        /* calls, calls above the target, turns: they only grow */
    hf_au32 cell[HF_HISTOGRAM_CELLS + 1]; /* one more, so that the marks begin at a word */
    hf_au16 marks[];
} hf_latency_budget;

#define HF_TALLY_CALLS(w) ((uint32_t)((w) >> 32))
#define HF_TALLY_EXCEEDING(w) ((uint32_t)(w))
#define HF__TALLY_CALL (UINT64_C(1) << 32)

static inline size_t
hf_latency_budget_size(uint32_t size)
{
    size_t end = sizeof(hf_latency_budget) + size * sizeof(hf_au16);
    return (end + 7) & ~(size_t)7;
}

/*
 * 1 <= size <= HF_LATENCY_BUDGET_MOST, 1 <= least <= size, percentile <= HF_PERCENTILE_MOST. The memory is
 * hf_latency_budget_size(size) long.
 */
static inline void
hf_latency_budget_init(hf_latency_budget *b, int64_t target_ns, uint32_t percentile, uint32_t size,
                       uint32_t least)
{
    b->target_ns = target_ns;
    b->size = size;
    b->least = least;
    b->percentile = percentile;
    hf_store_relaxed(&b->next, 0);
    hf_store_relaxed(&b->tally, 0);
    hf_store_relaxed(&b->turns, 0);
    hf_store_relaxed(&b->recorded, 0);
    hf_store_relaxed(&b->exceeded, 0);
    hf_store_relaxed(&b->exhausted, 0);
    for (unsigned i = 0; i <= HF_HISTOGRAM_CELLS; i++)
        hf_store_relaxed(&b->cell[i], 0);
    for (uint32_t i = 0; i < size; i++)
        hf_store_relaxed(&b->marks[i], (uint16_t)0);
}

/* The place of a percentile among n durations in ascending order, from 1. n is at least 1. */
static inline uint64_t
hf__percentile_rank(uint64_t n, uint32_t percentile)
{
    const uint64_t rank = n - n * (HF_PERCENTILE_MOST - percentile) / HF_PERCENTILE_MOST;
    return rank > 0 ? rank : 1;
}

/* ---- turns ---- */

/* How many of n calls may exceed the target. n is at least 1. */
static inline uint64_t
hf_latency_budget_allowed(const hf_latency_budget *b, uint64_t n)
{
    return n - hf__percentile_rank(n, b->percentile);
}

/* Whether a budget with this tally is to be exhausted, where it is so or not by now. */
static inline bool
hf__latency_budget_due(const hf_latency_budget *b, uint64_t tally, bool exhausted)
{
    const uint64_t calls = HF_TALLY_CALLS(tally);
    if (calls < b->least || calls == 0)
        return exhausted;
    uint64_t most = hf_latency_budget_allowed(b, calls);
    if (exhausted)
        most -= (most + HF__RECOVERY_SHARE - 1) / HF__RECOVERY_SHARE;
    return HF_TALLY_EXCEEDING(tally) > most;
}

/*
 * Turn, as often as the tally asks for it. True: it turned. seq_cst, here and where the tally is changed: of a
 * thread that turns and one that changes the tally, one sees the other; so the last to be done leaves a budget
 * that is what its tally says.
 */
static inline bool
hf__latency_budget_turn(hf_latency_budget *b)
{
    bool turned = false;
    uint64_t turns = hf_load_seq_cst(&b->turns);
    for (;;) {
        const bool exhausted = turns & 1;
        if (hf__latency_budget_due(b, hf_load_seq_cst(&b->tally), exhausted) == exhausted)
            return turned;
        if (!hf_cas_weak_seq_cst(&b->turns, &turns, turns + 1))
            continue;
        turns++;
        turned = true;
        hf_count(&b->exhausted, !exhausted);
    }
}

static inline uint64_t
hf_latency_budget_turns(const hf_latency_budget *b)
{
    return hf_load_seq_cst(&b->turns);
}

static inline bool
hf_latency_budget_is_exhausted(const hf_latency_budget *b)
{
    return hf_load_relaxed(&b->turns) & 1;
}

/* ---- records ---- */

static inline uint32_t
hf__latency_budget_place(hf_latency_budget *b)
{
    uint32_t at = hf_load_relaxed(&b->next);
    while (!hf_cas_weak_relaxed(&b->next, &at, at + 1 < b->size ? at + 1 : 0))
        ;
    return at;
}

/*
 * Put a mark in place of what is there, which is taken out of its cell, and change the tally; 0: it stays. A call
 * that exceeds the target is added before its mark is there, as that may be replaced at once.
 * A mark that replaces its like changes no tally, so nobody sees the two of them at the same time.
 */
static inline uint64_t
hf__latency_budget_replace(hf_latency_budget *b, hf_au16 *mark, uint16_t fresh)
{
    const uint64_t exceeds = (fresh & HF__MARK_EXCEEDS) != 0;
    uint64_t added = 0;
    uint16_t old = hf_load_relaxed(mark);
    do {
        if (exceeds && !added && !(old & HF__MARK_EXCEEDS)) {
            hf_fetch_add_seq_cst(&b->tally, 1);
            added = 1;
        }
        /* Release: who takes this mark out finds its cell counted. Acquire: and the reverse. */
    } while (!hf_cas_weak_acq_rel(mark, &old, fresh));
    if (old != 0)
        hf_count(&b->cell[(old & HF__MARK_CELL) - 1], UINT32_MAX);
    uint64_t more = exceeds - ((old & HF__MARK_EXCEEDS) != 0) - added;
    more += (fresh != 0 ? HF__TALLY_CALL : 0) - (old != 0 ? HF__TALLY_CALL : 0);
    if (more != 0)
        hf_fetch_add_seq_cst(&b->tally, more);
    return more | added;
}

/*
 * A call has taken so long; less than 0 counts as 0. True: the budget turned, and whoever listens is to be
 * told.
 */
static inline bool
hf_latency_budget_record(hf_latency_budget *b, int64_t ns)
{
    const uint64_t value = ns > 0 ? (uint64_t)ns : 0;
    const unsigned cell = hf__histogram_cell(value < HF__VALUE_MAX ? value : HF__VALUE_MAX);
    const bool exceeds = ns > b->target_ns;
    const uint16_t fresh = (uint16_t)((cell + 1) | (exceeds ? HF__MARK_EXCEEDS : 0));
    hf_au16 *mark = &b->marks[hf__latency_budget_place(b)];
    hf_count(&b->recorded, 1);
    if (exceeds)
        hf_count(&b->exceeded, 1);
    if (hf_load_relaxed(mark) == fresh)
        return false; /* it replaces its like */
    hf_count(&b->cell[cell], 1);
    return hf__latency_budget_replace(b, mark, fresh) != 0 && hf__latency_budget_turn(b);
}

/*
 * Empty it; it is then not exhausted. A record made meanwhile may survive or not. True: it turned.
 */
static inline bool
hf_latency_budget_clear(hf_latency_budget *b)
{
    for (uint32_t i = 0; i < b->size; i++)
        hf__latency_budget_replace(b, &b->marks[i], 0);
    uint64_t turns = hf_load_seq_cst(&b->turns);
    while (turns & 1) {
        if (hf_cas_weak_seq_cst(&b->turns, &turns, turns + 1)) {
            hf__latency_budget_turn(b);
            return true;
        }
    }
    return hf__latency_budget_turn(b);
}

/*
 * In a forked child: counts start at zero and the ring is empty. What was exhausted stays so until calls of
 * the child say otherwise.
 */
static inline void
hf_latency_budget_forget(hf_latency_budget *b)
{
    hf_count_forget(&b->recorded);
    hf_count_forget(&b->exceeded);
    hf_count_forget(&b->exhausted);
    if (hf_load_relaxed(&b->tally) == 0)
        return;
    hf_store_relaxed(&b->tally, 0);
    hf_store_relaxed(&b->next, 0);
    for (unsigned i = 0; i <= HF_HISTOGRAM_CELLS; i++)
        hf_store_relaxed(&b->cell[i], 0);
    for (uint32_t i = 0; i < b->size; i++)
        hf_store_relaxed(&b->marks[i], (uint16_t)0);
}

/* ---- what it shows ---- */

static inline uint64_t
hf_latency_budget_tally(const hf_latency_budget *b)
{
    return hf_load_relaxed(&b->tally);
}

/* The calls that the counts of cells show at the moment. */
static inline uint64_t
hf__latency_budget_shown(const hf_latency_budget *b)
{
    uint64_t calls = 0;
    for (unsigned i = 0; i < HF_HISTOGRAM_CELLS; i++)
        calls += hf_load_relaxed(&b->cell[i]);
    return calls;
}

/*
 * The cells that percentiles are in, given in ascending order; returns of how many calls. Without calls no cell
 * is given. A walk under which calls are recorded may end before the last of them, which is then in the cell
 * that the walk ended in.
 */
static inline uint64_t
hf_latency_budget_cells(const hf_latency_budget *b, const uint32_t percentiles[], size_t n,
                        uint16_t cells[])
{
    const uint64_t calls = hf__latency_budget_shown(b);
    uint64_t seen = 0;
    size_t found = 0;
    uint16_t last = 0;
    if (calls == 0)
        return 0;
    for (unsigned i = 0; i < HF_HISTOGRAM_CELLS && found < n; i++) {
        const uint64_t here = hf_load_relaxed(&b->cell[i]);
        seen += here;
        if (here != 0)
            last = (uint16_t)i;
        while (found < n && seen >= hf__percentile_rank(calls, percentiles[found]))
            cells[found++] = last;
    }
    while (found < n)
        cells[found++] = last;
    return calls;
}

/* A duration in a cell: the middle one. */
static inline int64_t
hf_histogram_middle(unsigned cell)
{
    return (int64_t)((hf__histogram_least(cell) + hf__histogram_least(cell + 1) - 1) / 2);
}

enum { HF_LATENCY_BUDGET_ASKED = 8 }; /* percentiles in one question, at most */

/*
 * Percentiles of the durations in the ring, asked in ascending order, in ns; -1 of none. They are on the side of
 * the target where the exact count of calls above the target has them.
 */
static inline void
hf_latency_budget_percentiles(const hf_latency_budget *b, const uint32_t percentiles[], size_t n,
                              int64_t ns[])
{
    uint16_t cells[HF_LATENCY_BUDGET_ASKED];
    const uint64_t tally = hf_load_relaxed(&b->tally), calls = HF_TALLY_CALLS(tally);
    const bool none = hf_latency_budget_cells(b, percentiles, n, cells) == 0 || calls == 0;
    for (size_t i = 0; i < n; i++) {
        if (none) {
            ns[i] = -1;
            continue;
        }
        const uint64_t upto = calls - HF_TALLY_EXCEEDING(tally);
        const int64_t middle = hf_histogram_middle(cells[i]);
        const bool exceeds = hf__percentile_rank(calls, percentiles[i]) > upto;
        ns[i] = exceeds == (middle > b->target_ns) ? middle : b->target_ns + exceeds;
    }
}

#endif /* HF_LATENCY_BUDGET_H */
