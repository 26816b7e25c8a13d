/* Contract of hf_histogram.h: exact at the exported bounds, within 2 % everywhere else. */
#include "hf_test.h"

#include <math.h>

#include "holdfast/hf_histogram.h"
#include "holdfast/hf_random.h"

static const double seconds[HF_HISTOGRAM_BOUNDS] = {/* Prometheus' DefBuckets */
                                                    .005, .01, .025, .05, .1, .25,
                                                    .5,   1,   2.5,  5,   10};
static const int64_t covered_ns = INT64_C(274877906943); /* 2^38 - 1: 275 s */

static hf_histogram h; /* 7.5 KB: too much for some stacks */

static int
ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Each order of magnitude from 1 ns up as likely. */
static int64_t
some_latency(hf_random *r)
{
    double exponent = hf_random_unit(r) * 38;
    return (int64_t)exp2(exponent);
}

HF_TEST(the_bounds_are_those_of_prometheus)
{
    for (int k = 0; k < HF_HISTOGRAM_BOUNDS; k++)
        HF_CHECK_INT(hf_histogram_bounds_ns[k], llround(seconds[k] * 1e9));
}

HF_TEST(a_value_at_a_bound_belongs_below_it_and_one_more_does_not) /* le is "at most" */
{
    for (int k = 0; k < HF_HISTOGRAM_BOUNDS; k++) {
        for (int64_t off = -1; off <= 1; off++) {
            uint64_t buckets[HF_HISTOGRAM_BUCKETS];
            hf_histogram_init(&h);
            hf_histogram_record(&h, hf_histogram_bounds_ns[k] + off);
            hf_histogram_buckets(&h, buckets);
            for (int i = 0; i < HF_HISTOGRAM_BUCKETS; i++)
                HF_CHECK_INT(buckets[i], i > k || (i == k && off <= 0));
        }
    }
}

HF_TEST(buckets_are_exact_for_any_values) /* MX-05 */
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t expected[HF_HISTOGRAM_BUCKETS] = {0}, buckets[HF_HISTOGRAM_BUCKETS], sum = 0;
        hf_random r;
        hf_random_init(&r, seed);
        hf_histogram_init(&h);
        for (int i = 0; i < 20000; i++) {
            int64_t ns = some_latency(&r);
            if (i % 3 == 0) /* crowd the bounds */
                ns = hf_histogram_bounds_ns[hf_random_below(&r, 11)] + ns % 5 - 2;
            hf_histogram_record(&h, ns);
            sum += (uint64_t)ns;
            for (int k = 0; k < HF_HISTOGRAM_BUCKETS; k++)
                expected[k] += k == HF_HISTOGRAM_BOUNDS || ns <= hf_histogram_bounds_ns[k];
        }
        hf_histogram_buckets(&h, buckets);
        for (int k = 0; k < HF_HISTOGRAM_BUCKETS; k++)
            HF_CHECK_INT(buckets[k], expected[k]);
        HF_CHECK_INT(hf_histogram_sum(&h), sum);
        HF_CHECK_INT(hf_histogram_count(&h), 20000);
    }
}

HF_TEST(cells_cover_the_range_without_gap_or_overlap)
{
    HF_CHECK_INT(hf__histogram_least(0), 0);
    HF_CHECK_INT(hf__histogram_least(HF_HISTOGRAM_CELLS), covered_ns + 1);
    for (unsigned i = 0; i < HF_HISTOGRAM_CELLS; i++) {
        uint64_t least = hf__histogram_least(i), next = hf__histogram_least(i + 1);
        HF_REQUIRE(next > least);
        HF_CHECK_INT(hf__histogram_cell(least), i);
        HF_CHECK_INT(hf__histogram_cell(least + (next - least) / 2), i);
        HF_CHECK_INT(hf__histogram_cell(next - 1), i);
    }
}

HF_TEST(no_cell_lies_on_both_sides_of_a_bound)
{
    for (int k = 0; k < HF_HISTOGRAM_BOUNDS; k++) {
        uint64_t bound = (uint64_t)hf_histogram_bounds_ns[k];
        HF_CHECK_INT(hf__histogram_least(hf__histogram_cell(bound) + 1), bound + 1);
    }
}

HF_TEST(a_quantile_of_one_value_is_within_two_percent_of_it) /* 1 us … 275 s */
{
    for (double ns = 1000; ns < (double)covered_ns; ns *= 1.003) {
        hf_histogram_clear(&h);
        hf_histogram_record(&h, (int64_t)ns);
        for (int half = 0; half <= 2; half++)
            HF_CHECK(fabs(hf_histogram_quantile(&h, half / 2.0) - floor(ns)) <= 0.02 * floor(ns));
    }
}

