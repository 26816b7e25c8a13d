/*
 * Adaptive timeout: so many times the p-quantile of the latencies, approached step by step.
 *
 *   desired = multiplier * quantile, within min and max
 *   timeout = timeout + (desired - timeout) / 2      where that is more: up quickly
 *             timeout - (timeout - desired) / 10     where it is less: down slowly
 *
 * from the tenth sample on, at each sample. A call that timed out is a sample of at least the timeout
 * it ran into: left out, as where this rule comes from, the samples are only ever those of calls that
 * were fast enough, and a timeout which is too short stays so for ever. With a multiplier above 1 the
 * desired timeout is then above the one in force as soon as one call in 1 / (1 - p) times out.
 *
 * Not here: what is timed, and who is interrupted.
 */
#ifndef HF_ADAPTIVE_TIMEOUT_H
#define HF_ADAPTIVE_TIMEOUT_H

#include "hf_quantile.h"

typedef struct hf_adaptive_timeout {
    hf_ai64
        timeout_ns; /* read from min to max: a record that overlaps a resize may leave it outside */
    hf_quantile quantile;
    hf_ai64 average_ns; /* exponentially weighted; negative before the first sample */
    hf_au64 samples;
    hf_ai64 min_ns, max_ns;
    double multiplier; /* set by init, read-only afterwards */
} hf_adaptive_timeout;

enum {
    HF_ADAPTIVE_TIMEOUT_SAMPLES = 10, /* fewer prove nothing */
    HF__AVERAGE_OVER = 16,            /* samples that an average is mostly made of */
    HF__TIMEOUT_UP = 2,
    HF__TIMEOUT_DOWN = 10,
};

static inline int64_t
hf__timeout_held(const hf_adaptive_timeout *t, int64_t ns)
{
    int64_t min = hf_load_relaxed(&t->min_ns), max = hf_load_relaxed(&t->max_ns);
    return ns < min ? min : ns > max ? max : ns;
}

/* 1 <= min_ns <= initial_ns <= max_ns <= 100 years; multiplier at least 1; p as of a quantile. */
static inline void
hf_adaptive_timeout_init(hf_adaptive_timeout *t, int64_t initial_ns, int64_t min_ns, int64_t max_ns,
                         double multiplier, double p)
{
    hf_store_relaxed(&t->min_ns, min_ns);
    hf_store_relaxed(&t->max_ns, max_ns);
    t->multiplier = multiplier;
    hf_quantile_init(&t->quantile, p);
    hf_store_relaxed(&t->average_ns, -1);
    hf_store_relaxed(&t->samples, 0);
    hf_store_release(&t->timeout_ns, initial_ns);
}

/* The timeout in force. */
static inline int64_t
hf_adaptive_timeout_get_ns(const hf_adaptive_timeout *t)
{
    return hf__timeout_held(t, hf_load_relaxed(&t->timeout_ns));
}

/* Put another in force, within min and max; what the samples say moves it from there. */
static inline void
hf_adaptive_timeout_set_ns(hf_adaptive_timeout *t, int64_t ns)
{
    hf_store_relaxed(&t->timeout_ns, hf__timeout_held(t, ns));
}

/*
 * The same with other limits, in the order of init. Who reads meanwhile gets a timeout within the old
 * limits, within the new ones, or one of them.
 */
static inline void
hf_adaptive_timeout_resize(hf_adaptive_timeout *t, int64_t ns, int64_t min_ns, int64_t max_ns)
{
    hf_store_relaxed(&t->min_ns, min_ns);
    hf_store_relaxed(&t->max_ns, max_ns);
    hf_adaptive_timeout_set_ns(t, ns);
}

static inline int64_t
hf__timeout_desired(const hf_adaptive_timeout *t)
{
    double ns = (double)hf_quantile_get_ns(&t->quantile) * t->multiplier;
    int64_t max = hf_load_relaxed(&t->max_ns);
    return ns < (double)max ? hf__timeout_held(t, (int64_t)ns) : max;
}

static inline void
hf__timeout_average(hf_adaptive_timeout *t, int64_t sample_ns)
{
    int64_t was = hf_load_relaxed(&t->average_ns), next;
    do {
        next = was < 0 ? sample_ns : was + (sample_ns - was) / HF__AVERAGE_OVER;
    } while (!hf_cas_weak_relaxed(&t->average_ns, &was, next));
}

/*
 * A call took so long, or was given up after so long (`timed_out`), and the timeout follows.
 * Each sample moves it by one step, from wherever it is.
 */
static inline void
hf_adaptive_timeout_record(hf_adaptive_timeout *t, int64_t latency_ns, bool timed_out)
{
    int64_t timeout = hf_load_relaxed(&t->timeout_ns), next;
    if (timed_out && latency_ns < timeout)
        latency_ns = timeout;
    latency_ns = latency_ns < 1                    ? 1
                 : latency_ns > HF_QUANTILE_NS_MAX ? HF_QUANTILE_NS_MAX
                                                   : latency_ns;
    hf_quantile_record(&t->quantile, latency_ns);
    hf__timeout_average(t, latency_ns);
    hf_count(&t->samples, 1);
    if (hf_quantile_samples(&t->quantile) < HF_ADAPTIVE_TIMEOUT_SAMPLES)
        return;
    int64_t desired = hf__timeout_desired(t);
    do {
        next = desired > timeout ? timeout + (desired - timeout) / HF__TIMEOUT_UP
                                 : timeout - (timeout - desired) / HF__TIMEOUT_DOWN;
    } while (!hf_cas_weak_relaxed(&t->timeout_ns, &timeout, next));
}

/* Exponentially weighted average of the latencies; negative before the first. */
static inline int64_t
hf_adaptive_timeout_average_ns(const hf_adaptive_timeout *t)
{
    return hf_load_relaxed(&t->average_ns);
}

#endif /* HF_ADAPTIVE_TIMEOUT_H */
