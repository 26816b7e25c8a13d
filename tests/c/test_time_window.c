/* Contract of hf_time_window.h: what counts, until when, and what a clock's steps cost. */
#include "holdfast/hf_time_window.h"

#include "hf_test.h"

enum { MOST_SLICES = 64, SECOND = 1000000000 };

static _Alignas(8) char memory[sizeof(hf_time_window) + MOST_SLICES * HF__KINDS * sizeof(hf_slot)];
static hf_time_window *const w = (hf_time_window *)(void *)memory;

static void
begin(uint32_t slices, int64_t slice_ns)
{
    HF_REQUIRE(hf_time_window_size(slices) <= sizeof memory);
    hf_time_window_init(w, slices, slice_ns);
}

static void
check(hf_tally t, uint64_t calls, uint64_t failures, uint64_t slow, uint64_t ignored)
{
    HF_CHECK_INT(t.calls, calls);
    HF_CHECK_INT(t.failures, failures);
    HF_CHECK_INT(t.slow, slow);
    HF_CHECK_INT(t.ignored, ignored);
}

static uint64_t
calls_at(int64_t now_ns)
{
    return hf_time_window_read(w, 1, now_ns).calls;
}

static void
succeed_at(int64_t now_ns)
{
    hf_time_window_record(w, 1, now_ns, HF_SUCCESS, false);
}

/* trap 29. */
HF_TEST(a_fresh_window_is_empty_in_every_generation_and_at_every_time)
{
    begin(10, SECOND);
    check(hf_time_window_read(w, 0, 0), 0, 0, 0, 0);
    check(hf_time_window_read(w, 7, INT64_MAX), 0, 0, 0, 0);
    check(hf_time_window_read(w, 0, INT64_MIN), 0, 0, 0, 0);
    HF_CHECK(!hf_time_window_has_failures(w, 0, 0));
}

/* CB-27; trap 28: slow and failed mix. */
HF_TEST(each_outcome_is_counted_as_what_it_was)
{
    begin(10, SECOND);
    hf_time_window_record(w, 1, 5, HF_SUCCESS, false);
    hf_time_window_record(w, 1, 5, HF_SUCCESS, true);
    hf_time_window_record(w, 1, 5, HF_FAILURE, false);
    hf_time_window_record(w, 1, 5, HF_FAILURE, true);
    hf_time_window_record(w, 1, 5, HF_IGNORED, true);
    check(hf_time_window_read(w, 1, 5), 4, 2, 2, 1);
}

/* trap 24 and trap 26: off by nothing, and without a write. */
HF_TEST(a_call_counts_until_its_slice_has_left_the_window)
{
    begin(10, SECOND);
    hf_time_window_record(w, 1, 3 * (int64_t)SECOND + 7, HF_FAILURE, false);
    const int64_t end = 13 * (int64_t)SECOND;
    HF_CHECK_INT(calls_at(end - 1), 1);
    HF_CHECK(hf_time_window_has_failures(w, 1, end - 1));
    HF_CHECK_INT(calls_at(end), 0);
    HF_CHECK(!hf_time_window_has_failures(w, 1, end));
    HF_CHECK_INT(calls_at(end - 1), 1); /* reading had changed nothing */
}

/* trap 24: the smallest window. */
HF_TEST(a_window_of_one_slice_holds_that_slice)
{
    begin(1, SECOND);
    succeed_at(SECOND - 1);
    HF_CHECK_INT(calls_at(SECOND - 1), 1);
    HF_CHECK_INT(calls_at(SECOND), 0);
    succeed_at(SECOND);
    HF_CHECK_INT(calls_at(SECOND), 1);
}

HF_TEST(slices_leave_one_by_one)
{
    begin(10, SECOND);
    for (int64_t s = 0; s < 10; s++)
        succeed_at(s * SECOND);
    for (int64_t s = 9; s < 19; s++)
        HF_CHECK_INT(calls_at(s * SECOND), 19 - s);
    HF_CHECK_INT(calls_at(19 * (int64_t)SECOND), 0);
}

/* trap 27: however long the pause, old slots do not come back, and the call that ends it counts. */
HF_TEST(nothing_is_left_after_idle_time)
{
    const int64_t turn = 5 * (INT64_C(1) << 28); /* slots have the same epochs again */
    const int64_t pauses[] = {10,       11,   19,       20,       1000,     (1 << 16) + 3, 1 << 27,
                              turn - 9, turn, turn + 9, 2 * turn, 6 * turn, 6 * turn + 9};
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        begin(10, SECOND);
        for (int64_t s = 0; s < 10; s++)
            succeed_at(s * SECOND);
        const int64_t now = (9 + pauses[i]) * SECOND;
        HF_CHECK_INT(calls_at(now), 0);
        succeed_at(now);
        HF_CHECK_INT(calls_at(now), 1);
    }
}

