/*
 * Circuit breaker: admits calls, is told how they ended, and decides by one word.
 *
 *     if (!hf_breaker_admit(&b, &permit)
 *         && !hf_breaker_admit_slow(&b, now_ns, &permit, &change))
 *         … rejected …
 *     else { … the call …
 *         if (!(succeeded && hf_breaker_settle_fast(&b, &permit)))
 *             change = hf_breaker_settle(&b, &permit, outcome, duration_ns, now_ns);
 *     }
 *
 * Each permit is ended once, by settle_fast (when it says true), settle, abandon or undo. A permit
 * of an earlier generation is counted, in `late` as well, and changes nothing else.
 * All functions may be called from any thread at any time, but for init and forget.
 * Times are policy time (hf_clock.h). A change that happened is reported to the one caller who
 * caused it. Nothing here blocks, allocates, or knows of Python.
 */
#ifndef HF_BREAKER_H
#define HF_BREAKER_H

#include "hf_breaker_lease.h"
#include "hf_breaker_move.h"
#include "hf_breaker_state.h"
#include "hf_breaker_verdict.h"

/* --- admission ------------------------------------------------------------------------------- */

HF_RARE bool
hf__breaker_admit_other(hf_breaker *b, uint64_t w, hf_breaker_permit *permit)
{
    const unsigned state = HF_BREAKER_STATE(w);
    if (state != HF_METRICS_ONLY && state != HF_DISABLED)
        return false;
    *permit = (hf_breaker_permit){
        .gen = HF_BREAKER_GEN(w), .slot = -1, .flags = state == HF_DISABLED ? HF_PERMIT_SILENT : 0};
    if (state == HF_METRICS_ONLY)
        hf_count(&b->admitted, 1);
    return true;
}

/*
 * Admit a call without knowing the time. True: the permit is filled in.
 * False: nothing was counted; hf_breaker_admit_slow() decides.
 */
static inline bool
hf_breaker_admit(hf_breaker *b, hf_breaker_permit *permit)
{
    /* Acquire pairs with the CAS in hf__breaker_move(). */
    const uint64_t w = hf_load_acquire(&b->word);
    if (HF_UNLIKELY(HF_BREAKER_STATE(w) != HF_CLOSED))
        return hf__breaker_admit_other(b, w, permit);
    permit->gen = HF_BREAKER_GEN(w);
    permit->slot = -1;
    permit->flags = 0; /* and without PROBE, nobody asks for the lease */
    hf__breaker_count(b, admitted);
    return true;
}

/*
 * Admit a call to a breaker that may be open: half-opens it when its time has come, and leases a
 * probe slot. False: rejected, and counted so. A change is possible either way: who half-opens
 * the breaker may find all slots taken by others the moment after.
 */
HF_RARE bool
hf_breaker_admit_slow(hf_breaker *b, int64_t now_ns, hf_breaker_permit *permit, hf_change *change)
{
    *change = (hf_change){.happened = false};
    while (!hf_breaker_admit(b, permit)) {
        const uint64_t w = hf_load_acquire(&b->word);
        const unsigned state = HF_BREAKER_STATE(w);
        if (state == HF_OPEN && !change->happened) {
            if (hf__breaker_left_ns(b, w, now_ns) <= 0) {
                hf__breaker_move(b, w, HF_HALF_OPEN, HF_BREAKER_REOPENS(w), change);
                continue;
            }
            hf__breaker_mend(b, w, now_ns);
        }
        if (state == HF_HALF_OPEN) {
            enum hf__claim claim = hf__lease_claim(b, HF_BREAKER_GEN(w), now_ns, permit);
            if (claim == HF__GEN_IS_OVER)
                continue;
            if (claim == HF__CLAIMED) {
                hf_count(&b->admitted, 1);
                return true;
            }
        }
        if (state == HF_HALF_OPEN || state == HF_OPEN || state == HF_FORCED_OPEN) {
            hf__breaker_count_rejected(b);
            change->refused_by = (uint8_t)state;
            return false;
        }
    }
    return true;
}

/*
 * Admit a call that is made inside of the probe of that permit. It takes a slot if one is free; without
 * one it is part of that probe's. Its failure decides as any, its success is left to the probe's end.
 * False: nothing was done, since that probe has ended, given up its slot, or is of another period.
 */
