/* Every schedule of two and three threads over a count window, and over a breaker that has a window. */
#include "breaker_actors.h"

static _Alignas(8) char memory[1024];
static hf_count_window *const counts = (hf_count_window *)(void *)memory;

/* --- count window ---------------------------------------------------------------------------- */

static uint32_t length, recorded; /* of the count window, and calls before the threads begin */

/* A window of generation 1 into which some calls have gone, so that laps begin at any place. */
static void
window_with_calls(void *world)
{
    hf_count_window_init(counts, length);
    for (uint32_t i = 0; i < recorded; i++)
        hf_count_window_record(counts, 1, i % 2 ? HF_SUCCESS : HF_FAILURE, i % 3 == 0);
}

static void
record_two(void *world, int index)
{
    hf_count_window_record(counts, 1, index == 0 ? HF_FAILURE : HF_SUCCESS, index == 1);
    hf_count_window_record(counts, 1, HF_SUCCESS, index == 0);
}

static void
record_one(void *world, int index)
{
    hf_count_window_record(counts, 1, index == 0 ? HF_FAILURE : HF_SUCCESS, index == 1);
}

/* trap 28: the sums are those of the marks, and the window is as full as it should be. */
static bool
sums_are_those_of_the_marks(uint64_t gen, uint64_t calls)
{
    const uint64_t era = HF__NEXT_ERA(hf_load_relaxed(&counts->next));
    const hf_tally t = hf_count_window_read(counts, gen);
    uint64_t marked = 0, failures = 0, slow = 0;
    for (uint32_t i = 0; i < length; i++) {
        const uint64_t mark = hf_load_relaxed(&counts->marks[i]);
        if (mark >> 6 != era || i >= calls)
            continue;
        marked++;
        failures += mark & 1;
        slow += mark >> 1 & 1;
    }
    return t.calls == (calls < length ? calls : length) && t.calls == marked &&
           t.failures == failures && t.slow == slow;
}

static bool
four_more(void *world)
{
    return sums_are_those_of_the_marks(1, recorded + 4);
}

static bool
three_more(void *world)
{
    return sums_are_those_of_the_marks(1, recorded + 3);
}

HF_TEST(the_sums_of_a_count_window_are_those_of_its_calls)
{
    for (length = 1; length <= 3; length++) {
        recorded = length == 1 ? 3 : length == 2 ? 0 : 4; /* laps: last, first, second */
        HF_CHECK(explored("two record two each", 2, window_with_calls, record_two, four_more));
    }
    recorded = 0;
    length = 3;
    HF_CHECK(explored("three record one each", 3, window_with_calls, record_one, three_more));
}

static hf_tally in_between;

static void
two_record_one_reads(void *world, int index)
{
    if (index < 2)
        record_one(world, index);
    else
        in_between = hf_count_window_read(counts, 1);
}

static bool
the_reading_is_of_a_window(void *world)
{
    const hf_tally t = in_between;
    return t.calls <= length && t.calls >= 1 && t.failures <= t.calls && t.slow <= t.calls &&
           sums_are_those_of_the_marks(1, recorded + 2);
}

/* trap 28, at every moment: a call that comes and the one that it displaces are not both shown. */
HF_TEST(a_reader_never_sees_more_calls_than_the_window_holds)
{
    for (length = 1; length <= 2; length++)
        for (recorded = 1; recorded <= 2 * length; recorded++) {
            HF_CHECK(explored("two record, one reads", 3, window_with_calls, two_record_one_reads,
                              the_reading_is_of_a_window));
        }
}

static void
late_beside_two_of_the_next_generation(void *world, int index)
{
    hf_count_window_record(counts, index == 0 ? 1 : 2, index == 0 ? HF_FAILURE : HF_SUCCESS,
                           index == 0);
}

static bool
only_the_next_generation_counts(void *world)
{
    return sums_are_those_of_the_marks(2, 2) && hf_count_window_read(counts, 2).failures == 0 &&
           hf_count_window_read(counts, 1).calls == 0;
}

/* D-CB-3: held up anywhere in a record, the last call of a generation spoils nothing of the next. */
HF_TEST(a_late_record_leaves_the_next_generation_alone)
{
    recorded = 3;
    length = 2;
    HF_CHECK(explored("late beside two in time", 3, window_with_calls,
                      late_beside_two_of_the_next_generation, only_the_next_generation_counts));
}

/* --- a breaker that judges by a window ------------------------------------------------------- */

static uint32_t window_kind;

/* It is to open at the third call if two of them failed. */
static void
calls_in_flight(void *world)
{
    begin_with(CONFIG(.failure_threshold = 0, .failure_rate_ppb = 500000000, .min_calls = 3,
                      .window_kind = window_kind, .window_n = window_kind == HF_WINDOW_TIME ? 2 : 3,
                      .slice_ns = SECOND));
    call(HF_FAILURE, 0);
    for (int i = 0; i < 2; i++)
        early[i] = enter(0);
    ready();
}

static void
one_fails_one_succeeds(void *world, int index)
{
    actors[index].permit = early[index];
    end_at(&actors[index], index == 0 ? HF_FAILURE : HF_SUCCESS, 0);
}

static bool
opened_whoever_came_last(void *world)
{
    return accounts_balance() && hf_breaker_state(b) == HF_OPEN &&
           changes(HF_CLOSED, HF_OPEN) == 1 && hf_breaker_in_flight(b) == 0;
}

/* CB-27: of a failure and a success at once, one sees that together they are enough. */
HF_TEST(no_judgement_is_missed_between_a_failure_and_a_success)
{
    for (window_kind = HF_WINDOW_COUNT; window_kind <= HF_WINDOW_TIME; window_kind++)
        HF_CHECK(explored("a failure and a success end", 2, calls_in_flight, one_fails_one_succeeds,
                          opened_whoever_came_last));
}
