/*
 * Every schedule of three threads over a clock, a generator and a histogram: what is left is what
 * some order of their calls leads to.
 */
#include "explored.h"

#include "holdfast/hf_clock.h"
#include "holdfast/hf_histogram.h"
#include "holdfast/hf_random.h"

enum { THREADS = 3 };

/* --- clock ----------------------------------------------------------------------------------- */

/* A move of the clock: to a time, or by one. */
typedef struct move {
    bool sets;
    int64_t ns;
} move;

static const move moves[][THREADS] = {
    {{.ns = 3}, {.ns = 4}, {.ns = 5}},
    {{.ns = 3}, {.sets = true, .ns = 10}, {.sets = true, .ns = -5}},
    {{.ns = 3}, {.sets = true, .ns = 10}, {.sets = true, .ns = 20}},
    {{.ns = INT64_MAX}, {.sets = true, .ns = INT64_MIN}, {.sets = true, .ns = INT64_MAX}},
};

static const move *script; /* what each thread does */
static hf_clock manual;
static int64_t read_before[THREADS], read_after[THREADS]; /* policy time, by each thread */

static void
clock_at_zero(void *world)
{
    hf_clock_init_manual(&manual, 0);
}

static void
make(hf_clock *c, const move *m)
{
    if (m->sets)
        hf_clock_set(c, m->ns);
    else
        hf_clock_advance(c, m->ns);
}

static void
move_and_read(void *world, int index)
{
    read_before[index] = hf_clock_now_ns(&manual);
    make(&manual, &script[index]);
    read_after[index] = hf_clock_now_ns(&manual);
}

/* The three moves one after the other, in some order, lead to these two times. */
static bool
some_order_leads_there(int64_t policy_ns, int64_t shown_ns)
{
    static const int orders[][THREADS] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                          {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        hf_clock alone;
        hf_clock_init_manual(&alone, 0);
        for (int k = 0; k < THREADS; k++)
            make(&alone, &script[orders[i][k]]);
        if (hf_clock_now_ns(&alone) == policy_ns && hf_clock_shown_ns(&alone) == shown_ns)
            return true;
    }
    return false;
}

static bool
no_step_is_lost(void *world)
{
    for (int t = 0; t < THREADS; t++) {
        const int64_t least = script[t].sets ? 0 : script[t].ns;
        if (read_after[t] < hf_ns_add(read_before[t], least))
            return false;
    }
    return some_order_leads_there(hf_clock_now_ns(&manual), hf_clock_shown_ns(&manual));
}

/* traps 20, 21 and 25. */
HF_TEST(however_a_clock_is_moved_at_once_no_step_is_lost_and_policy_time_never_goes_back)
{
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++) {
        script = moves[i];
        HF_CHECK(explored("move and read", THREADS, clock_at_zero, move_and_read, no_step_is_lost));
    }
}

/* --- generator ------------------------------------------------------------------------------- */

enum { SEED = 6 };

static hf_random generator;
static uint64_t drawn[2 * THREADS];

static void
seeded(void *world)
{
    hf_random_init(&generator, SEED);
}

static void
draw_two(void *world, int index)
{
    drawn[2 * index] = hf_random_next(&generator);
    drawn[2 * index + 1] = hf_random_next(&generator);
}

static bool
each_got_his_own_part(void *world)
{
    hf_random alone;
    hf_random_init(&alone, SEED);
    for (int i = 0; i < 2 * THREADS; i++) {
        const uint64_t x = hf_random_next(&alone);
        int times = 0;
        for (int k = 0; k < 2 * THREADS; k++)
            times += drawn[k] == x;
        if (times != 1)
            return false;
    }
    return true;
}

HF_TEST(threads_share_out_the_one_sequence_of_the_seed)
{
    HF_CHECK(explored("draw two", THREADS, seeded, draw_two, each_got_his_own_part));
}

/* --- histogram ------------------------------------------------------------------------------- */

static const int64_t ms = 1000000;
static hf_histogram histogram;

static void
empty(void *world)
{
    memset(&histogram, 0, sizeof histogram); /* one step, where clearing a cell each is hundreds */
}

static void
record_two(void *world, int index)
{
    hf_histogram_record(&histogram, 5 * ms);
    hf_histogram_record(&histogram, (index + 1) * 100 * ms);
}

static bool
all_are_there(void *world)
{
    uint64_t buckets[HF_HISTOGRAM_BUCKETS];
    hf_histogram_buckets(&histogram, buckets);
    return hf_histogram_count(&histogram) == 6 && buckets[0] == 3 && buckets[4] == 4 &&
           hf_histogram_sum(&histogram) == (uint64_t)((15 + 600) * ms);
}

/* MX-05. */
HF_TEST(a_histogram_loses_no_record_and_no_nanosecond)
{
    HF_CHECK(explored("record two", THREADS, empty, record_two, all_are_there));
}
