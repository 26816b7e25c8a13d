/* Contract of hf_window_counter.h, one promise a test. */
#include "hf_test.h"

#include "holdfast/hf_random.h"
#include "holdfast/hf_window_counter.h"

static hf_window_counter w;

static bool
take(int64_t n, int64_t limit, int64_t per_ns, int64_t now_ns)
{
    return hf_window_counter_take(&w, n, limit, per_ns, now_ns);
}

HF_TEST(a_window_holds_its_limit_and_no_more)
{
    hf_window_counter_init(&w);
    HF_CHECK(take(3, 4, 100, 200));
    HF_CHECK(!take(2, 4, 100, 299));
    HF_CHECK(take(1, 4, 100, 299));
    HF_CHECK(!take(1, 4, 100, 299));
    HF_CHECK(take(0, 4, 100, 299));
    HF_CHECK(!take(0, 3, 100, 299));
}

HF_TEST(the_window_before_counts_by_the_part_that_is_still_covered) /* trap 24 */
{
    hf_window_counter_init(&w);
    HF_CHECK(take(4, 4, 100, 0));
    HF_CHECK_INT(hf_window_counter_count(&w, 100, 100), 4);
    HF_CHECK(!take(1, 4, 100, 100));
    HF_CHECK_INT(hf_window_counter_count(&w, 100, 101), 3); /* 3.96, rounded down */
    HF_CHECK(take(1, 4, 100, 101));
    HF_CHECK_INT(hf_window_counter_count(&w, 100, 125), 4);
    HF_CHECK_INT(hf_window_counter_count(&w, 100, 126), 3);
    HF_CHECK_INT(hf_window_counter_count(&w, 100, 199), 1);
    HF_CHECK_INT(hf_window_counter_count(&w, 100, 200), 1);
    HF_CHECK_INT(hf_window_counter_count(&w, 100, 201), 0);
}

HF_TEST(nothing_is_left_of_what_came_before_an_idle_time) /* trap 27 */
{
    for (int64_t idle = 2; idle < 300; idle += 7) {
        hf_window_counter_init(&w);
        HF_CHECK(take(4, 4, 100, 50));
        HF_CHECK_INT(hf_window_counter_count(&w, 100, idle * 100), 0);
        HF_CHECK(take(4, 4, 100, idle * 100));
    }
}

HF_TEST(what_it_shows_is_what_it_counts_by)
{
    hf_window_counter_init(&w);
    (void)take(4, 9, 100, 20);
    (void)take(2, 9, 100, 130);
    const hf_window_counts at = hf_window_counter_read(&w, 100, 140);
    HF_CHECK_INT(at.window, 1);
    HF_CHECK_INT(at.previous, 4);
    HF_CHECK_INT(at.current, 2);
    HF_CHECK_INT(at.elapsed_ns, 40);
    const hf_window_counts later = hf_window_counter_read(&w, 100, 250);
    HF_CHECK_INT(later.previous, 2);
    HF_CHECK_INT(later.current, 0);
}

HF_TEST(another_span_begins_anew)
{
    hf_window_counter_init(&w);
    HF_CHECK(take(4, 4, 100, 1000));
    HF_CHECK_INT(hf_window_counter_count(&w, 50, 1000), 0);
    HF_CHECK(take(1, 4, 50, 1000));
    HF_CHECK_INT(hf_window_counter_count(&w, 100, 1000), 0);
}

HF_TEST(an_earlier_time_counts_as_the_beginning_of_the_window) /* traps 20, 25 */
{
    hf_window_counter_init(&w);
    HF_CHECK(take(2, 4, 100, 550));
    HF_CHECK(take(2, 4, 100, 60));
    HF_CHECK(!take(1, 4, 100, 0));
    HF_CHECK(!take(1, 4, 100, INT64_MIN));
    HF_CHECK_INT(hf_window_counter_read(&w, 100, 60).elapsed_ns, 0);
    HF_CHECK_INT(hf_window_counter_count(&w, 100, 550), 4);
}

HF_TEST(it_ends_when_the_window_after_it_has_ended)
{
    hf_window_counter_init(&w);
    HF_CHECK_INT(hf_window_counter_ends_ns(&w), INT64_MIN);
    HF_CHECK(take(1, 4, 100, 250));
    HF_CHECK_INT(hf_window_counter_ends_ns(&w), 400);
    HF_CHECK(take(1, 4, 100, -1));
    hf_window_counter_init(&w);
    HF_CHECK(take(1, 4, 100, -1));
    HF_CHECK_INT(hf_window_counter_ends_ns(&w), 100);
}

HF_TEST(products_beyond_64_bits_are_exact) /* trap 38 */
{
    hf_random r;
    hf_random_init(&r, 5);
    for (int i = 0; i < 100000; i++) {
        const int64_t per = (int64_t)(hf_random_next(&r) >> (4 + hf_random_below(&r, 58))) + 1;
        const int64_t n = (int64_t)(hf_random_next(&r) >> (3 + hf_random_below(&r, 59)));
        const int64_t elapsed = (int64_t)hf_random_below(&r, (uint64_t)per);
        hf_window_counter_init(&w);
        if (per > HF_WINDOW_COUNTER_PER_MOST || !take(n, HF_WINDOW_COUNTER_MOST, per, 0))
            continue;
        const int64_t expected =
            (int64_t)hf_multiply_divide((uint64_t)n, (uint64_t)(per - elapsed), (uint64_t)per);
        HF_CHECK_INT(hf_window_counter_count(&w, per, per + elapsed), expected);
    }
}

HF_TEST(the_ends_of_time_and_of_numbers_are_like_others) /* trap 38 */
{
    const int64_t times[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
    const int64_t pers[] = {1, 2, 1000000007, HF_WINDOW_COUNTER_PER_MOST};
    const int64_t most = HF_WINDOW_COUNTER_MOST;
    for (unsigned i = 0; i < sizeof times / sizeof *times; i++)
        for (unsigned k = 0; k < sizeof pers / sizeof *pers; k++) {
            hf_window_counter_init(&w);
            HF_CHECK_INT(hf_window_counter_count(&w, pers[k], times[i]), 0);
            HF_CHECK(take(most - 1, most, pers[k], times[i]));
            HF_CHECK(!take(2, most, pers[k], times[i]));
            HF_CHECK(take(1, most, pers[k], times[i]));
            HF_CHECK(hf_window_counter_ends_ns(&w) > times[i] || times[i] == INT64_MAX ||
                     (times[i] == INT64_MIN && pers[k] == 1)); /* which says that none began */
        }
}

HF_TEST(a_counter_is_restored_as_it_was)
{
    hf_window_counter_init(&w);
    hf_window_counter_restore(&w, 100,
                              &(hf_window_counts){.window = 3, .previous = 10, .current = 2});
    HF_CHECK_INT(hf_window_counter_count(&w, 100, 350), 7);
    const int64_t windows[] = {INT64_MIN, INT64_MIN + 1, INT64_MAX};
    for (unsigned i = 0; i < sizeof windows / sizeof *windows; i++) { /* of a file: anything */
        hf_window_counter_restore(&w, 100, &(hf_window_counts){.window = windows[i], .current = 2});
        (void)hf_window_counter_count(&w, 100, 350);
        (void)hf_window_counter_ends_ns(&w);
    }
}
