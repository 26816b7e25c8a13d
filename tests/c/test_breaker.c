/* Contract of hf_breaker.h: the states, the moves between them, and what they count. */
#include "breaker_fixture.h"

/* CB-01. */
HF_TEST(the_states_have_the_values_metrics_show)
{
    HF_CHECK_INT(HF_CLOSED, 0);
    HF_CHECK_INT(HF_HALF_OPEN, 1);
    HF_CHECK_INT(HF_OPEN, 2);
}

/* GEN-13: about 500 bytes were asked for; the performance table allows 1 KiB with its window. */
HF_TEST(a_breaker_with_a_window_of_ten_slices_fits_a_kibibyte)
{
    hf_breaker_config config = defaults();
    HF_CHECK(hf_breaker_size(&config) <= 512);
    config.window_kind = HF_WINDOW_TIME;
    config.window_n = 10;
    config.slice_ns = SECOND;
    HF_CHECK(hf_breaker_size(&config) <= 1024 - 64); /* a line to align it with */
}

/* CB-02. */
HF_TEST(a_closed_breaker_admits_every_call_and_asks_for_no_time)
{
    begin();
    hf_breaker_permit permits[100];
    for (int i = 0; i < 100; i++)
        HF_CHECK(hf_breaker_admit(b, &permits[i]));
    HF_CHECK_INT(hf_breaker_in_flight(b), 100);
    for (int i = 0; i < 100; i++)
        HF_CHECK(hf_breaker_settle_fast(b, &permits[i]));
    HF_CHECK_INT(hf_breaker_in_flight(b), 0);
    HF_CHECK_INT(count_of(&b->admitted), 100);
    HF_CHECK_INT(count_of(&b->succeeded), 100);
    HF_CHECK_INT(hf_breaker_state(b), HF_CLOSED);
}

/* CB-03. */
HF_TEST(it_opens_at_the_threshold_of_failures_in_a_row_and_not_before)
{
    begin();
    calls(4, HF_FAILURE, 7);
    HF_CHECK_INT(hf_breaker_state(b), HF_CLOSED);
    HF_CHECK_INT(hf_breaker_run(b), 4);
    hf_change change = call(HF_FAILURE, 7);
    HF_CHECK(is_change(change, HF_CLOSED, HF_OPEN));
    HF_CHECK_INT(hf_breaker_state(b), HF_OPEN);
    HF_CHECK_INT(hf_breaker_run(b), 0); /* CB-08 */
}

/* D-CB-8 and trap 5: cancellation and exceptions that say nothing of the dependency. */
HF_TEST(ignored_and_abandoned_calls_neither_lengthen_nor_end_a_run)
{
    begin();
    calls(4, HF_FAILURE, 0);
    call(HF_IGNORED, 0);
    hf_breaker_permit permit = enter(0);
    hf_breaker_abandon(b, &permit);
    HF_CHECK_INT(hf_breaker_run(b), 4);
    HF_CHECK_INT(hf_breaker_in_flight(b), 0);
    HF_CHECK_INT(count_of(&b->ignored), 1);
    HF_CHECK_INT(count_of(&b->abandoned), 1);
    HF_CHECK(is_change(call(HF_FAILURE, 0), HF_CLOSED, HF_OPEN));
}

/* CB-02. */
HF_TEST(an_open_breaker_refuses_and_counts_what_it_refused)
{
    begin();
    break_at(0);
    for (int i = 0; i < 7; i++)
        HF_CHECK(refuses(i));
    HF_CHECK_INT(count_of(&b->rejected), 7);
    HF_CHECK_INT(count_of(&b->admitted), 5);
    HF_CHECK_INT(hf_breaker_in_flight(b), 0);
}

