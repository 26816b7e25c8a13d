/* Contract of hf_clock.h: what policies see of time, whatever is done to the clock. */
#include "hf_test.h"

#include "holdfast/hf_clock.h"
#include "holdfast/hf_random.h"

static const int64_t second = INT64_C(1000000000), hour = 3600 * INT64_C(1000000000);

HF_TEST(the_system_clock_never_goes_backwards)
{
    hf_clock c;
    hf_clock_init_system(&c);
    int64_t precise = hf_clock_now_ns(&c), coarse = hf_clock_coarse_ns(&c);
    for (int i = 0; i < 10000; i++) {
        int64_t p = hf_clock_now_ns(&c), q = hf_clock_coarse_ns(&c);
        HF_CHECK(p >= precise);
        HF_CHECK(q >= coarse);
        precise = p;
        coarse = q;
    }
}

HF_TEST(the_coarse_clock_is_the_precise_one_as_of_a_moment_ago)
{
    hf_clock c;
    hf_clock_init_system(&c);
    for (int i = 0; i < 1000; i++) {
        int64_t before = hf_clock_coarse_ns(&c);
        int64_t precise = hf_clock_now_ns(&c);
        int64_t after = hf_clock_coarse_ns(&c);
        HF_CHECK(before <= precise);
        HF_CHECK(after > precise - second); /* a tick is 10 ms at the most; machines do stall */
    }
}

HF_TEST(the_system_clock_shows_the_time_it_gives)
{
    hf_clock c;
    hf_clock_init_system(&c);
    int64_t before = hf_clock_now_ns(&c), shown = hf_clock_shown_ns(&c);
    HF_CHECK(before <= shown);
    HF_CHECK(shown <= hf_clock_now_ns(&c));
}

HF_TEST(the_system_clock_cannot_be_moved)
{
    hf_clock c;
    hf_clock_init_system(&c);
    int64_t before = hf_clock_now_ns(&c);
    hf_clock_advance(&c, 1000 * hour);
    hf_clock_set(&c, before + 1000 * hour);
    HF_CHECK(hf_clock_now_ns(&c) < before + 1000 * hour);
    HF_CHECK(hf_clock_shown_ns(&c) < before + 1000 * hour);
}

HF_TEST(a_manual_clock_stands_still_where_it_was_set) /* trap 22: every reading is the manual one */
{
    hf_clock c;
    const int64_t starts[] = {0, 1, -1, 17 * second, -hour, INT64_MIN, INT64_MAX};
    for (unsigned i = 0; i < sizeof starts / sizeof *starts; i++) {
        hf_clock_init_manual(&c, starts[i]);
        for (int twice = 0; twice < 2; twice++) {
            HF_CHECK_INT(hf_clock_now_ns(&c), starts[i]);
            HF_CHECK_INT(hf_clock_coarse_ns(&c), starts[i]);
            HF_CHECK_INT(hf_clock_shown_ns(&c), starts[i]);
        }
    }
}

HF_TEST(advancing_moves_both_times_by_exactly_that)
{
    hf_clock c;
    hf_clock_init_manual(&c, 5);
    hf_clock_advance(&c, 1);
    HF_CHECK_INT(hf_clock_now_ns(&c), 6);
    hf_clock_advance(&c, hour);
    HF_CHECK_INT(hf_clock_now_ns(&c), 6 + hour);
    HF_CHECK_INT(hf_clock_coarse_ns(&c), 6 + hour);
    HF_CHECK_INT(hf_clock_shown_ns(&c), 6 + hour);
}

HF_TEST(advancing_by_nothing_or_less_does_nothing)
{
    hf_clock c;
    hf_clock_init_manual(&c, 5);
    hf_clock_advance(&c, 0);
    hf_clock_advance(&c, -1);
    hf_clock_advance(&c, INT64_MIN);
    HF_CHECK_INT(hf_clock_now_ns(&c), 5);
    HF_CHECK_INT(hf_clock_shown_ns(&c), 5);
}

HF_TEST(a_step_back_stops_policy_time_for_an_instant_and_it_runs_on) /* trap 20 */
{
    hf_clock c;
    hf_clock_init_manual(&c, 10 * hour);
    hf_clock_set(&c, 9 * hour);
    HF_CHECK_INT(hf_clock_shown_ns(&c), 9 * hour);
    HF_CHECK_INT(hf_clock_now_ns(&c), 10 * hour);
    hf_clock_advance(&c, second);
    HF_CHECK_INT(hf_clock_shown_ns(&c), 9 * hour + second);
    HF_CHECK_INT(hf_clock_now_ns(&c), 10 * hour + second);
    hf_clock_set(&c, 9 * hour + 3 * second);
    HF_CHECK_INT(hf_clock_now_ns(&c), 10 * hour + 3 * second);
}

