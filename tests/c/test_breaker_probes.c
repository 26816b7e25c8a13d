/* Contract of the half-open state: how many probes, whose results count, and that none is lost. */
#include "breaker_fixture.h"

static const int64_t HALF = 60 * SECOND; /* when a breaker broken at 0 half-opens */

/* Broken at 0 and half-opened by nobody yet. */
static void
begin_broken(hf_breaker_config config)
{
    begin_with(config);
    break_at(0);
}

/* D-CB-2: 50 concurrent calls got in where 3 were allowed. CB-02; trap 7. */
HF_TEST(half_open_admits_only_the_configured_probes)
{
    begin_broken(defaults());
    int admitted = 0;
    for (int i = 0; i < 50; i++) {
        hf_breaker_permit permit;
        admitted += ask(HALF, &permit, NULL);
    }
    HF_CHECK_INT(admitted, 3);
    HF_CHECK_INT(hf_breaker_probes(b, HALF), 3);
    HF_CHECK_INT(count_of(&b->rejected), 47);
    HF_CHECK_INT(changes(HF_OPEN, HF_HALF_OPEN), 1);
    HF_CHECK_INT(hf_breaker_retry_after_ns(b, HALF), 0);
}

HF_TEST(a_probe_that_ends_makes_room_for_the_next)
{
    hf_breaker_config config = defaults();
    config.half_open_max = 1;
    config.success_threshold = 10; /* trap 17: more than are admitted at once */
    begin_broken(config);
    for (int i = 0; i < 9; i++) {
        hf_breaker_permit permit = enter(HALF);
        HF_CHECK(refuses(HALF));
        end(permit, HF_SUCCESS, HALF);
        HF_CHECK_INT(hf_breaker_probes(b, HALF), 0);
    }
    HF_CHECK(is_change(call(HF_SUCCESS, HALF), HF_HALF_OPEN, HF_CLOSED));
}

/* trap 5: every way out of a call that is neither good nor bad. trap 6: refused further in. */
HF_TEST(a_probe_without_a_verdict_frees_its_slot_and_proves_nothing)
{
    begin_broken(CONFIG(.half_open_max = 1));
    for (int way = 0; way < 3; way++) {
        hf_breaker_permit permit = enter(HALF);
        HF_CHECK(refuses(HALF));
        if (way == 0)
            HF_CHECK(!end(permit, HF_IGNORED, HALF).happened);
        else if (way == 1)
            hf_breaker_abandon(b, &permit);
        else
            hf_breaker_undo(b, &permit);
        HF_CHECK_INT(hf_breaker_state(b), HF_HALF_OPEN);
        HF_CHECK_INT(hf_breaker_run(b), 0);
        HF_CHECK_INT(hf_breaker_probes(b, HALF), 0);
        HF_CHECK_INT(hf_breaker_in_flight(b), 0);
    }
}

/* trap 6: matrixone's logical calls took two probes each. */
HF_TEST(a_call_refused_further_in_leaves_no_trace)
{
    begin_broken(defaults());
    enter(HALF);
    char before[sizeof breaker_memory];
    memcpy(before, breaker_memory, sizeof before);
    hf_breaker_permit permit = enter(HALF);
    hf_breaker_undo(b, &permit);
    HF_CHECK(memcmp(before, breaker_memory, sizeof before) == 0);
}

/* trap 4: OmniRoute refused 49,607 calls in six days for one lost probe. CB-26. */
HF_TEST(a_lost_probe_gives_its_slot_back_at_its_deadline)
{
    begin_broken(defaults());
    for (int round = 0; round < 100; round++) {
        const int64_t now = HALF + round * 30 * SECOND;
        for (int i = 0; i < 3; i++)
            enter(now); /* and never heard of again */
        HF_CHECK(refuses(now));
        HF_CHECK(refuses(now + 30 * SECOND - 65536)); /* it may end up to 65.536 us early */
        HF_CHECK_INT(hf_breaker_probes(b, now + 30 * SECOND), 0);
    }
    calls(3, HF_SUCCESS, HALF + 3000 * SECOND);
    HF_CHECK_INT(hf_breaker_state(b), HF_CLOSED);
}

HF_TEST(the_slot_of_a_probe_is_free_at_its_deadline_and_not_a_tick_after)
{
    const int64_t starts[] = {HALF, HALF + 1, HALF + 65535, HALF + 65536, HALF + 1234567891};
    hf_breaker_config config = CONFIG(.half_open_max = 1);
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        begin_broken(config);
        enter(starts[i]);
        HF_CHECK(refuses(starts[i] + 30 * SECOND - 65536));
        HF_CHECK(!refuses(starts[i] + 30 * SECOND));
    }
}

