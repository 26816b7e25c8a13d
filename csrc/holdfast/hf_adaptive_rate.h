/*
 * Adaptive rate: the rate of a token bucket follows what its calls take.
 *
 * A window of samples ends with `window` of them, or after half of max_age with a few. Then, once:
 *
 *   p95 above 1.2 * target, and not falling              rate * 0.9
 *   p95 below 0.8 * target, and the average below target  rate * 1.05, if the rate was what limited
 *   throttled in between                                  rate * 0.7; from then on the rate rises by a
 *                                                         constant, until it is twice the one throttled at
 *
 * within min and max. The first throttling in a calm window ends it at once. What makes this sound:
 *
 *   - a sample counts if its call was admitted after the last decision: other calls say nothing of the
 *     rate in force. Those that go on for more than 1.2 * target after it say that the rate is too high
 *     still. So there is at most one decision in the time that a call takes
 *   - a rate that was lowered is left alone while calls take less from one window to the next: the queue
 *     that the higher rate has left behind drains
 *   - a sample older than max_age never counts
 *   - nor is a rate lowered below three quarters of what ends in a second: a long queue takes its time to drain, and
 *     less rate than that would not make its calls any faster
 *   - the rate rises only if calls were refused, or used most of it: else it would rise for ever
 *   - whoever decides closes the window; samples that come meanwhile are left out, and nobody waits
 *
 * p95 is the sample at n * 95 / 100 of n in order. Whether it is above a bound is told by how many samples
 * are, so two counts decide exactly, and no sample is kept. The running quantile is for those who look.
 *
 * Rates are in millionths of a token per second. Not here: what is timed, and what counts as throttling.
 */
#ifndef HF_ADAPTIVE_RATE_H
#define HF_ADAPTIVE_RATE_H

#include "hf_bucket.h"
#include "hf_quantile.h"

#define HF_RATE_MICRO UINT64_C(1000000)
#define HF_RATE_MICRO_MIN UINT64_C(1000)                        /* 0.001 per second */
#define HF_RATE_MICRO_MAX (UINT64_C(268435455) * HF_RATE_MICRO) /* as of a limiter */
#define HF_RATE_TARGET_NS_MAX INT64_C(3600000000000)            /* an hour */

enum {
    HF_RATE_WINDOW_MAX = 1000,
    HF__RATE_FEW = 10, /* samples prove something where time ends the window */
    HF__RATE_FALL =
        16, /* the average of a window falls if it is less by such a share of that before */
    HF__RATE_USED = 5, /* the rate limits if all but a fifth of it was used */
};

/*
 *  63 60   59     58       57     56    51 50  45 44          10 9         0
 *  +-----+------+------+-----------+----------+------+------------+-----------+
 *  | gen | cool | busy | throttled | not fast | slow |    sum     |     n     |
 *  +-----+------+------+-----------+----------+------+------------+-----------+
 *
 * gen: differs from one window to the next. cool: the rate was just lowered for throttling. busy: somebody
 * decides. slow, not fast: samples above 1.2 and at least 0.8 of the target, up to 63, of which 50 are
 * needed at most. sum: of all samples, in units of 2^shift ns. n: samples, and answers that throttled.
 */
enum {
    HF__RATE_N_BITS = 10,
    HF__RATE_SUM_BITS = 35,
    HF__RATE_SLOW_SHIFT = 45,
    HF__RATE_NOT_FAST_SHIFT = 51,
    HF__RATE_TAIL_MAX = 63,
    HF__RATE_TARGET_BITS = 18, /* of the target in units of the sum */
    HF__RATE_SAMPLE_MOST = (1 << (HF__RATE_SUM_BITS - HF__RATE_N_BITS)) - 1, /* in the sum */
    HF__RATE_GEN_SHIFT = 60,
};
#define HF__RATE_THROTTLED (UINT64_C(1) << 57)
#define HF__RATE_BUSY (UINT64_C(1) << 58)
#define HF__RATE_COOL (UINT64_C(1) << 59)

/* What became of the rate, and why. */
typedef enum {
    HF_RATE_KEPT,
    HF_RATE_RAISED,
    HF_RATE_SLOWED,
    HF_RATE_THROTTLED,
    HF_RATE_MOVES
} hf_rate_move;

