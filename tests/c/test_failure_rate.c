/* Contract of hf_failure_rate.h. */
#include "hf_test.h"

#include "holdfast/hf_failure_rate.h"
#include "holdfast/hf_random.h"

static hf_failure_rate
rate(void)
{
    hf_failure_rate r;
    hf_failure_rate_init(&r);
    return r;
}

static void
record(hf_failure_rate *r, bool failed, int times)
{
    for (int i = 0; i < times; i++)
        hf_failure_rate_record(r, failed);
}

static bool
is_near(double a, double b, double by)
{
    return a - b < by && b - a < by;
}

HF_TEST(it_begins_at_nothing_and_stays_there_while_nothing_fails)
{
    hf_failure_rate r = rate();
    HF_CHECK(hf_failure_rate_get(&r) == 0);
    record(&r, false, 100);
    HF_CHECK(hf_failure_rate_get(&r) == 0);
}

/* RT-24. */
HF_TEST(an_attempt_weighs_a_thirty_second)
{
    hf_failure_rate r = rate();
    record(&r, true, 1);
    HF_CHECK(hf_failure_rate_get(&r) == 1. / 32);
    record(&r, false, 1);
    HF_CHECK(is_near(hf_failure_rate_get(&r), 31. / 1024, 1e-9));
}

HF_TEST(after_thirty_two_attempts_most_of_what_was_before_is_gone)
{
    hf_failure_rate r = rate();
    record(&r, true, 10000);
    record(&r, false, 32);
    HF_CHECK(hf_failure_rate_get(&r) > .35 && hf_failure_rate_get(&r) < .37);
    record(&r, false, 96);
    HF_CHECK(hf_failure_rate_get(&r) < .02);
}

HF_TEST(it_reaches_one_and_nothing_exactly)
{
    hf_failure_rate r = rate();
    for (int round = 0; round < 3; round++) {
        record(&r, true, 1000);
        HF_CHECK(hf_failure_rate_get(&r) == 1);
        record(&r, false, 1000);
        HF_CHECK(hf_failure_rate_get(&r) == 0);
    }
}

HF_TEST(it_follows_the_mean_of_real_numbers_and_keeps_between_nothing_and_one)
{
    hf_random random;
    hf_random_init(&random, 24);
    for (int percent = 0; percent <= 100; percent += 5) {
        hf_failure_rate r = rate();
        double mean = 0, total = 0;
        for (int i = 0; i < 20000; i++) {
            const bool failed = hf_random_below(&random, 100) < (uint64_t)percent;
            hf_failure_rate_record(&r, failed);
            mean += ((failed ? 1 : 0) - mean) / 32;
            total += hf_failure_rate_get(&r);
            HF_REQUIRE(is_near(hf_failure_rate_get(&r), mean, 1e-6));
            HF_REQUIRE(hf_failure_rate_get(&r) >= 0 && hf_failure_rate_get(&r) <= 1);
        }
        HF_CHECK(is_near(total / 20000, percent / 100., .03));
    }
}
