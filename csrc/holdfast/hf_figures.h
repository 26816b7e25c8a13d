/*
 * Figures: what is exported of each kernel, as one row of numbers: counts first, which only grow and
 * may be added up, then what is true at the moment.
 *
 *   breaker     succeeded failed rejected observed, 36 changes (6 * from + to) | state
 *   limiter     allowed rejected refunded (bucket and sliding window)
 *   bulkhead    admitted rejected waited timed_out | inside, waiting
 *   histogram   at most 5 ms, 10 ms … 10 s, all; the sum in ns
 *   retry       succeeded recovered observed, gave_up[8], retries[16], delays[17], their sum | attempts
 *   timeout     in_time expired late refused observed
 *   fallback    passed used failed observed
 *
 * Reads only, and only what has a fixed place in the kernel, so a kernel in another process's memory
 * can be read as well, whatever it holds. Nothing stops while it is read.
 */
#ifndef HF_FIGURES_H
#define HF_FIGURES_H

#include "hf_breaker.h"
#include "hf_bucket.h"
#include "hf_bulkhead.h"
#include "hf_fallback.h"
#include "hf_histogram.h"
#include "hf_retry.h"
#include "hf_sliding.h"
#include "hf_timeout.h"

enum {
    HF__FIGURES_CHANGES = 4, /* where a breaker's changes begin */
    HF_BREAKER_COUNTS = HF__FIGURES_CHANGES + HF_STATES * HF_STATES,
    HF_LIMITER_COUNTS = 3,
    HF_BULKHEAD_COUNTS = 4,
    HF_HISTOGRAM_COUNTS = HF_HISTOGRAM_BUCKETS + 1,
    HF_RETRY_COUNTS = 3 + HF_RETRY_VERDICTS + HF_RETRY_ORDINALS + HF_RETRY_DELAYS + 1,
    HF_TIMEOUT_COUNTS = 5,
    HF_FALLBACK_COUNTS = 4,
    HF_FIGURES_MOST = 64,
    HF__FIGURES_LOOKS =
        100 /* a move takes far less than as many looks; who died in one, for ever */
};

/* How often who began in CLOSED and moved so many times is in each state: once in one, if all count. */
static inline void
hf__changes_add_up(const uint64_t changes[], int64_t times[HF_STATES])
{
    for (unsigned s = 0; s < HF_STATES; s++) {
        times[s] = s == HF_CLOSED;
        for (unsigned other = 0; other < HF_STATES; other++)
            if (other != s) {
                times[s] += (int64_t)changes[HF_STATES * other + s];
                times[s] -= (int64_t)changes[HF_STATES * s + other];
            }
    }
}

/* The state that changes lead to; HF_STATES: some are missing. */
static inline unsigned
hf__changes_lead_to(const uint64_t changes[])
{
    int64_t times[HF_STATES];
    unsigned found = HF_STATES;
    hf__changes_add_up(changes, times);
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
hf__changes_complete(uint64_t changes[], unsigned state)
{
    int64_t times[HF_STATES];
    hf__changes_add_up(changes, times);
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
    uint64_t *changes = out + HF__FIGURES_CHANGES;
    unsigned state = HF_STATES;
    for (int look = 0; look < HF__FIGURES_LOOKS && state == HF_STATES; look++) {
        for (unsigned i = 0; i < HF_STATES * HF_STATES; i++)
            changes[i] = hf_load_acquire(&b->changes[i / HF_STATES][i % HF_STATES]);
        state = hf__changes_lead_to(changes);
    }
    if (state == HF_STATES) {
        state = HF_BREAKER_STATE(hf_load_acquire(&b->word)) % HF_STATES;
        hf__changes_complete(changes, state);
    }
    out[0] = hf_breaker_succeeded(b);
    out[1] = hf_load_relaxed(&b->failed);
    out[2] = hf_load_relaxed(&b->rejected);
    out[3] = hf_load_relaxed(&b->observed);
    out[HF_BREAKER_COUNTS] = state;
    return HF_BREAKER_COUNTS + 1;
}

static inline size_t
hf_bucket_figures(const hf_bucket *b, uint64_t out[])
{
    out[0] = hf_load_relaxed(&b->allowed);
    out[1] = hf_load_relaxed(&b->rejected);
    out[2] = hf_load_relaxed(&b->refunded);
    return HF_LIMITER_COUNTS;
}

static inline size_t
hf_sliding_figures(const hf_sliding *s, uint64_t out[])
{
    out[0] = hf_load_relaxed(&s->allowed);
    out[1] = hf_load_relaxed(&s->rejected);
    out[2] = hf_load_relaxed(&s->refunded);
    return HF_LIMITER_COUNTS;
}

static inline size_t
hf_bulkhead_figures(const hf_bulkhead *bh, uint64_t out[])
{
    const uint64_t w = hf_load_relaxed(&bh->word); /* inside and waiting of one moment */
    out[0] = hf_load_relaxed(&bh->admitted);
    out[1] = hf_load_relaxed(&bh->rejected);
    out[2] = hf_load_relaxed(&bh->waited);
    out[3] = hf_load_relaxed(&bh->timed_out);
    out[HF_BULKHEAD_COUNTS] = hf__word_inside(w);
    out[HF_BULKHEAD_COUNTS + 1] = hf__word_waiting(w);
    return HF_BULKHEAD_COUNTS + 2;
}

static inline size_t
hf_histogram_figures(const hf_histogram *h, uint64_t out[])
{
    out[HF_HISTOGRAM_BUCKETS] = hf_histogram_sum(h);
    hf_histogram_buckets(h, out);
    return HF_HISTOGRAM_COUNTS;
}

static inline size_t
hf_retry_figures(const hf_retry *r, uint64_t out[])
{
    size_t n = 0;
    /* Delays before the retries they precede, retries before the calls they save. */
    uint64_t *counts = out + 3 + HF_RETRY_VERDICTS + HF_RETRY_ORDINALS;
    for (int i = 0; i < HF_RETRY_DELAYS; i++)
        counts[i] = hf_load_relaxed(&r->delays[i]);
    counts[HF_RETRY_DELAYS] = hf_load_relaxed(&r->delay_ns);
    out[n++] = hf_load_relaxed(&r->succeeded);
    out[n++] = hf_load_relaxed(&r->recovered);
    out[n++] = hf_load_relaxed(&r->observed);
    for (int i = 0; i < HF_RETRY_VERDICTS; i++)
        out[n++] = hf_load_relaxed(&r->gave_up[i]);
    for (int i = 0; i < HF_RETRY_ORDINALS; i++)
        out[n++] = hf_load_relaxed(&r->retries[i]);
    out[HF_RETRY_COUNTS] = r->attempts;
    return HF_RETRY_COUNTS + 1;
}

static inline size_t
hf_timeout_figures(const hf_timeout *t, uint64_t out[])
{
    out[0] = hf_load_relaxed(&t->in_time);
    out[1] = hf_load_relaxed(&t->expired);
    out[2] = hf_load_relaxed(&t->late);
    out[3] = hf_load_relaxed(&t->refused);
    out[4] = hf_load_relaxed(&t->observed);
    return HF_TIMEOUT_COUNTS;
}

static inline size_t
hf_fallback_figures(const hf_fallback *f, uint64_t out[])
{
    out[0] = hf_load_relaxed(&f->passed);
    out[1] = hf_load_relaxed(&f->used);
    out[2] = hf_load_relaxed(&f->failed);
    out[3] = hf_load_relaxed(&f->observed);
    return HF_FALLBACK_COUNTS;
}

#endif /* HF_FIGURES_H */
