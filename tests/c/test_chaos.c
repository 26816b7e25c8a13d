/* Contract of hf_chaos.h: seed and number decide; a time and a number of injections bound it. */
#include "hf_test.h"

#include "holdfast/hf_chaos.h"

enum { CALLS = 4000 };

static hf_chaos
armed(uint64_t seed, uint64_t probability, uint64_t left)
{
    hf_chaos k;
    memset(&k, 0xFF, sizeof k);
    hf_chaos_init(&k, seed, probability);
    hf_chaos_arm(&k, seed, 1000, left);
    return k;
}

static bool
strikes(hf_chaos *k, int64_t now_ns)
{
    uint64_t number;
    return hf_chaos_check(k, now_ns, &number);
}

HF_TEST(it_strikes_nothing_until_it_is_armed) /* CH-01 */
{
    hf_chaos k;
    uint64_t number = 0;
    hf_chaos_init(&k, 1, HF_CHAOS_ONE);
    HF_CHECK(!hf_chaos_check(&k, INT64_MIN, &number));
    HF_CHECK(!hf_chaos_check(&k, INT64_MAX, &number));
    HF_CHECK(number == HF_CHAOS_NO_NUMBER);
    HF_CHECK_INT(hf_load_relaxed(&k.checked), 0);
}

HF_TEST(the_extremes_of_probability_are_never_and_always)
{
    hf_chaos never = armed(1, 0, UINT64_MAX), always = armed(1, HF_CHAOS_ONE, UINT64_MAX);
    for (int i = 0; i < CALLS; i++) {
        HF_CHECK(!strikes(&never, 0));
        HF_CHECK(strikes(&always, 0));
    }
    HF_CHECK(hf_load_relaxed(&always.left) == UINT64_MAX);
}

HF_TEST(a_quarter_of_the_calls_is_struck_by_each_seed)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        hf_chaos k = armed(seed, HF_CHAOS_ONE / 4, UINT64_MAX);
        int struck = 0;
        for (int i = 0; i < CALLS; i++)
            struck += strikes(&k, 0);
        HF_CHECK(struck > CALLS / 4 - 200 && struck < CALLS / 4 + 200);
    }
}

HF_TEST(armed_again_it_numbers_the_calls_afresh) /* D-CH-3 */
{
    hf_chaos k = armed(7, HF_CHAOS_ONE / 2, UINT64_MAX);
    bool first[64];
    for (int i = 0; i < 64; i++)
        first[i] = strikes(&k, 0);
    hf_chaos_arm(&k, 7, 1000, UINT64_MAX);
    for (int i = 0; i < 64; i++)
        HF_CHECK_INT(strikes(&k, 0), first[i]);
}

HF_TEST(nothing_is_struck_from_its_end_on) /* CH-14 */
{
    hf_chaos k = armed(1, HF_CHAOS_ONE, UINT64_MAX);
    HF_CHECK(strikes(&k, 999));
    HF_CHECK(!strikes(&k, 1000));
    hf_chaos_begin_episode(&k, 0, 5000);
    HF_CHECK(!strikes(&k, 1000));
}

HF_TEST(no_more_calls_are_struck_than_are_left) /* CH-14 */
{
    hf_chaos k = armed(1, HF_CHAOS_ONE, 2);
    HF_CHECK_INT(strikes(&k, 0) + strikes(&k, 0) + strikes(&k, 0), 2);
    HF_CHECK_INT(hf_load_relaxed(&k.checked), 3);
}

HF_TEST(every_call_of_an_episode_is_struck)
{
    hf_chaos k = armed(1, 0, UINT64_MAX);
    hf_chaos_begin_episode(&k, 10, 20);
    HF_CHECK(!strikes(&k, 9));
    HF_CHECK(strikes(&k, 10));
    HF_CHECK(strikes(&k, 19));
    HF_CHECK(!strikes(&k, 20));
    hf_chaos_disarm(&k);
    HF_CHECK(!hf_chaos_in_episode(&k, 15));
}

HF_TEST(a_number_that_was_given_back_is_the_next_one)
{
    hf_chaos k = armed(1, HF_CHAOS_ONE, 5);
    uint64_t first, next, later;
    (void)hf_chaos_check(&k, 0, &first);
    hf_chaos_give_back(&k, first, true);
    HF_CHECK_INT(hf_load_relaxed(&k.left), 5);
    (void)hf_chaos_check(&k, 0, &next);
    HF_CHECK_INT(next, first);
    (void)hf_chaos_check(&k, 0, &later);
    hf_chaos_give_back(&k, next, false); /* another call has come since */
    HF_CHECK_INT(hf_load_relaxed(&k.calls), later + 1);
    HF_CHECK_INT(hf_load_relaxed(&k.left), 3);
    hf_chaos_give_back(&k, HF_CHAOS_NO_NUMBER, true);
    HF_CHECK_INT(hf_load_relaxed(&k.left), 3);
}

HF_TEST(lanes_and_numbers_have_random_numbers_of_their_own)
{
    double sum = 0;
    for (uint64_t number = 0; number < 1000; number++) {
        for (uint64_t lane = 0; lane < 4; lane++) {
            double unit = hf_chaos_unit(3, number, lane);
            HF_CHECK(unit >= 0 && unit < 1);
            HF_CHECK(unit != hf_chaos_unit(3, number, lane + 1));
            HF_CHECK(unit != hf_chaos_unit(3, number + 1, lane));
            sum += unit;
        }
    }
    HF_CHECK(sum > 1900 && sum < 2100);
}

HF_TEST(a_forked_child_counts_from_zero_and_keeps_only_a_seed_that_was_given) /* trap 58 */
{
    hf_chaos k = armed(9, HF_CHAOS_ONE, UINT64_MAX);
    HF_CHECK(strikes(&k, 0));
    hf_count(&k.injected, 1);
    hf_count(&k.observed, 1);
    hf_chaos_forget(&k, 0);
    HF_CHECK_INT(hf_load_relaxed(&k.seed), 9);
    HF_CHECK_INT(hf_load_relaxed(&k.checked) + hf_load_relaxed(&k.injected), 0);
    HF_CHECK_INT(hf_load_relaxed(&k.observed), 0);
    hf_chaos_forget(&k, 6);
    HF_CHECK_INT(hf_load_relaxed(&k.seed), 15);
}
