/* Contract of hf_bucket.h, one promise a test. Its arithmetic: test_bucket_exact.c. */
#include "hf_test.h"

#include "holdfast/hf_bucket.h"

static const int64_t ms = 1000000, second = INT64_C(1000000000), hour = 3600 * INT64_C(1000000000);
static const int64_t year = 365 * 24 * 3600 * INT64_C(1000000000);

static const hf_rate ten_per_second = {.num = 1, .den = 100000000, .burst = 5};
static const hf_rate one_per_second = {.num = 1, .den = 1000000000, .burst = 1};

static hf_bucket
bucket(hf_rate rate, int64_t now_ns)
{
    hf_bucket b;
    hf_bucket_init(&b, rate, now_ns);
    return b;
}

static uint64_t
take_all(hf_bucket *b, int64_t now_ns)
{
    uint64_t taken = 0;
    while (hf_bucket_try_take(b, 1, now_ns))
        taken++;
    return taken;
}

HF_TEST(a_full_bucket_gives_its_burst_and_then_what_the_rate_brings) /* RL-01, RL-06 */
{
    hf_bucket b = bucket(ten_per_second, 0);
    HF_CHECK_INT(take_all(&b, 0), 5);
    HF_CHECK_INT(take_all(&b, 99 * ms), 0);
    HF_CHECK_INT(take_all(&b, 100 * ms), 1);
    HF_CHECK_INT(take_all(&b, 400 * ms), 3);
    HF_CHECK_INT(take_all(&b, hour), 5);
}

HF_TEST(the_first_token_after_a_refusal_comes_on_time) /* RL-01: a thousand a second, burst 100 */
{
    hf_bucket b = bucket((hf_rate){.num = 1, .den = 1000000, .burst = 100}, 0);
    HF_CHECK_INT(take_all(&b, 0), 100);
    HF_CHECK(!hf_bucket_try_take(&b, 1, ms - 1));
    HF_CHECK(hf_bucket_try_take(&b, 1, ms));
}

HF_TEST(the_remainder_of_a_period_is_kept) /* D-RL-3: 205 ms gave one token of two */
{
    hf_bucket b = bucket(ten_per_second, 0);
    take_all(&b, 0);
    HF_CHECK_INT(take_all(&b, 205 * ms), 2);
    HF_CHECK_INT(take_all(&b, 299 * ms), 0);
    HF_CHECK_INT(take_all(&b, 300 * ms), 1);
}

HF_TEST(asking_often_costs_no_fraction) /* trap 39, D-RL-3: 3,000 a second became 2,500 */
{
    hf_bucket b;
    uint64_t taken = 0;
    hf_bucket_init(&b, (hf_rate){.num = 3, .den = 1000000, .burst = 2}, 0);
    take_all(&b, 0);
    for (int64_t now = 0; now <= second; now += 7919) /* never a multiple of a token's time */
        taken += take_all(&b, now);
    HF_CHECK_INT(taken, 2999); /* the three thousandth is due at one second sharp, not asked then */
    HF_CHECK(hf_bucket_try_take(&b, 1, second));
}

HF_TEST(many_tokens_are_taken_together_or_not_at_all)
{
    hf_bucket b = bucket(ten_per_second, 0);
    HF_CHECK(hf_bucket_try_take(&b, 3, 0));
    HF_CHECK(!hf_bucket_try_take(&b, 3, 0));
    HF_CHECK_INT(hf_bucket_available(&b, 0), 2);
    HF_CHECK(!hf_bucket_try_take(&b, 3, 99 * ms));
    HF_CHECK(hf_bucket_try_take(&b, 3, 100 * ms));
}

HF_TEST(no_tokens_can_be_taken_unless_in_debt)
{
    hf_bucket b = bucket(one_per_second, 0);
    HF_CHECK(hf_bucket_try_take(&b, 1, 0));
    HF_CHECK(hf_bucket_try_take(&b, 0, 0));
    HF_CHECK_INT(hf_bucket_reserve(&b, 1, 0), second);
    HF_CHECK(!hf_bucket_try_take(&b, 0, 0));
    HF_CHECK_INT(hf_bucket_wait_ns(&b, 0, 0), second);
}

