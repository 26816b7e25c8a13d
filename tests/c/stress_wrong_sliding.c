/* Real threads find out wrong/wrong_sliding.h too, by what stress_sliding.c asks of the real one. */
#include "hf_threads.h"
#include "wrong/wrong_sliding.h"

enum { THREADS = 4, LIMIT = 1000 };

static hf_sliding window;
static hf_au64 taken;

static void
take_until_full(void *unused, int t)
{
    int64_t slice;
    while (wrong_sliding_take(&window, 1, 0, &slice))
        hf_count(&taken, 1);
}

/* trap 36. */
HF_TEST(more_takes_than_the_limit_are_found_by_real_threads)
{
    bool found = false;
    for (long i = 0; i < hf_threads_rounds(1000000) && !found; i++) {
        hf_sliding_init(&window, LIMIT, 1000);
        hf_store_relaxed(&taken, 0);
        hf_threads_run(THREADS, take_until_full, NULL);
        found = hf_load_relaxed(&taken) > LIMIT;
    }
    HF_CHECK(found);
}
