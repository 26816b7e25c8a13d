/*
 * Wrong on purpose: the rings turn without a look at whether another thread turns them. A thread that was
 * stopped in between takes the rings back, and what was counted since leaves no window. The explorer must find it.
 */
#ifndef HF_WRONG_ERROR_BUDGET_H
#define HF_WRONG_ERROR_BUDGET_H

#include "holdfast/hf_error_budget.h"

static inline void
wrong_error_budget_turn(hf_error_budget *b, int64_t now_ns)
{
    for (unsigned ring = 0; ring < HF_RINGS; ring++) {
        const int64_t slice = hf_floor_quotient(b->slice_ns[ring], now_ns);
        if (slice <= hf_load_relaxed(&b->head[ring]))
            continue;
        hf_store_relaxed(&b->head[ring], slice);
        hf__budget_write_mark(b, hf__budget_place(ring, slice), hf_load_relaxed(&b->good),
                              hf_load_relaxed(&b->bad));
    }
    hf_store_relaxed(&b->due_ns, hf__budget_next_due(b));
}

#endif /* HF_WRONG_ERROR_BUDGET_H */