HF_TEST(more_than_the_burst_never_fits)
{
    const uint64_t too_many[] = {6, 7, UINT64_C(1) << 40, UINT64_C(1) << 63, UINT64_MAX};
    hf_bucket b = bucket(ten_per_second, 0);
    for (unsigned i = 0; i < sizeof too_many / sizeof *too_many; i++) {
        HF_CHECK(!hf_bucket_try_take(&b, too_many[i], year));
        HF_CHECK_INT(hf_bucket_take_within(&b, too_many[i], year, INT64_MAX), -1);
        HF_CHECK_INT(hf_bucket_reserve(&b, too_many[i], year), HF_BUCKET_NEVER);
        HF_CHECK_INT(hf_bucket_wait_ns(&b, too_many[i], year), HF_BUCKET_NEVER);
    }
    HF_CHECK_INT(hf_bucket_available(&b, year), 5);
}

HF_TEST(a_wait_is_rounded_up_to_the_nanosecond_that_works) /* trap 40 */
{
    static const hf_rate rates[] = {
        {3, 1000000000, 4}, {999, 60000000000, 1000}, {337, 10000000000, 1},
        {7, 13, 99},        {200000, 1, 9},
    };
    for (unsigned i = 0; i < sizeof rates / sizeof *rates; i++) {
        for (uint64_t n = 1; n <= rates[i].burst; n += 1 + rates[i].burst / 7) {
            hf_bucket b;
            int64_t now = 12345678901;
            hf_bucket_init(&b, rates[i], now);
            take_all(&b, now);
            int64_t wait = hf_bucket_wait_ns(&b, n, now);
            HF_CHECK_INT(wait, (n * rates[i].den + rates[i].num - 1) / rates[i].num);
            HF_CHECK(wait == 1 || !hf_bucket_try_take(&b, n, now + wait - 1));
            HF_CHECK(hf_bucket_try_take(&b, n, now + wait));
        }
    }
}

HF_TEST(asking_for_the_wait_takes_nothing)
{
    hf_bucket b = bucket(ten_per_second, 0);
    for (int i = 0; i < 100; i++)
        HF_CHECK_INT(hf_bucket_wait_ns(&b, 5, 0), 0);
    HF_CHECK_INT(take_all(&b, 0), 5);
    for (int i = 0; i < 100; i++)
        HF_CHECK_INT(hf_bucket_wait_ns(&b, 2, 0), 200 * ms);
    HF_CHECK_INT(hf_bucket_wait_ns(&b, 2, 150 * ms), 50 * ms);
}

HF_TEST(a_wait_that_was_booked_is_paid_for_by_those_who_come_later) /* trap 41, RL-01 */
{
    hf_bucket b = bucket(one_per_second, 0);
    HF_CHECK_INT(hf_bucket_take_within(&b, 1, 0, hour), 0);
    HF_CHECK_INT(hf_bucket_take_within(&b, 1, 0, hour), second);
    HF_CHECK_INT(hf_bucket_take_within(&b, 1, 0, hour), 2 * second);
    HF_CHECK(!hf_bucket_try_take(&b, 1, 2 * second)); /* the third has just used it */
    HF_CHECK(hf_bucket_try_take(&b, 1, 3 * second));
}

HF_TEST(a_wait_that_would_be_too_long_fails_at_once_and_books_nothing) /* trap 42 */
{
    hf_bucket b = bucket(one_per_second, 0);
    take_all(&b, 0);
    for (int i = 0; i < 10; i++)
        HF_CHECK_INT(hf_bucket_take_within(&b, 1, 0, second - 1), -1);
    HF_CHECK_INT(hf_bucket_take_within(&b, 1, 0, second), second);
    HF_CHECK_INT(hf_bucket_take_within(&b, 1, 0, second), -1);
}

HF_TEST(without_time_to_wait_only_what_is_there_is_taken)
{
    hf_bucket b = bucket(ten_per_second, 0);
    HF_CHECK_INT(hf_bucket_take_within(&b, 4, 0, 0), 0);
    HF_CHECK_INT(hf_bucket_take_within(&b, 1, 0, -1), 0);
    HF_CHECK_INT(hf_bucket_take_within(&b, 1, 0, 0), -1);
    HF_CHECK_INT(hf_bucket_take_within(&b, 1, 0, INT64_MIN), -1);
}

HF_TEST(reservations_queue_one_behind_the_other) /* trap 38: the third waited 0 s instead of 3 */
{
    hf_bucket b = bucket(one_per_second, 0);
    for (int64_t i = 0; i < 1000; i++)
        HF_CHECK_INT(hf_bucket_reserve(&b, 1, 0), i * second);
    HF_CHECK_INT(hf_bucket_reserve(&b, 1, 10 * second), 990 * second);
}

