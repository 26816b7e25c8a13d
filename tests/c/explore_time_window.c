/* Every schedule of two and three threads over a time window, whoever of them is held up where. */
#include "holdfast/hf_time_window.h"

#include "explored.h"

enum { SECOND = 1000000000 };

static _Alignas(8) char memory[1024];
static hf_tally in_between; /* as read by a thread */
static uint64_t threads;
static hf_time_window *const times = (hf_time_window *)(void *)memory;

static void
window_full_of_the_past(void *world)
{
    hf_time_window_init(times, 2, SECOND);
    for (int64_t s = 3; s < 5; s++) {
        hf_time_window_record(times, 1, s * (int64_t)SECOND, HF_SUCCESS, false);
        hf_time_window_record(times, 1, s * (int64_t)SECOND, HF_FAILURE, true);
    }
}

static void
record_across_slices(void *world, int index)
{
    hf_time_window_record(times, 1, (5 + index % 2) * (int64_t)SECOND,
                          index == 0 ? HF_FAILURE : HF_SUCCESS, false);
}

/* trap 23: the call that a new slice begins with is not lost, nor one that comes with it. */
static bool
all_are_in_the_window(void *world)
{
    const hf_tally t = hf_time_window_read(times, 1, 6 * (int64_t)SECOND);
    return t.calls == threads && t.failures == 1 && t.slow == 0 &&
           hf_time_window_has_failures(times, 1, 6 * (int64_t)SECOND);
}

HF_TEST(calls_that_begin_slices_at_once_are_all_counted)
{
    for (threads = 2; threads <= 3; threads++) {
        HF_CHECK(explored("record across slices", (int)threads, window_full_of_the_past,
                          record_across_slices, all_are_in_the_window));
    }
}

static void
empty_window_of_two_slices(void *world)
{
    hf_time_window_init(times, 2, SECOND);
}

static void
fail_in_slices_5_and_7(void *world, int index)
{
    hf_time_window_record(times, 1, (5 + 2 * index) * (int64_t)SECOND, HF_FAILURE, index == 0);
}

/* Slices 5 and 7 share their slots, and 7 has them in the end, whoever was held up where. */
static bool
the_later_slice_keeps_its_slots(void *world)
{
    const hf_tally t = hf_time_window_read(times, 1, 7 * (int64_t)SECOND);
    return t.calls == 1 && t.failures == 1 && t.slow == 0 &&
           hf_time_window_has_failures(times, 1, 7 * (int64_t)SECOND) &&
           hf_time_window_has_failures(times, 1, 8 * (int64_t)SECOND);
}

static void
fail_in_slices_5_and_100007(void *world, int index)
{
    hf_time_window_record(times, 1, (5 + 100002 * index) * (int64_t)SECOND, HF_FAILURE, index == 0);
}

static bool
the_slice_of_much_later_keeps_its_slots(void *world)
{
    const hf_tally t = hf_time_window_read(times, 1, 100007 * (int64_t)SECOND);
    return t.calls == 1 && t.failures == 1 && t.slow == 0 &&
           hf_time_window_has_failures(times, 1, 100007 * (int64_t)SECOND);
}

/* trap 25: a thread held up for a whole window, or for a day, does not wipe what has come since. */
HF_TEST(a_record_held_up_for_a_window_is_dropped)
{
    HF_CHECK(explored("fail in slices that share a slot", 2, empty_window_of_two_slices,
                      fail_in_slices_5_and_7, the_later_slice_keeps_its_slots));
    HF_CHECK(explored("fail in slices much later", 2, empty_window_of_two_slices,
                      fail_in_slices_5_and_100007, the_slice_of_much_later_keeps_its_slots));
}

/* As hf__time_window_count() would be, were a slot of another slice taken without a look at the head. */
static void
wrong_count(hf_slot *slot, uint64_t era, int64_t slice)
{
    uint64_t seen;
    while (!hf_slot_add(slot, era, (uint64_t)slice, 1, &seen))
        if (hf_slot_replace(slot, seen, era, (uint64_t)slice, 1))
            return;
}

