/*
 * Real threads find out the wrong bucket, budget and window too, by what the stress tests ask of the
 * real ones: more is taken than there was.
 */
#include "hf_threads.h"
#include "wrong/wrong_bucket.h"
#include "wrong/wrong_budget.h"
#include "wrong/wrong_sliding.h"

enum { THREADS = 4, LIMIT = 1000 };

static hf_bucket bucket;
static hf_budget budget;
static hf_sliding window;
static hf_au64 taken;

#define TAKE_UNTIL_EMPTY(name, take)                                                               \
    static void name(void *shared, int t)                                                          \
    {                                                                                              \
        int64_t slice;                                                                             \
        (void)slice;                                                                               \
        while (take)                                                                               \
            hf_count(&taken, 1);                                                                   \
    }
TAKE_UNTIL_EMPTY(empty_the_bucket, wrong_bucket_try_take(&bucket, 1, 0))
TAKE_UNTIL_EMPTY(empty_the_budget, wrong_budget_withdraw(&budget, 0))
TAKE_UNTIL_EMPTY(fill_the_window, wrong_sliding_take(&window, 1, 0, &slice))

static uint64_t
taken_by(hf_thread_body *body)
{
    hf_store_relaxed(&taken, 0);
    hf_threads_run(THREADS, body, NULL);
    return hf_load_relaxed(&taken);
}

/* trap 36. */
HF_TEST(more_takes_than_tokens_are_found_by_real_threads)
{
    uint64_t burst = (uint64_t)hf_threads_rounds(1000000);
    hf_bucket_init(&bucket, (hf_rate){.num = 1, .den = 1, .burst = burst}, 0);
    HF_CHECK(taken_by(empty_the_bucket) > burst);
    hf_budget_init(&budget, (hf_budget_rule){.burst = burst}, 0);
    HF_CHECK(taken_by(empty_the_budget) > burst);
}

/* trap 36. */
HF_TEST(more_takes_than_the_limit_are_found_by_real_threads)
{
    bool found = false;
    for (long i = 0; i < hf_threads_rounds(1000000) && !found; i++) {
        hf_sliding_init(&window, LIMIT, 1000);
        found = taken_by(fill_the_window) > LIMIT;
    }
    HF_CHECK(found);
}
