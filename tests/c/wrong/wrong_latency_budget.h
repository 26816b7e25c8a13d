/*
 * Wrong on purpose: a record whose call is counted after its mark can be replaced, and a turn that does not
 * look again.
 *
 * The explorer must find both.
 */
#ifndef HF_WRONG_LATENCY_BUDGET_H
#define HF_WRONG_LATENCY_BUDGET_H

#include "holdfast/hf_latency_budget.h"

/* The cell of a call is counted when its mark is there already: who replaces it counts below zero. */
static inline bool
wrong_latency_budget_record_late(hf_latency_budget *b, int64_t ns)
{
    const unsigned cell = hf__histogram_cell((uint64_t)ns);
    const uint16_t fresh = (uint16_t)((cell + 1) | (ns > b->target_ns ? HF__MARK_EXCEEDS : 0));
    hf_au16 *mark = &b->marks[hf__latency_budget_place(b)];
    const uint64_t more = hf__latency_budget_replace(b, mark, fresh);
    hf_count(&b->cell[cell], 1);
    return more != 0 && hf__latency_budget_turn(b);
}

/* The tally is read once: what another thread makes of it before the turn is not seen. */
static inline bool
wrong_latency_budget_record_once(hf_latency_budget *b, int64_t ns)
{
    const unsigned cell = hf__histogram_cell((uint64_t)ns);
    const uint16_t fresh = (uint16_t)((cell + 1) | (ns > b->target_ns ? HF__MARK_EXCEEDS : 0));
    hf_au16 *mark = &b->marks[hf__latency_budget_place(b)];
    hf_count(&b->cell[cell], 1);
    if (hf__latency_budget_replace(b, mark, fresh) == 0)
        return false;
    const uint64_t tally = hf_load_seq_cst(&b->tally);
    uint64_t turns = hf_load_seq_cst(&b->turns);
    const bool exhausted = turns & 1;
    return hf__latency_budget_due(b, tally, exhausted) != exhausted &&
           hf_cas_weak_seq_cst(&b->turns, &turns, turns + 1);
}

#endif /* HF_WRONG_LATENCY_BUDGET_H */
