/*
 * Probe slots of a half-open breaker: at most half_open_max calls are under way at once, and a
 * probe that never ends gives its slot back at its deadline (a lease, not a counter: a counter that
 * loses one decrement refuses for ever).
 *
 *  63        48 47                                  0
 *  +-----------+-------------------------------------+
 *  |  gen:16   |  deadline:48, in units of 65.536 us |     0: free
 *  +-----------+-------------------------------------+
 *
 * A lease belongs to one generation, that is to one half-open period. It can be claimed when it is
 * zero, of an earlier generation, or past its deadline, which is rounded down: up to 65 us early,
 * never late. It is released only from the very value that its holder had written, so a holder
 * that comes back after its deadline cannot free the slot of whoever holds it since.
 */
#ifndef HF_BREAKER_LEASE_H
#define HF_BREAKER_LEASE_H

#include "hf_breaker_state.h"

/* Counted from the earliest time there is, so that times before 0 are times like any other. */
#define HF__LEASE_UNITS(ns) (((uint64_t)(ns) ^ (UINT64_C(1) << 63)) >> 16)
#define HF__LEASE_DEADLINE_MOST ((UINT64_C(1) << 48) - 1)
#define HF__LEASE_DEADLINE(l) ((l) & HF__LEASE_DEADLINE_MOST)
#define HF__LEASE_IS_OF(l, gen) ((l) >> 48 == ((gen) & 0xFFFF))

static inline uint64_t
hf__lease_value(const hf_breaker *b, uint64_t gen, int64_t now_ns)
{
    uint64_t deadline = HF__LEASE_DEADLINE_MOST;
    if (b->config.probe_ns >= 0) {
        uint64_t now = HF__LEASE_UNITS(now_ns);
        deadline = HF__LEASE_UNITS(hf_ns_add(now_ns, b->config.probe_ns));
        if (deadline <= now && now < HF__LEASE_DEADLINE_MOST)
            deadline = now + 1; /* the shortest lease there is; also keeps the value from being 0 */
    }
    return (gen & 0xFFFF) << 48 | deadline;
}

/*
 * Whether nobody holds this lease in this generation. "Another generation" means an earlier one
 * only for a caller who finds the breaker still in `gen` after it read the lease.
 */
static inline bool
hf__lease_is_free(uint64_t lease, uint64_t gen, int64_t now_ns)
{
    return lease == 0 || !HF__LEASE_IS_OF(lease, gen) ||
           (HF__LEASE_DEADLINE(lease) != HF__LEASE_DEADLINE_MOST &&
            HF__LEASE_UNITS(now_ns) >= HF__LEASE_DEADLINE(lease));
}

/* Probes in flight: leases of this generation that are not past their deadline. */
static inline uint32_t
hf__leases_held(const hf_breaker *b, uint64_t gen, int64_t now_ns)
{
    uint32_t held = 0;
    for (uint32_t i = 0; i < b->config.half_open_max; i++)
        held += !hf__lease_is_free(hf_load_acquire(&b->leases[i]), gen, now_ns);
    return held;
}

/* Give back a probe's lease if it is still the permit's own; nothing for other permits. */
static inline void
hf__lease_release(hf_breaker *b, const hf_breaker_permit *permit)
{
    if (!(permit->flags & HF_PERMIT_PROBE))
        return;
    uint64_t seen = permit->lease;
    /* Release pairs with the acquire of the next claim: it comes after all this probe did. */
    while (!hf_cas_weak_release(&b->leases[permit->slot], &seen, 0))
        if (seen != permit->lease)
            return;
}

/* Whether the probe of this permit still has its slot, in the half-open period it was admitted to. */
static inline bool
hf__lease_is_held(const hf_breaker *b, const hf_breaker_permit *permit, int64_t now_ns)
{
    if (!(permit->flags & HF_PERMIT_PROBE))
        return false;
    const uint64_t lease = hf_load_acquire(&b->leases[permit->slot]);
    const uint64_t w = hf_load_acquire(&b->word);
    return lease == permit->lease && !hf__lease_is_free(lease, permit->gen, now_ns) &&
           HF_BREAKER_STATE(w) == HF_HALF_OPEN && HF_BREAKER_GEN(w) == permit->gen;
}

enum hf__claim { HF__CLAIMED, HF__ALL_HELD, HF__GEN_IS_OVER };

/*
 * Claim one lease. A lease of another generation is an earlier one's, and free, only if the breaker
 * is still in ours after it was read; a later one's must not be taken. Should one appear after that
 * look, the CAS fails; should it have come and gone, the period is over, and so is the claim.
 */
static inline enum hf__claim
hf__lease_claim_slot(hf_breaker *b, uint32_t slot, uint64_t gen, int64_t now_ns,
                     hf_breaker_permit *permit)
{
    const uint64_t mine = hf__lease_value(b, gen, now_ns);
    /* Acquire, also in the CAS: the look at the word must come after, and so must the probe. */
    uint64_t seen = hf_load_acquire(&b->leases[slot]);
    do {
        if (!hf__lease_is_free(seen, gen, now_ns))
            return HF__ALL_HELD;
        if (HF_BREAKER_GEN(hf_load_acquire(&b->word)) != gen)
            return HF__GEN_IS_OVER;
    } while (!hf_cas_weak_acq_rel(&b->leases[slot], &seen, mine));
    *permit = (hf_breaker_permit){
        .gen = gen, .lease = mine, .slot = (int32_t)slot, .flags = HF_PERMIT_PROBE};
    if (HF_BREAKER_GEN(hf_load_acquire(&b->word)) == gen)
        return HF__CLAIMED;
    hf__lease_release(b, permit);
    return HF__GEN_IS_OVER;
}

/* Claim any free lease of the half-open period `gen` and fill in the permit. */
static inline enum hf__claim
hf__lease_claim(hf_breaker *b, uint64_t gen, int64_t now_ns, hf_breaker_permit *permit)
{
    for (uint32_t slot = 0; slot < b->config.half_open_max; slot++) {
        enum hf__claim claim = hf__lease_claim_slot(b, slot, gen, now_ns, permit);
        if (claim != HF__ALL_HELD)
            return claim;
    }
    return HF__ALL_HELD;
}

#endif /* HF_BREAKER_LEASE_H */