HF_TEST(bookings_beyond_all_measure_are_refused_and_never_wrap) /* trap 38 */
{
    static const hf_rate rates[] = {
        {1, UINT64_C(1) << 60, 1},      {200000, UINT64_C(1) << 60, 1},  {1, 1, UINT64_C(1) << 60},
        {200000, 1, UINT64_C(1) << 60}, {7, (UINT64_C(1) << 60) / 3, 3},
    };
    for (unsigned i = 0; i < sizeof rates / sizeof *rates; i++) {
        hf_bucket b;
        hf_bucket_init(&b, rates[i], -year);
        int64_t last = 0, booked = 0, wait;
        while ((wait = hf_bucket_reserve(&b, rates[i].burst, -year)) != HF_BUCKET_NEVER) {
            HF_CHECK(wait > last || booked == 0);
            last = wait;
            HF_REQUIRE(++booked < 10);
        }
        HF_CHECK(booked >= 3); /* a burst at once, and 2^61 units of waiting */
        HF_CHECK((uint64_t)last >= (UINT64_C(1) << 60) / rates[i].num);
        HF_CHECK_INT(hf_bucket_reserve(&b, rates[i].burst, -year), HF_BUCKET_NEVER);
        HF_CHECK_INT(hf_bucket_available(&b, -year), 0);
        HF_CHECK(!hf_bucket_try_take(&b, 1, -year));
    }
}

HF_TEST(a_waiter_who_gives_up_leaves_no_debt) /* trap 32: available -1 and nobody waiting */
{
    hf_bucket b = bucket(one_per_second, 0);
    take_all(&b, 0);
    HF_CHECK_INT(hf_bucket_take_within(&b, 1, 0, hour), second);
    HF_CHECK_INT(hf_bucket_take_within(&b, 1, 0, hour), 2 * second);
    hf_bucket_refund(&b, 1);
    hf_bucket_refund(&b, 1);
    HF_CHECK_INT(hf_bucket_available(&b, second - 1), 0);
    HF_CHECK_INT(hf_bucket_available(&b, second), 1);
    HF_CHECK(hf_bucket_try_take(&b, 1, second));
}

HF_TEST(returning_too_much_never_fills_beyond_the_burst) /* trap 34 */
{
    hf_bucket b = bucket(ten_per_second, 0);
    hf_bucket_refund(&b, 1);
    hf_bucket_refund(&b, UINT64_MAX);
    HF_CHECK_INT(take_all(&b, 0), 5);
    hf_bucket_refund(&b, 2);
    hf_bucket_refund(&b, 2);
    hf_bucket_refund(&b, 2);
    HF_CHECK_INT(take_all(&b, 0), 5);
    hf_bucket_refund(&b, UINT64_C(1) << 62);
    HF_CHECK_INT(hf_bucket_available(&b, 0), 5);
}

HF_TEST(an_earlier_time_finds_fewer_tokens_and_never_more) /* traps 20, 25 */
{
    hf_bucket b = bucket(ten_per_second, 0);
    HF_CHECK(hf_bucket_try_take(&b, 4, second));
    HF_CHECK_INT(hf_bucket_available(&b, second), 1);
    HF_CHECK_INT(hf_bucket_available(&b, second - 100 * ms), 0);
    HF_CHECK(!hf_bucket_try_take(&b, 1, second - 1));
    HF_CHECK(!hf_bucket_try_take(&b, 1, 0));
    HF_CHECK(!hf_bucket_try_take(&b, 1, -year));
    HF_CHECK(!hf_bucket_try_take(&b, 1, INT64_MIN));
    HF_CHECK(hf_bucket_try_take(&b, 1, second)); /* and the attempts cost nothing */
}

HF_TEST(time_before_the_beginning_adds_nothing_to_the_burst) /* trap 20 */
{
    hf_bucket b = bucket(ten_per_second, 0);
    HF_CHECK_INT(take_all(&b, -200 * ms), 3);
    HF_CHECK_INT(take_all(&b, 0), 2);
    hf_bucket_init(&b, ten_per_second, 0);
    HF_CHECK_INT(take_all(&b, -year), 0);
    HF_CHECK_INT(take_all(&b, INT64_MIN), 0);
    HF_CHECK_INT(take_all(&b, 0), 5);
}

