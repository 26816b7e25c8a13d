/*
 * Latency histogram: one array of cells that answers two questions exactly enough.
 *
 *   buckets    how many took at most 5 ms, 10 ms … 10 s (Prometheus' DefBuckets): exact
 *   quantile   within 2 % of the value, from 1 us to 275 s
 *
 * Log-linear (as in HdrHistogram): 32 cells of 32 ns below 1,024 ns, then 32 cells to each octave up
 * to 2^38 ns. The cell that one of the eleven bounds falls into is two: up to the bound, and above.
 * A record is one increment and one sum. Cells are counters, read without stopping anybody.
 */
#ifndef HF_HISTOGRAM_H
#define HF_HISTOGRAM_H

#include <math.h>

#include "hf_atomic.h"

enum {
    HF__LINEAR_BITS = 10, /* below 2^10 ns the cells are equally wide */
    HF__CELL_BITS = 5,    /* 2^5 cells there, and in each octave above */
    HF__TOP_BITS = 38,    /* values of 2^38 ns and more are in the last cell */
    HF__OCTAVES = HF__TOP_BITS - HF__LINEAR_BITS,
    HF_HISTOGRAM_BOUNDS = 11,
    HF_HISTOGRAM_BUCKETS = HF_HISTOGRAM_BOUNDS + 1, /* the last one is +Inf */
    HF_HISTOGRAM_CELLS = ((1 + HF__OCTAVES) << HF__CELL_BITS) + HF_HISTOGRAM_BOUNDS,
};
#define HF__VALUE_MAX ((UINT64_C(1) << HF__TOP_BITS) - 1)
/* The most one record adds to the sum (78 h), so that no single bad value can wrap it. */
#define HF__SUM_MAX (UINT64_C(1) << 48)

static const int64_t hf_histogram_bounds_ns[HF_HISTOGRAM_BOUNDS] = {
    5000000,   10000000,   25000000,   50000000,   100000000,   250000000,
    500000000, 1000000000, 2500000000, 5000000000, 10000000000,
};

/* No octave has two bounds, so its cells are shifted by the bounds below it, and by its own. */
typedef struct hf__octave {
    uint64_t bound; /* the bound in this octave */
    uint64_t rank;  /* bounds in the octaves below */
} hf__octave;

#define HF__NO_BOUND UINT64_MAX
static const hf__octave hf__octaves[HF__OCTAVES] = {
    {HF__NO_BOUND, 0},  {HF__NO_BOUND, 0},  {HF__NO_BOUND, 0}, /* 2^10 ns … */
    {HF__NO_BOUND, 0},  {HF__NO_BOUND, 0},  {HF__NO_BOUND, 0},  {HF__NO_BOUND, 0},
    {HF__NO_BOUND, 0},  {HF__NO_BOUND, 0},  {HF__NO_BOUND, 0},  {HF__NO_BOUND, 0},
    {HF__NO_BOUND, 0},  {5000000, 0},       {10000000, 1},      {25000000, 2}, /* 2^22 ns … */
    {50000000, 3},      {100000000, 4},     {250000000, 5},     {500000000, 6},
    {1000000000, 7},    {HF__NO_BOUND, 8},  {2500000000, 8},    {5000000000, 9},
    {10000000000, 10}, /* 2^31 ns … */
    {HF__NO_BOUND, 11}, {HF__NO_BOUND, 11}, {HF__NO_BOUND, 11}, {HF__NO_BOUND, 11},
};

typedef struct hf_histogram {
    hf_au64 sum_ns; /* modulo 2^64, as any counter: 584 years of calls */
    hf_au64 cell[HF_HISTOGRAM_CELLS];
} hf_histogram;

/* The cell of a value of at most HF__VALUE_MAX. */
static inline unsigned
hf__histogram_cell(uint64_t ns)
{
    if (ns >> HF__LINEAR_BITS == 0)
        return (unsigned)(ns >> (HF__LINEAR_BITS - HF__CELL_BITS));
    unsigned top = 63 - (unsigned)__builtin_clzll(ns), octave = top - HF__LINEAR_BITS;
    /* ns >> … is 32 to 63: its leading bit skips the cells of one octave, the linear ones. */
    return (octave << HF__CELL_BITS) + (unsigned)(ns >> (top - HF__CELL_BITS)) +
           (unsigned)hf__octaves[octave].rank + (ns > hf__octaves[octave].bound);
}