HF_TEST(a_probe_without_a_deadline_keeps_its_slot)
{
    begin_broken(CONFIG(.half_open_max = 1, .probe_ns = -1));
    hf_breaker_permit permit = enter(HALF);
    HF_CHECK(refuses(INT64_MAX));
    hf_breaker_abandon(b, &permit);
    HF_CHECK(!refuses(INT64_MAX));
}

HF_TEST(the_shortest_deadline_still_bounds_the_probes)
{
    begin_broken(CONFIG(.probe_ns = 0));
    for (int i = 0; i < 3; i++)
        enter(HALF);
    HF_CHECK(refuses(HALF));
    HF_CHECK(!refuses(HALF + 65536));
}

HF_TEST(a_probe_past_its_deadline_still_counts_in_its_half_open_period)
{
    begin_broken(CONFIG(.half_open_max = 1));
    hf_breaker_permit slow = enter(HALF);
    hf_breaker_permit next = enter(HALF + 30 * SECOND);
    end(slow, HF_SUCCESS, HALF + 31 * SECOND);
    HF_CHECK_INT(hf_breaker_run(b), 1);
    HF_CHECK_INT(count_of(&b->late), 0);
    HF_CHECK(refuses(HALF + 31 * SECOND)); /* trap 3: it freed nobody else's slot */
    HF_CHECK_INT(hf_breaker_probes(b, HALF + 31 * SECOND), 1);
    end(next, HF_SUCCESS, HALF + 32 * SECOND);
    HF_CHECK_INT(hf_breaker_probes(b, HALF + 32 * SECOND), 0);
    HF_CHECK_INT(hf_breaker_run(b), 2);
}

/* trap 2, CB-05; D-CB-3: three late results closed an open circuit. */
HF_TEST(a_late_success_from_before_the_trip_does_not_close_the_breaker)
{
    begin();
    hf_breaker_permit early[10];
    for (int i = 0; i < 10; i++)
        early[i] = enter(0);
    break_at(0);
    HF_CHECK(!end(early[0], HF_SUCCESS, 1).happened);
    HF_CHECK_INT(hf_breaker_state(b), HF_OPEN);
    hf_breaker_permit probe = enter(HALF);
    for (int i = 1; i < 10; i++)
        HF_CHECK(!end(early[i], HF_SUCCESS, HALF).happened);
    HF_CHECK_INT(hf_breaker_state(b), HF_HALF_OPEN);
    HF_CHECK_INT(hf_breaker_run(b), 0);
    HF_CHECK_INT(hf_breaker_probes(b, HALF), 1);
    HF_CHECK_INT(count_of(&b->late), 10);
    HF_CHECK_INT(count_of(&b->succeeded), 10);
    end(probe, HF_SUCCESS, HALF);
    HF_CHECK_INT(hf_breaker_run(b), 1);
}

/* trap 3; D-CB-3: late failures reopened a half-open circuit and pushed its time out. */
HF_TEST(a_late_failure_neither_reopens_nor_prolongs)
{
    begin();
    hf_breaker_permit early[2] = {enter(0), enter(0)};
    break_at(0);
    HF_CHECK(!end(early[0], HF_FAILURE, 59 * SECOND).happened);
    HF_CHECK_INT(hf_breaker_retry_after_ns(b, 59 * SECOND), SECOND);
    HF_CHECK_INT(hf_load_relaxed(&b->last_failure_ns), 0);
    enter(HALF);
    HF_CHECK(!end(early[1], HF_FAILURE, HALF).happened);
    HF_CHECK_INT(hf_breaker_state(b), HF_HALF_OPEN);
    HF_CHECK_INT(count_of(&b->late), 2);
    HF_CHECK_INT(count_of(&b->failed), 7);
}

/* traps 1 and 3, with every way to end a permit. */
HF_TEST(a_stale_result_frees_no_slot_it_never_took)
{
    begin();
    hf_breaker_permit early[4];
    for (int i = 0; i < 4; i++)
        early[i] = enter(0);
    break_at(0);
    for (int i = 0; i < 3; i++)
        enter(HALF);
    end(early[0], HF_IGNORED, HALF);
    end(early[1], HF_SUCCESS, HALF);
    hf_breaker_abandon(b, &early[2]);
    hf_breaker_undo(b, &early[3]);
    HF_CHECK_INT(hf_breaker_probes(b, HALF), 3);
    HF_CHECK(refuses(HALF));
}

