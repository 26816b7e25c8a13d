/* Every schedule of two and three threads whose verdicts, moves and deadlines race in a breaker. */
#include "breaker_actors.h"

static void
two_probes_under_way(void *world)
{
    (void)world;
    hf_breaker_config config = defaults();
    config.success_threshold = 1;
    config.half_open_max = 2;
    begin_with(config);
    break_at(0);
    for (int i = 0; i < 2; i++)
        early[i] = enter(HALF);
    ready();
}

static void
one_fails_one_succeeds_one_asks(void *world, int index)
{
    (void)world;
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
    (void)world;
    const uint32_t opened = changes(HF_HALF_OPEN, HF_OPEN);
    const uint32_t closed = changes(HF_HALF_OPEN, HF_CLOSED);
    return accounts_balance() && opened + closed == 1 && count_of(&b->late) == 1 &&
           hf_breaker_state(b) == (opened ? HF_OPEN : HF_CLOSED);
}

/* CB-05, CB-06, trap 8. */
HF_TEST(of_a_failed_and_a_successful_probe_the_first_decides)
{
    HF_CHECK(explored("fail, succeed, ask", 3, two_probes_under_way,
                      one_fails_one_succeeds_one_asks, one_verdict_counts));
}

static void
probe_among_stale_calls(void *world)
{
    (void)world;
    hf_breaker_config config = defaults();
    config.failure_threshold = 1;
    config.success_threshold = 2;
    config.half_open_max = 1;
    begin_with(config);
    early[0] = enter(0);
    early[1] = enter(0);
    break_at(0);
    early[2] = enter(HALF);
    ready();
}

static void
stale_success_stale_failure_probe(void *world, int index)
{
    (void)world;
    struct actor *a = &actors[index];
    a->permit = early[index];
    end_at(a, index == 1 ? HF_FAILURE : HF_SUCCESS, HALF);
    if (index == 2)
        ask_at(a, HALF);
}

static bool
only_the_probe_counts(void *world)
{
    (void)world;
    return accounts_balance() && hf_breaker_state(b) == HF_HALF_OPEN && hf_breaker_run(b) == 1 &&
           count_of(&b->late) == 2 && actors[2].admitted && hf_breaker_probes(b, HALF) == 1;
}

/* D-CB-3, traps 1, 2 and 3. */
HF_TEST(stale_results_change_nothing_beside_a_probe)
{
    HF_CHECK(explored("two stale, one probe", 3, probe_among_stale_calls,
                      stale_success_stale_failure_probe, only_the_probe_counts));
}

static uint32_t threshold;

static void
three_calls_in_flight(void *world)
{
    (void)world;
    hf_breaker_config config = defaults();
    config.failure_threshold = threshold;
    begin_with(config);
    for (int i = 0; i < 3; i++)
        early[i] = enter(0);
    ready();
}

static void
all_fail(void *world, int index)
{
    (void)world;
    actors[index].permit = early[index];
    end_at(&actors[index], HF_FAILURE, 0);
}

static bool
opened_once(void *world)
{
    (void)world;
    return accounts_balance() && hf_breaker_state(b) == HF_OPEN &&
           changes(HF_CLOSED, HF_OPEN) == 1 && count_of(&b->late) == 3 - threshold &&
           hf_load_relaxed(&b->until_ns) == HALF;
}

/* CB-03, CB-07: no failure is lost, and however many are over the threshold, it opens once. */
HF_TEST(failures_at_once_open_it_once)
{
    for (threshold = 1; threshold <= 3; threshold++)
        HF_CHECK(explored("three fail at once", 3, three_calls_in_flight, all_fail, opened_once));
}

static void
two_fail_one_succeeds(void *world, int index)
{
    (void)world;
    actors[index].permit = early[index];
    end_at(&actors[index], index < 2 ? HF_FAILURE : HF_SUCCESS, 0);
}

static bool
open_or_a_shorter_run(void *world)
{
    (void)world;
    const uint32_t run = hf_breaker_run(b);
    return accounts_balance() &&
           (hf_breaker_state(b) == HF_OPEN ? changes(HF_CLOSED, HF_OPEN) == 1 : run <= 1);
}