/* What a call says of the rate that it ran under. */
typedef enum {
    HF_RATE_LATENCY,   /* it took so long */
    HF_RATE_AT_LEAST,  /* it did not come to its end, or failed: a sample only if it was slow */
    HF_RATE_THROTTLING /* it was told that there are too many calls */
} hf_rate_evidence;

typedef struct hf_adaptive_rate {
    hf_au64 word;
    hf_ai64 began_ns;      /* of the window; this and the next two are written by who decides */
    hf_au64 used, refused; /* of the bucket, at its beginning */
    hf_au64 ended;         /* samples, at its beginning */
    hf_au64 rate;
    hf_au64 throttled_at; /* 0: it was not, or the rate has come to twice that */
    hf_ai64 average_ns;   /* of the window before; negative: there was none */
    hf_quantile quantile;
    hf_au64 samples;
    hf_au64 raised, slowed, throttled;               /* adjustments */
    hf_au64 min, max, burst;                         /* burst 0: that of a second */
    int64_t target_ns, slow_ns, fast_ns, max_age_ns; /* read-only after init; so are the next two */
    uint32_t window;
    uint32_t shift;
} hf_adaptive_rate;

typedef struct hf_adaptive_settings {
    uint64_t rate, min, max, burst;
    int64_t target_ns, max_age_ns;
    uint32_t window;
} hf_adaptive_settings;

/* ---- the rate ---- */

/* A rate as a bucket counts it, right to a millionth. */
static inline hf_rate
hf_rate_of_micro(uint64_t micro, uint64_t burst)
{
    hf_rate r;
    r.num = micro / (1000 * HF_RATE_MICRO) + 1;
    if (r.num > HF_RATE_NUM_MAX)
        r.num = HF_RATE_NUM_MAX;
    r.den = r.num == 1 ? UINT64_C(1000000000000000) / hf__divisor(micro)
                       : r.num * UINT64_C(1000000000000) / hf__divisor(micro / 1000);
    r.burst = burst != 0 ? burst : hf__divisor((micro + HF_RATE_MICRO - 1) / HF_RATE_MICRO);
    return r;
}

/* Have the bucket follow; again if somebody gave another rate meanwhile. */
HF_RARE void
hf__rate_apply_slow(hf_adaptive_rate *a, hf_bucket *b, int64_t now_ns)
{
    uint64_t rate, burst;
    do {
        rate = hf_load_acquire(&a->rate);
        burst = hf_load_acquire(&a->burst);
        hf_bucket_resize(b, hf_rate_of_micro(rate, burst), now_ns);
    } while (rate != hf_load_acquire(&a->rate) || burst != hf_load_acquire(&a->burst));
}

static inline uint64_t
hf_adaptive_rate_get(const hf_adaptive_rate *a)
{
    return hf_load_relaxed(&a->rate);
}

/* ---- the window ---- */

static inline uint64_t
hf__rate_n(uint64_t w)
{
    return w & ((UINT64_C(1) << HF__RATE_N_BITS) - 1);
}

static inline uint64_t
hf__rate_sum(uint64_t w)
{
    return w >> HF__RATE_N_BITS & ((UINT64_C(1) << HF__RATE_SUM_BITS) - 1);
}

static inline uint64_t
hf__rate_tail(uint64_t w, int shift)
{
    return w >> shift & HF__RATE_TAIL_MAX;
}

/* Tokens' takers so far, without those that gave back. */
static inline uint64_t
hf__rate_used(const hf_bucket *b)
{
    return hf_load_relaxed(&b->allowed) - hf_load_relaxed(&b->refunded);
}

/* For who decides: another window, from now on. */
static inline void
hf__rate_begin(hf_adaptive_rate *a, const hf_bucket *b, uint64_t w, bool cool, int64_t now_ns)
{
    hf_store_relaxed(&a->used, hf__rate_used(b));
    hf_store_relaxed(&a->refused, hf_load_relaxed(&b->rejected));
    hf_store_relaxed(&a->ended, hf_load_relaxed(&a->samples));
    hf_store_relaxed(&a->began_ns, now_ns);
    uint64_t gen = ((w >> HF__RATE_GEN_SHIFT) + 1) << HF__RATE_GEN_SHIFT;
    /* Release pairs with the acquire in hf__rate_take(): a sample of the window sees when it began. */
    hf_store_release(&a->word, gen | (cool ? HF__RATE_COOL : 0));
}

