/* A table that grows while others read it: they find whole entries only (trap 60). */
#include "hf_threads.h"

#include "holdfast/hf_ledger.h"

enum { READERS = 3, ENTRIES = 2000, SIZE = 1 << 17, AT = 128 };
static _Alignas(64) unsigned char file[SIZE];

static void
write_entries(hf_ledger_table *t)
{
    for (uint64_t id = 1; id <= ENTRIES;) {
        hf_ledger_entry joining[3] = {0};
        size_t n = 0;
        for (; n < 1 + id % 3 && id <= ENTRIES; n++, id++)
            joining[n] = (hf_ledger_entry){.id = id, .at = id * 64, .name_at = ~id};
        hf_ledger_append(t, joining, n);
    }
}

static void
read_entries(hf_ledger_header *h)
{
    uint64_t length = 0, before;
    do {
        const uint64_t word = hf_load_acquire(&h->table);
        before = length;
        const hf_ledger_table *t = hf_ledger_find(file, SIZE, word, &length);
        HF_REQUIRE(t != NULL);
        HF_CHECK(length >= before);
        for (uint64_t i = 0; i < length; i++) {
            const hf_ledger_entry *e = &t->entry[i];
            HF_CHECK(e->id == i + 1 && e->at == e->id * 64 && e->name_at == ~e->id);
        }
        HF_CHECK(hf_ledger_is_still(h, word));
    } while (length < ENTRIES);
}

static void
play(void *shared, int index)
{
    hf_ledger_header *h = shared;
    if (index < READERS)
        read_entries(h);
    else
        write_entries((hf_ledger_table *)(file + AT));
}

HF_TEST(whoever_reads_a_table_that_grows_finds_whole_entries)
{
    hf_ledger_header *h = (hf_ledger_header *)file;
    for (long round = hf_threads_rounds(25); round > 0; round--) {
        memset(file, 0, sizeof file);
        hf_store_release(&h->table, HF_LEDGER_TABLE(1, AT));
        hf_threads_run(READERS + 1, play, h);
    }
}
