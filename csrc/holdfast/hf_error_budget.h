/*
 * Error budget: how many of the requests of a window failed, and how many may.
 *
 * Two counts grow for ever: of the requests that succeeded, and of those that failed. At the beginning of
 * each slice of time both are written down as a mark. What happened in a window is the counts less the mark
 * of its first slice: two subtractions, whatever the window's length. Nothing is summed up, so nothing
 * drifts, and a window expires when it is read, without traffic.
 *
 *   counts   good, bad                                       a record adds to one of them
 *   rings    marks of the last slices                        the budget's window in 10 slices,
 *                                                            1 h in slices of 30 s, 6 h in slices of 3 min
 *   due      when the first slice of all rings ends          a record before it touches no ring
 *
 * The thread that comes first after that writes the marks of all rings (turn); others go on meanwhile, and
 * what they count belongs to the one slice or the other. A turn that is not over is told by an odd number in
 * `turns`; a reader that meets one looks again. Times of several threads need not agree: a time behind the
 * last slice is in it.
 *
 * A count may be read before another thread's is seen; exact is what the threads that ask have counted.
 */
#ifndef HF_ERROR_BUDGET_H
#define HF_ERROR_BUDGET_H

#include <string.h>

#include "hf_atomic.h"
#include "hf_burn.h"
#include "hf_clock.h"
#include "hf_compiler.h"
#include "hf_divide.h"

#define HF_BUDGET_WHOLE UINT64_C(1000000000) /* shares are in billionths */
#define HF_BUDGET_PRIORITIES 4               /* 0 is never shed */
#define HF_BUDGET_PRIORITY 2                 /* of a call that has none */
#define HF_BUDGET_SHED_MOST 0.9 /* of the calls of one priority: the others show a recovery */
#define HF_BUDGET_NEVER INT64_MIN

enum {
    HF_BUDGET_SLICES = 10,
    HF_BURN_SLICES = 120,
    HF_BUDGET_MARKS = HF_BUDGET_SLICES + 1 + 2 * (HF_BURN_SLICES + 1),
    HF__BUDGET_LOOKS = 20 /* at rings that turn; a turn takes far less than as many looks */
};

#define HF__BURN_SECOND INT64_C(1000000000)

/* The rings, and the windows that metrics and pages know: the budget's own, and two pairs. */
enum { HF_RING_BUDGET, HF_RING_HOUR, HF_RING_DAY_QUARTER, HF_RINGS };
enum { HF_BURN_WINDOW, HF_BURN_5M, HF_BURN_1H, HF_BURN_30M, HF_BURN_6H, HF_BURN_WINDOWS };

/* What may be true of a budget, as bits of its state. */
enum { HF_BUDGET_EXHAUSTED = 1, HF_BUDGET_PAGE_FAST = 2, HF_BUDGET_PAGE_SLOW = 4 };
#define HF_BURN_FAST 14.4
#define HF_BURN_SLOW 6.0

typedef struct hf_budget_mark {
    hf_au64 good, bad;
} hf_budget_mark;

typedef struct hf_error_budget_rule {
    int64_t window_ns;      /* at least 10 */
    uint64_t allowed;       /* the share of requests that may fail, in billionths */
    uint64_t min_requests;  /* fewer prove nothing, */
    uint64_t min_failures;  /* unless so many of them failed */
    bool own_clock;         /* its time is not the machine's */
    bool counts_rejections; /* a request that an inner policy refused has failed */
    bool sheds;             /* refuses calls while it is exhausted */
} hf_error_budget_rule;

typedef struct hf_error_budget {
    hf_au64 good, bad;
    hf_ai64 due_ns;          /* the end of the slice that ends first */
    hf_ai64 last_success_ns; /* HF_BUDGET_NEVER: none so far; so is the next */
    hf_ai64 last_failure_ns;
    hf_ai64
        down_since_ns; /* the first failure after the last success; HF_BUDGET_NEVER: it was none */
    hf_au32 eager;     /* a success may change the state as well */
    hf_au32 watched;   /* somebody looks at it from time to time */
    hf_au64 state;     /* what was found true the last time, as bits */
    hf_au64 turns;     /* odd: the rings turn */
    hf_au64 down_ns; /* from the first to the last of failures in a row: no request, no evidence */
    hf_au64 exhausted; /* how often; so are the next two */
    hf_au64 paged_fast, paged_slow;
    hf_au64 shed;     /* calls; so is the next one */
    hf_au64 observed; /* not shed only because it observes */
    hf_au64
        carried[HF_BUDGET_PRIORITIES]; /* the share of a call that is still to be shed, in 2^-32 */
    hf_error_budget_rule rule;
    int64_t made_ns;
    hf_divisor slice_ns[HF_RINGS];
    hf_ai64 head[HF_RINGS]; /* the latest slice of each ring */
    hf_budget_mark marks[HF_BUDGET_MARKS];
} hf_error_budget;

