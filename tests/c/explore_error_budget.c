/* Every schedule of two or three threads over one error budget: nothing is lost, and nothing outlives its window. */
#include "explored.h"
#include "wrong/wrong_error_budget.h"

static const int64_t second = INT64_C(1000000000);
static hf_error_budget b;
static hf_outcomes read_by[3];

/* A tenth of the window is 1 s; a failure of the first slice is in it. */
static void
one_failure(void *world)
{
    hf_error_budget_init(
        &b,
        (hf_error_budget_rule){
            .window_ns = 10 * second, .allowed = 1000000, .min_requests = 1, .min_failures = 10},
        0);
    hf_error_budget_fail(&b, 1, 0);
}

static void
fail_in_the_next_slice(void *world, int index)
{
    hf_error_budget_fail(&b, 1, second);
}

static bool
all_are_counted_and_expire(void *world)
{
    return hf_load_relaxed(&b.bad) == 3 &&
           hf_error_budget_outcomes(&b, HF_BURN_WINDOW, second).failed == 3 &&
           hf_error_budget_outcomes(&b, HF_BURN_WINDOW, 10 * second).failed >= 1 &&
           hf_error_budget_outcomes(&b, HF_BURN_WINDOW, 11 * second).failed == 0;
}

HF_TEST(failures_that_turn_the_rings_at_once_are_all_counted)
{
    HF_CHECK(holds_always((hf_explore_model){.name = "fail | fail in the next slice",
                                             .threads = 2,
                                             .setup = one_failure,
                                             .thread = fail_in_the_next_slice,
                                             .holds = all_are_counted_and_expire}));
}

/* One thread fails in the next slice, the other reads the window meanwhile. */
static void
fail_or_read(void *world, int index)
{
    if (index == 0)
        fail_in_the_next_slice(world, index);
    else
        read_by[index] = hf_error_budget_outcomes(&b, HF_BURN_WINDOW, second);
}

static bool
what_was_read_is_one_or_two_failures(void *world)
{
    const hf_outcomes seen = read_by[1];
    return seen.total == seen.failed && (seen.failed == 1 || seen.failed == 2);
}

HF_TEST(a_reader_sees_the_rings_before_a_turn_or_after_it)
{
    HF_CHECK(holds_always((hf_explore_model){.name = "fail in the next slice | read",
                                             .threads = 2,
                                             .setup = one_failure,
                                             .thread = fail_or_read,
                                             .holds = what_was_read_is_one_or_two_failures}));
}

/* ---- the explorer finds rings that turn without looking ---- */

static void
turn_wrongly(void *world, int index)
{
    wrong_error_budget_turn(&b, (index + 1) * 10 * second);
    hf_error_budget_fail(&b, 1, 0);
}

static bool
the_rings_stand_at_the_later_time(void *world)
{
    return hf_load_relaxed(&b.head[HF_RING_BUDGET]) == 20;
}

HF_TEST(the_explorer_finds_rings_that_go_back)
{
    HF_CHECK(finds("wrong: turn at once", 2, one_failure, turn_wrongly,
                   the_rings_stand_at_the_later_time));
}
