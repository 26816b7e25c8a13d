/*
 * Fixed window: so many in a window that begins with the first of them and ends `per` nanoseconds later.
 *
 * An addition counts whether it fits or not; the caller compares what it gives with the limit. Around the end
 * of a window twice the limit may pass in less than `per`: hf_moving_window.h is exact.
 *
 * One caller at a time (hf_lock.h): the words are relaxed, the lock orders them. A time that is older than the
 * beginning counts as that.
 */
#ifndef HF_FIXED_WINDOW_H
#define HF_FIXED_WINDOW_H

#include "hf_clock.h"

#define HF_FIXED_WINDOW_MOST (INT64_C(1) << 62)

typedef struct hf_fixed_window {
    hf_ai64 ends_ns; /* INT64_MIN: none has begun */
    hf_ai64 count;
} hf_fixed_window;

static inline void
hf_fixed_window_init(hf_fixed_window *w)
{
    hf_store_relaxed(&w->ends_ns, INT64_MIN);
    hf_store_relaxed(&w->count, 0);
}

/* What the window of this moment has counted. Changes nothing. */
static inline int64_t
hf_fixed_window_count(const hf_fixed_window *w, int64_t now_ns)
{
    return now_ns < hf_load_relaxed(&w->ends_ns) ? hf_load_relaxed(&w->count) : 0;
}

/* When the window of this moment ends; INT64_MIN: there is none. */
static inline int64_t
hf_fixed_window_ends_ns(const hf_fixed_window *w, int64_t now_ns)
{
    const int64_t ends = hf_load_relaxed(&w->ends_ns);
    return now_ns < ends ? ends : INT64_MIN;
}

/*
 * Add n, which may be negative, and give what the window has counted with them: from 0 to HF_FIXED_WINDOW_MOST,
 * at which it stays. One that has counted nothing begins now, with an n above 0. per_ns >= 1, |n| <= HF_FIXED_WINDOW_MOST.
 */
static inline int64_t
hf_fixed_window_add(hf_fixed_window *w, int64_t n, int64_t per_ns, int64_t now_ns)
{
    int64_t count = hf_fixed_window_count(w, now_ns);
    if (count == 0 && n <= 0)
        return 0;
    if (count == 0)
        hf_store_relaxed(&w->ends_ns, hf_ns_add(now_ns, per_ns));
    count = n > HF_FIXED_WINDOW_MOST - count ? HF_FIXED_WINDOW_MOST : count + n;
    count = count > 0 ? count : 0;
    hf_store_relaxed(&w->count, count);
    return count;
}

/* Take back up to n >= 0 of what the window of this moment has counted, and give what is left. */
static inline int64_t
hf_fixed_window_take_back(hf_fixed_window *w, int64_t n, int64_t now_ns)
{
    const int64_t count = hf_fixed_window_count(w, now_ns);
    if (count == 0)
        return 0;
    hf_store_relaxed(&w->count, n < count ? count - n : 0);
    return n < count ? count - n : 0;
}

/* The same, as one of another process was: it ends then, and has counted so many. */
static inline void
hf_fixed_window_restore(hf_fixed_window *w, int64_t count, int64_t ends_ns)
{
    hf_store_relaxed(&w->ends_ns, ends_ns);
    hf_store_relaxed(&w->count, count);
}

#endif /* HF_FIXED_WINDOW_H */
