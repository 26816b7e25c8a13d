/* Contract of hf_adaptive_rate.h, one promise a test. */
#include "hf_test.h"

#include "holdfast/hf_adaptive_rate.h"

static const int64_t ms = 1000000, second = INT64_C(1000000000);

typedef struct limiter {
    hf_bucket bucket;
    hf_adaptive_rate rate;
    int64_t now_ns;
} limiter;

static limiter
limiter_of(uint64_t rate, uint32_t window)
{
    const hf_adaptive_settings s = {.rate = rate * HF_RATE_MICRO,
                                    .min = 10 * HF_RATE_MICRO,
                                    .max = 10000 * HF_RATE_MICRO,
                                    .target_ns = 100 * ms,
                                    .max_age_ns = 10 * second,
                                    .window = window};
    limiter l = {0};
    hf_bucket_init(&l.bucket, hf_rate_of_micro(s.rate, 0), 0);
    hf_adaptive_rate_init(&l.rate, &l.bucket, &s, 0);
    return l;
}

static uint64_t
rate_of(const limiter *l)
{
    return hf_adaptive_rate_get(&l->rate) / HF_RATE_MICRO;
}

static hf_rate_move
record(limiter *l, hf_rate_evidence evidence, int64_t ns)
{
    uint64_t before;
    return hf_adaptive_rate_record(&l->rate, &l->bucket, evidence, l->now_ns, l->now_ns, ns,
                                   &before);
}

/* So many calls at once that are told of now; the last answer. */
static hf_rate_move
take(limiter *l, int64_t ns, int calls)
{
    hf_rate_move move = HF_RATE_KEPT;
    for (int i = 0; i < calls; i++) {
        (void)hf_bucket_try_take(&l->bucket, 1, l->now_ns);
        move = record(l, HF_RATE_LATENCY, ns);
    }
    return move;
}

/* A call was refused: the rate is what limits. */
static void
use_up(limiter *l)
{
    while (hf_bucket_try_take(&l->bucket, 1, l->now_ns))
        ;
}

HF_TEST(a_slow_window_lowers_the_rate_by_a_tenth_at_its_end_and_not_before) /* RL-03 */
{
    limiter l = limiter_of(1000, 100);
    HF_CHECK(take(&l, 121 * ms, 99) == HF_RATE_KEPT);
    HF_CHECK_INT(rate_of(&l), 1000);
    HF_CHECK(take(&l, 121 * ms, 1) == HF_RATE_SLOWED);
    HF_CHECK_INT(rate_of(&l), 900);
    HF_CHECK_INT(hf_bucket_rate(&l.bucket).burst, 900);
    take(&l, 121 * ms, 22); /* each of these was another tenth in the original */
    HF_CHECK_INT(rate_of(&l), 900);
}

HF_TEST(the_percentile_is_exact_to_the_sample) /* RL-03, D-RL-2 */
{
    /* Of 100 in order the one at 95: six of them have to be above for it to be. */
    for (int slow = 4; slow <= 6; slow++) {
        limiter l = limiter_of(1000, 100);
        use_up(&l);
        take(&l, 121 * ms, slow);
        hf_rate_move move = take(&l, 20 * ms, 100 - slow);
        HF_CHECK(move == (slow >= 5 ? HF_RATE_SLOWED : HF_RATE_RAISED));
    }
}

HF_TEST(between_the_bounds_the_rate_stays) /* RL-03 */
{
    limiter l = limiter_of(1000, 100);
    use_up(&l);
    HF_CHECK(take(&l, 120 * ms, 100) == HF_RATE_KEPT);
    use_up(&l);
    HF_CHECK(take(&l, 80 * ms, 100) == HF_RATE_KEPT);
    use_up(&l);
    HF_CHECK(take(&l, 80 * ms - 1, 100) == HF_RATE_RAISED);
    HF_CHECK_INT(rate_of(&l), 1050);
}

HF_TEST(an_average_above_the_target_keeps_the_rate_down) /* RL-03 */
{
    limiter l = limiter_of(1000, 100);
    use_up(&l);
    take(&l, 5 * second, 3); /* three percent of them, and 150 ms on average */
    HF_CHECK(take(&l, ms, 97) == HF_RATE_KEPT);
}

HF_TEST(it_stays_within_its_limits) /* RL-02 */
{
    limiter l = limiter_of(11, 10);
    take(&l, second, 10);
    HF_CHECK_INT(rate_of(&l), 10);
    HF_CHECK(take(&l, second, 10) == HF_RATE_KEPT);
    l = limiter_of(9900, 10);
    use_up(&l);
    HF_CHECK(take(&l, ms, 10) == HF_RATE_RAISED);
    HF_CHECK_INT(rate_of(&l), 10000);
}

