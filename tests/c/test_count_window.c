/* Contract of hf_count_window.h: the last n calls, whatever they were, generation by generation. */
#include "holdfast/hf_count_window.h"

#include "hf_test.h"

static _Alignas(8) char memory[sizeof(hf_count_window) + HF_COUNT_WINDOW_MOST * 2 + 8];
static hf_count_window *const w = (hf_count_window *)(void *)memory;

static void
begin(uint32_t n)
{
    HF_REQUIRE(hf_count_window_size(n) <= sizeof memory);
    hf_count_window_init(w, n);
}

static void
check(hf_tally t, uint64_t calls, uint64_t failures, uint64_t slow, uint64_t ignored)
{
    HF_CHECK_INT(t.calls, calls);
    HF_CHECK_INT(t.failures, failures);
    HF_CHECK_INT(t.slow, slow);
    HF_CHECK_INT(t.ignored, ignored);
}

static void
record(int times, uint64_t gen, int outcome, bool slow)
{
    while (times-- > 0)
        hf_count_window_record(w, gen, outcome, slow);
}

/* trap 29. */
HF_TEST(a_fresh_window_is_empty_in_every_generation)
{
    begin(10);
    check(hf_count_window_read(w, 0), 0, 0, 0, 0);
    check(hf_count_window_read(w, 1), 0, 0, 0, 0);
    HF_CHECK(!hf_count_window_has_failures(w));
}

/* CB-27. */
HF_TEST(the_window_holds_the_last_calls_and_no_more)
{
    begin(3);
    record(1, 1, HF_FAILURE, false);
    check(hf_count_window_read(w, 1), 1, 1, 0, 0);
    HF_CHECK(hf_count_window_has_failures(w));
    record(1, 1, HF_SUCCESS, true);
    record(1, 1, HF_FAILURE, true);
    check(hf_count_window_read(w, 1), 3, 2, 2, 0);
    record(1, 1, HF_SUCCESS, false);
    check(hf_count_window_read(w, 1), 3, 1, 2, 0);
    record(2, 1, HF_SUCCESS, true); /* slow calls alone are failures to look at */
    check(hf_count_window_read(w, 1), 3, 0, 2, 0);
    HF_CHECK(hf_count_window_has_failures(w));
    record(3, 1, HF_SUCCESS, false);
    check(hf_count_window_read(w, 1), 3, 0, 0, 0);
    HF_CHECK(!hf_count_window_has_failures(w));
}

/* trap 24: resilience4j #2334, a window of 1. */
HF_TEST(a_window_of_one_call_holds_the_last_one)
{
    begin(1);
    for (int i = 0; i < 10; i++) {
        record(1, 1, HF_FAILURE, i % 2);
        check(hf_count_window_read(w, 1), 1, 1, (uint64_t)i % 2, 0);
        record(1, 1, HF_SUCCESS, false);
        check(hf_count_window_read(w, 1), 1, 0, 0, 0);
    }
}

HF_TEST(the_largest_window_holds_as_many_calls)
{
    const int n = HF_COUNT_WINDOW_MOST;
    begin(HF_COUNT_WINDOW_MOST);
    record(n, 1, HF_FAILURE, true);
    check(hf_count_window_read(w, 1), (uint64_t)n, (uint64_t)n, (uint64_t)n, 0);
    record(3 * n - 1, 1, HF_SUCCESS, false); /* through the third lap and once more round it */
    record(1, 1, HF_SUCCESS, true);
    check(hf_count_window_read(w, 1), (uint64_t)n, 0, 1, 0);
}

HF_TEST(an_ignored_call_takes_no_place)
{
    begin(2);
    record(2, 1, HF_FAILURE, false);
    record(100, 1, HF_IGNORED, true);
    check(hf_count_window_read(w, 1), 2, 2, 0, 100);
    record(1, 2, HF_IGNORED, false);
    check(hf_count_window_read(w, 2), 0, 0, 0, 1);
    record(1, 1, HF_IGNORED, false); /* late */
    check(hf_count_window_read(w, 2), 0, 0, 0, 1);
}

