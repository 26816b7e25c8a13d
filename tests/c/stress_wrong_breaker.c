/*
 * Real threads find out wrong/wrong_breaker.h too, by the same measure that stress_breaker.c
 * applies to the real one: how many probes are inside at once.
 */
#include "hf_threads.h"
#include "wrong/wrong_breaker.h"

enum { THREADS = 4, SLOTS = 1 };

static struct {
    wrong_breaker breaker;
    hf_au64 inside, most;
    long rounds;
} world;

static void
probe_again_and_again(void *shared, int index)
{
    for (long i = 0; i < world.rounds && hf_load_relaxed(&world.most) <= SLOTS; i++) {
        bool probe;
        if (!wrong_admit(&world.breaker, 0, &probe))
            continue;
        uint64_t inside = hf_fetch_add_relaxed(&world.inside, 1) + 1;
        if (inside > SLOTS)
            hf_store_relaxed(&world.most, inside);
        hf_count(&world.inside, UINT64_MAX);
        /* A probe ends without a verdict, and as there is one slot, believes that it was alone. */
        hf_store_release(&world.breaker.probes, 0);
    }
}

/* D-CB-2, trap 7. */
HF_TEST(more_probes_than_slots_are_found_by_real_threads)
{
    wrong_init(&world.breaker, SLOTS, 60);
    hf_store_relaxed(&world.breaker.is_open, 1);
    world.rounds = hf_threads_rounds(100 * 1000 * 1000);
    hf_threads_run(THREADS, probe_again_and_again, NULL);
    HF_CHECK(hf_load_relaxed(&world.most) > SLOTS);
}
