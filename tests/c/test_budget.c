/* Contract of hf_budget.h, one promise a test. */
#include "hf_test.h"

#include "holdfast/hf_budget.h"

static const int64_t ms = 1000000, second = INT64_C(1000000000);
static const uint64_t token = 1000000; /* in millionths */

static hf_budget
budget_of(uint64_t ratio, uint64_t rate, uint64_t burst)
{
    hf_budget b;
    hf_budget_init(&b, (hf_budget_rule){.ratio = ratio, .rate = rate, .burst = burst}, 0);
    return b;
}

static int
withdraw_all(hf_budget *b, int64_t now_ns)
{
    int taken = 0;
    while (taken < 10000 && hf_budget_withdraw(b, now_ns))
        taken++;
    return taken;
}

static void
deposit(hf_budget *b, int times)
{
    for (int i = 0; i < times; i++)
        hf_budget_deposit(b);
}

HF_TEST(it_begins_full_and_gives_its_burst_once) /* D-RT-4 */
{
    hf_budget b = budget_of(token / 5, 0, 10);
    HF_CHECK(hf_budget_balance(&b, 0) == 10.0);
    HF_CHECK_INT(withdraw_all(&b, 0), 10);
    HF_CHECK(hf_budget_balance(&b, 0) == 0.0);
    HF_CHECK_INT(withdraw_all(&b, 1000 * second), 0);
}

HF_TEST(five_successes_at_a_fifth_give_one_token_and_four_give_none) /* trap 44 */
{
    hf_budget b = budget_of(token / 5, 0, 10);
    withdraw_all(&b, 0);
    for (int round = 0; round < 1000; round++) {
        deposit(&b, 4);
        HF_CHECK_INT(withdraw_all(&b, 0), 0);
        deposit(&b, 1);
        HF_CHECK_INT(withdraw_all(&b, 0), 1);
    }
}

HF_TEST(time_gives_its_tokens_to_the_nanosecond) /* traps 39, 44 */
{
    hf_budget b = budget_of(0, 10 * token, 100);
    withdraw_all(&b, 0);
    HF_CHECK(!hf_budget_withdraw(&b, 100 * ms - 1));
    HF_CHECK(hf_budget_withdraw(&b, 100 * ms));
    HF_CHECK(!hf_budget_withdraw(&b, 200 * ms - 1));
    HF_CHECK_INT(withdraw_all(&b, 1000 * ms), 9);
    HF_CHECK_INT(withdraw_all(&b, 3600 * second), 100);
}

HF_TEST(a_share_that_is_no_whole_unit_is_not_lost) /* trap 39 */
{
    hf_budget b = budget_of(token / 3, token / 3, 10); /* 0.333333 each */
    withdraw_all(&b, 0);
    deposit(&b, 3000000);
    HF_CHECK_INT(withdraw_all(&b, 0), 10);
    deposit(&b, 3);
    HF_CHECK_INT(withdraw_all(&b, 0), 0); /* 0.999999 */
    HF_CHECK_INT(withdraw_all(&b, 1 * second), 1);
}

HF_TEST(what_is_cut_to_units_is_less_than_two_of_them_and_does_not_add_up)
{
    hf_budget b = budget_of(622500, 0, 1);
    for (int i = 0; i < 10000; i++) {
        deposit(&b, i % 7 == 0 ? 9 : 1);
        hf_budget_withdraw(&b, 0);
        double given = 1 + (double)hf_load_relaxed(&b.deposits) * 0.6225;
        HF_CHECK((double)hf_load_relaxed(&b.withdrawn) <= given);
    }
    deposit(&b, 2);
    HF_CHECK_INT(withdraw_all(&b, 0), 1); /* from full */
    deposit(&b, 1);
    double balance = hf_budget_balance(&b, 0);
    HF_CHECK(balance > 0.6205 && balance < 0.6245);
}

HF_TEST(successes_while_it_is_full_are_not_saved_up)
{
    hf_budget b = budget_of(token, 0, 3);
    deposit(&b, 1000);
    HF_CHECK(hf_budget_balance(&b, 0) == 3.0);
    HF_CHECK_INT(withdraw_all(&b, 0), 3);
    deposit(&b, 1000);
    HF_CHECK(hf_budget_balance(&b, 0) == 3.0);
    HF_CHECK_INT(withdraw_all(&b, 0), 3);
}

HF_TEST(time_while_it_is_full_is_not_saved_up)
{
    hf_budget b = budget_of(0, token, 3);
    HF_CHECK_INT(withdraw_all(&b, 3600 * second), 3);
    HF_CHECK_INT(withdraw_all(&b, 3600 * second), 0);
    HF_CHECK(hf_budget_balance(&b, 3601 * second) == 1.0);
}

HF_TEST(refusals_cost_nothing_and_the_balance_is_never_negative) /* D-RT-4 */
{
    hf_budget b = budget_of(token, token, 2);
    withdraw_all(&b, 0);
    for (int i = 0; i < 1000; i++)
        HF_CHECK(!hf_budget_withdraw(&b, 0));
    HF_CHECK(hf_budget_balance(&b, 0) == 0.0);
    deposit(&b, 1);
    HF_CHECK_INT(withdraw_all(&b, 0), 1);
    HF_CHECK_INT(hf_load_relaxed(&b.refused), 1000 + 2);
}

HF_TEST(what_is_given_back_can_be_taken_again)
{
    hf_budget b = budget_of(0, 0, 2);
    HF_CHECK_INT(withdraw_all(&b, 0), 2);
    HF_CHECK(hf_budget_give_back(&b));
    HF_CHECK(hf_budget_balance(&b, 0) == 1.0);
    HF_CHECK_INT(withdraw_all(&b, 0), 1);
    HF_CHECK_INT(hf_load_relaxed(&b.given_back), 1);
    HF_CHECK_INT(hf_load_relaxed(&b.withdrawn), 3);
}

