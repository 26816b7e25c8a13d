/*
 * Wrong on purpose: two retry budgets that the explorer and the stress test must find out.
 *
 * The one reads the word, decides, and writes it back: a withdrawal in between is lost (trap 36).
 * The other keeps a balance and lets each success add to it, at most up to the burst, in two steps:
 * a success gives back what a withdrawal in between has taken, or loses it (trap 44).
 */
#ifndef HF_WRONG_BUDGET_H
#define HF_WRONG_BUDGET_H

#include "holdfast/hf_budget.h"

static inline bool
wrong_budget_withdraw(hf_budget *b, int64_t now_ns)
{
    uint64_t arrival = hf_load_acquire(&b->word);
    uint64_t clock = hf__budget_clock(b, now_ns);
    uint64_t debt = hf__budget_debt(arrival, clock) + b->unit;
    if (debt > b->rule.burst * b->unit) {
        hf_count(&b->refused, 1);
        return false;
    }
    hf_store_release(&b->word, clock + debt); /* whatever it is by now */
    hf_count(&b->withdrawn, 1);
    return true;
}

/* A success that fills the budget, whose word holds an arrival, at once instead of being counted. */
static inline void
wrong_budget_deposit(hf_budget *b, int64_t now_ns)
{
    uint64_t arrival = hf_load_acquire(&b->word);
    uint64_t given = hf_multiply_divide(b->rule.ratio, b->unit, HF__BUDGET_MILLION);
    uint64_t debt = hf__budget_debt(arrival, hf__budget_clock(b, now_ns));
    hf_store_release(&b->word, arrival - (debt < given ? debt : given));
}

#endif /* HF_WRONG_BUDGET_H */
