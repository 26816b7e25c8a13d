/*
 * Real threads over one sliding window: no span holds more than the limit, and what is not taken
 * can be taken.
 */
#include "holdfast/hf_clock.h"
#include "holdfast/hf_random.h"
#include "holdfast/hf_sliding.h"

#include "hf_threads.h"

enum { THREADS = 8, LIMIT = 100, PER = 1000, SLICE = PER / 10, PHASES = 100 };

static struct {
    hf_sliding window;
    hf_clock clock;
    hf_au64 admitted, refunded;
    long rounds;
    int64_t now_ns;
} world;

static void
begin(uint64_t limit, long rounds)
{
    memset(&world, 0, sizeof world);
    world.rounds = hf_threads_rounds(rounds);
    hf_clock_init_manual(&world.clock, 0);
    hf_sliding_init(&world.window, limit, PER);
}

/* Takes singly and in weights, and returns some, at the one time of this phase. */
static void
take_in_a_phase(void *unused, int t)
{
    hf_random r;
    hf_random_init(&r, (uint64_t)(world.now_ns * THREADS + t));
    for (long i = 0; i < world.rounds; i++) {
        uint64_t n = 1 + hf_random_below(&r, 3);
        if (!hf_sliding_try_take(&world.window, n, world.now_ns))
            continue;
        if (hf_random_below(&r, 4) == 0)
            hf_sliding_refund(&world.window, n, world.now_ns);
        else
            hf_count(&world.admitted, n);
    }
}

HF_TEST(no_span_holds_more_than_the_limit) /* trap 36 */
{
    static int64_t at[PHASES];
    static uint64_t taken[PHASES];
    hf_random r;
    begin(LIMIT, 60);
    hf_random_init(&r, 7);
    for (int p = 0; p < PHASES; p++) {
        world.now_ns += (int64_t)hf_random_below(&r, hf_random_below(&r, 8) ? SLICE : 2 * PER);
        hf_store_relaxed(&world.admitted, 0);
        hf_threads_run(THREADS, take_in_a_phase, NULL);
        at[p] = world.now_ns;
        taken[p] = hf_load_relaxed(&world.admitted);
        uint64_t held = 0, longer = 0;
        for (int before = p; before >= 0; before--) {
            held += at[p] - at[before] <= PER ? taken[before] : 0;
            longer += at[p] - at[before] < PER + SLICE ? taken[before] : 0;
        }
        HF_CHECK(held <= LIMIT);
        /* Nothing is lost either: what a span and a tenth does not hold is there. */
        HF_CHECK(hf_sliding_available(&world.window, at[p]) >=
                 LIMIT - (longer < LIMIT ? longer : LIMIT));
        HF_CHECK(hf_sliding_available(&world.window, at[p]) <= LIMIT - held);
    }
}

static void
take_while_time_passes(void *unused, int t)
{
    for (long i = 0; i < world.rounds; i++) {
        if (i % 4 == 0)
            hf_clock_advance(&world.clock, t + 1);
        if (!hf_sliding_try_take(&world.window, 1, hf_clock_now_ns(&world.clock)))
            continue;
        uint64_t admitted = hf_fetch_add_relaxed(&world.admitted, 1) + 1;
        uint64_t spans = (uint64_t)hf_clock_now_ns(&world.clock) / PER + 1;
        HF_CHECK(admitted <= spans * LIMIT);
    }
}

HF_TEST(while_time_passes_every_span_has_its_limit_and_no_more) /* trap 25 */
{
    begin(LIMIT, 100000);
    hf_threads_run(THREADS, take_while_time_passes, NULL);
    uint64_t spans = (uint64_t)hf_clock_now_ns(&world.clock) / PER;
    HF_CHECK_INT(hf_load_relaxed(&world.window.allowed), hf_load_relaxed(&world.admitted));
    HF_CHECK(hf_load_relaxed(&world.admitted) >= spans * LIMIT / 2);
}

/* The oldest times and the latest meet: a straggler must not wipe a slot that is in use again. */
static void
take_at_any_time(void *unused, int t)
{
    hf_random r;
    hf_random_init(&r, (uint64_t)t);
    for (long i = 0; i < world.rounds; i++) {
        if (t == 0 && i % 4 == 0)
            hf_clock_advance(&world.clock, SLICE);
        int64_t ago = (int64_t)hf_random_below(&r, 40) * SLICE;
        if (hf_sliding_try_take(&world.window, 1, hf_clock_now_ns(&world.clock) - ago)) {
            uint64_t admitted = hf_fetch_add_relaxed(&world.admitted, 1) + 1;
            HF_CHECK(admitted <= ((uint64_t)hf_clock_now_ns(&world.clock) / PER + 1) * 3);
        }
    }
}

HF_TEST(stragglers_neither_wipe_nor_add) /* traps 20, 25 */
{
    begin(3, 100000);
    HF_CHECK(
        hf_sliding_try_take(&world.window, 0, 0)); /* time begins here: earlier ones are late */
    hf_threads_run(THREADS, take_at_any_time, NULL);
    HF_CHECK(hf_load_relaxed(&world.admitted) > 3);
}

static void
take_return_and_clear(void *unused, int t)
{
    for (long i = 0; i < world.rounds; i++) {
        if (t == 0 && i % 16 == 0)
            hf_sliding_clear(&world.window);
        else if (hf_sliding_try_take(&world.window, 1, 0) && i % 2 == 0)
            hf_sliding_refund(&world.window, 1, 0);
        HF_CHECK(hf_sliding_available(&world.window, 0) <= LIMIT);
    }
}

HF_TEST(clearing_among_takes_never_leaves_less_than_nothing)
{
    begin(LIMIT, 100000);
    hf_threads_run(THREADS, take_return_and_clear, NULL);
    hf_sliding_clear(&world.window);
    HF_CHECK_INT(hf_sliding_available(&world.window, 0), LIMIT);
}
