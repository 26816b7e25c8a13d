/* Contract of hf_sliding.h, one promise a test. Its bound, by brute force: test_sliding_spans.c. */
#include "hf_test.h"

#include "holdfast/hf_clock.h"
#include "holdfast/hf_sliding.h"

static const int64_t ms = 1000000, second = INT64_C(1000000000), hour = 3600 * INT64_C(1000000000);
static const int64_t year = 365 * 24 * 3600 * INT64_C(1000000000);

static hf_sliding
window(uint64_t limit, int64_t per_ns)
{
    hf_sliding s;
    hf_sliding_init(&s, limit, per_ns);
    return s;
}

static uint64_t
take_all(hf_sliding *s, int64_t now_ns)
{
    uint64_t taken = 0;
    while (hf_sliding_try_take(s, 1, now_ns))
        taken++;
    return taken;
}

HF_TEST(a_span_holds_its_limit_and_no_more)
{
    hf_sliding s = window(5, second);
    HF_CHECK_INT(take_all(&s, 0), 5);
    HF_CHECK_INT(take_all(&s, 500 * ms), 0);
    HF_CHECK_INT(take_all(&s, second), 0); /* the span from 0 to 1 s has both its ends in it */
    HF_CHECK_INT(take_all(&s, 1100 * ms), 5);
}

HF_TEST(what_is_refused_early_is_refused_by_a_tenth_of_the_span_at_the_most)
{
    for (int64_t start = 0; start < second; start += 7654321) {
        hf_sliding s = window(5, second);
        HF_CHECK_INT(take_all(&s, start), 5);
        HF_CHECK_INT(take_all(&s, start + second), 0);
        HF_CHECK_INT(take_all(&s, start + second + second / 10), 5);
    }
}

HF_TEST(takes_leave_the_span_one_slice_after_the_other)
{
    hf_sliding s = window(3, second);
    HF_CHECK(hf_sliding_try_take(&s, 1, 0));
    HF_CHECK(hf_sliding_try_take(&s, 1, 350 * ms));
    HF_CHECK(hf_sliding_try_take(&s, 1, 999 * ms));
    HF_CHECK_INT(take_all(&s, 1099 * ms), 0);
    HF_CHECK_INT(take_all(&s, 1100 * ms), 1);
    HF_CHECK_INT(take_all(&s, 1399 * ms), 0);
    HF_CHECK_INT(take_all(&s, 1400 * ms), 1);
    HF_CHECK_INT(take_all(&s, 1999 * ms), 0);
    HF_CHECK_INT(take_all(&s, 2000 * ms), 1);
}

HF_TEST(a_limit_of_one_is_a_distance) /* trap 24: off by one at the end of the window */
{
    hf_sliding s;
    hf_sliding_init(&s, 1, 10); /* slices of a nanosecond */
    int64_t now = -1000;
    for (int i = 0; i < 100; i++) {
        HF_CHECK(hf_sliding_try_take(&s, 1, now));
        for (int later = 0; later <= 10; later++)
            HF_CHECK(!hf_sliding_try_take(&s, 1, now + later));
        now += 11;
    }
}

HF_TEST(spans_that_do_not_divide_by_ten_are_covered_whole) /* trap 24 */
{
    for (int64_t per = 1; per <= 64; per++) {
        hf_sliding s = window(2, per);
        HF_CHECK(hf_sliding_try_take(&s, 2, 1000));
        HF_CHECK(!hf_sliding_try_take(&s, 1, 1000 + per));
        int64_t slice = (per + 9) / 10;
        HF_CHECK(hf_sliding_try_take(&s, 2, 1000 + 11 * slice));
    }
}

HF_TEST(many_are_taken_together_or_not_at_all)
{
    hf_sliding s = window(10, second);
    HF_CHECK(hf_sliding_try_take(&s, 7, 0));
    HF_CHECK(!hf_sliding_try_take(&s, 4, 0));
    HF_CHECK_INT(hf_sliding_available(&s, 0), 3);
    HF_CHECK(hf_sliding_try_take(&s, 3, 0));
    HF_CHECK(hf_sliding_try_take(&s, 0, 0));
    HF_CHECK(!hf_sliding_try_take(&s, 1, 0));
}

