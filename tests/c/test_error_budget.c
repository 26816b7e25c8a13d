/* Contract of hf_error_budget.h and hf_burn.h: windows, exhaustion, pages, shares that are shed. */
#include "hf_test.h"

#include "holdfast/hf_error_budget.h"
#include "holdfast/hf_random.h"

static const int64_t second = INT64_C(1000000000);
static hf_error_budget b;

static void
begin(uint64_t allowed, uint64_t min_requests, int64_t now_ns)
{
    hf_error_budget_init(&b,
                         (hf_error_budget_rule){.window_ns = 3600 * second,
                                                .allowed = allowed,
                                                .min_requests = min_requests,
                                                .min_failures = 10},
                         now_ns);
}

static hf_outcomes
seen(unsigned window, int64_t now_ns)
{
    return hf_error_budget_outcomes(&b, window, now_ns);
}

HF_TEST(a_window_is_what_was_counted_since_its_first_slice)
{
    begin(1000000, 1, 0);
    for (int i = 0; i < 10; i++) { /* one request in each tenth of the hour */
        hf_error_budget_fail(&b, 1, i * 360 * second);
        HF_CHECK_INT(seen(HF_BURN_WINDOW, i * 360 * second).failed, i + 1);
    }
    HF_CHECK_INT(seen(HF_BURN_WINDOW, 3600 * second - 1).failed, 10);
    HF_CHECK_INT(seen(HF_BURN_WINDOW, 3600 * second).failed, 9); /* read, not cleared */
    HF_CHECK_INT(seen(HF_BURN_WINDOW, 5 * 3600 * second).failed, 0);
    HF_CHECK_INT(seen(HF_BURN_6H, 3600 * second).failed, 10);
    HF_CHECK_INT(seen(HF_BURN_5M, 9 * 360 * second + 299 * second).failed, 1);
    HF_CHECK_INT(seen(HF_BURN_5M, 9 * 360 * second + 300 * second).failed, 0);
}

HF_TEST(a_time_before_the_last_slice_counts_in_it_and_times_may_be_negative)
{
    begin(1000000, 1, -7200 * second);
    (void)hf_error_budget_succeed(&b, 2, -3600 * second);
    (void)hf_error_budget_succeed(&b, 3, -7200 * second);
    HF_CHECK_INT(seen(HF_BURN_WINDOW, -3600 * second).total, 5);
    HF_CHECK_INT(seen(HF_BURN_WINDOW, -7200 * second).total, 5);
    (void)hf_error_budget_succeed(&b, 1, INT64_MAX);
    HF_CHECK_INT(seen(HF_BURN_WINDOW, INT64_MAX).total, 1);
}

HF_TEST(counts_use_all_64_bits)
{
    const uint64_t many = UINT64_C(1) << 62;
    begin(500000000, 1, 0);
    (void)hf_error_budget_succeed(&b, many, 0);
    hf_error_budget_fail(&b, many, 0);
    HF_CHECK(seen(HF_BURN_WINDOW, 0).total == 2 * many);
    HF_CHECK_INT(hf_error_budget_judge(&b, 0) & HF_BUDGET_EXHAUSTED, 0); /* just met */
    hf_error_budget_fail(&b, 1, 0);
    HF_CHECK_INT(hf_error_budget_judge(&b, 0) & HF_BUDGET_EXHAUSTED, HF_BUDGET_EXHAUSTED);
}

HF_TEST(it_is_exhausted_by_enough_requests_or_enough_failures_above_what_may_fail)
{
    uint64_t before;
    begin(1000000, 1000, 0);
    hf_error_budget_fail(&b, 9, 0);
    HF_CHECK_INT(hf_error_budget_settle(&b, 0, &before) & HF_BUDGET_EXHAUSTED, 0);
    HF_CHECK(hf_error_budget_succeed(&b, 991, 0)); /* a success may exhaust it: it is eager */
    HF_CHECK_INT(hf_error_budget_settle(&b, 0, &before) & HF_BUDGET_EXHAUSTED, 1);
    HF_CHECK_INT(before & HF_BUDGET_EXHAUSTED, 0);
    HF_CHECK_INT(hf_error_budget_settle(&b, 0, &before) & HF_BUDGET_EXHAUSTED, 1);
    HF_CHECK_INT(before & HF_BUDGET_EXHAUSTED, 1);
    HF_CHECK_INT(hf_load_relaxed(&b.exhausted), 1); /* once */
    (void)hf_error_budget_settle(&b, 3600 * second, &before);
    HF_CHECK_INT(hf_load_relaxed(&b.state) & HF_BUDGET_EXHAUSTED, 0);
    begin(1000000, 1000, 0);
    hf_error_budget_fail(&b, 10, 0);
    HF_CHECK_INT(hf_error_budget_judge(&b, 0) & HF_BUDGET_EXHAUSTED, 1);
    begin(0, 1, 0);
    (void)hf_error_budget_succeed(&b, 1000, 0);
    HF_CHECK_INT(hf_error_budget_judge(&b, 0) & HF_BUDGET_EXHAUSTED, 0);
    hf_error_budget_fail(&b, 1, 0);
    HF_CHECK_INT(hf_error_budget_judge(&b, 0) & HF_BUDGET_EXHAUSTED, 1);
}