HF_TEST(a_quantile_is_within_two_percent_at_both_ends_of_every_cell)
{
    for (unsigned i = 0; i < HF_HISTOGRAM_CELLS; i++) {
        const uint64_t ends[] = {hf__histogram_least(i), hf__histogram_least(i + 1) - 1};
        for (int end = 0; end < 2; end++) {
            if (ends[end] < 1000)
                continue;
            hf_histogram_init(&h);
            hf_histogram_record(&h, (int64_t)ends[end]);
            double q = hf_histogram_quantile(&h, .5), exact = (double)ends[end];
            HF_CHECK(fabs(q - exact) <= .02 * exact);
            HF_CHECK(hf__histogram_cell((uint64_t)q) == i);
        }
    }
}

HF_TEST(below_a_microsecond_a_quantile_is_within_sixteen_nanoseconds)
{
    for (int64_t ns = 0; ns < 1000; ns++) {
        hf_histogram_init(&h);
        hf_histogram_record(&h, ns);
        HF_CHECK(fabs(hf_histogram_quantile(&h, .5) - (double)ns) <= 16);
    }
}

HF_TEST(quantiles_of_many_values_are_within_two_percent_of_the_nearest_rank)
{
    enum { VALUES = 10000 };
    static int64_t values[VALUES];
    static const double qs[] = {0, .001, .01, .1, .25, .5, .75, .9, .95, .99, .999, .9999, 1};
    for (uint64_t seed = 1; seed <= 20; seed++) {
        hf_random r;
        hf_random_init(&r, seed);
        hf_histogram_init(&h);
        for (int i = 0; i < VALUES; i++) {
            values[i] = 1000 + some_latency(&r) % (seed % 2 ? 1000000 : covered_ns - 1000);
            hf_histogram_record(&h, values[i]);
        }
        qsort(values, VALUES, sizeof *values, ascending);
        for (unsigned k = 0; k < sizeof qs / sizeof *qs; k++) {
            int rank = (int)ceil(qs[k] * VALUES);
            double exact = (double)values[rank > 0 ? rank - 1 : 0];
            HF_CHECK(fabs(hf_histogram_quantile(&h, qs[k]) - exact) <= .02 * exact);
        }
    }
}

/* Some products of a decimal and a count are a little more than they should be: .55 * 100, .07 * 200. */
HF_TEST(a_quantile_is_what_its_decimal_digits_say)
{
    for (int records = 100; records <= 300; records += 100) {
        for (int percent = 1; percent < 100; percent++) {
            const int fast = records / 100 * percent;
            hf_histogram_init(&h);
            for (int i = 0; i < records; i++)
                hf_histogram_record(&h, i < fast ? 1000000 : 1000000000);
            HF_CHECK(hf_histogram_quantile(&h, percent / 100.0) < 2e6);
            HF_CHECK(hf_histogram_quantile(&h, (percent + .1) / 100.0) > 9e8);
        }
    }
}

HF_TEST(quantiles_never_decrease)
{
    hf_random r;
    hf_random_init(&r, 8);
    hf_histogram_init(&h);
    for (int i = 0; i < 1000; i++)
        hf_histogram_record(&h, some_latency(&r));
    double last = 0;
    for (int i = 0; i <= 1000; i++) {
        double q = hf_histogram_quantile(&h, i / 1000.0);
        HF_CHECK(q >= last);
        last = q;
    }
}

HF_TEST(the_quantile_of_nothing_is_not_a_number) /* trap 29: 1.8e19, division by zero, -1 */
{
    uint64_t buckets[HF_HISTOGRAM_BUCKETS];
    hf_histogram_init(&h);
    for (int tenth = 0; tenth <= 10; tenth++)
        HF_CHECK(isnan(hf_histogram_quantile(&h, tenth / 10.0)));
    hf_histogram_buckets(&h, buckets);
    for (int k = 0; k < HF_HISTOGRAM_BUCKETS; k++)
        HF_CHECK_INT(buckets[k], 0);
    HF_CHECK_INT(hf_histogram_count(&h), 0);
    HF_CHECK_INT(hf_histogram_sum(&h), 0);
}

