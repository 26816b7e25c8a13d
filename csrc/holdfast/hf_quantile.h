/*
 * Running quantile of durations in one word, without keeping any of them.
 *
 * Frugal streaming (Ma, Muthukrishnan and Sandler, "Frugal Streaming for Estimating Quantiles",
 * 2013): a sample above the estimate moves it up by p steps, one below moves it down by 1 - p. It
 * rests where both balance, which is where a share p of the samples is below. Three additions:
 *
 *   - steps are shares of an octave: the estimate lives on a logarithmic scale
 *   - the first samples take longer steps, so that few of them find the place
 *   - a run to one side which p makes unlikely says that the samples have moved: its steps are
 *     longer, until one falls on the other side
 *
 * The scale is the one of floating point numbers, whole octaves and linear within one: it is monotone
 * and its inverse exact, so the quantile on it is the quantile, but for the 2^-36 that is cut off.
 */
#ifndef HF_QUANTILE_H
#define HF_QUANTILE_H

#include "hf_atomic.h"

#ifdef _MSC_VER
#include <intrin.h>
#endif

/*
 *  63            50 49     42 41                                    0
 *  +---------------+---------+--------------+------------------------+
 *  | run, signed   | samples | whole octaves|  fraction of an octave |
 *  +---------------+---------+--------------+------------------------+
 *
 * run: so many samples in a row were above (positive) or below; samples: seen so far, up to 255.
 */
typedef struct hf_quantile {
    hf_au64 word;
    uint64_t up, down;  /* p and 1 - p octaves, on the scale; read-only after init */
    int16_t rise, fall; /* longer runs than these, up and down, are unlikely */
    uint32_t shift;     /* the lasting step is a 2^shift-th of an octave */
} hf_quantile;

enum {
    HF__OCTAVE_BITS = 36, /* of the fraction */
    HF__SCALE_BITS = 42,
    HF_QUANTILE_SAMPLES_MAX = 255,
    HF__RUN_SHIFT = 50,
    HF__RUN_MAX = (1 << 13) - 1,
    HF__STEP_FIRST = 8, /* the n-th sample's step is 8 / (n + 7) of an octave … */
    HF__STEP_SHIFT = 4, /* … and at least a sixteenth */
    HF__STEP_SHIFT_FINE = 6,
    HF__RUN_STEPS = 4, /* a run is unlikely when it moved the estimate by more steps than these */
    HF__RUN_FASTER = 4,
};
#define HF__OCTAVE (UINT64_C(1) << HF__OCTAVE_BITS)
#define HF__SCALE_MASK ((UINT64_C(1) << HF__SCALE_BITS) - 1)
#define HF_QUANTILE_NS_MAX INT64_C(3153600000000000000) /* a hundred years */

static inline unsigned
hf__octave_of(uint64_t x)
{
#ifdef _MSC_VER
    unsigned long top;
    _BitScanReverse64(&top, x);
    return (unsigned)top;
#else
    return 63 - (unsigned)__builtin_clzll(x);
#endif
}

/* A duration on the scale; held between 1 ns and 100 years. */
static inline uint64_t
hf__scale_of(int64_t ns)
{
    uint64_t x = ns < 1 ? 1 : ns > HF_QUANTILE_NS_MAX ? HF_QUANTILE_NS_MAX : (uint64_t)ns;
    unsigned octave = hf__octave_of(x);
    uint64_t above = x - (UINT64_C(1) << octave);
    above = octave <= HF__OCTAVE_BITS ? above << (HF__OCTAVE_BITS - octave)
                                      : above >> (octave - HF__OCTAVE_BITS);
    return (uint64_t)octave << HF__OCTAVE_BITS | above;
}

static inline int64_t
hf__scale_ns(uint64_t scale)
{
    unsigned octave = (unsigned)(scale >> HF__OCTAVE_BITS);
    uint64_t above = scale & (HF__OCTAVE - 1);
    above = octave <= HF__OCTAVE_BITS ? above >> (HF__OCTAVE_BITS - octave)
                                      : above << (octave - HF__OCTAVE_BITS);
    return (int64_t)((UINT64_C(1) << octave) + above);
}

