/*
 * Wrong on purpose: samples that read the word, decide, and write it back.
 *
 * A sample in between is lost, and of an adaptive timeout a step. The explorer and the stress test
 * must find it.
 */
#ifndef HF_WRONG_QUANTILE_H
#define HF_WRONG_QUANTILE_H

#include "holdfast/hf_adaptive_timeout.h"

static inline void
wrong_quantile_record(hf_quantile *q, int64_t sample_ns)
{
    uint64_t w = hf_load_relaxed(&q->word);
    hf_store_relaxed(&q->word, hf__quantile_next(q, w, hf__scale_of(sample_ns)));
}

/* Without a limit on what a step makes of a timeout that was set meanwhile. */
static inline void
wrong_adaptive_timeout_record(hf_adaptive_timeout *t, int64_t latency_ns)
{
    int64_t timeout = hf_load_relaxed(&t->timeout_ns);
    wrong_quantile_record(&t->quantile, latency_ns);
    hf_count(&t->samples, 1);
    int64_t desired = hf__timeout_desired(t);
    hf_store_relaxed(&t->timeout_ns, timeout + (desired - timeout) / HF__TIMEOUT_UP);
}

#endif /* HF_WRONG_QUANTILE_H */
