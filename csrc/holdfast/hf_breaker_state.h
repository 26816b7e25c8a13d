/*
 * What a breaker consists of: its configuration, its words, and how its memory is laid out.
 * Probe slots are in hf_breaker_lease.h, moves between states in hf_breaker_move.h, what an end
 * of a call proves in hf_breaker_verdict.h; users include hf_breaker.h, which admits and settles.
 */
#ifndef HF_BREAKER_STATE_H
#define HF_BREAKER_STATE_H

#include <stddef.h>

#include "hf_atomic.h"
#include "hf_clock.h"
#include "hf_compiler.h"
#include "hf_count_window.h"
#include "hf_random.h"
#include "hf_stripe.h"
#include "hf_time_window.h"

enum hf_state {
    HF_CLOSED = 0,
    HF_HALF_OPEN = 1,
    HF_OPEN = 2,
    HF_FORCED_OPEN = 3,  /* refuses everything; no timer ends it */
    HF_DISABLED = 4,     /* admits everything and counts nothing */
    HF_METRICS_ONLY = 5, /* admits and counts; never changes by itself */
    HF_STATES = 6
};

enum { HF_WINDOW_NONE = 0, HF_WINDOW_COUNT = 1, HF_WINDOW_TIME = 2 };

/* The caller validates; ranges stand beside the fields. */
typedef struct hf_breaker_config {
    uint32_t failure_threshold; /* failures in a row that open; 0: no such rule; < 2^20 */
    uint32_t success_threshold; /* successes in HALF_OPEN that close; 1 … 2^20 - 1 */
    uint32_t half_open_max;     /* probes in flight at once; at least 1 */
    uint32_t min_calls;         /* calls a window must hold before a rate says anything */
    uint32_t failure_rate_ppb;  /* share of failures that opens, in 10^-9; 0: no such rule */
    uint32_t slow_rate_ppb;     /* share of slow calls that opens; 0: no such rule */
    int64_t slow_ns;            /* a call this long is slow; 0: none is */
    int64_t reset_ns;           /* open time of the first opening */
    int64_t reset_max_ns;       /* open time is never longer, jitter included; 0: no bound */
    int64_t probe_ns;           /* deadline of a probe's slot; < 0: none */
    int64_t failure_reset_ns;   /* a failure this long after the last one starts at 1; 0: never */
    double reset_factor;        /* growth of the open time with each reopening; >= 1 */
    double reset_jitter;        /* adds 0 … this share of the open time; >= 0 */
    uint32_t window_kind;       /* HF_WINDOW_… */
    uint32_t window_n;          /* calls of a count window, slices of a time window */
    int64_t slice_ns;           /* of a time window; at least 1 */
} hf_breaker_config;

/*
 * The one word that decides. Every move to a state begins a generation, so whoever was admitted
 * before it is known by the number it carries.
 *
 *  63                        29 28               9 8         3 2     0
 *  +---------------------------+------------------+-----------+-------+
 *  |            gen            |      count       |  reopens  | state |
 *  +---------------------------+------------------+-----------+-------+
 *
 *  count    CLOSED, METRICS_ONLY: failures in a row    HALF_OPEN: successes
 *  reopens  times HALF_OPEN fell back to OPEN since CLOSED; 0 in every other state
 *
 * A closed breaker without failures is gen << 29: the fast path compares with that.
 */
#define HF_BREAKER_STATE(w) ((unsigned)((w) & 7))
#define HF_BREAKER_REOPENS(w) ((unsigned)((w) >> 3) & 63)
#define HF_BREAKER_COUNT(w) ((uint32_t)((w) >> 9) & 0xFFFFF)
#define HF_BREAKER_GEN(w) ((w) >> 29)
#define HF_BREAKER_WORD(gen, count, reopens, state)                                                \
    ((uint64_t)(gen) << 29 | (uint64_t)(count) << 9 | (uint64_t)(reopens) << 3 | (uint64_t)(state))

enum { HF_BREAKER_COUNT_MOST = 0xFFFFF, HF_BREAKER_REOPENS_MOST = 63 };

/*
 * The words that decide come first and change seldom; counters, written by every call, are a cache
 * line away from them. The lease words are followed by the window.
 */
/* What every healthy call counts, for builds in which threads call at the same time. */
typedef struct hf_breaker_stripe {
    hf_au64 own_admitted, own_succeeded, own_rejected; /* the owner's */
    hf_au64 admitted, succeeded;                       /* the guests' */
    uint64_t pad[HF_STRIPE_BYTES / sizeof(uint64_t) - 5];
} hf_breaker_stripe;

#define HF__STRIPE_COUNTS(s)                                                                       \
    {&(s)->own_admitted, &(s)->own_succeeded, &(s)->own_rejected, &(s)->admitted, &(s)->succeeded}

