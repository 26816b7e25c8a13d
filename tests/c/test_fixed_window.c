/* Contract of hf_fixed_window.h, one promise a test. */
#include "hf_test.h"

#include "holdfast/hf_fixed_window.h"

static const int64_t second = INT64_C(1000000000);

static hf_fixed_window
window(void)
{
    hf_fixed_window w;
    hf_fixed_window_init(&w);
    return w;
}

HF_TEST(a_window_begins_with_its_first_and_ends_a_span_later) /* trap 24 */
{
    hf_fixed_window w = window();
    HF_CHECK_INT(hf_fixed_window_count(&w, 5), 0);
    HF_CHECK_INT(hf_fixed_window_ends_ns(&w, 5), INT64_MIN);
    HF_CHECK_INT(hf_fixed_window_add(&w, 1, second, 5), 1);
    HF_CHECK_INT(hf_fixed_window_add(&w, 2, second, 5 + second / 2), 3);
    HF_CHECK_INT(hf_fixed_window_ends_ns(&w, 6), 5 + second);
    HF_CHECK_INT(hf_fixed_window_count(&w, 4 + second), 3);
    HF_CHECK_INT(hf_fixed_window_count(&w, 5 + second), 0);
    HF_CHECK_INT(hf_fixed_window_ends_ns(&w, 5 + second), INT64_MIN);
    HF_CHECK_INT(hf_fixed_window_add(&w, 1, second, 5 + second), 1);
    HF_CHECK_INT(hf_fixed_window_ends_ns(&w, 5 + second), 5 + 2 * second);
}

HF_TEST(a_window_that_is_empty_again_begins_anew)
{
    hf_fixed_window w = window();
    (void)hf_fixed_window_add(&w, 2, second, 0);
    HF_CHECK_INT(hf_fixed_window_take_back(&w, 2, 10), 0);
    HF_CHECK_INT(hf_fixed_window_add(&w, 1, second, 20), 1);
    HF_CHECK_INT(hf_fixed_window_ends_ns(&w, 20), 20 + second);
}

HF_TEST(a_window_that_nothing_is_added_to_does_not_begin)
{
    for (int64_t n = 0; n >= -2; n--) {
        hf_fixed_window w = window();
        HF_CHECK_INT(hf_fixed_window_add(&w, n, second, 0), 0);
        HF_CHECK_INT(hf_fixed_window_ends_ns(&w, 0), INT64_MIN);
        (void)hf_fixed_window_add(&w, 2, second, 0);
        HF_CHECK_INT(hf_fixed_window_add(&w, n, second, 2 * second), 0);
        HF_CHECK_INT(hf_fixed_window_ends_ns(&w, 2 * second), INT64_MIN);
    }
}

HF_TEST(no_more_is_taken_back_than_counts) /* trap 34 */
{
    hf_fixed_window w = window();
    HF_CHECK_INT(hf_fixed_window_take_back(&w, 3, 0), 0);
    (void)hf_fixed_window_add(&w, 5, second, 0);
    HF_CHECK_INT(hf_fixed_window_take_back(&w, 2, 1), 3);
    HF_CHECK_INT(hf_fixed_window_take_back(&w, 9, 2), 0);
    (void)hf_fixed_window_add(&w, 5, second, 3);
    HF_CHECK_INT(hf_fixed_window_take_back(&w, 2, 3 + second), 0);
    HF_CHECK_INT(hf_fixed_window_add(&w, -3, second, 4), 2);
    HF_CHECK_INT(hf_fixed_window_add(&w, -3, second, 5), 0);
}

HF_TEST(a_count_stays_at_its_maximum) /* trap 38 */
{
    hf_fixed_window w = window();
    for (int i = 0; i < 5; i++)
        (void)hf_fixed_window_add(&w, HF_FIXED_WINDOW_MOST, second, 0);
    HF_CHECK_INT(hf_fixed_window_count(&w, 0), HF_FIXED_WINDOW_MOST);
    HF_CHECK_INT(hf_fixed_window_add(&w, -HF_FIXED_WINDOW_MOST, second, 0), 0);
}

HF_TEST(the_ends_of_time_are_times_like_others)
{
    const int64_t times[] = {INT64_MIN, -1, 0, 1, INT64_MAX - 1};
    for (unsigned i = 0; i < sizeof times / sizeof *times; i++) {
        hf_fixed_window w = window();
        HF_CHECK_INT(hf_fixed_window_add(&w, 1, INT64_MAX, times[i]), 1);
        HF_CHECK_INT(hf_fixed_window_add(&w, 1, INT64_MAX, times[i]), 2);
    }
}

HF_TEST(a_time_before_the_beginning_counts_as_that) /* traps 20, 25 */
{
    hf_fixed_window w = window();
    (void)hf_fixed_window_add(&w, 1, second, 10 * second);
    HF_CHECK_INT(hf_fixed_window_add(&w, 1, second, 0), 2);
    HF_CHECK_INT(hf_fixed_window_ends_ns(&w, 0), 11 * second);
}

HF_TEST(a_window_is_restored_as_it_was)
{
    hf_fixed_window w = window();
    hf_fixed_window_restore(&w, 3, 100);
    HF_CHECK_INT(hf_fixed_window_count(&w, 99), 3);
    HF_CHECK_INT(hf_fixed_window_count(&w, 100), 0);
}