/* trap 25. */
HF_TEST(a_thread_whose_time_is_behind_counts_in_the_current_slice)
{
    begin(10, SECOND);
    succeed_at(20 * (int64_t)SECOND);
    succeed_at(19 * (int64_t)SECOND);
    succeed_at(11 * (int64_t)SECOND);
    HF_CHECK_INT(calls_at(20 * (int64_t)SECOND), 3);
    HF_CHECK_INT(calls_at(11 * (int64_t)SECOND), 3);
    HF_CHECK_INT(calls_at(29 * (int64_t)SECOND), 3); /* all of them went to the slice of 20 s */
    HF_CHECK_INT(calls_at(30 * (int64_t)SECOND), 0);
}

/* trap 25: a thread that was stopped for a window or longer, between its look at the clock and its record. */
HF_TEST(a_record_that_comes_later_than_a_window_takes_nothing_from_the_present)
{
    const int64_t behind[] = {10, 11, 15, 20, 3600, 100000, (1 << 16) * 10, (1 << 16) * 10 + 10};
    const int64_t now = 3000000 * (int64_t)SECOND;
    for (size_t i = 0; i < sizeof behind / sizeof *behind; i++) {
        begin(10, SECOND);
        for (int64_t s = 9; s >= 0; s--)
            for (int k = 0; k < 5; k++) {
                hf_time_window_record(w, 1, now - s * SECOND, HF_FAILURE, true);
                succeed_at(now - s * SECOND);
                hf_time_window_record(w, 1, now - s * SECOND, HF_IGNORED, false);
            }
        for (int outcome = HF_SUCCESS; outcome <= HF_IGNORED; outcome++)
            for (int64_t s = 0; s < 10; s++)
                hf_time_window_record(w, 1, now - (behind[i] + s) * SECOND, outcome, true);
        check(hf_time_window_read(w, 1, now), 100, 50, 50, 50);
        HF_CHECK(hf_time_window_has_failures(w, 1, now + 9 * (int64_t)SECOND));
        for (int64_t s = 0; s <= 10; s++) /* each slice leaves when it would have */
            HF_CHECK_INT(calls_at(now + s * SECOND), 100 - 10 * s);
    }
}

/* trap 25. */
HF_TEST(who_reads_with_an_old_time_sees_the_window_of_the_latest_record)
{
    begin(10, SECOND);
    hf_time_window_record(w, 1, 100 * (int64_t)SECOND, HF_FAILURE, false);
    for (int64_t s = 0; s <= 100; s++) {
        check(hf_time_window_read(w, 1, s * SECOND), 1, 1, 0, 0);
        HF_CHECK(hf_time_window_has_failures(w, 1, s * SECOND));
    }
}

/* A thread is stopped between counting a failure and leaving the hint, for longer than half the range. */
HF_TEST(a_hint_that_comes_late_takes_nothing_from_a_later_one)
{
    const int64_t later[] = {10, 1000, INT64_C(1) << 34, (INT64_C(1) << 34) + 1};
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        begin(10, 1);
        hf_time_window_record(w, 1, 0, HF_FAILURE, false);
        HF_CHECK(hf_time_window_has_failures(w, 1, 0));
        hf_time_window_record(w, 1, later[i], HF_FAILURE, false);
        hf__time_window_warn(w, hf_load_relaxed(&w->era), 0);
        HF_CHECK(hf_time_window_has_failures(w, 1, later[i]));
    }
}

/* trap 21. */
HF_TEST(a_step_forward_costs_one_window_and_nothing_that_comes_after)
{
    begin(10, SECOND);
    succeed_at(0);
    const int64_t later = 86400 * 365 * (int64_t)SECOND;
    for (int k = 0; k < 54; k++)
        succeed_at(later);
    HF_CHECK_INT(calls_at(later), 54);
}

HF_TEST(the_window_has_no_seam_at_time_zero_nor_at_the_ends_of_time)
{
    begin(10, SECOND);
    for (int64_t s = -5; s < 5; s++)
        succeed_at(s * SECOND);
    HF_CHECK_INT(calls_at(4 * (int64_t)SECOND), 10);
    HF_CHECK_INT(calls_at(5 * (int64_t)SECOND), 9);
    const int64_t times[] = {INT64_MIN, -1, 0, INT64_MAX};
    for (int64_t slice_ns = 1; slice_ns <= SECOND; slice_ns *= SECOND) {
        begin(3, slice_ns);
        for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
            hf_time_window_record(w, 1, times[i], HF_SUCCESS, false);
            HF_CHECK_INT(calls_at(times[i]), times[i] == 0 ? 2 : 1);
        }
        hf_time_window_record(w, 1, INT64_MIN, HF_SUCCESS, false);
        HF_CHECK_INT(calls_at(INT64_MAX), 1);
    }
}