HF_TEST(what_was_not_taken_is_not_given_back) /* trap 34 */
{
    hf_budget b = budget_of(0, token, 2);
    HF_CHECK(!hf_budget_give_back(&b));
    HF_CHECK(hf_budget_withdraw(&b, 0));
    HF_CHECK(hf_budget_give_back(&b));
    HF_CHECK(!hf_budget_give_back(&b));
    HF_CHECK(hf_budget_balance(&b, 0) == 2.0);
    HF_CHECK_INT(withdraw_all(&b, 0), 2);
}

HF_TEST(a_token_that_comes_back_to_a_full_budget_is_cut_off)
{
    hf_budget b = budget_of(token, 0, 2);
    HF_CHECK(hf_budget_withdraw(&b, 0));
    deposit(&b, 1);
    HF_CHECK(hf_budget_give_back(&b));
    HF_CHECK(hf_budget_balance(&b, 0) == 2.0);
    HF_CHECK_INT(withdraw_all(&b, 0), 2);
}

HF_TEST(an_older_time_finds_fewer_tokens_and_makes_none) /* traps 20, 25 */
{
    hf_budget b = budget_of(0, token, 2);
    HF_CHECK_INT(withdraw_all(&b, 10 * second), 2);
    HF_CHECK(!hf_budget_withdraw(&b, 9 * second));
    HF_CHECK(hf_budget_balance(&b, 0) == 0.0);
    HF_CHECK(hf_budget_balance(&b, -5 * second) == 0.0);
    HF_CHECK(hf_budget_withdraw(&b, 11 * second));
    HF_CHECK(!hf_budget_withdraw(&b, 10 * second));
    HF_CHECK_INT(withdraw_all(&b, 13 * second), 2);
}

HF_TEST(a_time_before_it_was_made_is_when_it_was_made)
{
    hf_budget b;
    hf_budget_rule rule = {.ratio = 0, .rate = token, .burst = 1};
    hf_budget_init(&b, rule, 100 * second);
    HF_CHECK(hf_budget_withdraw(&b, 0));
    HF_CHECK(!hf_budget_withdraw(&b, 100 * second));
    HF_CHECK(hf_budget_withdraw(&b, 101 * second));
}

HF_TEST(with_nothing_to_fill_it_there_is_the_burst_and_then_nothing)
{
    hf_budget b = budget_of(0, 0, 7);
    deposit(&b, 100);
    HF_CHECK_INT(withdraw_all(&b, INT64_MAX), 7);
    HF_CHECK_INT(withdraw_all(&b, INT64_MAX), 0);
}

HF_TEST(it_counts_in_thousandths_and_coarser_only_where_much_is_given)
{
    HF_CHECK_INT(budget_of(token / 5, 10 * token, 100).unit, 1000);
    HF_CHECK_INT(budget_of(0, 0, 1).unit, 1000);
    HF_CHECK_INT(budget_of(20 * token, 0, 1).unit, 100);
    HF_CHECK_INT(budget_of(HF_BUDGET_RATIO_MAX, 0, 1).unit, 1);
    HF_CHECK_INT(budget_of(HF_BUDGET_RATIO_MAX, HF_BUDGET_RATE_MAX, HF_BUDGET_BURST_MAX).unit, 1);
}

HF_TEST(however_long_nobody_retries_it_is_full_afterwards_and_no_more) /* traps 38, 44 */
{
    const uint64_t ratios[] = {0, 1, token / 5, 3 * token, HF_BUDGET_RATIO_MAX};
    const uint64_t rates[] = {0, 1, 10 * token, HF_BUDGET_RATE_MAX};
    for (unsigned i = 0; i < sizeof ratios / sizeof *ratios; i++) {
        for (unsigned j = 0; j < sizeof rates / sizeof *rates; j++) {
            hf_budget b;
            hf_budget_rule rule = {.ratio = ratios[i], .rate = rates[j], .burst = 3};
            hf_budget_init(&b, rule, INT64_MIN);
            HF_CHECK_INT(withdraw_all(&b, INT64_MIN), 3);
            hf_count(&b.deposits, HF__BUDGET_IDLE_MAX);
            int full = rates[j] > 0 || ratios[i] > 0 ? 3 : 0;
            HF_CHECK_INT(withdraw_all(&b, INT64_MAX), full);
            hf_count(&b.deposits, HF__BUDGET_IDLE_MAX);
            HF_CHECK_INT(withdraw_all(&b, INT64_MAX), ratios[i] > 0 ? 3 : 0);
        }
    }
}

HF_TEST(it_goes_on_when_its_clock_has_gone_round) /* 2^64 units, with a retry now and then */
{
    hf_budget b = budget_of(HF_BUDGET_RATIO_MAX, 0, 5);
    for (int round = 0; round < 100; round++) {
        HF_CHECK_INT(withdraw_all(&b, 0), 5);
        hf_count(&b.deposits, HF__BUDGET_IDLE_MAX);
        HF_CHECK(hf_budget_balance(&b, 0) == 5.0);
    }
}

HF_TEST(the_largest_burst_is_given_whole)
{
    hf_budget b = budget_of(token, 0, HF_BUDGET_BURST_MAX);
    HF_CHECK_INT(withdraw_all(&b, 0), 10000);
    HF_CHECK(hf_budget_balance(&b, 0) == 1e9 - 10000);
    deposit(&b, 5000);
    HF_CHECK(hf_budget_balance(&b, 0) == 1e9 - 5000);
}
