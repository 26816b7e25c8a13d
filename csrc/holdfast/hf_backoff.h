/*
 * Back-off: how long to wait before a retry.
 *
 * A function of the settings, of how many retries were made and of how long the last one waited:
 * the only thing that changes is the generator of the jitter, so policies, calls and threads may
 * share a back-off. Whatever the settings and however many retries, a delay is never negative and
 * never above max_ns, jitter included. Owns the formulas; who waits, and when he gives up, is the
 * caller's.
 */
#ifndef HF_BACKOFF_H
#define HF_BACKOFF_H

#include "hf_random.h"

/* The delay before jitter; n is the number of retries made. */
typedef enum hf_backoff_kind {
    HF_BACKOFF_CONSTANT,    /* base */
    HF_BACKOFF_LINEAR,      /* base + n * increment */
    HF_BACKOFF_EXPONENTIAL, /* base * factor^n */
    HF_BACKOFF_FIBONACCI,   /* base * (1, 1, 2, 3, 5 ...) */
    HF_BACKOFF_DECORRELATED /* uniform in base ... 3 * the delay before; takes no other jitter */
} hf_backoff_kind;

/* What becomes of a delay of d; j is the jitter, u uniform. */
typedef enum hf_jitter_mode {
    HF_JITTER_ADD,    /* d * (1 + u), u in 0 ... j */
    HF_JITTER_AROUND, /* d * (1 + u), u in -j ... j */
    HF_JITTER_FULL,   /* d * u, u in 0 ... 1 */
    HF_JITTER_EQUAL   /* d / 2 + d / 2 * u, u in 0 ... 1 */
} hf_jitter_mode;

/* Zeroed memory is a back-off that never waits. */
typedef struct hf_backoff {
    hf_backoff_kind kind;
    hf_jitter_mode mode;
    int64_t base_ns;      /* 0 <= base_ns <= max_ns */
    int64_t increment_ns; /* >= 0 */
    int64_t max_ns;
    double factor; /* >= 1 */
    double jitter; /* 0 ... 1 */
    hf_random random;
} hf_backoff;

static inline int64_t
hf__backoff_capped(const hf_backoff *b, uint64_t ns)
{
    return ns < (uint64_t)b->max_ns ? (int64_t)ns : b->max_ns;
}

static inline int64_t
hf__backoff_linear(const hf_backoff *b, uint32_t n)
{
    const int64_t room = b->max_ns - b->base_ns;
    if (n != 0 && b->increment_ns > room / n)
        return b->max_ns;
    return b->base_ns + n * b->increment_ns;
}

/*
 * By squaring, at most 32 times: the same on every machine, where the pow() of each library differs
 * from the others in the last place. Ends at the cap, before anything is infinite.
 */
static inline int64_t
hf__backoff_exponential(const hf_backoff *b, uint32_t n)
{
    double grown = (double)b->base_ns, factor = b->factor;
    if (n == 0 || b->base_ns == 0)
        return b->base_ns;
    for (; n != 0; n >>= 1) {
        if (n & 1)
            grown *= factor;
        if (grown >= (double)b->max_ns)
            return b->max_ns;
        factor *= factor;
    }
    return hf__backoff_capped(b, (uint64_t)(grown + 0.5));
}

/* Ends at the cap, after 91 steps at the latest. */
static inline int64_t
hf__backoff_fibonacci(const hf_backoff *b, uint32_t n)
{
    uint64_t before = 0, ns = (uint64_t)b->base_ns;
    if (ns == 0)
        return 0;
    for (; n != 0 && ns < (uint64_t)b->max_ns; n--) {
        const uint64_t next = before + ns;
        before = ns;
        ns = next;
    }
    return hf__backoff_capped(b, ns);
}

/* Uniform in low ... low + width, at most max_ns. */
static inline int64_t
hf__backoff_draw(hf_backoff *b, int64_t low, uint64_t width)
{
    if (width == 0)
        return low;
    const uint64_t drawn = (uint64_t)(hf_random_unit(&b->random) * ((double)width + 1.0));
    const uint64_t further = drawn < width ? drawn : width;
    const uint64_t room = (uint64_t)(b->max_ns - low);
    return further < room ? low + (int64_t)further : b->max_ns;
}

/*
 * "Decorrelated jitter" of "Exponential Backoff And Jitter", Marc Brooker, AWS Architecture Blog
 * 2015. A delay before that is shorter than base, as of another back-off, counts as base.
 */
static inline int64_t
hf__backoff_decorrelated(hf_backoff *b, int64_t previous_ns)
{
    const int64_t before = previous_ns > b->base_ns ? previous_ns : b->base_ns;
    const int64_t high = before < INT64_MAX / 3 ? 3 * before : INT64_MAX;
    return hf__backoff_draw(b, b->base_ns, (uint64_t)(high - b->base_ns));
}

static inline int64_t
hf__backoff_jittered(hf_backoff *b, int64_t ns)
{
    if (b->mode == HF_JITTER_FULL)
        return hf__backoff_draw(b, 0, (uint64_t)ns);
    if (b->mode == HF_JITTER_EQUAL)
        return hf__backoff_draw(b, ns - ns / 2, (uint64_t)(ns / 2));
    /* A double of so many ns may lie above them. */
    const uint64_t share = (uint64_t)((double)ns * b->jitter);
    const int64_t span = share < (uint64_t)ns ? (int64_t)share : ns;
    if (b->mode == HF_JITTER_AROUND)
        return hf__backoff_draw(b, ns - span, 2 * (uint64_t)span);
    return hf__backoff_draw(b, ns, (uint64_t)span);
}

/* Settings as the struct has them; any seed will do. */
static inline void
hf_backoff_init(hf_backoff *b, hf_backoff_kind kind, int64_t base_ns, int64_t max_ns, uint64_t seed)
{
    b->kind = kind;
    b->mode = HF_JITTER_ADD;
    b->base_ns = base_ns;
    b->increment_ns = 0;
    b->max_ns = max_ns;
    b->factor = 1;
    b->jitter = 0;
    hf_random_init(&b->random, seed);
}

/*
 * How long to wait before the next retry.
 * attempt: the retries made, 0 before the first. previous_ns: how long the last one was waited for,
 * negative before the first; only decorrelated back-offs ask for it.
 */
static inline int64_t
hf_backoff_delay_ns(hf_backoff *b, uint32_t attempt, int64_t previous_ns)
{
    int64_t ns = b->base_ns;
    switch (b->kind) {
    case HF_BACKOFF_CONSTANT:
        break;
    case HF_BACKOFF_LINEAR:
        ns = hf__backoff_linear(b, attempt);
        break;
    case HF_BACKOFF_EXPONENTIAL:
        ns = hf__backoff_exponential(b, attempt);
        break;
    case HF_BACKOFF_FIBONACCI:
        ns = hf__backoff_fibonacci(b, attempt);
        break;
    case HF_BACKOFF_DECORRELATED:
        return hf__backoff_decorrelated(b, previous_ns);
    }
    return hf__backoff_jittered(b, ns);
}

#endif /* HF_BACKOFF_H */
