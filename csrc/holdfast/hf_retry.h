/*
 * Retry: whether a failed call is to be tried again, and what is counted of it.
 *
 * The decision is a pure function of numbers: attempts made, times, the delay asked for. Which
 * failures may be retried at all, the delay itself (hf_backoff.h), the budget (hf_budget.h) and the
 * waiting are the caller's. Nothing here belongs to one call: what a call has used up, it brings along.
 */
#ifndef HF_RETRY_H
#define HF_RETRY_H

#include "hf_atomic.h"
#include "hf_clock.h"

/* Why a call is not tried again; HF_RETRY_AGAIN: it is. */
typedef enum hf_retry_verdict {
    HF_RETRY_AGAIN,
    HF_RETRY_EXHAUSTED,     /* all attempts are made */
    HF_RETRY_OUT_OF_TIME,   /* the delay would end after max_time */
    HF_RETRY_DEADLINE,      /* the delay would end after the deadline of an enclosing timeout */
    HF_RETRY_NO_BUDGET,     /* the budget has no token left */
    HF_RETRY_NOT_RETRYABLE, /* a failure that is not to be retried */
    HF_RETRY_REJECTED,      /* a rejection that is not: the function was not even called */
    HF_RETRY_CANCELLED,     /* the caller gave up, while it ran or while it waited */
    HF_RETRY_VERDICTS
} hf_retry_verdict;

#define HF_RETRY_ORDINALS 16 /* the first, second … retry; the last stands for all later ones */
#define HF_RETRY_DELAYS 17   /* delays up to 1, 2, 4 … 32,768 ms, and all longer ones */

typedef struct hf_retry {
    int64_t max_time_ns; /* from the first attempt to the beginning of the last; < 0: no limit */
    uint32_t attempts;   /* in all, 0: no limit; these two are set by init, read-only afterwards */
    /* A call ends as one of succeeded and gave_up[1…]; recovered of the succeeded after a retry. */
    hf_au64 succeeded, recovered;
    hf_au64 gave_up[HF_RETRY_VERDICTS];
    hf_au64 retries[HF_RETRY_ORDINALS];
    hf_au64 delays[HF_RETRY_DELAYS], delay_ns;
    hf_au64 observed; /* retries that were not made, but would have been (mode "observe") */
} hf_retry;

static inline void
hf_retry_init(hf_retry *r, uint32_t attempts, int64_t max_time_ns)
{
    r->attempts = attempts;
    r->max_time_ns = max_time_ns;
    hf_store_relaxed(&r->succeeded, 0);
    hf_store_relaxed(&r->recovered, 0);
    hf_store_relaxed(&r->delay_ns, 0);
    hf_store_relaxed(&r->observed, 0);
    for (int i = 0; i < HF_RETRY_VERDICTS; i++)
        hf_store_relaxed(&r->gave_up[i], 0);
    for (int i = 0; i < HF_RETRY_ORDINALS; i++)
        hf_store_relaxed(&r->retries[i], 0);
    for (int i = 0; i < HF_RETRY_DELAYS; i++)
        hf_store_relaxed(&r->delays[i], 0);
}

/* In a forked child: counts start at zero. */
static inline void
hf_retry_forget(hf_retry *r)
{
    hf_count_forget(&r->succeeded);
    hf_count_forget(&r->recovered);
    hf_count_forget(&r->delay_ns);
    hf_count_forget(&r->observed);
    for (int i = 0; i < HF_RETRY_VERDICTS; i++)
        hf_count_forget(&r->gave_up[i]);
    for (int i = 0; i < HF_RETRY_ORDINALS; i++)
        hf_count_forget(&r->retries[i]);
    for (int i = 0; i < HF_RETRY_DELAYS; i++)
        hf_count_forget(&r->delays[i]);
}

/* Whether a retry is left for a call that has made `retries` of them. 0 - 1 is more than all that are counted. */
static inline bool
hf_retry_has_attempts(const hf_retry *r, uint32_t retries)
{
    return retries < r->attempts - 1;
}

/*
 * Whether there is time for a retry after `delay_ns`. It is to begin before the deadline, else there is
 * nothing it could still do, and not after max_time. deadline_ns: INT64_MAX if there is none.
 */
static inline hf_retry_verdict
hf_retry_in_time(const hf_retry *r, int64_t started_ns, int64_t now_ns, int64_t delay_ns,
                 int64_t deadline_ns)
{
    int64_t begin_ns = hf_ns_add(now_ns, delay_ns);
    if (deadline_ns != INT64_MAX && begin_ns >= deadline_ns)
        return HF_RETRY_DEADLINE;
    if (r->max_time_ns >= 0 && hf_ns_sub(begin_ns, started_ns) > r->max_time_ns)
        return HF_RETRY_OUT_OF_TIME;
    return HF_RETRY_AGAIN;
}

/* Count a delay that is about to be waited for. */
static inline void
hf_retry_count_delay(hf_retry *r, int64_t delay_ns)
{
    int cell = 0;
    while (cell < HF_RETRY_DELAYS - 1 && delay_ns > (INT64_C(1000000) << cell))
        cell++;
    hf_count(&r->delays[cell], 1);
    hf_count(&r->delay_ns, (uint64_t)delay_ns);
}

/* Count the retry number `ordinal`, from 1, which begins. */
static inline void
hf_retry_count_retry(hf_retry *r, uint32_t ordinal)
{
    uint32_t cell = ordinal - 1; /* of 0, which no retry has, the last */
    hf_count(&r->retries[cell < HF_RETRY_ORDINALS ? cell : HF_RETRY_ORDINALS - 1], 1);
}

/* Count how a call ended that has made `retries` retries. */
static inline void
hf_retry_count_success(hf_retry *r, uint32_t retries)
{
    hf_count(&r->succeeded, 1);
    if (retries > 0)
        hf_count(&r->recovered, 1);
}

#endif /* HF_RETRY_H */
