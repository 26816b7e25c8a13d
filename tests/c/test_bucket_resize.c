/* Contract of hf_bucket.h when its rate changes: what becomes of tokens, debts and bookings. */
#include "hf_test.h"

#include "holdfast/hf_bucket.h"
#include "holdfast/hf_random.h"

static const int64_t ms = 1000000, second = INT64_C(1000000000), hour = 3600 * INT64_C(1000000000);

static hf_rate
per_second(uint64_t num, uint64_t burst)
{
    return (hf_rate){.num = num, .den = 1000000000, .burst = burst};
}

static hf_bucket
bucket(hf_rate rate, int64_t now_ns)
{
    hf_bucket b;
    hf_bucket_init(&b, rate, now_ns);
    return b;
}

HF_TEST(growing_gives_no_tokens_that_the_rate_has_not_brought)
{
    hf_bucket b = bucket(per_second(1, 4), 0);
    HF_CHECK(hf_bucket_try_take(&b, 3, 0));
    hf_bucket_resize(&b, per_second(10, 100), 0);
    HF_CHECK_INT(hf_bucket_available(&b, 0), 1);
    HF_CHECK_INT(hf_bucket_available(&b, second), 11);
    HF_CHECK_INT(hf_bucket_available(&b, hour), 100);
}

HF_TEST(shrinking_leaves_at_most_the_smaller_burst) /* trap 37 */
{
    hf_bucket b = bucket(per_second(10, 100), 0);
    hf_bucket_resize(&b, per_second(10, 7), 0);
    HF_CHECK_INT(hf_bucket_available(&b, 0), 7);
    hf_bucket_resize(&b, per_second(10, 100), 0);
    HF_CHECK_INT(hf_bucket_available(&b, 0), 7);
    HF_CHECK(hf_bucket_try_take(&b, 5, 0));
    hf_bucket_resize(&b, per_second(10, 4), 0);
    HF_CHECK_INT(hf_bucket_available(&b, 0), 2);
}

HF_TEST(a_part_of_a_token_survives_the_change)
{
    hf_bucket b = bucket(per_second(1, 1), 0);
    HF_CHECK(hf_bucket_try_take(&b, 1, 0));
    hf_bucket_resize(&b, per_second(2, 3), 750 * ms); /* three quarters of a token are there */
    HF_CHECK_INT(hf_bucket_wait_ns(&b, 1, 750 * ms), 125 * ms);
    hf_bucket_resize(&b, (hf_rate){.num = 1, .den = 4, .burst = 3}, 750 * ms);
    HF_CHECK_INT(hf_bucket_wait_ns(&b, 1, 750 * ms), 1);
}

HF_TEST(a_debt_stays_a_debt_of_as_many_tokens)
{
    hf_bucket b = bucket(per_second(1, 2), 0);
    HF_CHECK(hf_bucket_try_take(&b, 2, 0));
    HF_CHECK_INT(hf_bucket_reserve(&b, 2, 0), 2 * second);
    HF_CHECK_INT(hf_bucket_reserve(&b, 1, 0), 3 * second);
    hf_bucket_resize(&b, per_second(10, 50), 0); /* three are owed */
    HF_CHECK_INT(hf_bucket_available(&b, 0), 0);
    HF_CHECK_INT(hf_bucket_wait_ns(&b, 1, 0), 400 * ms);
    hf_bucket_resize(&b, per_second(1, 1), 0);
    HF_CHECK_INT(hf_bucket_wait_ns(&b, 1, 0), 4 * second);
}

HF_TEST(a_debt_beyond_what_the_other_rate_can_hold_is_held_at_its_most) /* trap 38 */
{
    hf_bucket b;
    hf_rate huge = {.num = 200000, .den = UINT64_C(1) << 59, .burst = 2};
    hf_bucket_init(&b, per_second(1, 2), 0);
    for (int i = 0; i < 100; i++)
        hf_bucket_reserve(&b, 1, 0); /* 98 tokens: as units of the other rate, more than 62 bits */
    hf_bucket_resize(&b, huge, 0);
    HF_CHECK_INT(hf_bucket_available(&b, 0), 0);
    HF_CHECK_INT(hf_bucket_reserve(&b, 1, 0), HF_BUCKET_NEVER);
    HF_CHECK(!hf_bucket_try_take(&b, 1, hour));
    HF_CHECK_INT(hf_bucket_available(&b, 7 * hour), 2); /* 2^62 units later */
}

