/* Contract of hf_ledger.h: nothing in a file that lies is believed (trap 60). */
#include "hf_test.h"

#include "holdfast/hf_ledger.h"

enum { SIZE = 4096 };
static _Alignas(64) unsigned char file[SIZE];

static const uint64_t edges[] = {0,         1,        7,          8,         63,
                                 64,        65,       SIZE - 8,   SIZE - 7,  SIZE,
                                 SIZE + 8,  1u << 31, UINT32_MAX, INT64_MAX, UINT64_MAX - 7,
                                 UINT64_MAX};
enum { EDGES = sizeof edges / sizeof *edges };

HF_TEST(a_range_is_held_if_all_of_it_is_in_the_file_behind_the_header)
{
    HF_CHECK(hf_ledger_holds(SIZE, 64, 0));
    HF_CHECK(hf_ledger_holds(SIZE, 64, SIZE - 64));
    HF_CHECK(!hf_ledger_holds(SIZE, 64, SIZE - 63));
    HF_CHECK(!hf_ledger_holds(SIZE, 72 - 1, 8)); /* no word begins there */
    HF_CHECK(!hf_ledger_holds(SIZE, 56, 8));     /* the header's */
    for (int i = 0; i < EDGES; i++)
        for (int j = 0; j < EDGES; j++)
            if (hf_ledger_holds(SIZE, edges[i], edges[j])) {
                HF_CHECK(edges[i] >= 64 && edges[i] <= SIZE);
                HF_CHECK(edges[j] <= SIZE - edges[i]);
            }
}

HF_TEST(a_table_is_found_only_where_a_whole_one_can_be)
{
    for (int i = 0; i < EDGES; i++)
        for (int j = 0; j < EDGES; j++) {
            uint64_t length = 0;
            const uint64_t word = HF_LEDGER_TABLE(7, edges[i]);
            const uint64_t offset = HF_LEDGER_TABLE_OFFSET(word);
            if (offset <= SIZE - sizeof(uint64_t))
                memcpy(file + offset, &edges[j], sizeof edges[j]);
            const hf_ledger_table *table = hf_ledger_find(file, SIZE, word, &length);
            if (table != NULL) {
                HF_CHECK(length == edges[j]);
                HF_CHECK((const unsigned char *)&table->entry[length] <= file + SIZE);
            }
        }
    HF_CHECK_INT(HF_LEDGER_TABLE_CHANGE(HF_LEDGER_TABLE(7, 640)), 7);
    HF_CHECK_INT(HF_LEDGER_TABLE_OFFSET(HF_LEDGER_TABLE(7, 640)), 640);
}

HF_TEST(a_table_is_still_there_until_another_one_is)
{
    hf_ledger_header header = {0};
    hf_store_release(&header.table, HF_LEDGER_TABLE(1, 640));
    HF_CHECK(hf_ledger_is_still(&header, HF_LEDGER_TABLE(1, 640)));
    HF_CHECK(!hf_ledger_is_still(&header, HF_LEDGER_TABLE(2, 640))); /* it came back there */
    HF_CHECK(!hf_ledger_is_still(&header, HF_LEDGER_TABLE(1, 704)));
}

HF_TEST(an_entry_is_sound_only_if_its_block_and_its_name_are_in_the_file)
{
    const hf_ledger_entry good = {.at = 128, .name_at = 256, .name_length = 5};
    HF_CHECK(hf_ledger_is_sound(&good, SIZE, 8));
    for (int i = 0; i < EDGES; i++) {
        hf_ledger_entry bad = good;
        bad.at = edges[i];
        HF_CHECK(hf_ledger_is_sound(&bad, SIZE, 8) == hf_ledger_holds(SIZE, edges[i], 8));
        bad = good;
        bad.name_at = edges[i];
        HF_CHECK(hf_ledger_is_sound(&bad, SIZE, 8) == hf_ledger_holds(SIZE, edges[i], 5));
        bad = good;
        bad.name_length = (uint32_t)edges[i];
        HF_CHECK(!hf_ledger_is_sound(&bad, SIZE, 8) || bad.name_length <= HF_LEDGER_NAME_MOST);
    }
    hf_ledger_entry strange = good;
    strange.type = HF_LEDGER_TYPES;
    HF_CHECK(!hf_ledger_is_sound(&strange, SIZE, 8));
}

static hf_ledger_table *
table_at(size_t offset)
{
    return (hf_ledger_table *)(file + offset);
}

static void
append(hf_ledger_table *t, uint64_t first, size_t n)
{
    hf_ledger_entry joining[16] = {0};
    for (size_t i = 0; i < n; i++)
        joining[i].id = first + i;
    hf_ledger_append(t, joining, n);
}

HF_TEST(what_joins_a_table_stands_behind_what_was_there)
{
    memset(file, 0, sizeof file);
    hf_ledger_table *t = table_at(64);
    for (uint64_t id = 1; id < 20; id += 2)
        append(t, id, 2);
    append(t, 21, 0);
    uint64_t length;
    HF_CHECK(hf_ledger_find(file, SIZE, HF_LEDGER_TABLE(1, 64), &length) == t);
    HF_CHECK_INT(length, 20);
    for (uint64_t i = 0; i < length; i++)
        HF_CHECK_INT(t->entry[i].id, i + 1);
}

HF_TEST(a_copy_of_a_table_has_all_entries_but_those_that_leave)
{
    static const uint64_t gone[] = {0, 1, 4, 5, 7, 12, 13, UINT64_MAX};
    memset(file, 0, sizeof file);
    hf_ledger_table *from = table_at(64), *to = table_at(1024);
    append(from, 1, 6);
    append(from, 9, 4); /* 7 and 8 have left before */
    for (size_t n = 0; n <= sizeof gone / sizeof *gone; n++) {
        uint64_t kept = hf_ledger_copy(to, from, gone, n);
        HF_CHECK_INT(hf_ledger_copy(NULL, from, gone, n), kept);
        HF_CHECK_INT(hf_load_relaxed(&to->length), kept);
        uint64_t next = 0;
        for (uint64_t i = 0; i < 10; i++) {
            bool leaves = false;
            for (size_t j = 0; j < n; j++)
                leaves |= gone[j] == from->entry[i].id;
            if (!leaves)
                HF_CHECK_INT(to->entry[next++].id, from->entry[i].id);
        }
        HF_CHECK_INT(next, kept);
    }
}

HF_TEST(a_block_has_room_for_the_entries_it_was_asked_for)
{
    for (size_t entries = 0; entries < 100; entries++) {
        HF_CHECK_INT(hf_ledger_room(hf_ledger_bytes(entries)), entries);
        HF_CHECK_INT(hf_ledger_room(hf_ledger_bytes(entries + 1) - 1), entries);
    }
}
