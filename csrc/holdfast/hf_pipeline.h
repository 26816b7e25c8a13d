/*
 * Pipeline: how many of its calls ended in which way, and how long they took.
 *
 * A success, which nearly every call is, counts one word and one sum: the word of the bucket that its
 * duration is in. So the number of successes is the sum of these words. All other ends count apart. The
 * buckets are those of a histogram (hf_histogram.h); a pipeline needs no quantiles, so it has no finer cells.
 *
 * Of an operation, which has its counters before its first call, retries and expired timeouts count as well:
 * a call may have several of either. An operation goes from one pipeline to the next with its counters.
 */
#ifndef HF_PIPELINE_H
#define HF_PIPELINE_H

#include "hf_histogram.h"
#include "hf_stripe.h"

typedef enum hf_pipeline_end {
    HF_PIPELINE_SUCCESS,   /* the caller got a result */
    HF_PIPELINE_FAILURE,   /* an exception that is none of the following */
    HF_PIPELINE_REJECTED,  /* a policy refused the call */
    HF_PIPELINE_TIMEOUT,   /* its time was over */
    HF_PIPELINE_CANCELLED, /* the caller gave up, or nobody said how it ended */
    HF_PIPELINE_ENDS
} hf_pipeline_end;

enum { HF__PIPELINE_UNTIMED = HF_HISTOGRAM_BUCKETS, HF__PIPELINE_CELLS };

/* Successes by duration. The last cell counts those whose duration is not known. */
typedef struct hf_pipeline_stripe {
    hf_au64 sum_ns;
    hf_au64 cell[HF__PIPELINE_CELLS];
    uint64_t pad[2 * HF_STRIPE_BYTES / sizeof(uint64_t) - HF__PIPELINE_CELLS - 1];
} hf_pipeline_stripe;

#ifdef HF_STRIPED
enum { HF__PIPELINE_STRIPES = HF_STRIPES };
#define hf__pipeline_stripe(p) (&(p)->stripe[hf_stripe()])
#else
enum { HF__PIPELINE_STRIPES = 1 };
#define hf__pipeline_stripe(p) (&(p)->stripe[0])
#endif

typedef struct hf_pipeline {
    hf_au64 critical; /* of an operation: whether it is; no count, and the first word */
    hf_au64 retries;  /* attempts after the first */
    hf_au64 timeouts; /* of the operation that ran out, around a call or around an attempt */
    hf_au64 ended[HF_PIPELINE_ENDS]; /* the first, of successes, is not used */
    hf_au64 sum_ns; /* this and the next: of what ended in another way after it ran */
    hf_au64 cell[HF_HISTOGRAM_BUCKETS];
    hf_pipeline_stripe stripe[HF__PIPELINE_STRIPES];
} hf_pipeline;

static inline void
hf_pipeline_init(hf_pipeline *p)
{
    hf_au64 *words = (hf_au64 *)p;
    for (size_t i = 0; i < sizeof *p / sizeof *words; i++)
        hf_store_relaxed(&words[i], 0);
}

/* In a forked child: counts start at zero; what is critical stays so. */
static inline void
hf_pipeline_forget(hf_pipeline *p)
{
    hf_au64 *words = (hf_au64 *)p;
    for (size_t i = 1; i < sizeof *p / sizeof *words; i++)
        hf_count_forget(&words[i]);
}

/* Count a success after ns; < 0: its duration is not known. */
static inline void
hf_pipeline_succeed(hf_pipeline *p, int64_t ns)
{
    hf_pipeline_stripe *s = hf__pipeline_stripe(p);
    if (ns < 0) {
        hf_count(&s->cell[HF__PIPELINE_UNTIMED], 1);
        return;
    }
    hf_count(&s->cell[hf_histogram_bucket(ns)], 1);
    hf_count(&s->sum_ns, hf_histogram_share(ns));
}

/* Count any end after ns; < 0: its duration is not known. Of a rejection it is not asked. */
static inline void
hf_pipeline_count(hf_pipeline *p, hf_pipeline_end end, int64_t ns)
{
    if (end == HF_PIPELINE_SUCCESS) {
        hf_pipeline_succeed(p, ns);
        return;
    }
    hf_count(&p->ended[end], 1);
    if (end == HF_PIPELINE_REJECTED || ns < 0)
        return;
    hf_count(&p->cell[hf_histogram_bucket(ns)], 1);
    hf_count(&p->sum_ns, hf_histogram_share(ns));
}

/* ---- of an operation ---- */

static inline void
hf_pipeline_count_retry(hf_pipeline *p)
{
    hf_count(&p->retries, 1);
}

static inline void
hf_pipeline_count_timeout(hf_pipeline *p)
{
    hf_count(&p->timeouts, 1);
}

static inline void
hf_pipeline_set_critical(hf_pipeline *p, bool critical)
{
    hf_store_relaxed(&p->critical, critical);
}

static inline bool
hf_pipeline_is_critical(const hf_pipeline *p)
{
    return hf_load_relaxed(&p->critical) != 0;
}

static inline uint64_t
hf_pipeline_retries(const hf_pipeline *p)
{
    return hf_load_relaxed(&p->retries);
}