HF_TEST(a_refund_after_the_change_returns_tokens_not_time) /* trap 32 */
{
    hf_bucket b = bucket(per_second(1, 2), 0);
    HF_CHECK(hf_bucket_try_take(&b, 2, 0));
    HF_CHECK_INT(hf_bucket_reserve(&b, 2, 0), 2 * second);
    hf_bucket_resize(&b, per_second(1000, 10), 0);
    hf_bucket_refund(&b, 2);
    HF_CHECK_INT(hf_bucket_wait_ns(&b, 1, 0), ms);
    hf_bucket_refund(&b, 2);
    HF_CHECK_INT(hf_bucket_available(&b, 0), 2);
}

HF_TEST(a_change_to_the_same_changes_nothing)
{
    hf_bucket b, untouched;
    hf_rate odd = {.num = 337, .den = 10000000000, .burst = 11};
    hf_bucket_init(&b, odd, 5);
    hf_bucket_init(&untouched, odd, 5);
    for (int64_t now = 5; now < second; now += 7654321) {
        hf_bucket_resize(&b, odd, now);
        HF_CHECK_INT(hf_bucket_take_within(&b, 2, now, 60 * ms),
                     hf_bucket_take_within(&untouched, 2, now, 60 * ms));
        HF_CHECK_INT(hf_bucket_wait_ns(&b, 1, now), hf_bucket_wait_ns(&untouched, 1, now));
    }
}

HF_TEST(a_thousand_changes_make_no_token_and_lose_none)
{
    static const hf_rate rates[] = {
        {1, 1000000000, 20}, {999, 60000000000, 20}, {337, 10000000000, 20},
        {3, 1000000, 20},    {200000, 7, 20},
    };
    const int owed[] = {0, 3, 19, 20, 25};
    for (unsigned k = 0; k < sizeof owed / sizeof *owed; k++) {
        hf_bucket b;
        hf_bucket_init(&b, rates[0], 0);
        for (int i = 0; i < owed[k]; i++)
            hf_bucket_reserve(&b, 1, 0);
        for (int i = 1; i <= 1000; i++)
            hf_bucket_resize(&b, rates[i % 5], 0);
        hf_bucket_resize(&b, rates[0], 0);
        int64_t there = 20 - owed[k];
        /* Whole tokens convert exactly: 20 of them are asked for, so as many as are owed come late. */
        HF_CHECK_INT(hf_bucket_available(&b, 0), there > 0 ? there : 0);
        HF_CHECK_INT(hf_bucket_wait_ns(&b, 20, 0), owed[k] * second);
    }
}

HF_TEST(parts_of_tokens_are_rounded_to_the_safe_side_by_less_than_a_unit_each_time)
{
    hf_bucket b;
    hf_rate coarse = {.num = 1, .den = 3, .burst = 5}, fine = per_second(999, 5);
    hf_bucket_init(&b, fine, 0);
    HF_CHECK(hf_bucket_try_take(&b, 5, 0));
    int64_t before = hf_bucket_wait_ns(&b, 1, 500000);
    hf_bucket_resize(&b, coarse, 500000); /* 0.4995 tokens: one third of a token is kept */
    HF_CHECK_INT(hf_bucket_wait_ns(&b, 1, 500000), 2);
    hf_bucket_resize(&b, fine, 500000);
    int64_t after = hf_bucket_wait_ns(&b, 1, 500000);
    HF_CHECK(after >= before);
    HF_CHECK(after - before <= 1001002 / 3);
}