/* CB-03: a success anywhere among them is either before, between, or after. */
HF_TEST(a_success_among_failures_ends_a_run_or_comes_too_late)
{
    threshold = 2;
    HF_CHECK(explored("two fail, one succeeds", 3, three_calls_in_flight, two_fail_one_succeeds,
                      open_or_a_shorter_run));
}

/* --- moves and deadlines --------------------------------------------------------------------- */

/* Thread 0 reopens by a failed probe and may stand still anywhere while the other opens by hand. */
static void
reopen_against_reset_and_open(void *world, int index)
{
    (void)world;
    struct actor *a = &actors[index];
    if (index == 0) {
        a->permit = early[0];
        end_at(a, HF_FAILURE, HALF);
    } else {
        note(a, hf_breaker_override(b, HF_CLOSED, HALF));
        note(a, hf_breaker_override(b, HF_OPEN, 1000 * SECOND));
    }
}

static const int64_t opened_at[] = {HALF, 1000 * SECOND, 2000 * SECOND};

static void
two_reopen_against_one_by_hand(void *world, int index)
{
    (void)world;
    struct actor *a = &actors[index];
    a->permit = early[index];
    if (index < 2)
        end_at(a, HF_FAILURE, opened_at[index]);
    else
        note(a, hf_breaker_override(b, HF_OPEN, opened_at[index]));
}

static bool
deadline_is_of_the_last_opening(void *world)
{
    (void)world;
    const uint64_t gen = HF_BREAKER_GEN(hf_load_relaxed(&b->word));
    for (int i = 0; i < 3; i++)
        if (actors[i].opened == gen)
            return accounts_balance() &&
                   hf_load_relaxed(&b->until_ns) == opened_at[i] + 60 * SECOND;
    return false;
}

/* D-CB-3, trap 9: a slow loser cannot move the deadline of a later opening. */
HF_TEST(the_deadline_belongs_to_the_opening_that_is_seen)
{
    HF_CHECK(explored("reopen; reset and open", 2, two_probes_under_way,
                      reopen_against_reset_and_open, deadline_is_of_the_last_opening));
    HF_CHECK(explored("reopen; reopen; open", 3, two_probes_under_way,
                      two_reopen_against_one_by_hand, deadline_is_of_the_last_opening));
}

static void
open_and_soon_due(void *world)
{
    (void)world;
    hf_breaker_config config = defaults();
    config.failure_threshold = 1;
    config.half_open_max = 1;
    config.reset_factor = 2;
    begin_with(config);
    break_at(0);
    ready();
}

/* Thread 0 is refused by the first opening; meanwhile it ends, and another follows. */
static void
ask_early_or_probe_and_fail(void *world, int index)
{
    (void)world;
    struct actor *a = &actors[index];
    if (ask_at(a, index == 0 ? HALF - SECOND : HALF))
        end_at(a, HF_FAILURE, HALF);
}

/*
 * The second opening lasts 120 s: from HALF, or from the time of thread 0 if that was refused by
 * it while its deadline was not yet set. What thread 0 knew of the first opening has no say.
 */
static bool
the_second_opening_has_its_own_length(void *world)
{
    (void)world;
    const int64_t until = hf_load_relaxed(&b->until_ns) / SECOND;
    return accounts_balance() && (until == 60 + 120 || until == 59 + 120);
}

/* trap 9. */
HF_TEST(who_was_refused_mends_no_later_opening)
{
    HF_CHECK(explored("ask early; probe and fail", 2, open_and_soon_due,
                      ask_early_or_probe_and_fail, the_second_opening_has_its_own_length));
}

static void
open_in_the_future(void *world)
{
    (void)world;
    begin();
    break_at(5000 * SECOND); /* and then time stepped back */
    ready();
}

static void
ask_after_a_step_back(void *world, int index)
{
    (void)world;
    if (index < 2)
        ask_at(&actors[index], index * SECOND);
    else
        note(&actors[index], hf_breaker_override(b, HF_OPEN, 100 * SECOND));
}

static bool
pulled_in_unless_opened_anew(void *world)
{
    (void)world;
    const int64_t until = hf_load_relaxed(&b->until_ns) / SECOND;
    return accounts_balance() && admitted() == 0 &&
           (until == 60 || until == 61 || (actors[2].opened && until == 160));
}