#ifdef HF_STRIPED
#define hf__breaker_count_in(b, field, guest)                                                      \
    do {                                                                                           \
        const unsigned hf__own = HF_OWN_STRIPE;                                                    \
        if (hf__own - 1 < HF_STRIPES)                                                              \
            hf_count_alone(&(b)->stripe[hf__own - 1].own_##field, 1);                              \
        else                                                                                       \
            hf_count_release(guest, 1);                                                            \
    } while (0)
#define hf__breaker_count(b, field) hf__breaker_count_in(b, field, &(b)->stripe[hf_stripe()].field)
#define hf__breaker_count_rejected(b) hf__breaker_count_in(b, rejected, &(b)->rejected)
#define HF_BREAKER_STRIPES_BYTES (HF_STRIPES * sizeof(hf_breaker_stripe))
#else
#define HF_BREAKER_STRIPES_BYTES ((size_t)0)
#define hf__breaker_count(b, field) hf_count_release(&(b)->field, 1)
#define hf__breaker_count_rejected(b) hf_count(&(b)->rejected, 1)
#endif

typedef struct hf_breaker {
    hf_au64 word;
    hf_ai64 until_ns;        /* OPEN: when it may half-open; see hf_breaker_move.h */
    hf_au64 oldest_gen;      /* permits of earlier generations are another process's */
    hf_ai64 last_failure_ns; /* INT64_MIN: never. Of calls whose generation was the present one */
    hf_ai64 last_success_ns; /* likewise; hf_breaker_settle_fast() knows no time and leaves it */
    hf_random rng;
    /* What hf_breaker_tune() may change; `config` has what they were at first. */
    hf_au32 failure_threshold, success_threshold;
    hf_ai64 reset_ns, longest_open_ns;
    uint32_t window_at; /* bytes from the start; this and all below to the counters: set by init */
    bool plain;         /* neither a window nor slow calls: settle_fast may do */
    uint8_t began;      /* the state that `changes` lead on from; of a fork, if one was */
    hf_breaker_config config;
    hf_au64 admitted, succeeded, failed, ignored, abandoned;
    hf_au64 rejected; /* with the observed ones */
    /* Rejected, ran all the same, so part of admitted too; and of these those undone. */
    hf_au64 observed, unobserved;
    hf_au64 late; /* settled when their generation was over; part of succeeded, failed … */
    hf_au64 slow;
    hf_au64
        timed; /* 1: durations are recorded. Added up as a count is, and stays in a forked child */
    hf_au32 changes[HF_STATES][HF_STATES];
#ifdef HF_STRIPED
    hf_breaker_stripe stripe[HF_STRIPES];
#endif
    hf_au64 leases[];
} hf_breaker;

enum {
    HF_PERMIT_PROBE = 1,    /* holds a lease */
    HF_PERMIT_OBSERVED = 2, /* admitted although rejected; never decides */
    HF_PERMIT_SILENT = 4,   /* of a DISABLED breaker; counts nothing */
    HF_PERMIT_INSIDE = 8,   /* of a call made inside of a probe, which is judged once */
    HF_PERMIT_FAILED =
        16 /* its result was judged a failure; for who counts the call, not the breaker */
};

/* Proof of admission. Its holder ends it once: settle, abandon or undo. */
typedef struct hf_breaker_permit {
    uint64_t gen;
    uint64_t lease; /* with PROBE: the value of the lease word that is ours */
    int32_t slot;   /* with PROBE: which; else -1 */
    uint32_t flags;
} hf_breaker_permit;

/* Why a breaker moved. */
enum hf_rule {
    HF_RULE_NONE = 0,     /* its open time was over, or enough probes succeeded */
    HF_RULE_FAILURES = 1, /* in a row: failure_threshold */
    HF_RULE_FAILURE_RATE = 2,
    HF_RULE_SLOW_RATE = 3,
    HF_RULE_PROBE_FAILED = 4,
    HF_RULE_PROBE_SLOW = 5,
    HF_RULE_BY_HAND = 6,
    HF_RULE_HEALTH = 7 /* a health check proved it */
};

typedef struct hf_change {
    uint8_t from, to;
    bool happened;      /* the state is another one; else the rest means nothing, except by hand */
    uint8_t refused_by; /* the state that refused, when hf_breaker_admit_slow() says false */
    uint8_t rule;       /* hf_rule */
    uint64_t gen;       /* the generation that was begun: by hand always one */
    uint32_t count;     /* failures in a row; failed or slow calls of the window; 1: a probe */
    uint32_t calls;     /* of the window; 0: not by a rate */
} hf_change;

static inline hf_count_window *
hf__breaker_count_window(const hf_breaker *b)
{
    return (hf_count_window *)((uintptr_t)b + b->window_at);
}

static inline hf_time_window *
hf__breaker_time_window(const hf_breaker *b)
{
    return (hf_time_window *)((uintptr_t)b + b->window_at);
}

static inline size_t
hf_breaker_size(const hf_breaker_config *config)
{
    size_t size = sizeof(hf_breaker) + config->half_open_max * sizeof(hf_au64);
    if (config->window_kind == HF_WINDOW_COUNT)
        size += hf_count_window_size(config->window_n);
    else if (config->window_kind == HF_WINDOW_TIME)
        size += hf_time_window_size(config->window_n);
    return size;
}

/* Calls that passed, and those that succeeded; part of both is in the stripes, where there are any. */
static inline uint64_t
hf_breaker_admitted(const hf_breaker *b)
{
    uint64_t sum = hf_load_acquire(&b->admitted);
#ifdef HF_STRIPED
    for (int i = 0; i < HF_STRIPES; i++)
        sum +=
            hf_load_acquire(&b->stripe[i].admitted) + hf_load_acquire(&b->stripe[i].own_admitted);
#endif
    return sum;
}

static inline uint64_t
hf_breaker_succeeded(const hf_breaker *b)
{
    uint64_t sum = hf_load_acquire(&b->succeeded);
#ifdef HF_STRIPED
    for (int i = 0; i < HF_STRIPES; i++)
        sum +=
            hf_load_acquire(&b->stripe[i].succeeded) + hf_load_acquire(&b->stripe[i].own_succeeded);
#endif
    return sum;
}

/* With the observed ones. */
static inline uint64_t
hf_breaker_rejected(const hf_breaker *b)
{
    uint64_t sum = hf_load_relaxed(&b->rejected);
#ifdef HF_STRIPED
    for (int i = 0; i < HF_STRIPES; i++)
        sum += hf_load_relaxed(&b->stripe[i].own_rejected);
#endif
    return sum;
}

/*
 * How long an opening lasts that follows `reopens` failed recoveries, with u in [0, 1) for the
 * jitter. Exact in ns without growth and jitter; computed in double and held at the bound with it.
 */
static inline int64_t
hf__breaker_open_ns(const hf_breaker_config *config, int64_t reset_ns, unsigned reopens, double u)
{
    const int64_t most = config->reset_max_ns > 0 ? config->reset_max_ns : INT64_MAX;
    int64_t ns = reset_ns;
    if (config->reset_jitter > 0 || (reopens > 0 && config->reset_factor > 1)) {
        double grown = (double)ns;
        while (reopens-- > 0 && grown < (double)most)
            grown *= config->reset_factor;
        grown *= 1 + config->reset_jitter * u;
        ns = grown < (double)most ? (int64_t)grown : most;
    }
    return ns < most ? ns : most;
}

/* Each word by itself: who reads two of them amid a change may have one of before. */
static inline void
hf__breaker_set_rules(hf_breaker *b, uint32_t failure_threshold, uint32_t success_threshold,
                      int64_t reset_ns)
{
    hf_store_relaxed(&b->failure_threshold, failure_threshold);
    hf_store_relaxed(&b->success_threshold, success_threshold);
    hf_store_relaxed(&b->reset_ns, reset_ns);
    hf_store_relaxed(&b->longest_open_ns,
                     hf__breaker_open_ns(&b->config, reset_ns, HF_BREAKER_REOPENS_MOST, 1));
}

/*
 * A CLOSED breaker in zeroed or dirty memory of hf_breaker_size(config) bytes, aligned for a word.
 * The seed is for the jitter. Before any other thread knows of it.
 */
static inline void
hf_breaker_init(hf_breaker *b, const hf_breaker_config *config, uint64_t seed)
{
    hf_au64 *zero[] = {&b->word,    &b->oldest_gen, &b->admitted, &b->succeeded, &b->failed,
                       &b->ignored, &b->abandoned,  &b->rejected, &b->observed,  &b->unobserved,
                       &b->late,    &b->slow,       &b->timed};
    for (size_t i = 0; i < sizeof zero / sizeof *zero; i++)
        hf_store_relaxed(zero[i], 0);
#ifdef HF_STRIPED
    for (int i = 0; i < HF_STRIPES; i++) {
        hf_au64 *counts[] = HF__STRIPE_COUNTS(&b->stripe[i]);
        for (size_t k = 0; k < sizeof counts / sizeof *counts; k++)
            hf_store_relaxed(counts[k], 0);
    }
#endif
    for (int from = 0; from < HF_STATES; from++)
        for (int to = 0; to < HF_STATES; to++)
            hf_store_relaxed(&b->changes[from][to], 0);
    for (uint32_t i = 0; i < config->half_open_max; i++)
        hf_store_relaxed(&b->leases[i], 0);
    hf_store_relaxed(&b->until_ns, 0);
    hf_store_relaxed(&b->last_failure_ns, INT64_MIN);
    hf_store_relaxed(&b->last_success_ns, INT64_MIN);
    hf_random_init(&b->rng, seed);
    b->config = *config;
    hf__breaker_set_rules(b, config->failure_threshold, config->success_threshold,
                          config->reset_ns);
    b->began = HF_CLOSED;
    b->plain = config->window_kind == HF_WINDOW_NONE && config->slow_ns == 0;
    b->window_at = (uint32_t)(sizeof *b + config->half_open_max * sizeof *b->leases);
    if (config->window_kind == HF_WINDOW_COUNT)
        hf_count_window_init(hf__breaker_count_window(b), config->window_n);
    else if (config->window_kind == HF_WINDOW_TIME)
        hf_time_window_init(hf__breaker_time_window(b), config->window_n, config->slice_ns);
}

#endif /* HF_BREAKER_STATE_H */