/* ---- rings ---- */

static inline uint32_t
hf__budget_slices(unsigned ring)
{
    return ring == HF_RING_BUDGET ? HF_BUDGET_SLICES : HF_BURN_SLICES;
}

/* The first place of a ring. */
static inline uint32_t
hf__budget_first(unsigned ring)
{
    return ring == HF_RING_BUDGET ? 0 : HF_BUDGET_SLICES + 1 + (ring - 1) * (HF_BURN_SLICES + 1);
}

/* The place of a slice; shifted to unsigned order, so that the ring has no seam at slice 0. */
static inline uint32_t
hf__budget_place(unsigned ring, int64_t slice)
{
    const uint64_t unsigned_slice = (uint64_t)slice + (UINT64_C(1) << 63);
    return hf__budget_first(ring) + (uint32_t)(unsigned_slice % (hf__budget_slices(ring) + 1));
}

static inline void
hf__budget_write_mark(hf_error_budget *b, uint32_t place, uint64_t good, uint64_t bad)
{
    /* Release pairs with the fence in hf__budget_since(): who reads it sees that the rings turn. */
    hf_store_release(&b->marks[place].good, good);
    hf_store_release(&b->marks[place].bad, bad);
}

/* The end of a slice, held at the largest time there is. */
static inline int64_t
hf__budget_end_ns(const hf_error_budget *b, unsigned ring, int64_t slice)
{
    const int64_t d = (int64_t)b->slice_ns[ring].d;
    return slice >= INT64_MAX / d - 1 ? INT64_MAX : (slice + 1) * d;
}

/* Write the marks of the slices that have begun. Only one thread at a time. */
static inline void
hf__budget_turn_ring(hf_error_budget *b, unsigned ring, int64_t now_ns)
{
    const int64_t head = hf_load_relaxed(&b->head[ring]);
    const int64_t slice = hf_floor_quotient(b->slice_ns[ring], now_ns);
    if (slice <= head)
        return;
    const int64_t places = hf__budget_slices(ring) + 1;
    const uint64_t good = hf_load_relaxed(&b->good), bad = hf_load_relaxed(&b->bad);
    const bool all = (uint64_t)slice - (uint64_t)head >= (uint64_t)places;
    for (int64_t at = all ? slice - places + 1 : head + 1; at <= slice; at++)
        hf__budget_write_mark(b, hf__budget_place(ring, at), good, bad);
    hf_store_release(&b->head[ring], slice); /* as the marks */
}

static inline int64_t
hf__budget_next_due(const hf_error_budget *b)
{
    int64_t due = INT64_MAX;
    for (unsigned ring = 0; ring < HF_RINGS; ring++) {
        const int64_t end = hf__budget_end_ns(b, ring, hf_load_relaxed(&b->head[ring]));
        due = end < due ? end : due;
    }
    return due;
}

/* A slice has ended. Where another thread turns the rings, that will do. */
HF_RARE void
hf_error_budget_turn(hf_error_budget *b, int64_t now_ns)
{
    uint64_t turns = hf_load_relaxed(&b->turns);
    do {
        if (turns & 1)
            return;
        /* Acquire pairs with the release below: the marks of the last turn are there. */
    } while (!hf_cas_weak_acq_rel(&b->turns, &turns, turns + 1));
    for (unsigned ring = 0; ring < HF_RINGS; ring++)
        hf__budget_turn_ring(b, ring, now_ns);
    hf_store_relaxed(&b->due_ns, hf__budget_next_due(b));
    /* Release pairs with the acquire in hf__budget_since(): the marks are whole. */
    hf_store_release(&b->turns, turns + 2);
}

/* ---- what happened in a window ---- */

