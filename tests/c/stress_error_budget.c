/* Threads that record while the rings turn: every request is counted once, and leaves its window in time. */
#include "hf_test.h"
#include "hf_threads.h"

#include "holdfast/hf_error_budget.h"

enum { CROWD = 4, EACH = 20000 };

static const int64_t second = INT64_C(1000000000);
static hf_error_budget b;
static hf_au64 torn;

/* Each goes through a thousand slices of a tenth of a second; one of them reads as well. */
static void
record_and_read(void *shared, int index)
{
    (void)shared;
    for (int i = 0; i < EACH; i++) {
        const int64_t now = i * (second / 200);
        if (i % 4 == 0)
            hf_error_budget_fail(&b, 1, now);
        else
            (void)hf_error_budget_succeed(&b, 1, now);
        if (index != 0)
            continue;
        for (unsigned window = 0; window < HF_BURN_WINDOWS; window++) {
            const hf_outcomes seen = hf_error_budget_outcomes(&b, window, now);
            if (seen.failed > seen.total || seen.total > CROWD * EACH)
                hf_count(&torn, 1);
        }
        uint64_t before;
        (void)hf_error_budget_settle(&b, now, &before);
    }
}

HF_TEST(every_request_is_counted_once_while_the_rings_turn)
{
    const int64_t end = EACH * (second / 200);
    for (long round = 0; round < hf_threads_rounds(5); round++) {
        hf_error_budget_init(
            &b,
            (hf_error_budget_rule){
                .window_ns = second, .allowed = 1000000, .min_requests = 1, .min_failures = 10},
            0);
        hf_threads_run(CROWD, record_and_read, NULL);
        HF_CHECK_INT(hf_load_relaxed(&torn), 0);
        HF_CHECK_INT(hf_load_relaxed(&b.good) + hf_load_relaxed(&b.bad), CROWD * EACH);
        HF_CHECK_INT(hf_load_relaxed(&b.bad), CROWD * EACH / 4);
        HF_CHECK_INT(hf_error_budget_outcomes(&b, HF_BURN_6H, end).total, CROWD * EACH);
        HF_CHECK_INT(hf_error_budget_outcomes(&b, HF_BURN_WINDOW, end + second).total, 0);
        HF_CHECK_INT(hf_load_relaxed(&b.turns) & 1, 0);
    }
}
