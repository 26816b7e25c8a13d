/* Contract of hf_retry.h. */
#include "hf_test.h"

#include "holdfast/hf_retry.h"

#define SECOND INT64_C(1000000000)
#define MS INT64_C(1000000)
#define NO_DEADLINE INT64_MAX
#define NO_LIMIT INT64_C(-1)

static hf_retry
retry(uint32_t attempts, int64_t max_time_ns)
{
    hf_retry r;
    memset(&r, 0xA5, sizeof r); /* as memory that was something else before */
    hf_retry_init(&r, attempts, max_time_ns);
    return r;
}

static uint64_t
all(const hf_au64 *cells, int n)
{
    uint64_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += hf_load_relaxed(&cells[i]);
    return sum;
}

HF_TEST(it_begins_with_nothing_counted)
{
    hf_retry r = retry(4, SECOND);
    HF_CHECK_INT(r.attempts, 4);
    HF_CHECK_INT(r.max_time_ns, SECOND);
    HF_CHECK_INT(hf_load_relaxed(&r.succeeded) + hf_load_relaxed(&r.recovered), 0);
    HF_CHECK_INT(hf_load_relaxed(&r.delay_ns) + hf_load_relaxed(&r.observed), 0);
    HF_CHECK_INT(all(r.gave_up, HF_RETRY_VERDICTS), 0);
    HF_CHECK_INT(all(r.retries, HF_RETRY_ORDINALS), 0);
    HF_CHECK_INT(all(r.delays, HF_RETRY_DELAYS), 0);
}

/* RT-02, RT-21: attempts are all calls, the first included. */
HF_TEST(it_makes_as_many_attempts_as_it_was_told_and_no_more)
{
    const uint32_t attempts[] = {1, 2, 3, 1000000, UINT32_MAX};
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        hf_retry r = retry(attempts[i], NO_LIMIT);
        HF_CHECK(hf_retry_has_attempts(&r, 0) == (attempts[i] > 1));
        HF_CHECK(!hf_retry_has_attempts(&r, attempts[i] - 1));
        HF_CHECK(attempts[i] < 2 || hf_retry_has_attempts(&r, attempts[i] - 2));
        HF_CHECK(!hf_retry_has_attempts(&r, UINT32_MAX));
    }
    hf_retry endless = retry(0, NO_LIMIT);
    HF_CHECK(hf_retry_has_attempts(&endless, 0));
    HF_CHECK(hf_retry_has_attempts(&endless, UINT32_MAX - 1)); /* the most that a call counts */
}