HF_RARE bool
hf_breaker_admit_inside(hf_breaker *b, const hf_breaker_permit *probe, int64_t now_ns,
                        hf_breaker_permit *permit)
{
    if (!hf__lease_is_held(b, probe, now_ns))
        return false;
    switch (hf__lease_claim(b, probe->gen, now_ns, permit)) {
    case HF__CLAIMED:
        permit->flags |= HF_PERMIT_INSIDE;
        break;
    case HF__ALL_HELD:
        *permit = (hf_breaker_permit){.gen = probe->gen, .slot = -1, .flags = HF_PERMIT_INSIDE};
        break;
    case HF__GEN_IS_OVER:
        return false;
    }
    hf_count(&b->admitted, 1);
    return true;
}

/* Whether hf_breaker_admit_inside() would admit one. */
HF_RARE bool
hf_breaker_peek_inside(hf_breaker *b, const hf_breaker_permit *probe, int64_t now_ns)
{
    return hf__lease_is_held(b, probe, now_ns);
}

/*
 * What nearly every call meets while a dependency is down: refused at now_ns, and at any time within
 * slack_ns of that, so who knows the time only roughly need not know it better. It is forced open, or
 * both ends of its opening are further away.
 * Returns the ns that are left, -1 when forced open, and the call is counted as rejected; or 0: nothing
 * was done, and hf_breaker_admit_slow() decides.
 */
static inline int64_t
hf_breaker_refuse_fast(hf_breaker *b, int64_t now_ns, int64_t slack_ns)
{
    const uint64_t w = hf_load_acquire(&b->word);
    /* Acquire pairs with the CAS in hf__breaker_open(), as the look at the word before it did. */
    const int64_t until = hf_load_acquire(&b->until_ns);
    int64_t left = hf_ns_sub(until, now_ns);
    if (HF_BREAKER_STATE(w) == HF_FORCED_OPEN)
        left = -1;
    else if (HF_BREAKER_STATE(w) != HF_OPEN || until < HF__OPENING_END || left <= slack_ns ||
             left >= hf_load_relaxed(&b->longest_open_ns) -
                         slack_ns) /* an old time would find too much left */
        return 0;
    hf__breaker_count_rejected(b);
    return left;
}

/*
 * After a refusal, let the call run all the same: what it proves is counted and decides nothing. The
 * refusal stays counted, since no count may fall under who reads it: whoever observes rejects nothing,
 * and shows the observed calls instead.
 */
static inline void
hf_breaker_admit_observed(hf_breaker *b, hf_breaker_permit *permit)
{
    *permit = (hf_breaker_permit){
        .gen = HF_BREAKER_GEN(hf_load_acquire(&b->word)), .slot = -1, .flags = HF_PERMIT_OBSERVED};
    hf_count(&b->observed, 1);
    hf_count(&b->admitted, 1);
}

/* --- ends of a permit ------------------------------------------------------------------------ */

/* Whether this permit has no account here: it was never counted, or is a parent process's. */
static inline bool
hf__permit_is_foreign(const hf_breaker *b, const hf_breaker_permit *permit)
{
    return (permit->flags & HF_PERMIT_SILENT) || permit->gen < hf_load_relaxed(&b->oldest_gen);
}

/*
 * The success of a call on a breaker that is closed, without failures in a row, a window or slow
 * calls: count it. False: nothing was done; hf_breaker_settle() it.
 */
static inline bool
hf_breaker_settle_fast(hf_breaker *b, const hf_breaker_permit *permit)
{
    /* Relaxed: nothing else is read on the strength of this word. */
    if (!b->plain || hf_load_relaxed(&b->word) != HF_BREAKER_WORD(permit->gen, 0, 0, HF_CLOSED))
        return false;
    hf__breaker_count(b, succeeded);
    return true;
}

