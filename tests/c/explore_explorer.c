/*
 * The explorer itself: it counts what it should, leaves out no outcome, finds planted faults, and
 * gives up on what would not end.
 */
#include <string.h>

#include "holdfast/hf_atomic.h"

#include "explore.h"
#include "hf_test.h"

typedef struct {
    hf_au64 words[2];
    hf_au64 shared;
    uint64_t seen[HF_EXPLORE_THREADS];
    int runs;
    uint64_t outcomes; /* set of the values `shared` ended with, over all schedules */
} world;

static void
clear(void *argument)
{
    world *w = argument;
    hf_store_relaxed(&w->words[0], 0);
    hf_store_relaxed(&w->words[1], 0);
    hf_store_relaxed(&w->shared, 0);
    memset(w->seen, 0, sizeof w->seen);
    w->runs++;
}

static bool
anything(void *argument)
{
    world *w = argument;
    w->outcomes |= UINT64_C(1) << hf_load_relaxed(&w->shared);
    return true;
}

static void
four_additions(void *argument, int index)
{
    world *w = argument;
    for (int i = 0; i < 4; i++)
        hf_count(&w->shared, 1);
}

/* The number of interleavings of t threads with s steps is (ts)! / (s!)^t. */
HF_TEST(every_order_of_two_and_three_threads_by_four_steps_is_run)
{
    world w = {.runs = 0};
    hf_explore_model model = {.name = "4 steps each",
                              .threads = 2,
                              .world = &w,
                              .setup = clear,
                              .thread = four_additions,
                              .holds = anything,
                              .every_order = true};
    hf_explored e = hf_explore(&model);
    HF_CHECK(e.complete && !e.broken);
    HF_CHECK_INT(e.schedules, 70);
    HF_CHECK_INT(e.longest, 8);
    HF_CHECK_INT(w.runs, 70);
    model.threads = 3;
    e = hf_explore(&model);
    HF_CHECK(e.complete && !e.broken);
    HF_CHECK_INT(e.schedules, 34650);
    HF_CHECK_INT(w.outcomes, (1 << 8) + (1 << 12));
}

static void
own_words(void *argument, int index)
{
    world *w = argument;
    for (int i = 0; i < 4; i++)
        hf_count(&w->words[index], 1);
}

HF_TEST(operations_on_different_words_need_one_order_only)
{
    world w = {.runs = 0};
    hf_explored e = hf_explore(&(hf_explore_model){.name = "nothing shared",
                                                   .threads = 2,
                                                   .world = &w,
                                                   .setup = clear,
                                                   .thread = own_words,
                                                   .holds = anything});
    HF_CHECK(e.complete);
    HF_CHECK_INT(e.schedules, 1);
}

/* Each thread mixes loads and stores on two words; what they end with depends on the order. */
static void
mixing(void *argument, int index)
{
    world *w = argument;
    uint64_t mine = hf_load_relaxed(&w->words[index % 2]);
    hf_store_relaxed(&w->words[(index + 1) % 2], mine * 2 + (uint64_t)index + 1);
    hf_store_relaxed(&w->shared, (mine + hf_load_relaxed(&w->shared) * 3) % 61);
}

HF_TEST(leaving_out_repetitions_loses_no_outcome)
{
    world all = {.runs = 0}, few = {.runs = 0};
    hf_explore_model model = {.name = "all orders",
                              .threads = 3,
                              .world = &all,
                              .setup = clear,
                              .thread = mixing,
                              .holds = anything,
                              .every_order = true};
    hf_explored every = hf_explore(&model);
    model.name = "without repetitions";
    model.world = &few;
    model.every_order = false;
    hf_explored once = hf_explore(&model);
    HF_CHECK(every.complete && once.complete);
    HF_CHECK_INT(every.schedules, 34650);
    HF_CHECK(once.schedules < every.schedules / 10);
    HF_CHECK_INT(all.outcomes, few.outcomes);
    HF_CHECK((all.outcomes & (all.outcomes - 1)) != 0); /* there was more than one to lose */
}

static void
lossy_addition(void *argument, int index)
{
    world *w = argument;
    hf_store_relaxed(&w->shared, hf_load_relaxed(&w->shared) + 1);
}

static bool
nothing_lost(void *argument)
{
    return hf_load_relaxed(&((world *)argument)->shared) == 2;
}

HF_TEST(a_lost_update_is_found_and_its_schedule_named)
{
    world w = {.runs = 0};
    hf_explore_model model = {.name = "load, then store",
                              .threads = 2,
                              .world = &w,
                              .setup = clear,
                              .thread = lossy_addition,
                              .holds = nothing_lost};
    hf_explored e = hf_explore(&model), again = hf_explore(&model);
    HF_CHECK(e.broken && !e.complete);
    HF_CHECK_INT(strlen(e.trace), 4);
    HF_CHECK(strcmp(e.trace, again.trace) == 0); /* deterministic */
}

static void
cas_addition(void *argument, int index)
{
    world *w = argument;
    uint64_t v = hf_load_relaxed(&w->shared);
    while (!hf_cas_weak_relaxed(&w->shared, &v, v + 1))
        w->seen[index]++;
}

static void
cas_without_a_loop(void *argument, int index)
{
    world *w = argument;
    uint64_t v = (uint64_t)index;
    /* Thread 1 waits for nothing and expects 1: right in one order, if CAS never failed for nothing. */
    if (index == 0)
        hf_cas_weak_relaxed(&w->shared, &v, 2);
}

static bool
is_two(void *argument)
{
    return hf_load_relaxed(&((world *)argument)->shared) == 2;
}

HF_TEST(weak_compare_and_swap_fails_at_every_place_it_may)
{
    world w = {.runs = 0};
    hf_explore_model model = {.name = "CAS in a loop",
                              .threads = 2,
                              .world = &w,
                              .setup = clear,
                              .thread = cas_addition,
                              .holds = nothing_lost,
                              .spurious = 2};
    hf_explored e = hf_explore(&model);
    HF_CHECK(e.complete && !e.broken);
    HF_CHECK(e.schedules > 6);
    model.name = "CAS outside a loop";
    model.thread = cas_without_a_loop;
    model.holds = is_two;
    model.spurious = 0;
    HF_CHECK(!hf_explore(&model).broken);
    model.spurious = 1;
    e = hf_explore(&model);
    HF_CHECK(e.broken);
    HF_CHECK(strchr(e.trace, 'x') != NULL);
}

static void
waits_for_the_other(void *argument, int index)
{
    world *w = argument;
    hf_store_relaxed(&w->words[index], 1);
    while (index == 0 && hf_load_relaxed(&w->words[1]) == 0)
        ;
}

HF_TEST(a_schedule_that_does_not_end_is_reported_as_broken)
{
    world w = {.runs = 0};
    hf_explored e = hf_explore(&(hf_explore_model){.name = "waiting without end",
                                                   .threads = 2,
                                                   .world = &w,
                                                   .setup = clear,
                                                   .thread = waits_for_the_other,
                                                   .holds = anything});
    HF_CHECK(e.broken && !e.complete);
}

HF_TEST(a_limit_stops_the_search_and_it_is_not_complete)
{
    world w = {.runs = 0};
    hf_explored e = hf_explore(&(hf_explore_model){.name = "limited",
                                                   .threads = 3,
                                                   .world = &w,
                                                   .setup = clear,
                                                   .thread = four_additions,
                                                   .holds = anything,
                                                   .limit = 100});
    HF_CHECK(!e.broken && !e.complete);
    HF_CHECK_INT(e.schedules + e.pruned, 100);
}