HF_TEST(without_limits_there_is_always_time)
{
    hf_retry r = retry(2, NO_LIMIT);
    const int64_t times[] = {INT64_MIN, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
    const int64_t delays[] = {0, 1, SECOND, INT64_MAX};
    for (size_t s = 0; s < 6; s++) {
        for (size_t n = 0; n < 6; n++) {
            for (size_t d = 0; d < 4; d++)
                HF_CHECK_INT(hf_retry_in_time(&r, times[s], times[n], delays[d], NO_DEADLINE),
                             HF_RETRY_AGAIN);
        }
    }
}

/* D-C-4: a deadline of 10 ms was followed by pauses of 501 ms. */
HF_TEST(no_retry_begins_at_the_deadline_or_after_it)
{
    hf_retry r = retry(2, NO_LIMIT);
    HF_CHECK_INT(hf_retry_in_time(&r, 0, 0, 501 * MS, 10 * MS), HF_RETRY_DEADLINE);
    HF_CHECK_INT(hf_retry_in_time(&r, 0, 5, 4, 10), HF_RETRY_AGAIN);
    HF_CHECK_INT(hf_retry_in_time(&r, 0, 5, 5, 10), HF_RETRY_DEADLINE);
    HF_CHECK_INT(hf_retry_in_time(&r, 0, 5, 6, 10), HF_RETRY_DEADLINE);
    HF_CHECK_INT(hf_retry_in_time(&r, 0, 10, 0, 10), HF_RETRY_DEADLINE);
    HF_CHECK_INT(hf_retry_in_time(&r, 0, 11, 0, 10), HF_RETRY_DEADLINE);
    HF_CHECK_INT(hf_retry_in_time(&r, 0, 9, 0, 10), HF_RETRY_AGAIN);
}

HF_TEST(the_last_retry_begins_within_max_time_of_the_first_attempt)
{
    hf_retry r = retry(9, 100);
    HF_CHECK_INT(hf_retry_in_time(&r, 50, 120, 30, NO_DEADLINE), HF_RETRY_AGAIN);
    HF_CHECK_INT(hf_retry_in_time(&r, 50, 120, 31, NO_DEADLINE), HF_RETRY_OUT_OF_TIME);
    HF_CHECK_INT(hf_retry_in_time(&r, 50, 150, 0, NO_DEADLINE), HF_RETRY_AGAIN);
    HF_CHECK_INT(hf_retry_in_time(&r, 50, 151, 0, NO_DEADLINE), HF_RETRY_OUT_OF_TIME);
    r = retry(9, 0);
    HF_CHECK_INT(hf_retry_in_time(&r, 50, 50, 0, NO_DEADLINE), HF_RETRY_AGAIN);
    HF_CHECK_INT(hf_retry_in_time(&r, 50, 50, 1, NO_DEADLINE), HF_RETRY_OUT_OF_TIME);
}

HF_TEST(the_deadline_is_named_before_max_time)
{
    hf_retry r = retry(9, 5);
    HF_CHECK_INT(hf_retry_in_time(&r, 0, 0, 10, 7), HF_RETRY_DEADLINE);
    HF_CHECK_INT(hf_retry_in_time(&r, 0, 0, 6, 7), HF_RETRY_OUT_OF_TIME);
    HF_CHECK_INT(hf_retry_in_time(&r, 0, 0, 5, 7), HF_RETRY_AGAIN);
}

/* Trap 49: what overflows would be a delay that begins in the past. */
HF_TEST(sums_at_the_end_of_time_stay_there)
{
    hf_retry r = retry(2, 1000);
    HF_CHECK_INT(hf_retry_in_time(&r, INT64_MAX - 10, INT64_MAX - 1, INT64_MAX, NO_DEADLINE),
                 HF_RETRY_AGAIN); /* ten nanoseconds are left of all time */
    HF_CHECK_INT(hf_retry_in_time(&r, 0, INT64_MAX - 1, INT64_MAX, NO_DEADLINE),
                 HF_RETRY_OUT_OF_TIME);
    HF_CHECK_INT(hf_retry_in_time(&r, INT64_MIN, INT64_MAX, 0, NO_DEADLINE), HF_RETRY_OUT_OF_TIME);
    HF_CHECK_INT(hf_retry_in_time(&r, 0, INT64_MAX, INT64_MAX, INT64_MAX - 1), HF_RETRY_DEADLINE);
    HF_CHECK_INT(hf_retry_in_time(&r, INT64_MIN, INT64_MIN, 0, INT64_MIN), HF_RETRY_DEADLINE);
    /* A clock that was set back: a call from the future has used up nothing. */
    HF_CHECK_INT(hf_retry_in_time(&r, INT64_MAX, INT64_MIN, 0, NO_DEADLINE), HF_RETRY_AGAIN);
    r = retry(2, INT64_MAX);
    HF_CHECK_INT(hf_retry_in_time(&r, INT64_MIN, INT64_MAX, INT64_MAX, NO_DEADLINE),
                 HF_RETRY_AGAIN);
}

HF_TEST(each_delay_is_counted_where_its_length_belongs)
{
    for (int cell = 0; cell < HF_RETRY_DELAYS - 1; cell++) {
        hf_retry r = retry(2, NO_LIMIT);
        const int64_t most = MS << cell, least = cell == 0 ? 0 : (MS << (cell - 1)) + 1;
        hf_retry_count_delay(&r, least);
        hf_retry_count_delay(&r, most);
        hf_retry_count_delay(&r, most + 1);
        HF_CHECK_INT(hf_load_relaxed(&r.delays[cell]), 2);
        HF_CHECK_INT(hf_load_relaxed(&r.delays[cell + 1]), 1);
        HF_CHECK_INT(all(r.delays, HF_RETRY_DELAYS), 3);
        HF_CHECK_INT(hf_load_relaxed(&r.delay_ns), least + 2 * most + 1);
    }
    hf_retry r = retry(2, NO_LIMIT);
    hf_retry_count_delay(&r, INT64_MAX);
    HF_CHECK_INT(hf_load_relaxed(&r.delays[HF_RETRY_DELAYS - 1]), 1);
}

/* RT-25. */
HF_TEST(retries_are_counted_by_their_number_and_late_ones_together)
{
    hf_retry r = retry(UINT32_MAX, NO_LIMIT);
    for (uint32_t ordinal = 1; ordinal <= 40; ordinal++)
        hf_retry_count_retry(&r, ordinal);
    for (int i = 0; i < HF_RETRY_ORDINALS - 1; i++)
        HF_CHECK_INT(hf_load_relaxed(&r.retries[i]), 1);
    HF_CHECK_INT(hf_load_relaxed(&r.retries[HF_RETRY_ORDINALS - 1]), 40 - 15);
    hf_retry_count_retry(&r, UINT32_MAX);
    hf_retry_count_retry(&r, 0); /* there is none: counted inside the array all the same */
    HF_CHECK_INT(hf_load_relaxed(&r.retries[HF_RETRY_ORDINALS - 1]), 40 - 15 + 2);
    HF_CHECK_INT(all(r.retries, HF_RETRY_ORDINALS), 42);
    HF_CHECK_INT(all(r.delays, HF_RETRY_DELAYS), 0);
    HF_CHECK_INT(all(r.gave_up, HF_RETRY_VERDICTS), 0);
}

/* RT-23, D-RT-3: a first attempt is no retry, and what succeeds at once is not recovered. */
HF_TEST(a_success_after_a_retry_is_recovered_as_well)
{
    hf_retry r = retry(4, NO_LIMIT);
    hf_retry_count_success(&r, 0);
    HF_CHECK_INT(hf_load_relaxed(&r.succeeded), 1);
    HF_CHECK_INT(hf_load_relaxed(&r.recovered), 0);
    hf_retry_count_success(&r, 1);
    hf_retry_count_success(&r, UINT32_MAX);
    HF_CHECK_INT(hf_load_relaxed(&r.succeeded), 3);
    HF_CHECK_INT(hf_load_relaxed(&r.recovered), 2);
    HF_CHECK_INT(all(r.retries, HF_RETRY_ORDINALS), 0);
}

/* Trap 56: to decide changes nothing, so one retry serves any number of calls at a time. */
HF_TEST(a_decision_leaves_no_trace)
{
    hf_retry r = retry(3, SECOND), before = r;
    for (uint32_t retries = 0; retries < 5; retries++) {
        (void)hf_retry_has_attempts(&r, retries);
        (void)hf_retry_in_time(&r, 0, retries * SECOND, SECOND, 3 * SECOND);
    }
    HF_CHECK(memcmp(&r, &before, sizeof r) == 0);
}
