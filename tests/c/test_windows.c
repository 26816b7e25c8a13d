/* Contract of the table of windows by key (csrc/limits/windows.c), one promise a test. */
#include "windows_table.h"

#include "hf_test.h"

#include "holdfast/hf_random.h"

enum { KEYS = 3000 };

static hf_windows table;

HF_TEST(keys_that_come_and_go_in_any_order_count_as_in_a_list)
{
    static int64_t counts[KEYS];
    for (hf_window_kind kind = HF_FIXED; kind <= HF_COUNTER; kind++) {
        hf_random r;
        hf_random_init(&r, (uint64_t)kind);
        memset(counts, 0, sizeof counts);
        table_init(&table, kind, 1000000);
        for (int i = 0; i < 60000; i++) {
            const long number = (long)hf_random_below(&r, KEYS);
            HF_CHECK_INT(count_of(&table, number, 1), counts[number]);
            if (hf_random_below(&r, 3) != 0) {
                HF_CHECK_INT(hit(&table, number, 1, 1000, 1), 1);
                counts[number]++;
            } else {
                clear(&table, number);
                counts[number] = 0;
            }
        }
        size_t living = 0;
        for (long number = 0; number < KEYS; number++) {
            HF_CHECK_INT(count_of(&table, number, 1), counts[number]);
            living += counts[number] != 0;
        }
        HF_CHECK_INT(hf_windows_living(&table, 1), living);
        HF_CHECK_INT(hf_windows_held(&table), living);
        HF_CHECK_INT(hf_windows_reset(&table, 1), living);
        HF_CHECK_INT(hf_windows_held(&table), 0);
    }
}

static size_t
places(void)
{
    size_t sum = 0;
    for (size_t i = 0; i <= table.mask; i++)
        sum += table.stripe[i].size;
    return sum;
}

HF_TEST(a_table_is_as_large_as_what_it_has)
{
    table_init(&table, HF_FIXED, 1000000);
    for (long number = 0; number < 50000; number++)
        HF_CHECK_INT(hit(&table, number, 1, 9, 1), 1);
    HF_CHECK(places() >= 50000 && places() <= 4 * 50000);
    for (long number = 0; number < 200000;
         number++) { /* a few at a time, when all those are over */
        HF_CHECK_INT(hit(&table, number, 1, 9, 10000 + number * 10), 1);
        if (number % 1000 == 0)
            HF_CHECK_INT(count_of(&table, number, 10000 + number * 10), 1);
    }
    HF_CHECK(places() <= 4096);
    (void)hf_windows_sweep(&table, INT64_MAX);
    HF_CHECK(places() <= 16 * (size_t)HF_STRIPES * 4);
    hf_windows_end(&table);
}

HF_TEST(windows_that_are_over_take_no_memory_for_long)
{
    for (hf_window_kind kind = HF_FIXED; kind <= HF_COUNTER; kind++) {
        table_init(&table, kind, 1000000);
        for (int64_t round = 0; round < 50; round++)
            for (long number = 0; number < 500; number++)
                HF_CHECK_INT(hit(&table, round * 500 + number, 1, 9, round * 3000), 1);
        HF_CHECK(hf_windows_held(&table) < 2500);
        HF_CHECK(places() < 16384);
        (void)hf_windows_sweep(&table, 50 * 3000);
        HF_CHECK_INT(hf_windows_held(&table), 0);
        hf_windows_end(&table);
    }
}

HF_TEST(a_flood_of_keys_takes_no_more_than_there_may_be)
{
    const size_t most[] = {50, 100, 160, 1000};
    for (int i = 0; i < 12; i++) {
        table_init(&table, (hf_window_kind)(i % 3), most[i / 3]);
        HF_CHECK_INT(hit(&table, -1, 9, 9, 1), 1);
        for (long number = 0; number < 20000; number++)
            HF_CHECK_INT(hit(&table, number, 1, 9, 1), 1);
        const size_t held = hf_windows_held(&table);
        HF_CHECK(held <= most[i / 3] && held >= most[i / 3] * 9 / 10);
        HF_CHECK_INT(hf_windows_evicted(&table), 20001 - held);
        HF_CHECK_INT(hit(&table, -1, 1, 9, 1), 0); /* it had counted most, and is still there */
        hf_windows_end(&table);
    }
}

HF_TEST(keys_that_are_over_go_while_only_one_is_asked)
{
    for (hf_window_kind kind = HF_FIXED; kind <= HF_COUNTER; kind++) {
        table_init(&table, kind, 1000000);
        for (long number = 0; number < 100; number++)
            HF_CHECK_INT(hit(&table, number, 1, 9, 1), 1);
        for (int i = 0; i < 10000; i++)
            (void)hit(&table, -1, 1, 1, 10000);
        HF_CHECK_INT(hf_windows_held(&table), 1);
        hf_windows_end(&table);
    }
}

