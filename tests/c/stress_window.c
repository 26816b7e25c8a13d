/*
 * Real threads over the windows: no call is lost or counted twice, and no sum is ever more than
 * what it is a sum of.
 */
#include "holdfast/hf_count_window.h"
#include "holdfast/hf_random.h"
#include "holdfast/hf_time_window.h"

#include "hf_threads.h"

enum { THREADS = 8, MOST_CALLS = 1000, SLICES = 20, SLICE = 1000 };

static _Alignas(64) char memory[1 << 13];
static hf_count_window *const counts = (hf_count_window *)(void *)memory;
static hf_time_window *const times = (hf_time_window *)(void *)memory;

static struct {
    hf_tally recorded;
    char padding[64];
} accounts[THREADS];
static hf_au64 generation;
static hf_ai64 now;
static long rounds;

/* trap 28, at every moment. */
static void
check_bounds(hf_tally t, uint64_t most)
{
    HF_CHECK(t.calls <= most && t.failures <= t.calls && t.slow <= t.calls);
}

/* --- count window ---------------------------------------------------------------------------- */

static void
count(void *shared, int index)
{
    const bool generations_end = *(const bool *)shared;
    hf_random r;
    hf_random_init(&r, (uint64_t)index);
    for (long i = 0; i < rounds; i++) {
        const uint64_t gen = hf_load_relaxed(&generation);
        hf_count_window_record(counts, gen, hf_random_below(&r, 4) ? HF_SUCCESS : HF_FAILURE,
                               hf_random_below(&r, 4) == 0);
        check_bounds(hf_count_window_read(counts, gen), counts->n);
        if (generations_end && hf_random_below(&r, 100) == 0)
            hf_count(&generation, 1);
    }
}

/* trap 28: when nobody is under way, the sums are those of the marks of this era. */
static void
check_sums(uint64_t gen)
{
    const uint64_t era = HF__NEXT_ERA(hf_load_relaxed(&counts->next));
    hf_tally marks = {0, 0, 0, 0}, t = hf_count_window_read(counts, gen);
    for (uint32_t i = 0; i < counts->n; i++) {
        const uint64_t mark = hf_load_relaxed(&counts->marks[i]);
        if (mark >> 6 != era)
            continue;
        marks.calls++;
        marks.failures += mark & 1;
        marks.slow += mark >> 1 & 1;
    }
    HF_CHECK_INT(t.calls, marks.calls);
    HF_CHECK_INT(t.failures, marks.failures);
    HF_CHECK_INT(t.slow, marks.slow);
}

HF_TEST(the_sums_of_a_count_window_are_those_of_its_calls)
{
    bool generations_end = false;
    const uint32_t sizes[] = {1, 2, 100, MOST_CALLS};
    rounds = hf_threads_rounds(50 * 1000);
    HF_REQUIRE(hf_count_window_size(MOST_CALLS) <= sizeof memory);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        hf_count_window_init(counts, sizes[i]);
        hf_store_relaxed(&generation, 1);
        hf_threads_run(THREADS, count, &generations_end);
        check_sums(1);
        HF_CHECK_INT(hf_count_window_read(counts, 1).calls, sizes[i]);
    }
}

/*
 * Generations end all the time. Eras keep ten bits and come round here, so what is left over of
 * 1024 eras ago is met as well; a window is filled so often that it is always overwritten.
 */
HF_TEST(late_records_leave_the_next_generation_of_a_count_window_alone)
{
    bool generations_end = true;
    rounds = hf_threads_rounds(50 * 1000);
    hf_count_window_init(counts, 3);
    hf_store_relaxed(&generation, 1);
    hf_threads_run(THREADS, count, &generations_end);
    check_sums(hf_load_relaxed(&generation));
}

/* --- time window ----------------------------------------------------------------------------- */

/* Threads see times of a few slices, in any order, which all stay in the window. */
static void
record(void *shared, int index)
{
    hf_random r;
    hf_tally *mine = &accounts[index].recorded;
    hf_random_init(&r, (uint64_t)index);
    for (long i = 0; i < rounds; i++) {
        const int outcome = (int)hf_random_below(&r, 3);
        const bool slow = hf_random_below(&r, 2);
        int64_t t = hf_load_relaxed(&now);
        hf_time_window_record(times, 1, t - (int64_t)hf_random_below(&r, 2 * SLICE), outcome, slow);
        if (hf_random_below(&r, 20) == 0) /* and some that come later than a window */
            hf_time_window_record(times, 1,
                                  t - (SLICES + 2 + (int64_t)hf_random_below(&r, 40)) * SLICE,
                                  outcome, slow);
        mine->calls += outcome != HF_IGNORED;
        mine->failures += outcome == HF_FAILURE;
        mine->slow += outcome != HF_IGNORED && slow;
        mine->ignored += outcome == HF_IGNORED;
        check_bounds(hf_time_window_read(times, 1, t), UINT64_MAX);
        if (i % (rounds / 10 + 1) == 0)
            hf_cas_weak_relaxed(&now, &t, t + SLICE / THREADS);
    }
}

/* trap 23, trap 25: slices begin under everybody's hands, and no call is lost in between, nor wiped. */
HF_TEST(every_call_is_in_the_time_window_once)
{
    hf_tally sum = {0, 0, 0, 0};
    rounds = hf_threads_rounds(50 * 1000);
    HF_REQUIRE(hf_time_window_size(SLICES) <= sizeof memory);
    memset(accounts, 0, sizeof accounts);
    hf_time_window_init(times, SLICES, SLICE);
    hf_store_relaxed(&now, 1000 * 1000 * SLICE);
    hf_time_window_record(times, 1, hf_load_relaxed(&now), HF_SUCCESS, false);
    sum.calls = 1;
    hf_threads_run(THREADS, record, NULL);
    for (int i = 0; i < THREADS; i++) {
        sum.calls += accounts[i].recorded.calls;
        sum.failures += accounts[i].recorded.failures;
        sum.slow += accounts[i].recorded.slow;
        sum.ignored += accounts[i].recorded.ignored;
    }
    const hf_tally t = hf_time_window_read(times, 1, hf_load_relaxed(&now));
    HF_CHECK_INT(t.calls, sum.calls);
    HF_CHECK_INT(t.failures, sum.failures);
    HF_CHECK_INT(t.slow, sum.slow);
    HF_CHECK_INT(t.ignored, sum.ignored);
    HF_CHECK(hf_time_window_has_failures(times, 1, hf_load_relaxed(&now)));
}
