/*
 * Wrong on purpose: a failure rate that is read, changed and stored, without looking whether it is
 * still what was read. Who records at once is lost. The explorer and the stress test must find it.
 */
#ifndef HF_WRONG_FAILURE_RATE_H
#define HF_WRONG_FAILURE_RATE_H

#include "holdfast/hf_failure_rate.h"

static inline void
wrong_failure_rate_record(hf_failure_rate *r, bool failed)
{
    const uint32_t w = hf_load_relaxed(&r->word);
    const uint32_t next = failed ? w + hf__rate_step(HF__RATE_ONE - w) : w - hf__rate_step(w);
    hf_store_relaxed(&r->word, next);
}

#endif /* HF_WRONG_FAILURE_RATE_H */