HF_TEST(a_rate_that_is_not_used_does_not_rise) /* trap 47 */
{
    limiter l = limiter_of(1000, 100);
    l.now_ns = second / 5;
    HF_CHECK(take(&l, ms, 100) == HF_RATE_KEPT); /* half of what there was */
    l.now_ns += second / 10;
    HF_CHECK(take(&l, ms, 100) == HF_RATE_RAISED);
}

HF_TEST(calls_from_before_the_last_decision_say_nothing_unless_they_go_on) /* trap 47 */
{
    limiter l = limiter_of(1000, 10);
    uint64_t before;
    l.now_ns = second;
    take(&l, second, 10);
    HF_CHECK_INT(rate_of(&l), 900);
    for (int i = 0; i < 50; i++)
        hf_adaptive_rate_record(&l.rate, &l.bucket, HF_RATE_LATENCY, second - 1, second + 120 * ms,
                                second, &before);
    HF_CHECK_INT(rate_of(&l), 900);
    for (int i = 0; i < 10; i++)
        hf_adaptive_rate_record(&l.rate, &l.bucket, HF_RATE_LATENCY, second - 1,
                                second + 120 * ms + 1, second, &before);
    HF_CHECK_INT(rate_of(&l), 810);
    HF_CHECK_INT(before, 900 * HF_RATE_MICRO);
}

HF_TEST(a_lowered_rate_is_left_alone_while_calls_take_less) /* trap 47 */
{
    limiter l = limiter_of(1000, 10);
    take(&l, 1000 * ms, 10);
    HF_CHECK(take(&l, 900 * ms, 10) == HF_RATE_KEPT);
    HF_CHECK(take(&l, 880 * ms, 10) == HF_RATE_SLOWED);
}

HF_TEST(a_rate_is_not_lowered_below_three_quarters_of_the_calls_that_end) /* RL-03, trap 47 */
{
    limiter l = limiter_of(1000, 100);
    l.now_ns = 100 * ms;
    HF_CHECK(take(&l, second, 100) == HF_RATE_SLOWED); /* 1000 a second */
    HF_CHECK_INT(rate_of(&l), 900);
    l.now_ns += 80 * ms;
    HF_CHECK(take(&l, second, 100) == HF_RATE_KEPT); /* 1250 */
    HF_CHECK_INT(rate_of(&l), 900);
    l.now_ns += 90 * ms;
    HF_CHECK(take(&l, second, 100) == HF_RATE_SLOWED); /* 1111 */
    HF_CHECK_INT(rate_of(&l), 833);
    l.now_ns += 200 * ms;
    take(&l, second, 100); /* 500 */
    HF_CHECK_INT(rate_of(&l), 749);
    l.now_ns += 200 * ms;
    for (int i = 0; i < 1000; i++) /* these answered nothing, so nothing of it is what it can do */
        record(&l, HF_RATE_AT_LEAST, ms);
    take(&l, second, 100);
    HF_CHECK_INT(rate_of(&l), 674);
}

HF_TEST(samples_that_are_old_never_count) /* RL-03 */
{
    limiter l = limiter_of(1000, 100);
    take(&l, second, 99);
    l.now_ns = 10 * second + 1;
    HF_CHECK(take(&l, second, 10) == HF_RATE_KEPT); /* the first found a window that was too old */
    HF_CHECK_INT(rate_of(&l), 1000);
    l.now_ns += 5 * second;
    HF_CHECK(take(&l, second, 1) == HF_RATE_SLOWED); /* ten of them, after half of the age */
}

HF_TEST(a_failure_counts_only_if_it_was_slow)
{
    limiter l = limiter_of(1000, 10);
    for (int i = 0; i < 100; i++)
        record(&l, HF_RATE_AT_LEAST, 120 * ms);
    HF_CHECK_INT(hf_load_relaxed(&l.rate.samples), 0);
    for (int i = 0; i < 10; i++)
        record(&l, HF_RATE_AT_LEAST, 121 * ms);
    HF_CHECK_INT(rate_of(&l), 900);
}

