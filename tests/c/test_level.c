/* Contract of hf_level.h: down at once, up late, an order wins, and time adds up. */
#include "hf_test.h"

#include "holdfast/hf_level.h"

enum { STABLE = 100 };

static hf_level
fresh(void)
{
    hf_level k;
    memset(&k, 0xFF, sizeof k);
    hf_level_init(&k, STABLE, 0);
    return k;
}

HF_TEST(it_begins_normal_and_nothing_ends_that)
{
    hf_level k = fresh();
    HF_CHECK_INT(hf_level_get(&k), 0);
    HF_CHECK(hf_level_ends_ns(&k) == HF_LEVEL_ALWAYS);
    HF_CHECK(!hf_level_look(&k, 50));
}

HF_TEST(it_goes_down_at_once) /* DG-01 */
{
    hf_level k = fresh();
    HF_CHECK(hf_level_ask(&k, 3, 10));
    HF_CHECK_INT(hf_level_get(&k), 3);
    HF_CHECK(!hf_level_ask(&k, 3, 11));
}

HF_TEST(it_goes_up_once_nobody_has_asked_for_it_for_the_stable_time)
{
    hf_level k = fresh();
    hf_level_ask(&k, 2, 10);
    HF_CHECK(!hf_level_ask(&k, 0, 30));
    HF_CHECK_INT(hf_level_ends_ns(&k), 30 + STABLE);
    HF_CHECK(!hf_level_look(&k, 29 + STABLE));
    HF_CHECK_INT(hf_level_get(&k), 2);
    HF_CHECK(hf_level_look(&k, 30 + STABLE));
    HF_CHECK_INT(hf_level_get(&k), 0);
}

HF_TEST(it_goes_up_to_the_worst_that_was_asked_for_within_the_stable_time)
{
    hf_level k = fresh();
    hf_level_ask(&k, 3, 0);
    hf_level_ask(&k, 1, 40);
    hf_level_ask(&k, 0, 90);
    HF_CHECK(hf_level_look(&k, 40 + STABLE));
    HF_CHECK_INT(hf_level_get(&k), 1);
    HF_CHECK_INT(hf_level_ends_ns(&k), 90 + STABLE);
    HF_CHECK(hf_level_look(&k, 90 + STABLE));
    HF_CHECK_INT(hf_level_get(&k), 0);
}

HF_TEST(asked_for_again_it_stays)
{
    hf_level k = fresh();
    hf_level_ask(&k, 1, 0);
    hf_level_ask(&k, 0, 10);
    hf_level_ask(&k, 1, 10 + STABLE - 1);
    HF_CHECK(hf_level_ends_ns(&k) == HF_LEVEL_ALWAYS);
    HF_CHECK(!hf_level_look(&k, 10 * STABLE));
    HF_CHECK(!hf_level_ask(&k, 0, 20 * STABLE));
    HF_CHECK(hf_level_look(&k, 21 * STABLE));
}

HF_TEST(an_order_wins_in_both_directions_and_ends_at_once)
{
    hf_level k = fresh();
    hf_level_ask(&k, 2, 0);
    HF_CHECK(hf_level_force(&k, 0, 10));
    HF_CHECK_INT(hf_level_get(&k), 0);
    HF_CHECK(!hf_level_ask(&k, 3, 20));
    HF_CHECK(hf_level_force(&k, 1, 30));
    HF_CHECK(hf_level_ends_ns(&k) == HF_LEVEL_ALWAYS);
    HF_CHECK(hf_level_force(&k, HF_LEVEL_UNFORCED, 40));
    HF_CHECK_INT(hf_level_get(&k), 3);
}

HF_TEST(what_was_asked_for_under_an_order_counts_for_the_stable_time_after_it)
{
    hf_level k = fresh();
    hf_level_force(&k, 0, 0);
    hf_level_ask(&k, 2, 10);
    hf_level_ask(&k, 0, 20);
    HF_CHECK(hf_level_force(&k, HF_LEVEL_UNFORCED, 30));
    HF_CHECK_INT(hf_level_get(&k), 2);
    HF_CHECK(hf_level_look(&k, 20 + STABLE));
}

HF_TEST(recovered_it_is_normal_at_once_but_for_an_order) /* DG-05 */
{
    hf_level k = fresh();
    hf_level_ask(&k, 3, 0);
    HF_CHECK(hf_level_recover(&k, 10));
    HF_CHECK_INT(hf_level_get(&k), 0);
    hf_level_force(&k, 2, 20);
    HF_CHECK(!hf_level_recover(&k, 30));
    HF_CHECK_INT(hf_level_get(&k), 2);
}

HF_TEST(the_time_in_all_levels_adds_up_and_each_change_is_counted) /* DG-02, D-DG-1 */
{
    hf_level k = fresh();
    hf_level_ask(&k, 1, 10);
    hf_level_ask(&k, 3, 30);
    hf_level_look(&k, 60);
    HF_CHECK_INT(hf_load_relaxed(&k.spent_ns[0]), 10);
    HF_CHECK_INT(hf_load_relaxed(&k.spent_ns[1]), 20);
    HF_CHECK_INT(hf_load_relaxed(&k.spent_ns[3]), 30);
    HF_CHECK_INT(hf_level_uncounted_ns(&k, 75), 15);
    HF_CHECK_INT(hf_load_relaxed(&k.since_ns), 30);
    HF_CHECK_INT(hf_load_relaxed(&k.changes[1]), 1);
    HF_CHECK_INT(hf_load_relaxed(&k.changes[3]), 1);
    HF_CHECK_INT(hf_load_relaxed(&k.changes[0]) + hf_load_relaxed(&k.changes[2]), 0);
}

HF_TEST(a_time_that_is_older_than_the_last_counts_nothing)
{
    hf_level k = fresh();
    hf_level_ask(&k, 1, 50);
    hf_level_look(&k, 40);
    HF_CHECK_INT(hf_load_relaxed(&k.spent_ns[0]), 50);
    HF_CHECK_INT(hf_load_relaxed(&k.spent_ns[1]), 0);
}

HF_TEST(a_forked_child_waits_for_nothing_that_is_not_asked_for_any_more)
{
    hf_level k = fresh();
    hf_level_ask(&k, 3, 10);
    hf_level_ask(&k, 1, 20);
    hf_level_forget(&k);
    HF_CHECK(hf_level_look(&k, 21));
    HF_CHECK_INT(hf_level_get(&k), 1);
}

HF_TEST(a_forked_child_keeps_the_level_that_is_asked_for_and_counts_from_zero)
{
    hf_level k = fresh();
    hf_level_ask(&k, 2, 10);
    hf_count(&k.shed[3], 1);
    hf_level_forget(&k);
    HF_CHECK_INT(hf_level_get(&k), 2);
    for (unsigned i = 0; i < HF_LEVELS; i++)
        HF_CHECK_INT(hf_load_relaxed(&k.changes[i]) + hf_load_relaxed(&k.spent_ns[i]) +
                         hf_load_relaxed(&k.shed[i]),
                     0);
    hf_level_look(&k, 1000);
    hf_level_look(&k, 1010);
    HF_CHECK_INT(hf_load_relaxed(&k.spent_ns[2]), 10);
}