static inline uint64_t
hf_pipeline_timeouts(const hf_pipeline *p)
{
    return hf_load_relaxed(&p->timeouts);
}

/* ---- reading ---- */

/* How many calls have ended in that way. */
static inline uint64_t
hf_pipeline_ended(const hf_pipeline *p, hf_pipeline_end end)
{
    if (end != HF_PIPELINE_SUCCESS)
        return hf_load_relaxed(&p->ended[end]);
    uint64_t sum = 0;
    for (unsigned s = 0; s < HF__PIPELINE_STRIPES; s++)
        for (unsigned i = 0; i < HF__PIPELINE_CELLS; i++)
            sum += hf_load_relaxed(&p->stripe[s].cell[i]);
    return sum;
}

/* out[k]: timed calls of at most hf_histogram_bounds_ns[k]; the last, all of them. Never decreasing. */
static inline void
hf_pipeline_buckets(const hf_pipeline *p, uint64_t out[HF_HISTOGRAM_BUCKETS])
{
    uint64_t sum = 0;
    for (unsigned k = 0; k < HF_HISTOGRAM_BUCKETS; k++) {
        sum += hf_load_relaxed(&p->cell[k]);
        for (unsigned s = 0; s < HF__PIPELINE_STRIPES; s++)
            sum += hf_load_relaxed(&p->stripe[s].cell[k]);
        out[k] = sum;
    }
}

/* The sum of all durations, in ns. */
static inline uint64_t
hf_pipeline_sum(const hf_pipeline *p)
{
    uint64_t sum = hf_load_relaxed(&p->sum_ns);
    for (unsigned s = 0; s < HF__PIPELINE_STRIPES; s++)
        sum += hf_load_relaxed(&p->stripe[s].sum_ns);
    return sum;
}

/* ---- between two looks ---- */

/* What a reader has seen of one pipeline: each word only grows, but where counts begin anew. */
typedef struct hf_pipeline_seen {
    uint64_t ended[HF_PIPELINE_ENDS];
    uint64_t upto[HF_HISTOGRAM_BUCKETS]; /* as hf_pipeline_buckets() */
    uint64_t sum_ns;
} hf_pipeline_seen;

/* Read all counts. The number of successes is that of the cells that upto is made of. */
static inline void
hf_pipeline_see(const hf_pipeline *p, hf_pipeline_seen *out)
{
    uint64_t timed = 0, succeeded = 0;
    for (unsigned end = 1; end < HF_PIPELINE_ENDS; end++)
        out->ended[end] = hf_load_relaxed(&p->ended[end]);
    for (unsigned k = 0; k < HF_HISTOGRAM_BUCKETS; k++) {
        timed += hf_load_relaxed(&p->cell[k]);
        for (unsigned s = 0; s < HF__PIPELINE_STRIPES; s++)
            succeeded += hf_load_relaxed(&p->stripe[s].cell[k]);
        out->upto[k] = timed + succeeded;
    }
    for (unsigned s = 0; s < HF__PIPELINE_STRIPES; s++)
        succeeded += hf_load_relaxed(&p->stripe[s].cell[HF__PIPELINE_UNTIMED]);
    out->ended[HF_PIPELINE_SUCCESS] = succeeded;
    out->sum_ns = hf_pipeline_sum(p);
}

/* How many calls ended. */
static inline uint64_t
hf_pipeline_calls(const hf_pipeline_seen *seen)
{
    uint64_t calls = 0;
    for (unsigned end = 0; end < HF_PIPELINE_ENDS; end++)
        calls += seen->ended[end];
    return calls;
}

/*
 * out = what came between two looks. Counts that are less than they were began anew: all of them came
 * since. The sum of durations may be read with one duration more or less than the cells have.
 */
static inline void
hf_pipeline_between(const hf_pipeline_seen *old, const hf_pipeline_seen *now, hf_pipeline_seen *out)
{
    bool anew = false;
    for (unsigned end = 0; end < HF_PIPELINE_ENDS; end++)
        anew |= now->ended[end] < old->ended[end];
    for (unsigned k = 0; k < HF_HISTOGRAM_BUCKETS; k++)
        anew |= now->upto[k] < old->upto[k];
    *out = *now;
    if (anew)
        return;
    for (unsigned end = 0; end < HF_PIPELINE_ENDS; end++)
        out->ended[end] -= old->ended[end];
    for (unsigned k = 0; k < HF_HISTOGRAM_BUCKETS; k++)
        out->upto[k] -= old->upto[k];
    out->sum_ns -= old->sum_ns;
}

/* Add what came of one pipeline to what came of others. */
static inline void
hf_pipeline_gather(hf_pipeline_seen *sum, const hf_pipeline_seen *one)
{
    for (unsigned end = 0; end < HF_PIPELINE_ENDS; end++)
        sum->ended[end] += one->ended[end];
    for (unsigned k = 0; k < HF_HISTOGRAM_BUCKETS; k++)
        sum->upto[k] += one->upto[k];
    sum->sum_ns += one->sum_ns;
}

#endif /* HF_PIPELINE_H */
