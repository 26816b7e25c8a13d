/* Contract of hf_latency_budget.h: percentiles of the last calls, an exact decision, turns that alternate. */
#include "hf_test.h"

#include <math.h>

#include "holdfast/hf_latency_budget.h"
#include "holdfast/hf_random.h"

static const int64_t ms = 1000000;

static hf_latency_budget *
budget_of(int64_t target_ns, uint32_t percentile, uint32_t size, uint32_t least)
{
    hf_latency_budget *b = malloc(hf_latency_budget_size(size));
    HF_REQUIRE(b != NULL);
    memset(b, 0xFF, hf_latency_budget_size(size));
    hf_latency_budget_init(b, target_ns, percentile * HF_PERCENTILE_UNIT, size, least);
    return b;
}

static int
record(hf_latency_budget *b, int64_t ns, int times)
{
    int turned = 0;
    for (int i = 0; i < times; i++)
        turned += hf_latency_budget_record(b, ns);
    return turned;
}

static int64_t
percentile(const hf_latency_budget *b, double p)
{
    const uint32_t parts = (uint32_t)llround(p * HF_PERCENTILE_UNIT);
    int64_t ns;
    hf_latency_budget_percentiles(b, &parts, 1, &ns);
    return ns;
}

static uint32_t
calls(const hf_latency_budget *b)
{
    return HF_TALLY_CALLS(hf_latency_budget_tally(b));
}

static uint32_t
exceeding(const hf_latency_budget *b)
{
    return HF_TALLY_EXCEEDING(hf_latency_budget_tally(b));
}

HF_TEST(it_begins_empty_and_not_exhausted)
{
    hf_latency_budget *b = budget_of(100 * ms, 95, 10, 1);
    HF_CHECK_INT(hf_latency_budget_tally(b), 0);
    HF_CHECK(!hf_latency_budget_is_exhausted(b));
    HF_CHECK_INT(percentile(b, 95), -1);
    free(b);
}

HF_TEST(percentiles_are_of_the_nearest_rank_within_two_percent) /* LB-01, D-LB-1 */
{
    hf_latency_budget *b = budget_of(100 * ms, 95, 100, 1);
    for (int i = 100; i >= 1; i--) /* 10 ms … 1,000 ms */
        hf_latency_budget_record(b, i * 10 * ms);
    const double of[] = {0, .5, 1, 1.5, 50, 94.5, 95, 95.1, 99, 99.9999, 100};
    const int64_t is[] = {10, 10, 10, 20, 500, 950, 950, 960, 990, 1000, 1000};
    for (size_t i = 0; i < sizeof is / sizeof *is; i++)
        HF_CHECK(fabs((double)percentile(b, of[i]) / (double)(is[i] * ms) - 1) <= .02);
    free(b);
}

HF_TEST(only_the_last_calls_count)
{
    hf_latency_budget *b = budget_of(100 * ms, 50, 3, 1);
    record(b, 900 * ms, 5);
    HF_CHECK_INT(calls(b), 3);
    HF_CHECK_INT(exceeding(b), 3);
    record(b, 20 * ms, 2);
    HF_CHECK_INT(exceeding(b), 1);
    HF_CHECK(percentile(b, 50) < 21 * ms && percentile(b, 100) > 880 * ms);
    HF_CHECK_INT(hf_load_relaxed(&b->recorded), 7);
    HF_CHECK_INT(hf_load_relaxed(&b->exceeded), 5);
    free(b);
}

/* Against a ring of plain numbers, sorted: the decision is exact, also near the target. */
HF_TEST(it_is_exhausted_exactly_when_the_percentile_is_above_the_target)
{
    static const uint32_t percentiles[] = {0, 1, 50, 95, 99, 100};
    for (uint64_t seed = 1; seed <= 60; seed++) {
        hf_random r;
        hf_random_init(&r, seed);
        const uint32_t p = percentiles[seed % 6], size = 1 + (uint32_t)hf_random_below(&r, 60);
        hf_latency_budget *b = budget_of(100 * ms, p, size, 1);
        bool exhausted = false, above[1000];
        for (int i = 0; i < 1000; i++) {
            const bool slow = hf_random_below(&r, 1 + (uint64_t)(i / 100 % 5)) == 0;
            above[i] = slow;
            hf_latency_budget_record(b, 100 * ms + slow);
            const int n = i + 1 < (int)size ? i + 1 : (int)size;
            int over = 0;
            for (int j = i - n + 1; j <= i; j++)
                over += above[j];
            int rank = (int)ceil(p / 100.0 * n - 1e-9);
            const int allowed = n - (rank > 0 ? rank : 1);
            exhausted = exhausted ? over > allowed - (allowed + 9) / 10 : over > allowed;
            HF_CHECK_INT(exceeding(b), over);
            HF_CHECK(hf_latency_budget_is_exhausted(b) == exhausted);
            HF_CHECK((percentile(b, p) > 100 * ms) == (over > allowed));
        }
        HF_CHECK_INT(hf_load_relaxed(&b->exhausted), (hf_latency_budget_turns(b) + 1) / 2);
        free(b);
    }
}

