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

/* --- weak memory: the litmus tests of the literature, with orders that forbid an outcome and without - */

static bool weakened; /* the orders that forbid it are left out */

#define STORE(w, x) (weakened ? hf_store_relaxed(w, x) : hf_store_release(w, x))
#define LOAD(w) (weakened ? hf_load_relaxed(w) : hf_load_acquire(w))

/* Message passing: who sees the flag sees the data. */
static void
message(void *argument, int index)
{
    world *w = argument;
    if (index == 0) {
        hf_store_relaxed(&w->words[0], 7);
        STORE(&w->words[1], 1);
    } else if (LOAD(&w->words[1]) == 1) {
        w->seen[1] = 1 + hf_load_relaxed(&w->words[0]);
    }
}

/* The same through a third thread that only adds to the flag: a release sequence. */
static void
passed_on(void *argument, int index)
{
    world *w = argument;
    if (index == 2)
        hf_count(&w->words[1], 1);
    else if (index == 0)
        message(w, 0);
    else if (LOAD(&w->words[1]) == 2)
        w->seen[1] = 1 + hf_load_relaxed(&w->words[0]);
}

/* The same by a relaxed load and a fence. */
static void
fenced(void *argument, int index)
{
    world *w = argument;
    if (index == 0) {
        message(w, 0);
    } else if (hf_load_relaxed(&w->words[1]) == 1) {
        if (!weakened)
            hf_fence_acquire();
        w->seen[1] = 1 + hf_load_relaxed(&w->words[0]);
    }
}

static bool
data_came_with_the_flag(void *argument)
{
    world *w = argument;
    return w->seen[1] != 1;
}

/* Store buffering: of two that each write and then look at the other's word, one sees the other. */
static void
buffered(void *argument, int index)
{
    world *w = argument;
    if (weakened) {
        hf_count(&w->words[index], 1);
        w->seen[index] = hf_load_acquire(&w->words[!index]);
    } else {
        (void)hf_fetch_add_seq_cst(&w->words[index], 1);
        w->seen[index] = hf_load_seq_cst(&w->words[!index]);
    }
}

static bool
one_saw_the_other(void *argument)
{
    world *w = argument;
    return w->seen[0] + w->seen[1] > 0;
}

/* Coherence: no thread reads an older value after a newer one, whatever the orders. */
static void
read_twice(void *argument, int index)
{
    world *w = argument;
    if (index == 0) {
        hf_store_relaxed(&w->words[0], 1);
        hf_store_relaxed(&w->words[0], 2);
    } else {
        const uint64_t first = hf_load_relaxed(&w->words[0]);
        w->seen[1] = hf_load_relaxed(&w->words[0]) < first;
    }
}

static bool
never_backwards(void *argument)
{
    world *w = argument;
    return !w->seen[1];
}

HF_TEST(an_outcome_of_weak_memory_is_found_and_the_orders_that_forbid_it_are_believed)
{
    static const struct {
        const char *name;
        int threads;
        void (*thread)(void *world, int index);
        bool (*holds)(void *world);
        bool always; /* no order is needed */
    } litmus[] = {
        {"message passing", 2, message, data_came_with_the_flag, false},
        {"a release sequence", 3, passed_on, data_came_with_the_flag, false},
        {"an acquire fence", 2, fenced, data_came_with_the_flag, false},
        {"store buffering", 2, buffered, one_saw_the_other, false},
        {"coherence", 2, read_twice, never_backwards, true},
    };
    for (size_t i = 0; i < sizeof litmus / sizeof *litmus; i++)
        for (int weak = 0; weak < 2; weak++) {
            world w = {.runs = 0};
            weakened = weak;
            hf_explored e = hf_explore(&(hf_explore_model){.name = litmus[i].name,
                                                           .threads = litmus[i].threads,
                                                           .world = &w,
                                                           .setup = clear,
                                                           .thread = litmus[i].thread,
                                                           .holds = litmus[i].holds,
                                                           .stale = 3});
            HF_CHECK_INT(e.broken, weak && !litmus[i].always);
        }
}
