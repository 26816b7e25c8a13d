/* One window of each kind under one lock, as a table has them, for explorations and stress tests. */
#ifndef HF_LOCKED_WINDOWS_H
#define HF_LOCKED_WINDOWS_H

#include "holdfast/hf_fixed_window.h"
#include "holdfast/hf_moving_window.h"
#include "holdfast/hf_window_counter.h"

#include "wrong/wrong_lock.h"

typedef enum { FIXED, MOVING, COUNTER, KINDS } window_kind;
typedef enum { RIGHT, NO_RELEASE, LOOKS_FIRST } lock_kind;

enum { LOCKED_ROOM = 1024, PER = 1000 };

typedef struct locked_window {
    hf_lock lock;
    window_kind kind;
    lock_kind locks;
    hf_fixed_window fixed;
    hf_moving_window moving;
    hf_window_counter counter;
    hf_run ring[LOCKED_ROOM];
} locked_window;

static inline void
locked_window_init(locked_window *w, window_kind kind, lock_kind locks)
{
    w->kind = kind;
    w->locks = locks;
    hf_lock_init(&w->lock);
    hf_fixed_window_init(&w->fixed);
    hf_moving_window_init(&w->moving);
    (void)hf_moving_window_move(&w->moving, w->ring, LOCKED_ROOM);
    hf_window_counter_init(&w->counter);
}

static inline bool
locked_window_enter(locked_window *w)
{
    return w->locks == LOOKS_FIRST ? wrong_lock_try(&w->lock) : hf_lock_try(&w->lock);
}

static inline void
locked_window_leave(locked_window *w)
{
    if (w->locks == NO_RELEASE)
        wrong_lock_give(&w->lock);
    else
        hf_lock_give(&w->lock);
}

/* Inside. Of a fixed window, too, what is refused leaves nothing. */
static inline bool
locked_window_take(locked_window *w, int64_t n, int64_t limit, int64_t now_ns)
{
    if (w->kind == MOVING)
        return hf_moving_window_take(&w->moving, n, limit, PER, now_ns) == HF_MOVING_TAKEN;
    if (w->kind == COUNTER)
        return hf_window_counter_take(&w->counter, n, limit, PER, now_ns);
    return hf_fixed_window_count(&w->fixed, now_ns) <= limit - n &&
           hf_fixed_window_add(&w->fixed, n, PER, now_ns) <= limit;
}

static inline int64_t
locked_window_count(const locked_window *w, int64_t now_ns)
{
    int64_t oldest;
    if (w->kind == MOVING)
        return hf_moving_window_count(&w->moving, PER, now_ns, &oldest);
    if (w->kind == COUNTER)
        return hf_window_counter_count(&w->counter, PER, now_ns);
    return hf_fixed_window_count(&w->fixed, now_ns);
}

#endif /* HF_LOCKED_WINDOWS_H */
