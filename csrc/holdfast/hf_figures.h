/*
 * Figures: what is exported of each kernel, as one row of numbers. First come the counts, which only
 * grow and may be added up; then what is true at the moment:
 *
 *   breaker     the state; when it may be tried again: an int64, the least where it is not open, the largest
 *               where no time ends it
 *   bulkhead    calls inside, calls waiting
 *   retry       attempts
 *   timeout     calls that were left behind in a thread and still run
 *   hedge       attempts that were left behind in a thread and still run
 *   latency     whether it is exhausted, how many calls it has, and the cells of their 1st to 100th percentile,
 *   budget      four to a number
 *   error budget  the share that may fail, in billionths; of each window the requests and those that failed
 *   check       the state
 *   adaptive_rate   the rate in force, in millionths of a token per second
 *   level       the level in force
 *   meter       its two numbers
 *   component   the state
 *   resource    how much is registered, and the limit to show; 0: none
 *   pipeline    whether it is of a critical operation
 *
 * Reads only, and only what has a fixed place in the kernel, so a kernel in another process's memory
 * can be read as well, whatever it holds. Nothing stops while it is read.
 *
 * The counts of a kernel are listed once, by name: ONE(name) or MANY(name, how many). The list makes
 * their places (HF_AT_BREAKER_failed), their number (HF_BREAKER_COUNTS) and the names that the
 * bindings, the layout's number and the metrics use.
 */
#ifndef HF_FIGURES_H
#define HF_FIGURES_H

#include "hf_adaptive_rate.h"
#include "hf_breaker.h"
#include "hf_bucket.h"
#include "hf_bulkhead.h"
#include "hf_chaos.h"
#include "hf_check.h"
#include "hf_component.h"
#include "hf_error_budget.h"
#include "hf_fallback.h"
#include "hf_hedge.h"
#include "hf_histogram.h"
#include "hf_latency_budget.h"
#include "hf_level.h"
#include "hf_meter.h"
#include "hf_pipeline.h"
#include "hf_resource.h"
#include "hf_retry.h"
#include "hf_sliding.h"
#include "hf_timeout.h"

#define HF_BREAKER_FIGURES(ONE, MANY)                                                              \
    ONE(BREAKER, succeeded)                                                                        \
    ONE(BREAKER, failed)                                                                           \
    ONE(BREAKER, rejected)                                                                         \
    ONE(BREAKER, observed)                                                                         \
    ONE(BREAKER, late)                                                                             \
    ONE(BREAKER, timed)                             /* how many record durations: 1 */             \
    MANY(BREAKER, changes, (HF_STATES * HF_STATES)) /* HF_STATES * from + to */
#define HF_LIMITER_FIGURES(ONE, MANY)               /* of bucket and sliding window */             \
    ONE(LIMITER, allowed)                                                                          \
    ONE(LIMITER, rejected)                                                                         \
    ONE(LIMITER, refunded)
#define HF_BULKHEAD_FIGURES(ONE, MANY)                                                             \
    ONE(BULKHEAD, admitted)                                                                        \
    ONE(BULKHEAD, rejected)                                                                        \
    ONE(BULKHEAD, waited)                                                                          \
    ONE(BULKHEAD, timed_out)
#define HF_HISTOGRAM_FIGURES(ONE, MANY)                                                            \
    MANY(HISTOGRAM, upto, HF_HISTOGRAM_BUCKETS) /* at most 5 ms, 10 ms … 10 s; all */              \
    ONE(HISTOGRAM, sum_ns)
#define HF_RETRY_FIGURES(ONE,                                                                      \
                         MANY) /* delays before the retries they precede, these before calls */    \
    MANY(RETRY, delays, HF_RETRY_DELAYS)                                                           \
    ONE(RETRY, delay_ns)                                                                           \
    MANY(RETRY, retries, HF_RETRY_ORDINALS)                                                        \
    ONE(RETRY, succeeded)                                                                          \
    ONE(RETRY, recovered)                                                                          \
    ONE(RETRY, observed)                                                                           \
    MANY(RETRY, gave_up, HF_RETRY_VERDICTS)
