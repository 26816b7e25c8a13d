/* Contract of hf_roster.h, and of what each kernel forgets in a forked child: trap 58. */
#include <math.h>

#include "hf_test.h"

#include "holdfast/hf_budget.h"
#include "holdfast/hf_figures.h"
#include "holdfast/hf_roster.h"

static const int64_t second = INT64_C(1000000000);
static uint64_t told[3];

static void
note(void *kernel, uint64_t seed)
{
    *(uint64_t *)kernel = seed;
}

HF_TEST(a_roster_tells_each_member_and_nobody_who_has_left)
{
    hf_roster roster = {0};
    hf_member members[3] = {0};
    hf_roster_forget(&roster, 1); /* nobody has joined */
    for (int left = 0; left < 3; left++) {
        for (int i = 0; i < 3; i++)
            for (int times = 0; times < 2; times++) /* the second time nothing happens */
                hf_roster_join(&roster, &members[i], &told[i], note);
        hf_roster_leave(&roster, &members[left]);
        hf_roster_leave(&roster, &members[left]); /* it has left: nothing happens */
        memset(told, 0, sizeof told);
        hf_roster_forget(&roster, 1);
        for (int i = 0; i < 3; i++)
            HF_CHECK((told[i] != 0) == (i != left));
        HF_CHECK(told[(left + 1) % 3] != told[(left + 2) % 3]); /* each has a seed of its own */
        for (int i = 0; i < 3; i++)
            hf_roster_leave(&roster, &members[i]);
    }
    memset(told, 0, sizeof told);
    hf_roster_forget(&roster, 1);
    HF_CHECK(told[0] == 0 && told[1] == 0 && told[2] == 0);
}

static bool
counts_nothing(const uint64_t figures[], size_t counts)
{
    for (size_t i = 0; i < counts; i++)
        if (figures[i] != 0)
            return false;
    return true;
}

/* What its figures are before and after it forgets: some count first, then none. */
#define HF_CHECK_FORGETS(kernel, k, counts, forget)                                                \
    do {                                                                                           \
        uint64_t row[HF_FIGURES_MOST];                                                             \
        hf_##kernel##_figures((k), row);                                                           \
        HF_CHECK(!counts_nothing(row, counts));                                                    \
        forget;                                                                                    \
        hf_##kernel##_figures((k), row);                                                           \
        HF_CHECK(counts_nothing(row, counts));                                                     \
    } while (0)

HF_TEST(a_breaker_begins_with_no_counts_in_the_state_it_was_in)
{
    const hf_breaker_config config = {.half_open_max = 1,
                                      .success_threshold = 1,
                                      .failure_threshold = 1,
                                      .reset_factor = 1,
                                      .reset_ns = second};
    hf_breaker *b = malloc(hf_breaker_size(&config));
    uint64_t figures[HF_FIGURES_MOST];
    hf_breaker_permit permit;
    hf_breaker_init(b, &config, 1);
    HF_CHECK(hf_breaker_admit(b, &permit));
    hf_breaker_settle(b, &permit, HF_FAILURE, -1, 0);
    HF_CHECK_FORGETS(breaker, b, HF_BREAKER_COUNTS, hf_breaker_forget(b, 2));
    hf_breaker_figures(b, figures);
    HF_CHECK_INT(figures[HF_BREAKER_COUNTS], HF_OPEN);
    HF_CHECK_INT(hf_breaker_admitted(b), 0);
    hf_breaker_override(b, HF_FORCED_OPEN, 0);
    hf_breaker_figures(b, figures);
    HF_CHECK_INT(figures[HF_BREAKER_COUNTS], HF_FORCED_OPEN);
    HF_CHECK_INT(figures[HF_AT_BREAKER_changes + HF_STATES * HF_OPEN + HF_FORCED_OPEN], 1);
    hf_breaker_override(b, HF_OPEN, 0);
    hf_breaker_forget(b, 3); /* and the child of the child */
    hf_breaker_figures(b, figures);
    HF_CHECK_INT(figures[HF_BREAKER_COUNTS], HF_OPEN);
    HF_CHECK(counts_nothing(figures, HF_BREAKER_COUNTS));
    free(b);
}

/* A page that nobody has written to stays shared between parent and child. */
HF_TEST(a_kernel_that_nobody_has_used_is_not_written_to)
{
    const hf_breaker_config config = {
        .half_open_max = 3, .success_threshold = 1, .reset_factor = 1};
    const size_t size = hf_breaker_size(&config);
    hf_breaker *b = calloc(1, size), *copy = malloc(size);
    hf_breaker_init(b, &config, 1);
    memcpy(copy, b, size);
    hf_breaker_forget(b, 2);
    HF_CHECK(memcmp(copy, b, size) == 0);
    free(b);
    free(copy);
}

