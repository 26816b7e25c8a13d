/*
 * Interleaving explorer: runs every schedule of two to four threads over real kernel code.
 *
 * A test compiled with HF_EXPLORE calls hf_explore_point() before each atomic operation
 * (hf_atomic.h). The threads are coroutines of one OS thread; at each point the explorer chooses
 * who runs next, and depth-first search over these choices visits every schedule exactly once.
 * Deterministic: no clock, no randomness, no sleeping.
 *
 *     static void setup(void *world)              { … the world before each schedule … }
 *     static void thread(void *world, int index)  { … kernel calls … }
 *     static bool holds(void *world)              { … true when the outcome is legal … }
 *
 *     hf_explored e = hf_explore(&(hf_explore_model){
 *         .name = "two callers, one slot", .threads = 2, .world = &w,
 *         .setup = setup, .thread = thread, .holds = holds });
 *     HF_CHECK(e.complete && !e.broken);
 *
 * Memory is sequentially consistent first. If every schedule holds, the search is repeated with weak
 * memory: one load of each schedule may give an older value than the newest one, wherever the memory
 * orders of the kernel allow it (weak.h, which also says what it does not see). So an order that is too
 * weak shows on any machine. This second search ends after 200,000 schedules. `stale` sets how many
 * loads may do so, and makes it the only search.
 *
 * What it does not see: data that is not in atomic words. A thread may write only its own part of the
 * world directly; what threads share must be hf_ words, otherwise pruning would lose schedules.
 *
 * Pruning: two neighbouring operations on different words, or two loads, give the same world in
 * either order. By default only one such order is run (sleep sets), which loses no outcome;
 * `every_order` runs them all, which for t threads of s operations is (ts)! / (s!)^t schedules.
 */
#ifndef HF_EXPLORE_H
#define HF_EXPLORE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    HF_EXPLORE_THREADS = 4,
    HF_EXPLORE_CHOICES = 400, /* a schedule longer than this is a livelock */
};

typedef struct hf_explore_model {
    const char *name;
    int threads;
    void *world;
    void (*setup)(void *world);
    void (*thread)(void *world, int index);
    bool (*holds)(void *world); /* asked at the end of each schedule */
    int spurious;               /* weak CAS failures to inject per schedule, at every place */
    int stale;                  /* loads that may give an older value, per schedule */
    bool every_order;           /* no pruning */
    uint64_t limit;             /* give up (complete = false) after so many; 0: 20 million */
} hf_explore_model;

typedef struct hf_explored {
    uint64_t schedules; /* run to their end and checked */
    uint64_t pruned;    /* left when they could only repeat a checked one */
    int longest;        /* atomic operations in the longest schedule */
    bool complete;      /* every schedule was run: no limit was hit, no fault stopped it */
    bool broken;        /* holds() said no, or a schedule did not end */
    char trace[HF_EXPLORE_CHOICES + 1]; /* the broken schedule: thread numbers; 'x' = CAS failed */
} hf_explored;

/* Run every schedule; stops at the first broken one. Not reentrant. Prints one summary line. */
hf_explored hf_explore(const hf_explore_model *model);

#endif /* HF_EXPLORE_H */
