/* Real threads over a clock, a generator and a histogram: no step, draw or record is lost. */
#include "holdfast/hf_clock.h"
#include "holdfast/hf_histogram.h"
#include "holdfast/hf_random.h"

#include "hf_threads.h"

enum { THREADS = 8, DRAWS = 100000 };

static hf_clock manual;
static hf_random generator;
static hf_histogram histogram;
static uint64_t drawn[DRAWS], alone[DRAWS], sums[THREADS];
static long rounds;

static void
advance_and_step_back(void *unused, int t)
{
    int64_t last = hf_clock_now_ns(&manual);
    for (long i = 0; i < rounds; i++) {
        if (t == 0 && i % 16 == 0) /* back: adds nothing to policy time and takes nothing off */
            hf_clock_set(&manual, hf_clock_shown_ns(&manual) - 1000);
        hf_clock_advance(&manual, t + 1);
        int64_t now = hf_clock_now_ns(&manual);
        HF_CHECK(now >= last + t + 1);
        last = now;
    }
}

HF_TEST(policy_time_loses_no_step_and_never_goes_back) /* traps 20, 25 */
{
    rounds = hf_threads_rounds(200000);
    hf_clock_init_manual(&manual, 0);
    hf_threads_run(THREADS, advance_and_step_back, NULL);
    HF_CHECK_INT(hf_clock_now_ns(&manual), rounds * THREADS * (THREADS + 1) / 2);
}

static void
advance_only(void *unused, int t)
{
    for (long i = 0; i < rounds; i++)
        hf_clock_advance(&manual, t + 1);
}

HF_TEST(both_times_of_a_clock_that_only_advances_agree)
{
    rounds = hf_threads_rounds(200000);
    hf_clock_init_manual(&manual, 0);
    hf_threads_run(THREADS, advance_only, NULL);
    HF_CHECK_INT(hf_clock_now_ns(&manual), rounds * THREADS * (THREADS + 1) / 2);
    HF_CHECK_INT(hf_clock_shown_ns(&manual), hf_clock_now_ns(&manual));
}

static int
ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void
draw(void *unused, int t)
{
    for (int i = t; i < DRAWS; i += THREADS)
        drawn[i] = hf_random_next(&generator);
}

HF_TEST(threads_share_out_the_one_sequence_of_the_seed)
{
    hf_random_init(&generator, 6);
    for (int i = 0; i < DRAWS; i++)
        alone[i] = hf_random_next(&generator);
    hf_random_init(&generator, 6);
    hf_threads_run(THREADS, draw, NULL);
    qsort(alone, DRAWS, sizeof *alone, ascending);
    qsort(drawn, DRAWS, sizeof *drawn, ascending);
    HF_CHECK(memcmp(alone, drawn, sizeof alone) == 0);
}

static void
record_and_read(void *unused, int t)
{
    uint64_t before[HF_HISTOGRAM_BUCKETS] = {0}, buckets[HF_HISTOGRAM_BUCKETS];
    hf_random r;
    hf_random_init(&r, (uint64_t)t);
    for (long i = 0; i < rounds; i++) {
        int64_t ns = (int64_t)(hf_random_next(&r) >> (26 + hf_random_below(&r, 30)));
        hf_histogram_record(&histogram, ns);
        sums[t] += (uint64_t)ns;
        if (i % 1024)
            continue;
        hf_histogram_buckets(&histogram, buckets);
        for (int k = 0; k < HF_HISTOGRAM_BUCKETS; k++) {
            HF_CHECK(buckets[k] >= before[k]); /* counters that are read while they grow */
            HF_CHECK(k == 0 || buckets[k] >= buckets[k - 1]);
            before[k] = buckets[k];
        }
        HF_CHECK(hf_histogram_quantile(&histogram, .5) > 0);
    }
}

HF_TEST(a_histogram_loses_no_record_and_no_nanosecond) /* MX-05 */
{
    uint64_t sum = 0;
    rounds = hf_threads_rounds(200000);
    hf_histogram_init(&histogram);
    hf_threads_run(THREADS, record_and_read, NULL);
    for (int t = 0; t < THREADS; t++)
        sum += sums[t];
    HF_CHECK_INT(hf_histogram_count(&histogram), rounds * THREADS);
    HF_CHECK_INT(hf_histogram_sum(&histogram), sum);
}