HF_TEST(the_count_of_ignored_calls_stays_at_its_maximum)
{
    begin(2);
    record(1, 5, HF_IGNORED, false);
    hf_store_relaxed(&w->ignored, UINT64_C(5) << 29 | (HF__IGNORED_MOST - 1));
    record(3, 5, HF_IGNORED, false);
    HF_CHECK_INT(hf_count_window_read(w, 5).ignored, HF__IGNORED_MOST);
    record(1, 6, HF_IGNORED, false);
    HF_CHECK_INT(hf_count_window_read(w, 6).ignored, 1);
}

/* D-CB-3 and trap 11: what belongs to another generation neither counts nor disturbs. */
HF_TEST(a_new_generation_finds_the_window_empty_and_an_old_one_changes_nothing)
{
    begin(5);
    record(5, 1, HF_FAILURE, true);
    check(hf_count_window_read(w, 2), 0, 0, 0, 0);
    record(2, 2, HF_SUCCESS, false);
    record(7, 1, HF_FAILURE, true);
    check(hf_count_window_read(w, 2), 2, 0, 0, 0);
    check(hf_count_window_read(w, 1), 0, 0, 0, 0);
    record(3, 2, HF_FAILURE, false);
    check(hf_count_window_read(w, 2), 5, 3, 0, 0);
}

HF_TEST(of_a_generation_that_is_too_long_the_low_bits_count)
{
    const uint64_t beyond = UINT64_C(1) << 35;
    begin(4);
    record(1, beyond + 3, HF_FAILURE, false);
    record(1, beyond + 3, HF_IGNORED, false);
    record(1, 2 * beyond, HF_FAILURE, false); /* late */
    check(hf_count_window_read(w, beyond + 3), 1, 1, 0, 1);
    check(hf_count_window_read(w, 3), 1, 1, 0, 1);
    record(1, UINT64_MAX, HF_SUCCESS, false);
    check(hf_count_window_read(w, UINT64_MAX), 1, 0, 0, 0);
}

HF_TEST(generations_in_which_nothing_was_recorded_cost_nothing)
{
    const uint64_t later[] = {129, 1024, 1025, 2049, (UINT64_C(1) << 35) - 1};
    begin(4);
    record(4, 1, HF_FAILURE, false);
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        check(hf_count_window_read(w, later[i]), 0, 0, 0, 0);
        record(1, later[i], HF_SUCCESS, false);
        check(hf_count_window_read(w, later[i]), 1, 0, 0, 0);
    }
}

/*
 * Marks keep ten bits of the era. Here each of 1024 eras makes one call, so all places but the
 * first still bear the marks of the first era when its bits come round again.
 */
HF_TEST(marks_of_an_era_with_the_same_low_bits_are_not_taken_for_present_ones)
{
    begin(4);
    record(4, 1, HF_FAILURE, true);
    for (uint64_t gen = 2; gen <= 1024; gen++)
        record(1, gen, HF_SUCCESS, false);
    for (int i = 1; i <= 4; i++) {
        record(1, 1025, HF_SUCCESS, false);
        check(hf_count_window_read(w, 1025), (uint64_t)i, 0, 0, 0);
    }
    record(4, 1025, HF_FAILURE, false);
    check(hf_count_window_read(w, 1025), 4, 4, 0, 0);
}

/* trap 28: even a mark that was never added (see the header) takes nothing below zero. */
HF_TEST(no_sum_goes_below_zero)
{
    begin(2);
    record(3, 1, HF_SUCCESS, false);
    hf_store_relaxed(&w->marks[1], (uint16_t)(1 << 6 | 3)); /* slow and failed, of this era */
    record(1, 1, HF_SUCCESS, false);
    check(hf_count_window_read(w, 1), 2, 0, 0, 0);
    HF_CHECK_INT(HF__TOTALS_ERA(hf_load_relaxed(&w->totals)), 1);
}

HF_TEST(a_window_may_be_moved_in_memory)
{
    static _Alignas(8) char elsewhere[256];
    begin(10);
    record(3, 1, HF_FAILURE, false);
    memcpy(elsewhere, memory, hf_count_window_size(10));
    memset(memory, 0xFF, sizeof elsewhere);
    hf_count_window *moved = (hf_count_window *)(void *)elsewhere;
    hf_count_window_record(moved, 1, HF_SUCCESS, true);
    check(hf_count_window_read(moved, 1), 4, 3, 1, 0);
}