/* The rate must be valid: HF_RATE_MICRO_MIN <= min <= rate <= max <= HF_RATE_MICRO_MAX. */
static inline void
hf_adaptive_rate_init(hf_adaptive_rate *a, const hf_bucket *b, const hf_adaptive_settings *s,
                      int64_t now_ns)
{
    hf_store_relaxed(&a->rate, s->rate);
    hf_store_relaxed(&a->min, s->min);
    hf_store_relaxed(&a->max, s->max);
    hf_store_relaxed(&a->burst, s->burst);
    a->target_ns = s->target_ns;
    a->slow_ns = s->target_ns + s->target_ns / 5;
    a->fast_ns = s->target_ns - s->target_ns / 5;
    a->max_age_ns = s->max_age_ns;
    a->window = s->window;
    a->shift = 0;
    while (s->target_ns >> (a->shift + HF__RATE_TARGET_BITS) != 0)
        a->shift++;
    hf_store_relaxed(&a->throttled_at, 0);
    hf_store_relaxed(&a->average_ns, -1);
    hf_quantile_init(&a->quantile, 0.95);
    hf_store_relaxed(&a->samples, 0);
    hf_store_relaxed(&a->raised, 0);
    hf_store_relaxed(&a->slowed, 0);
    hf_store_relaxed(&a->throttled, 0);
    hf__rate_begin(a, b, 0, false, now_ns);
}

/* In a forked child: counts start at zero, and so does the window. The rate stays. */
static inline void
hf_adaptive_rate_forget(hf_adaptive_rate *a)
{
    hf_count_forget(&a->samples);
    hf_count_forget(&a->raised);
    hf_count_forget(&a->slowed);
    hf_count_forget(&a->throttled);
    hf_count_forget(&a->used); /* its bucket's counts are zero as well */
    hf_count_forget(&a->refused);
    hf_count_forget(&a->ended);
    hf_count_forget(&a->word); /* another thread of the parent may have been deciding */
}

/* Whether the rate was what limited in this window. */
static inline bool
hf__rate_limited(const hf_adaptive_rate *a, const hf_bucket *b, uint64_t rate, int64_t now_ns)
{
    if (hf_load_relaxed(&b->rejected) != hf_load_relaxed(&a->refused))
        return true;
    const uint64_t used = hf__rate_used(b) - hf_load_relaxed(&a->used);
    const double issued =
        (double)rate * (double)hf_ns_sub(now_ns, hf_load_relaxed(&a->began_ns)) * 1e-15;
    return (double)used >= issued - issued / HF__RATE_USED;
}

/* The average of a window; not negative. */
static inline int64_t
hf__rate_average_ns(const hf_adaptive_rate *a, uint64_t w)
{
    return (int64_t)((hf__rate_sum(w) << a->shift) / hf__divisor(hf__rate_n(w)));
}

/* Whether calls take less already than in the window before: a queue drains since the rate was lowered. */
static inline bool
hf__rate_recovers(const hf_adaptive_rate *a, uint64_t w)
{
    const int64_t before_ns = hf_load_relaxed(&a->average_ns);
    return hf__rate_average_ns(a, w) < before_ns - before_ns / HF__RATE_FALL;
}

/*
 * A rate that is lowered as calls are slow; but not below three quarters of the calls that have ended in a second, slow
 * as they were: so much the server can do, and a queue drains at such a rate.
 */
static inline uint64_t
hf__rate_lowered(const hf_adaptive_rate *a, uint64_t rate, int64_t now_ns)
{
    const uint64_t ended = hf_load_relaxed(&a->samples) - hf_load_relaxed(&a->ended);
    const double ns = (double)hf_ns_sub(now_ns, hf_load_relaxed(&a->began_ns));
    const uint64_t lowered = rate * 9 / 10;
    /* As a double, for few nanoseconds make it more than any rate. */
    const double floor = ns > 0 ? (double)ended * (0.75e9 * HF_RATE_MICRO) / ns : 0.0;
    return floor <= (double)lowered ? lowered : floor >= (double)rate ? rate : (uint64_t)floor;
}

