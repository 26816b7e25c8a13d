/* Every schedule of two and three threads that want to be probes of a half-open breaker. */
#include "breaker_actors.h"

static uint32_t slots;

static void
broken_and_due(void *world)
{
    begin_with(CONFIG(.failure_threshold = 1, .half_open_max = slots));
    break_at(0);
    ready();
}

static void
ask_and_hold(void *world, int index)
{
    ask_at(&actors[index], HALF);
}

static bool
slots_are_taken_by_as_many(void *world)
{
    return accounts_balance() && admitted() == (int)slots && count_of(&b->rejected) == 3 - slots &&
           hf_breaker_probes(b, HALF) == slots && changes(HF_OPEN, HF_HALF_OPEN) == 1;
}

/* D-CB-2, trap 7: the race from OPEN to HALF_OPEN. */
HF_TEST(of_three_callers_only_as_many_become_probes_as_there_are_slots)
{
    for (slots = 1; slots <= 2; slots++)
        HF_CHECK(breaker_explored("three ask, one or two may", 3, broken_and_due, ask_and_hold,
                                  slots_are_taken_by_as_many));
}

static void
ask_and_succeed(void *world, int index)
{
    if (ask_at(&actors[index], HALF))
        end_at(&actors[index], HF_SUCCESS, HALF);
}

static bool
closed_by_three_or_half_open(void *world)
{
    const uint64_t successes = count_of(&b->succeeded);
    return accounts_balance() && hf_breaker_in_flight(b) == 0 && hf_breaker_probes(b, HALF) == 0 &&
           successes + count_of(&b->rejected) == 2 && hf_breaker_run(b) == successes &&
           hf_breaker_state(b) == HF_HALF_OPEN && successes >= 1;
}

/* trap 4: a slot that was given back is there for the next, at every place it may be taken. */
HF_TEST(slots_given_back_are_never_lost)
{
    slots = 1;
    HF_CHECK(breaker_explored("two probe in turn", 2, broken_and_due, ask_and_succeed,
                              closed_by_three_or_half_open));
}

/* --- leases that run out --------------------------------------------------------------------- */

/* A probe of HALF is past its deadline at this time. */
static const int64_t EXPIRED = 90 * SECOND + 1;

static void
probe_lost(void *world)
{
    slots = 1;
    broken_and_due(world);
    early[0] = enter(HALF);
    ready();
}

static void
come_back_or_take_over(void *world, int index)
{
    struct actor *a = &actors[index];
    if (index == 0) {
        a->permit = early[0];
        end_at(a, HF_SUCCESS, EXPIRED);
    } else {
        ask_at(a, EXPIRED);
    }
}

static bool
one_took_over(void *world)
{
    return accounts_balance() && admitted() == 1 && hf_breaker_probes(b, EXPIRED) == 1 &&
           hf_breaker_run(b) == 1 && count_of(&b->late) == 0;
}

/* traps 3 and 4: the latecomer frees nobody else's slot, and of two one gets it. */
HF_TEST(a_slot_past_its_deadline_is_taken_over_by_one)
{
    HF_CHECK(breaker_explored("one late, two take over", 3, probe_lost, come_back_or_take_over,
                              one_took_over));
}

/*
 * Thread 0 asks in one half-open period and may be held up until the next, in which thread 1
 * holds the only slot: it must not evict it. Thread 2 would then be a second probe.
 */
static void
ask_across_periods(void *world, int index)
{
    struct actor *a = &actors[index];
    if (index != 1) {
        ask_at(a, HALF);
        return;
    }
    a->permit = early[0];
    end_at(a, HF_FAILURE, HALF);
    note(a, hf_breaker_override(b, HF_HALF_OPEN, HALF));
    ask_at(a, HALF);
}

static bool
one_probe_in_this_period(void *world)
{
    const uint64_t gen = HF_BREAKER_GEN(hf_load_relaxed(&b->word));
    uint32_t probes = 0;
    for (int i = 0; i < 3; i++)
        probes += actors[i].admitted && actors[i].permit.gen == gen;
    return accounts_balance() && probes == 1 && hf_breaker_probes(b, HALF) == 1;
}

/* trap 1, C1: never more probes of one period than slots, whatever comes from an earlier one. */
HF_TEST(a_caller_held_up_since_an_earlier_period_evicts_no_probe)
{
    HF_CHECK(breaker_explored("three ask across periods", 3, probe_lost, ask_across_periods,
                              one_probe_in_this_period));
}

static void
half_open_with_one_slot(void *world)
{
    begin_with(CONFIG(.half_open_max = 1, .probe_ns = -1));
    hf_breaker_override(b, HF_HALF_OPEN, 0);
    ready();
}

static void
probe_and_fail_or_probe(void *world, int index)
{
    if (ask_at(&actors[index], 0) && index == 0)
        end_at(&actors[0], HF_FAILURE, 0);
}

static bool
one_was_admitted(void *world)
{
    return accounts_balance() && admitted() == 1 &&
           hf_breaker_state(b) == (actors[0].admitted ? HF_OPEN : HF_HALF_OPEN);
}

/*
 * D-CB-2, trap 7: a caller that is held up before it claims a slot, while another takes that slot,
 * fails and gives it back, is not let into the open breaker.
 */
HF_TEST(nobody_is_admitted_by_a_slot_of_a_period_that_is_over)
{
    HF_CHECK(breaker_explored("probe and fail, probe", 2, half_open_with_one_slot,
                              probe_and_fail_or_probe, one_was_admitted));
}