#define HF_TIMEOUT_FIGURES(ONE, MANY)                                                              \
    ONE(TIMEOUT, in_time)                                                                          \
    ONE(TIMEOUT, expired)                                                                          \
    ONE(TIMEOUT, late)                                                                             \
    ONE(TIMEOUT, refused)                                                                          \
    ONE(TIMEOUT, abandoned)                                                                        \
    ONE(TIMEOUT, observed)
#define HF_FALLBACK_FIGURES(ONE, MANY)                                                             \
    ONE(FALLBACK, passed)                                                                          \
    ONE(FALLBACK, used)                                                                            \
    ONE(FALLBACK, failed)                                                                          \
    ONE(FALLBACK, observed)
#define HF_HEDGE_FIGURES(ONE, MANY)                                                                \
    ONE(HEDGE, calls)                                                                              \
    ONE(HEDGE, failed)                                                                             \
    ONE(HEDGE, hedged)                                                                             \
    ONE(HEDGE, attempts)                                                                           \
    ONE(HEDGE, won)                                                                                \
    ONE(HEDGE, cancelled)                                                                          \
    ONE(HEDGE, refused)                                                                            \
    ONE(HEDGE, abandoned)                                                                          \
    ONE(HEDGE, observed)
#define HF_PIPELINE_FIGURES(ONE, MANY)                                                             \
    ONE(PIPELINE, success) /* this and the next in the order of hf_pipeline_end */                 \
    ONE(PIPELINE, failure)                                                                         \
    ONE(PIPELINE, rejected)                                                                        \
    ONE(PIPELINE, timeout)                                                                         \
    ONE(PIPELINE, cancelled)                                                                       \
    MANY(PIPELINE, upto, HF_HISTOGRAM_BUCKETS) /* as of a histogram */                             \
    ONE(PIPELINE, sum_ns)                                                                          \
    ONE(PIPELINE, retries)                                                                         \
    ONE(PIPELINE, timeouts)
#define HF_LATENCY_BUDGET_FIGURES(ONE, MANY)                                                       \
    ONE(LATENCY_BUDGET, recorded)                                                                  \
    ONE(LATENCY_BUDGET, exceeded)                                                                  \
    ONE(LATENCY_BUDGET, exhausted)
#define HF_ERROR_BUDGET_FIGURES(ONE, MANY)                                                         \
    ONE(ERROR_BUDGET, good)                                                                        \
    ONE(ERROR_BUDGET, bad)                                                                         \
    ONE(ERROR_BUDGET, exhausted)                                                                   \
    ONE(ERROR_BUDGET, paged_fast)                                                                  \
    ONE(ERROR_BUDGET, paged_slow)                                                                  \
    ONE(ERROR_BUDGET, shed)                                                                        \
    ONE(ERROR_BUDGET, observed)
#define HF_ADAPTIVE_RATE_FIGURES(ONE, MANY)                                                        \
    ONE(ADAPTIVE_RATE, raised)                                                                     \
    ONE(ADAPTIVE_RATE, slowed)                                                                     \
    ONE(ADAPTIVE_RATE, throttled)

#define HF_CHAOS_FIGURES(ONE, MANY)                                                                \
    ONE(CHAOS, checked)                                                                            \
    ONE(CHAOS, injected)                                                                           \
    ONE(CHAOS, observed)
#define HF_CHECK_FIGURES(ONE, MANY)                                                                \
    ONE(CHECK, passed)                                                                             \
    ONE(CHECK, limped)                                                                             \
    ONE(CHECK, failed)                                                                             \
    ONE(CHECK, unproven)                                                                           \
    ONE(CHECK, abandoned)                                                                          \
    MANY(CHECK, upto, HF_HISTOGRAM_BUCKETS) /* as of a histogram */                                \
    ONE(CHECK, sum_ns)
#define HF_LEVEL_FIGURES(ONE, MANY)                                                                \
    MANY(LEVEL, changes, HF_LEVELS) /* into each level */                                          \
    MANY(LEVEL, spent_ns, HF_LEVELS)                                                               \
    MANY(LEVEL, shed, HF_LEVEL_PRIORITIES) /* calls, by their priority */