HF_TEST(throttling_lowers_the_rate_at_once_and_once_a_window)
{
    limiter l = limiter_of(1000, 10);
    HF_CHECK(record(&l, HF_RATE_THROTTLING, 0) == HF_RATE_THROTTLED);
    HF_CHECK_INT(rate_of(&l), 700);
    for (int i = 0; i < 9; i++)
        HF_CHECK(record(&l, HF_RATE_THROTTLING, 0) == HF_RATE_KEPT);
    HF_CHECK(record(&l, HF_RATE_THROTTLING, 0) == HF_RATE_THROTTLED);
    HF_CHECK_INT(rate_of(&l), 490);
    HF_CHECK_INT(hf_load_relaxed(&l.rate.throttled), 2);
    HF_CHECK(hf_load_relaxed(&l.rate.average_ns) < 0); /* it is no latency */
}

HF_TEST(after_throttling_the_rate_rises_by_a_constant_until_it_is_twice_that)
{
    limiter l = limiter_of(1000, 10);
    record(&l, HF_RATE_THROTTLING, 0);
    uint64_t before = rate_of(&l);
    for (int i = 0; i < 26; i++) {
        use_up(&l);
        take(&l, ms, 10);
        HF_CHECK_INT(rate_of(&l), before + 50);
        before = rate_of(&l);
    }
    HF_CHECK_INT(before, 2000);
    use_up(&l);
    take(&l, ms, 10);
    HF_CHECK_INT(rate_of(&l), 2100);
}

HF_TEST(a_resize_forgets_the_samples_and_is_not_undone) /* RL-02 */
{
    limiter l = limiter_of(1000, 100);
    take(&l, second, 99);
    hf_adaptive_rate_resize(&l.rate, &l.bucket, 50 * HF_RATE_MICRO, 20 * HF_RATE_MICRO,
                            60 * HF_RATE_MICRO, 7, l.now_ns);
    HF_CHECK_INT(hf_bucket_rate(&l.bucket).burst, 7);
    HF_CHECK(take(&l, second, 99) == HF_RATE_KEPT);
    HF_CHECK(take(&l, second, 1) == HF_RATE_SLOWED);
    HF_CHECK_INT(rate_of(&l), 45);
}

HF_TEST(a_rate_is_right_to_a_millionth_as_a_bucket_counts_it)
{
    for (uint64_t micro = HF_RATE_MICRO_MIN; micro < HF_RATE_MICRO_MAX; micro += micro / 7 + 1) {
        hf_rate r = hf_rate_of_micro(micro, 0);
        HF_REQUIRE(hf_rate_is_valid(r));
        double is = (double)r.num / (double)r.den * 1e15, off = is / (double)micro - 1;
        HF_CHECK(off > -2e-6 && off < 2e-6);
    }
    HF_CHECK(hf_rate_is_valid(hf_rate_of_micro(0, 0))); /* as of a file that was truncated */
    HF_CHECK(hf_rate_is_valid(hf_rate_of_micro(HF_RATE_MICRO_MAX, 0)));
}

HF_TEST(the_largest_numbers_do_not_overflow)
{
    const hf_adaptive_settings s = {.rate = HF_RATE_MICRO_MAX,
                                    .min = HF_RATE_MICRO_MIN,
                                    .max = HF_RATE_MICRO_MAX,
                                    .target_ns = HF_RATE_TARGET_NS_MAX,
                                    .max_age_ns = INT64_MAX,
                                    .window = HF_RATE_WINDOW_MAX};
    limiter l = {0};
    hf_bucket_init(&l.bucket, hf_rate_of_micro(s.rate, 0), 0);
    hf_adaptive_rate_init(&l.rate, &l.bucket, &s, 0);
    take(&l, INT64_MAX, HF_RATE_WINDOW_MAX);
    HF_CHECK_INT(hf_adaptive_rate_get(&l.rate), HF_RATE_MICRO_MAX / 10 * 9);
    HF_CHECK(hf_load_relaxed(&l.rate.average_ns) > HF_RATE_TARGET_NS_MAX);
    HF_CHECK(take(&l, INT64_MIN, HF_RATE_WINDOW_MAX) == HF_RATE_RAISED);
}

HF_TEST(a_forked_child_decides_by_its_own_samples) /* trap 58 */
{
    limiter l = limiter_of(1000, 100);
    take(&l, second, 199);
    hf_store_relaxed(&l.rate.word, hf_load_relaxed(&l.rate.word) | HF__RATE_BUSY);
    hf_bucket_forget(&l.bucket);
    hf_adaptive_rate_forget(&l.rate);
    HF_CHECK_INT(rate_of(&l), 900);
    HF_CHECK_INT(hf_load_relaxed(&l.rate.slowed), 0);
    HF_CHECK(take(&l, second, 99) == HF_RATE_KEPT);
    HF_CHECK(take(&l, second, 1) == HF_RATE_SLOWED);
}