static inline uint64_t
hf__rate_raised(hf_adaptive_rate *a, uint64_t rate)
{
    const uint64_t throttled_at = hf_load_relaxed(&a->throttled_at);
    if (throttled_at != 0 && rate < 2 * throttled_at)
        return rate + throttled_at / 20;
    hf_store_relaxed(&a->throttled_at, 0);
    return rate + rate / 20;
}

/* What a window makes of the rate. */
static inline hf_rate_move
hf__rate_move(hf_adaptive_rate *a, const hf_bucket *b, uint64_t w, int64_t now_ns, uint64_t *rate)
{
    const uint64_t n = hf__rate_n(w), tail = n - n * 95 / 100;
    const bool is_slow = hf__rate_tail(w, HF__RATE_SLOW_SHIFT) >= tail;
    if (w & HF__RATE_THROTTLED) {
        /* Few in the window after a cut are the rest of what was too much. */
        if (!(w & HF__RATE_COOL) || is_slow) {
            hf_store_relaxed(&a->throttled_at, *rate);
            *rate = *rate * 7 / 10;
        }
        return HF_RATE_THROTTLED;
    }
    if (is_slow) {
        if (!hf__rate_recovers(a, w))
            *rate = hf__rate_lowered(a, *rate, now_ns);
        return HF_RATE_SLOWED;
    }
    if (hf__rate_tail(w, HF__RATE_NOT_FAST_SHIFT) < tail &&
        hf__rate_sum(w) << a->shift < n * (uint64_t)a->target_ns &&
        hf__rate_limited(a, b, *rate, now_ns)) {
        *rate = hf__rate_raised(a, *rate);
        return HF_RATE_RAISED;
    }
    return HF_RATE_KEPT;
}

/* Put a rate in force instead of another; false: that is no longer there. */
static inline bool
hf__rate_replace(hf_adaptive_rate *a, hf_bucket *b, uint64_t was, uint64_t rate, int64_t now_ns)
{
    uint64_t seen = was;
    while (!hf_cas_weak_acq_rel(&a->rate, &seen, rate))
        if (seen != was)
            return false;
    hf__rate_apply_slow(a, b, now_ns);
    return true;
}

/* The window has ended, and is this caller's: decide, and begin another. */
HF_RARE hf_rate_move
hf__rate_decide_slow(hf_adaptive_rate *a, hf_bucket *b, uint64_t w, int64_t now_ns,
                     uint64_t *before)
{
    hf_au64 *const counts[HF_RATE_MOVES] = {NULL, &a->raised, &a->slowed, &a->throttled};
    /* Acquire pairs with the release in hf_adaptive_rate_resize(): its rate comes with its limits. */
    const uint64_t was = hf_load_acquire(&a->rate);
    uint64_t rate = was;
    hf_rate_move move = hf__rate_move(a, b, w, now_ns, &rate);
    const uint64_t min = hf_load_relaxed(&a->min), max = hf_load_relaxed(&a->max);
    rate = rate < min ? min : rate > max ? max : rate;
    /* Not if it is another by now: who has resized it knows better. */
    if (rate != was && hf__rate_replace(a, b, was, rate, now_ns))
        hf_count(counts[move], 1);
    else
        move = HF_RATE_KEPT;
    if (!(w & HF__RATE_THROTTLED))
        hf_store_relaxed(&a->average_ns, hf__rate_average_ns(a, w));
    hf__rate_begin(a, b, w, move == HF_RATE_THROTTLED, now_ns);
    *before = was;
    return move;
}

/* Begin another window, unless somebody does. */
HF_RARE void
hf__rate_restart_slow(hf_adaptive_rate *a, const hf_bucket *b, int64_t now_ns)
{
    uint64_t w = hf_load_acquire(&a->word);
    do {
        if (w & HF__RATE_BUSY)
            return;
    } while (!hf_cas_weak_acq_rel(&a->word, &w, w | HF__RATE_BUSY));
    hf__rate_begin(a, b, w, false, now_ns);
}

