/* Contract of hf_adaptive_timeout.h, one promise a test. */
#include "hf_test.h"

#include "holdfast/hf_adaptive_timeout.h"

static const int64_t ms = 1000000, second = INT64_C(1000000000);

static hf_adaptive_timeout
timeout_of(int64_t initial_ns)
{
    hf_adaptive_timeout t;
    hf_adaptive_timeout_init(&t, initial_ns, 10 * ms, 300 * second, 2.0, 0.95);
    return t;
}

static void
record(hf_adaptive_timeout *t, int64_t latency_ns, int times)
{
    for (int i = 0; i < times; i++)
        hf_adaptive_timeout_record(t, latency_ns, false);
}

/* A call that takes so long, or is given up after the timeout; whether it came through. */
static bool
call(hf_adaptive_timeout *t, int64_t takes_ns)
{
    int64_t given_ns = hf_adaptive_timeout_get_ns(t);
    hf_adaptive_timeout_record(t, takes_ns < given_ns ? takes_ns : given_ns, takes_ns > given_ns);
    return takes_ns <= given_ns;
}

HF_TEST(it_begins_as_it_was_set_and_stays_so_for_nine_samples) /* TO-08 */
{
    hf_adaptive_timeout t = timeout_of(30 * second);
    HF_CHECK_INT(hf_adaptive_timeout_get_ns(&t), 30 * second);
    HF_CHECK(hf_adaptive_timeout_average_ns(&t) < 0);
    record(&t, ms, 9);
    HF_CHECK_INT(hf_adaptive_timeout_get_ns(&t), 30 * second);
    record(&t, ms, 1);
    HF_CHECK_INT(hf_adaptive_timeout_get_ns(&t), 30 * second - (30 * second - 10 * ms) / 10);
}

HF_TEST(it_goes_half_of_the_way_up_and_a_tenth_of_the_way_down)
{
    hf_adaptive_timeout t = timeout_of(second);
    record(&t, 5 * second, 10);
    HF_CHECK_INT(hf_adaptive_timeout_get_ns(&t), second + 9 * second / 2);
    record(&t, 5 * second, 1);
    HF_CHECK_INT(hf_adaptive_timeout_get_ns(&t), 5500 * ms + 4500 * ms / 2);
    hf_adaptive_timeout_set_ns(&t, 20 * second);
    record(&t, 5 * second, 1);
    HF_CHECK_INT(hf_adaptive_timeout_get_ns(&t), 19 * second);
}

HF_TEST(it_settles_at_so_many_times_the_quantile)
{
    hf_adaptive_timeout t = timeout_of(second);
    record(&t, 100 * ms, 1000);
    int64_t off = hf_adaptive_timeout_get_ns(&t) - 200 * ms;
    HF_CHECK(off >= 0 && off < 10);
}

HF_TEST(a_call_that_timed_out_is_a_sample_of_the_timeout_at_least) /* D-TO-1 */
{
    hf_adaptive_timeout t = timeout_of(second);
    hf_adaptive_timeout_record(&t, 0, true);
    HF_CHECK_INT(hf_adaptive_timeout_average_ns(&t), second);
    HF_CHECK_INT(hf_quantile_get_ns(&t.quantile), second);
    hf_adaptive_timeout_record(&t, 17 * second, true);
    HF_CHECK_INT(hf_adaptive_timeout_average_ns(&t), 2 * second);
}

HF_TEST(slow_calls_after_two_hundred_fast_ones_do_not_time_out_for_ever) /* D-TO-1 */
{
    const int64_t slow[] = {15 * ms, 100 * ms, second, 60 * second, 250 * second};
    for (unsigned i = 0; i < sizeof slow / sizeof *slow; i++) {
        hf_adaptive_timeout t = timeout_of(30 * second);
        record(&t, ms, 200);
        HF_CHECK(hf_adaptive_timeout_get_ns(&t) < 11 * ms);
        int lost = 0, calls = 0;
        while (!call(&t, slow[i]) && calls++ < 1000)
            lost++;
        HF_CHECK(lost > 0 && lost < 150);
        for (calls = 0; calls < 1000; calls++) /* and it stays there */
            HF_CHECK(call(&t, slow[i]));
    }
}