HF_TEST(a_part_of_a_token_that_is_owed_is_rounded_up)
{
    hf_bucket b = bucket(per_second(1, 1), 0);
    HF_CHECK_INT(hf_bucket_reserve(&b, 1, 0), 0);
    HF_CHECK_INT(hf_bucket_reserve(&b, 1, 0), second);
    hf_bucket_resize(&b, (hf_rate){.num = 1, .den = 3, .burst = 1}, 500 * ms); /* a half is owed */
    HF_CHECK_INT(hf_bucket_wait_ns(&b, 1, 500 * ms), 2 + 3);
}

HF_TEST(a_change_at_an_earlier_time_gives_nothing_away) /* trap 20 */
{
    hf_bucket b = bucket(per_second(1, 10), 0);
    HF_CHECK(hf_bucket_try_take(&b, 10, hour));
    hf_bucket_resize(&b, per_second(1000, 10), -hour);
    HF_CHECK_INT(hf_bucket_available(&b, -hour), 0);
    HF_CHECK_INT(hf_bucket_available(&b, 0), 0);
    hf_bucket_resize(&b, per_second(1000, 10), INT64_MIN);
    HF_CHECK_INT(hf_bucket_available(&b, 0), 0);
}

HF_TEST(a_change_at_an_earlier_time_takes_nothing_away) /* trap 20 */
{
    for (int64_t back = 1; back < 1000 * hour; back = 3 * back + second) { /* and before the base */
        hf_bucket b;
        hf_bucket_init(&b, per_second(1, 10), 0);
        HF_CHECK(hf_bucket_try_take(&b, 4, hour));
        hf_bucket_resize(&b, per_second(1, 20), hour - back);
        HF_CHECK_INT(hf_bucket_available(&b, hour), 6);
        HF_CHECK_INT(hf_bucket_available(&b, hour + 5 * second), 11);
    }
}

HF_TEST(a_change_after_a_long_idle_time_finds_the_bucket_full)
{
    hf_bucket b = bucket((hf_rate){.num = 200000, .den = 1, .burst = 9}, 0);
    HF_CHECK(hf_bucket_try_take(&b, 9, 0));
    hf_bucket_resize(&b, per_second(1, 30), 100000 * hour);
    HF_CHECK_INT(hf_bucket_available(&b, 100000 * hour), 9);
}

HF_TEST(clearing_fills_it_and_forgets_bookings)
{
    hf_bucket b = bucket(per_second(1, 3), 0);
    for (int i = 0; i < 10; i++)
        hf_bucket_reserve(&b, 1, 0);
    hf_bucket_clear(&b);
    HF_CHECK_INT(hf_bucket_available(&b, 0), 3);
    HF_CHECK_INT(hf_bucket_available(&b, hour), 3);
    HF_CHECK_INT(hf_load_relaxed(&b.allowed), 10);
    HF_CHECK(hf_bucket_try_take(&b, 3, 0));
    hf_bucket_resize(&b, per_second(5, 8), 0);
    hf_bucket_clear(&b);
    HF_CHECK_INT(hf_bucket_available(&b, 0), 8);
}

HF_TEST(clearing_keeps_what_is_booked_for_those_who_go_on_waiting)
{
    hf_bucket b = bucket(per_second(1, 3), 0);
    HF_CHECK_INT(hf_bucket_reserve(&b, 3, 0), 0);
    HF_CHECK_INT(hf_bucket_reserve(&b, 2, 0), 2 * second);
    HF_CHECK_INT(hf_bucket_reserve(&b, 2, 0), 4 * second);
    hf_bucket_clear_but(&b, 4, second);
    HF_CHECK_INT(hf_bucket_available(&b, second), 0);
    HF_CHECK_INT(hf_bucket_due_ns(&b, 2, second), 0); /* the first two, of the three there are */
    HF_CHECK_INT(hf_bucket_due_ns(&b, 0, second), second);
    hf_bucket_clear_but(&b, 0, second);
    HF_CHECK_INT(hf_bucket_available(&b, second), 3);
    hf_bucket_clear_but(&b, UINT64_MAX, 10000 * hour); /* as much as a word can hold */
    HF_CHECK_INT(hf_bucket_available(&b, 10000 * hour), 0);
    HF_CHECK(hf_bucket_due_ns(&b, 0, 10000 * hour) > hour);
}

