/*
 * Hedge: after how long a further attempt begins beside one that has not answered, and what is counted.
 *
 * The delay is fixed, or it is a quantile of the durations of first attempts. Until enough of those are
 * known, it is the delay given for the beginning; without one, nothing begins because of time.
 *
 * A first attempt that lost is a sample as well: it took at least as long as it was let run. Without such
 * samples the quantile would only ever hear of attempts that were fast enough, and sink.
 *
 * Not here: which attempt answers first, and how the others are ended.
 */
#ifndef HF_HEDGE_H
#define HF_HEDGE_H

#include "hf_clock.h"
#include "hf_quantile.h"

#define HF_HEDGE_NEVER INT64_MAX

typedef struct hf_hedge {
    int64_t delay_ns; /* fixed, or until the quantile counts; HF_HEDGE_NEVER: none */
    int64_t floor_ns; /* the delay by a quantile is at least this */
    uint32_t warmup;  /* samples before the quantile counts; 0: the delay is fixed */
    hf_quantile quantile;
    /* Calls that ran and have ended; of those failed: every attempt failed. hedged: calls with further
       attempts; attempts: those; won: calls that one of those answered; cancelled: attempts that lost;
       refused: attempts that the budget has not granted; observed: calls that would have been hedged. */
    hf_au64 calls, failed, hedged, attempts, won, cancelled, refused, observed;
    /* Attempts left behind in a thread, and those of them that have stopped. */
    hf_au64 abandoned, stopped;
} hf_hedge;

/* A fixed delay, from 0 on. */
static inline void
hf_hedge_init(hf_hedge *h, int64_t delay_ns)
{
    hf_au64 *counters[] = {&h->calls,     &h->failed,  &h->hedged,   &h->attempts,  &h->won,
                           &h->cancelled, &h->refused, &h->observed, &h->abandoned, &h->stopped};
    for (unsigned i = 0; i < sizeof counters / sizeof *counters; i++)
        hf_store_relaxed(counters[i], 0);
    h->delay_ns = delay_ns;
    h->floor_ns = 0;
    h->warmup = 0;
    hf_quantile_init(&h->quantile, 0.5);
}

/*
 * The p-quantile of the samples, at least floor_ns, once there are `warmup` of them: from 1 to
 * HF_QUANTILE_SAMPLES_MAX. initial_ns until then, or HF_HEDGE_NEVER. p as of a quantile.
 */
static inline void
hf_hedge_init_quantile(hf_hedge *h, double p, uint32_t warmup, int64_t initial_ns, int64_t floor_ns)
{
    hf_hedge_init(h, initial_ns);
    h->floor_ns = floor_ns;
    h->warmup = warmup;
    hf_quantile_init_fine(&h->quantile, p);
}

/* In a forked child: counts start at zero, and what runs in a thread is the parent's. */
static inline void
hf_hedge_forget(hf_hedge *h)
{
    hf_au64 *counters[] = {&h->calls,     &h->failed,  &h->hedged,   &h->attempts,  &h->won,
                           &h->cancelled, &h->refused, &h->observed, &h->abandoned, &h->stopped};
    for (unsigned i = 0; i < sizeof counters / sizeof *counters; i++)
        hf_count_forget(counters[i]);
}

/* After how long a further attempt begins; HF_HEDGE_NEVER: time begins none. */
static inline int64_t
hf_hedge_delay_ns(const hf_hedge *h)
{
    if (h->warmup == 0 || hf_quantile_samples(&h->quantile) < h->warmup)
        return h->delay_ns;
    int64_t ns = hf_quantile_get_ns(&h->quantile);
    return ns < h->floor_ns ? h->floor_ns : ns;
}

/* When a further attempt begins if the last one began now; HF_HEDGE_NEVER: time begins none. */
static inline int64_t
hf_hedge_due_ns(const hf_hedge *h, int64_t now_ns)
{
    int64_t delay = hf_hedge_delay_ns(h);
    return delay == HF_HEDGE_NEVER ? HF_HEDGE_NEVER : hf_ns_add(now_ns, delay);
}

/* Whether durations matter: else no clock need be read for them. */
static inline bool
hf_hedge_samples(const hf_hedge *h)
{
    return h->warmup != 0;
}

/* A first attempt took so long, or was ended after so long. */
static inline void
hf_hedge_record(hf_hedge *h, int64_t duration_ns)
{
    if (hf_hedge_samples(h))
        hf_quantile_record(&h->quantile, duration_ns);
}

#endif /* HF_HEDGE_H */
