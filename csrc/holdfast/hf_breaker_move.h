/*
 * Moves of a breaker from state to state, and the deadline of an opening.
 *
 *   from \ to      CLOSED               HALF_OPEN          OPEN                          others
 *   CLOSED         -                    by hand            a rule is broken; by hand     by hand
 *   HALF_OPEN      enough successes     -                  a failed or slow probe        by hand
 *   OPEN           by hand              until_ns passed    -                             by hand
 * A health check closes OPEN and HALF_OPEN, and opens CLOSED and HALF_OPEN.
 *   others         by hand              by hand            by hand                       by hand
 *
 * Every move is one CAS on the word and begins a generation. Nothing else says which state it is.
 */
#ifndef HF_BREAKER_MOVE_H
#define HF_BREAKER_MOVE_H

#include "hf_breaker_state.h"

/*
 * Move from exactly the word w. False: it is another word by now (or the weak CAS failed).
 * Release pairs with the acquire load of the word in hf_breaker_admit() and everywhere else: who
 * sees OPEN sees its deadline. Acquire: the deadline of an earlier opening is not read late.
 * Moving to the same state begins a generation too, and is no change.
 */
static inline bool
hf__breaker_move(hf_breaker *b, uint64_t w, enum hf_state to, unsigned reopens, hf_change *change)
{
    const unsigned from = HF_BREAKER_STATE(w);
    const uint64_t next = HF_BREAKER_WORD(HF_BREAKER_GEN(w) + 1, 0, reopens, to);
    if (!hf_cas_weak_acq_rel(&b->word, &w, next))
        return false;
    *change = (hf_change){.from = (uint8_t)from,
                          .to = (uint8_t)to,
                          .happened = from != to,
                          .gen = HF_BREAKER_GEN(next)};
    if (change->happened)
        hf_count(&b->changes[from][to], 1);
    return true;
}

/*
 * until_ns holds a deadline, or the mark that the opening which begins generation `gen` is being
 * made. Marks are the lowest numbers there are, which no deadline is.
 */
#define HF__OPENING(gen) (INT64_MIN + (int64_t)(gen))
#define HF__OPENING_END HF__OPENING(UINT64_C(1) << 35)

/* The deadline of an opening that begins at now_ns; draws the jitter. */
static inline int64_t
hf__breaker_deadline(hf_breaker *b, unsigned reopens, int64_t now_ns)
{
    const double u = b->config.reset_jitter > 0 ? hf_random_unit(&b->rng) : 0;
    const int64_t until = hf_ns_add(
        now_ns, hf__breaker_open_ns(&b->config, hf_load_relaxed(&b->reset_ns), reopens, u));
    return until > HF__OPENING_END ? until : HF__OPENING_END;
}

/*
 * Set the deadline of the opening that the caller made, and that began generation `gen`, unless that
 * is over. It may replace one that hf__breaker_mend() put there, by what was known of the opening
 * before or while this one was being made.
 */
HF_RARE void
hf__breaker_set_deadline(hf_breaker *b, uint64_t gen, int64_t until)
{
    int64_t seen = hf_load_acquire(&b->until_ns);
    do {
        if (HF_BREAKER_GEN(hf_load_acquire(&b->word)) != gen)
            return;
    } while (!hf_cas_weak_acq_rel(&b->until_ns, &seen, until));
}

/*
 * Open a breaker that is in generation `gen`. False: the generation is over, nothing was moved.
 *
 * Mark, move, deadline, so that nobody sees OPEN with an old deadline, and only who moved the word
 * sets the new one. Who is slow, a loser or the maker, cannot disturb the opening it lost to, nor a
 * later one: it replaces only the deadline it read before it found the word still in its generation,
 * and each opening has put others in its place. Were one equal, since time stood still, the worst is a
 * mark, which hf__breaker_mend() removes, or a deadline that is too early.
 */
HF_RARE bool
hf__breaker_open(hf_breaker *b, uint64_t gen, unsigned reopens, int64_t now_ns, hf_change *change)
{
    const int64_t until = hf__breaker_deadline(b, reopens, now_ns);
    const int64_t mark = HF__OPENING(HF_BREAKER_GEN(HF_BREAKER_WORD(gen + 1, 0, 0, 0)));
    for (;;) {
        /* Acquire keeps the look at the word behind it. */
        int64_t seen = hf_load_acquire(&b->until_ns);
        uint64_t w = hf_load_acquire(&b->word);
        if (HF_BREAKER_GEN(w) != gen)
            return false;
        if (seen != mark && !hf_cas_weak_acq_rel(&b->until_ns, &seen, mark))
            continue;
        if (hf__breaker_move(b, w, HF_OPEN, reopens, change))
            break;
    }
    hf__breaker_set_deadline(b, change->gen, until);
    return true;
}

/*
 * How much is left of the opening w; <= 0: it is over. An opening under way begins now. A caller
 * whose time is older than the opening has more left than the opening is long.
 */
static inline int64_t
hf__breaker_left_ns(const hf_breaker *b, uint64_t w, int64_t now_ns)
{
    /* Acquire pairs with the CAS in hf__breaker_open(), as the look at the word before it did. */
    const int64_t until = hf_load_acquire(&b->until_ns);
    if (HF_UNLIKELY(until < HF__OPENING_END))
        return hf__breaker_open_ns(&b->config, hf_load_relaxed(&b->reset_ns), HF_BREAKER_REOPENS(w),
                                   0);
    return hf_ns_sub(until, now_ns);
}

/*
 * Set the deadline of the opening w, by the time of a caller that was refused, if the thread that
 * made the opening was stopped or killed before it set the deadline. Only a mark that was there
 * during w is replaced. A deadline never is: policy time does not step back (hf_clock.h), so a
 * caller that finds more left than an opening lasts has an old time, and the deadline is right.
 */
static inline void
hf__breaker_mend(hf_breaker *b, uint64_t w, int64_t now_ns)
{
    int64_t until = hf_load_acquire(&b->until_ns);
    while (HF_UNLIKELY(until < HF__OPENING_END) && hf_load_acquire(&b->word) == w) {
        const int64_t mended = hf__breaker_deadline(b, HF_BREAKER_REOPENS(w), now_ns);
        if (hf_cas_weak_acq_rel(&b->until_ns, &until, mended))
            return;
    }
}

#endif /* HF_BREAKER_MOVE_H */