HF_TEST(a_booking_is_due_when_those_before_it_are_paid_for)
{
    hf_bucket b = bucket(per_second(3, 2), 0);
    HF_CHECK(hf_bucket_try_take(&b, 2, 0));
    const int64_t first = hf_bucket_reserve(&b, 1, 0), second_one = hf_bucket_reserve(&b, 2, 0);
    HF_CHECK_INT(hf_bucket_due_ns(&b, 2, 0), first);
    HF_CHECK_INT(hf_bucket_due_ns(&b, 0, 0), second_one);
    HF_CHECK_INT(hf_bucket_due_ns(&b, 0, 5), second_one - 5);
    HF_CHECK_INT(hf_bucket_due_ns(&b, 0, second), 0);
    HF_CHECK_INT(hf_bucket_due_ns(&b, UINT64_MAX, 0), 0);
    hf_bucket_refund(&b, 1); /* the first left */
    HF_CHECK_INT(hf_bucket_due_ns(&b, 0, 0), 666666667);
    hf_bucket_resize(&b, per_second(1000, 2), 0);
    HF_CHECK_INT(hf_bucket_due_ns(&b, 0, 0), 2 * ms);
}

HF_TEST(the_rate_reads_back_as_it_was_set)
{
    hf_bucket b;
    hf_random r;
    hf_random_init(&r, 9);
    hf_bucket_init(&b, per_second(1, 1), 0);
    for (int i = 0; i < 1000; i++) {
        hf_rate rate = {.num = 1 + hf_random_below(&r, HF_RATE_NUM_MAX),
                        .den = 1 + hf_random_below(&r, UINT64_C(1) << 40)};
        rate.burst = 1 + hf_random_below(&r, HF_RATE_SPAN_MAX / rate.den);
        HF_REQUIRE(hf_rate_is_valid(rate));
        hf_bucket_resize(&b, rate, i * hour);
        hf_rate read = hf_bucket_rate(&b);
        HF_CHECK(read.num == rate.num && read.den == rate.den && read.burst == rate.burst);
    }
}

HF_TEST(rates_the_word_cannot_hold_are_invalid) /* trap 38, trap 39: rate 0 */
{
    const hf_rate good[] = {
        {1, 1, 1},
        {HF_RATE_NUM_MAX, 1, 1},
        {1, HF_RATE_SPAN_MAX, 1},
        {1, 1, HF_RATE_SPAN_MAX},
        {1, UINT64_C(1) << 30, UINT64_C(1) << 30},
    };
    const hf_rate bad[] = {
        {0, 1, 1},
        {1, 0, 1},
        {1, 1, 0},
        {HF_RATE_NUM_MAX + 1, 1, 1},
        {UINT64_MAX, 1, 1},
        {1, HF_RATE_SPAN_MAX + 1, 1},
        {1, HF_RATE_SPAN_MAX, 2},
        {1, 2, HF_RATE_SPAN_MAX},
        {1, UINT64_MAX, UINT64_MAX},
        {1, UINT64_C(1) << 32, UINT64_C(1) << 32},
    };
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++)
        HF_CHECK(hf_rate_is_valid(good[i]));
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        HF_CHECK(!hf_rate_is_valid(bad[i]));
}

HF_TEST(a_bucket_is_small_and_works_wherever_its_bytes_are)
{
    hf_bucket b, moved;
    hf_bucket_init(&b, per_second(1, 3), 0);
    HF_CHECK(hf_bucket_try_take(&b, 1, 0));
    hf_bucket_resize(&b, per_second(2, 4), 0);
    memcpy(&moved, &b, sizeof b);
    memset(&b, 0xFF, sizeof b);
    HF_CHECK_INT(hf_bucket_available(&moved, 0), 2);
    HF_CHECK_INT(hf_bucket_available(&moved, second), 4);
    HF_CHECK(hf_bucket_try_take(&moved, 2, 0));
    HF_CHECK(!hf_bucket_try_take(&moved, 1, 0));
    HF_CHECK(sizeof(hf_bucket) <= 256);
}
