/*
 * Window counter: about `limit` in any span of `per` nanoseconds, from two counts.
 *
 * Time is cut into windows of `per`, all aligned to time 0. What the window before has counted is weighed by
 * the part of it that the span which ends now still covers, as if it had been spread evenly, and rounded down.
 *
 * Limit and span come with each call; another span than the last begins anew.
 *
 * One caller at a time (hf_lock.h): the words are relaxed, the lock orders them. A time that is older than the
 * window that has begun counts as the beginning of that.
 */
#ifndef HF_WINDOW_COUNTER_H
#define HF_WINDOW_COUNTER_H

#include "hf_clock.h"
#include "hf_divide.h"

#define HF_WINDOW_COUNTER_MOST (INT64_C(1) << 61)
#define HF_WINDOW_COUNTER_PER_MOST (INT64_C(1) << 60)

typedef struct hf_window_counter {
    hf_au64 per, m; /* of an hf_divisor: the span */
    hf_ai64 window; /* the number of the one that has begun */
    hf_ai64 previous, current;
} hf_window_counter;

/* What counts at a moment. */
typedef struct hf_window_counts {
    int64_t window;
    int64_t previous, current;
    int64_t elapsed_ns; /* of the window */
} hf_window_counts;

static inline void
hf_window_counter_init(hf_window_counter *w)
{
    hf_store_relaxed(&w->per, 1);
    hf_store_relaxed(&w->m, UINT64_MAX);
    hf_store_relaxed(&w->window, INT64_MIN);
    hf_store_relaxed(&w->previous, 0);
    hf_store_relaxed(&w->current, 0);
}

static inline hf_divisor
hf__window_counter_per(const hf_window_counter *w, int64_t per_ns)
{
    if (hf_load_relaxed(&w->per) == (uint64_t)per_ns)
        return (hf_divisor){.d = (uint64_t)per_ns, .m = hf_load_relaxed(&w->m)};
    return hf_divisor_of((uint64_t)per_ns);
}

/* Changes nothing. */
static inline hf_window_counts
hf__window_counter_at(const hf_window_counter *w, hf_divisor per, int64_t now_ns)
{
    hf_window_counts at = {.window = hf_floor_quotient(per, now_ns)};
    const bool same = hf_load_relaxed(&w->per) == per.d;
    const int64_t begun = same ? hf_load_relaxed(&w->window) : INT64_MIN;
    if (at.window < begun) {
        at.window = begun;
    } else {
        at.elapsed_ns = (int64_t)((uint64_t)now_ns - (uint64_t)at.window * per.d);
    }
    if (at.window == begun) {
        at.previous = hf_load_relaxed(&w->previous);
        at.current = hf_load_relaxed(&w->current);
    } else if (begun != INT64_MIN && at.window - 1 == begun) {
        at.previous = hf_load_relaxed(&w->current);
    }
    return at;
}

/* What the window before and this one have counted by now. Changes nothing. */
static inline hf_window_counts
hf_window_counter_read(const hf_window_counter *w, int64_t per_ns, int64_t now_ns)
{
    return hf__window_counter_at(w, hf__window_counter_per(w, per_ns), now_ns);
}

/* What counts against the limit: of the window before the part that the span still covers. */
static inline int64_t
hf__window_counter_weighed(const hf_window_counts *at, hf_divisor per)
{
    const uint64_t previous = (uint64_t)at->previous;
    const uint64_t covered = per.d - (uint64_t)at->elapsed_ns;
    uint64_t part;
    if (previous == 0)
        part = 0;
    else if (hf_multiply_high(previous, covered) == 0)
        part = hf_quotient(per, previous * covered);
    else
        part = hf_multiply_divide(previous, covered, per.d);
    return (int64_t)part + at->current;
}

/* How many count against the limit now. Changes nothing. 1 <= per_ns <= HF_WINDOW_COUNTER_PER_MOST. */
static inline int64_t
hf_window_counter_count(const hf_window_counter *w, int64_t per_ns, int64_t now_ns)
{
    const hf_divisor per = hf__window_counter_per(w, per_ns);
    const hf_window_counts at = hf__window_counter_at(w, per, now_ns);
    return hf__window_counter_weighed(&at, per);
}

/*
 * Take n >= 0 if they fit below the limit with what counts now. False: nothing has changed.
 * limit <= HF_WINDOW_COUNTER_MOST, 1 <= per_ns <= HF_WINDOW_COUNTER_PER_MOST.
 */
static inline bool
hf_window_counter_take(hf_window_counter *w, int64_t n, int64_t limit, int64_t per_ns,
                       int64_t now_ns)
{
    const hf_divisor per = hf__window_counter_per(w, per_ns);
    const hf_window_counts at = hf__window_counter_at(w, per, now_ns);
    if (n > limit || hf__window_counter_weighed(&at, per) > limit - n)
        return false;
    hf_store_relaxed(&w->per, per.d);
    hf_store_relaxed(&w->m, per.m);
    hf_store_relaxed(&w->window, at.window);
    hf_store_relaxed(&w->previous, at.previous);
    hf_store_relaxed(&w->current, at.current + n);
    return true;
}

/* When it counts nothing any more; INT64_MIN: it has counted nothing. */
static inline int64_t
hf_window_counter_ends_ns(const hf_window_counter *w)
{
    const int64_t window = hf_load_relaxed(&w->window), per = (int64_t)hf_load_relaxed(&w->per);
    if (window == INT64_MIN)
        return INT64_MIN;
    if (window > INT64_MAX / per || window < INT64_MIN / per)
        return window > 0 ? INT64_MAX : INT64_MIN + 2 * per;
    return hf_ns_add(window * per, 2 * per);
}

/* The same, as one of another process was. */
static inline void
hf_window_counter_restore(hf_window_counter *w, int64_t per_ns, const hf_window_counts *at)
{
    const hf_divisor per = hf_divisor_of((uint64_t)per_ns);
    hf_store_relaxed(&w->per, per.d);
    hf_store_relaxed(&w->m, per.m);
    hf_store_relaxed(&w->window, at->window);
    hf_store_relaxed(&w->previous, at->previous);
    hf_store_relaxed(&w->current, at->current);
}

#endif /* HF_WINDOW_COUNTER_H */
