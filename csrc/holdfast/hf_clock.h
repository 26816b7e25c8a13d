/*
 * Time: nanoseconds as int64 from a clock that the policies share, and saturating arithmetic on them.
 *
 * A clock of kind SYSTEM reads the machine's monotonic clock. One of kind MANUAL holds two times:
 *
 *   shown time    what its owner set; may step backwards
 *   policy time   what every policy sees; never goes backwards
 *
 * A step back of the shown time stops policy time for an instant and it runs on from there; a step
 * forward moves both. So no kernel waits an hour because a clock was put back by one.
 * Kernels never read a clock: they are handed a time. This file knows nothing of policies.
 */
#ifndef HF_CLOCK_H
#define HF_CLOCK_H

#include <time.h>

#include "hf_atomic.h"

#ifndef CLOCK_MONOTONIC
#error "hf_clock.h needs clock_gettime: compile as gnu11 or with _POSIX_C_SOURCE >= 199309L"
#endif

#ifdef CLOCK_MONOTONIC_COARSE
#define HF__COARSE CLOCK_MONOTONIC_COARSE
#else
#define HF__COARSE CLOCK_MONOTONIC
#endif

enum { HF_CLOCK_SYSTEM, HF_CLOCK_MANUAL };

/* The two words of a manual clock are moved one after the other; each on its own is exact. */
typedef struct hf_clock {
    uint32_t kind;     /* set by init, read-only afterwards */
    hf_ai64 policy_ns; /* only grows */
    hf_ai64 shown_ns;
} hf_clock;

/* a + b, held at the ends of the range instead of wrapping. */
static inline int64_t
hf_ns_add(int64_t a, int64_t b)
{
    if (b >= 0)
        return a > INT64_MAX - b ? INT64_MAX : a + b;
    return a < INT64_MIN - b ? INT64_MIN : a + b;
}

/* a - b, held at the ends of the range instead of wrapping. */
static inline int64_t
hf_ns_sub(int64_t a, int64_t b)
{
    if (b >= 0)
        return a < INT64_MIN + b ? INT64_MIN : a - b;
    return a > INT64_MAX + b ? INT64_MAX : a - b;
}

static inline int64_t
hf__clock_read(clockid_t id)
{
    struct timespec t;
    (void)clock_gettime(id, &t); /* cannot fail: the clock exists and the pointer is good */
    return (int64_t)t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static inline void
hf_clock_init_system(hf_clock *c)
{
    c->kind = HF_CLOCK_SYSTEM;
    hf_store_relaxed(&c->policy_ns, 0);
    hf_store_relaxed(&c->shown_ns, 0);
}

static inline void
hf_clock_init_manual(hf_clock *c, int64_t start_ns)
{
    c->kind = HF_CLOCK_MANUAL;
    hf_store_relaxed(&c->policy_ns, start_ns);
    hf_store_relaxed(&c->shown_ns, start_ns);
}

/* Policy time, exact to the nanosecond the machine gives. Relaxed: a time orders nothing else. */
static inline int64_t
hf_clock_now_ns(const hf_clock *c)
{
    if (c->kind == HF_CLOCK_SYSTEM)
        return hf__clock_read(CLOCK_MONOTONIC);
    return hf_load_relaxed(&c->policy_ns);
}

/* Policy time as of the last tick of the kernel: several times cheaper, behind by a tick or less. */
static inline int64_t
hf_clock_coarse_ns(const hf_clock *c)
{
    if (c->kind == HF_CLOCK_SYSTEM)
        return hf__clock_read(HF__COARSE);
    return hf_load_relaxed(&c->policy_ns);
}

/* What the owner of a manual clock set; the same as policy time for the system clock. */
static inline int64_t
hf_clock_shown_ns(const hf_clock *c)
{
    if (c->kind == HF_CLOCK_SYSTEM)
        return hf__clock_read(CLOCK_MONOTONIC);
    return hf_load_relaxed(&c->shown_ns);
}

static inline void
hf__clock_move(hf_ai64 *word, int64_t d_ns)
{
    int64_t t = hf_load_relaxed(word);
    while (!hf_cas_weak_relaxed(word, &t, hf_ns_add(t, d_ns)))
        ;
}

/* Let d_ns pass on a manual clock; nothing happens when d_ns is not positive. */
static inline void
hf_clock_advance(hf_clock *c, int64_t d_ns)
{
    if (c->kind != HF_CLOCK_MANUAL || d_ns <= 0)
        return;
    hf__clock_move(&c->policy_ns, d_ns);
    hf__clock_move(&c->shown_ns, d_ns);
}

/* Set the shown time of a manual clock; policy time follows forwards and never backwards. */
static inline void
hf_clock_set(hf_clock *c, int64_t shown_ns)
{
    if (c->kind != HF_CLOCK_MANUAL)
        return;
    int64_t was = hf_load_relaxed(&c->shown_ns);
    while (!hf_cas_weak_relaxed(&c->shown_ns, &was, shown_ns))
        ;
    if (shown_ns > was)
        hf__clock_move(&c->policy_ns, hf_ns_sub(shown_ns, was));
}

#endif /* HF_CLOCK_H */