/* CB-04 and CB-26: at the reset time, not after it; it needs no timer (trap 12). */
HF_TEST(it_half_opens_exactly_when_the_open_time_has_passed)
{
    begin();
    break_at(7);
    HF_CHECK_INT(hf_breaker_retry_after_ns(b, 7), 60 * SECOND);
    HF_CHECK(refuses(7 + 60 * SECOND - 1));
    HF_CHECK_INT(hf_breaker_retry_after_ns(b, 7 + 60 * SECOND - 1), 1);
    HF_CHECK_INT(hf_breaker_retry_after_ns(b, 7 + 60 * SECOND), 0);
    HF_CHECK_INT(hf_breaker_retry_after_ns(b, 3600 * SECOND), 0); /* not less: -1 is for ever */
    HF_CHECK_INT(hf_breaker_state(b), HF_OPEN);                   /* until somebody calls */
    hf_breaker_permit permit;
    hf_change change;
    HF_CHECK(ask(7 + 60 * SECOND, &permit, &change));
    HF_CHECK(is_change(change, HF_OPEN, HF_HALF_OPEN));
    HF_CHECK_INT(permit.flags, HF_PERMIT_PROBE);
    HF_CHECK_INT(hf_breaker_state(b), HF_HALF_OPEN);
}

/* CB-05 and CB-26. */
HF_TEST(enough_successes_of_probes_close_it)
{
    begin();
    break_at(0);
    call(HF_SUCCESS, 60 * SECOND);
    call(HF_SUCCESS, 60 * SECOND);
    HF_CHECK_INT(hf_breaker_state(b), HF_HALF_OPEN);
    HF_CHECK_INT(hf_breaker_run(b), 2);
    HF_CHECK(is_change(call(HF_SUCCESS, 60 * SECOND), HF_HALF_OPEN, HF_CLOSED));
    HF_CHECK_INT(hf_load_relaxed(&b->word), 3 * (INT64_C(1) << 29)); /* CB-08: all counts zero */
    HF_CHECK(hf_breaker_admit(b, &(hf_breaker_permit){.gen = 0}));
}

/* CB-06. */
HF_TEST(one_failed_probe_opens_it_again_and_the_open_time_begins_anew)
{
    begin();
    break_at(0);
    call(HF_SUCCESS, 60 * SECOND);
    call(HF_SUCCESS, 61 * SECOND);
    HF_CHECK(is_change(call(HF_FAILURE, 62 * SECOND), HF_HALF_OPEN, HF_OPEN));
    HF_CHECK_INT(hf_breaker_retry_after_ns(b, 62 * SECOND), 60 * SECOND);
    HF_CHECK(refuses(122 * SECOND - 1));
    call(HF_SUCCESS, 122 * SECOND);
    HF_CHECK_INT(hf_breaker_run(b), 1); /* CB-08: the two of last time are forgotten */
}

/* CB-07, D-CB-7, trap 8. */
HF_TEST(every_change_is_counted_once_from_where_to_where)
{
    begin();
    break_at(0);
    call(HF_FAILURE, 60 * SECOND);
    calls(3, HF_SUCCESS, 120 * SECOND);
    HF_CHECK_INT(changes(HF_CLOSED, HF_OPEN), 1);
    HF_CHECK_INT(changes(HF_OPEN, HF_HALF_OPEN), 2);
    HF_CHECK_INT(changes(HF_HALF_OPEN, HF_OPEN), 1);
    HF_CHECK_INT(changes(HF_HALF_OPEN, HF_CLOSED), 1);
    HF_CHECK_INT(all_changes(), 5);
}

/* CB-23, CB-24. */
HF_TEST(the_last_failure_and_the_last_success_are_remembered)
{
    begin();
    HF_CHECK_INT(hf_load_relaxed(&b->last_failure_ns), INT64_MIN);
    HF_CHECK_INT(hf_load_relaxed(&b->last_success_ns), INT64_MIN);
    call(HF_FAILURE, 5);
    call(HF_SUCCESS, 6);
    call(HF_SUCCESS, 4); /* trap 25: times of threads come out of order */
    call(HF_IGNORED, 9);
    HF_CHECK_INT(hf_load_relaxed(&b->last_failure_ns), 5);
    HF_CHECK_INT(hf_load_relaxed(&b->last_success_ns), 6);
}