/* D-CB-3 and trap 11: what belongs to another generation neither counts nor disturbs. */
HF_TEST(a_new_generation_finds_the_window_empty_and_an_old_one_changes_nothing)
{
    begin(10, SECOND);
    hf_time_window_record(w, 1, 0, HF_FAILURE, true);
    check(hf_time_window_read(w, 2, 0), 0, 0, 0, 0);
    HF_CHECK(!hf_time_window_has_failures(w, 2, 0));
    hf_time_window_record(w, 2, 0, HF_SUCCESS, false);
    hf_time_window_record(w, 1, 0, HF_FAILURE, true);
    check(hf_time_window_read(w, 2, 0), 1, 0, 0, 0);
    check(hf_time_window_read(w, 1, 0), 0, 0, 0, 0);
    HF_CHECK(!hf_time_window_has_failures(w, 2, 0));
}

/* A slot keeps eight bits of the era: half of all distances would look like a later one. */
HF_TEST(a_slot_untouched_for_many_generations_in_one_slice_is_used_again)
{
    for (uint64_t distance = 1; distance < 256; distance++) {
        begin(10, SECOND);
        hf_time_window_record(w, 1, 0, HF_SUCCESS, false);
        for (uint64_t gen = 2; gen <= 1 + distance; gen++)
            hf_time_window_record(w, gen, 0, HF_FAILURE, false);
        hf_time_window_record(w, 1 + distance, 0, HF_SUCCESS, false);
        check(hf_time_window_read(w, 1 + distance, 0), 2, 1, 0, 0);
    }
}

HF_TEST(of_a_generation_that_is_too_long_the_low_bits_count)
{
    const uint64_t beyond = UINT64_C(1) << 35;
    begin(4, SECOND);
    hf_time_window_record(w, beyond + 3, 0, HF_FAILURE, false);
    hf_time_window_record(w, beyond + 3, 0, HF_IGNORED, false);
    hf_time_window_record(w, 2 * beyond, 0, HF_FAILURE, false); /* late */
    check(hf_time_window_read(w, beyond + 3, 0), 1, 1, 0, 1);
    check(hf_time_window_read(w, 3, 0), 1, 1, 0, 1);
    hf_time_window_record(w, UINT64_MAX, 0, HF_SUCCESS, false);
    check(hf_time_window_read(w, UINT64_MAX, 0), 1, 0, 0, 0);
}

HF_TEST(generations_in_which_nothing_was_recorded_cost_nothing)
{
    begin(10, SECOND);
    hf_time_window_record(w, 1, 0, HF_FAILURE, false);
    const uint64_t later[] = {129, 257, 1025, (UINT64_C(1) << 35) - 1};
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        check(hf_time_window_read(w, later[i], 0), 0, 0, 0, 0);
        hf_time_window_record(w, later[i], 0, HF_SUCCESS, false);
        check(hf_time_window_read(w, later[i], 0), 1, 0, 0, 0);
    }
}

HF_TEST(the_hint_of_trouble_lasts_as_long_as_the_last_trouble)
{
    begin(4, SECOND);
    hf_time_window_record(w, 1, 0, HF_FAILURE, false);
    hf_time_window_record(w, 1, 2 * (int64_t)SECOND, HF_SUCCESS, true);
    hf_time_window_record(w, 1, 3 * (int64_t)SECOND, HF_SUCCESS, false);
    hf_time_window_record(w, 1, 3 * (int64_t)SECOND, HF_IGNORED, true);
    HF_CHECK(hf_time_window_has_failures(w, 1, 6 * (int64_t)SECOND - 1));
    HF_CHECK(!hf_time_window_has_failures(w, 1, 6 * (int64_t)SECOND));
}

HF_TEST(a_window_may_be_moved_in_memory)
{
    static _Alignas(8) char elsewhere[sizeof memory];
    begin(10, SECOND);
    hf_time_window_record(w, 1, 0, HF_FAILURE, false);
    memcpy(elsewhere, memory, sizeof memory);
    memset(memory, 0xFF, sizeof memory);
    check(hf_time_window_read((hf_time_window *)(void *)elsewhere, 1, 0), 1, 1, 0, 0);
}
