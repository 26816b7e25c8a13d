/* A hedge that reads the estimate before it looks whether that counts: it may be that of no sample. */
#ifndef WRONG_HEDGE_H
#define WRONG_HEDGE_H

#include "holdfast/hf_hedge.h"

static inline int64_t
wrong_hedge_delay_ns(const hf_hedge *h)
{
    int64_t ns = hf_quantile_get_ns(&h->quantile);
    if (hf_quantile_samples(&h->quantile) < h->warmup)
        return h->delay_ns;
    return ns < h->floor_ns ? h->floor_ns : ns;
}

#endif /* WRONG_HEDGE_H */
