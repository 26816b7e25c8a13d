/*
 * Health check: the state of one check, as its results decide it.
 *
 *   UNKNOWN     nothing is proven yet, or nothing has been for long. One pass makes it HEALTHY, one degraded
 *               result DEGRADED.
 *   HEALTHY     until `failures` results in a row have failed: UNHEALTHY; or were no pass: DEGRADED
 *   DEGRADED    until `failures` in a row have failed: UNHEALTHY; or `successes` in a row passed: HEALTHY
 *   UNHEALTHY   until `successes` in a row passed: HEALTHY; or did not fail: DEGRADED
 *
 * The time after a start in which failures are no evidence ends with start_period_ns, or with the first result
 * that has not failed. A result that proves nothing touches no run; so many in a row that chance is ruled out
 * make the state UNKNOWN. A result that began before the start is of an earlier life: it is counted, and
 * decides nothing.
 *
 *   word: [start:8 | near:20 | far:20 | unproven:11 | passed:1 | failed:1 | answered:1 | state:2]
 *   near   results in a row, which have all failed (`failed`) or have all not
 *   far    results in a row, which have all passed (`passed`) or have all not
 *
 * State and runs are of one moment, whoever reads them. Any thread may record, start and read.
 * Not here: what a check does, when it runs, and whether a result proves anything.
 */
#ifndef HF_CHECK_H
#define HF_CHECK_H

#include "hf_clock.h"
#include "hf_histogram.h"

typedef enum hf_check_state {
    HF_CHECK_UNKNOWN,
    HF_CHECK_HEALTHY,
    HF_CHECK_DEGRADED,
    HF_CHECK_UNHEALTHY,
    HF_CHECK_STATES
} hf_check_state;

typedef enum hf_check_verdict {
    HF_CHECK_PASSED,
    HF_CHECK_LIMPED, /* it passed, but in a way that is called degraded */
    HF_CHECK_FAILED,
    HF_CHECK_UNPROVEN, /* our own process was late: it says nothing of what was checked */
    HF_CHECK_VERDICTS
} hf_check_verdict;

enum {
    HF_CHECK_RUN_MOST = 1000, /* of `failures` and `successes` */
    HF_CHECK_UNPROVEN_LEAST = 10,
    HF__CHECK_STATE = 3,
    HF__CHECK_ANSWERED = 4,
    HF__CHECK_FAILED = 8,
    HF__CHECK_PASSED = 16,
    HF__CHECK_UNPROVEN_AT = 5,
    HF__CHECK_UNPROVEN_MOST = (1 << 11) - 1,
    HF__CHECK_FAR_AT = 16,
    HF__CHECK_NEAR_AT = 36,
    HF__CHECK_START_AT = 56,
    HF__CHECK_RUN = (1 << 20) - 1, /* longer runs show this */
};

typedef struct hf_check {
    hf_au64 word;
    hf_ai64 started_ns;
    uint32_t failures, successes; /* this and the next: set by init, read-only afterwards */
    int64_t start_period_ns;
    hf_ai64 last_ns, last_pass_ns, last_failure_ns; /* when it ended; INT64_MIN: never */
    hf_ai64 last_duration_ns;
    hf_au64 passed, limped, failed, unproven; /* results: they only grow, as do all below */
    hf_au64 abandoned;                        /* runs that ignored their timeout */
    hf_au64 sum_ns; /* this and the next: of results that prove anything */
    hf_au64 cell[HF_HISTOGRAM_BUCKETS];
} hf_check;

typedef struct hf_check_change {
    bool happened;
    uint8_t from, to; /* states */
} hf_check_change;

/* 1 <= failures, successes <= HF_CHECK_RUN_MOST; start_period_ns >= 0. */
static inline void
hf_check_init(hf_check *c, uint32_t failures, uint32_t successes, int64_t start_period_ns)
{
    hf_au64 *zero[] = {&c->word,     &c->passed,    &c->limped, &c->failed,
                       &c->unproven, &c->abandoned, &c->sum_ns};
    hf_ai64 *never[] = {&c->started_ns, &c->last_ns, &c->last_pass_ns, &c->last_failure_ns};
    for (size_t i = 0; i < sizeof zero / sizeof *zero; i++)
        hf_store_relaxed(zero[i], 0);
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        hf_store_relaxed(never[i], INT64_MIN);
    for (unsigned i = 0; i < HF_HISTOGRAM_BUCKETS; i++)
        hf_store_relaxed(&c->cell[i], 0);
    hf_store_relaxed(&c->last_duration_ns, 0);
    c->failures = failures;
    c->successes = successes;
    c->start_period_ns = start_period_ns;
}

