/* Contract of hf_moving_window.h, one promise a test. */
#include "hf_test.h"

#include "holdfast/hf_moving_window.h"
#include "holdfast/hf_random.h"

static const int64_t second = INT64_C(1000000000);

enum { MOST_RUNS = 4096 };

/* A window whose ring grows within memory of its own. */
typedef struct grown {
    hf_moving_window w;
    hf_run rings[2][MOST_RUNS];
    int moves;
} grown;

static grown g;

static void
begin(void)
{
    g.moves = 0;
    hf_moving_window_init(&g.w);
}

static bool
take(int64_t n, int64_t limit, int64_t per_ns, int64_t now_ns)
{
    hf_moving_answer answer;
    while ((answer = hf_moving_window_take(&g.w, n, limit, per_ns, now_ns)) == HF_MOVING_FULL) {
        const uint64_t room = hf_moving_window_wanted(&g.w);
        HF_REQUIRE(room <= MOST_RUNS);
        (void)hf_moving_window_move(&g.w, g.rings[g.moves % 2], room);
        g.moves++;
    }
    return answer == HF_MOVING_TAKEN;
}

static int64_t
counted(int64_t per_ns, int64_t now_ns)
{
    int64_t oldest = 0;
    return hf_moving_window_count(&g.w, per_ns, now_ns, &oldest);
}

HF_TEST(no_span_holds_more_than_the_limit_and_none_is_refused_early) /* trap 24 */
{
    begin();
    HF_CHECK(take(2, 3, second, 0));
    HF_CHECK(take(1, 3, second, second / 2));
    HF_CHECK(!take(1, 3, second, second - 1));
    HF_CHECK(take(2, 3, second, second));
    HF_CHECK(!take(1, 3, second, second + second / 2 - 1));
    HF_CHECK(take(1, 3, second, second + second / 2));
}

HF_TEST(what_is_refused_leaves_nothing)
{
    begin();
    HF_CHECK(!take(4, 3, second, 0));
    HF_CHECK(take(2, 3, second, 0));
    HF_CHECK(!take(2, 3, second, 1));
    HF_CHECK(take(1, 3, second, 1));
    HF_CHECK(take(0, 3, second, 1));
    HF_CHECK(!take(0, 2, second, 1)); /* there are more than this limit has */
}

HF_TEST(the_oldest_says_when_the_next_fits) /* trap 40 */
{
    int64_t oldest = -1;
    begin();
    HF_CHECK_INT(hf_moving_window_count(&g.w, second, 0, &oldest), 0);
    HF_CHECK_INT(oldest, -1);
    for (int64_t i = 0; i < 3; i++)
        HF_CHECK(take(1, 3, second, 10 * i));
    HF_CHECK_INT(hf_moving_window_count(&g.w, second, 25, &oldest), 3);
    HF_CHECK_INT(oldest, 0);
    HF_CHECK(!take(1, 3, second, oldest + second - 1));
    HF_CHECK(take(1, 3, second, oldest + second));
    HF_CHECK_INT(hf_moving_window_count(&g.w, second, oldest + second, &oldest), 3);
    HF_CHECK_INT(oldest, 10);
}

HF_TEST(what_is_taken_at_one_time_is_one_run)
{
    begin();
    for (int i = 0; i < 1000; i++)
        HF_CHECK(take(1000, 1000000, second, 7));
    HF_CHECK_INT(hf_load_relaxed(&g.w.used), 1);
    HF_CHECK(!take(1, 1000000, second, 7));
}

HF_TEST(the_ring_grows_to_what_the_limit_has_and_no_further)
{
    begin();
    for (int64_t i = 0; i < 100000; i++)
        (void)take(1, 64, 1000, i * 7);
    HF_CHECK_INT(hf_load_relaxed(&g.w.room), 64);
}

/* Brute force: all that was taken, by its time. */
HF_TEST(takes_agree_with_a_list_of_all_of_them)
{
    static struct {
        int64_t at, n;
    } all[20000];
    int count = 0;
    int64_t now = 0;
    hf_random r;
    hf_random_init(&r, 11);
    begin();
    for (int i = 0; i < 20000; i++) {
        now += (int64_t)hf_random_below(&r, 40);
        const int64_t n = (int64_t)hf_random_below(&r, 5), limit = 50;
        int64_t inside = 0;
        for (int k = count - 1; k >= 0 && all[k].at > now - 500; k--)
            inside += all[k].n;
        HF_CHECK_INT(counted(500, now), inside);
        const bool fits = inside + n <= limit;
        HF_CHECK_INT(take(n, limit, 500, now), fits);
        if (fits) {
            all[count].at = now;
            all[count++].n = n;
        }
    }
    HF_CHECK(count > 1000 && count < 20000);
    HF_CHECK(g.moves >= 3);
}

