/*
 * Burn rates: when the failures of two windows are evidence enough to call somebody.
 *
 * A burn rate is the share of failures divided by the share that the objective allows: at 1 the budget of a
 * window lasts exactly that window. One failure among few requests is a high rate and proves nothing, so a
 * page needs all of these (SRE workbook, chapter 5, for the pairs of windows and their rates):
 *
 *   the long window   failed >= HF_BURN_FAILURES, and failed / total > limit
 *   the short window  the lower end of Wilson's interval of failed / total (one-sided, 95 %) > limit
 *   limit             min(rate * allowed, (1 + allowed) / 2)
 *
 * The long window tells how much of the budget is gone, which is a fact and needs no interval. The interval
 * of the short one says that this goes on. The second term of the limit is for objectives so low that no
 * share of failures burns at the rate.
 */
#ifndef HF_BURN_H
#define HF_BURN_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define HF_BURN_FAILURES 10    /* in the long window */
#define HF_BURN_Z 1.6448536269 /* one-sided 95 % of a normal distribution */

/* The requests of a window that have an outcome, and how many of them failed. */
typedef struct hf_outcomes {
    uint64_t total, failed;
} hf_outcomes;

/* The lower end of Wilson's interval; 0 without requests. */
static inline double
hf_burn_lower_bound(hf_outcomes seen)
{
    if (seen.failed == 0)
        return 0.0;
    const double n = (double)seen.total, share = (double)seen.failed / n;
    const double z2 = HF_BURN_Z * HF_BURN_Z;
    const double middle = share + z2 / (2.0 * n);
    const double spread = HF_BURN_Z * sqrt(share * (1.0 - share) / n + z2 / (4.0 * n * n));
    return (middle - spread) / (1.0 + z2 / n);
}

/* The share of failures from which somebody is called. allowed is the share that the objective allows. */
static inline double
hf_burn_limit(double allowed, double rate)
{
    const double most = (1.0 + allowed) / 2.0, limit = rate * allowed;
    return limit < most ? limit : most;
}

/* Whether the failures of a short and a long window are evidence of a burn above `rate`. */
static inline bool
hf_burn_pages(hf_outcomes shorter, hf_outcomes longer, double allowed, double rate)
{
    const double limit = hf_burn_limit(allowed, rate);
    return longer.failed >= HF_BURN_FAILURES &&
           (double)longer.failed > limit * (double)longer.total &&
           hf_burn_lower_bound(shorter) > limit;
}

#endif /* HF_BURN_H */
