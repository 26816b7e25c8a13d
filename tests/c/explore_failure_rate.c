/* Every schedule of two to four threads over one failure rate: each attempt is counted once. */
#include "explored.h"
#include "wrong/wrong_failure_rate.h"

enum { EARLIER = 40 };

static hf_failure_rate rate;
static int threads;

static void
half_way(void *world)
{
    hf_failure_rate_init(&rate);
    for (int i = 0; i < EARLIER; i++)
        hf_failure_rate_record(&rate, true);
}

static void
fail_twice(void *world, int index)
{
    hf_failure_rate_record(&rate, true);
    hf_failure_rate_record(&rate, true);
}

static bool
all_are_counted(void *world)
{
    hf_failure_rate alone;
    hf_failure_rate_init(&alone);
    for (int i = 0; i < EARLIER + 2 * threads; i++)
        hf_failure_rate_record(&alone, true);
    return hf_failure_rate_get(&rate) == hf_failure_rate_get(&alone);
}

/* RT-24. */
HF_TEST(failures_at_once_are_all_counted)
{
    threads = 2;
    for (int spurious = 0; spurious <= 2; spurious++)
        HF_CHECK(holds_always((hf_explore_model){.name = "fail twice each",
                                                 .threads = 2,
                                                 .setup = half_way,
                                                 .thread = fail_twice,
                                                 .holds = all_are_counted,
                                                 .spurious = spurious}));
    threads = 3;
    HF_CHECK(explored("fail twice each", 3, half_way, fail_twice, all_are_counted));
}

static void
fail_or_succeed(void *world, int index)
{
    hf_failure_rate_record(&rate, index % 2 == 0);
}

/* Two failures and a success lead to one of three rates, by which of them was the success. */
static bool
some_order_leads_there(void *world)
{
    for (int success = 0; success < 3; success++) {
        hf_failure_rate alone;
        hf_failure_rate_init(&alone);
        for (int i = 0; i < EARLIER; i++)
            hf_failure_rate_record(&alone, true);
        for (int i = 0; i < 3; i++)
            hf_failure_rate_record(&alone, i != success);
        if (hf_failure_rate_get(&alone) == hf_failure_rate_get(&rate))
            return true;
    }
    return false;
}

HF_TEST(failures_and_successes_at_once_are_counted_in_some_order)
{
    HF_CHECK(
        explored("fail | succeed | fail", 3, half_way, fail_or_succeed, some_order_leads_there));
}

static void
wrong_fail_twice(void *world, int index)
{
    wrong_failure_rate_record(&rate, true);
    wrong_failure_rate_record(&rate, true);
}

HF_TEST(the_explorer_finds_a_lost_attempt)
{
    threads = 2;
    HF_CHECK(finds("wrong: fail twice each", 2, half_way, wrong_fail_twice, all_are_counted));
}
