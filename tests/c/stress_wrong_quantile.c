/* Real threads find out wrong/wrong_quantile.h too: samples are missing. */
#include "hf_threads.h"
#include "wrong/wrong_quantile.h"

enum { THREADS = 4 };

static hf_quantile quantile;
static long rounds;

static void
record_one_way(void *unused, int t)
{
    for (long i = 0; i < rounds; i++)
        wrong_quantile_record(&quantile, INT64_MAX);
}

HF_TEST(samples_that_are_lost_are_found_by_real_threads)
{
    rounds = 5000;
    hf_quantile_init(&quantile, 0.001);
    for (int i = 0; i < 5000; i++)
        hf_quantile_record(&quantile, 1);
    hf_quantile alone = quantile;
    hf_threads_run(THREADS, record_one_way, NULL);
    for (long i = 0; i < THREADS * rounds; i++)
        hf_quantile_record(&alone, INT64_MAX);
    HF_CHECK(hf_quantile_get_ns(&quantile) < hf_quantile_get_ns(&alone));
}