/* One look: what was counted since the beginning of the last `slices`, if the ring keeps so many. */
static inline hf_outcomes
hf__budget_look(const hf_error_budget *b, unsigned ring, uint32_t slices, int64_t now_ns)
{
    const int64_t head = hf_load_relaxed(&b->head[ring]);
    const int64_t mine = hf_floor_quotient(b->slice_ns[ring], now_ns);
    const int64_t latest = mine > head ? mine : head;
    /* The window's first slice comes after the head: all that was counted has left it. */
    if ((uint64_t)latest - (uint64_t)head >= slices)
        return (hf_outcomes){0, 0};
    const int64_t first = (int64_t)((uint64_t)latest - slices + 1);
    const hf_budget_mark *mark = &b->marks[hf__budget_place(ring, first)];
    const uint64_t good_before = hf_load_relaxed(&mark->good);
    const uint64_t bad_before = hf_load_relaxed(&mark->bad);
    const uint64_t good = hf_load_relaxed(&b->good), bad = hf_load_relaxed(&b->bad);
    /* Of a damaged file, or a turn that never ended, anything: then nothing is known. */
    const uint64_t failed = bad >= bad_before ? bad - bad_before : 0;
    const uint64_t succeeded = good >= good_before ? good - good_before : 0;
    return (hf_outcomes){succeeded + failed, failed};
}

/* What was counted in the last `slices` of a ring, at now_ns. Reads only. */
static inline hf_outcomes
hf__budget_since(const hf_error_budget *b, unsigned ring, uint32_t slices, int64_t now_ns)
{
    hf_outcomes seen = {0, 0};
    for (int look = 0; look < HF__BUDGET_LOOKS; look++) {
        const uint64_t turns = hf_load_acquire(&b->turns);
        seen = hf__budget_look(b, ring, slices, now_ns);
        hf_fence_acquire();
        if (!(turns & 1) && hf_load_relaxed(&b->turns) == turns)
            break;
    }
    return seen;
}

/* What happened in one of the windows that pages and metrics know. */
static inline hf_outcomes
hf_error_budget_outcomes(const hf_error_budget *b, unsigned window, int64_t now_ns)
{
    switch (window) {
    case HF_BURN_5M:
        return hf__budget_since(b, HF_RING_HOUR, HF_BURN_SLICES / 12, now_ns);
    case HF_BURN_1H:
        return hf__budget_since(b, HF_RING_HOUR, HF_BURN_SLICES, now_ns);
    case HF_BURN_30M:
        return hf__budget_since(b, HF_RING_DAY_QUARTER, HF_BURN_SLICES / 12, now_ns);
    case HF_BURN_6H:
        return hf__budget_since(b, HF_RING_DAY_QUARTER, HF_BURN_SLICES, now_ns);
    default:
        return hf__budget_since(b, HF_RING_BUDGET, HF_BUDGET_SLICES, now_ns);
    }
}

/*
 * What happened in the last length_ns, by the finest ring that keeps them, and at least in the last two
 * slices: the newest may have begun just now. False: no ring keeps them, and *seen is what the longest keeps.
 */
static inline bool
hf_error_budget_in(const hf_error_budget *b, int64_t length_ns, int64_t now_ns, hf_outcomes *seen)
{
    unsigned best = HF_RINGS, longest = 0;
    for (unsigned ring = 0; ring < HF_RINGS; ring++) {
        const uint64_t keeps = b->slice_ns[ring].d * hf__budget_slices(ring);
        if (keeps > b->slice_ns[longest].d * hf__budget_slices(longest))
            longest = ring;
        if ((uint64_t)length_ns <= keeps &&
            (best == HF_RINGS || b->slice_ns[ring].d < b->slice_ns[best].d))
            best = ring;
    }
    const unsigned ring = best < HF_RINGS ? best : longest;
    const uint64_t d = b->slice_ns[ring].d, needed = ((uint64_t)length_ns + d - 1) / d;
    const uint64_t slices = needed < 2 ? 2 : needed;
    const uint32_t most = hf__budget_slices(ring);
    *seen = hf__budget_since(b, ring, slices < most ? (uint32_t)slices : most, now_ns);
    return best < HF_RINGS;
}

/* ---- life ---- */

static inline void
hf__budget_zero(hf_error_budget *b)
{
    hf_count_forget(&b->good);
    hf_count_forget(&b->bad);
    hf_count_forget(&b->down_ns);
    hf_count_forget(&b->exhausted);
    hf_count_forget(&b->paged_fast);
    hf_count_forget(&b->paged_slow);
    hf_count_forget(&b->shed);
    hf_count_forget(&b->observed);
    hf_store_relaxed(&b->last_success_ns, HF_BUDGET_NEVER);
    hf_store_relaxed(&b->last_failure_ns, HF_BUDGET_NEVER);
    hf_store_relaxed(&b->down_since_ns, HF_BUDGET_NEVER);
    hf_store_relaxed(&b->eager, 0);
    hf_store_relaxed(&b->watched, 0);
    hf_store_relaxed(&b->state, 0);
    hf_store_relaxed(&b->turns, 0);
    for (unsigned place = 0; place < HF_BUDGET_MARKS; place++) {
        hf_count_forget(&b->marks[place].good);
        hf_count_forget(&b->marks[place].bad);
    }
}