#define HF_METER_FIGURES(ONE, MANY) MANY(METER, counted, HF_METER_NUMBERS)
#define HF_COMPONENT_FIGURES(ONE, MANY)                                                            \
    ONE(COMPONENT, attempts) /* this and the next in the order of hf_component_event */            \
    ONE(COMPONENT, recovered)                                                                      \
    ONE(COMPONENT, failed)                                                                         \
    ONE(COMPONENT, restarted)                                                                      \
    ONE(COMPONENT, escalated)                                                                      \
    ONE(COMPONENT, down_ns)
#define HF_RESOURCE_FIGURES(ONE, MANY)                                                             \
    ONE(RESOURCE, created)                                                                         \
    ONE(RESOURCE, refused)                                                                         \
    ONE(RESOURCE, cleaned) /* this and the next in the order of hf_resource_event */               \
    ONE(RESOURCE, released)                                                                        \
    ONE(RESOURCE, collected)                                                                       \
    ONE(RESOURCE, leaks)                                                                           \
    ONE(RESOURCE, cleanup_errors)

#define HF__PLACE(kernel, name) HF_AT_##kernel##_##name,
#define HF__PLACES(kernel, name, n)                                                                \
    HF_AT_##kernel##_##name, HF__LAST_##kernel##_##name = HF_AT_##kernel##_##name + (n) - 1,
enum { HF_BREAKER_FIGURES(HF__PLACE, HF__PLACES) HF_BREAKER_COUNTS };
enum { HF_LIMITER_FIGURES(HF__PLACE, HF__PLACES) HF_LIMITER_COUNTS };
enum { HF_BULKHEAD_FIGURES(HF__PLACE, HF__PLACES) HF_BULKHEAD_COUNTS };
enum { HF_HISTOGRAM_FIGURES(HF__PLACE, HF__PLACES) HF_HISTOGRAM_COUNTS };
enum { HF_RETRY_FIGURES(HF__PLACE, HF__PLACES) HF_RETRY_COUNTS };
enum { HF_TIMEOUT_FIGURES(HF__PLACE, HF__PLACES) HF_TIMEOUT_COUNTS };
enum { HF_FALLBACK_FIGURES(HF__PLACE, HF__PLACES) HF_FALLBACK_COUNTS };
enum { HF_HEDGE_FIGURES(HF__PLACE, HF__PLACES) HF_HEDGE_COUNTS };
enum { HF_PIPELINE_FIGURES(HF__PLACE, HF__PLACES) HF_PIPELINE_COUNTS };
enum { HF_CHAOS_FIGURES(HF__PLACE, HF__PLACES) HF_CHAOS_COUNTS };
enum { HF_CHECK_FIGURES(HF__PLACE, HF__PLACES) HF_CHECK_COUNTS };
enum { HF_LEVEL_FIGURES(HF__PLACE, HF__PLACES) HF_LEVEL_COUNTS };
enum { HF_METER_FIGURES(HF__PLACE, HF__PLACES) HF_METER_COUNTS };
enum { HF_COMPONENT_FIGURES(HF__PLACE, HF__PLACES) HF_COMPONENT_COUNTS };
enum { HF_RESOURCE_FIGURES(HF__PLACE, HF__PLACES) HF_RESOURCE_COUNTS };
enum { HF_LATENCY_BUDGET_FIGURES(HF__PLACE, HF__PLACES) HF_LATENCY_BUDGET_COUNTS };
enum { HF_ERROR_BUDGET_FIGURES(HF__PLACE, HF__PLACES) HF_ERROR_BUDGET_COUNTS };
enum { HF_ERROR_BUDGET_NOW = 1 + 2 * HF_BURN_WINDOWS };
enum { HF_ADAPTIVE_RATE_FIGURES(HF__PLACE, HF__PLACES) HF_ADAPTIVE_RATE_COUNTS };
enum {
    HF_FIGURES_MOST = 64, /* numbers of one kernel */
    HF_LATENCY_BUDGET_NOW = 2 + 100 / 4,
    HF__FIGURES_LOOKS =
        100 /* a move takes far less than as many looks; who died in one, for ever */
};

/* The counts of one kernel by name, in the order of their places; the last has no name. */
typedef struct hf_figure_name {
    const char *name;
    uint32_t numbers;
} hf_figure_name;