HF_TEST(downtime_lasts_from_the_first_to_the_last_failure_in_a_row)
{
    begin(1000000, 1, 0);
    hf_error_budget_fail(&b, 1, 5 * second);
    hf_error_budget_fail(&b, 1, 7 * second);
    (void)hf_error_budget_succeed(&b, 1, 9 * second);
    (void)hf_error_budget_succeed(&b, 1, 11 * second);
    HF_CHECK_INT(hf_load_relaxed(&b.down_ns), 2 * second);
    HF_CHECK_INT(hf_load_relaxed(&b.last_failure_ns), 7 * second);
    HF_CHECK_INT(hf_load_relaxed(&b.last_success_ns), 11 * second);
}

HF_TEST(clearing_and_forgetting_empty_the_windows_and_only_forgetting_the_counts)
{
    begin(1000000, 1, 0);
    hf_error_budget_fail(&b, 5, 0);
    hf_error_budget_clear(&b);
    HF_CHECK_INT(seen(HF_BURN_6H, 0).total, 0);
    HF_CHECK_INT(hf_load_relaxed(&b.bad), 5);
    hf_error_budget_fail(&b, 1, 0);
    HF_CHECK_INT(seen(HF_BURN_WINDOW, 0).failed, 1);
    hf_error_budget_forget(&b); /* trap 58 */
    HF_CHECK_INT(seen(HF_BURN_WINDOW, 0).total, 0);
    HF_CHECK_INT(hf_load_relaxed(&b.bad), 0);
}

/* An outage and 10,000 days: the whole kernel, request by request. */
static long
pages_in(int days, int an_hour, uint64_t seed)
{
    hf_random random;
    uint64_t before;
    long pages = 0;
    hf_random_init(&random, seed);
    begin(1000000, 1000, 0);
    const double gap = 3600.0 / an_hour;
    for (double at = 0.0; at < days * 86400.0; at += -log(1.0 - hf_random_unit(&random)) * gap) {
        const int64_t now = (int64_t)(at * 1e9);
        if (hf_random_below(&random, 1000) != 0) {
            (void)hf_error_budget_succeed(&b, 1, now);
            continue;
        }
        hf_error_budget_fail(&b, 1, now);
        pages += (hf_error_budget_settle(&b, now, &before) &
                  (HF_BUDGET_PAGE_FAST | HF_BUDGET_PAGE_SLOW)) != 0;
    }
    return pages;
}

HF_TEST(ten_thousand_days_at_the_objective_page_nobody)
{
    const int rates[] = {1, 5, 10, 50};
    for (int i = 0; i < 4; i++)
        HF_CHECK_INT(pages_in(10000, rates[i], (uint64_t)i + 1), 0);
}

HF_TEST(an_outage_after_an_hour_of_traffic_pages_within_a_minute)
{
    begin(1000000, 1000, 0);
    for (int64_t at = 0; at < 3600; at++)
        (void)hf_error_budget_succeed(&b, 1, at * second);
    int64_t at = 3600;
    while (!(hf_error_budget_judge(&b, at * second) & HF_BUDGET_PAGE_FAST))
        hf_error_budget_fail(&b, 1, ++at * second);
    HF_CHECK(at - 3600 >= 50 && at - 3600 <= 60);
}

HF_TEST(of_each_priority_so_many_are_let_in_as_the_budget_bears)
{
    begin(10000000, 1, 0);
    hf_error_budget_fail(&b, 20, 0);
    (void)hf_error_budget_succeed(&b, 980, 0); /* twice what may fail */
    const hf_outcomes all = seen(HF_BURN_WINDOW, 0);
    HF_CHECK(hf_error_budget_shed_share(&b, 0, all) == 0.0);
    HF_CHECK(hf_error_budget_shed_share(&b, 2, all) == 0.0);
    HF_CHECK(hf_error_budget_shed_share(&b, 3, all) == 0.5);
    int shed = 0;
    for (int i = 0; i < 1000; i++) {
        shed += hf_error_budget_sheds(&b, 3, 0);
        HF_CHECK(shed >= (i + 1) / 2 - 1 && shed <= i / 2 + 1); /* evenly */
    }
    HF_CHECK(shed == 500);
    hf_error_budget_fail(&b, 1000000, 0);
    HF_CHECK(hf_error_budget_shed_share(&b, 3, seen(HF_BURN_WINDOW, 0)) == HF_BUDGET_SHED_MOST);
}

HF_TEST(few_failures_page_nobody_however_large_their_share)
{
    for (uint64_t n = 1; n < HF_BURN_FAILURES; n++)
        HF_CHECK(!hf_burn_pages((hf_outcomes){n, n}, (hf_outcomes){n, n}, 0.001, 14.4));
    HF_CHECK(hf_burn_pages((hf_outcomes){10, 10}, (hf_outcomes){10, 10}, 0.001, 14.4));
    /* The long window is above the limit, and the short one shows that it is over. */
    HF_CHECK(!hf_burn_pages((hf_outcomes){300, 1}, (hf_outcomes){3600, 60}, 0.001, 14.4));
}

HF_TEST(the_lower_bound_is_wilsons)
{
    const double low = hf_burn_lower_bound((hf_outcomes){100, 10});
    HF_CHECK(low > 0.0606 && low < 0.0611); /* 0.0609, by tables */
    HF_CHECK(hf_burn_lower_bound((hf_outcomes){0, 0}) == 0.0);
    HF_CHECK(hf_burn_lower_bound((hf_outcomes){5, 0}) == 0.0);
    HF_CHECK(hf_burn_limit(0.1, 14.4) == 0.55); /* no share of failures burns at 14.4 */
}
