/* The explorer finds each fault of wrong/wrong_breaker.h: a test passes when its fault is found. */
#include "explored.h"
#include "wrong/wrong_breaker.h"

static wrong_breaker w;
static bool admitted[HF_EXPLORE_THREADS], probing[HF_EXPLORE_THREADS];

static void
closed(void *world)
{
    wrong_init(&w, 1, 60);
    memset(admitted, 0, sizeof admitted);
    memset(probing, 0, sizeof probing);
}

static void
open_and_due(void *world)
{
    closed(world);
    hf_store_relaxed(&w.is_open, 1);
}

static void
ask(void *world, int index)
{
    admitted[index] = wrong_admit(&w, 0, &probing[index]);
}

static bool
one_got_in(void *world)
{
    return admitted[0] + admitted[1] + admitted[2] <= 1;
}

/* D-CB-2, trap 7. */
HF_TEST(more_probes_than_slots_are_found)
{
    for (int threads = 2; threads <= 3; threads++)
        HF_CHECK(finds("ask", threads, open_and_due, ask, one_got_in));
}

static void
fail_or_ask(void *world, int index)
{
    if (index == 0)
        wrong_settle(&w, false, false, 0);
    else
        ask(world, index);
}

static bool
nobody_probed_early(void *world)
{
    return !(admitted[1] && probing[1]); /* it opened at 0 for 60 */
}

/* trap 9. */
HF_TEST(a_state_without_its_deadline_is_found)
{
    HF_CHECK(finds("fail, ask", 2, closed, fail_or_ask, nobody_probed_early));
}

static void
late_success_or_probe(void *world, int index)
{
    if (index == 0)
        wrong_settle(&w, true, false, 0);
    else
        ask(world, index);
}

static bool
still_open(void *world)
{
    return hf_load_relaxed(&w.is_open) == 1;
}

/* trap 2, D-CB-3. */
HF_TEST(a_late_success_that_closes_it_is_found)
{
    HF_CHECK(finds("late success, probe", 2, open_and_due, late_success_or_probe, still_open));
}
