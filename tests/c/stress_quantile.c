/*
 * Real threads over one running quantile and one adaptive timeout: no sample is lost, nothing leaves
 * its limits, and the estimate is where one thread would have brought it.
 */
#include "holdfast/hf_adaptive_timeout.h"
#include "holdfast/hf_random.h"

#include "hf_threads.h"

enum { THREADS = 8 };

static struct {
    hf_quantile quantile;
    hf_adaptive_timeout timeout;
    long rounds;
} world;

static const int64_t ms = 1000000, second = INT64_C(1000000000);

static void
record_one_way(void *unused, int t)
{
    for (long i = 0; i < world.rounds; i++)
        hf_quantile_record(&world.quantile, INT64_MAX);
}

HF_TEST(every_sample_moves_it_once)
{
    /* Few enough that it does not arrive, and steps that are all alike: of the longest run. */
    world.rounds = 1000;
    hf_quantile_init(&world.quantile, 0.001);
    for (int i = 0; i < 5000; i++)
        hf_quantile_record(&world.quantile, 1);
    hf_quantile alone = world.quantile;
    hf_threads_run(THREADS, record_one_way, NULL);
    for (long i = 0; i < THREADS * world.rounds; i++)
        hf_quantile_record(&alone, INT64_MAX);
    HF_CHECK(hf_load_relaxed(&world.quantile.word) == hf_load_relaxed(&alone.word));
    HF_CHECK(hf_quantile_get_ns(&alone) < HF_QUANTILE_NS_MAX / 2);
}

static void
call_and_watch(void *unused, int t)
{
    hf_random r;
    hf_random_init(&r, (uint64_t)t);
    for (long i = 0; i < world.rounds; i++) {
        int64_t ns = ms + (int64_t)hf_random_below(&r, 99000000);
        hf_quantile_record(&world.quantile, ns);
        int64_t limit = hf_adaptive_timeout_get_ns(&world.timeout);
        HF_CHECK(limit >= 10 * ms && limit <= 10 * second);
        hf_adaptive_timeout_record(&world.timeout, ns, ns > limit);
        if (i % 1000 == 500)
            hf_adaptive_timeout_set_ns(&world.timeout, (int64_t)hf_random_below(&r, 20) * second);
        int64_t got = hf_quantile_get_ns(&world.quantile);
        HF_CHECK(got >= ms && got <= 100 * ms);
    }
}

HF_TEST(together_they_find_the_quantile_and_stay_within_the_limits) /* TO-08, D-TO-2 */
{
    world.rounds = hf_threads_rounds(100000);
    hf_quantile_init(&world.quantile, 0.95);
    hf_adaptive_timeout_init(&world.timeout, second, 10 * ms, 10 * second, 2.0, 0.95);
    hf_threads_run(THREADS, call_and_watch, NULL);
    int64_t got = hf_quantile_get_ns(&world.quantile);
    HF_CHECK(got > 70 * ms && got < 100 * ms); /* 95 ms */
    HF_CHECK_INT(hf_load_relaxed(&world.timeout.samples), THREADS * world.rounds);
    HF_CHECK_INT(hf_quantile_samples(&world.timeout.quantile), HF_QUANTILE_SAMPLES_MAX);
    printf("     the 95th of 100 is %.1f ms, after %ld samples\n", (double)got / 1e6,
           THREADS * world.rounds);
}
