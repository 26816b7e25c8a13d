/* Every schedule of two and three threads whose verdicts race in a breaker. */
#include "breaker_actors.h"

static void
one_fails_one_succeeds_one_asks(void *world, int index)
{
    struct actor *a = &actors[index];
    a->permit = early[index];
    if (index == 2)
        ask_at(a, HALF);
    else
        end_at(a, index == 0 ? HF_FAILURE : HF_SUCCESS, HALF);
}

static bool
one_verdict_counts(void *world)
{
    const uint32_t opened = changes(HF_HALF_OPEN, HF_OPEN);
    const uint32_t closed = changes(HF_HALF_OPEN, HF_CLOSED);
    return accounts_balance() && opened + closed == 1 && count_of(&b->late) == 1 &&
           hf_breaker_state(b) == (opened ? HF_OPEN : HF_CLOSED);
}

/* CB-05, CB-06, trap 8. */
HF_TEST(of_a_failed_and_a_successful_probe_the_first_decides)
{
    HF_CHECK(breaker_explored("fail, succeed, ask", 3, two_probes_under_way,
                              one_fails_one_succeeds_one_asks, one_verdict_counts));
}

static void
probe_among_stale_calls(void *world)
{
    begin_with(CONFIG(.failure_threshold = 1, .success_threshold = 2, .half_open_max = 1));
    early[0] = enter(0);
    early[1] = enter(0);
    break_at(0);
    early[2] = enter(HALF);
    ready();
}

static void
stale_success_stale_failure_probe(void *world, int index)
{
    struct actor *a = &actors[index];
    a->permit = early[index];
    end_at(a, index == 1 ? HF_FAILURE : HF_SUCCESS, HALF);
    if (index == 2)
        ask_at(a, HALF);
}

static bool
only_the_probe_counts(void *world)
{
    return accounts_balance() && hf_breaker_state(b) == HF_HALF_OPEN && hf_breaker_run(b) == 1 &&
           count_of(&b->late) == 2 && actors[2].admitted && hf_breaker_probes(b, HALF) == 1;
}

/* D-CB-3, traps 1, 2 and 3. */
HF_TEST(stale_results_change_nothing_beside_a_probe)
{
    HF_CHECK(breaker_explored("two stale, one probe", 3, probe_among_stale_calls,
                              stale_success_stale_failure_probe, only_the_probe_counts));
}

static uint32_t threshold;

static void
three_calls_in_flight(void *world)
{
    begin_with(CONFIG(.failure_threshold = threshold));
    for (int i = 0; i < 3; i++)
        early[i] = enter(0);
    ready();
}

static void
all_fail(void *world, int index)
{
    actors[index].permit = early[index];
    end_at(&actors[index], HF_FAILURE, 0);
}

static bool
opened_once(void *world)
{
    return accounts_balance() && hf_breaker_state(b) == HF_OPEN &&
           changes(HF_CLOSED, HF_OPEN) == 1 && count_of(&b->late) == 3 - threshold &&
           hf_load_relaxed(&b->until_ns) == HALF;
}

/* CB-03, CB-07: no failure is lost, and however many are over the threshold, it opens once. */
HF_TEST(failures_at_once_open_it_once)
{
    for (threshold = 1; threshold <= 3; threshold++)
        HF_CHECK(breaker_explored("three fail at once", 3, three_calls_in_flight, all_fail,
                                  opened_once));
}

static void
two_fail_one_succeeds(void *world, int index)
{
    actors[index].permit = early[index];
    end_at(&actors[index], index < 2 ? HF_FAILURE : HF_SUCCESS, 0);
}

static bool
open_or_a_shorter_run(void *world)
{
    const uint32_t run = hf_breaker_run(b);
    return accounts_balance() &&
           (hf_breaker_state(b) == HF_OPEN ? changes(HF_CLOSED, HF_OPEN) == 1 : run <= 1);
}

/* CB-03: a success anywhere among them is either before, between, or after. */
HF_TEST(a_success_among_failures_ends_a_run_or_comes_too_late)
{
    threshold = 2;
    HF_CHECK(breaker_explored("two fail, one succeeds", 3, three_calls_in_flight,
                              two_fail_one_succeeds, open_or_a_shorter_run));
}

static uint32_t seen_in_flight;

static void
one_in_flight(void *world)
{
    begin();
    early[0] = enter(0);
    ready();
}

static void
come_and_go_or_look(void *world, int index)
{
    struct actor *a = &actors[index];
    if (index == 2)
        seen_in_flight = (uint32_t)hf_breaker_in_flight(b);
    else if (ask_at(a, 0))
        end_at(a, index == 0 ? HF_SUCCESS : HF_FAILURE, 0);
}

static bool
the_one_in_flight_is_seen(void *world)
{
    return accounts_balance() && seen_in_flight >= 1 && seen_in_flight <= 3;
}

/* CB-23, trap 18. */
HF_TEST(calls_that_come_and_go_hide_none_of_those_in_flight)
{
    HF_CHECK(breaker_explored("call, call, look", 3, one_in_flight, come_and_go_or_look,
                              the_one_in_flight_is_seen));
}