HF_TEST(when_calls_are_fast_again_it_comes_down)
{
    hf_adaptive_timeout t = timeout_of(second);
    record(&t, 10 * second, 200);
    HF_CHECK(hf_adaptive_timeout_get_ns(&t) > 15 * second);
    record(&t, 100 * ms, 1000);
    HF_CHECK(hf_adaptive_timeout_get_ns(&t) < 250 * ms);
}

HF_TEST(limits_that_are_one_leave_it_no_choice)
{
    hf_adaptive_timeout t;
    hf_adaptive_timeout_init(&t, second, second, second, 1000.0, 0.5);
    record(&t, 1, 100);
    HF_CHECK_INT(hf_adaptive_timeout_get_ns(&t), second);
    record(&t, INT64_MAX, 100);
    HF_CHECK_INT(hf_adaptive_timeout_get_ns(&t), second);
    hf_adaptive_timeout_set_ns(&t, 5);
    HF_CHECK_INT(hf_adaptive_timeout_get_ns(&t), second);
}

HF_TEST(the_largest_numbers_do_not_overflow)
{
    hf_adaptive_timeout t;
    hf_adaptive_timeout_init(&t, 1, 1, HF_QUANTILE_NS_MAX, 1000.0, 0.5);
    record(&t, INT64_MAX, 100);
    HF_CHECK(hf_adaptive_timeout_get_ns(&t) > HF_QUANTILE_NS_MAX / 2);
    HF_CHECK_INT(hf_adaptive_timeout_average_ns(&t), HF_QUANTILE_NS_MAX);
    record(&t, INT64_MIN, 20000);
    HF_CHECK(hf_adaptive_timeout_get_ns(&t) < 2000);
    HF_CHECK(hf_adaptive_timeout_average_ns(&t) < 20);
}

HF_TEST(a_timeout_set_by_hand_holds_until_the_samples_move_it) /* TO-08 */
{
    hf_adaptive_timeout t = timeout_of(second);
    hf_adaptive_timeout_set_ns(&t, 2 * second);
    HF_CHECK_INT(hf_adaptive_timeout_get_ns(&t), 2 * second);
    hf_adaptive_timeout_set_ns(&t, 0);
    HF_CHECK_INT(hf_adaptive_timeout_get_ns(&t), 10 * ms);
    hf_adaptive_timeout_set_ns(&t, INT64_MAX);
    HF_CHECK_INT(hf_adaptive_timeout_get_ns(&t), 300 * second);
}

HF_TEST(resized_it_has_other_limits_at_once_and_keeps_its_samples) /* TO-08 */
{
    hf_adaptive_timeout t = timeout_of(second);
    record(&t, 100 * ms, 1000);
    hf_adaptive_timeout_resize(&t, 60 * second, 6 * second, 120 * second);
    HF_CHECK_INT(hf_adaptive_timeout_get_ns(&t), 60 * second);
    record(&t, 100 * ms, 1);
    HF_CHECK_INT(hf_adaptive_timeout_get_ns(&t), 60 * second - 54 * second / 10);
    record(&t, 100 * ms, 1000);
    HF_CHECK(hf_adaptive_timeout_get_ns(&t) - 6 * second < 10);
    record(&t, 300 * second, 1000);
    HF_CHECK(120 * second - hf_adaptive_timeout_get_ns(&t) < 2);
}

HF_TEST(what_a_late_step_left_outside_of_the_limits_is_read_within_them)
{
    hf_adaptive_timeout t = timeout_of(second);
    hf_store_relaxed(&t.timeout_ns, 1); /* as after a resize in the middle of a record */
    HF_CHECK_INT(hf_adaptive_timeout_get_ns(&t), 10 * ms);
    hf_store_relaxed(&t.timeout_ns, INT64_MAX);
    HF_CHECK_INT(hf_adaptive_timeout_get_ns(&t), 300 * second);
}

HF_TEST(samples_are_counted_and_averaged) /* TO-08 */
{
    hf_adaptive_timeout t = timeout_of(second);
    record(&t, 160, 1);
    record(&t, 320, 1);
    HF_CHECK_INT(hf_adaptive_timeout_average_ns(&t), 170);
    record(&t, 10, 1);
    HF_CHECK_INT(hf_adaptive_timeout_average_ns(&t), 160);
    HF_CHECK_INT(hf_load_relaxed(&t.samples), 3);
}