HF_TEST(limiters_keep_what_was_taken_and_not_its_counts)
{
    hf_bucket bucket;
    hf_sliding sliding;
    hf_bucket_init(&bucket, (hf_rate){1, (uint64_t)second, 3}, 0);
    hf_sliding_init(&sliding, 3, second);
    for (int i = 0; i < 4; i++) {
        hf_bucket_try_take(&bucket, 1, 0);
        hf_sliding_try_take(&sliding, 1, 0);
    }
    hf_bucket_refund(&bucket, 1);
    HF_CHECK_FORGETS(bucket, &bucket, HF_LIMITER_COUNTS, hf_bucket_forget(&bucket));
    HF_CHECK_FORGETS(sliding, &sliding, HF_LIMITER_COUNTS, hf_sliding_forget(&sliding));
    HF_CHECK_INT(hf_bucket_available(&bucket, 0), 1);
    HF_CHECK_INT(hf_sliding_available(&sliding, 0), 0);
    hf_bucket_unbook(&bucket, 1); /* what the parent had booked is no refund of the child's */
    HF_CHECK_INT(hf_bucket_available(&bucket, 0), 2);
    HF_CHECK_INT(hf_load_relaxed(&bucket.refunded), 0);
}

HF_TEST(a_bank_that_the_parent_was_filling_is_free)
{
    hf_bucket bucket;
    hf_bucket_init(&bucket, (hf_rate){1, (uint64_t)second, 3}, 0);
    hf_store_relaxed(&bucket.claimed, 15); /* three threads change the rate, and are not here */
    hf_bucket_forget(&bucket);
    hf_bucket_resize(&bucket, (hf_rate){1, (uint64_t)second, 2}, 0);
    HF_CHECK_INT(hf_bucket_available(&bucket, 0), 2);
}

HF_TEST(a_budget_keeps_its_balance_and_gives_as_before)
{
    for (int parents = 0; parents < 60; parents++) {
        hf_budget b, twin;
        const hf_budget_rule rule = {.ratio = 333333, .rate = 700000, .burst = 10};
        hf_budget_init(&b, rule, 0);
        int64_t now = 0;
        for (int i = 0; i < parents; i++) {
            hf_budget_deposit(&b);
            if (i % 2)
                hf_budget_withdraw(&b, now += second / 7);
        }
        twin = b;
        hf_budget_forget(&b);
        HF_CHECK_INT(hf_load_relaxed(&b.withdrawn) + hf_load_relaxed(&b.deposits), 0);
        HF_CHECK(hf_budget_balance(&b, now) == hf_budget_balance(&twin, now));
        HF_CHECK(!hf_budget_give_back(&b)); /* the parent's token */
        for (int i = 0; i < 40; i++) {
            hf_budget_deposit(&b);
            hf_budget_deposit(&twin);
            HF_CHECK(fabs(hf_budget_balance(&b, now) - hf_budget_balance(&twin, now)) <= 0.002);
        }
    }
}

HF_TEST(all_others_forget_every_count)
{
    static hf_histogram histogram;
    hf_retry retry;
    hf_timeout timeout;
    hf_fallback fallback;
    hf_hedge hedge;
    hf_pipeline pipeline;
    hf_pipeline_init(&pipeline);
    for (int end = 0; end < HF_PIPELINE_ENDS; end++)
        hf_pipeline_count(&pipeline, (hf_pipeline_end)end, second);
    hf_pipeline_succeed(&pipeline, -1);
    hf_histogram_record(&histogram, second);
    hf_retry_init(&retry, 3, -1);
    hf_retry_count_delay(&retry, second);
    hf_retry_count_retry(&retry, 1);
    hf_retry_count_success(&retry, 1);
    hf_count(&retry.gave_up[HF_RETRY_EXHAUSTED], 1);
    hf_count(&retry.observed, 1);
    hf_timeout_init(&timeout, second);
    hf_fallback_init(&fallback);
    hf_hedge_init(&hedge, second);
    hf_au64 *counts[] = {&timeout.in_time, &timeout.expired,  &timeout.late,      &timeout.refused,
                         &timeout.stopped, &timeout.observed, &timeout.abandoned, &fallback.passed,
                         &fallback.used,   &fallback.failed,  &fallback.observed, &hedge.calls,
                         &hedge.failed,    &hedge.hedged,     &hedge.attempts,    &hedge.won,
                         &hedge.cancelled, &hedge.refused,    &hedge.observed,    &hedge.abandoned,
                         &hedge.stopped};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        hf_count(counts[i], 1);
    HF_CHECK_FORGETS(histogram, &histogram, HF_HISTOGRAM_COUNTS, hf_histogram_forget(&histogram));
    HF_CHECK_FORGETS(retry, &retry, HF_RETRY_COUNTS, hf_retry_forget(&retry));
    HF_CHECK_FORGETS(timeout, &timeout, HF_TIMEOUT_COUNTS, hf_timeout_forget(&timeout));
    HF_CHECK_FORGETS(fallback, &fallback, HF_FALLBACK_COUNTS, hf_fallback_forget(&fallback));
    HF_CHECK_FORGETS(hedge, &hedge, HF_HEDGE_COUNTS, hf_hedge_forget(&hedge));
    HF_CHECK_INT(hf_load_relaxed(&hedge.abandoned) + hf_load_relaxed(&hedge.stopped), 0);
    HF_CHECK_INT(hf_hedge_delay_ns(&hedge), second);
    HF_CHECK_FORGETS(pipeline, &pipeline, HF_PIPELINE_COUNTS, hf_pipeline_forget(&pipeline));
    HF_CHECK_INT(hf_load_relaxed(&timeout.abandoned) + hf_load_relaxed(&timeout.stopped), 0);
    HF_CHECK_INT(hf_timeout_deadline_ns(&timeout, 0), second);
    HF_CHECK_INT(retry.attempts, 3);
}
