/* Real threads over one table of windows by key: no limit is exceeded, and no more is kept than may be. */
#include "windows_table.h"

#include "holdfast/hf_random.h"

#include "hf_threads.h"

enum { THREADS = 4, SHARED = 8, LIMIT = 30, MOST = 400 };

static struct {
    hf_windows table;
    hf_au64 taken[SHARED];
    hf_clock clock;
    long rounds;
} world;

static void
begin(hf_window_kind kind, size_t most)
{
    memset(&world, 0, sizeof world);
    hf_clock_init_manual(&world.clock, 1);
    world.rounds = hf_threads_rounds(5000);
    table_init(&world.table, kind, most);
}

/* Keys that all share, among keys of their own that make the table grow. */
static void
take(void *unused, int t)
{
    for (long i = 0; i < world.rounds; i++) {
        const long shared = i % SHARED;
        if (hit(&world.table, shared, 1, LIMIT, 1) == 1)
            hf_count(&world.taken[shared], 1);
        HF_CHECK_INT(hit(&world.table, 1000000 * (t + 1) + i, 1, LIMIT, 1), 1);
        if (i % 7 == 0)
            clear(&world.table, 1000000 * (t + 1) + i / 2);
    }
}

HF_TEST(keys_that_threads_share_have_their_limit_while_the_table_grows) /* trap 36 */
{
    for (hf_window_kind kind = HF_FIXED; kind <= HF_COUNTER; kind++) {
        begin(kind, 10000000);
        hf_threads_run(THREADS, take, NULL);
        const long hits = world.rounds / SHARED * THREADS;
        for (int i = 0; i < SHARED; i++)
            HF_CHECK_INT(hf_load_relaxed(&world.taken[i]), hits < LIMIT ? hits : LIMIT);
        hf_windows_end(&world.table);
    }
}

/* All that a table can do, at once. */
static void
do_anything(void *unused, int t)
{
    hf_random r;
    hf_random_init(&r, (uint64_t)t);
    for (long i = 0; i < world.rounds; i++) {
        const int64_t now = hf_clock_now_ns(&world.clock);
        const long number = (long)hf_random_below(&r, 2 * MOST);
        hf_cell **cells;
        size_t n;
        HF_CHECK(hit(&world.table, number, 1, LIMIT, now) >= 0);
        HF_CHECK(count_of(&world.table, number, now) >= 0);
        switch (hf_random_below(&r, 200)) {
        case 0:
            hf_clock_advance(&world.clock, 700);
            break;
        case 1:
            (void)hf_windows_sweep(&world.table, now);
            break;
        case 2:
            if (t == 0)
                (void)hf_windows_reset(&world.table, now);
            break;
        case 3:
            HF_REQUIRE(hf_windows_copy(&world.table, now, &cells, &n) == 0);
            HF_CHECK(n <= MOST);
            hf_cells_free(world.table.kind, cells, n);
            break;
        case 4:
            HF_CHECK(hf_windows_held(&world.table) <= MOST);
            break;
        default:
            clear(&world.table, number / 2);
        }
    }
}

HF_TEST(whatever_threads_do_at_once_a_table_has_no_more_keys_than_it_may)
{
    for (hf_window_kind kind = HF_FIXED; kind <= HF_COUNTER; kind++) {
        begin(kind, MOST);
        hf_threads_run(THREADS, do_anything, NULL);
        HF_CHECK(hf_windows_held(&world.table) <= MOST);
        hf_windows_end(&world.table);
    }
}
