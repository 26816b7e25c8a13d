/*
 * Chaos: whether a fault is injected into a call, decided by the seed and the number of the call alone.
 *
 * The calls of a fault are numbered from 0. The number takes part in the draw, and nothing else changes with
 * a draw: so the same seed and the same order of calls give the same faults, whatever the threads.
 *
 * A fault is armed until a time; until then it strikes by chance, or, in an episode, always. Two bounds hold
 * in any case: the time, and how many injections are left. What is injected is the caller's business.
 */
#ifndef HF_CHAOS_H
#define HF_CHAOS_H

#include "hf_atomic.h"
#include "hf_clock.h"

#define HF_CHAOS_DISARMED INT64_MIN
#define HF_CHAOS_ONE (UINT64_C(1) << 53) /* probability 1 */
#define HF_CHAOS_NO_NUMBER UINT64_MAX

typedef struct hf_chaos {
    hf_au64 seed;
    hf_au64 calls;       /* the number of the next call; starts at 0 whenever the fault is armed */
    hf_au64 probability; /* 0 to HF_CHAOS_ONE */
    hf_ai64 until_ns;    /* from then on nothing is injected */
    hf_ai64 episode_from_ns, episode_until_ns; /* in between every call is struck */
    hf_au64 left;                              /* injections that are still allowed */
    /* Of the checked calls, injected had the fault; observed would have had it (mode "observe"). */
    hf_au64 checked, injected, observed;
} hf_chaos;

static inline void
hf_chaos_disarm(hf_chaos *k)
{
    hf_store_relaxed(&k->until_ns, HF_CHAOS_DISARMED);
    hf_store_relaxed(&k->episode_from_ns, HF_CHAOS_DISARMED);
    hf_store_relaxed(&k->episode_until_ns, HF_CHAOS_DISARMED);
}

static inline void
hf_chaos_init(hf_chaos *k, uint64_t seed, uint64_t probability)
{
    hf_au64 *counters[] = {&k->calls, &k->left, &k->checked, &k->injected, &k->observed};
    for (unsigned i = 0; i < sizeof counters / sizeof *counters; i++)
        hf_store_relaxed(counters[i], 0);
    hf_store_relaxed(&k->seed, seed);
    hf_store_relaxed(&k->probability, probability);
    hf_chaos_disarm(k);
}

/* In a forked child: counts start at zero. A seed of 0 keeps the seed: somebody wants to replay it. */
static inline void
hf_chaos_forget(hf_chaos *k, uint64_t seed)
{
    hf_count_forget(&k->checked);
    hf_count_forget(&k->injected);
    hf_count_forget(&k->observed);
    if (seed != 0)
        hf_store_relaxed(&k->seed, hf_load_relaxed(&k->seed) ^ seed);
}

/* Strike from here on, until a time, and at most `left` times; the calls are numbered afresh. */
static inline void
hf_chaos_arm(hf_chaos *k, uint64_t seed, int64_t until_ns, uint64_t left)
{
    hf_store_relaxed(&k->seed, seed);
    hf_store_relaxed(&k->calls, 0);
    hf_store_relaxed(&k->left, left);
    hf_store_relaxed(&k->until_ns, until_ns);
}

/* Strike every call from one time until another. */
static inline void
hf_chaos_begin_episode(hf_chaos *k, int64_t from_ns, int64_t until_ns)
{
    hf_store_relaxed(&k->episode_until_ns, until_ns);
    hf_store_relaxed(&k->episode_from_ns, from_ns);
}

static inline bool
hf_chaos_is_armed(const hf_chaos *k, int64_t now_ns)
{
    return now_ns < hf_load_relaxed(&k->until_ns);
}

static inline bool
hf_chaos_in_episode(const hf_chaos *k, int64_t now_ns)
{
    return now_ns >= hf_load_relaxed(&k->episode_from_ns) &&
           now_ns < hf_load_relaxed(&k->episode_until_ns);
}

/*
 * The random 64 bits of a call. Each lane is a sequence of its own: lane 0 says whether the fault strikes, the
 * others are for what it does. The finaliser is SplitMix64's (hf_random.h).
 */
static inline uint64_t
hf_chaos_draw(uint64_t seed, uint64_t number, uint64_t lane)
{
    uint64_t z = seed + (lane + 1) * UINT64_C(0xD1342543DE82EF95);
    for (int round = 0; round < 2; round++) {
        z += (number + 1) * UINT64_C(0x9E3779B97F4A7C15);
        z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
        z ^= z >> 31;
    }
    return z;
}

/* The same as a number in [0, 1). */
static inline double
hf_chaos_unit(uint64_t seed, uint64_t number, uint64_t lane)
{
    return (double)(hf_chaos_draw(seed, number, lane) >> 11) * 0x1p-53;
}

/* Take one of the injections that are left; of UINT64_MAX there are always more. */
static inline bool
hf_chaos_take_one(hf_chaos *k)
{
    uint64_t left = hf_load_relaxed(&k->left);
    do {
        if (left == 0 || left == UINT64_MAX)
            return left != 0;
    } while (!hf_cas_weak_relaxed(&k->left, &left, left - 1));
    return true;
}

/*
 * A call comes. True: the fault strikes it, and one of the injections that are left is taken. `number` is the
 * call's, or HF_CHAOS_NO_NUMBER if nothing is injected at this time.
 */
static inline bool
hf_chaos_check(hf_chaos *k, int64_t now_ns, uint64_t *number)
{
    *number = HF_CHAOS_NO_NUMBER;
    if (!hf_chaos_is_armed(k, now_ns))
        return false;
    *number = hf_fetch_add_relaxed(&k->calls, 1);
    hf_count(&k->checked, 1);
    const uint64_t draw = hf_chaos_draw(hf_load_relaxed(&k->seed), *number, 0) >> 11;
    return (draw < hf_load_relaxed(&k->probability) || hf_chaos_in_episode(k, now_ns)) &&
           hf_chaos_take_one(k);
}

/*
 * The call was not made, and comes again: its number is free if no other call has come since. With `struck`
 * one more injection is left.
 */
static inline void
hf_chaos_give_back(hf_chaos *k, uint64_t number, bool struck)
{
    uint64_t next = number + 1;
    if (number == HF_CHAOS_NO_NUMBER)
        return;
    while (!hf_cas_weak_relaxed(&k->calls, &next, number)) {
        if (next != number + 1)
            break;
    }
    if (struck && hf_load_relaxed(&k->left) != UINT64_MAX)
        (void)hf_fetch_add_relaxed(&k->left, 1);
}

#endif /* HF_CHAOS_H */
