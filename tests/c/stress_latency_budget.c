/* Real threads over one latency budget: its counts follow its marks, and in the end they are what it is. */
#include "holdfast/hf_latency_budget.h"
#include "holdfast/hf_random.h"

#include "hf_threads.h"

enum { THREADS = 6, SIZE = 50 };

static struct {
    union {
        hf_latency_budget budget;
        char room[sizeof(hf_latency_budget) + SIZE * sizeof(hf_au16) + 8];
    };
    long rounds;
} world;

static const int64_t ms = 1000000;

static void
record_and_read(void *unused, int t)
{
    hf_random r;
    hf_random_init(&r, (uint64_t)t);
    const uint32_t median = 50 * HF_PERCENTILE_UNIT;
    for (long i = 0; i < world.rounds; i++) {
        const int64_t slow = i / 100 % 2 == 0 ? 40 : 1;
        hf_latency_budget_record(&world.budget, (1 + (int64_t)hf_random_below(&r, 40) * slow) * ms);
        if (t == 0 && i % 500 == 250)
            hf_latency_budget_clear(&world.budget);
        if (i % 50 != 0)
            continue;
        int64_t ns;
        hf_latency_budget_percentiles(&world.budget, &median, 1, &ns);
        HF_CHECK(ns >= -1 && ns < 1700 * ms);
        /* A walk may count a place twice, in its old cell and in its new one; never one below zero. */
        HF_CHECK(hf__latency_budget_shown(&world.budget) < 1000000);
    }
}

HF_TEST(what_is_counted_are_the_marks_and_the_budget_is_what_they_say) /* LB-01 */
{
    hf_latency_budget *b = &world.budget;
    uint64_t exceeding = 0, calls = 0;
    world.rounds = hf_threads_rounds(40000);
    hf_latency_budget_init(b, 100 * ms, 50 * HF_PERCENTILE_UNIT, SIZE, 10);
    hf_threads_run(THREADS, record_and_read, NULL);
    for (int i = 0; i < SIZE; i++) {
        const uint16_t mark = hf_load_relaxed(&b->marks[i]);
        calls += mark != 0;
        exceeding += (mark & HF__MARK_EXCEEDS) != 0;
    }
    const uint64_t tally = hf_latency_budget_tally(b);
    const bool exhausted = hf_latency_budget_is_exhausted(b);
    HF_CHECK_INT(HF_TALLY_CALLS(tally), calls);
    HF_CHECK_INT(HF_TALLY_EXCEEDING(tally), exceeding);
    HF_CHECK_INT(hf__latency_budget_shown(b), calls);
    HF_CHECK(hf__latency_budget_due(b, tally, exhausted) == exhausted);
    HF_CHECK_INT(hf_load_relaxed(&b->recorded), THREADS * world.rounds);
    HF_CHECK_INT(hf_load_relaxed(&b->exhausted), (hf_latency_budget_turns(b) + 1) / 2);
    HF_CHECK(hf_latency_budget_turns(b) > 2);
}
