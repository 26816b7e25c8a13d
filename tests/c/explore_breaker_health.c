/*
 * Every schedule in which a health check moves a breaker while calls, orders and another check do.
 */
#include "breaker_actors.h"
#include "wrong/wrong_breaker_health.h"

static bool wrong;
static hf_breaker_period seen; /* by the checks, when their runs began */

static void
open_and_due(void *world)
{
    begin_with(CONFIG(.failure_threshold = 2, .success_threshold = 1, .half_open_max = 1));
    break_at(0);
    seen = hf_breaker_period_now(b);
    ready();
}

static void
pass(struct actor *a)
{
    note(a, wrong ? wrong_breaker_close(b) : hf_breaker_close_opening(b, seen.opening));
}

static void
fail(struct actor *a)
{
    note(a, wrong ? wrong_breaker_open(b, HALF) : hf_breaker_open_generation(b, seen.gen, 1, HALF));
}

/* Thread 0 and 2 pass; a user's call probes meanwhile, and fails. */
static void
pass_or_probe_and_fail(void *world, int index)
{
    struct actor *a = &actors[index];
    if (index != 1)
        pass(a);
    else if (ask_at(a, HALF))
        end_at(a, HF_FAILURE, HALF);
}

/* What a failed probe has opened stays open; else it is closed, and one failure does not open it. */
static bool
the_last_evidence_holds(void *world)
{
    const hf_change *told = actors[1].changes;
    const int moves = actors[1].moves;
    const bool reopened = moves > 0 && told[moves - 1].to == HF_OPEN;
    return accounts_balance() && hf_breaker_state(b) == (reopened ? HF_OPEN : HF_CLOSED);
}

/* trap 65; trap 8: two checks that pass close it once. */
HF_TEST(a_pass_closes_no_opening_that_came_after_it_began)
{
    HF_CHECK(breaker_explored("pass; probe and fail", 2, open_and_due, pass_or_probe_and_fail,
                              the_last_evidence_holds));
    HF_CHECK(breaker_explored("pass; probe and fail; pass", 3, open_and_due, pass_or_probe_and_fail,
                              the_last_evidence_holds));
}

static void
pass_or_probe_or_order(void *world, int index)
{
    struct actor *a = &actors[index];
    if (index == 1)
        note(a, hf_breaker_override(b, HF_FORCED_OPEN, HALF));
    else if (index == 0)
        pass(a);
    else if (ask_at(a, HALF))
        end_at(a, HF_SUCCESS, HALF);
}

static bool
forced_open(void *world)
{
    return accounts_balance() && hf_breaker_state(b) == HF_FORCED_OPEN;
}

HF_TEST(an_order_holds_whatever_a_check_proves)
{
    HF_CHECK(
        breaker_explored("pass; force open", 2, open_and_due, pass_or_probe_or_order, forced_open));
    HF_CHECK(breaker_explored("pass; force open; probe", 3, open_and_due, pass_or_probe_or_order,
                              forced_open));
}

static void
closed(void *world)
{
    begin_with(CONFIG(.failure_threshold = 1));
    seen = hf_breaker_period_now(b);
    ready();
}

static void
fail_or_reset_or_call(void *world, int index)
{
    struct actor *a = &actors[index];
    if (index == 0)
        fail(a);
    else if (index == 1)
        note(a, hf_breaker_override(b, HF_CLOSED, HALF));
    else if (ask_at(a, HALF))
        end_at(a, HF_SUCCESS, HALF);
}

static bool
closed_by_hand(void *world)
{
    return accounts_balance() && hf_breaker_state(b) == HF_CLOSED;
}

HF_TEST(a_failure_opens_nothing_that_was_closed_after_it_began) /* trap 65 */
{
    HF_CHECK(breaker_explored("fail; reset", 2, closed, fail_or_reset_or_call, closed_by_hand));
    HF_CHECK(
        breaker_explored("fail; reset; call", 3, closed, fail_or_reset_or_call, closed_by_hand));
}

HF_TEST(the_explorer_finds_evidence_that_is_applied_to_another_period)
{
    wrong = true;
    HF_CHECK(finds("closes whatever is open", 2, open_and_due, pass_or_probe_and_fail,
                   the_last_evidence_holds));
    HF_CHECK(finds("opens whatever is closed", 2, closed, fail_or_reset_or_call, closed_by_hand));
    wrong = false;
}