/* In a forked child: counts start at zero. Its state is the parent's until it starts anew. */
static inline void
hf_check_forget(hf_check *c)
{
    hf_au64 *counts[] = {&c->passed,   &c->limped,    &c->failed,
                         &c->unproven, &c->abandoned, &c->sum_ns};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        hf_count_forget(counts[i]);
    for (unsigned i = 0; i < HF_HISTOGRAM_BUCKETS; i++)
        hf_count_forget(&c->cell[i]);
}

/* ---- the word ---- */

static inline uint64_t
hf_check_word(const hf_check *c)
{
    /* Acquire pairs with the CAS in hf_check_record(): who sees a state sees the results that made it counted. */
    return hf_load_acquire(&c->word);
}

static inline unsigned
hf_check_state_of(uint64_t w)
{
    return (unsigned)(w & HF__CHECK_STATE);
}

static inline uint32_t
hf__check_near(uint64_t w)
{
    return (uint32_t)(w >> HF__CHECK_NEAR_AT) & HF__CHECK_RUN;
}

static inline uint32_t
hf__check_far(uint64_t w)
{
    return (uint32_t)(w >> HF__CHECK_FAR_AT) & HF__CHECK_RUN;
}

static inline uint32_t
hf__check_unproven(uint64_t w)
{
    return (uint32_t)(w >> HF__CHECK_UNPROVEN_AT) & HF__CHECK_UNPROVEN_MOST;
}

/* Results in a row, up to the last that proves anything: failed; passed or degraded; passed; degraded or failed. */
static inline uint32_t
hf_check_failures(uint64_t w)
{
    return w & HF__CHECK_FAILED ? hf__check_near(w) : 0;
}

static inline uint32_t
hf_check_answers(uint64_t w)
{
    return w & HF__CHECK_FAILED ? 0 : hf__check_near(w);
}

static inline uint32_t
hf_check_passes(uint64_t w)
{
    return w & HF__CHECK_PASSED ? hf__check_far(w) : 0;
}

static inline uint32_t
hf_check_troubles(uint64_t w)
{
    return w & HF__CHECK_PASSED ? 0 : hf__check_far(w);
}

/* How many results in a row that prove nothing make the state UNKNOWN. */
static inline uint32_t
hf_check_unproven_limit(const hf_check *c)
{
    return c->failures < HF_CHECK_UNPROVEN_LEAST ? HF_CHECK_UNPROVEN_LEAST : c->failures + 1;
}

/* Whether a change is under way, or the first result is awaited: what is checked deserves a look soon. */
static inline bool
hf_check_is_pending(const hf_check *c, uint64_t w)
{
    switch (hf_check_state_of(w)) {
    case HF_CHECK_HEALTHY:
        return hf_check_troubles(w) > 0;
    case HF_CHECK_DEGRADED:
        return hf_check_passes(w) > 0 || hf_check_failures(w) > 0;
    case HF_CHECK_UNHEALTHY:
        return hf_check_answers(w) > 0;
    default: /* what proves nothing for long will not do so sooner if it is asked more often */
        return hf__check_unproven(w) < hf_check_unproven_limit(c);
    }
}

/* ---- results ---- */

static inline uint32_t
hf__check_longer(uint32_t run)
{
    return run < HF__CHECK_RUN ? run + 1 : run;
}

/* The state that a result leads to, by the runs that it is in already. */
static inline unsigned
hf__check_decide(const hf_check *c, uint64_t w, unsigned verdict)
{
    const unsigned state = hf_check_state_of(w);
    if (verdict == HF_CHECK_FAILED) {
        if (hf_check_failures(w) >= c->failures)
            return HF_CHECK_UNHEALTHY;
    } else if (state == HF_CHECK_UNKNOWN) {
        return verdict == HF_CHECK_PASSED ? HF_CHECK_HEALTHY : HF_CHECK_DEGRADED;
    }
    if (state == HF_CHECK_HEALTHY && hf_check_troubles(w) >= c->failures)
        return HF_CHECK_DEGRADED;
    if (state > HF_CHECK_HEALTHY && hf_check_passes(w) >= c->successes)
        return HF_CHECK_HEALTHY;
    if (state == HF_CHECK_UNHEALTHY && hf_check_answers(w) >= c->successes)
        return HF_CHECK_DEGRADED;
    return state;
}

