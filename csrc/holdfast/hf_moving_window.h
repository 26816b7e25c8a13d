/*
 * Moving window: at most `limit` in any span of `per` nanoseconds, exactly, wherever it begins.
 *
 * A log of what was taken: a ring of runs, a time and how many were taken before it. So a span is counted by
 * finding its first run. What is `per` old counts no more: no more runs are kept than the limit has tokens, and
 * one take of a million is one run. The caller owns the memory of the ring and makes it larger when it is asked
 * to.
 *
 * Limit and span come with each call. Where spans differ, runs are kept for the longest of them.
 *
 * One caller at a time (hf_lock.h): the words are relaxed, the lock orders them. A time that is older than the
 * last that was seen counts as that.
 */
#ifndef HF_MOVING_WINDOW_H
#define HF_MOVING_WINDOW_H

#include "hf_clock.h"

#define HF_MOVING_WINDOW_MOST (INT64_C(1) << 61)

typedef struct hf_run {
    hf_ai64 at_ns;
    hf_au64 before; /* how many were taken in all until then; it may wrap */
} hf_run;

typedef struct hf_moving_window {
    hf_run *ring;
    hf_au64 room;    /* runs that the ring holds: a power of two, or 0 */
    hf_au64 first;   /* the oldest run; only grows, modulo room it is a place */
    hf_au64 used;    /* runs */
    hf_au64 total;   /* how many were taken in all; it may wrap */
    hf_ai64 kept_ns; /* the longest span of a take, since it was empty last */
} hf_moving_window;

typedef enum hf_moving_answer {
    HF_MOVING_TAKEN,
    HF_MOVING_REFUSED,
    HF_MOVING_FULL, /* nothing is taken: hf_moving_window_move(), then again */
} hf_moving_answer;

static inline void
hf_moving_window_init(hf_moving_window *w)
{
    w->ring = NULL;
    hf_store_relaxed(&w->room, 0);
    hf_store_relaxed(&w->first, 0);
    hf_store_relaxed(&w->used, 0);
    hf_store_relaxed(&w->total, 0);
    hf_store_relaxed(&w->kept_ns, 0);
}

/* The run that is so many after the oldest. */
static inline hf_run *
hf__moving_run(const hf_moving_window *w, uint64_t after)
{
    return &w->ring[(hf_load_relaxed(&w->first) + after) & (hf_load_relaxed(&w->room) - 1)];
}

/* The latest time that was seen: of the last run, if that is later. */
static inline int64_t
hf__moving_now(const hf_moving_window *w, int64_t now_ns)
{
    const uint64_t used = hf_load_relaxed(&w->used);
    const int64_t last = used > 0 ? hf_load_relaxed(&hf__moving_run(w, used - 1)->at_ns) : now_ns;
    return now_ns > last ? now_ns : last;
}

/* Whether a run counts no more. No time is before it. */
static inline bool
hf__moving_is_over(const hf_run *run, int64_t per_ns, int64_t now_ns)
{
    return (uint64_t)now_ns - (uint64_t)hf_load_relaxed(&run->at_ns) >= (uint64_t)per_ns;
}

/* How many runs a span that ends now leaves out. It looks near the oldest first: most often there are few. */
static inline uint64_t
hf__moving_over(const hf_moving_window *w, int64_t per_ns, int64_t now_ns)
{
    uint64_t over = 0, inside = hf_load_relaxed(&w->used), step = 1;
    while (over < inside) {
        const uint64_t at = over + (step < inside - over ? step - 1 : (inside - over) / 2);
        if (hf__moving_is_over(hf__moving_run(w, at), per_ns, now_ns)) {
            over = at + 1;
            step *= 2;
        } else {
            inside = at;
        }
    }
    return over;
}

/* How many were taken from a run on. */
static inline int64_t
hf__moving_from(const hf_moving_window *w, uint64_t after)
{
    if (after >= hf_load_relaxed(&w->used))
        return 0;
    return (int64_t)(hf_load_relaxed(&w->total) -
                     hf_load_relaxed(&hf__moving_run(w, after)->before));
}

/* What all runs that are kept add up to. */
static inline int64_t
hf_moving_window_sum(const hf_moving_window *w)
{
    return hf__moving_from(w, 0);
}

/* How many were taken at the time of a run. */
static inline int64_t
hf_moving_window_run(const hf_moving_window *w, uint64_t after)
{
    return hf__moving_from(w, after) - hf__moving_from(w, after + 1);
}

