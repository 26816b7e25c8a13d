/*
 * A file that is truncated in the middle of a page, or made as long again, leaves zeros, and no signal tells
 * of it. A kernel of zeros may decide anything until its file is made anew; it may neither crash nor loop.
 */
#include "hf_test.h"

#include "holdfast/hf_figures.h"

#define NOW (INT64_C(1) << 55)

HF_TEST(a_bucket_of_zeros_answers)
{
    static hf_bucket b;
    uint64_t out[HF_FIGURES_MOST];
    HF_CHECK(!hf_bucket_try_take(&b, 1, NOW));
    (void)hf_bucket_take_within(&b, 0, NOW, INT64_MAX);
    (void)hf_bucket_wait_ns(&b, 0, 0);
    (void)hf_bucket_due_ns(&b, 1, NOW);
    (void)hf_bucket_available(&b, NOW);
    hf_bucket_refund(&b, 1);
    hf_bucket_clear_but(&b, 1, NOW);
    hf_bucket_clear(&b);
    (void)hf_bucket_figures(&b, out);
    hf_bucket_resize(&b, (hf_rate){1, 1000, 1}, NOW);
    HF_CHECK(hf_bucket_try_take(&b, 1, NOW + 10000));
}

HF_TEST(a_sliding_window_of_zeros_answers)
{
    static hf_sliding s;
    HF_CHECK(!hf_sliding_try_take(&s, 1, NOW));
    (void)hf_sliding_wait_ns(&s, 1, NOW);
    (void)hf_sliding_available(&s, NOW);
    hf_sliding_refund(&s, 1, NOW);
    hf_sliding_clear(&s);
    hf_sliding_resize(&s, 1);
    (void)hf_sliding_try_take(&s, 1, NOW);
}

HF_TEST(a_bulkhead_of_zeros_answers)
{
    static hf_bulkhead bh;
    bool waiters;
    HF_CHECK(!hf_bulkhead_try_enter(&bh));
    (void)hf_bulkhead_enter_or_queue(&bh);
    HF_CHECK(!hf_bulkhead_leave(&bh, &waiters));
    HF_CHECK(!hf_bulkhead_grant(&bh));
    HF_CHECK(!hf_bulkhead_unqueue(&bh));
}

HF_TEST(a_breaker_of_zeros_answers)
{
    static uint64_t words[1024];
    hf_breaker *b = (hf_breaker *)words;
    uint64_t out[HF_FIGURES_MOST];
    for (int i = 0; i < 20; i++) {
        hf_breaker_permit permit;
        hf_change change = {0};
        if (hf_breaker_admit(b, &permit) || hf_breaker_admit_slow(b, NOW, &permit, &change))
            (void)hf_breaker_settle(b, &permit, HF_FAILURE, 1, NOW);
        (void)hf_breaker_peek(b, NOW);
        (void)hf_breaker_retry_after_ns(b, NOW);
    }
    (void)hf_breaker_override(b, HF_CLOSED, NOW);
    (void)hf_breaker_figures(b, out);
}