/* The memory is zeroed. */
static inline void
hf_error_budget_init(hf_error_budget *b, hf_error_budget_rule rule, int64_t now_ns)
{
    memset((void *)b, 0, sizeof *b);
    b->rule = rule;
    b->made_ns = now_ns;
    b->slice_ns[HF_RING_BUDGET] = hf_divisor_of((uint64_t)rule.window_ns / HF_BUDGET_SLICES);
    b->slice_ns[HF_RING_HOUR] = hf_divisor_of((uint64_t)(30 * HF__BURN_SECOND));
    b->slice_ns[HF_RING_DAY_QUARTER] = hf_divisor_of((uint64_t)(180 * HF__BURN_SECOND));
    for (unsigned ring = 0; ring < HF_RINGS; ring++)
        hf_store_relaxed(&b->head[ring], hf_floor_quotient(b->slice_ns[ring], now_ns));
    hf__budget_zero(b);
    hf_store_relaxed(&b->due_ns, hf__budget_next_due(b));
}

/* In a forked child: counts start at zero, and so do its windows. */
static inline void
hf_error_budget_forget(hf_error_budget *b)
{
    hf__budget_zero(b);
}

/* Empty all windows; the counts go on. Where another thread turns the rings, after it. */
static inline void
hf_error_budget_clear(hf_error_budget *b)
{
    uint64_t turns = hf_load_relaxed(&b->turns);
    do {
        turns &= ~UINT64_C(1);
    } while (!hf_cas_weak_acq_rel(&b->turns, &turns, turns + 1));
    const uint64_t good = hf_load_relaxed(&b->good), bad = hf_load_relaxed(&b->bad);
    for (uint32_t place = 0; place < HF_BUDGET_MARKS; place++)
        hf__budget_write_mark(b, place, good, bad);
    hf_store_relaxed(&b->down_since_ns, HF_BUDGET_NEVER);
    hf_store_release(&b->turns, turns + 2);
}

/* ---- recording ---- */

/*
 * Count n requests that ended at now_ns. True: what is true of the budget may have changed, and
 * hf_error_budget_judge() is to be asked.
 */
static inline bool
hf_error_budget_succeed(hf_error_budget *b, uint64_t n, int64_t now_ns)
{
    const bool turned = HF_UNLIKELY(now_ns >= hf_load_relaxed(&b->due_ns));
    if (turned)
        hf_error_budget_turn(b, now_ns);
    hf_count(&b->good, n);
    hf_store_relaxed(&b->last_success_ns, now_ns);
    int64_t since = hf_load_relaxed(&b->down_since_ns);
    while (HF_UNLIKELY(since != HF_BUDGET_NEVER)) {
        if (!hf_cas_weak_relaxed(&b->down_since_ns, &since, HF_BUDGET_NEVER))
            continue;
        const int64_t last_ns = hf_load_relaxed(&b->last_failure_ns);
        if (last_ns > since)
            hf_count(&b->down_ns, (uint64_t)last_ns - (uint64_t)since);
        break;
    }
    return turned || hf_load_relaxed(&b->eager);
}

/* The same of requests that failed: it is always to be asked. */
static inline void
hf_error_budget_fail(hf_error_budget *b, uint64_t n, int64_t now_ns)
{
    if (HF_UNLIKELY(now_ns >= hf_load_relaxed(&b->due_ns)))
        hf_error_budget_turn(b, now_ns);
    hf_count(&b->bad, n);
    hf_store_relaxed(&b->last_failure_ns, now_ns);
    int64_t never = HF_BUDGET_NEVER;
    while (never == HF_BUDGET_NEVER && !hf_cas_weak_relaxed(&b->down_since_ns, &never, now_ns))
        ;
}

/* ---- what is true ---- */

static inline double
hf_error_budget_allowed(const hf_error_budget *b)
{
    return (double)b->rule.allowed / (double)HF_BUDGET_WHOLE;
}

/* Whether more failed than may. Exact: an objective that is just met is met. */
static inline bool
hf__budget_is_over(const hf_error_budget *b, hf_outcomes seen)
{
    __extension__ typedef unsigned __int128 wide;
    return (wide)seen.failed * HF_BUDGET_WHOLE > (wide)seen.total * b->rule.allowed;
}

/* Whether this is enough to say anything. */
static inline bool
hf__budget_proves(const hf_error_budget *b, hf_outcomes seen)
{
    return seen.total >= b->rule.min_requests || seen.failed >= b->rule.min_failures;
}

