/* Every schedule of two and three threads whose moves and deadlines race in a breaker. */
#include "breaker_actors.h"

/* Thread 0 reopens by a failed probe and may stand still anywhere while the other opens by hand. */
static void
reopen_against_reset_and_open(void *world, int index)
{
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
    HF_CHECK(breaker_explored("reopen; reset and open", 2, two_probes_under_way,
                              reopen_against_reset_and_open, deadline_is_of_the_last_opening));
    HF_CHECK(breaker_explored("reopen; reopen; open", 3, two_probes_under_way,
                              two_reopen_against_one_by_hand, deadline_is_of_the_last_opening));
}

static void
open_and_soon_due(void *world)
{
    begin_with(
        CONFIG(.failure_threshold = 1, .half_open_max = 1, .probe_ns = -1, .reset_factor = 2));
    break_at(0);
    ready();
}

/* Thread 0 is refused by the first opening; meanwhile it ends, and another follows. */
static void
ask_early_or_probe_and_fail(void *world, int index)
{
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
    const int64_t until = hf_load_relaxed(&b->until_ns) / SECOND;
    return accounts_balance() && (until == 60 + 120 || until == 59 + 120);
}

/* The probe fails long after the first opening would have ended as thread 0 knew it. */
static void
ask_early_or_probe_and_fail_or_ask_late(void *world, int index)
{
    static const int64_t asked_at[] = {59 * SECOND, 60 * SECOND, 130 * SECOND};
    struct actor *a = &actors[index];
    if (ask_at(a, asked_at[index]) && index == 1)
        end_at(a, HF_FAILURE, 129 * SECOND);
}

/* Thread 2 comes before the probe, and is one itself; or after, and is refused by the opening. */
static bool
nobody_ends_the_second_opening(void *world)
{
    return accounts_balance() && admitted() == 1;
}

/* trap 9. */
HF_TEST(who_was_refused_mends_no_later_opening)
{
    HF_CHECK(breaker_explored("ask early; probe and fail", 2, open_and_soon_due,
                              ask_early_or_probe_and_fail, the_second_opening_has_its_own_length));
    HF_CHECK(breaker_explored("ask early; probe and fail; ask late", 3, open_and_soon_due,
                              ask_early_or_probe_and_fail_or_ask_late,
                              nobody_ends_the_second_opening));
}

static void
reopened_with_growth(void *world)
{
    open_and_soon_due(world);
    for (int i = 0; i < 3; i++) {
        hf_breaker_override(b, HF_HALF_OPEN, 0);
        call(HF_FAILURE, 0);
    }
    ready();
}

/* Threads are refused while it is opened anew by hand: for 60 s, not for the 480 s it was open for. */
static void
ask_or_open_by_hand(void *world, int index)
{
    if (index == 0)
        note(&actors[0], hf_breaker_override(b, HF_OPEN, 0));
    else
        ask_at(&actors[index], 0);
}

static bool
open_for_the_shortest_time(void *world)
{
    return accounts_balance() && admitted() == 0 && hf_load_relaxed(&b->until_ns) == HALF;
}

/* trap 9. */
HF_TEST(an_opening_by_hand_has_its_own_length_whoever_asks_meanwhile)
{
    HF_CHECK(breaker_explored("open by hand, ask", 2, reopened_with_growth, ask_or_open_by_hand,
                              open_for_the_shortest_time));
    HF_CHECK(breaker_explored("open by hand, ask, ask", 3, reopened_with_growth,
                              ask_or_open_by_hand, open_for_the_shortest_time));
}

static void
open_without_an_open_time(void *world)
{
    begin_with(CONFIG(.failure_threshold = 1, .half_open_max = 1, .reset_ns = 0));
    break_at(0);
    ready();
}

static void
probe_and_fail(void *world, int index)
{
    struct actor *a = &actors[index];
    if (ask_at(a, 0))
        end_at(a, HF_FAILURE, 0);
}

static bool
nothing_in_flight(void *world)
{
    return accounts_balance() && hf_breaker_in_flight(b) == 0;
}

/* trap 8: one answer has room for one change; who half-opens and is overtaken makes no second. */
HF_TEST(a_caller_that_half_opens_is_told_of_it_though_the_period_is_over_at_once)
{
    HF_CHECK(breaker_explored("two probe and fail", 2, open_without_an_open_time, probe_and_fail,
                              nothing_in_flight));
}

static void
closed(void *world)
{
    begin_with(CONFIG(.failure_threshold = 1));
    ready();
}

static void
move_and_call(void *world, int index)
{
    struct actor *a = &actors[index];
    note(a, hf_breaker_override(b, index == 0 ? HF_DISABLED : HF_HALF_OPEN, 0));
    if (ask_at(a, 0))
        end_at(a, HF_FAILURE, 0);
}

/* trap 8, trap 12. */
HF_TEST(moves_by_hand_are_told_once_each_and_no_call_is_lost_among_them)
{
    HF_CHECK(breaker_explored("by hand, with calls", 2, closed, move_and_call, nothing_in_flight));
}
