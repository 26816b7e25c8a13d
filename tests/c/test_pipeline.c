/* Contract of hf_pipeline.h: every end of a call counts once, and its duration in the exported bucket. */
#include "hf_test.h"

#include "holdfast/hf_figures.h"

#define MS INT64_C(1000000)

HF_TEST(it_begins_with_nothing_counted)
{
    hf_pipeline p;
    uint64_t out[HF_FIGURES_MOST];
    memset(&p, 0xFF, sizeof p);
    hf_pipeline_init(&p);
    HF_CHECK_INT(hf_pipeline_figures(&p, out), HF_PIPELINE_COUNTS + 1);
    for (int i = 0; i < HF_PIPELINE_COUNTS; i++)
        HF_CHECK_INT(out[i], 0);
}

HF_TEST(each_end_is_its_own)
{
    hf_pipeline p;
    uint64_t out[HF_FIGURES_MOST];
    hf_pipeline_init(&p);
    for (int end = 0; end < HF_PIPELINE_ENDS; end++)
        for (int times = 0; times <= end; times++)
            hf_pipeline_count(&p, (hf_pipeline_end)end, times % 2 == 0 ? MS : -1);
    hf_pipeline_figures(&p, out);
    for (int end = 0; end < HF_PIPELINE_ENDS; end++) {
        HF_CHECK_INT(hf_pipeline_ended(&p, (hf_pipeline_end)end), end + 1);
        HF_CHECK_INT(out[HF_AT_PIPELINE_success + end], end + 1);
    }
    HF_CHECK_INT(out[HF_AT_PIPELINE_success], 1);
    HF_CHECK_INT(out[HF_AT_PIPELINE_failure], 2);
    HF_CHECK_INT(out[HF_AT_PIPELINE_rejected], 3);
    HF_CHECK_INT(out[HF_AT_PIPELINE_timeout], 4);
    HF_CHECK_INT(out[HF_AT_PIPELINE_cancelled], 5);
}

HF_TEST(durations_are_those_of_calls_that_ran_and_were_timed)
{
    hf_pipeline p;
    uint64_t upto[HF_HISTOGRAM_BUCKETS];
    hf_pipeline_init(&p);
    hf_pipeline_succeed(&p, -1);
    hf_pipeline_count(&p, HF_PIPELINE_FAILURE, -1);
    hf_pipeline_count(&p, HF_PIPELINE_REJECTED, MS);
    HF_CHECK_INT(hf_pipeline_ended(&p, HF_PIPELINE_SUCCESS), 1);
    hf_pipeline_buckets(&p, upto);
    HF_CHECK_INT(upto[HF_HISTOGRAM_BOUNDS], 0);
    HF_CHECK_INT(hf_pipeline_sum(&p), 0);
    hf_pipeline_succeed(&p, 3);
    hf_pipeline_count(&p, HF_PIPELINE_TIMEOUT, 4);
    hf_pipeline_buckets(&p, upto);
    HF_CHECK_INT(upto[0], 2);
    HF_CHECK_INT(upto[HF_HISTOGRAM_BOUNDS], 2);
    HF_CHECK_INT(hf_pipeline_sum(&p), 7);
}

HF_TEST(a_look_shows_what_the_readers_of_each_count_show)
{
    hf_pipeline p;
    hf_pipeline_seen seen;
    uint64_t upto[HF_HISTOGRAM_BUCKETS];
    hf_pipeline_init(&p);
    for (int end = 0; end < HF_PIPELINE_ENDS; end++)
        for (int times = 0; times <= end; times++)
            hf_pipeline_count(&p, (hf_pipeline_end)end, times % 2 == 0 ? times * 20 * MS : -1);
    hf_pipeline_succeed(&p, -1);
    hf_pipeline_succeed(&p, 20000 * MS);
    hf_pipeline_see(&p, &seen);
    uint64_t calls = 0;
    for (int end = 0; end < HF_PIPELINE_ENDS; end++) {
        HF_CHECK_INT(seen.ended[end], hf_pipeline_ended(&p, (hf_pipeline_end)end));
        calls += seen.ended[end];
    }
    hf_pipeline_buckets(&p, upto);
    for (int k = 0; k < HF_HISTOGRAM_BUCKETS; k++)
        HF_CHECK_INT(seen.upto[k], upto[k]);
    HF_CHECK_INT(seen.sum_ns, hf_pipeline_sum(&p));
    HF_CHECK_INT(hf_pipeline_calls(&seen), calls);
}