/* The least value of a cell; of the cell after the last, HF__VALUE_MAX + 1. */
static inline uint64_t
hf__histogram_least(unsigned cell)
{
    const unsigned cells = 1u << HF__CELL_BITS;
    if (cell < cells)
        return (uint64_t)cell << (HF__LINEAR_BITS - HF__CELL_BITS);
    unsigned octave = HF__OCTAVES - 1;
    while ((octave + 1) * cells + hf__octaves[octave].rank > cell)
        octave--;
    uint64_t bound = hf__octaves[octave].bound;
    if (bound != HF__NO_BOUND) {
        unsigned split = hf__histogram_cell(bound) + 1;
        if (cell == split)
            return bound + 1;
        cell -= cell > split;
    }
    uint64_t nth = cell - octave * cells - hf__octaves[octave].rank;
    return nth << (octave + HF__LINEAR_BITS - HF__CELL_BITS);
}

/* Empty it. A record made meanwhile may survive or not. */
static inline void
hf_histogram_clear(hf_histogram *h)
{
    for (unsigned i = 0; i < HF_HISTOGRAM_CELLS; i++)
        hf_store_relaxed(&h->cell[i], 0);
    hf_store_relaxed(&h->sum_ns, 0);
}

static inline void
hf_histogram_init(hf_histogram *h)
{
    hf_histogram_clear(h);
}

/* In a forked child: counts start at zero. */
static inline void
hf_histogram_forget(hf_histogram *h)
{
    for (unsigned i = 0; i < HF_HISTOGRAM_CELLS; i++)
        hf_count_forget(&h->cell[i]);
    hf_count_forget(&h->sum_ns);
}

/* Count one value. Less than 0 counts as 0; more than 2^38 ns is in the last cell. */
static inline void
hf_histogram_record(hf_histogram *h, int64_t ns)
{
    uint64_t v = ns > 0 ? (uint64_t)ns : 0;
    hf_count(&h->cell[hf__histogram_cell(v < HF__VALUE_MAX ? v : HF__VALUE_MAX)], 1);
    hf_count(&h->sum_ns, v < HF__SUM_MAX ? v : HF__SUM_MAX);
}

/* The bucket of a duration, for who counts buckets alone. Most durations are in the first; the others are long. */
static inline unsigned
hf_histogram_bucket(int64_t ns)
{
    unsigned bucket = 0;
    while (bucket < HF_HISTOGRAM_BOUNDS && ns > hf_histogram_bounds_ns[bucket])
        bucket++;
    return bucket;
}

/* What one duration, which is at least 0, adds to a sum. */
static inline uint64_t
hf_histogram_share(int64_t ns)
{
    return (uint64_t)ns < HF__SUM_MAX ? (uint64_t)ns : HF__SUM_MAX;
}

/* out[k]: values of at most hf_histogram_bounds_ns[k]; the last, all of them. Never decreasing. */
static inline void
hf_histogram_buckets(const hf_histogram *h, uint64_t out[HF_HISTOGRAM_BUCKETS])
{
    uint64_t sum = 0;
    unsigned i = 0;
    for (unsigned k = 0; k < HF_HISTOGRAM_BUCKETS; k++) {
        unsigned last = k < HF_HISTOGRAM_BOUNDS
                            ? hf__histogram_cell((uint64_t)hf_histogram_bounds_ns[k])
                            : HF_HISTOGRAM_CELLS - 1;
        for (; i <= last; i++)
            sum += hf_load_relaxed(&h->cell[i]);
        out[k] = sum;
    }
}

static inline uint64_t
hf_histogram_count(const hf_histogram *h)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < HF_HISTOGRAM_CELLS; i++)
        sum += hf_load_relaxed(&h->cell[i]);
    return sum;
}

/* The sum of all values, in ns. */
static inline uint64_t
hf_histogram_sum(const hf_histogram *h)
{
    return hf_load_relaxed(&h->sum_ns);
}

/*
 * The value in ns that a fraction q of the records does not exceed (nearest rank), as the middle
 * of its cell. q outside 0 … 1 counts as the end it is beyond; NaN when there are no records, or
 * q is NaN.
 */
static inline double
hf_histogram_quantile(const hf_histogram *h, double q)
{
    uint64_t total = hf_histogram_count(h), seen = 0;
    if (total == 0 || q != q)
        return (double)NAN;
    double rank = q < 0 ? 0 : q < 1 ? q * (double)total : (double)total;
    rank -= rank * 0x1p-52; /* .55 of 100 is 55: two roundings add half of that each */
    /* Counts only grow, so the walk gets there, unless the histogram is cleared under it. */
    for (unsigned i = 0; i < HF_HISTOGRAM_CELLS; i++) {
        seen += hf_load_relaxed(&h->cell[i]);
        if (seen != 0 && (double)seen >= rank)
            return (double)(hf__histogram_least(i) + hf__histogram_least(i + 1) - 1) / 2;
    }
    return (double)NAN;
}

#endif /* HF_HISTOGRAM_H */