HF_TEST(more_than_the_limit_never_fits) /* trap 38 */
{
    const uint64_t too_many[] = {11, 12, HF_SLIDING_LIMIT_MAX, UINT64_C(1) << 63, UINT64_MAX};
    hf_sliding s = window(10, second);
    for (unsigned i = 0; i < sizeof too_many / sizeof *too_many; i++) {
        HF_CHECK(!hf_sliding_try_take(&s, too_many[i], hour));
        HF_CHECK_INT(hf_sliding_wait_ns(&s, too_many[i], hour), HF_SLIDING_NEVER);
    }
    HF_CHECK_INT(hf_sliding_available(&s, hour), 10);
}

HF_TEST(the_greatest_limit_can_be_used_up)
{
    hf_sliding s = window(HF_SLIDING_LIMIT_MAX, second);
    HF_CHECK(hf_sliding_try_take(&s, HF_SLIDING_LIMIT_MAX - 1, 0));
    HF_CHECK_INT(take_all(&s, 0), 1);
    HF_CHECK_INT(take_all(&s, second), 0);
    HF_CHECK_INT(hf_sliding_available(&s, 2 * second), HF_SLIDING_LIMIT_MAX);
}

HF_TEST(reading_lets_time_pass_as_taking_does) /* trap 26: 993 of 1,000 rejected a second later */
{
    hf_sliding s = window(4, 200 * ms);
    take_all(&s, 0);
    HF_CHECK_INT(hf_sliding_available(&s, 0), 0);
    HF_CHECK_INT(hf_sliding_available(&s, second), 4);
    HF_CHECK_INT(hf_sliding_wait_ns(&s, 4, second), 0);
    HF_CHECK_INT(hf_sliding_available(&s, 0), 0); /* reading moved nothing */
}

HF_TEST(nothing_is_left_of_what_came_before_an_idle_time) /* trap 27: skipped buckets not cleared */
{
    for (int64_t slices = 11; slices < 100; slices++) { /* the ring has 16: every remainder */
        hf_sliding s = window(22, second);
        for (int64_t t = 0; t < 11; t++)
            HF_CHECK(hf_sliding_try_take(&s, 2, t * 100 * ms));
        int64_t now = (10 + slices) * 100 * ms;
        HF_CHECK_INT(hf_sliding_available(&s, now), 22);
        HF_CHECK(hf_sliding_try_take(&s, 22, now));
        HF_CHECK_INT(take_all(&s, now), 0);
    }
}

HF_TEST(nothing_is_left_of_what_came_before_any_number_of_turns_of_the_epochs) /* trap 27 */
{
    const int64_t turn = INT64_C(1) << 32; /* in slices: 16 of them are an epoch, of 28 bits */
    for (int64_t turns = 1; turns < 256; turns = 2 * turns + 1) {
        hf_sliding s;
        hf_sliding_init(&s, 22, HF__SPAN); /* slices of a nanosecond */
        for (int64_t t = -5; t < 6; t++)
            HF_CHECK(hf_sliding_try_take(&s, 2, t));
        for (int64_t t = turns * turn - 5; t < turns * turn + 6; t++) {
            HF_CHECK_INT(hf_sliding_available(&s, t), 22);
            HF_CHECK_INT(hf_sliding_wait_ns(&s, 22, t), 0);
        }
        HF_CHECK_INT(take_all(&s, turns * turn), 22);
    }
}

HF_TEST(the_wait_is_exact) /* trap 40 */
{
    hf_sliding s = window(6, second);
    for (int64_t t = 0; t < 6; t++)
        HF_CHECK(hf_sliding_try_take(&s, 1, 50 * ms + t * 130 * ms));
    int64_t now = 903 * ms;
    for (uint64_t n = 1; n <= 6; n++) {
        hf_sliding early = s, due = s;
        int64_t wait = hf_sliding_wait_ns(&s, n, now);
        HF_CHECK(wait > 0);
        HF_CHECK(!hf_sliding_try_take(&early, n, now + wait - 1));
        HF_CHECK(hf_sliding_try_take(&due, n, now + wait));
    }
    HF_CHECK_INT(hf_sliding_wait_ns(&s, 0, now), 0);
}