HF_TEST(between_two_looks_is_what_came_after_the_first)
{
    hf_pipeline p;
    hf_pipeline_seen old, now, came, sum;
    hf_pipeline_init(&p);
    hf_pipeline_succeed(&p, MS);
    hf_pipeline_count(&p, HF_PIPELINE_FAILURE, 20 * MS);
    hf_pipeline_see(&p, &old);
    hf_pipeline_between(&old, &old, &came);
    HF_CHECK_INT(hf_pipeline_calls(&came), 0);
    HF_CHECK_INT(came.upto[HF_HISTOGRAM_BOUNDS], 0);
    hf_pipeline_count(&p, HF_PIPELINE_TIMEOUT, 3000 * MS);
    hf_pipeline_succeed(&p, 7);
    hf_pipeline_see(&p, &now);
    hf_pipeline_between(&old, &now, &came);
    HF_CHECK_INT(came.ended[HF_PIPELINE_SUCCESS], 1);
    HF_CHECK_INT(came.ended[HF_PIPELINE_FAILURE], 0);
    HF_CHECK_INT(came.ended[HF_PIPELINE_TIMEOUT], 1);
    HF_CHECK_INT(came.upto[0], 1);
    HF_CHECK_INT(came.upto[HF_HISTOGRAM_BOUNDS], 2);
    HF_CHECK_INT(came.sum_ns, 3000 * MS + 7);
    sum = came;
    hf_pipeline_gather(&sum, &came);
    HF_CHECK_INT(hf_pipeline_calls(&sum), 4);
    HF_CHECK_INT(sum.upto[0], 2);
    HF_CHECK_INT(sum.sum_ns, 2 * came.sum_ns);
}

HF_TEST(counts_that_began_anew_all_came_since_the_last_look)
{
    hf_pipeline p;
    hf_pipeline_seen old, now, came;
    hf_pipeline_init(&p);
    hf_pipeline_count(&p, HF_PIPELINE_REJECTED, -1);
    hf_pipeline_count(&p, HF_PIPELINE_REJECTED, -1);
    hf_pipeline_see(&p, &old);
    hf_pipeline_init(&p);
    hf_pipeline_succeed(&p, 9);
    hf_pipeline_count(&p, HF_PIPELINE_REJECTED, -1);
    hf_pipeline_see(&p, &now);
    hf_pipeline_between(&old, &now, &came);
    HF_CHECK_INT(came.ended[HF_PIPELINE_SUCCESS], 1);
    HF_CHECK_INT(came.ended[HF_PIPELINE_REJECTED], 1);
    HF_CHECK_INT(came.sum_ns, 9);
    /* Fewer durations alone show it as well. */
    old = now;
    old.upto[3] = 2;
    hf_pipeline_between(&old, &now, &came);
    HF_CHECK_INT(came.ended[HF_PIPELINE_SUCCESS], 1);
}

HF_TEST(an_operation_counts_its_retries_and_its_timeouts)
{
    hf_pipeline p;
    uint64_t out[HF_FIGURES_MOST];
    hf_pipeline_init(&p);
    for (int times = 0; times < 3; times++)
        hf_pipeline_count_retry(&p);
    hf_pipeline_count_timeout(&p);
    hf_pipeline_figures(&p, out);
    HF_CHECK_INT(out[HF_AT_PIPELINE_retries], 3);
    HF_CHECK_INT(out[HF_AT_PIPELINE_timeouts], 1);
    for (int end = 0; end < HF_PIPELINE_ENDS; end++)
        HF_CHECK_INT(hf_pipeline_ended(&p, (hf_pipeline_end)end), 0);
}

HF_TEST(a_critical_operation_is_so_in_a_forked_child_as_well)
{
    hf_pipeline p;
    uint64_t out[HF_FIGURES_MOST];
    hf_pipeline_init(&p);
    hf_pipeline_count_retry(&p);
    hf_pipeline_set_critical(&p, true);
    hf_pipeline_forget(&p);
    hf_pipeline_figures(&p, out);
    HF_CHECK_INT(out[HF_PIPELINE_COUNTS], 1);
    for (int i = 0; i < HF_PIPELINE_COUNTS; i++)
        HF_CHECK_INT(out[i], 0);
    hf_pipeline_set_critical(&p, false);
    hf_pipeline_figures(&p, out);
    HF_CHECK_INT(out[HF_PIPELINE_COUNTS], 0);
}

