/*
 * Bulkhead: how many are inside, how many wait to come in, and how many may be, in one word.
 *
 * Every decision is one CAS of that word, limit included: nobody enters on a limit of before,
 * and no waiter can be queued past a change that made room. Owns the counting; who waits, in which
 * order, and how he is woken is the caller's (waiting/rooms.py). The duties that come with it:
 *
 *   leave, undo, resize say whether waiters can come in -> call grant() until it says no, and wake
 *   one waiter, first come first served, for each grant; a granted waiter is inside.
 *
 * While this is kept, room and a waiter never stay together for longer than one such duty lasts.
 */
#ifndef HF_BULKHEAD_H
#define HF_BULKHEAD_H

#include "hf_atomic.h"

/*
 *  63            43 42            22 21             0
 *  +---------------+----------------+----------------+
 *  |    waiting    |     limit      |   in_flight    |    in_flight <= limit, but for
 *  +---------------+----------------+----------------+    force_enter() and after shrinking
 */
enum { HF__BULKHEAD_LIMIT = 22, HF__BULKHEAD_WAITING = 43 };

#define HF_BULKHEAD_MAX ((UINT32_C(1) << 21) - 1) /* the greatest limit, and of waiters */
#define HF__INSIDE_MAX ((UINT64_C(1) << HF__BULKHEAD_LIMIT) - 1)
#define HF__ONE_INSIDE UINT64_C(1)
#define HF__ONE_WAITING (UINT64_C(1) << HF__BULKHEAD_WAITING)

typedef struct hf_bulkhead {
    hf_au64 word;
    hf_au32 max_waiting;
    /* admitted - completed - undone = in flight; waited of the admitted came from the
       queue; timed_out is counted by who measures the time. */
    hf_au64 admitted, completed, undone, rejected, waited, timed_out, over_released;
} hf_bulkhead;

typedef enum hf_entry { HF_ENTERED, HF_QUEUED, HF_FULL } hf_entry;

static inline uint32_t
hf__word_inside(uint64_t w)
{
    return (uint32_t)(w & HF__INSIDE_MAX);
}

static inline uint32_t
hf__word_limit(uint64_t w)
{
    return (uint32_t)(w >> HF__BULKHEAD_LIMIT) & HF_BULKHEAD_MAX;
}

static inline uint32_t
hf__word_waiting(uint64_t w)
{
    return (uint32_t)(w >> HF__BULKHEAD_WAITING);
}

static inline bool
hf__word_has_room(uint64_t w)
{
    return hf__word_inside(w) < hf__word_limit(w);
}

/* 1 <= limit <= HF_BULKHEAD_MAX; max_waiting <= HF_BULKHEAD_MAX, 0: nobody may wait. */
static inline void
hf_bulkhead_init(hf_bulkhead *bh, uint32_t limit, uint32_t max_waiting)
{
    hf_au64 *counters[] = {&bh->admitted, &bh->completed, &bh->undone,       &bh->rejected,
                           &bh->waited,   &bh->timed_out, &bh->over_released};
    for (unsigned i = 0; i < sizeof counters / sizeof *counters; i++)
        hf_store_relaxed(counters[i], 0);
    hf_store_relaxed(&bh->max_waiting, max_waiting);
    hf_store_release(&bh->word, (uint64_t)limit << HF__BULKHEAD_LIMIT);
}

/*
 * Enter if there is room and nobody waits for it: no barging past the queue.
 * True: the caller is inside and must leave() or undo() exactly once. False: nothing happened, and
 * nothing is counted: for a caller that asks enter_or_queue() next.
 */
static inline bool
hf_bulkhead_enter_if_room(hf_bulkhead *bh)
{
    uint64_t w = hf_load_relaxed(&bh->word); /* only a guess; the CAS decides */
    do {
        if (hf__word_waiting(w) != 0 || !hf__word_has_room(w))
            return false;
        /* Acquire pairs with the release in hf__bulkhead_free(). */
    } while (!hf_cas_weak_acquire(&bh->word, &w, w + HF__ONE_INSIDE));
    hf_count(&bh->admitted, 1);
    return true;
}

/* The same for a caller that will not wait: false is counted as rejected. */
static inline bool
hf_bulkhead_try_enter(hf_bulkhead *bh)
{
    bool inside = hf_bulkhead_enter_if_room(bh);
    if (!inside)
        hf_count(&bh->rejected, 1);
    return inside;
}

/*
 * Enter as enter_if_room() does, or else become a waiter.
 * HF_ENTERED: inside. HF_QUEUED: a waiter, until a grant() is passed to the caller or he gives up
 * by unqueue(). HF_FULL: neither, counted as rejected.
 */
static inline hf_entry
hf_bulkhead_enter_or_queue(hf_bulkhead *bh)
{
    uint64_t w = hf_load_relaxed(&bh->word), next;
    do {
        if (hf__word_waiting(w) == 0 && hf__word_has_room(w)) {
            next = w + HF__ONE_INSIDE;
        } else if (hf__word_waiting(w) < hf_load_relaxed(&bh->max_waiting)) {
            next = w + HF__ONE_WAITING;
        } else {
            hf_count(&bh->rejected, 1);
            return HF_FULL;
        }
        /* Acquire pairs with the release in hf__bulkhead_free(). */
    } while (!hf_cas_weak_acquire(&bh->word, &w, next));
    if (hf__word_waiting(next) != hf__word_waiting(w))
        return HF_QUEUED;
    hf_count(&bh->admitted, 1);
    return HF_ENTERED;
}