#define HF__NAME(kernel, name) {#name, 1},
#define HF__NAMES(kernel, name, n) {#name, n},
static const hf_figure_name hf_breaker_names[] = {HF_BREAKER_FIGURES(HF__NAME, HF__NAMES){0}};
static const hf_figure_name hf_limiter_names[] = {HF_LIMITER_FIGURES(HF__NAME, HF__NAMES){0}};
static const hf_figure_name hf_bulkhead_names[] = {HF_BULKHEAD_FIGURES(HF__NAME, HF__NAMES){0}};
static const hf_figure_name hf_histogram_names[] = {HF_HISTOGRAM_FIGURES(HF__NAME, HF__NAMES){0}};
static const hf_figure_name hf_retry_names[] = {HF_RETRY_FIGURES(HF__NAME, HF__NAMES){0}};
static const hf_figure_name hf_timeout_names[] = {HF_TIMEOUT_FIGURES(HF__NAME, HF__NAMES){0}};
static const hf_figure_name hf_fallback_names[] = {HF_FALLBACK_FIGURES(HF__NAME, HF__NAMES){0}};
static const hf_figure_name hf_hedge_names[] = {HF_HEDGE_FIGURES(HF__NAME, HF__NAMES){0}};
static const hf_figure_name hf_pipeline_names[] = {HF_PIPELINE_FIGURES(HF__NAME, HF__NAMES){0}};
static const hf_figure_name hf_chaos_names[] = {HF_CHAOS_FIGURES(HF__NAME, HF__NAMES){0}};
static const hf_figure_name hf_check_names[] = {HF_CHECK_FIGURES(HF__NAME, HF__NAMES){0}};
static const hf_figure_name hf_level_names[] = {HF_LEVEL_FIGURES(HF__NAME, HF__NAMES){0}};
static const hf_figure_name hf_meter_names[] = {HF_METER_FIGURES(HF__NAME, HF__NAMES){0}};
static const hf_figure_name hf_component_names[] = {HF_COMPONENT_FIGURES(HF__NAME, HF__NAMES){0}};
static const hf_figure_name hf_resource_names[] = {HF_RESOURCE_FIGURES(HF__NAME, HF__NAMES){0}};
static const hf_figure_name hf_latency_budget_names[] = {
    HF_LATENCY_BUDGET_FIGURES(HF__NAME, HF__NAMES){0}};
static const hf_figure_name hf_error_budget_names[] = {
    HF_ERROR_BUDGET_FIGURES(HF__NAME, HF__NAMES){0}};
static const hf_figure_name hf_adaptive_rate_names[] = {
    HF_ADAPTIVE_RATE_FIGURES(HF__NAME, HF__NAMES){0}};

