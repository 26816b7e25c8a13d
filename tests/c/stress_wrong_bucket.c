/* Real threads find out wrong/wrong_bucket.h too, by what stress_bucket.c asks of the real one. */
#include "hf_threads.h"
#include "wrong/wrong_bucket.h"

enum { THREADS = 4 };

static hf_bucket bucket;
static hf_au64 taken;

static void
take_until_empty(void *unused, int t)
{
    while (wrong_bucket_try_take(&bucket, 1, 0))
        hf_count(&taken, 1);
}

/* trap 36. */
HF_TEST(more_takes_than_tokens_are_found_by_real_threads)
{
    uint64_t burst = (uint64_t)hf_threads_rounds(1000000);
    hf_bucket_init(&bucket, (hf_rate){.num = 1, .den = 1, .burst = burst}, 0);
    hf_threads_run(THREADS, take_until_empty, NULL);
    HF_CHECK(hf_load_relaxed(&taken) > burst);
}
