/*
 * Retry budget: tokens that retries take, and that successes and time give back.
 *
 * Successes and time move one clock: it stands at
 *
 *   ratio * successes + rate * time      tokens, and only ever goes forward.
 *
 * On this clock the budget is a bucket as in hf_bucket.h: one word holds the arrival, the reading at
 * which all that was taken is paid for. A withdrawal moves it by one CAS, and may move it to `burst`
 * ahead of the clock at most. So a success is one count and nothing else: what it gives beyond the
 * burst is cut off when the next withdrawal finds the arrival behind the clock, which is the same as
 * cutting it off at once, since in between the clock only went forward. And the sum of withdrawals is
 * at most burst + ratio * successes + rate * time + given back, always.
 *
 * The clock counts thousandths of a token (coarser where much is given) modulo 2^64. Both shares are
 * computed from their totals and cut to such units: no fraction is lost however long it runs, and a
 * balance is at any time less than two units off the exact one. The sum above is never off.
 * `now_ns` comes from hf_clock. One that is older than another thread's finds fewer tokens, never more.
 */
#ifndef HF_BUDGET_H
#define HF_BUDGET_H

#include "hf_clock.h"
#include "hf_divide.h"

typedef struct hf_budget_rule {
    uint64_t
        ratio;     /* what a success gives, in millionths of a token; at most HF_BUDGET_RATIO_MAX */
    uint64_t rate; /* what a second gives, in millionths of a token; at most HF_BUDGET_RATE_MAX */
    uint64_t burst; /* tokens, 1 to HF_BUDGET_BURST_MAX */
} hf_budget_rule;

#define HF_BUDGET_RATIO_MAX UINT64_C(1000000000)      /* a thousand tokens */
#define HF_BUDGET_RATE_MAX UINT64_C(1000000000000000) /* a thousand million tokens */
#define HF_BUDGET_BURST_MAX UINT64_C(1000000000)

typedef struct hf_budget {
    hf_au64 word;     /* arrival, in units on the clock; tokens = burst - max(arrival - clock, 0) */
    hf_au64 deposits; /* successes */
    hf_au64 withdrawn, refused, given_back; /* calls; withdrawn - given_back were retries */
    /* Set by init, read-only afterwards. */
    hf_budget_rule rule;
    uint64_t unit; /* units in a token */
    int64_t base_ns;
} hf_budget;

#define HF__BUDGET_MILLION UINT64_C(1000000)
#define HF__BUDGET_BILLION UINT64_C(1000000000)
/* Time gives for 146 years: more than any process lives. */
#define HF__BUDGET_TIME_MAX (UINT64_C(1) << 62)
/* So many successes may come between two withdrawals. */
#define HF__BUDGET_IDLE_MAX UINT64_C(1000000000000000)

/*
 * As fine as it may be: an arrival less than 2^63 units behind the clock is seen to be behind, so
 * what all of time and 10^15 successes give must be less.
 */
static inline uint64_t
hf__budget_unit(hf_budget_rule r)
{
    uint64_t gap =
        (r.rate / HF__BUDGET_MILLION + 1) * (HF__BUDGET_TIME_MAX / HF__BUDGET_BILLION + 1) +
        (r.ratio / HF__BUDGET_MILLION + 1) * HF__BUDGET_IDLE_MAX;
    uint64_t unit = HF__BUDGET_MILLION;
    while (unit > 1 && gap > INT64_MAX / unit)
        unit /= 10;
    return unit;
}

/* A budget that is full as of now. */
static inline void
hf_budget_init(hf_budget *b, hf_budget_rule rule, int64_t now_ns)
{
    b->rule = rule;
    b->unit = hf__budget_unit(rule);
    b->base_ns = now_ns;
    hf_store_relaxed(&b->deposits, 0);
    hf_store_relaxed(&b->withdrawn, 0);
    hf_store_relaxed(&b->refused, 0);
    hf_store_relaxed(&b->given_back, 0);
    hf_store_release(&b->word, 0);
}

