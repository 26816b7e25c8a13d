/*
 * Real threads over one budget: retries issued <= burst + ratio * successes + rate * time + given
 * back, and when all is still, what is left is exactly the rest.
 */
#include "holdfast/hf_budget.h"
#include "holdfast/hf_random.h"

#include "hf_threads.h"

enum { THREADS = 8 };

static struct {
    hf_budget budget;
    hf_clock clock;
    hf_au64 issued, given; /* counted before it is given, and after it was issued */
    long rounds;
    long taken[THREADS], back[THREADS], successes[THREADS];
} world;

static void
begin(hf_budget_rule rule, long rounds)
{
    memset(&world, 0, sizeof world);
    world.rounds = hf_threads_rounds(rounds);
    hf_clock_init_manual(&world.clock, 0);
    hf_budget_init(&world.budget, rule, 0);
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
withdraw_until_empty(void *unused, int t)
{
    while (hf_budget_withdraw(&world.budget, 0))
        world.taken[t]++;
}

HF_TEST(together_they_get_the_burst_and_no_token_more) /* D-RT-4, trap 36 */
{
    uint64_t burst = (uint64_t)hf_threads_rounds(1000000);
    begin((hf_budget_rule){.ratio = 200000, .rate = 0, .burst = burst}, 1);
    hf_threads_run(THREADS, withdraw_until_empty, NULL);
    HF_CHECK_INT(total(world.taken), burst);
    HF_CHECK_INT(hf_load_relaxed(&world.budget.withdrawn), burst);
    HF_CHECK_INT(hf_load_relaxed(&world.budget.refused), THREADS);
}

static void
succeed_retry_and_give_back(void *unused, int t)
{
    hf_random r;
    hf_random_init(&r, (uint64_t)t);
    for (long i = 0; i < world.rounds; i++) {
        uint64_t what = hf_random_below(&r, 16);
        if (what < 4) {
            hf_count(&world.given, 1);
            hf_budget_deposit(&world.budget);
            world.successes[t]++;
        } else if (what == 4) {
            hf_clock_advance(&world.clock, 1 + t);
        } else if (what == 5 && world.taken[t] > world.back[t]) {
            hf_count(&world.given, 4); /* quarters of a token */
            HF_CHECK(hf_budget_give_back(&world.budget));
            world.back[t]++;
        } else if (hf_budget_withdraw(&world.budget, hf_clock_now_ns(&world.clock))) {
            world.taken[t]++;
            uint64_t issued = 4 * (hf_fetch_add_seq_cst(&world.issued, 1) + 1);
            uint64_t given = hf_fetch_add_seq_cst(&world.given, 0);
            uint64_t passed = (uint64_t)hf_clock_now_ns(&world.clock); /* two quarters a ns */
            HF_CHECK(issued <= 4 * 50 + given + 2 * passed);
        }
        double balance = hf_budget_balance(&world.budget, hf_clock_now_ns(&world.clock));
        HF_CHECK(balance >= 0.0 && balance <= 50.0);
    }
}

HF_TEST(at_no_moment_more_is_issued_than_successes_time_and_burst_give) /* D-RT-4, traps 36, 44 */
{
    begin((hf_budget_rule){.ratio = 250000, .rate = 500000000000000, .burst = 50}, 100000);
    hf_threads_run(THREADS, succeed_retry_and_give_back, NULL);
    HF_CHECK_INT(hf_load_relaxed(&world.budget.withdrawn), total(world.taken));
    HF_CHECK_INT(hf_load_relaxed(&world.budget.given_back), total(world.back));
    HF_CHECK_INT(hf_load_relaxed(&world.budget.deposits), total(world.successes));
    HF_CHECK(total(world.taken) > 50);
    printf("     %ld withdrawn of 50 + %ld / 4 successes + %ld back + %.1f by time\n",
           total(world.taken), total(world.successes), total(world.back),
           (double)hf_clock_now_ns(&world.clock) / 2);
}

/* Nothing is ever cut off or refused here, so nothing may be missing. */
static void
keep_below_the_burst(void *unused, int t)
{
    hf_random r;
    hf_random_init(&r, (uint64_t)t + 100);
    for (long i = 0; i < world.rounds; i++) {
        if (hf_budget_withdraw(&world.budget, 0))
            world.taken[t]++;
        if (hf_random_below(&r, 2) == 0) {
            hf_budget_deposit(&world.budget); /* half a token */
            world.successes[t]++;
        } else if (world.taken[t] > world.back[t] && hf_random_below(&r, 4) == 0) {
            HF_CHECK(hf_budget_give_back(&world.budget));
            world.back[t]++;
        }
    }
}

HF_TEST(when_all_is_still_what_is_left_is_exactly_the_rest) /* traps 34, 44 */
{
    begin((hf_budget_rule){.ratio = 500000, .rate = 0, .burst = 100000000}, 100000);
    long before = 50000000;
    /* Far from full and from empty. */
    hf_store_relaxed(&world.budget.word, (uint64_t)before * world.budget.unit);
    hf_threads_run(THREADS, keep_below_the_burst, NULL);
    double left = hf_budget_balance(&world.budget, 0);
    double rest = (double)before - (double)total(world.taken) + (double)total(world.back) +
                  (double)total(world.successes) / 2;
    HF_CHECK(left == rest);
    printf("     %.1f left = %ld - %ld withdrawn + %ld back + %ld / 2 successes\n", left, before,
           total(world.taken), total(world.back), total(world.successes));
}

static void
give_back_what_one_has(void *unused, int t)
{
    for (long i = 0; i < world.rounds; i++) {
        if (hf_budget_withdraw(&world.budget, 0)) {
            world.taken[t]++;
            HF_CHECK(hf_budget_give_back(&world.budget));
        }
    }
}

HF_TEST(whoever_took_a_token_can_always_give_it_back) /* trap 34 */
{
    begin((hf_budget_rule){.ratio = 0, .rate = 0, .burst = 3}, 100000);
    hf_threads_run(THREADS, give_back_what_one_has, NULL);
    HF_CHECK(hf_budget_balance(&world.budget, 0) == 3.0);
    HF_CHECK_INT(hf_load_relaxed(&world.budget.given_back), total(world.taken));
    HF_CHECK(!hf_budget_give_back(&world.budget));
}