/* The window with one more sample. */
static inline uint64_t
hf__rate_with(const hf_adaptive_rate *a, uint64_t w, int64_t ns)
{
    const uint64_t units = (uint64_t)ns >> a->shift;
    const uint64_t slow = UINT64_C(1) << HF__RATE_SLOW_SHIFT;
    const uint64_t not_fast = UINT64_C(1) << HF__RATE_NOT_FAST_SHIFT;
    w += 1 + ((units < HF__RATE_SAMPLE_MOST ? units : HF__RATE_SAMPLE_MOST) << HF__RATE_N_BITS);
    if (ns > a->slow_ns && hf__rate_tail(w, HF__RATE_SLOW_SHIFT) < HF__RATE_TAIL_MAX)
        w += slow;
    if (ns >= a->fast_ns && hf__rate_tail(w, HF__RATE_NOT_FAST_SHIFT) < HF__RATE_TAIL_MAX)
        w += not_fast;
    return w;
}

static inline bool
hf__rate_ends(const hf_adaptive_rate *a, uint64_t w, int64_t age_ns)
{
    const uint64_t n = hf__rate_n(w);
    const uint64_t few = a->window / 2 < HF__RATE_FEW ? a->window / 2 : HF__RATE_FEW;
    if ((w & (HF__RATE_THROTTLED | HF__RATE_COOL)) == HF__RATE_THROTTLED)
        return true;
    return n >= a->window || (n >= few && age_ns >= a->max_age_ns / 2);
}

/*
 * A call that was admitted at taken_ns has ended: this is what it says, and how long it took. Returns what
 * became of the rate: if it is another one, that is in force, and *before receives the one before. Who waits
 * for the bucket may have to be told.
 */
static inline hf_rate_move
hf_adaptive_rate_record(hf_adaptive_rate *a, hf_bucket *b, hf_rate_evidence evidence,
                        int64_t taken_ns, int64_t now_ns, int64_t duration_ns, uint64_t *before)
{
    const int64_t ns = duration_ns < 0 ? 0 : duration_ns;
    if (evidence == HF_RATE_AT_LEAST && ns <= a->slow_ns)
        return HF_RATE_KEPT; /* quickly failed is not quickly done */
    if (evidence != HF_RATE_THROTTLING) {
        hf_quantile_record(&a->quantile, ns);
        hf_count(&a->samples, 1);
    }
    /* Acquire pairs with the release in hf__rate_begin(). */
    uint64_t w = hf_load_acquire(&a->word), next;
    bool ends;
    do {
        const int64_t began_ns = hf_load_relaxed(&a->began_ns);
        const int64_t age_ns = hf_ns_sub(now_ns, began_ns);
        if ((w & HF__RATE_BUSY) || (taken_ns < began_ns && age_ns <= a->slow_ns))
            return HF_RATE_KEPT;
        if (age_ns > a->max_age_ns) {
            hf__rate_restart_slow(a, b, now_ns);
            return HF_RATE_KEPT;
        }
        next = evidence == HF_RATE_THROTTLING ? hf__rate_with(a, w, INT64_MAX) | HF__RATE_THROTTLED
                                              : hf__rate_with(a, w, ns);
        ends = hf__rate_ends(a, next, age_ns);
    } while (!hf_cas_weak_acq_rel(&a->word, &w, ends ? next | HF__RATE_BUSY : next));
    return ends ? hf__rate_decide_slow(a, b, next, now_ns, before) : HF_RATE_KEPT;
}

/* Put another rate in force, within other limits; the samples so far are forgotten. */
static inline void
hf_adaptive_rate_resize(hf_adaptive_rate *a, hf_bucket *b, uint64_t rate, uint64_t min,
                        uint64_t max, uint64_t burst, int64_t now_ns)
{
    hf_store_relaxed(&a->min, min);
    hf_store_relaxed(&a->max, max);
    hf_store_relaxed(&a->throttled_at, 0);
    hf_store_release(&a->burst, burst);
    hf_store_release(&a->rate, rate);
    hf__rate_apply_slow(a, b, now_ns);
    hf__rate_restart_slow(a, b, now_ns);
}

#endif /* HF_ADAPTIVE_RATE_H */