/* A probe of the last half-open period against the probes of this one. */
HF_TEST(a_probe_of_an_earlier_period_neither_counts_nor_frees_a_slot)
{
    begin_broken(defaults());
    hf_breaker_permit old[3];
    for (int i = 0; i < 3; i++)
        old[i] = enter(HALF);
    end(old[0], HF_FAILURE, HALF);
    for (int i = 0; i < 3; i++)
        enter(2 * HALF);
    HF_CHECK(!end(old[1], HF_FAILURE, 2 * HALF).happened);
    HF_CHECK(!end(old[2], HF_SUCCESS, 2 * HALF).happened);
    HF_CHECK_INT(hf_breaker_state(b), HF_HALF_OPEN);
    HF_CHECK_INT(hf_breaker_run(b), 0);
    HF_CHECK_INT(hf_breaker_probes(b, 2 * HALF), 3);
    HF_CHECK_INT(count_of(&b->late), 2);
}

/* A lease keeps 16 bits of the generation: half of all distances would look like a later one. */
HF_TEST(a_slot_lost_many_generations_ago_is_free)
{
    hf_breaker_config config = CONFIG(.half_open_max = 1, .probe_ns = -1);
    const int distances[] = {1, 2, 0x7FFF, 0x8000, 0x8001, 0xFFFF, 0x10001};
    for (size_t i = 0; i < sizeof distances / sizeof *distances; i++) {
        begin_broken(config);
        enter(HALF); /* lost, and without a deadline */
        for (int n = 0; n < distances[i]; n++)
            hf_breaker_override(b, HF_HALF_OPEN, HALF);
        HF_CHECK(!refuses(HALF));
        HF_CHECK(refuses(HALF));
    }
}

/* Observe mode: the call runs although it was refused. */
HF_TEST(an_observed_call_is_counted_and_decides_nothing)
{
    begin_broken(defaults());
    const int outcomes[] = {HF_SUCCESS, HF_FAILURE, HF_IGNORED, HF_FAILURE};
    hf_breaker_permit permits[4];
    for (int i = 0; i < 4; i++) {
        HF_CHECK(refuses(1));
        hf_breaker_admit_observed(b, &permits[i]);
    }
    HF_CHECK_INT(count_of(&b->rejected), 4);
    HF_CHECK_INT(count_of(&b->observed), 4);
    HF_CHECK_INT(hf_breaker_in_flight(b), 4);
    HF_CHECK(!hf_breaker_settle_fast(b, &permits[0]));
    for (int i = 0; i < 3; i++)
        HF_CHECK(!end(permits[i], outcomes[i], 1).happened);
    hf_breaker_undo(b, &permits[3]);
    HF_CHECK_INT(count_of(&b->observed) - count_of(&b->unobserved), 3);
    HF_CHECK_INT(hf_breaker_in_flight(b), 0);
    HF_CHECK_INT(count_of(&b->late), 0);
    HF_CHECK_INT(hf_breaker_state(b), HF_OPEN);
    HF_CHECK_INT(hf_load_relaxed(&b->last_failure_ns), 0);

    for (int i = 0; i < 3; i++)
        enter(HALF);
    HF_CHECK(refuses(HALF));
    hf_breaker_admit_observed(b, &permits[0]);
    HF_CHECK(!end(permits[0], HF_FAILURE, HALF).happened); /* no probe: it does not reopen */
    HF_CHECK_INT(hf_breaker_probes(b, HALF), 3);
}

/* Between the refusal and the observed call the breaker was closed. */
HF_TEST(an_observed_call_decides_nothing_in_a_closed_breaker_either)
{
    begin_broken(CONFIG(.failure_threshold = 1, .window_kind = HF_WINDOW_COUNT, .window_n = 10));
    for (int outcome = HF_SUCCESS; outcome <= HF_IGNORED; outcome++) {
        hf_breaker_override(b, HF_OPEN, 0);
        HF_CHECK(refuses(0));
        hf_breaker_override(b, HF_CLOSED, 0);
        hf_breaker_permit permit;
        hf_breaker_admit_observed(b, &permit);
        HF_CHECK(!end(permit, outcome, 0).happened);
        HF_CHECK_INT(hf_breaker_tally(b, 0).calls + hf_breaker_tally(b, 0).ignored, 0);
    }
    HF_CHECK_INT(hf_breaker_in_flight(b), 0);
}

