/*
 * Real threads over one bucket: no token is issued twice or lost, whoever takes, books, returns
 * and changes the rate at the same time.
 */
#include "holdfast/hf_bucket.h"
#include "holdfast/hf_random.h"

#include "hf_threads.h"

enum { THREADS = 8 };

static struct {
    hf_bucket bucket;
    hf_clock clock;
    hf_rate rate;
    hf_au64 issued, jumps;
    long rounds;
    long taken[THREADS], refunded[THREADS];
} world;

static void
begin(hf_rate rate, long rounds)
{
    memset(&world, 0, sizeof world);
    world.rate = rate;
    world.rounds = hf_threads_rounds(rounds);
    hf_clock_init_manual(&world.clock, 0);
    hf_bucket_init(&world.bucket, rate, 0);
}

static long
total(const long *of)
{
    long sum = 0;
    for (int t = 0; t < THREADS; t++)
        sum += of[t];
    return sum;
}

static void
take_until_empty(void *unused, int t)
{
    while (hf_bucket_try_take(&world.bucket, 1, 0))
        world.taken[t]++;
}

HF_TEST(together_they_get_the_burst_and_no_token_more) /* RL-01, trap 36 */
{
    begin((hf_rate){.num = 1, .den = 1000, .burst = 0}, 1);
    world.rate.burst = (uint64_t)hf_threads_rounds(1000000);
    hf_bucket_init(&world.bucket, world.rate, 0);
    hf_threads_run(THREADS, take_until_empty, NULL);
    HF_CHECK_INT(total(world.taken), world.rate.burst);
    HF_CHECK_INT(hf_load_relaxed(&world.bucket.allowed), world.rate.burst);
    HF_CHECK_INT(hf_load_relaxed(&world.bucket.rejected), THREADS);
}

static void
take_while_time_passes(void *unused, int t)
{
    for (long i = 0; i < world.rounds; i++) {
        if (i % 4 == 0)
            hf_clock_advance(&world.clock, 1 + t);
        if (!hf_bucket_try_take(&world.bucket, 1, hf_clock_now_ns(&world.clock)))
            continue;
        world.taken[t]++;
        uint64_t issued = hf_fetch_add_relaxed(&world.issued, 1) + 1;
        uint64_t passed = (uint64_t)hf_clock_now_ns(&world.clock);
        HF_CHECK(issued * world.rate.den <=
                 world.rate.burst * world.rate.den + passed * world.rate.num);
    }
}

HF_TEST(at_no_moment_more_is_issued_than_the_burst_and_the_rate) /* RL-01, traps 25, 36, 39 */
{
    begin((hf_rate){.num = 337, .den = 1000, .burst = 50}, 100000);
    hf_threads_run(THREADS, take_while_time_passes, NULL);
    HF_CHECK_INT(hf_load_relaxed(&world.bucket.allowed), total(world.taken));
    HF_CHECK(total(world.taken) > 50);
}

static void
book(void *unused, int t)
{
    int64_t last = -1;
    for (long i = 0; i < world.rounds; i++) {
        int64_t wait = hf_bucket_reserve(&world.bucket, 1, 0);
        HF_CHECK(wait > last);
        HF_CHECK_INT(wait % 1000, 0);
        last = wait;
        hf_count(&world.issued, (uint64_t)(wait / 1000));
    }
    world.taken[t] = world.rounds;
}

HF_TEST(no_two_bookings_get_the_same_moment) /* traps 38, 41 */
{
    begin((hf_rate){.num = 1, .den = 1000, .burst = 1}, 100000);
    hf_threads_run(THREADS, book, NULL);
    /* Waits are distinct and 0, 1, 2 … periods: their sum says whether one is missing or double. */
    uint64_t n = (uint64_t)total(world.taken);
    HF_CHECK_INT(hf_load_relaxed(&world.issued), n * (n - 1) / 2);
    HF_CHECK_INT(hf_bucket_wait_ns(&world.bucket, 1, 0), n * 1000);
}

/* Bursts are alike and tokens whole, so whatever the order, none is cut off or rounded. */
static const hf_rate alike[] = {
    {.num = 1, .den = 1000, .burst = 500},
    {.num = 3, .den = 600, .burst = 500},
    {.num = 200000, .den = 7, .burst = 500},
};

static void
take_return_and_change(void *unused, int t)
{
    hf_random r;
    hf_random_init(&r, (uint64_t)t);
    for (long i = 0; i < world.rounds; i++) {
        uint64_t n = 1 + hf_random_below(&r, 3), what = hf_random_below(&r, 16);
        if (what == 0) {
            hf_bucket_resize(&world.bucket, alike[hf_random_below(&r, 3)], 0);
        } else if (what < 9) {
            if (hf_bucket_take_within(&world.bucket, n, 0, 1000000) >= 0)
                world.taken[t] += (long)n;
        } else if (world.taken[t] - world.refunded[t] >= (long)n) {
            hf_bucket_refund(&world.bucket, n);
            world.refunded[t] += (long)n;
        }
        HF_CHECK(hf_bucket_available(&world.bucket, 0) <= 500);
    }
}

HF_TEST(changes_of_rate_among_takes_and_refunds_lose_no_token) /* traps 32, 37 */
{
    begin(alike[0], 100000);
    hf_threads_run(THREADS, take_return_and_change, NULL);
    hf_bucket_resize(&world.bucket, alike[0], 0);
    long held = total(world.taken) - total(world.refunded);
    HF_CHECK_INT(hf_bucket_available(&world.bucket, 0), held < 500 ? 500 - held : 0);
    HF_CHECK_INT(hf_bucket_wait_ns(&world.bucket, 500, 0), held * 1000);
    HF_CHECK_INT(hf_load_relaxed(&world.bucket.claimed),
                 1 << (hf_load_relaxed(&world.bucket.word) >> HF__BUCKET_BITS));
}

static void
take_over_long_times(void *unused, int t)
{
    for (long i = 0; i < world.rounds; i++) {
        if (t == 0 && i % 8 == 0) {
            hf_count(&world.jumps, 1);
            hf_clock_advance(&world.clock, INT64_C(1) << 43); /* the base has to move */
        }
        int64_t now = hf_clock_now_ns(&world.clock);
        if (!hf_bucket_try_take(&world.bucket, 1, now))
            continue;
        world.taken[t]++;
        HF_CHECK(hf_fetch_add_relaxed(&world.issued, 1) <
                 world.rate.burst * (hf_load_relaxed(&world.jumps) + 1));
    }
}

HF_TEST(each_long_time_brings_one_burst_whoever_moves_the_base)
{
    begin((hf_rate){.num = 200000, .den = UINT64_C(1) << 57, .burst = 4}, 100000);
    hf_threads_run(THREADS, take_over_long_times, NULL);
    HF_CHECK_INT(hf_load_relaxed(&world.bucket.allowed), total(world.taken));
    HF_CHECK(total(world.taken) > 4);
}
