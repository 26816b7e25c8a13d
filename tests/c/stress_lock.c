/* Real threads that take from one window under its lock: no more than the limit, and nothing is lost. */
#include "holdfast/hf_random.h"

#include "hf_threads.h"
#include "locked_windows.h"

#include <sched.h>

enum { THREADS = 4, LIMIT = 30, PHASES = 5 };

static struct {
    locked_window window;
    hf_au64 taken;
    int64_t now_ns;
    long rounds;
} world;

static void
enter(void)
{
    while (!locked_window_enter(&world.window))
        sched_yield();
}

static void
take_singly_and_in_weights(void *unused, int t)
{
    hf_random r;
    hf_random_init(&r, (uint64_t)world.now_ns * THREADS + (uint64_t)t);
    for (long i = 0; i < world.rounds; i++) {
        const int64_t n = 1 + (int64_t)hf_random_below(&r, 3);
        enter();
        const bool taken = locked_window_take(&world.window, n, LIMIT, world.now_ns + i % 2);
        const int64_t count = locked_window_count(&world.window, world.now_ns);
        locked_window_leave(&world.window);
        HF_CHECK(count >= 0 && count <= LIMIT);
        if (taken)
            hf_count(&world.taken, (uint64_t)n);
    }
}

static void
fill(window_kind kind)
{
    locked_window_init(&world.window, kind, RIGHT);
    world.rounds = hf_threads_rounds(500);
    world.now_ns = 0;
    for (int phase = 0; phase < PHASES; phase++) {
        world.now_ns += 3 * PER;
        hf_store_relaxed(&world.taken, 0);
        hf_threads_run(THREADS, take_singly_and_in_weights, NULL);
        const uint64_t taken = hf_load_relaxed(&world.taken);
        HF_CHECK(taken <= LIMIT);
        HF_CHECK_INT(locked_window_count(&world.window, world.now_ns + 1), taken);
        /* Where a single one was refused, nothing was left. */
        if (world.rounds * THREADS > 2 * LIMIT)
            HF_CHECK_INT(taken, LIMIT);
    }
}

HF_TEST(threads_take_from_a_fixed_window_what_it_has) /* trap 36 */
{
    fill(FIXED);
}

HF_TEST(threads_take_from_a_moving_window_what_it_has) /* trap 36 */
{
    fill(MOVING);
}

HF_TEST(threads_take_from_a_window_counter_what_it_has) /* trap 36 */
{
    fill(COUNTER);
}