/* Enter whatever the limit says (observe mode). False: 2^22 - 1 are inside, nothing was done. */
static inline bool
hf_bulkhead_force_enter(hf_bulkhead *bh)
{
    uint64_t w = hf_load_relaxed(&bh->word);
    do {
        if (hf__word_inside(w) == HF__INSIDE_MAX)
            return false;
        /* Acquire pairs with the release in hf__bulkhead_free(). */
    } while (!hf_cas_weak_acquire(&bh->word, &w, w + HF__ONE_INSIDE));
    hf_count(&bh->admitted, 1);
    return true;
}

static inline bool
hf__bulkhead_free(hf_bulkhead *bh, bool *waiters)
{
    uint64_t w = hf_load_relaxed(&bh->word);
    do {
        if (hf__word_inside(w) == 0) {
            *waiters = false;
            hf_count(&bh->over_released, 1);
            return false;
        }
        /* Release: what was done inside is done for whoever takes the place; pairs with the acquire
           of each way in. */
    } while (!hf_cas_weak_release(&bh->word, &w, w - HF__ONE_INSIDE));
    w -= HF__ONE_INSIDE;
    *waiters = hf__word_waiting(w) != 0 && hf__word_has_room(w);
    return true;
}

/*
 * Leave after the call. *waiters: someone can come in, the caller must grant().
 * False: nobody was inside; nothing changed, counted as over_released: capacity never grows.
 */
static inline bool
hf_bulkhead_leave(hf_bulkhead *bh, bool *waiters)
{
    bool inside = hf__bulkhead_free(bh, waiters);
    if (inside)
        hf_count(&bh->completed, 1);
    return inside;
}

/* As leave(), when the call never ran: refused further in, or a waiter granted too late. */
static inline bool
hf_bulkhead_undo(hf_bulkhead *bh, bool *waiters)
{
    bool inside = hf__bulkhead_free(bh, waiters);
    if (inside)
        hf_count(&bh->undone, 1);
    return inside;
}

/* Turn one waiter into an occupant. True: the caller must wake the first in the queue. */
static inline bool
hf_bulkhead_grant(hf_bulkhead *bh)
{
    uint64_t w = hf_load_relaxed(&bh->word);
    do {
        if (hf__word_waiting(w) == 0 || !hf__word_has_room(w))
            return false;
        /* Acquire pairs with the release in hf__bulkhead_free(). */
    } while (!hf_cas_weak_acquire(&bh->word, &w, w - HF__ONE_WAITING + HF__ONE_INSIDE));
    hf_count(&bh->admitted, 1);
    hf_count(&bh->waited, 1);
    return true;
}

/*
 * Give up waiting. The caller is a waiter that no grant was passed to; one that was granted
 * meanwhile is inside and must undo() instead. False: nobody was waiting, nothing changed.
 */
static inline bool
hf_bulkhead_unqueue(hf_bulkhead *bh)
{
    uint64_t w = hf_load_relaxed(&bh->word);
    do {
        if (hf__word_waiting(w) == 0)
            return false;
    } while (!hf_cas_weak_relaxed(&bh->word, &w, w - HF__ONE_WAITING));
    return true;
}

/*
 * Change the limit, 1 to HF_BULKHEAD_MAX. Never waits: who is inside stays, and after shrinking
 * nobody enters until they are fewer. True: waiters can come in, the caller must grant().
 */
static inline bool
hf_bulkhead_resize(hf_bulkhead *bh, uint32_t limit)
{
    uint64_t keep = ~((uint64_t)HF_BULKHEAD_MAX << HF__BULKHEAD_LIMIT), next;
    uint64_t w = hf_load_relaxed(&bh->word);
    do {
        next = (w & keep) | (uint64_t)limit << HF__BULKHEAD_LIMIT;
    } while (!hf_cas_weak_relaxed(&bh->word, &w, next));
    return hf__word_waiting(next) != 0 && hf__word_has_room(next);
}

/* In a forked child: nobody of the parent's is inside or waiting here, and counts start at zero. */
static inline void
hf_bulkhead_forget(hf_bulkhead *bh)
{
    hf_au64 *counters[] = {&bh->admitted, &bh->completed, &bh->undone,       &bh->rejected,
                           &bh->waited,   &bh->timed_out, &bh->over_released};
    const uint64_t limit = (uint64_t)HF_BULKHEAD_MAX << HF__BULKHEAD_LIMIT;
    const uint64_t w = hf_load_relaxed(&bh->word);
    if ((w & ~limit) != 0)
        hf_store_relaxed(&bh->word, w & limit);
    for (unsigned i = 0; i < sizeof counters / sizeof *counters; i++)
        hf_count_forget(counters[i]);
}

static inline uint32_t
hf_bulkhead_in_flight(const hf_bulkhead *bh)
{
    return hf__word_inside(hf_load_relaxed(&bh->word));
}

static inline uint32_t
hf_bulkhead_waiting(const hf_bulkhead *bh)
{
    return hf__word_waiting(hf_load_relaxed(&bh->word));
}

static inline uint32_t
hf_bulkhead_limit(const hf_bulkhead *bh)
{
    return hf__word_limit(hf_load_relaxed(&bh->word));
}

static inline uint32_t
hf_bulkhead_max_waiting(const hf_bulkhead *bh)
{
    return hf_load_relaxed(&bh->max_waiting);
}

#endif /* HF_BULKHEAD_H */