/* p is above 0 and below 1: from 0.001 to 0.999, so that a run fits its field. */
static inline void
hf_quantile_init(hf_quantile *q, double p)
{
    q->up = (uint64_t)(p * (double)HF__OCTAVE);
    q->down = HF__OCTAVE - q->up;
    q->rise = (int16_t)(HF__RUN_STEPS * HF__OCTAVE / q->up);
    q->fall = (int16_t)(HF__RUN_STEPS * HF__OCTAVE / q->down);
    q->shift = HF__STEP_SHIFT;
    hf_store_release(&q->word, 0);
}

/*
 * The same with a lasting step of a sixty-fourth of an octave: the estimate varies half as much, and takes
 * four times as many samples to follow. For a quantile with few samples near it, as between usual calls
 * and stragglers, where nothing but the step holds the estimate in its place.
 */
static inline void
hf_quantile_init_fine(hf_quantile *q, double p)
{
    hf_quantile_init(q, p);
    q->shift = HF__STEP_SHIFT_FINE;
}

static inline uint64_t
hf__word_samples(uint64_t w)
{
    return w >> HF__SCALE_BITS & HF_QUANTILE_SAMPLES_MAX;
}

static inline int32_t
hf__word_run(uint64_t w)
{
    return (int32_t)((int64_t)w >> HF__RUN_SHIFT);
}

static inline uint64_t
hf__word_of(int32_t run, uint64_t samples, uint64_t scale)
{
    return (uint64_t)(int64_t)run << HF__RUN_SHIFT | samples << HF__SCALE_BITS | scale;
}

/* How far a sample moves the estimate: `side` is a whole octave's worth, p or 1 - p of it. */
static inline uint64_t
hf__quantile_move(const hf_quantile *q, uint64_t side, uint64_t samples, bool unlikely)
{
    const uint64_t reached = ((uint64_t)HF__STEP_FIRST << q->shift) - HF__STEP_FIRST + 1;
    const uint64_t lasting =
        reached < HF_QUANTILE_SAMPLES_MAX ? reached : (uint64_t)HF_QUANTILE_SAMPLES_MAX;
    uint64_t move = samples < lasting ? side * HF__STEP_FIRST / (samples + HF__STEP_FIRST - 1)
                                      : side >> q->shift;
    return unlikely ? move * HF__RUN_FASTER : move;
}

static inline uint64_t
hf__quantile_next(const hf_quantile *q, uint64_t w, uint64_t sample)
{
    uint64_t samples = hf__word_samples(w), scale = w & HF__SCALE_MASK;
    int32_t run = hf__word_run(w);
    if (samples == 0)
        return hf__word_of(0, 1, sample);
    if (sample > scale) {
        run = run < 0 ? 1 : run < HF__RUN_MAX ? run + 1 : run;
        uint64_t move = hf__quantile_move(q, q->up, samples, run > q->rise);
        scale = sample - scale > move ? scale + move : sample;
    } else if (sample < scale) {
        run = run > 0 ? -1 : run > -HF__RUN_MAX ? run - 1 : run;
        uint64_t move = hf__quantile_move(q, q->down, samples, run < -q->fall);
        scale = scale - sample > move ? scale - move : sample;
    } else {
        run = 0;
    }
    return hf__word_of(run, samples < HF_QUANTILE_SAMPLES_MAX ? samples + 1 : samples, scale);
}

/*
 * Take a duration into account; one below 1 ns or above 100 years counts as that.
 * Never beyond the sample itself, so the estimate stays within what was seen.
 */
static inline void
hf_quantile_record(hf_quantile *q, int64_t sample_ns)
{
    uint64_t sample = hf__scale_of(sample_ns), w = hf_load_relaxed(&q->word);
    while (!hf_cas_weak_relaxed(&q->word, &w, hf__quantile_next(q, w, sample)))
        ;
}

/* The estimate; 1 before the first sample. */
static inline int64_t
hf_quantile_get_ns(const hf_quantile *q)
{
    return hf__scale_ns(hf_load_relaxed(&q->word) & HF__SCALE_MASK);
}

/* Samples so far; it does not count beyond HF_QUANTILE_SAMPLES_MAX. */
static inline unsigned
hf_quantile_samples(const hf_quantile *q)
{
    return (unsigned)hf__word_samples(hf_load_relaxed(&q->word));
}

#endif /* HF_QUANTILE_H */
