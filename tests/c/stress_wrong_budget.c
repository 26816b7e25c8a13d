/* Real threads find out wrong/wrong_budget.h too, by what stress_budget.c asks of the real one. */
#include "hf_threads.h"
#include "wrong/wrong_budget.h"

enum { THREADS = 4 };

static hf_budget budget;
static hf_au64 taken;

static void
withdraw_until_empty(void *unused, int t)
{
    while (wrong_budget_withdraw(&budget, 0))
        hf_count(&taken, 1);
}

HF_TEST(more_withdrawals_than_tokens_are_found_by_real_threads) /* trap 36 */
{
    uint64_t burst = (uint64_t)hf_threads_rounds(1000000);
    hf_budget_init(&budget, (hf_budget_rule){.burst = burst}, 0);
    hf_threads_run(THREADS, withdraw_until_empty, NULL);
    HF_CHECK(hf_load_relaxed(&taken) > burst);
}
