/* Contract of hf_timeout.h: a duration that may change, deadlines that saturate, counts. */
#include "hf_test.h"

#include "holdfast/hf_timeout.h"

#define SECOND INT64_C(1000000000)

static hf_timeout
timeout(int64_t duration_ns)
{
    hf_timeout t;
    memset(&t, 0xFF, sizeof t); /* whatever was there before */
    hf_timeout_init(&t, duration_ns);
    return t;
}

HF_TEST(it_begins_with_its_duration_and_nothing_counted) /* TO-01 */
{
    const int64_t durations[] = {0, 1, 1000, 30 * SECOND, INT64_MAX};
    for (unsigned i = 0; i < sizeof durations / sizeof *durations; i++) {
        hf_timeout t = timeout(durations[i]);
        HF_CHECK_INT(hf_load_relaxed(&t.duration_ns), durations[i]);
        HF_CHECK_INT(hf_load_relaxed(&t.in_time), 0);
        HF_CHECK_INT(hf_load_relaxed(&t.expired), 0);
        HF_CHECK_INT(hf_load_relaxed(&t.late), 0);
        HF_CHECK_INT(hf_load_relaxed(&t.refused), 0);
        HF_CHECK_INT(hf_load_relaxed(&t.abandoned), 0);
        HF_CHECK_INT(hf_load_relaxed(&t.stopped), 0);
        HF_CHECK_INT(hf_load_relaxed(&t.observed), 0);
    }
}

HF_TEST(a_deadline_is_its_duration_after_the_beginning) /* TO-09 */
{
    hf_timeout t = timeout(30 * SECOND);
    HF_CHECK_INT(hf_timeout_deadline_ns(&t, 0), 30 * SECOND);
    HF_CHECK_INT(hf_timeout_deadline_ns(&t, 7), 30 * SECOND + 7);
    HF_CHECK_INT(hf_timeout_deadline_ns(&t, -31 * SECOND), -SECOND);
}

HF_TEST(a_deadline_beyond_the_end_of_time_is_the_end_of_time)
{
    hf_timeout t = timeout(INT64_MAX);
    HF_CHECK_INT(hf_timeout_deadline_ns(&t, 0), INT64_MAX);
    HF_CHECK_INT(hf_timeout_deadline_ns(&t, 1), INT64_MAX);
    HF_CHECK_INT(hf_timeout_deadline_ns(&t, INT64_MAX), INT64_MAX);
    hf_store_relaxed(&t.duration_ns, SECOND);
    HF_CHECK_INT(hf_timeout_deadline_ns(&t, INT64_MAX - SECOND), INT64_MAX);
    HF_CHECK_INT(hf_timeout_deadline_ns(&t, INT64_MAX - SECOND + 1), INT64_MAX);
    HF_CHECK_INT(hf_timeout_deadline_ns(&t, INT64_MAX - SECOND - 1), INT64_MAX - 1);
}

HF_TEST(a_change_is_for_calls_that_begin_after_it)
{
    hf_timeout t = timeout(10 * SECOND);
    int64_t before = hf_timeout_deadline_ns(&t, SECOND);
    hf_store_relaxed(&t.duration_ns, SECOND);
    HF_CHECK_INT(before, 11 * SECOND);
    HF_CHECK_INT(hf_timeout_deadline_ns(&t, SECOND), 2 * SECOND);
}

HF_TEST(each_count_is_its_own) /* TO-10 */
{
    hf_timeout t = timeout(SECOND);
    hf_au64 *counters[] = {&t.in_time,   &t.expired, &t.late,    &t.refused,
                           &t.abandoned, &t.stopped, &t.observed};
    const unsigned n = sizeof counters / sizeof *counters;
    for (unsigned i = 0; i < n; i++)
        hf_count(counters[i], i + 1);
    for (unsigned i = 0; i < n; i++)
        HF_CHECK_INT(hf_load_relaxed(counters[i]), i + 1);
    HF_CHECK_INT(hf_load_relaxed(&t.duration_ns), SECOND);
}

HF_TEST(it_is_small_and_works_wherever_its_bytes_are)
{
    hf_timeout t = timeout(SECOND), moved;
    hf_count(&t.late, 3);
    memcpy(&moved, &t, sizeof t);
    memset(&t, 0xFF, sizeof t);
    HF_CHECK_INT(hf_timeout_deadline_ns(&moved, 5), SECOND + 5);
    HF_CHECK_INT(hf_load_relaxed(&moved.late), 3);
    HF_CHECK(sizeof(hf_timeout) <= 64);
}