static inline bool
hf__budget_pages(const hf_error_budget *b, unsigned shorter, unsigned longer, double rate,
                 int64_t now_ns)
{
    const hf_outcomes lasting = hf_error_budget_outcomes(b, longer, now_ns);
    return lasting.failed >= HF_BURN_FAILURES &&
           hf_burn_pages(hf_error_budget_outcomes(b, shorter, now_ns), lasting,
                         hf_error_budget_allowed(b), rate);
}

/* What is true at now_ns, as bits; and from then on a success is to ask as well, if that may change it. */
static inline uint64_t
hf_error_budget_judge(hf_error_budget *b, int64_t now_ns)
{
    const hf_outcomes seen = hf_error_budget_outcomes(b, HF_BURN_WINDOW, now_ns);
    const bool over = hf__budget_is_over(b, seen);
    uint64_t state = 0;
    if (over && hf__budget_proves(b, seen))
        state |= HF_BUDGET_EXHAUSTED;
    if (hf__budget_pages(b, HF_BURN_5M, HF_BURN_1H, HF_BURN_FAST, now_ns))
        state |= HF_BUDGET_PAGE_FAST;
    if (hf__budget_pages(b, HF_BURN_30M, HF_BURN_6H, HF_BURN_SLOW, now_ns))
        state |= HF_BUDGET_PAGE_SLOW;
    const uint32_t eager = over || state != 0;
    if (hf_load_relaxed(&b->eager) != eager)
        hf_store_relaxed(&b->eager, eager);
    return state;
}

/*
 * Find out what is true at now_ns and keep it, counting what has become true. Returns it; *before receives
 * what was. Who tells others of it calls this one after the other.
 */
static inline uint64_t
hf_error_budget_settle(hf_error_budget *b, int64_t now_ns, uint64_t *before)
{
    if (now_ns >= hf_load_relaxed(&b->due_ns))
        hf_error_budget_turn(b, now_ns);
    uint64_t was = hf_load_relaxed(&b->state), is;
    do {
        is = hf_error_budget_judge(b, now_ns);
    } while (!hf_cas_weak_relaxed(&b->state, &was, is));
    const uint64_t begun = is & ~was;
    if (begun & HF_BUDGET_EXHAUSTED)
        hf_count(&b->exhausted, 1);
    if (begun & HF_BUDGET_PAGE_FAST)
        hf_count(&b->paged_fast, 1);
    if (begun & HF_BUDGET_PAGE_SLOW)
        hf_count(&b->paged_slow, 1);
    *before = was;
    return is;
}

/* Whether a failure is in any window, so that something may change without traffic. */
static inline bool
hf_error_budget_may_change(const hf_error_budget *b, int64_t now_ns)
{
    return hf_load_relaxed(&b->state) != 0 ||
           hf_error_budget_outcomes(b, HF_BURN_6H, now_ns).failed != 0 ||
           hf_error_budget_outcomes(b, HF_BURN_WINDOW, now_ns).failed != 0;
}

/* ---- shedding ---- */

/*
 * The share of calls of a priority that is refused: of what would burn the budget at a rate above 1, 4, 16
 * times what it can bear, for priorities 3, 2, 1. So much is let in of each as burns it just at that rate.
 */
static inline double
hf_error_budget_shed_share(const hf_error_budget *b, unsigned priority, hf_outcomes seen)
{
    if (priority == 0 || seen.failed == 0)
        return 0.0;
    const double may_fail = (double)seen.total * hf_error_budget_allowed(b);
    const double bears = (double)(1u << (2 * (HF_BUDGET_PRIORITIES - 1 - priority)));
    const double share = 1.0 - bears * may_fail / (double)seen.failed;
    return share < 0.0 ? 0.0 : share > HF_BUDGET_SHED_MOST ? HF_BUDGET_SHED_MOST : share;
}

/*
 * Whether a call of this priority is to be refused. Exactly the share, and evenly: what is over of each call
 * is carried to the next one.
 */
static inline bool
hf_error_budget_sheds(hf_error_budget *b, unsigned priority, int64_t now_ns)
{
    const hf_outcomes seen = hf_error_budget_outcomes(b, HF_BURN_WINDOW, now_ns);
    const uint64_t share = (uint64_t)(hf_error_budget_shed_share(b, priority, seen) * 0x1p32);
    if (share == 0)
        return false;
    const uint64_t carried = hf_fetch_add_relaxed(&b->carried[priority], share);
    return (carried + share) >> 32 != carried >> 32;
}

#endif /* HF_ERROR_BUDGET_H */
