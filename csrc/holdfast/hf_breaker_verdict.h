/*
 * What the end of a call proves about the breaker that admitted it: runs of failures, rates of the
 * window, and the fate of a half-open period. Not here: counters, leases, and permits.
 */
#ifndef HF_BREAKER_VERDICT_H
#define HF_BREAKER_VERDICT_H

#include "hf_breaker_move.h"
#include "hf_breaker_state.h"

static inline void
hf__breaker_record(hf_breaker *b, uint64_t gen, int outcome, bool slow, int64_t now_ns)
{
    if (b->config.window_kind == HF_WINDOW_COUNT)
        hf_count_window_record(hf__breaker_count_window(b), gen, outcome, slow);
    else if (b->config.window_kind == HF_WINDOW_TIME)
        hf_time_window_record(hf__breaker_time_window(b), gen, now_ns, outcome, slow);
}

/* The window of the present generation; all zero without one. */
static inline hf_tally
hf_breaker_tally(const hf_breaker *b, int64_t now_ns)
{
    const uint64_t gen = HF_BREAKER_GEN(hf_load_acquire(&b->word));
    if (b->config.window_kind == HF_WINDOW_COUNT)
        return hf_count_window_read(hf__breaker_count_window(b), gen);
    if (b->config.window_kind == HF_WINDOW_TIME)
        return hf_time_window_read(hf__breaker_time_window(b), gen, now_ns);
    return (hf_tally){0, 0, 0, 0};
}

/*
 * Remember the latest time. Threads' times may come out of order (trap 25).
 * Release pairs with the acquire in hf__breaker_has_paused(): who knows a failure by its time meets
 * it in the run as well, and does not lengthen the one that a pause had ended before it.
 */
static inline void
hf__breaker_stamp(hf_ai64 *word, int64_t now_ns)
{
    int64_t last = hf_load_relaxed(word);
    while (last < now_ns && !hf_cas_weak_release(word, &last, now_ns))
        ;
}

