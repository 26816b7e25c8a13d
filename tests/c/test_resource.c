/* Contract of hf_resource.h: nothing above a limit, each crossing is told once, and books that balance. */
#include "hf_test.h"

#include "holdfast/hf_figures.h"

enum { DONE_HIGH = HF_RESOURCE_DONE | HF_RESOURCE_HIGH };

static hf_resource
fresh(uint64_t limit)
{
    hf_resource k;
    memset(&k, 0xFF, sizeof k);
    hf_resource_init(&k, limit);
    return k;
}

static uint64_t
active(const hf_resource *k)
{
    uint64_t limit;
    return hf_resource_active(k, &limit);
}

static uint64_t
limit_of(const hf_resource *k)
{
    uint64_t limit;
    (void)hf_resource_active(k, &limit);
    return limit;
}

HF_TEST(a_limit_refuses_and_nothing_is_registered) /* RS-06, D-C-9 */
{
    hf_resource k = fresh(3);
    HF_CHECK_INT(hf_resource_add(&k, NULL, 2), HF_RESOURCE_DONE);
    HF_CHECK_INT(hf_resource_add(&k, NULL, 2), HF_RESOURCE_FULL);
    HF_CHECK_INT(active(&k), 2);
    HF_CHECK_INT(hf_resource_add(&k, NULL, 1), DONE_HIGH);
    HF_CHECK_INT(hf_resource_add(&k, NULL, 1), HF_RESOURCE_FULL);
    HF_CHECK_INT(hf_load_relaxed(&k.refused), 2);
    HF_CHECK_INT(hf_load_relaxed(&k.created), 2);
    HF_CHECK_INT(active(&k), 3);
}

HF_TEST(what_is_not_registered_cannot_end)
{
    hf_resource k = fresh(9), all = fresh(9);
    HF_CHECK(!hf_resource_remove(&k, &all, 1, HF_RESOURCE_CLEANED));
    HF_CHECK_INT(hf_resource_add(&k, &all, 2), HF_RESOURCE_DONE);
    HF_CHECK(!hf_resource_remove(&k, &all, 3, HF_RESOURCE_CLEANED));
    HF_CHECK_INT(hf_resource_counted(&k, HF_RESOURCE_CLEANED), 0);
    HF_CHECK_INT(active(&k), 2);
    HF_CHECK_INT(active(&all), 1);
    HF_CHECK(hf_resource_remove(&k, &all, 2, HF_RESOURCE_CLEANED));
    HF_CHECK_INT(active(&k) + active(&all), 0);
}

HF_TEST(each_crossing_of_80_percent_is_told_once) /* RS-06, AR-09 */
{
    hf_resource k = fresh(10);
    for (int times = 0; times < 2; times++) {
        while (active(&k) < 8)
            HF_CHECK_INT(hf_resource_add(&k, NULL, 1), HF_RESOURCE_DONE);
        HF_CHECK_INT(hf_resource_add(&k, NULL, 1), DONE_HIGH);
        HF_CHECK_INT(hf_resource_add(&k, NULL, 1), HF_RESOURCE_DONE);
        HF_CHECK(hf_resource_remove(&k, NULL, 1, HF_RESOURCE_RELEASED));
        HF_CHECK_INT(hf_resource_add(&k, NULL, 1), HF_RESOURCE_DONE);
        for (int i = 0; i < 2; i++)
            HF_CHECK(hf_resource_remove(&k, NULL, 1, HF_RESOURCE_RELEASED));
    }
    HF_CHECK(hf_resource_remove(&k, NULL, 8, HF_RESOURCE_CLEANED));
    HF_CHECK_INT(hf_resource_add(&k, NULL, 10), DONE_HIGH); /* all at once */
}

HF_TEST(a_kind_and_all_have_limits_of_their_own)
{
    hf_resource k = fresh(1), other = fresh(HF_RESOURCE_NO_LIMIT), all = fresh(5);
    HF_CHECK_INT(hf_resource_add(&k, &all, 1), DONE_HIGH);
    HF_CHECK_INT(hf_resource_add(&k, &all, 1), HF_RESOURCE_FULL);
    HF_CHECK_INT(active(&all), 1);
    for (int i = 0; i < 3; i++)
        HF_CHECK_INT(hf_resource_add(&other, &all, 1000), HF_RESOURCE_DONE);
    HF_CHECK_INT(hf_resource_add(&other, &all, 1000), HF_RESOURCE_DONE | HF_RESOURCE_ALL_HIGH);
    HF_CHECK_INT(hf_resource_add(&other, &all, 1000), HF_RESOURCE_ALL_FULL);
    HF_CHECK_INT(active(&other), 4000);
    HF_CHECK_INT(active(&all), 5);
    HF_CHECK_INT(hf_load_relaxed(&k.refused), 1);
    HF_CHECK_INT(hf_load_relaxed(&other.refused), 0);
    HF_CHECK_INT(hf_load_relaxed(&all.refused), 1);
    HF_CHECK_INT(hf_load_relaxed(&other.created), 4);
}