HF_TEST(a_refund_makes_room_again_and_only_for_as_many) /* traps 32, 34 */
{
    hf_sliding s = window(5, second);
    HF_CHECK(hf_sliding_try_take(&s, 3, 0));
    HF_CHECK(hf_sliding_try_take(&s, 2, 300 * ms));
    hf_sliding_refund(&s, 2, 300 * ms);
    HF_CHECK_INT(hf_sliding_available(&s, 310 * ms), 2);
    hf_sliding_refund(&s, 3, 0);
    HF_CHECK_INT(hf_sliding_available(&s, 310 * ms), 5);
    hf_sliding_refund(&s, 3, 0);
    hf_sliding_refund(&s, UINT64_MAX, 310 * ms);
    HF_CHECK_INT(take_all(&s, 310 * ms), 5);
}

HF_TEST(a_refund_leaves_what_was_taken_later) /* trap 34 */
{
    hf_sliding s = window(5, second);
    HF_CHECK(hf_sliding_try_take(&s, 2, 0));
    HF_CHECK(hf_sliding_try_take(&s, 2, 300 * ms));
    hf_sliding_refund(&s, 2, 0);
    HF_CHECK_INT(hf_sliding_available(&s, 300 * ms), 3);
}

HF_TEST(a_refund_of_what_no_longer_counts_does_nothing) /* trap 34 */
{
    hf_sliding s = window(5, second);
    HF_CHECK(hf_sliding_try_take(&s, 5, 0));
    HF_CHECK(hf_sliding_try_take(&s, 2, 1100 * ms));
    HF_CHECK(hf_sliding_try_take(&s, 3, 1600 * ms)); /* in the slot that the first take was in */
    hf_sliding_refund(&s, 5, 0);
    hf_sliding_refund(&s, 5, -year);
    hf_sliding_refund(&s, 5, INT64_MIN);
    HF_CHECK_INT(take_all(&s, 1600 * ms), 0);
}

HF_TEST(a_refund_to_an_unused_window_does_nothing)
{
    hf_sliding s = window(5, second);
    hf_sliding_refund(&s, 5, 0);
    hf_sliding_refund(&s, 5, INT64_MIN);
    hf_sliding_refund(&s, 5, INT64_MAX);
    HF_CHECK_INT(take_all(&s, 0), 5);
}

HF_TEST(a_refund_finds_a_take_that_was_counted_later_than_it_was_made) /* trap 25 */
{
    hf_sliding s = window(5, second);
    HF_CHECK(hf_sliding_try_take(&s, 1, 500 * ms));
    HF_CHECK(hf_sliding_try_take(&s, 4, 100 * ms)); /* counts at 500 ms */
    hf_sliding_refund(&s, 4, 100 * ms);
    HF_CHECK_INT(hf_sliding_available(&s, 500 * ms), 4);
}

HF_TEST(an_earlier_time_counts_as_the_latest_that_was_seen) /* traps 20, 25 */
{
    hf_sliding s = window(5, second);
    HF_CHECK(hf_sliding_try_take(&s, 4, 10 * second));
    HF_CHECK_INT(take_all(&s, 9 * second), 1);
    HF_CHECK_INT(take_all(&s, 0), 0);
    HF_CHECK_INT(take_all(&s, INT64_MIN), 0);
    HF_CHECK_INT(take_all(&s, 11 * second), 0);
    HF_CHECK_INT(hf_sliding_available(&s, 0), 0);
    HF_CHECK_INT(hf_sliding_wait_ns(&s, 5, 11 * second), 100 * ms); /* all five count at 10 s */
    HF_CHECK_INT(take_all(&s, 11 * second + 100 * ms), 5);
}

HF_TEST(the_wait_told_at_an_earlier_time_reaches_the_same_moment) /* trap 25 */
{
    hf_sliding s = window(5, second);
    take_all(&s, 10 * second);
    HF_CHECK_INT(hf_sliding_wait_ns(&s, 1, 10 * second), 1100 * ms);
    HF_CHECK_INT(hf_sliding_wait_ns(&s, 1, 9 * second), 2100 * ms);
    HF_CHECK_INT(hf_sliding_wait_ns(&s, 1, INT64_MIN), HF_SLIDING_NEVER);
}