HF_TEST(a_flood_of_long_keys_takes_no_more_memory_than_short_ones_may)
{
    static char text[100000];
    enum { MOST = 1600 };
    table_init(&table, HF_FIXED, MOST);
    HF_CHECK_INT(hit(&table, -1, 9, 9, 1), 1);
    for (uint32_t i = 0; i < 2000; i++) {
        memcpy(text, &i, sizeof i);
        const hf_key key = {.text = text,
                            .length = sizeof text,
                            .hash = hf_windows_hash(&table, text, sizeof text)};
        const hf_asked asked = {.n = 1, .limit = 9, .per_ns = 1000, .now_ns = 1};
        HF_CHECK_INT(hf_windows_hit(&table, &key, &asked), 1);
        hf_cell **cells;
        size_t n, bytes = 0;
        if (i % 100 != 0)
            continue;
        HF_REQUIRE(hf_windows_copy(&table, 1, &cells, &n) == 0);
        for (size_t k = 0; k < n; k++)
            bytes += cells[k]->length;
        hf_cells_free(HF_FIXED, cells, n);
        /* Of each stripe as much as its share, or one key. */
        HF_CHECK(bytes <= MOST * HF_KEY_BYTES || n <= table.mask + 1);
    }
    hf_windows_end(&table);
    HF_CHECK_INT(hf_windows_held(&table), 0);
}

HF_TEST(a_table_of_one_key_has_the_last)
{
    table_init(&table, HF_MOVING, 1);
    for (long number = 0; number < 100; number++) {
        HF_CHECK_INT(hit(&table, number, 1, 1, 1), 1);
        HF_CHECK_INT(hit(&table, number, 1, 1, 1), 0);
    }
    HF_CHECK_INT(hf_windows_held(&table), 1);
    hf_windows_end(&table);
}

HF_TEST(what_is_refused_or_costs_nothing_makes_no_key)
{
    for (hf_window_kind kind = HF_FIXED; kind <= HF_COUNTER; kind++) {
        table_init(&table, kind, 100);
        HF_CHECK_INT(hit(&table, 1, 0, 5, 1), 1);
        HF_CHECK_INT(hit(&table, 1, 0, -1, 1), 0);
        HF_CHECK_INT(hf_windows_held(&table), 0);
        HF_CHECK_INT(hit(&table, 1, 6, 5, 1), 0);
        HF_CHECK_INT(hf_windows_held(&table), kind == HF_FIXED); /* which counts it */
        hf_windows_end(&table);
    }
}

HF_TEST(copies_are_what_there_is_and_can_be_put_elsewhere)
{
    static hf_windows other;
    for (hf_window_kind kind = HF_FIXED; kind <= HF_COUNTER; kind++) {
        hf_cell **cells;
        size_t n;
        table_init(&table, kind, 1000);
        table_init(&other, kind, 1000);
        for (long number = 0; number < 100; number++)
            for (int64_t i = 0; i <= number % 9; i++)
                HF_CHECK_INT(hit(&table, number, 1, 99, 10 + i), 1);
        HF_REQUIRE(hf_windows_copy(&table, 20, &cells, &n) == 0);
        hf_windows_end(&table);
        HF_CHECK_INT(n, 100);
        for (size_t i = 0; i < n; i++)
            HF_REQUIRE(hf_windows_put(&other, cells[i], 20) == 0);
        hf_cells_free(kind, cells, 0); /* the cells are the other's */
        for (long number = 0; number < 100; number++)
            HF_CHECK_INT(count_of(&other, number, 20), number % 9 + 1);
        hf_windows_end(&other);
        HF_REQUIRE(hf_windows_copy(&other, 20, &cells, &n) == 0);
        HF_CHECK_INT(n, 0);
        hf_cells_free(kind, cells, n);
    }
}

HF_TEST(texts_of_any_length_have_hashes_of_their_own)
{
    enum { LENGTHS = 300 };
    static uint64_t hashes[LENGTHS * 2];
    static char text[LENGTHS + 1];
    table_init(&table, HF_FIXED, 1);
    for (size_t length = 0; length < LENGTHS; length++) {
        memset(text, 0, sizeof text);
        hashes[2 * length] = hf_windows_hash(&table, text, length);
        text[length / 2] = 1;
        hashes[2 * length + 1] = hf_windows_hash(&table, text, length == 0 ? 1 : length);
    }
    hashes[1] = 1; /* of the text with one byte, as of the next */
    for (size_t i = 0; i < 2 * LENGTHS; i++)
        for (size_t k = i + 1; k < 2 * LENGTHS; k++)
            HF_CHECK(hashes[i] != hashes[k]);
}

HF_TEST(a_forked_child_waits_for_no_thread_of_its_parent) /* trap 58 */
{
    table_init(&table, HF_FIXED, 1000);
    for (long number = 0; number < 100; number++)
        HF_CHECK_INT(hit(&table, number, 1, 99, 10), 1);
    hf_windows_forked(&table); /* nobody was inside: all is there */
    for (long number = 0; number < 100; number++)
        HF_CHECK_INT(count_of(&table, number, 20), 1);
    for (int i = 0; i < HF_STRIPES; i++)
        while (!hf_lock_try(&table.stripe[i].lock))
            continue;
    hf_windows_forked(&table);
    for (long number = 0; number < 100; number++)
        HF_CHECK_INT(hit(&table, number, 1, 99, 10), 1);
    hf_windows_end(&table);
}