/* The least and the greatest are the ends, however many records are between them, or none. */
HF_TEST(the_ends_of_a_histogram_are_its_least_and_its_greatest_record)
{
    for (uint64_t between = 0; between < 3000; between += 999) {
        hf_histogram_init(&h);
        hf_histogram_record(&h, 2000);
        for (uint64_t i = 0; i < between; i++)
            hf_histogram_record(&h, 3000000);
        hf_histogram_record(&h, 40000000000);
        HF_CHECK(fabs(hf_histogram_quantile(&h, 0) - 2000) <= 40);
        HF_CHECK(fabs(hf_histogram_quantile(&h, 1) - 4e10) <= 8e8);
        HF_CHECK(fabs(hf_histogram_quantile(&h, 1.0 / (double)(between + 2)) - 2000) <= 40);
        HF_CHECK((hf_histogram_quantile(&h, .5) > 2e6) == (between > 0));
    }
}

HF_TEST(a_fraction_outside_its_range_counts_as_the_end_it_is_beyond)
{
    hf_histogram_init(&h);
    hf_histogram_record(&h, 2000);
    hf_histogram_record(&h, 2000000);
    HF_CHECK(hf_histogram_quantile(&h, -1) == hf_histogram_quantile(&h, 0));
    HF_CHECK(hf_histogram_quantile(&h, -(double)INFINITY) == hf_histogram_quantile(&h, 0));
    HF_CHECK(hf_histogram_quantile(&h, 1.5) == hf_histogram_quantile(&h, 1));
    HF_CHECK(hf_histogram_quantile(&h, (double)INFINITY) == hf_histogram_quantile(&h, 1));
    HF_CHECK(hf_histogram_quantile(&h, 0) < hf_histogram_quantile(&h, 1));
    HF_CHECK(isnan(hf_histogram_quantile(&h, (double)NAN)));
}

HF_TEST(values_that_are_not_durations_count_as_zero) /* trap 35: a clock that gives no difference */
{
    const int64_t odd[] = {0, -1, -1000000, INT64_MIN};
    uint64_t buckets[HF_HISTOGRAM_BUCKETS];
    hf_histogram_init(&h);
    for (unsigned i = 0; i < sizeof odd / sizeof *odd; i++)
        hf_histogram_record(&h, odd[i]);
    hf_histogram_buckets(&h, buckets);
    HF_CHECK_INT(buckets[0], 4);
    HF_CHECK_INT(hf_histogram_sum(&h), 0);
    HF_CHECK(hf_histogram_quantile(&h, 1) <= 16);
}

HF_TEST(huge_values_are_in_the_last_bucket_and_spoil_no_sum) /* trap 38 */
{
    const int64_t huge[] = {covered_ns, covered_ns + 1, INT64_C(1) << 47, INT64_MAX - 1, INT64_MAX};
    uint64_t buckets[HF_HISTOGRAM_BUCKETS];
    hf_histogram_init(&h);
    for (unsigned i = 0; i < sizeof huge / sizeof *huge; i++)
        hf_histogram_record(&h, huge[i]);
    hf_histogram_buckets(&h, buckets);
    HF_CHECK_INT(buckets[10], 0);
    HF_CHECK_INT(buckets[11], 5);
    /* A call of 39 hours is summed in full, one of 292 years as one of 78 hours. */
    HF_CHECK_INT(hf_histogram_sum(&h),
                 2 * covered_ns + 1 + (INT64_C(1) << 47) + (INT64_C(2) << 48));
    HF_CHECK(fabs(hf_histogram_quantile(&h, 0) - (double)covered_ns) < .02 * (double)covered_ns);
}

HF_TEST(clearing_empties_it)
{
    hf_histogram_init(&h);
    for (int64_t ns = 1; ns < covered_ns; ns *= 2)
        hf_histogram_record(&h, ns);
    HF_CHECK(hf_histogram_count(&h) > 0);
    hf_histogram_clear(&h);
    HF_CHECK_INT(hf_histogram_count(&h), 0);
    HF_CHECK_INT(hf_histogram_sum(&h), 0);
    HF_CHECK(isnan(hf_histogram_quantile(&h, .5)));
}

HF_TEST(it_fits_ten_kilobytes_and_works_wherever_its_bytes_are)
{
    static hf_histogram moved;
    hf_histogram_init(&h);
    hf_histogram_record(&h, 5000000);
    memcpy(&moved, &h, sizeof h);
    memset(&h, 0xFF, sizeof h);
    hf_histogram_record(&moved, 5000000);
    HF_CHECK_INT(hf_histogram_count(&moved), 2);
    HF_CHECK(sizeof h <= 10 * 1024);
}