HF_TEST(a_crossing_that_is_taken_back_since_all_are_full_is_told_the_next_time)
{
    hf_resource k = fresh(10), all = fresh(1);
    HF_CHECK_INT(hf_resource_add(&k, NULL, 8), HF_RESOURCE_DONE);
    HF_CHECK_INT(hf_resource_add(&all, NULL, 1), DONE_HIGH);
    HF_CHECK_INT(hf_resource_add(&k, &all, 1), HF_RESOURCE_ALL_FULL);
    HF_CHECK(hf_resource_remove(&all, NULL, 1, HF_RESOURCE_CLEANED));
    HF_CHECK_INT(hf_resource_add(&k, &all, 1), DONE_HIGH | HF_RESOURCE_ALL_HIGH);
}

HF_TEST(a_limit_below_what_is_registered_is_refused_and_changes_nothing)
{
    hf_resource k = fresh(10);
    HF_CHECK_INT(hf_resource_add(&k, NULL, 5), HF_RESOURCE_DONE);
    HF_CHECK_INT(hf_resource_resize(&k, 4), HF_RESOURCE_FULL);
    HF_CHECK_INT(limit_of(&k), 10);
    HF_CHECK_INT(hf_resource_add(&k, NULL, 1), HF_RESOURCE_DONE);
    HF_CHECK_INT(hf_resource_resize(&k, 6), DONE_HIGH);
    HF_CHECK_INT(hf_resource_add(&k, NULL, 1), HF_RESOURCE_FULL);
    HF_CHECK_INT(hf_resource_resize(&k, 100), HF_RESOURCE_DONE);
    HF_CHECK_INT(hf_resource_add(&k, NULL, 75), DONE_HIGH);
    HF_CHECK_INT(hf_resource_resize(&k, 90), HF_RESOURCE_DONE); /* high before and after */
    HF_CHECK_INT(hf_load_relaxed(&k.refused), 1);
}

HF_TEST(a_limit_changes_as_often_as_anybody_likes)
{
    hf_resource k = fresh(1);
    HF_CHECK_INT(hf_resource_add(&k, NULL, 1), DONE_HIGH);
    for (uint64_t limit = 2; limit < 140000; limit++) { /* versions begin anew twice */
        HF_CHECK(hf_resource_resize(&k, limit) != HF_RESOURCE_FULL);
        HF_CHECK_INT(limit_of(&k), limit);
    }
    HF_CHECK_INT(active(&k), 1);
}

HF_TEST(amounts_at_the_ends_neither_overflow_nor_cross)
{
    hf_resource k = fresh(HF_RESOURCE_NO_LIMIT);
    HF_CHECK_INT(hf_resource_add(&k, NULL, HF_RESOURCE_MAX - 1), DONE_HIGH);
    HF_CHECK_INT(hf_resource_add(&k, NULL, 1), HF_RESOURCE_DONE);
    HF_CHECK_INT(hf_resource_add(&k, NULL, 1), HF_RESOURCE_FULL);
    HF_CHECK_INT(hf_resource_add(&k, NULL, HF_RESOURCE_MAX - 1), HF_RESOURCE_FULL);
    HF_CHECK(hf_resource_remove(&k, NULL, HF_RESOURCE_MAX, HF_RESOURCE_CLEANED));
    HF_CHECK_INT(active(&k), 0);
    k = fresh(0);
    HF_CHECK_INT(hf_resource_add(&k, NULL, 1), HF_RESOURCE_FULL);
}