/* Of a lone run, of runs that are all over, and wherever a span begins among many. */
HF_TEST(a_span_is_counted_wherever_it_begins)
{
    enum { RUNS = 1000 };
    begin();
    for (int64_t i = 0; i < RUNS; i++) {
        HF_CHECK(take(i + 1, HF_MOVING_WINDOW_MOST, RUNS, i));
        if (i % 37 != 0 && i != RUNS - 1)
            continue;
        int64_t wanted = 0;
        for (int64_t span = 1; span <= i + 1; span++) {
            int64_t oldest = -1;
            wanted += i + 2 - span;
            HF_CHECK_INT(hf_moving_window_count(&g.w, span, i, &oldest), wanted);
            HF_CHECK_INT(oldest, i + 1 - span);
        }
        HF_CHECK_INT(hf_moving_window_sum(&g.w), wanted);
        HF_CHECK_INT(hf_moving_window_run(&g.w, 0), 1);
        HF_CHECK_INT(hf_moving_window_run(&g.w, (uint64_t)i), i + 1);
        HF_CHECK_INT(counted(RUNS, i + RUNS), 0);
    }
}

HF_TEST(more_than_any_number_holds_may_pass_in_time)
{
    begin();
    for (int64_t i = 0; i < 20; i++) {
        HF_CHECK(take(HF_MOVING_WINDOW_MOST, HF_MOVING_WINDOW_MOST, 10, 10 * i));
        HF_CHECK_INT(hf_moving_window_sum(&g.w), HF_MOVING_WINDOW_MOST);
    }
}

HF_TEST(takes_of_shorter_spans_leave_what_a_longer_one_counts)
{
    begin();
    HF_CHECK(take(1, 9, 100, 0));
    HF_CHECK(take(1, 1, 10, 50));
    HF_CHECK_INT(counted(100, 99), 2);
    HF_CHECK_INT(counted(10, 59), 1);
    HF_CHECK(!take(1, 2, 100, 99));
    HF_CHECK(take(1, 2, 100, 100));
    HF_CHECK_INT(counted(1000, 149), 2); /* no more is kept than takes have asked about */
}

HF_TEST(an_earlier_time_counts_as_the_latest_that_was_seen) /* traps 20, 25 */
{
    begin();
    HF_CHECK(take(1, 2, second, 10 * second));
    HF_CHECK(take(1, 2, second, 0));
    HF_CHECK(!take(1, 2, second, 9 * second));
    HF_CHECK_INT(counted(second, 0), 2);
    HF_CHECK_INT(counted(second, 11 * second), 0);
    HF_CHECK(take(2, 2, second, 11 * second));
}

HF_TEST(it_ends_a_span_after_its_last)
{
    begin();
    HF_CHECK_INT(hf_moving_window_ends_ns(&g.w), INT64_MIN);
    HF_CHECK(take(1, 9, 100, 5));
    HF_CHECK(take(1, 9, 10, 7));
    HF_CHECK_INT(hf_moving_window_ends_ns(&g.w), 107);
    HF_CHECK(take(1, 9, 10, 107)); /* it was empty: the shorter span is the longest */
    HF_CHECK_INT(hf_moving_window_ends_ns(&g.w), 117);
}

HF_TEST(the_ends_of_time_and_of_numbers_are_like_others) /* trap 38 */
{
    const int64_t times[] = {INT64_MIN, -1, 0, INT64_MAX};
    const int64_t most = HF_MOVING_WINDOW_MOST;
    for (unsigned i = 0; i < sizeof times / sizeof *times; i++) {
        begin();
        HF_CHECK(take(most - 1, most, INT64_MAX, times[i]));
        HF_CHECK(!take(most, most, INT64_MAX, times[i]));
        HF_CHECK(take(1, most, INT64_MAX, times[i]));
        HF_CHECK(!take(1, most, INT64_MAX, times[i]));
    }
    begin();
    HF_CHECK(take(most, most, 1000, 0));
    HF_CHECK(take(most, most, 1, 1));
    for (int64_t now = 2; now < 9; now++) /* of longer spans so many are kept already */
        HF_CHECK(!take(most, most, 1, now));
}