/* CB-19, D-CB-7; CB-08. */
HF_TEST(reset_by_hand_closes_it_and_is_a_change_like_any_other)
{
    begin();
    break_at(0);
    HF_CHECK(is_change(hf_breaker_override(b, HF_CLOSED, 1), HF_OPEN, HF_CLOSED));
    HF_CHECK_INT(changes(HF_OPEN, HF_CLOSED), 1);
    calls(4, HF_FAILURE, 2);
    HF_CHECK(!hf_breaker_override(b, HF_CLOSED, 3).happened); /* it was closed; the run is gone */
    HF_CHECK_INT(hf_breaker_run(b), 0);
    HF_CHECK_INT(all_changes(), 2);
}

/* trap 8: from each state to each, and back. */
HF_TEST(every_state_can_be_reached_by_hand_from_every_other)
{
    for (int from = 0; from < HF_STATES; from++)
        for (int to = 0; to < HF_STATES; to++) {
            begin();
            hf_breaker_override(b, (enum hf_state)from, 10);
            hf_change change = hf_breaker_override(b, (enum hf_state)to, 20);
            HF_CHECK_INT(hf_breaker_state(b), to);
            HF_CHECK_INT(change.happened, from != to);
            HF_CHECK_INT(changes((enum hf_state)from, (enum hf_state)to), from != to);
            HF_CHECK_INT(hf_breaker_retry_after_ns(b, 20), to == HF_OPEN          ? 60 * SECOND
                                                           : to == HF_FORCED_OPEN ? -1
                                                                                  : 0);
        }
}

HF_TEST(a_disabled_breaker_admits_everything_and_counts_nothing)
{
    begin();
    hf_breaker_override(b, HF_DISABLED, 0);
    for (int i = 0; i < 20; i++) {
        hf_breaker_permit permit = enter(i);
        HF_CHECK_INT(permit.flags, HF_PERMIT_SILENT);
        HF_CHECK(!hf_breaker_settle_fast(b, &permit));
        if (i % 3 == 0)
            hf_breaker_abandon(b, &permit);
        else if (i % 3 == 1)
            hf_breaker_undo(b, &permit);
        else
            HF_CHECK(!end(permit, HF_FAILURE, i).happened);
    }
    HF_CHECK_INT(count_of(&b->admitted) + count_of(&b->failed) + count_of(&b->abandoned), 0);
    hf_breaker_permit permit = enter(0); /* nor does one that ends after that */
    hf_breaker_override(b, HF_CLOSED, 0);
    end(permit, HF_FAILURE, 0);
    HF_CHECK_INT(count_of(&b->failed) + count_of(&b->late), 0);
}

HF_TEST(the_run_of_failures_stays_at_its_maximum)
{
    begin_with(CONFIG(.failure_threshold = 0));
    hf_store_relaxed(&b->word, HF_BREAKER_WORD(7, HF_BREAKER_COUNT_MOST - 1, 0, HF_CLOSED));
    calls(3, HF_FAILURE, 0);
    HF_CHECK_INT(hf_load_relaxed(&b->word),
                 HF_BREAKER_WORD(7, HF_BREAKER_COUNT_MOST, 0, HF_CLOSED));
}

HF_TEST(opening_an_open_breaker_by_hand_starts_its_time_again)
{
    begin();
    break_at(0);
    HF_CHECK(!hf_breaker_override(b, HF_OPEN, 50 * SECOND).happened);
    HF_CHECK(refuses(60 * SECOND));
    HF_CHECK(!refuses(110 * SECOND));
}

HF_TEST(a_breaker_may_be_moved_in_memory)
{
    static _Alignas(8) char elsewhere[sizeof breaker_memory];
    begin_with(CONFIG(.window_kind = HF_WINDOW_COUNT, .window_n = 10));
    calls(4, HF_FAILURE, 0);
    memcpy(elsewhere, breaker_memory, sizeof elsewhere);
    memset(breaker_memory, 0xFF, sizeof breaker_memory);
    hf_breaker *moved = (hf_breaker *)(void *)elsewhere;
    hf_breaker_permit permit;
    HF_CHECK(hf_breaker_admit(moved, &permit));
    HF_CHECK(hf_breaker_settle(moved, &permit, HF_FAILURE, -1, 0).happened);
    HF_CHECK_INT(hf_breaker_state(moved), HF_OPEN);
}
