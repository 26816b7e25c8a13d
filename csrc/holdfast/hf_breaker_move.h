/*
 * Moves of a breaker from state to state, and the deadline of an opening.
 *
 *   from \ to      CLOSED               HALF_OPEN          OPEN                          others
 *   CLOSED         -                    by hand            a rule is broken; by hand     by hand
 *   HALF_OPEN      enough successes     -                  a failed or slow probe        by hand
 *   OPEN           by hand              until_ns passed    -                             by hand
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
 * Open a breaker that is in generation `gen`. False: the generation is over, nothing was moved.
 *
 * Deadline first, then the word, so that nobody sees OPEN with an old deadline. A loser that is
 * slow between the two cannot disturb a later opening: it replaces only the deadline that it read
 * before it found the word still in `gen`, and a later opening has put another one in its place
 * (an equal one would be the same deadline).
 */
HF_RARE bool
hf__breaker_open(hf_breaker *b, uint64_t gen, unsigned reopens, int64_t now_ns, hf_change *change)
{
    const double u = b->config.reset_jitter > 0 ? hf_random_unit(&b->rng) : 0;
    const int64_t until = hf_ns_add(now_ns, hf__breaker_open_ns(&b->config, reopens, u));
    for (;;) {
        /* Acquire keeps the look at the word behind it. */
        int64_t seen = hf_load_acquire(&b->until_ns);
        uint64_t w = hf_load_acquire(&b->word);
        if (HF_BREAKER_GEN(w) != gen)
            return false;
        if (!hf_cas_weak_acq_rel(&b->until_ns, &seen, until))
            continue;
        if (hf__breaker_move(b, w, HF_OPEN, reopens, change))
            return true;
    }
}

/*
 * How much of the present opening is left, for a breaker that was seen OPEN; <= 0: it is over.
 * No opening is longer than longest_open_ns, so if more seems left, time has stepped back.
 */
static inline int64_t
hf__breaker_left_ns(const hf_breaker *b, int64_t now_ns)
{
    int64_t left = hf_ns_sub(hf_load_acquire(&b->until_ns), now_ns);
    return left < b->longest_open_ns ? left : b->longest_open_ns;
}

/*
 * After a step back of the time, let the opening w last its longest from here on, instead of the
 * length of the step more. As in hf__breaker_open(), only its own deadline is replaced.
 */
HF_RARE void
hf__breaker_pull_in(hf_breaker *b, uint64_t w, int64_t now_ns)
{
    int64_t until = hf_load_acquire(&b->until_ns);
    while (hf_ns_sub(until, now_ns) > b->longest_open_ns && hf_load_acquire(&b->word) == w) {
        if (hf_cas_weak_acq_rel(&b->until_ns, &until, hf_ns_add(now_ns, b->longest_open_ns)))
            return;
    }
}

#endif /* HF_BREAKER_MOVE_H */
