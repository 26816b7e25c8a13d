/* Contract of hf_hedge.h: after how long a further attempt begins. */
#include "hf_test.h"

#include "holdfast/hf_hedge.h"

static const int64_t ms = 1000000;

HF_TEST(a_fixed_delay_follows_no_sample)
{
    hf_hedge h;
    memset(&h, 0xFF, sizeof h);
    hf_hedge_init(&h, 50 * ms);
    hf_hedge_record(&h, 900 * ms);
    HF_CHECK_INT(hf_hedge_delay_ns(&h), 50 * ms);
    HF_CHECK_INT(hf_hedge_due_ns(&h, 7), 50 * ms + 7);
    HF_CHECK(!hf_hedge_samples(&h));
    HF_CHECK_INT(hf_quantile_samples(&h.quantile), 0);
}

HF_TEST(a_quantile_counts_from_the_last_sample_of_its_warm_up_on)
{
    hf_hedge h;
    hf_hedge_init_quantile(&h, 0.95, 20, HF_HEDGE_NEVER, 1);
    for (int i = 0; i < 19; i++)
        hf_hedge_record(&h, 10 * ms);
    HF_CHECK_INT(hf_hedge_due_ns(&h, 5), HF_HEDGE_NEVER);
    hf_hedge_record(&h, 10 * ms);
    HF_CHECK_INT(hf_hedge_due_ns(&h, 5), 10 * ms + 5);
}

HF_TEST(the_delay_of_the_beginning_counts_until_then)
{
    hf_hedge h;
    hf_hedge_init_quantile(&h, 0.9, 2, 30 * ms, 1);
    hf_hedge_record(&h, 10 * ms);
    HF_CHECK_INT(hf_hedge_delay_ns(&h), 30 * ms);
    hf_hedge_record(&h, 10 * ms);
    HF_CHECK_INT(hf_hedge_delay_ns(&h), 10 * ms);
}

HF_TEST(the_delay_is_never_below_its_floor)
{
    hf_hedge h;
    hf_hedge_init_quantile(&h, 0.9, 1, HF_HEDGE_NEVER, 3 * ms);
    hf_hedge_record(&h, ms);
    HF_CHECK_INT(hf_hedge_delay_ns(&h), 3 * ms);
}

HF_TEST(a_delay_at_the_end_of_time_is_held_there)
{
    hf_hedge h;
    hf_hedge_init(&h, INT64_MAX - 1);
    HF_CHECK_INT(hf_hedge_due_ns(&h, INT64_MAX - 5), INT64_MAX);
}

HF_TEST(samples_of_attempts_that_lost_keep_the_delay_from_sinking)
{
    hf_hedge h;
    hf_hedge_init_quantile(&h, 0.95, 20, HF_HEDGE_NEVER, 1);
    for (int i = 0; i < 5000; i++) {
        int64_t delay = hf_hedge_delay_ns(&h), took = i % 20 == 0 ? 100 * ms : 10 * ms;
        /* ended by the answer of another attempt, a little after that began */
        hf_hedge_record(&h, took > delay ? delay + ms : took);
    }
    HF_CHECK(hf_hedge_delay_ns(&h) >= 9 * ms);
}