HF_TEST(a_step_forward_moves_both_times) /* trap 21 */
{
    hf_clock c;
    hf_clock_init_manual(&c, second);
    hf_clock_set(&c, hour);
    HF_CHECK_INT(hf_clock_shown_ns(&c), hour);
    HF_CHECK_INT(hf_clock_now_ns(&c), hour);
}

HF_TEST(setting_the_time_that_is_shown_changes_nothing)
{
    hf_clock c;
    hf_clock_init_manual(&c, hour);
    hf_clock_set(&c, 0);
    hf_clock_set(&c, 0);
    HF_CHECK_INT(hf_clock_shown_ns(&c), 0);
    HF_CHECK_INT(hf_clock_now_ns(&c), hour);
}

HF_TEST(policy_time_is_the_start_and_every_forward_step) /* traps 20, 21 */
{
    hf_clock c;
    hf_random r;
    hf_random_init(&r, 20);
    hf_clock_init_manual(&c, -hour);
    int64_t policy = -hour, shown = -hour;
    for (int i = 0; i < 100000; i++) {
        int64_t step = (int64_t)hf_random_below(&r, (uint64_t)(2 * hour)) - hour;
        if (hf_random_below(&r, 2)) {
            hf_clock_advance(&c, step);
            shown += step > 0 ? step : 0;
        } else {
            hf_clock_set(&c, shown + step);
            shown += step;
        }
        policy += step > 0 ? step : 0;
        HF_CHECK_INT(hf_clock_now_ns(&c), policy);
        HF_CHECK_INT(hf_clock_shown_ns(&c), shown);
    }
}

HF_TEST(time_stops_at_the_end_of_its_range_instead_of_wrapping)
{
    hf_clock c;
    hf_clock_init_manual(&c, INT64_MAX - 1);
    hf_clock_advance(&c, 5);
    HF_CHECK_INT(hf_clock_now_ns(&c), INT64_MAX);
    hf_clock_set(&c, INT64_MIN);
    hf_clock_set(&c, INT64_MAX);
    HF_CHECK_INT(hf_clock_now_ns(&c), INT64_MAX);
    HF_CHECK_INT(hf_clock_shown_ns(&c), INT64_MAX);
}

HF_TEST(sums_and_differences_of_times_are_held_at_the_ends)
{
    const int64_t least = INT64_MIN, most = INT64_MAX;
    const int64_t cases[][4] = {
        /* a, b, a + b, a - b */
        {2, 3, 5, -1},
        {-2, -3, -5, 1},
        {most, 1, most, most - 1},
        {most, -1, most - 1, most},
        {least, 1, least + 1, least},
        {least, -1, least, least + 1},
        {most, most, most, 0},
        {least, least, least, 0},
        {most, least, -1, most},
        {least, most, -1, least},
        {0, least, least, most},
        {-1, least, least, most},
        {0, most, most, -most},
        {1, least, least + 1, most},
        {-2, most, most - 2, least},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        HF_CHECK_INT(hf_ns_add(cases[i][0], cases[i][1]), cases[i][2]);
        HF_CHECK_INT(hf_ns_sub(cases[i][0], cases[i][1]), cases[i][3]);
    }
}

HF_TEST(sums_and_differences_agree_with_wider_arithmetic)
{
    hf_random r;
    hf_random_init(&r, 21);
    for (int i = 0; i < 200000; i++) {
        int64_t a = (int64_t)hf_random_next(&r) >> hf_random_below(&r, 64);
        int64_t b = (int64_t)hf_random_next(&r) >> hf_random_below(&r, 64);
        __extension__ __int128 sum = a, difference = a;
        sum += b;
        difference -= b;
        sum = sum > INT64_MAX ? INT64_MAX : sum < INT64_MIN ? INT64_MIN : sum;
        difference = difference > INT64_MAX   ? INT64_MAX
                     : difference < INT64_MIN ? INT64_MIN
                                              : difference;
        HF_CHECK_INT(hf_ns_add(a, b), (int64_t)sum);
        HF_CHECK_INT(hf_ns_sub(a, b), (int64_t)difference);
    }
}
