/*
 * Level: how far a component is degraded, from 0 (normal) to 3 (emergency).
 *
 * Down at once, up late: the level is the worst that was asked for within the last `stable_ns`. It is a
 * function of what was asked for when, and of nothing else, so how often anybody looks does not matter.
 * An order by hand wins over that, in both directions, and takes effect at once.
 *
 * One caller at a time changes it; a caller with several sources gives the worst of what they ask for.
 * Whoever reads may do so at any time, also in another process: who sees a level sees that it was
 * counted. Time in a level is counted up to the moment at which somebody counts it: so the counts of an
 * owner that died do not go on, and none ever falls.
 */
#ifndef HF_LEVEL_H
#define HF_LEVEL_H

#include "hf_atomic.h"

enum { HF_LEVELS = 4, HF_LEVEL_PRIORITIES = 4 };

#define HF_LEVEL_UNFORCED HF_LEVELS
#define HF_LEVEL_NEVER INT64_MIN
#define HF_LEVEL_ALWAYS INT64_MAX

typedef struct hf_level {
    hf_au64 level;               /* in force; published last */
    hf_au64 asked;               /* the worst that a source asks for */
    hf_au64 forced;              /* by hand; HF_LEVEL_UNFORCED: nobody does */
    hf_ai64 until_ns[HF_LEVELS]; /* until when it was the worst that was asked for */
    hf_ai64 since_ns;            /* when the level came into force */
    hf_ai64 counted_ns;          /* up to when time is counted */
    hf_au64 changes[HF_LEVELS];  /* into each level */
    hf_au64 spent_ns[HF_LEVELS];
    hf_au64 shed[HF_LEVEL_PRIORITIES]; /* calls, by their priority */
    int64_t stable_ns;                 /* set by init, read-only afterwards */
} hf_level;

static inline void
hf__level_ask_for_nothing(hf_level *k)
{
    hf_store_relaxed(&k->asked, 0);
    for (unsigned level = 0; level < HF_LEVELS; level++)
        hf_store_relaxed(&k->until_ns[level], HF_LEVEL_NEVER);
}

static inline void
hf_level_init(hf_level *k, int64_t stable_ns, int64_t now_ns)
{
    k->stable_ns = stable_ns;
    hf__level_ask_for_nothing(k);
    for (unsigned i = 0; i < HF_LEVELS; i++) {
        hf_store_relaxed(&k->changes[i], 0);
        hf_store_relaxed(&k->spent_ns[i], 0);
    }
    for (unsigned i = 0; i < HF_LEVEL_PRIORITIES; i++)
        hf_store_relaxed(&k->shed[i], 0);
    hf_store_relaxed(&k->forced, HF_LEVEL_UNFORCED);
    hf_store_relaxed(&k->since_ns, now_ns);
    hf_store_relaxed(&k->counted_ns, now_ns);
    hf_store_release(&k->level, 0);
}

/*
 * In a forked child: counts start at zero, and time from the child's first look on. What nobody asks for any
 * more is forgotten: the child has nobody who looks until something changes. The first look changes the level.
 */
static inline void
hf_level_forget(hf_level *k)
{
    for (unsigned i = 0; i < HF_LEVELS; i++) {
        hf_count_forget(&k->changes[i]);
        hf_count_forget(&k->spent_ns[i]);
    }
    for (unsigned i = 0; i < HF_LEVEL_PRIORITIES; i++)
        hf_count_forget(&k->shed[i]);
    hf_store_relaxed(&k->counted_ns, HF_LEVEL_NEVER);
    for (unsigned level = 0; level < HF_LEVELS; level++)
        hf_store_relaxed(&k->until_ns[level], HF_LEVEL_NEVER);
}

/* The level in force. Acquire pairs with the release in hf_level_look(): the count of the change is there. */
static inline uint64_t
hf_level_get(const hf_level *k)
{
    return hf_load_acquire(&k->level);
}