/*
 * How many were taken in the span that ends now, and when the oldest of them: *oldest_ns, as it was if there
 * are none. Of a span that is longer than what is kept, as many as are. Changes nothing.
 */
static inline int64_t
hf_moving_window_count(const hf_moving_window *w, int64_t per_ns, int64_t now_ns,
                       int64_t *oldest_ns)
{
    const int64_t kept = hf_load_relaxed(&w->kept_ns);
    const uint64_t first =
        hf__moving_over(w, per_ns < kept ? per_ns : kept, hf__moving_now(w, now_ns));
    if (first < hf_load_relaxed(&w->used))
        *oldest_ns = hf_load_relaxed(&hf__moving_run(w, first)->at_ns);
    return hf__moving_from(w, first);
}

/* The same number, once what is as old as the longest span is forgotten. */
static inline int64_t
hf__moving_inside(hf_moving_window *w, int64_t per_ns, int64_t now_ns)
{
    int64_t oldest;
    const uint64_t gone = hf__moving_over(w, hf_load_relaxed(&w->kept_ns), now_ns);
    const uint64_t left = hf_load_relaxed(&w->used) - gone;
    hf_store_relaxed(&w->first, hf_load_relaxed(&w->first) + gone);
    hf_store_relaxed(&w->used, left);
    if (left == 0 || per_ns > hf_load_relaxed(&w->kept_ns))
        hf_store_relaxed(&w->kept_ns, per_ns);
    return hf_moving_window_count(w, per_ns, now_ns, &oldest);
}

/* Add n >= 1 at a time that is none before the last run's. False: the ring has no room. */
static inline bool
hf__moving_append(hf_moving_window *w, int64_t n, int64_t at_ns)
{
    const uint64_t used = hf_load_relaxed(&w->used), total = hf_load_relaxed(&w->total);
    const bool is_new = used == 0 || hf_load_relaxed(&hf__moving_run(w, used - 1)->at_ns) != at_ns;
    if (is_new && used == hf_load_relaxed(&w->room))
        return false;
    if (is_new) {
        hf_run *next = hf__moving_run(w, used);
        hf_store_relaxed(&next->at_ns, at_ns);
        hf_store_relaxed(&next->before, total);
        hf_store_relaxed(&w->used, used + 1);
    }
    hf_store_relaxed(&w->total, total + (uint64_t)n);
    return true;
}

/* Take n >= 0 if the span that ends now still holds them. limit <= HF_MOVING_WINDOW_MOST, per_ns >= 1. */
static inline hf_moving_answer
hf_moving_window_take(hf_moving_window *w, int64_t n, int64_t limit, int64_t per_ns, int64_t now_ns)
{
    const int64_t now = hf__moving_now(w, now_ns);
    if (n > limit || hf__moving_inside(w, per_ns, now) > limit - n ||
        hf_moving_window_sum(w) > HF_MOVING_WINDOW_MOST) /* of longer spans: adds up to no more */
        return HF_MOVING_REFUSED;
    return n == 0 || hf__moving_append(w, n, now) ? HF_MOVING_TAKEN : HF_MOVING_FULL;
}

/* How many runs the ring is to have room for when it is full. */
static inline uint64_t
hf_moving_window_wanted(const hf_moving_window *w)
{
    const uint64_t room = hf_load_relaxed(&w->room);
    return room == 0 ? 4 : 2 * room;
}

/* Have a larger ring; gives the old one, which is the caller's again. */
static inline hf_run *
hf_moving_window_move(hf_moving_window *w, hf_run *ring, uint64_t room)
{
    hf_run *old = w->ring;
    const uint64_t used = hf_load_relaxed(&w->used);
    for (uint64_t after = 0; after < used; after++) {
        const hf_run *run = hf__moving_run(w, after);
        hf_store_relaxed(&ring[after].at_ns, hf_load_relaxed(&run->at_ns));
        hf_store_relaxed(&ring[after].before, hf_load_relaxed(&run->before));
    }
    w->ring = ring;
    hf_store_relaxed(&w->room, room);
    hf_store_relaxed(&w->first, 0);
    return old;
}

/* When it counts nothing any more; INT64_MIN: it has counted nothing. */
static inline int64_t
hf_moving_window_ends_ns(const hf_moving_window *w)
{
    const uint64_t used = hf_load_relaxed(&w->used);
    if (used == 0)
        return INT64_MIN;
    return hf_ns_add(hf_load_relaxed(&hf__moving_run(w, used - 1)->at_ns),
                     hf_load_relaxed(&w->kept_ns));
}

#endif /* HF_MOVING_WINDOW_H */
