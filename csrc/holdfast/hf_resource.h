/*
 * Resource: how much of one kind of resource a manager has registered, how much it may, and what became of it.
 *
 * Every registration is one CAS of a word that also says which limit holds: nothing is added on a limit of
 * before, and no limit is set below what is registered. A limit of its own word would not do; both in one word
 * would leave 32 bits for bytes of memory.
 *
 *  63         48 47                               0
 *  +------------+----------------------------------+
 *  |  version   |              active              |    active <= limit[version % 2], always
 *  +------------+----------------------------------+
 *
 * A change fills the other limit and publishes it by the version. A slow thread may read a limit that is filled
 * again: what it makes of that counts only if the version is as it was. (A thread that sleeps through 65,536
 * changes of the limit is not noticed.)
 *
 * What is registered belongs to its kind, and counts as one in a second kernel, that of all kinds. What a
 * registration must know is one answer: whether there was room, and whether it went above 80 %.
 * What is registered, by whom and how it is cleaned, is decided where these functions are called.
 */
#ifndef HF_RESOURCE_H
#define HF_RESOURCE_H

#include "hf_atomic.h"
#include <stddef.h>

enum { HF__RESOURCE_BITS = 48 };

#define HF_RESOURCE_MAX ((UINT64_C(1) << HF__RESOURCE_BITS) - 1) /* the greatest amount */
#define HF_RESOURCE_NO_LIMIT HF_RESOURCE_MAX

/* What a registration or a change of the limit is answered. */
enum hf_resource_answer {
    HF_RESOURCE_FULL,         /* no room in the kind: nothing was done */
    HF_RESOURCE_ALL_FULL,     /* no room in all: nothing was done */
    HF_RESOURCE_DONE,         /* with any of the bits below */
    HF_RESOURCE_HIGH = 4,     /* the kind was not above 80 % of its limit, and is */
    HF_RESOURCE_ALL_HIGH = 8, /* so are all */
};

/* What is counted, in this order. The first three are the ends of a registration. */
typedef enum hf_resource_event {
    HF_RESOURCE_CLEANED,   /* by its manager */
    HF_RESOURCE_RELEASED,  /* by its owner, who has closed it */
    HF_RESOURCE_COLLECTED, /* nobody had a reference any more */
    HF_RESOURCE_LEAK,      /* suspected, once of each */
    HF_RESOURCE_ERROR,     /* its clean-up failed */
    HF_RESOURCE_EVENTS
} hf_resource_event;

enum { HF_RESOURCE_ENDS = HF_RESOURCE_COLLECTED + 1 };

typedef struct hf_resource {
    hf_au64 word;
    hf_au64 limit[2];
    hf_au64 shown; /* the limit that figures show where there is none; 0: none */
    hf_au64
        measured; /* amounts other than 1 were registered: it counts something else than all do */
    hf_au64 created, refused, counted[HF_RESOURCE_EVENTS];
} hf_resource;

static inline uint64_t
hf__resource_active(uint64_t w)
{
    return w & HF_RESOURCE_MAX;
}

static inline uint64_t
hf__resource_version(uint64_t w)
{
    return w >> HF__RESOURCE_BITS;
}

/* Acquire pairs with the release in hf_resource_resize(): whoever reads a limit that was filled again finds
   another version in the word. */
static inline uint64_t
hf__resource_limit(const hf_resource *k, uint64_t w)
{
    return hf_load_acquire(&k->limit[hf__resource_version(w) % 2]);
}

static inline bool
hf__resource_is_high(uint64_t active, uint64_t limit)
{
    return active * 5 > limit * 4;
}

/* limit <= HF_RESOURCE_NO_LIMIT. */
static inline void
hf_resource_init(hf_resource *k, uint64_t limit)
{
    hf_store_relaxed(&k->limit[0], limit);
    hf_store_relaxed(&k->limit[1], limit);
    hf_store_relaxed(&k->shown, 0);
    hf_store_relaxed(&k->measured, 0);
    hf_store_relaxed(&k->created, 0);
    hf_store_relaxed(&k->refused, 0);
    for (unsigned event = 0; event < HF_RESOURCE_EVENTS; event++)
        hf_store_relaxed(&k->counted[event], 0);
    hf_store_release(&k->word, 0);
}

/* In a forked child: what is registered is the parent's, and nothing is counted. Limits stay. */
static inline void
hf_resource_forget(hf_resource *k)
{
    const uint64_t w = hf_load_relaxed(&k->word);
    if (hf__resource_active(w) != 0)
        hf_store_relaxed(&k->word, w & ~HF_RESOURCE_MAX);
    hf_count_forget(&k->created);
    hf_count_forget(&k->refused);
    for (unsigned event = 0; event < HF_RESOURCE_EVENTS; event++)
        hf_count_forget(&k->counted[event]);
}

static inline void
hf_resource_count(hf_resource *k, hf_resource_event event)
{
    hf_count(&k->counted[event], 1);
}

