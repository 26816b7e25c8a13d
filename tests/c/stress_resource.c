/*
 * Real threads that register and end while the limit changes: nothing above a limit, and all books balance.
 */
#include "holdfast/hf_figures.h"

#include "hf_threads.h"

enum { THREADS = 8, KINDS = 3 };

static struct {
    hf_resource all, kind[KINDS];
    long rounds;
    uint64_t added[THREADS], refused[THREADS];
} world;

static void
register_and_end(void *unused, int t)
{
    for (long i = 0; i < world.rounds; i++) {
        hf_resource *kind = &world.kind[(i + t) % KINDS];
        const uint64_t n = 1 + (uint64_t)i % 2;
        const unsigned answer = hf_resource_add(kind, &world.all, n);
        if (answer < HF_RESOURCE_DONE) {
            world.refused[t]++;
            continue;
        }
        world.added[t]++;
        uint64_t limit;
        const uint64_t active = hf_resource_active(kind, &limit);
        HF_CHECK(active >= n && active <= limit);
        HF_CHECK(
            hf_resource_remove(kind, &world.all, n, (hf_resource_event)(i % HF_RESOURCE_ENDS)));
    }
}

static void
change_or_register(void *unused, int t)
{
    if (t != 0) {
        register_and_end(unused, t);
        return;
    }
    for (long i = 0; i < world.rounds; i++)
        (void)hf_resource_resize(&world.kind[i % KINDS], 3 + (uint64_t)i % 7);
}

static void
check_books(void)
{
    uint64_t added = 0, refused = 0, created = 0, counted = 0, limit;
    for (int t = 0; t < THREADS; t++) {
        added += world.added[t];
        refused += world.refused[t];
    }
    for (int kind = 0; kind < KINDS; kind++) {
        uint64_t out[HF_FIGURES_MOST];
        (void)hf_resource_figures(&world.kind[kind], out);
        uint64_t ended = 0;
        for (unsigned end = 0; end < HF_RESOURCE_ENDS; end++)
            ended += out[HF_AT_RESOURCE_cleaned + end];
        HF_CHECK_INT(out[HF_AT_RESOURCE_created], ended);
        HF_CHECK_INT(out[HF_RESOURCE_COUNTS], 0);
        created += out[HF_AT_RESOURCE_created];
        counted += out[HF_AT_RESOURCE_refused];
    }
    HF_CHECK_INT(created, added);
    HF_CHECK_INT(counted + hf_load_relaxed(&world.all.refused), refused);
    HF_CHECK_INT(hf_resource_active(&world.all, &limit), 0);
}

static void
begin(void)
{
    memset(&world, 0, sizeof world);
    world.rounds = hf_threads_rounds(20000);
    hf_resource_init(&world.all, 7);
    for (int kind = 0; kind < KINDS; kind++)
        hf_resource_init(&world.kind[kind], 5);
}

HF_TEST(a_hundred_thousand_registrations_from_8_threads_balance) /* RS-01, RS-05 */
{
    begin();
    hf_threads_run(THREADS, register_and_end, NULL);
    check_books();
}

HF_TEST(they_balance_while_limits_change) /* RS-08, D-C-9 */
{
    begin();
    hf_threads_run(THREADS, change_or_register, NULL);
    check_books();
}
