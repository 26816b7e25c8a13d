/* Every schedule of two to four threads over one failure rate: each attempt is counted once. */
#include "explore.h"
#include "hf_test.h"
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

static bool
holds(hf_explore_model model)
{
    model.setup = half_way;
    threads = model.threads;
    hf_explored e = hf_explore(&model);
    HF_CHECK(e.complete || e.broken);
    return !e.broken;
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
    for (int spurious = 0; spurious <= 2; spurious++)
        HF_CHECK(holds((hf_explore_model){.name = "fail twice each",
                                          .threads = 2,
                                          .thread = fail_twice,
                                          .holds = all_are_counted,
                                          .spurious = spurious}));
    HF_CHECK(holds((hf_explore_model){
        .name = "fail twice each", .threads = 3, .thread = fail_twice, .holds = all_are_counted}));
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
    HF_CHECK(holds((hf_explore_model){.name = "fail | succeed | fail",
                                      .threads = 3,
                                      .thread = fail_or_succeed,
                                      .holds = some_order_leads_there}));
}

static void
wrong_fail_twice(void *world, int index)
{
    wrong_failure_rate_record(&rate, true);
    wrong_failure_rate_record(&rate, true);
}

HF_TEST(the_explorer_finds_a_lost_attempt)
{
    HF_CHECK(!holds((hf_explore_model){.name = "wrong: fail twice each",
                                       .threads = 2,
                                       .thread = wrong_fail_twice,
                                       .holds = all_are_counted}));
}