/* Take room for n: HF_RESOURCE_FULL, or HF_RESOURCE_DONE with HF_RESOURCE_HIGH or without. */
static inline unsigned
hf__resource_take(hf_resource *k, uint64_t n)
{
    /* Acquire pairs with the release in hf_resource_resize(): the limit of this version is there. */
    uint64_t w = hf_load_acquire(&k->word), limit;
    do {
        limit = hf__resource_limit(k, w);
        while (hf__resource_active(w) + n > limit) {
            const uint64_t again = hf_load_acquire(&k->word);
            if (hf__resource_version(again) == hf__resource_version(w)) {
                hf_count(&k->refused, 1);
                return HF_RESOURCE_FULL;
            }
            w = again;
            limit = hf__resource_limit(k, w);
        }
    } while (!hf_cas_weak_acq_rel(&k->word, &w, w + n));
    const uint64_t before = hf__resource_active(w);
    return !hf__resource_is_high(before, limit) && hf__resource_is_high(before + n, limit)
               ? HF_RESOURCE_DONE | HF_RESOURCE_HIGH
               : HF_RESOURCE_DONE;
}

/* Give back room for n. False: there is not so much, and nothing was done. */
static inline bool
hf__resource_give(hf_resource *k, uint64_t n)
{
    uint64_t w = hf_load_relaxed(&k->word); /* only a guess; the CAS decides */
    do {
        if (hf__resource_active(w) < n)
            return false;
    } while (!hf_cas_weak_acq_rel(&k->word, &w, w - n));
    return true;
}

/*
 * Register n of a kind, which is one of all. Never blocks.
 *
 * HF_RESOURCE_DONE: the caller must remove() it exactly once. A refusal is counted where there was
 * no room. What another thread has taken and is about to give back, since all are full, is not free.
 */
static inline unsigned
hf_resource_add(hf_resource *k, hf_resource *all, uint64_t n)
{
    unsigned answer = hf__resource_take(k, n);
    if (answer == HF_RESOURCE_FULL)
        return HF_RESOURCE_FULL;
    if (all != NULL) {
        const unsigned its = hf__resource_take(all, 1);
        if (its == HF_RESOURCE_FULL) {
            (void)hf__resource_give(k, n);
            return HF_RESOURCE_ALL_FULL;
        }
        answer |= its & HF_RESOURCE_HIGH ? HF_RESOURCE_ALL_HIGH : 0;
    }
    if (n != 1)
        hf_store_relaxed(&k->measured, 1);
    hf_count(&k->created, 1);
    return answer;
}

/* What was registered has ended in this way. False: it is not registered, and nothing was done. */
static inline bool
hf_resource_remove(hf_resource *k, hf_resource *all, uint64_t n, hf_resource_event end)
{
    if (!hf__resource_give(k, n))
        return false;
    if (all != NULL)
        (void)hf__resource_give(all, 1);
    /* Release pairs with the acquire in hf_resource_counted(). */
    hf_count_release(&k->counted[end], 1);
    return true;
}

/* How often this was counted. Of what has ended, whoever reads `created` after that finds as many in it. */
static inline uint64_t
hf_resource_counted(const hf_resource *k, hf_resource_event event)
{
    return hf_load_acquire(&k->counted[event]);
}

/*
 * Have another limit; limit <= HF_RESOURCE_NO_LIMIT. One caller at a time.
 *
 * HF_RESOURCE_FULL: more than that is registered, and nothing has changed. HF_RESOURCE_DONE: it holds for whatever is added
 * from here on; with HF_RESOURCE_HIGH if what is registered is above 80 % by this change.
 */
static inline unsigned
hf_resource_resize(hf_resource *k, uint64_t limit)
{
    uint64_t w = hf_load_relaxed(&k->word); /* its version changes only here */
    const uint64_t version = (hf__resource_version(w) + 1) & (UINT64_MAX >> HF__RESOURCE_BITS);
    const uint64_t before = hf__resource_limit(k, w);
    if (hf__resource_active(w) > limit)
        return HF_RESOURCE_FULL;
    /* Release pairs with the acquire in hf__resource_limit(). */
    hf_store_release(&k->limit[version % 2], limit);
    uint64_t active;
    do {
        active = hf__resource_active(w);
        if (active > limit)
            return HF_RESOURCE_FULL; /* the version does not name what was filled in */
        /* Release pairs with the acquire in hf__resource_take(). */
    } while (!hf_cas_weak_acq_rel(&k->word, &w, version << HF__RESOURCE_BITS | active));
    return !hf__resource_is_high(active, before) && hf__resource_is_high(active, limit)
               ? HF_RESOURCE_DONE | HF_RESOURCE_HIGH
               : HF_RESOURCE_DONE;
}

/* How much is registered, and the limit that held then. */
static inline uint64_t
hf_resource_active(const hf_resource *k, uint64_t *limit)
{
    uint64_t w, again = hf_load_acquire(&k->word);
    do {
        w = again;
        *limit = hf__resource_limit(k, w);
        again = hf_load_acquire(&k->word);
    } while (hf__resource_version(again) != hf__resource_version(w));
    return hf__resource_active(w);
}

/* The limit of all kinds, to be shown where there is no other; 0: none. */
static inline void
hf_resource_show(hf_resource *k, uint64_t limit)
{
    hf_store_relaxed(&k->shown, limit);
}

/* The limit to show, or 0. That of all kinds says nothing of a kind that is measured in another unit. */
static inline uint64_t
hf_resource_shown(const hf_resource *k, uint64_t limit)
{
    if (limit != HF_RESOURCE_NO_LIMIT)
        return limit;
    return hf_load_relaxed(&k->measured) ? 0 : hf_load_relaxed(&k->shown);
}

#endif /* HF_RESOURCE_H */