/* Read the counts of kernel k that are words of their names. */
#define HF__READ(kernel, name) out[HF_AT_##kernel##_##name] = hf_load_relaxed(&k->name);
#define HF__READ_ALL(kernel, name, n)                                                              \
    for (size_t i = 0; i < (n); i++)                                                               \
        out[HF_AT_##kernel##_##name + i] = hf_load_relaxed(&k->name[i]);

/* How often who began in a state and moved so many times is in each: once in one, if all count. */
static inline void
hf__changes_add_up(const uint64_t changes[], unsigned began, int64_t times[HF_STATES])
{
    for (unsigned s = 0; s < HF_STATES; s++) {
        times[s] = s == began;
        for (unsigned other = 0; other < HF_STATES; other++)
            if (other != s) {
                times[s] += (int64_t)changes[HF_STATES * other + s];
                times[s] -= (int64_t)changes[HF_STATES * s + other];
            }
    }
}

/* The state that changes lead to; HF_STATES: some are missing. */
static inline unsigned
hf__changes_lead_to(const uint64_t changes[], unsigned began)
{
    int64_t times[HF_STATES];
    unsigned found = HF_STATES;
    hf__changes_add_up(changes, began, times);
    for (unsigned s = 0; s < HF_STATES; s++) {
        if (times[s] != 0 && (times[s] != 1 || found != HF_STATES))
            return HF_STATES;
        if (times[s] == 1)
            found = s;
    }
    return found;
}

/* Add the moves that are missing for changes to lead to a state. */
HF_RARE void
hf__changes_complete(uint64_t changes[], unsigned began, unsigned state)
{
    int64_t times[HF_STATES];
    hf__changes_add_up(changes, began, times);
    times[state]--; /* from here on: > 0 it has been left once more, < 0 entered */
    for (unsigned from = 0; from < HF_STATES; from++)
        for (unsigned to = 0; to < HF_STATES; to++)
            if (times[from] > 0 && times[to] < 0) {
                const int64_t moves = times[from] < -times[to] ? times[from] : -times[to];
                changes[HF_STATES * from + to] += (uint64_t)moves;
                times[from] -= moves;
                times[to] += moves;
            }
}

/* When a breaker that is shown in a state may be tried again. */
static inline int64_t
hf__breaker_shut_until_ns(const hf_breaker *b, unsigned state)
{
    if (state != HF_OPEN)
        return state == HF_FORCED_OPEN ? INT64_MAX : INT64_MIN;
    const int64_t until = hf_load_acquire(&b->until_ns);
    return until < HF__OPENING_END ? INT64_MAX : until;
}

/*
 * State and changes agree. A move is one CAS and a count after it: of one that is not counted yet neither
 * is shown, so the state is the one that the counted moves lead to. Where they lead nowhere, since of two
 * moves the later was counted first, this looks again; if that lasts, as when an owner died there, the
 * move that is missing is shown: it was made. (Two that are missing at once, next to one that is
 * counted, may be taken for two others for as long as that lasts.)
 * The other counts are read last: what caused a change that is shown is in them.
 */
static inline size_t
hf_breaker_figures(const hf_breaker *b, uint64_t out[])
{
    uint64_t *changes = out + HF_AT_BREAKER_changes;
    const unsigned began =
        b->began; /* of a damaged file anything: then no changes lead on from it */
    unsigned state = HF_STATES;
    for (int look = 0; look < HF__FIGURES_LOOKS && state == HF_STATES; look++) {
        for (unsigned i = 0; i < HF_STATES * HF_STATES; i++)
            changes[i] = hf_load_acquire(&b->changes[i / HF_STATES][i % HF_STATES]);
        state = hf__changes_lead_to(changes, began);
    }
    if (state == HF_STATES) {
        state = HF_BREAKER_STATE(hf_load_acquire(&b->word)) % HF_STATES;
        hf__changes_complete(changes, began, state);
    }
    out[HF_AT_BREAKER_succeeded] = hf_breaker_succeeded(b);
    out[HF_AT_BREAKER_failed] = hf_load_relaxed(&b->failed);
    out[HF_AT_BREAKER_rejected] = hf_breaker_rejected(b);
    out[HF_AT_BREAKER_observed] = hf_load_relaxed(&b->observed);
    out[HF_AT_BREAKER_late] = hf_load_relaxed(&b->late);
    out[HF_AT_BREAKER_timed] = hf_load_relaxed(&b->timed);
    out[HF_BREAKER_COUNTS] = state;
    out[HF_BREAKER_COUNTS + 1] = (uint64_t)hf__breaker_shut_until_ns(b, state);
    return HF_BREAKER_COUNTS + 2;
}

static inline size_t
hf_bucket_figures(const hf_bucket *k, uint64_t out[])
{
    HF_LIMITER_FIGURES(HF__READ, HF__READ_ALL)
    return HF_LIMITER_COUNTS;
}

static inline size_t
hf_sliding_figures(const hf_sliding *k, uint64_t out[])
{
    HF_LIMITER_FIGURES(HF__READ, HF__READ_ALL)
    return HF_LIMITER_COUNTS;
}

static inline size_t
hf_bulkhead_figures(const hf_bulkhead *k, uint64_t out[])
{
    const uint64_t w = hf_load_relaxed(&k->word); /* inside and waiting of one moment */
    HF_BULKHEAD_FIGURES(HF__READ, HF__READ_ALL)
    out[HF_BULKHEAD_COUNTS] = hf__word_inside(w);
    out[HF_BULKHEAD_COUNTS + 1] = hf__word_waiting(w);
    return HF_BULKHEAD_COUNTS + 2;
}

static inline size_t
hf_histogram_figures(const hf_histogram *h, uint64_t out[])
{
    out[HF_AT_HISTOGRAM_sum_ns] = hf_histogram_sum(h);
    hf_histogram_buckets(h, out + HF_AT_HISTOGRAM_upto);
    return HF_HISTOGRAM_COUNTS;
}

static inline size_t
hf_retry_figures(const hf_retry *k, uint64_t out[])
{
    HF_RETRY_FIGURES(HF__READ, HF__READ_ALL)
    out[HF_RETRY_COUNTS] = k->attempts;
    return HF_RETRY_COUNTS + 1;
}

static inline size_t
hf_timeout_figures(const hf_timeout *k, uint64_t out[])
{
    /* Read before the abandoned, of which they are a part: so the difference is never below zero. */
    const uint64_t stopped = hf_load_acquire(&k->stopped);
    HF_TIMEOUT_FIGURES(HF__READ, HF__READ_ALL)
    const uint64_t abandoned = out[HF_AT_TIMEOUT_abandoned];
    out[HF_TIMEOUT_COUNTS] = abandoned > stopped ? abandoned - stopped : 0;
    return HF_TIMEOUT_COUNTS + 1;
}

static inline size_t
hf_fallback_figures(const hf_fallback *k, uint64_t out[])
{
    HF_FALLBACK_FIGURES(HF__READ, HF__READ_ALL)
    return HF_FALLBACK_COUNTS;
}

static inline size_t
hf_hedge_figures(const hf_hedge *k, uint64_t out[])
{
    /* Read before the abandoned, of which they are a part: so the difference is never below zero. */
    const uint64_t stopped = hf_load_acquire(&k->stopped);
    HF_HEDGE_FIGURES(HF__READ, HF__READ_ALL)
    const uint64_t abandoned = out[HF_AT_HEDGE_abandoned];
    out[HF_HEDGE_COUNTS] = abandoned > stopped ? abandoned - stopped : 0;
    return HF_HEDGE_COUNTS + 1;
}

static inline size_t
hf_pipeline_figures(const hf_pipeline *p, uint64_t out[])
{
    for (unsigned end = 0; end < HF_PIPELINE_ENDS; end++)
        out[HF_AT_PIPELINE_success + end] = hf_pipeline_ended(p, (hf_pipeline_end)end);
    out[HF_AT_PIPELINE_sum_ns] = hf_pipeline_sum(p);
    hf_pipeline_buckets(p, out + HF_AT_PIPELINE_upto);
    out[HF_AT_PIPELINE_retries] = hf_pipeline_retries(p);
    out[HF_AT_PIPELINE_timeouts] = hf_pipeline_timeouts(p);
    out[HF_PIPELINE_COUNTS] = hf_pipeline_is_critical(p);
    return HF_PIPELINE_COUNTS + 1;
}

/* Without calls the cells are 0. */
static inline size_t
hf_latency_budget_figures(const hf_latency_budget *k, uint64_t out[])
{
    uint32_t percentiles[100];
    uint16_t cells[100] = {0};
    HF_LATENCY_BUDGET_FIGURES(HF__READ, HF__READ_ALL)
    for (uint32_t i = 0; i < 100; i++)
        percentiles[i] = (i + 1) * HF_PERCENTILE_UNIT;
    uint64_t *now = out + HF_LATENCY_BUDGET_COUNTS;
    now[0] = hf_latency_budget_is_exhausted(k);
    now[1] = hf_latency_budget_cells(k, percentiles, 100, cells);
    for (uint32_t i = 0; i < 100; i += 4)
        now[2 + i / 4] = cells[i] | (uint64_t)cells[i + 1] << 16 | (uint64_t)cells[i + 2] << 32 |
                         (uint64_t)cells[i + 3] << 48;
    return HF_LATENCY_BUDGET_COUNTS + HF_LATENCY_BUDGET_NOW;
}

/* now_ns is the machine's time. With a clock of its own, a budget shows its windows as of its last slice. */
static inline size_t
hf_error_budget_figures(const hf_error_budget *k, int64_t now_ns, uint64_t out[])
{
    const int64_t now = k->rule.own_clock ? INT64_MIN : now_ns;
    uint64_t *state = out + HF_ERROR_BUDGET_COUNTS;
    HF_ERROR_BUDGET_FIGURES(HF__READ, HF__READ_ALL)
    state[0] = k->rule.allowed;
    for (unsigned window = 0; window < HF_BURN_WINDOWS; window++) {
        const hf_outcomes seen = hf_error_budget_outcomes(k, window, now);
        state[1 + 2 * window] = seen.total;
        state[2 + 2 * window] = seen.failed;
    }
    return HF_ERROR_BUDGET_COUNTS + HF_ERROR_BUDGET_NOW;
}

static inline size_t
hf_adaptive_rate_figures(const hf_adaptive_rate *k, uint64_t out[])
{
    HF_ADAPTIVE_RATE_FIGURES(HF__READ, HF__READ_ALL)
    out[HF_ADAPTIVE_RATE_COUNTS] = hf_adaptive_rate_get(k);
    return HF_ADAPTIVE_RATE_COUNTS + 1;
}

static inline size_t
hf_chaos_figures(const hf_chaos *k, uint64_t out[])
{
    HF_CHAOS_FIGURES(HF__READ, HF__READ_ALL)
    return HF_CHAOS_COUNTS;
}

/* The state is read first: the results that led to it are in the counts. */
static inline size_t
hf_check_figures(const hf_check *k, uint64_t out[])
{
    out[HF_CHECK_COUNTS] = hf_check_state_of(hf_check_word(k));
    out[HF_AT_CHECK_passed] = hf_load_relaxed(&k->passed);
    out[HF_AT_CHECK_limped] = hf_load_relaxed(&k->limped);
    out[HF_AT_CHECK_failed] = hf_load_relaxed(&k->failed);
    out[HF_AT_CHECK_unproven] = hf_load_relaxed(&k->unproven);
    out[HF_AT_CHECK_abandoned] = hf_load_relaxed(&k->abandoned);
    out[HF_AT_CHECK_sum_ns] = hf_load_relaxed(&k->sum_ns);
    hf_check_buckets(k, out + HF_AT_CHECK_upto);
    return HF_CHECK_COUNTS + 1;
}

/* Read before the counts: the change into the level that is shown is in them. */
static inline size_t
hf_level_figures(const hf_level *k, uint64_t out[])
{
    out[HF_LEVEL_COUNTS] = hf_level_get(k) % HF_LEVELS; /* of a damaged file anything */
    HF_LEVEL_FIGURES(HF__READ, HF__READ_ALL)
    return HF_LEVEL_COUNTS + 1;
}

static inline size_t
hf_meter_figures(const hf_meter *k, uint64_t out[])
{
    HF_METER_FIGURES(HF__READ, HF__READ_ALL)
    for (unsigned at = 0; at < HF_METER_NUMBERS; at++)
        out[HF_METER_COUNTS + at] = hf_load_relaxed(&k->now[at]);
    return HF_METER_COUNTS + HF_METER_NUMBERS;
}

/* now_ns is the machine's time. With a clock of its own, downtime is as of the last time that is known. */
static inline size_t
hf_component_figures(const hf_component *k, int64_t now_ns, uint64_t out[])
{
    out[HF_COMPONENT_COUNTS] =
        hf_load_acquire(&k->state) % HF_COMPONENT_STATES; /* of a damaged file anything */
    for (unsigned event = 0; event < HF_COMPONENT_EVENTS; event++)
        out[HF_AT_COMPONENT_attempts + event] = hf_load_relaxed(&k->counted[event]);
    out[HF_AT_COMPONENT_down_ns] = hf_component_down_ns(k, now_ns);
    return HF_COMPONENT_COUNTS + 1;
}

/* Ends are read before what was created: nobody sees more of them. */
static inline size_t
hf_resource_figures(const hf_resource *k, uint64_t out[])
{
    uint64_t limit;
    out[HF_RESOURCE_COUNTS] = hf_resource_active(k, &limit);
    out[HF_RESOURCE_COUNTS + 1] = hf_resource_shown(k, limit);
    for (unsigned event = 0; event < HF_RESOURCE_EVENTS; event++)
        out[HF_AT_RESOURCE_cleaned + event] = hf_resource_counted(k, (hf_resource_event)event);
    out[HF_AT_RESOURCE_created] = hf_load_relaxed(&k->created);
    out[HF_AT_RESOURCE_refused] = hf_load_relaxed(&k->refused);
    return HF_RESOURCE_COUNTS + 2;
}

#endif /* HF_FIGURES_H */