HF_RARE hf_change
hf__breaker_settle_slow(hf_breaker *b, const hf_breaker_permit *permit, int outcome, bool slow,
                        int64_t now_ns)
{
    hf_change change = {.happened = false};
    if (hf__permit_is_foreign(b, permit))
        return change;
    hf_count_release(outcome == HF_SUCCESS   ? &b->succeeded
                     : outcome == HF_FAILURE ? &b->failed
                                             : &b->ignored,
                     1);
    if (slow)
        hf_count(&b->slow, 1);
    if (permit->flags & HF_PERMIT_OBSERVED)
        return change;

    const uint64_t w = hf_load_acquire(&b->word);
    bool in_time = HF_BREAKER_GEN(w) == permit->gen;
    if (in_time)
        in_time = HF_BREAKER_STATE(w) == HF_HALF_OPEN
                      ? hf__breaker_end_probe(b, w, permit->flags & HF_PERMIT_INSIDE, outcome, slow,
                                              now_ns, &change)
                      : hf__breaker_end_call(b, w, outcome, slow, now_ns, &change);
    if (!in_time)
        hf_count(&b->late, 1);
    else if (outcome != HF_IGNORED)
        hf__breaker_stamp(outcome == HF_FAILURE ? &b->last_failure_ns : &b->last_success_ns,
                          now_ns);
    hf__lease_release(b, permit);
    return change;
}

/*
 * The call of this permit ended: outcome is HF_SUCCESS, HF_FAILURE or HF_IGNORED (no verdict).
 * duration_ns is how long it ran, -1 if unknown, in which case it is not slow.
 */
static inline hf_change
hf_breaker_settle(hf_breaker *b, const hf_breaker_permit *permit, int outcome, int64_t duration_ns,
                  int64_t now_ns)
{
    const bool slow =
        outcome != HF_IGNORED && b->config.slow_ns > 0 && duration_ns >= b->config.slow_ns;
    if (outcome != HF_SUCCESS || slow || permit->flags ||
        hf_load_acquire(&b->word) != HF_BREAKER_WORD(permit->gen, 0, 0, HF_CLOSED))
        return hf__breaker_settle_slow(b, permit, outcome, slow, now_ns);

    /* A success on a healthy breaker: it joins the window, which seldom is worth a look. */
    hf__breaker_count(b, succeeded);
    hf__breaker_stamp(&b->last_success_ns, now_ns);
    hf__breaker_record(b, permit->gen, HF_SUCCESS, false, now_ns);
    if (HF_UNLIKELY(hf__breaker_is_troubled(b, permit->gen, now_ns)))
        return hf__breaker_judge(b, permit->gen, now_ns);
    return (hf_change){.happened = false};
}

/* The call was cancelled, or its permit was lost: the slot is free again, nothing is proven. */
static inline void
hf_breaker_abandon(hf_breaker *b, const hf_breaker_permit *permit)
{
    if (hf__permit_is_foreign(b, permit))
        return;
    hf_count_release(&b->abandoned, 1);
    hf__lease_release(b, permit);
}

/* The call never ran, since a policy further in refused it: as if it had not been admitted. */
static inline void
hf_breaker_undo(hf_breaker *b, const hf_breaker_permit *permit)
{
    if (hf__permit_is_foreign(b, permit))
        return;
    hf_count(&b->admitted, UINT64_MAX); /* one less */
    if (permit->flags & HF_PERMIT_OBSERVED)
        hf_count(&b->unobserved, 1);
    hf__lease_release(b, permit);
}

/* --- by a health check ------------------------------------------------------------------------ */

#define HF_NO_OPENING UINT64_MAX

/*
 * The opening that this word is of: the generation that it began. A half-open period belongs to the opening that
 * it follows, which no failure came after. HF_NO_OPENING in other states.
 */
static inline uint64_t
hf__breaker_opening(uint64_t w)
{
    const unsigned state = HF_BREAKER_STATE(w);
    if (state == HF_OPEN)
        return HF_BREAKER_GEN(w);
    return state == HF_HALF_OPEN ? HF_BREAKER_GEN(w - HF_BREAKER_WORD(1, 0, 0, 0)) : HF_NO_OPENING;
}

/* What evidence belongs to that begins now: the generation, and the opening. */
typedef struct hf_breaker_period {
    uint64_t gen, opening;
} hf_breaker_period;

static inline hf_breaker_period
hf_breaker_period_now(const hf_breaker *b)
{
    const uint64_t w = hf_load_acquire(&b->word);
    return (hf_breaker_period){.gen = HF_BREAKER_GEN(w), .opening = hf__breaker_opening(w)};
}

/*
 * Close a breaker that is open or half-open, by evidence that began in this opening. Evidence of an earlier one,
 * or of a period that a failed probe has ended, moves nothing; nor does any move other states.
 */