HF_TEST(a_percentile_is_on_the_side_of_the_target_where_its_call_was)
{
    for (int64_t target = 1; target < INT64_C(1000000000000); target = target * 3 / 2 + 1) {
        for (int over = 0; over <= 1; over++) {
            hf_latency_budget *b = budget_of(target, 50, 1, 1);
            hf_latency_budget_record(b, target + over);
            HF_CHECK((percentile(b, 50) > target) == over);
            HF_CHECK(hf_latency_budget_is_exhausted(b) == over);
            free(b);
        }
    }
}

HF_TEST(fewer_calls_than_the_least_prove_nothing) /* trap 30 */
{
    hf_latency_budget *b = budget_of(100 * ms, 95, 100, 20);
    HF_CHECK_INT(record(b, 900 * ms, 19), 0);
    HF_CHECK(!hf_latency_budget_is_exhausted(b));
    HF_CHECK_INT(record(b, 900 * ms, 1), 1);
    HF_CHECK(hf_latency_budget_is_exhausted(b));
    free(b);
}

HF_TEST(it_recovers_when_a_tenth_of_what_is_allowed_is_free_again)
{
    hf_latency_budget *b = budget_of(100 * ms, 95, 1000, 20);
    record(b, 10 * ms, 949);
    HF_CHECK_INT(record(b, 900 * ms, 51), 1); /* 50 of 1,000 are allowed */
    HF_CHECK(hf_latency_budget_is_exhausted(b));
    record(b, 10 * ms, 949); /* the old fast ones leave */
    HF_CHECK_INT(record(b, 10 * ms, 5), 0);
    HF_CHECK_INT(exceeding(b), 46);
    HF_CHECK(hf_latency_budget_is_exhausted(b));
    HF_CHECK_INT(record(b, 10 * ms, 1), 1);
    HF_CHECK(!hf_latency_budget_is_exhausted(b));
    HF_CHECK_INT(hf_latency_budget_turns(b), 2);
    HF_CHECK_INT(hf_load_relaxed(&b->exhausted), 1);
    free(b);
}

HF_TEST(values_that_are_not_durations_count_as_the_end_they_are_beyond)
{
    hf_latency_budget *b = budget_of(100 * ms, 50, 4, 1);
    const int64_t odd[] = {INT64_MIN, -1, 0, INT64_MAX};
    for (int i = 0; i < 4; i++)
        hf_latency_budget_record(b, odd[i]);
    HF_CHECK(percentile(b, 50) < 32);
    HF_CHECK(percentile(b, 100) > 270000 * ms);
    HF_CHECK_INT(exceeding(b), 1);
    free(b);
}

HF_TEST(after_a_clear_it_is_empty_and_not_exhausted_and_its_counts_go_on)
{
    hf_latency_budget *b = budget_of(100 * ms, 95, 10, 1);
    record(b, 900 * ms, 25);
    HF_CHECK(hf_latency_budget_clear(b));
    HF_CHECK(!hf_latency_budget_clear(b));
    HF_CHECK_INT(hf_latency_budget_tally(b), 0);
    HF_CHECK_INT(hf__latency_budget_shown(b), 0);
    HF_CHECK(!hf_latency_budget_is_exhausted(b));
    HF_CHECK_INT(hf_load_relaxed(&b->recorded), 25);
    HF_CHECK_INT(hf_latency_budget_turns(b), 2);
    free(b);
}

HF_TEST(a_forked_child_begins_with_an_empty_ring_in_the_state_it_was_in) /* trap 58 */
{
    hf_latency_budget *b = budget_of(100 * ms, 95, 10, 5);
    record(b, 900 * ms, 25);
    hf_latency_budget_forget(b);
    HF_CHECK_INT(hf_latency_budget_tally(b), 0);
    HF_CHECK_INT(hf__latency_budget_shown(b), 0);
    HF_CHECK_INT(hf_load_relaxed(&b->recorded) + hf_load_relaxed(&b->exceeded) +
                     hf_load_relaxed(&b->exhausted),
                 0);
    HF_CHECK_INT(record(b, 10 * ms, 4), 0);
    HF_CHECK(hf_latency_budget_is_exhausted(b));
    HF_CHECK_INT(record(b, 10 * ms, 1), 1);
    HF_CHECK(!hf_latency_budget_is_exhausted(b));
    free(b);
}

/* What is left of a kernel whose page was lost: it may decide anything. */
HF_TEST(a_budget_of_zeros_harms_nobody)
{
    hf_latency_budget *b = calloc(1, hf_latency_budget_size(10));
    HF_REQUIRE(b != NULL);
    for (int i = 0; i < 30; i++)
        hf_latency_budget_record(b, i % 2 * 900 * ms);
    hf_latency_budget_clear(b);
    HF_CHECK(percentile(b, 100) != INT64_MIN);
    free(b);
}