static void
wrongly_fail_in_slice_5_or_fail_in_7(void *world, int index)
{
    uint64_t era;
    int64_t slice;
    if (index != 0)
        fail_in_slices_5_and_7(world, index);
    else if (hf__time_window_era(times, 1, &era) &&
             hf__time_window_enter(times, 5 * (int64_t)SECOND, &slice))
        wrong_count(&times->slots[hf__time_window_place(times, slice) + HF__KIND_FAILURE], era,
                    slice);
}

HF_TEST(the_explorer_finds_a_record_that_does_not_look_at_the_head)
{
    HF_CHECK(finds("wrong: fail in slices that share a slot", 2, empty_window_of_two_slices,
                   wrongly_fail_in_slice_5_or_fail_in_7, the_later_slice_keeps_its_slots));
}

/* A success for each failure, before it: no reader sees more failures than successes. */
static void
window_of_both(void *world)
{
    memset(&in_between, 0, sizeof in_between);
    hf_time_window_init(times, 2, SECOND);
    hf_time_window_record(times, 1, 5 * (int64_t)SECOND, HF_SUCCESS, false);
    hf_time_window_record(times, 1, 5 * (int64_t)SECOND, HF_FAILURE, false);
}

static void
read_or_go_on(void *world, int index)
{
    if (index == 0)
        in_between = hf_time_window_read(times, 1, 5 * (int64_t)SECOND);
    else
        hf_time_window_record(times, 1, 7 * (int64_t)SECOND, HF_SUCCESS, false);
}

static bool
no_failure_is_seen_without_its_success(void *world)
{
    return in_between.failures == (in_between.calls == 2);
}

HF_TEST(a_reader_held_up_for_a_window_sees_no_half_of_it)
{
    HF_CHECK(explored("read while a window goes by", 2, window_of_both, read_or_go_on,
                      no_failure_is_seen_without_its_success));
}

static void
fail_in_slices_5_and_6(void *world, int index)
{
    hf_time_window_record(times, 1, (5 + index) * (int64_t)SECOND, HF_FAILURE, false);
}

static bool
the_hint_lasts_as_long_as_the_failures(void *world)
{
    const hf_tally at_6 = hf_time_window_read(times, 1, 6 * (int64_t)SECOND);
    const hf_tally at_7 = hf_time_window_read(times, 1, 7 * (int64_t)SECOND);
    return at_6.failures == 2 && at_7.failures >= 1 &&
           hf_time_window_has_failures(times, 1, 7 * (int64_t)SECOND) &&
           !hf_time_window_has_failures(times, 1, 8 * (int64_t)SECOND);
}

HF_TEST(the_hint_of_trouble_never_goes_back)
{
    HF_CHECK(explored("fail in slices side by side", 2, empty_window_of_two_slices,
                      fail_in_slices_5_and_6, the_hint_lasts_as_long_as_the_failures));
}

static void
window_of_two_generations(void *world)
{
    hf_time_window_init(times, 2, SECOND);
    hf_time_window_record(times, 1, 0, HF_FAILURE, false);
}

static void
late_beside_two_in_time(void *world, int index)
{
    hf_time_window_record(times, index == 0 ? 1 : 2, 0, index < 2 ? HF_FAILURE : HF_SUCCESS, false);
}

static bool
two_in_time(void *world)
{
    const hf_tally t = hf_time_window_read(times, 2, 0);
    return t.calls == 2 && t.failures == 1 && hf_time_window_has_failures(times, 2, 0);
}

/* D-CB-3. */
HF_TEST(a_late_record_leaves_the_next_generation_of_a_time_window_alone)
{
    HF_CHECK(explored("late beside two in time", 3, window_of_two_generations,
                      late_beside_two_in_time, two_in_time));
}