HF_RARE hf_change
hf_breaker_close_opening(hf_breaker *b, uint64_t opening)
{
    hf_change change = {.happened = false};
    for (;;) {
        const uint64_t w = hf_load_acquire(&b->word);
        if (opening == HF_NO_OPENING || hf__breaker_opening(w) != opening)
            return change;
        if (hf__breaker_move(b, w, HF_CLOSED, 0, &change)) {
            change.rule = HF_RULE_HEALTH;
            return change;
        }
    }
}

/*
 * Open a breaker that is closed or half-open, by evidence that began in this generation. From half-open it is a
 * failed recovery, as by a failed probe.
 */
HF_RARE hf_change
hf_breaker_open_generation(hf_breaker *b, uint64_t gen, uint32_t failures, int64_t now_ns)
{
    hf_change change = {.happened = false};
    const uint64_t w = hf_load_acquire(&b->word);
    const unsigned state = HF_BREAKER_STATE(w);
    if (state != HF_CLOSED && state != HF_HALF_OPEN)
        return change;
    const unsigned reopens = state == HF_HALF_OPEN ? hf__breaker_reopens_next(w) : 0;
    /* It moves nothing if w is of another generation. */
    hf__breaker_trip(b, gen, reopens, now_ns, HF_RULE_HEALTH, failures, 0, &change);
    return change;
}

/* --- by hand --------------------------------------------------------------------------------- */

/*
 * Put the breaker into a state. Begins a generation in any case, so calls in flight become late
 * and counts and windows start empty; no change happened if it was in that state before. Opening
 * an open breaker starts its open time again.
 */
HF_RARE hf_change
hf_breaker_override(hf_breaker *b, enum hf_state to, int64_t now_ns)
{
    hf_change change = {.happened = false};
    for (;;) {
        const uint64_t w = hf_load_acquire(&b->word);
        const unsigned reopens = to == HF_HALF_OPEN ? HF_BREAKER_REOPENS(w) : 0;
        if (to == HF_OPEN ? hf__breaker_open(b, HF_BREAKER_GEN(w), 0, now_ns, &change)
                          : hf__breaker_move(b, w, to, reopens, &change)) {
            change.rule = HF_RULE_BY_HAND;
            return change;
        }
    }
}

/*
 * Change the rules while calls are in flight: what ends from now on is judged by the new ones, an opening
 * that is under way keeps its deadline. The ranges are those of the configuration.
 */
HF_RARE void
hf_breaker_tune(hf_breaker *b, uint32_t failure_threshold, uint32_t success_threshold,
                int64_t reset_ns)
{
    hf__breaker_set_rules(b, failure_threshold, success_threshold, reset_ns);
}

/*
 * Say how many failures in a row there are, of a CLOSED or METRICS_ONLY breaker, or how many successes, of one
 * that is HALF_OPEN. No rule is asked: the next end of a call does that. A pause of failure_reset_ns since the
 * last failure ends it as any other. False: it is in another state.
 */
HF_RARE bool
hf_breaker_set_run(hf_breaker *b, uint32_t run)
{
    uint64_t w = hf_load_acquire(&b->word);
    for (;;) {
        const unsigned state = HF_BREAKER_STATE(w);
        if (state != HF_CLOSED && state != HF_METRICS_ONLY && state != HF_HALF_OPEN)
            return false;
        const uint64_t next = HF_BREAKER_WORD(HF_BREAKER_GEN(w), run, HF_BREAKER_REOPENS(w), state);
        if (hf_cas_weak_acq_rel(&b->word, &w, next))
            return true;
    }
}

/*
 * In a child process after fork, while it has one thread: counts start at zero, calls in flight are the
 * parent's. Their permits count nothing here any more, their slots are free; state and run stay, the
 * window starts empty.
 */