/* The word after a result. `excused`: if it has failed, that is no evidence. */
static inline uint64_t
hf__check_next(const hf_check *c, uint64_t w, unsigned verdict, bool excused)
{
    const uint64_t start = w >> HF__CHECK_START_AT << HF__CHECK_START_AT;
    const uint64_t mask = (uint64_t)HF__CHECK_UNPROVEN_MOST << HF__CHECK_UNPROVEN_AT;
    if (verdict == HF_CHECK_UNPROVEN) {
        uint64_t unproven = hf__check_unproven(w);
        unproven += unproven < HF__CHECK_UNPROVEN_MOST;
        if (unproven >= hf_check_unproven_limit(c))
            w = start | (w & HF__CHECK_ANSWERED);
        return (w & ~mask) | unproven << HF__CHECK_UNPROVEN_AT;
    }
    if (verdict == HF_CHECK_FAILED && excused && !(w & HF__CHECK_ANSWERED))
        return w & ~mask;
    const bool failed = verdict == HF_CHECK_FAILED, passed = verdict == HF_CHECK_PASSED;
    const uint32_t near = failed ? hf_check_failures(w) : hf_check_answers(w);
    const uint32_t far = passed ? hf_check_passes(w) : hf_check_troubles(w);
    uint64_t next = start | (uint64_t)hf__check_longer(near) << HF__CHECK_NEAR_AT |
                    (uint64_t)hf__check_longer(far) << HF__CHECK_FAR_AT |
                    (w & (HF__CHECK_ANSWERED | HF__CHECK_STATE));
    if (failed)
        next |= HF__CHECK_FAILED;
    else
        next |= HF__CHECK_ANSWERED;
    if (passed)
        next |= HF__CHECK_PASSED;
    return (next & ~(uint64_t)HF__CHECK_STATE) | hf__check_decide(c, next, verdict);
}

static inline void
hf__check_count(hf_check *c, unsigned verdict, int64_t ended_ns, int64_t duration_ns)
{
    hf_store_relaxed(&c->last_ns, ended_ns);
    hf_store_relaxed(&c->last_duration_ns, duration_ns);
    if (verdict == HF_CHECK_UNPROVEN) {
        hf_count(&c->unproven, 1);
        return;
    }
    if (verdict == HF_CHECK_FAILED)
        hf_store_relaxed(&c->last_failure_ns, ended_ns);
    else
        hf_store_relaxed(&c->last_pass_ns, ended_ns);
    hf_count(&c->sum_ns, hf_histogram_share(duration_ns));
    hf_count(&c->cell[hf_histogram_bucket(duration_ns)], 1);
    hf_count(verdict == HF_CHECK_PASSED   ? &c->passed
             : verdict == HF_CHECK_FAILED ? &c->failed
                                          : &c->limped,
             1);
}

/* A run ended, duration_ns after it began; less than 0 counts as 0. The change is told to who made it. */
static inline hf_check_change
hf_check_record(hf_check *c, unsigned verdict, int64_t began_ns, int64_t duration_ns)
{
    const int64_t took_ns = duration_ns > 0 ? duration_ns : 0;
    uint64_t w = hf_check_word(c), next;
    hf__check_count(c, verdict, hf_ns_add(began_ns, took_ns), took_ns);
    do {
        const int64_t started_ns = hf_load_relaxed(&c->started_ns);
        if (began_ns < started_ns)
            return (hf_check_change){.happened = false};
        next = hf__check_next(c, w, verdict, hf_ns_sub(began_ns, started_ns) < c->start_period_ns);
        /* Release: see hf_check_word(). Acquire: who finds another start knows its time. */
    } while (!hf_cas_weak_acq_rel(&c->word, &w, next));
    const unsigned from = hf_check_state_of(w), to = hf_check_state_of(next);
    return (hf_check_change){.happened = from != to, .from = (uint8_t)from, .to = (uint8_t)to};
}

/*
 * The one who runs the check starts, or starts anew: nothing is known, and no run goes on. The time comes first: a
 * result of the life before, which finds the old word and the new time, decides nothing; one that found the old
 * time finds another word. (256 starts amid one record are taken for none.)
 */
static inline hf_check_change
hf_check_start(hf_check *c, int64_t now_ns)
{
    hf_store_relaxed(&c->started_ns, now_ns);
    uint64_t w = hf_check_word(c), next;
    do {
        next = ((w >> HF__CHECK_START_AT) + 1) << HF__CHECK_START_AT;
        /* Release pairs with the acquire of the word in hf_check_record(). */
    } while (!hf_cas_weak_acq_rel(&c->word, &w, next));
    const unsigned from = hf_check_state_of(w);
    return (hf_check_change){.happened = from != HF_CHECK_UNKNOWN, .from = (uint8_t)from, .to = 0};
}

/* ---- what it shows ---- */

/* out[k]: results that took at most hf_histogram_bounds_ns[k]; the last, all of them. Never decreasing. */
static inline void
hf_check_buckets(const hf_check *c, uint64_t out[HF_HISTOGRAM_BUCKETS])
{
    uint64_t sum = 0;
    for (unsigned k = 0; k < HF_HISTOGRAM_BUCKETS; k++)
        out[k] = sum += hf_load_relaxed(&c->cell[k]);
}

#endif /* HF_CHECK_H */