HF_TEST(each_number_has_its_place_in_the_figures) /* RS-05 */
{
    hf_resource k = fresh(20);
    uint64_t out[HF_FIGURES_MOST];
    for (int i = 0; i < 16; i++)
        (void)hf_resource_add(&k, NULL, 1);
    (void)hf_resource_add(&k, NULL, 5);
    for (unsigned end = 0; end < HF_RESOURCE_ENDS; end++)
        for (unsigned times = 0; times <= end; times++)
            (void)hf_resource_remove(&k, NULL, 1, (hf_resource_event)end);
    for (int i = 0; i < 4; i++)
        hf_resource_count(&k, HF_RESOURCE_LEAK);
    for (int i = 0; i < 5; i++)
        hf_resource_count(&k, HF_RESOURCE_ERROR);
    HF_CHECK_INT(hf_resource_figures(&k, out), HF_RESOURCE_COUNTS + 2);
    HF_CHECK_INT(out[HF_AT_RESOURCE_created], 16);
    HF_CHECK_INT(out[HF_AT_RESOURCE_refused], 1);
    HF_CHECK_INT(out[HF_AT_RESOURCE_cleaned], 1);
    HF_CHECK_INT(out[HF_AT_RESOURCE_released], 2);
    HF_CHECK_INT(out[HF_AT_RESOURCE_collected], 3);
    HF_CHECK_INT(out[HF_AT_RESOURCE_leaks], 4);
    HF_CHECK_INT(out[HF_AT_RESOURCE_cleanup_errors], 5);
    HF_CHECK_INT(out[HF_RESOURCE_COUNTS], 10);
    HF_CHECK_INT(out[HF_RESOURCE_COUNTS + 1], 20);
}

HF_TEST(the_limit_that_is_shown_where_there_is_none_limits_nothing)
{
    hf_resource k = fresh(HF_RESOURCE_NO_LIMIT);
    uint64_t out[HF_FIGURES_MOST];
    (void)hf_resource_figures(&k, out);
    HF_CHECK_INT(out[HF_RESOURCE_COUNTS + 1], 0);
    hf_resource_show(&k, 5);
    for (int i = 0; i < 7; i++)
        HF_CHECK_INT(hf_resource_add(&k, NULL, 1), HF_RESOURCE_DONE);
    (void)hf_resource_figures(&k, out);
    HF_CHECK_INT(out[HF_RESOURCE_COUNTS + 1], 5);
    HF_CHECK_INT(hf_resource_resize(&k, 9), HF_RESOURCE_DONE);
    (void)hf_resource_figures(&k, out);
    HF_CHECK_INT(out[HF_RESOURCE_COUNTS + 1], 9);
}

HF_TEST(the_limit_of_all_is_not_shown_for_bytes)
{
    hf_resource k = fresh(HF_RESOURCE_NO_LIMIT);
    uint64_t out[HF_FIGURES_MOST];
    hf_resource_show(&k, 1000);
    HF_CHECK_INT(hf_resource_add(&k, NULL, 1 << 20), HF_RESOURCE_DONE);
    (void)hf_resource_figures(&k, out);
    HF_CHECK_INT(out[HF_RESOURCE_COUNTS + 1], 0);
    HF_CHECK(hf_resource_resize(&k, 1 << 22) == HF_RESOURCE_DONE);
    (void)hf_resource_figures(&k, out);
    HF_CHECK_INT(out[HF_RESOURCE_COUNTS + 1], 1 << 22);
}

HF_TEST(a_forked_child_has_registered_nothing_and_keeps_the_limits) /* trap 58 */
{
    hf_resource k = fresh(5);
    uint64_t out[HF_FIGURES_MOST];
    (void)hf_resource_resize(&k, 9);
    (void)hf_resource_add(&k, NULL, 8);
    (void)hf_resource_add(&k, NULL, 8);
    (void)hf_resource_remove(&k, NULL, 1, HF_RESOURCE_COLLECTED);
    for (unsigned event = HF_RESOURCE_ENDS; event < HF_RESOURCE_EVENTS; event++)
        hf_resource_count(&k, (hf_resource_event)event);
    hf_resource_forget(&k);
    (void)hf_resource_figures(&k, out);
    for (size_t at = 0; at <= HF_RESOURCE_COUNTS; at++)
        HF_CHECK_INT(out[at], 0);
    HF_CHECK_INT(out[HF_RESOURCE_COUNTS + 1], 9);
    HF_CHECK(!hf_resource_remove(&k, NULL, 1, HF_RESOURCE_CLEANED));
    HF_CHECK_INT(hf_resource_add(&k, NULL, 9), DONE_HIGH);
}

HF_TEST(words_of_a_damaged_file_are_read_as_they_are)
{
    hf_resource k;
    uint64_t out[HF_FIGURES_MOST];
    memset(&k, 0x7B, sizeof k);
    HF_CHECK_INT(hf_resource_figures(&k, out), HF_RESOURCE_COUNTS + 2);
}
