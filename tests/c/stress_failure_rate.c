/* Real threads over one failure rate: no attempt is lost, and no reader sees what cannot be. */
#include "failure_rate_crowd.h"

static hf_failure_rate rate;
static long rounds;

/* RT-24. */
HF_TEST(failures_of_many_threads_are_all_counted)
{
    HF_CHECK(all_are_counted(false, hf_threads_rounds(2000)));
}

static void
record_and_read(void *unused, int index)
{
    for (long i = 0; i < rounds; i++) {
        hf_failure_rate_record(&rate, index % 2 == 0);
        const double seen = hf_failure_rate_get(&rate);
        HF_CHECK(seen >= 0 && seen <= 1);
    }
}

HF_TEST(a_rate_is_never_below_nothing_or_above_one)
{
    rounds = hf_threads_rounds(200000);
    hf_failure_rate_init(&rate);
    hf_threads_run(CROWD, record_and_read, NULL);
}