/* Whether a level was the worst that was asked for, within the last stable_ns, or a worse one is now. */
static inline bool
hf__level_is_due(const hf_level *k, uint64_t level, int64_t now_ns)
{
    const int64_t until = hf_load_relaxed(&k->until_ns[level]);
    return hf_load_relaxed(&k->asked) >= level ||
           (until != HF_LEVEL_NEVER && now_ns < until + k->stable_ns);
}

/* The level that is to be in force. */
static inline uint64_t
hf_level_wanted(const hf_level *k, int64_t now_ns)
{
    const uint64_t forced = hf_load_relaxed(&k->forced);
    uint64_t level = HF_LEVELS - 1;
    if (forced != HF_LEVEL_UNFORCED)
        return forced;
    while (level > 0 && !hf__level_is_due(k, level, now_ns))
        level--;
    return level;
}

/* Time in the level in force that is not counted yet. */
static inline uint64_t
hf_level_uncounted_ns(const hf_level *k, int64_t now_ns)
{
    const int64_t counted = hf_load_relaxed(&k->counted_ns);
    return counted != HF_LEVEL_NEVER && now_ns > counted ? (uint64_t)(now_ns - counted) : 0;
}

/* Count time up to now. Any number of callers: each moment is counted once. */
static inline void
hf_level_count(hf_level *k, int64_t now_ns)
{
    const uint64_t level = hf_load_relaxed(&k->level);
    int64_t counted = hf_load_relaxed(&k->counted_ns);
    do {
        if (now_ns <= counted)
            return;
    } while (!hf_cas_weak_relaxed(&k->counted_ns, &counted, now_ns));
    if (counted != HF_LEVEL_NEVER)
        hf_count(&k->spent_ns[level], (uint64_t)(now_ns - counted));
}

/*
 * Count time up to now, and change to the level that is to be in force. True: it is another than before.
 * One caller at a time.
 */
static inline bool
hf_level_look(hf_level *k, int64_t now_ns)
{
    const uint64_t before = hf_load_relaxed(&k->level), wanted = hf_level_wanted(k, now_ns);
    hf_level_count(k, now_ns);
    if (wanted == before)
        return false;
    hf_store_relaxed(&k->since_ns, now_ns);
    hf_count(&k->changes[wanted], 1);
    hf_store_release(&k->level, wanted);
    return true;
}

/* From now on this level is the worst that is asked for. True: another one is in force. One caller at a time. */
static inline bool
hf_level_ask(hf_level *k, uint64_t asked, int64_t now_ns)
{
    hf_store_relaxed(&k->until_ns[hf_load_relaxed(&k->asked)], now_ns);
    hf_store_relaxed(&k->asked, asked);
    return hf_level_look(k, now_ns);
}

/* Order a level, or with HF_LEVEL_UNFORCED none. True: another one is in force. One caller at a time. */
static inline bool
hf_level_force(hf_level *k, uint64_t forced, int64_t now_ns)
{
    hf_store_relaxed(&k->forced, forced);
    return hf_level_look(k, now_ns);
}

/* Forget what was asked for, also within the last stable_ns. True: another level is in force. One caller at a time. */
static inline bool
hf_level_recover(hf_level *k, int64_t now_ns)
{
    hf__level_ask_for_nothing(k);
    return hf_level_look(k, now_ns);
}

/* When the level in force ends if nobody asks for anything else; HF_LEVEL_ALWAYS: time does not end it. */
static inline int64_t
hf_level_ends_ns(const hf_level *k)
{
    const uint64_t level = hf_load_relaxed(&k->level);
    if (level == 0 || hf_load_relaxed(&k->forced) != HF_LEVEL_UNFORCED ||
        hf_load_relaxed(&k->asked) >= level)
        return HF_LEVEL_ALWAYS;
    const int64_t until = hf_load_relaxed(&k->until_ns[level]);
    return until == HF_LEVEL_NEVER ? until : until + k->stable_ns;
}

#endif /* HF_LEVEL_H */