/* trap 58. */
HF_TEST(in_a_forked_child_the_calls_in_flight_are_the_parents)
{
    begin();
    hf_breaker_permit closed = enter(0);
    calls(4, HF_FAILURE, 0);
    hf_breaker_forget(b, 1);
    HF_CHECK_INT(hf_breaker_in_flight(b), 0);
    HF_CHECK_INT(hf_breaker_run(b), 4);
    HF_CHECK(!hf_breaker_settle_fast(b, &closed));
    HF_CHECK(!end(closed, HF_FAILURE, 0).happened);
    hf_breaker_abandon(b, &closed);
    hf_breaker_undo(b, &closed);
    HF_CHECK_INT(hf_breaker_in_flight(b), 0);
    HF_CHECK_INT(count_of(&b->admitted), 0);
    HF_CHECK_INT(count_of(&b->late), 0);
    HF_CHECK(is_change(call(HF_FAILURE, 0), HF_CLOSED, HF_OPEN)); /* the run was kept */

    hf_breaker_permit probes[3] = {enter(HALF), enter(HALF), enter(HALF)};
    hf_breaker_forget(b, 1);
    HF_CHECK_INT(hf_breaker_state(b), HF_HALF_OPEN);
    HF_CHECK_INT(hf_breaker_probes(b, HALF), 0);
    HF_CHECK(!end(probes[0], HF_FAILURE, HALF).happened);
    calls(3, HF_SUCCESS, HALF);
    HF_CHECK_INT(hf_breaker_state(b), HF_CLOSED);
    HF_CHECK_INT(hf_breaker_in_flight(b), 0);
}

/* A call inside of a probe is no other call: it is let in, and does not count as another success. */
HF_TEST(a_call_inside_of_a_probe_belongs_to_it)
{
    begin_broken(CONFIG(.half_open_max = 2, .success_threshold = 2));
    hf_breaker_permit probe = enter(HALF), with_a_slot, without, closed;
    HF_CHECK(hf_breaker_admit_inside(b, &probe, HALF, &with_a_slot));
    HF_CHECK_INT(hf_breaker_probes(b, HALF), 2);
    HF_CHECK(refuses(HALF));
    HF_CHECK(hf_breaker_admit_inside(b, &probe, HALF, &without));
    HF_CHECK_INT(hf_breaker_probes(b, HALF), 2);
    HF_CHECK(!end(without, HF_SUCCESS, HALF).happened);
    HF_CHECK(!end(with_a_slot, HF_SUCCESS, HALF).happened);
    HF_CHECK(!end(probe, HF_SUCCESS, HALF).happened);
    HF_CHECK_INT(hf_breaker_run(b), 1);
    HF_CHECK(!hf_breaker_admit_inside(b, &probe, HALF, &without)); /* that is over */
    HF_CHECK(is_change(call(HF_SUCCESS, HALF), HF_HALF_OPEN, HF_CLOSED));
    closed = enter(HALF);
    HF_CHECK(!hf_breaker_admit_inside(b, &closed, HALF, &without)); /* no probe */
    end(closed, HF_SUCCESS, HALF);
    HF_CHECK_INT(hf_breaker_in_flight(b), 0);
    HF_CHECK_INT(count_of(&b->admitted), 5 + 5);
}

/* CB-06 */
HF_TEST(a_failure_inside_of_a_probe_opens_it_again)
{
    begin_broken(CONFIG(.half_open_max = 1));
    hf_breaker_permit probe = enter(HALF), inner;
    HF_CHECK(hf_breaker_admit_inside(b, &probe, HALF, &inner));
    HF_CHECK(is_change(end(inner, HF_FAILURE, HALF), HF_HALF_OPEN, HF_OPEN));
    HF_CHECK(!hf_breaker_admit_inside(b, &probe, HALF, &inner));
    HF_CHECK(!end(probe, HF_SUCCESS, HALF).happened);
    HF_CHECK_INT(count_of(&b->late), 1);
}

HF_TEST(a_probe_that_has_lost_its_slot_lets_nobody_in)
{
    hf_breaker_config config = CONFIG(.half_open_max = 1);
    begin_broken(config);
    hf_breaker_permit probe = enter(HALF), inner, heir;
    int64_t later = HALF + config.probe_ns;
    HF_CHECK(!hf_breaker_admit_inside(b, &probe, later, &inner));
    heir = enter(later);
    HF_CHECK(!hf_breaker_admit_inside(b, &probe, HALF, &inner)); /* whatever the time is */
    HF_CHECK(hf_breaker_admit_inside(b, &heir, later, &inner));
}