/* trap 20, with a new opening at the same time: it is pulled in itself only by who sees it. */
HF_TEST(an_opening_is_pulled_in_once_and_only_while_it_lasts)
{
    HF_CHECK(explored("step back", 2, open_in_the_future, ask_after_a_step_back,
                      pulled_in_unless_opened_anew));
    HF_CHECK(explored("step back, opened anew", 3, open_in_the_future, ask_after_a_step_back,
                      pulled_in_unless_opened_anew));
}

static void
open_without_an_open_time(void *world)
{
    (void)world;
    hf_breaker_config config = defaults();
    config.failure_threshold = 1;
    config.half_open_max = 1;
    config.reset_ns = 0;
    begin_with(config);
    break_at(0);
    ready();
}

static void
probe_and_fail(void *world, int index)
{
    (void)world;
    struct actor *a = &actors[index];
    if (ask_at(a, 0))
        end_at(a, HF_FAILURE, 0);
}

static bool
nothing_in_flight(void *world)
{
    (void)world;
    return accounts_balance() && hf_breaker_in_flight(b) == 0;
}

/* trap 8: one answer has room for one change; who half-opens and is overtaken makes no second. */
HF_TEST(a_caller_that_half_opens_is_told_of_it_though_the_period_is_over_at_once)
{
    HF_CHECK(explored("two probe and fail", 2, open_without_an_open_time, probe_and_fail,
                      nothing_in_flight));
}

static void
closed(void *world)
{
    (void)world;
    hf_breaker_config config = defaults();
    config.failure_threshold = 1;
    begin_with(config);
    ready();
}

static void
move_and_call(void *world, int index)
{
    (void)world;
    struct actor *a = &actors[index];
    note(a, hf_breaker_override(b, index == 0 ? HF_DISABLED : HF_HALF_OPEN, 0));
    if (ask_at(a, 0))
        end_at(a, HF_FAILURE, 0);
}

/* trap 8, trap 12. */
HF_TEST(moves_by_hand_are_told_once_each_and_no_call_is_lost_among_them)
{
    HF_CHECK(explored("by hand, with calls", 2, closed, move_and_call, nothing_in_flight));
}

static uint32_t seen_in_flight;

static void
one_in_flight(void *world)
{
    (void)world;
    begin();
    early[0] = enter(0);
    ready();
}

static void
come_and_go_or_look(void *world, int index)
{
    (void)world;
    struct actor *a = &actors[index];
    if (index == 2)
        seen_in_flight = (uint32_t)hf_breaker_in_flight(b);
    else if (ask_at(a, 0))
        end_at(a, index == 0 ? HF_SUCCESS : HF_FAILURE, 0);
}

static bool
the_one_in_flight_is_seen(void *world)
{
    (void)world;
    return accounts_balance() && seen_in_flight >= 1 && seen_in_flight <= 3;
}

/* CB-23, trap 18. */
HF_TEST(calls_that_come_and_go_hide_none_of_those_in_flight)
{
    HF_CHECK(explored("call, call, look", 3, one_in_flight, come_and_go_or_look,
                      the_one_in_flight_is_seen));
}

int
main(int argc, char **argv)
{
    hf_test_open(argc, argv);
    HF_RUN(of_a_failed_and_a_successful_probe_the_first_decides);
    HF_RUN(stale_results_change_nothing_beside_a_probe);
    HF_RUN(failures_at_once_open_it_once);
    HF_RUN(a_success_among_failures_ends_a_run_or_comes_too_late);
    HF_RUN(the_deadline_belongs_to_the_opening_that_is_seen);
    HF_RUN(who_was_refused_mends_no_later_opening);
    HF_RUN(an_opening_is_pulled_in_once_and_only_while_it_lasts);
    HF_RUN(a_caller_that_half_opens_is_told_of_it_though_the_period_is_over_at_once);
    HF_RUN(moves_by_hand_are_told_once_each_and_no_call_is_lost_among_them);
    HF_RUN(calls_that_come_and_go_hide_none_of_those_in_flight);
    return hf_test_close();
}