HF_TEST(a_clock_put_back_by_an_hour_makes_nobody_wait_an_hour) /* trap 20: slept 3,599 s */
{
    hf_clock c;
    hf_bucket b;
    hf_clock_init_manual(&c, 10 * hour);
    hf_bucket_init(&b, ten_per_second, hf_clock_now_ns(&c));
    take_all(&b, hf_clock_now_ns(&c));
    hf_clock_set(&c, 9 * hour);
    HF_CHECK_INT(hf_bucket_wait_ns(&b, 1, hf_clock_now_ns(&c)), 100 * ms);
    hf_clock_advance(&c, 100 * ms);
    HF_CHECK_INT(take_all(&b, hf_clock_now_ns(&c)), 1);
}

HF_TEST(a_clock_put_forward_brings_one_burst) /* trap 21 */
{
    hf_bucket b = bucket(ten_per_second, 0);
    take_all(&b, 0);
    HF_CHECK_INT(take_all(&b, 10 * year), 5);
}

HF_TEST(no_idle_time_is_too_long) /* 200,000 units a ns: 62 bits of them are six hours */
{
    static const hf_rate rates[] = {{200000, UINT64_C(200000000001), 3}, {1, 1000001, 3}};
    for (unsigned i = 0; i < sizeof rates / sizeof *rates; i++) {
        hf_bucket b;
        int64_t now = -200 * year;
        hf_bucket_init(&b, rates[i], now);
        take_all(&b, now);
        for (int64_t idle = 4 * ms; idle < 30 * year; idle += idle / 3) {
            now += idle;
            HF_CHECK_INT(hf_bucket_wait_ns(&b, 3, now), 0);
            HF_CHECK_INT(hf_bucket_available(&b, now), 3);
            HF_CHECK_INT(take_all(&b, now), 3);
        }
    }
}

HF_TEST(a_debt_outlives_every_change_of_base) /* an hour's reservation, looked at every minute */
{
    hf_bucket b;
    hf_rate r = {.num = 7, .den = 6300000000000, .burst = 2}; /* one in fifteen minutes */
    hf_bucket_init(&b, r, 0);
    take_all(&b, 0);
    int64_t wait = 0, due = 0;
    for (int i = 0; i < 40; i++) /* ten hours of reservations: the base moves eight times */
        due = hf_bucket_reserve(&b, 1, 0);
    HF_CHECK_INT(due, 10 * hour);
    for (int64_t now = 0; now < due; now += hour / 60) {
        HF_CHECK(!hf_bucket_try_take(&b, 1, now));
        wait = hf_bucket_wait_ns(&b, 1, now);
        HF_CHECK_INT(now + wait, due + hour / 4);
    }
    HF_CHECK(hf_bucket_try_take(&b, 1, due + hour / 4));
}

HF_TEST(the_ends_of_time_are_times_like_others)
{
    const int64_t ends[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
    for (unsigned from = 0; from < sizeof ends / sizeof *ends; from++) {
        for (unsigned to = from; to < sizeof ends / sizeof *ends; to++) {
            hf_bucket b;
            hf_bucket_init(&b, one_per_second, ends[from]);
            HF_CHECK_INT(take_all(&b, ends[from]), 1);
            uint64_t later = (uint64_t)ends[to] - (uint64_t)ends[from];
            HF_CHECK_INT(take_all(&b, ends[to]), later > (uint64_t)second);
            HF_CHECK(hf_bucket_reserve(&b, 1, ends[to]) > 0);
        }
    }
}

HF_TEST(calls_are_counted_by_what_became_of_them)
{
    hf_bucket b = bucket(ten_per_second, 0);
    HF_CHECK(hf_bucket_try_take(&b, 5, 0));
    HF_CHECK(!hf_bucket_try_take(&b, 2, 0));
    HF_CHECK_INT(hf_bucket_take_within(&b, 1, 0, 50 * ms), -1);
    HF_CHECK_INT(hf_bucket_take_within(&b, 1, 0, 100 * ms), 100 * ms);
    HF_CHECK_INT(hf_bucket_reserve(&b, 1, 0), 200 * ms);
    HF_CHECK_INT(hf_bucket_reserve(&b, 6, 0), HF_BUCKET_NEVER);
    hf_bucket_refund(&b, 1);
    (void)hf_bucket_wait_ns(&b, 1, 0);
    (void)hf_bucket_available(&b, 0);
    HF_CHECK_INT(hf_load_relaxed(&b.allowed), 3);
    HF_CHECK_INT(hf_load_relaxed(&b.rejected), 3);
    HF_CHECK_INT(hf_load_relaxed(&b.refunded), 1);
}
