/*
 * Wrong on purpose: a sliding window whose take looks, adds, and does not look again.
 *
 * Two takes that both look before either adds are both admitted, though together they are too many
 * (trap 36). The explorer and the stress test must find it.
 */
#ifndef HF_WRONG_SLIDING_H
#define HF_WRONG_SLIDING_H

#include "holdfast/hf_sliding.h"

static inline bool
wrong_sliding_take(hf_sliding *s, uint64_t n, int64_t now_ns, int64_t *slice)
{
    const uint64_t limit = hf_load_relaxed(&s->limit), turn = hf_load_seq_cst(&s->turn);
    *slice = hf__sliding_enter(s, now_ns);
    return n <= limit && hf__sliding_sum(s, turn, *slice) <= limit - n &&
           hf__sliding_add(s, turn, *slice, n);
}

#endif /* HF_WRONG_SLIDING_H */