/* What the clock shows, in units, modulo 2^64. Read after the word, see hf_budget_withdraw(). */
static inline uint64_t
hf__budget_clock(const hf_budget *b, int64_t now_ns)
{
    uint64_t passed_ns = now_ns > b->base_ns ? (uint64_t)now_ns - (uint64_t)b->base_ns : 0;
    if (passed_ns > HF__BUDGET_TIME_MAX)
        passed_ns = HF__BUDGET_TIME_MAX;
    return hf_multiply_divide(passed_ns, b->rule.rate,
                              HF__BUDGET_BILLION * (HF__BUDGET_MILLION / b->unit)) +
           hf_multiply_divide(hf_load_relaxed(&b->deposits), b->rule.ratio,
                              HF__BUDGET_MILLION / b->unit);
}

/*
 * In a forked child: counts start at zero, the balance stays. The successes moved the clock, so the arrival
 * goes back as far as the clock does without them; what they gave of less than a unit is lost.
 */
static inline void
hf_budget_forget(hf_budget *b)
{
    const uint64_t given = hf_multiply_divide(hf_load_relaxed(&b->deposits), b->rule.ratio,
                                              HF__BUDGET_MILLION / b->unit);
    if (given != 0)
        hf_store_relaxed(&b->word, hf_load_relaxed(&b->word) - given);
    hf_count_forget(&b->deposits);
    hf_count_forget(&b->withdrawn);
    hf_count_forget(&b->refused);
    hf_count_forget(&b->given_back);
}

/* How far the arrival is ahead of the clock: what is missing to a full budget, in units. */
static inline uint64_t
hf__budget_debt(uint64_t arrival, uint64_t clock)
{
    uint64_t ahead = arrival - clock;
    return ahead <= INT64_MAX ? ahead : 0;
}

/* A success. */
static inline void
hf_budget_deposit(hf_budget *b)
{
    hf_count(&b->deposits, 1);
}

/*
 * Take a token for a retry. True: it is taken, and the retry may be made; one that is not made after
 * all gives it back. False: there is none, and nothing is taken.
 */
static inline bool
hf_budget_withdraw(hf_budget *b, int64_t now_ns)
{
    /* Acquire pairs with the release below: who sees an arrival sees the successes it was built on. */
    uint64_t arrival = hf_load_acquire(&b->word), next;
    do {
        uint64_t clock = hf__budget_clock(b, now_ns);
        uint64_t debt = hf__budget_debt(arrival, clock) + b->unit;
        if (debt > b->rule.burst * b->unit) {
            hf_count(&b->refused, 1);
            return false;
        }
        next = clock + debt;
    } while (!hf_cas_weak_acq_rel(&b->word, &arrival, next));
    hf_count(&b->withdrawn, 1);
    return true;
}

/*
 * Give back the token of a retry that was not made. Never fills beyond the burst.
 * False: every token that was taken is back already, and nothing changed.
 */
static inline bool
hf_budget_give_back(hf_budget *b)
{
    uint64_t back = hf_load_relaxed(&b->given_back);
    do {
        /* Whoever took a token has counted it before: this refuses only who took none. */
        if (back >= hf_load_relaxed(&b->withdrawn))
            return false;
    } while (!hf_cas_weak_relaxed(&b->given_back, &back, back + 1));
    uint64_t arrival = hf_load_relaxed(&b->word);
    /* Release: the chain from the withdrawal that built the arrival goes on. */
    while (!hf_cas_weak_acq_rel(&b->word, &arrival, arrival - b->unit))
        ;
    return true;
}

/* Tokens there are: from 0 to the burst. */
static inline double
hf_budget_balance(const hf_budget *b, int64_t now_ns)
{
    /* Acquire pairs with the release in hf_budget_withdraw(). */
    uint64_t arrival = hf_load_acquire(&b->word);
    uint64_t debt = hf__budget_debt(arrival, hf__budget_clock(b, now_ns));
    uint64_t limit = b->rule.burst * b->unit;
    return debt < limit ? (double)(limit - debt) / (double)b->unit : 0.0;
}

#endif /* HF_BUDGET_H */