static inline uint32_t
hf__as_u32(uint64_t n)
{
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* Which rate the window of a closed breaker breaks: of both, the failure rate. */
static inline enum hf_rule
hf__breaker_broken_rate(const hf_breaker_config *c, hf_tally t)
{
    if (t.calls < c->min_calls)
        return HF_RULE_NONE;
    if (c->failure_rate_ppb && hf_tally_reaches(t.failures, t.calls, c->failure_rate_ppb))
        return HF_RULE_FAILURE_RATE;
    if (c->slow_rate_ppb && hf_tally_reaches(t.slow, t.calls, c->slow_rate_ppb))
        return HF_RULE_SLOW_RATE;
    return HF_RULE_NONE;
}

/* Open a breaker that is in generation `gen` by a rule, with its figures. False: the generation is over. */
HF_RARE bool
hf__breaker_trip(hf_breaker *b, uint64_t gen, unsigned reopens, int64_t now_ns, enum hf_rule rule,
                 uint64_t count, uint64_t calls, hf_change *change)
{
    if (!hf__breaker_open(b, gen, reopens, now_ns, change))
        return false;
    change->rule = (uint8_t)rule;
    change->count = hf__as_u32(count);
    change->calls = hf__as_u32(calls);
    return true;
}

/*
 * Judge a closed breaker by its window. A success is worth judging too while there are failures in
 * the window: it may be the call that makes up min_calls.
 */
HF_RARE hf_change
hf__breaker_judge(hf_breaker *b, uint64_t gen, int64_t now_ns)
{
    hf_change change = {.happened = false};
    const uint64_t w = hf_load_acquire(&b->word);
    if (HF_BREAKER_GEN(w) != gen || HF_BREAKER_STATE(w) != HF_CLOSED)
        return change;
    const hf_tally t = hf_breaker_tally(b, now_ns);
    const enum hf_rule rule = hf__breaker_broken_rate(&b->config, t);
    if (rule != HF_RULE_NONE)
        hf__breaker_trip(b, gen, 0, now_ns, rule, rule == HF_RULE_SLOW_RATE ? t.slow : t.failures,
                         t.calls, &change);
    return change;
}

static inline bool
hf__breaker_is_troubled(const hf_breaker *b, uint64_t gen, int64_t now_ns)
{
    if (b->config.window_kind == HF_WINDOW_TIME)
        return hf_time_window_has_failures(hf__breaker_time_window(b), gen, now_ns);
    if (b->config.window_kind == HF_WINDOW_NONE)
        return false;
    return hf_count_window_has_failures(hf__breaker_count_window(b));
}

/* Whether the last failure, if any, is so long ago that those before now are no run any more. */
static inline bool
hf__breaker_has_paused(const hf_breaker *b, int64_t now_ns)
{
    const int64_t pause = hf_ns_sub(now_ns, hf_load_acquire(&b->last_failure_ns));
    return b->config.failure_reset_ns > 0 && pause >= b->config.failure_reset_ns;
}

/*
 * A failure in a row more, in CLOSED or METRICS_ONLY. False: the generation is over.
 * The run and the time of its last failure are two words: of failures that race at the end of a
 * pause of failure_reset_ns, both may start the run at 1. It is never too long.
 */
static inline bool
hf__breaker_add_failure(hf_breaker *b, uint64_t w, int64_t now_ns, hf_change *change)
{
    const uint64_t gen = HF_BREAKER_GEN(w);
    while (HF_BREAKER_GEN(w) == gen) {
        const uint32_t run = hf__breaker_has_paused(b, now_ns) ? 1 : HF_BREAKER_COUNT(w) + 1;
        const unsigned state = HF_BREAKER_STATE(w);
        const uint32_t threshold = hf_load_relaxed(&b->failure_threshold);
        if (state == HF_CLOSED && threshold != 0 && run >= threshold)
            return hf__breaker_trip(b, gen, 0, now_ns, HF_RULE_FAILURES, run, 0, change);
        const uint32_t count = run < HF_BREAKER_COUNT_MOST ? run : HF_BREAKER_COUNT_MOST;
        if (hf_cas_weak_acq_rel(&b->word, &w, HF_BREAKER_WORD(gen, count, 0, state)))
            return true;
    }
    return false;
}

/* The end of a run of failures. False: the generation is over. */
static inline bool
hf__breaker_end_run(hf_breaker *b, uint64_t w)
{
    const uint64_t gen = HF_BREAKER_GEN(w);
    while (HF_BREAKER_GEN(w) == gen) {
        const uint64_t next = HF_BREAKER_WORD(gen, 0, 0, HF_BREAKER_STATE(w));
        if (w == next || hf_cas_weak_acq_rel(&b->word, &w, next))
            return true;
    }
    return false;
}

/* A call of the present generation of a CLOSED or METRICS_ONLY breaker ended. False: too late. */
static inline bool
hf__breaker_end_call(hf_breaker *b, uint64_t w, int outcome, bool slow, int64_t now_ns,
                     hf_change *change)
{
    const uint64_t gen = HF_BREAKER_GEN(w);
    hf__breaker_record(b, gen, outcome, slow, now_ns);
    if (outcome == HF_IGNORED)
        return true;
    if (outcome == HF_FAILURE ? !hf__breaker_add_failure(b, w, now_ns, change)
                              : !hf__breaker_end_run(b, w))
        return false;
    if (!change->happened && hf__breaker_is_troubled(b, gen, now_ns))
        *change = hf__breaker_judge(b, gen, now_ns);
    return true;
}

/* The failed recoveries in a row, once that of the half-open period w has failed too. */
static inline unsigned
hf__breaker_reopens_next(uint64_t w)
{
    const unsigned reopens = HF_BREAKER_REOPENS(w) + 1;
    return reopens < HF_BREAKER_REOPENS_MOST ? reopens : HF_BREAKER_REOPENS_MOST;
}

/*
 * A probe of the present half-open period ended, or a call `inside` of one, whose success is left to the
 * probe's own end: else one call would count as several. False: too late.
 */
static inline bool
hf__breaker_end_probe(hf_breaker *b, uint64_t w, bool inside, int outcome, bool slow,
                      int64_t now_ns, hf_change *change)
{
    const uint64_t gen = HF_BREAKER_GEN(w);
    if (outcome == HF_IGNORED)
        return true;
    if (outcome == HF_FAILURE || (slow && b->config.slow_rate_ppb)) {
        return hf__breaker_trip(b, gen, hf__breaker_reopens_next(w), now_ns,
                                outcome == HF_FAILURE ? HF_RULE_PROBE_FAILED : HF_RULE_PROBE_SLOW,
                                1, 0, change);
    }
    if (inside)
        return true;
    while (HF_BREAKER_GEN(w) == gen) {
        if (HF_BREAKER_COUNT(w) + 1 >= hf_load_relaxed(&b->success_threshold)) {
            if (hf__breaker_move(b, w, HF_CLOSED, 0, change))
                return true;
            w = hf_load_acquire(&b->word);
        } else if (hf_cas_weak_acq_rel(&b->word, &w, w + HF_BREAKER_WORD(0, 1, 0, 0))) {
            return true;
        }
    }
    return false;
}

#endif /* HF_BREAKER_VERDICT_H */