HF_TEST(a_clock_put_back_by_an_hour_refuses_nobody_for_an_hour) /* trap 20 */
{
    hf_clock c;
    hf_sliding s;
    hf_clock_init_manual(&c, 10 * hour);
    hf_sliding_init(&s, 5, second);
    take_all(&s, hf_clock_now_ns(&c));
    hf_clock_set(&c, 9 * hour);
    HF_CHECK_INT(hf_sliding_wait_ns(&s, 1, hf_clock_now_ns(&c)), 1100 * ms);
    hf_clock_advance(&c, 1100 * ms);
    HF_CHECK_INT(take_all(&s, hf_clock_now_ns(&c)), 5);
}

HF_TEST(a_clock_put_forward_brings_one_span) /* trap 21 */
{
    hf_sliding s = window(5, second);
    take_all(&s, 0);
    for (int64_t jump = hour; jump <= 100 * year; jump *= 3)
        HF_CHECK_INT(take_all(&s, jump), 5);
}

HF_TEST(the_ends_of_time_are_times_like_others)
{
    const int64_t pers[] = {1, 9, 10, 11, 1000000007, INT64_MAX / 2, INT64_MAX};
    const int64_t times[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
    for (unsigned i = 0; i < sizeof pers / sizeof *pers; i++) {
        for (unsigned k = 0; k < sizeof times / sizeof *times; k++) {
            hf_sliding s = window(3, pers[i]);
            HF_CHECK_INT(hf_sliding_available(&s, times[k]), 3);
            HF_CHECK_INT(take_all(&s, times[k]), 3);
            HF_CHECK_INT(take_all(&s, times[k]), 0);
            HF_CHECK(hf_sliding_wait_ns(&s, 1, times[k]) >= pers[i]);
            hf_sliding_refund(&s, 2, times[k]);
            HF_CHECK_INT(hf_sliding_available(&s, times[k]), 2);
        }
    }
}

HF_TEST(a_changed_limit_holds_from_then_on_for_what_was_taken_too) /* trap 37 */
{
    hf_sliding s = window(10, second);
    HF_CHECK(hf_sliding_try_take(&s, 6, 0));
    hf_sliding_resize(&s, 4);
    HF_CHECK_INT(hf_sliding_limit(&s), 4);
    HF_CHECK_INT(hf_sliding_available(&s, 0), 0);
    HF_CHECK_INT(take_all(&s, 0), 0);
    hf_sliding_resize(&s, 8);
    HF_CHECK_INT(take_all(&s, 0), 2);
    HF_CHECK_INT(take_all(&s, 2 * second), 8);
}

HF_TEST(clearing_empties_it)
{
    hf_sliding s = window(5, second);
    for (int i = 0; i < 1000; i++) { /* turns are kept as eight bits */
        HF_CHECK_INT(take_all(&s, 0), 5);
        hf_sliding_clear(&s);
    }
}

HF_TEST(calls_are_counted_by_what_became_of_them)
{
    hf_sliding s = window(5, second);
    HF_CHECK(hf_sliding_try_take(&s, 4, 0));
    HF_CHECK(!hf_sliding_try_take(&s, 2, 0));
    HF_CHECK(!hf_sliding_try_take(&s, 6, 0));
    hf_sliding_refund(&s, 4, 0);
    (void)hf_sliding_available(&s, 0);
    (void)hf_sliding_wait_ns(&s, 1, 0);
    hf_sliding_clear(&s);
    HF_CHECK_INT(hf_load_relaxed(&s.allowed), 1);
    HF_CHECK_INT(hf_load_relaxed(&s.rejected), 2);
    HF_CHECK_INT(hf_load_relaxed(&s.refunded), 1);
}

HF_TEST(a_window_is_small_and_works_wherever_its_bytes_are)
{
    hf_sliding s, moved;
    hf_sliding_init(&s, 5, second);
    HF_CHECK(hf_sliding_try_take(&s, 2, 0));
    memcpy(&moved, &s, sizeof s);
    memset(&s, 0xFF, sizeof s);
    HF_CHECK_INT(take_all(&moved, 500 * ms), 3);
    HF_CHECK(sizeof(hf_sliding) <= 256);
}