HF_TEST(its_buckets_are_those_of_a_histogram)
{
    hf_pipeline p;
    static hf_histogram h;
    uint64_t ours[HF_HISTOGRAM_BUCKETS], theirs[HF_HISTOGRAM_BUCKETS];
    hf_pipeline_init(&p);
    for (int b = 0; b < HF_HISTOGRAM_BOUNDS; b++)
        for (int64_t off = -1; off <= 1; off++) {
            const int64_t ns = hf_histogram_bounds_ns[b] + off;
            hf_pipeline_count(&p, b % 2 == 0 ? HF_PIPELINE_SUCCESS : HF_PIPELINE_FAILURE, ns);
            hf_histogram_record(&h, ns);
        }
    hf_pipeline_succeed(&p, 0);
    hf_histogram_record(&h, 0);
    hf_pipeline_buckets(&p, ours);
    hf_histogram_buckets(&h, theirs);
    for (int k = 0; k < HF_HISTOGRAM_BUCKETS; k++)
        HF_CHECK_INT(ours[k], theirs[k]);
    HF_CHECK_INT(hf_pipeline_sum(&p), hf_histogram_sum(&h));
}

HF_TEST(one_bad_duration_does_not_wrap_the_sum)
{
    hf_pipeline p;
    hf_pipeline_init(&p);
    hf_pipeline_succeed(&p, INT64_MAX);
    hf_pipeline_count(&p, HF_PIPELINE_FAILURE, INT64_MAX);
    HF_CHECK_INT(hf_pipeline_sum(&p), 2 * HF__SUM_MAX);
}

HF_TEST(work_left_behind_runs_until_it_has_stopped)
{
    hf_timeout t;
    uint64_t out[HF_FIGURES_MOST];
    hf_timeout_init(&t, MS);
    hf_count(&t.abandoned, 3);
    hf_count(&t.stopped, 1);
    HF_CHECK_INT(hf_timeout_figures(&t, out), HF_TIMEOUT_COUNTS + 1);
    HF_CHECK_INT(out[HF_AT_TIMEOUT_abandoned], 3);
    HF_CHECK_INT(out[HF_TIMEOUT_COUNTS], 2);
    hf_count(&t.stopped, 3); /* a child that was forked meanwhile counts from zero */
    hf_timeout_figures(&t, out);
    HF_CHECK_INT(out[HF_TIMEOUT_COUNTS], 0);
}

HF_TEST(a_breaker_says_until_when_it_lets_nobody_in)
{
    static uint64_t words[1024];
    hf_breaker *b = (hf_breaker *)words;
    uint64_t out[HF_FIGURES_MOST];
    hf_store_relaxed(&b->word, HF_BREAKER_WORD(2, 0, 0, HF_OPEN));
    hf_store_relaxed(&b->changes[HF_CLOSED][HF_OPEN], 1);
    hf_store_relaxed(&b->until_ns, HF__OPENING(2));
    HF_CHECK_INT(hf_breaker_figures(b, out), HF_BREAKER_COUNTS + 2);
    HF_CHECK_INT(out[HF_BREAKER_COUNTS], HF_OPEN);
    HF_CHECK((int64_t)out[HF_BREAKER_COUNTS + 1] == INT64_MAX);
    hf_store_relaxed(&b->until_ns, 7);
    hf_breaker_figures(b, out);
    HF_CHECK_INT(out[HF_BREAKER_COUNTS + 1], 7);
    hf_store_relaxed(&b->changes[HF_OPEN][HF_FORCED_OPEN], 1);
    hf_breaker_figures(b, out);
    HF_CHECK_INT(out[HF_BREAKER_COUNTS], HF_FORCED_OPEN);
    HF_CHECK((int64_t)out[HF_BREAKER_COUNTS + 1] == INT64_MAX);
    hf_store_relaxed(&b->changes[HF_FORCED_OPEN][HF_CLOSED], 1);
    hf_breaker_figures(b, out);
    HF_CHECK((int64_t)out[HF_BREAKER_COUNTS + 1] == INT64_MIN);
}