HF_RARE void
hf_breaker_forget(hf_breaker *b, uint64_t seed)
{
    hf_au64 *counts[] = {&b->admitted, &b->succeeded, &b->failed,     &b->ignored, &b->abandoned,
                         &b->rejected, &b->observed,  &b->unobserved, &b->late,    &b->slow};
    const uint64_t w = hf_load_relaxed(&b->word);
    if (hf_breaker_admitted(b) != 0) { /* else nobody has a permit, and the window is empty */
        const uint64_t next = w + HF_BREAKER_WORD(1, 0, 0, 0);
        hf_store_relaxed(&b->word, next);
        hf_store_relaxed(&b->oldest_gen, HF_BREAKER_GEN(next));
    }
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        hf_count_forget(counts[i]);
#ifdef HF_STRIPED
    for (int i = 0; i < HF_STRIPES; i++) {
        hf_au64 *shares[] = HF__STRIPE_COUNTS(&b->stripe[i]);
        for (size_t k = 0; k < sizeof shares / sizeof *shares; k++)
            hf_count_forget(shares[k]);
    }
#endif
    for (uint32_t i = 0; i < b->config.half_open_max; i++)
        hf_count_forget(&b->leases[i]);
    for (unsigned i = 0; i < HF_STATES * HF_STATES; i++)
        if (hf_load_relaxed(&b->changes[i / HF_STATES][i % HF_STATES]) != 0)
            hf_store_relaxed(&b->changes[i / HF_STATES][i % HF_STATES], 0);
    if (b->began != HF_BREAKER_STATE(w))
        b->began = (uint8_t)HF_BREAKER_STATE(w);
    if (b->config.reset_jitter > 0)
        hf_random_forget(&b->rng, seed);
}

/* --- questions: none of them changes anything ------------------------------------------------ */

static inline enum hf_state
hf_breaker_state(const hf_breaker *b)
{
    return (enum hf_state)HF_BREAKER_STATE(hf_load_acquire(&b->word));
}

/* Failures in a row of a CLOSED or METRICS_ONLY breaker, successes of a half-open one, else 0. */
static inline uint32_t
hf_breaker_run(const hf_breaker *b)
{
    return HF_BREAKER_COUNT(hf_load_acquire(&b->word));
}

/* Failures in a row as of now: none after a pause of failure_reset_ns, nor in other states. */
static inline uint32_t
hf_breaker_failures_in_a_row(const hf_breaker *b, int64_t now_ns)
{
    const uint64_t w = hf_load_acquire(&b->word);
    const bool counts_them =
        HF_BREAKER_STATE(w) == HF_CLOSED || HF_BREAKER_STATE(w) == HF_METRICS_ONLY;
    return counts_them && !hf__breaker_has_paused(b, now_ns) ? HF_BREAKER_COUNT(w) : 0;
}

/* Calls admitted and not ended. Exact when nobody is under way, never below 0. */
static inline uint64_t
hf_breaker_in_flight(const hf_breaker *b)
{
    /* Ends before beginnings: the other way round, calls that come and go in between would hide others.
       Acquire pairs with the release of counting an end: the beginnings of these calls are seen. */
    uint64_t ended = hf_breaker_succeeded(b) + hf_load_acquire(&b->failed) +
                     hf_load_acquire(&b->ignored) + hf_load_acquire(&b->abandoned);
    uint64_t admitted = hf_breaker_admitted(b);
    return admitted > ended ? admitted - ended : 0;
}

/* Probes under way whose deadline has not passed. */
static inline uint32_t
hf_breaker_probes(const hf_breaker *b, int64_t now_ns)
{
    const uint64_t w = hf_load_acquire(&b->word);
    return HF_BREAKER_STATE(w) == HF_HALF_OPEN ? hf__leases_held(b, HF_BREAKER_GEN(w), now_ns) : 0;
}

/* Whether a call would be admitted at this moment. */
static inline bool
hf_breaker_peek(const hf_breaker *b, int64_t now_ns)
{
    const uint64_t w = hf_load_acquire(&b->word);
    switch (HF_BREAKER_STATE(w)) {
    case HF_FORCED_OPEN:
        return false;
    case HF_OPEN:
        return hf__breaker_left_ns(b, w, now_ns) <= 0;
    case HF_HALF_OPEN:
        return hf__leases_held(b, HF_BREAKER_GEN(w), now_ns) < b->config.half_open_max;
    default:
        return true;
    }
}

/*
 * Nanoseconds until asking again may help: what is left of an opening, 0 when it is over or the
 * breaker is half-open (a slot is free as soon as a probe ends), -1 for FORCED_OPEN: no timer ends it.
 */
static inline int64_t
hf_breaker_retry_after_ns(const hf_breaker *b, int64_t now_ns)
{
    const uint64_t w = hf_load_acquire(&b->word);
    const unsigned state = HF_BREAKER_STATE(w);
    if (state == HF_FORCED_OPEN)
        return -1;
    const int64_t left = state == HF_OPEN ? hf__breaker_left_ns(b, w, now_ns) : 0;
    return left > 0 ? left : 0;
}

#endif /* HF_BREAKER_H */
