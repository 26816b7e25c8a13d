/*
 * Every schedule of threads whose samples end a window of an adaptive rate, and of one that resizes it: a
 * window decides once, and the rate that is told is the one that the bucket has.
 */
#include "explored.h"
#include "wrong/wrong_adaptive_rate.h"

static const int64_t ms = 1000000;

static struct {
    hf_bucket bucket;
    hf_adaptive_rate rate;
    uint32_t window;
    bool wrong, resizes;
} world;

static void
begin(void *unused)
{
    const hf_adaptive_settings s = {.rate = 1000 * HF_RATE_MICRO,
                                    .min = HF_RATE_MICRO,
                                    .max = 10000 * HF_RATE_MICRO,
                                    .target_ns = 100 * ms,
                                    .max_age_ns = 1000 * ms,
                                    .window = world.window};
    hf_bucket_init(&world.bucket, hf_rate_of_micro(s.rate, 0), 0);
    hf_adaptive_rate_init(&world.rate, &world.bucket, &s, 0);
}

static void
play(void *unused, int t)
{
    uint64_t before;
    if (t == 0 && world.resizes)
        hf_adaptive_rate_resize(&world.rate, &world.bucket, 500 * HF_RATE_MICRO, HF_RATE_MICRO,
                                600 * HF_RATE_MICRO, 0, 0);
    else if (world.wrong)
        wrong_adaptive_rate_record(&world.rate, &world.bucket, 200 * ms);
    else
        hf_adaptive_rate_record(&world.rate, &world.bucket, HF_RATE_LATENCY, 0, 0, 200 * ms,
                                &before);
}

/* Nobody decides any more, and the bucket counts by the rate that is told. */
static bool
is_whole(void)
{
    const hf_rate told = hf_rate_of_micro(hf_adaptive_rate_get(&world.rate), 0);
    const hf_rate is = hf_bucket_rate(&world.bucket);
    return !(hf_load_relaxed(&world.rate.word) & HF__RATE_BUSY) && told.num == is.num &&
           told.den == is.den && told.burst == is.burst;
}

/* Each decision took a tenth, and there were as many as windows. */
static bool
is_lowered_once_a_window(void *unused)
{
    const uint64_t slowed = hf_load_relaxed(&world.rate.slowed);
    const uint64_t rate = hf_adaptive_rate_get(&world.rate) / HF_RATE_MICRO;
    const uint64_t n = hf__rate_n(hf_load_relaxed(&world.rate.word));
    return is_whole() && slowed == 1 && rate == 900 && n == 0;
}

HF_TEST(two_samples_that_end_a_window_lower_the_rate_once) /* trap 47 */
{
    world.window = 2;
    HF_CHECK(explored("sample | sample", 2, begin, play, is_lowered_once_a_window));
}

HF_TEST(the_explorer_finds_samples_that_are_lost)
{
    world.window = 2;
    world.wrong = true;
    HF_CHECK(finds("wrong: sample | sample", 2, begin, play, is_lowered_once_a_window));
    world.wrong = false;
}

/* Where each sample is a window, the second of two counts, or comes while the first decides. */
static bool
is_lowered_by_each_decision(void *unused)
{
    const uint64_t slowed = hf_load_relaxed(&world.rate.slowed);
    const uint64_t rate = hf_adaptive_rate_get(&world.rate) / HF_RATE_MICRO;
    return is_whole() && (slowed == 1 ? rate == 900 : slowed == 2 && rate == 810);
}

HF_TEST(decisions_of_two_threads_follow_one_another)
{
    world.window = 1;
    HF_CHECK(explored("window | window", 2, begin, play, is_lowered_by_each_decision));
}

/* A decision is made before the resize, or from the rate that it has put in force: it never undoes it. */
static bool
is_resized(void *unused)
{
    const uint64_t rate = hf_adaptive_rate_get(&world.rate) / HF_RATE_MICRO;
    return is_whole() && (rate == 500 || rate == 450);
}

HF_TEST(a_resize_at_the_same_time_as_a_decision_is_not_undone) /* RL-02 */
{
    world.window = 1;
    world.resizes = true;
    HF_CHECK(explored("resize | window", 2, begin, play, is_resized));
}

HF_TEST(the_explorer_finds_a_resize_that_is_undone)
{
    world.window = 1;
    world.wrong = true;
    HF_CHECK(finds("wrong: resize | window", 2, begin, play, is_resized));
}
