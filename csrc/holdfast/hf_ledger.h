/*
 * Ledger: what stands in a worker's file, and how another process reads it.
 *
 *   header | blocks …           blocks: kernels, names, vectors of counts, and the table
 *
 * The table lists what there is to read. Entries that join are written behind its last one, and then
 * its length is published. Entries that leave, and the sums that join in their place, change in one
 * step: another table is written, and the header's word is pointed to it. A full table is replaced in
 * the same way. So whoever reads sees all of a change or nothing, and an owner that dies at any moment
 * leaves a whole table. The words of kernels change one by one, under whoever reads.
 *
 * Identities of entries only grow along a table, and from one table to the next: so whatever is in two
 * tables was there all the time between, and a reader of a file that changes while it is read reads on
 * with what has joined. It trusts nothing: every offset is checked, and what it read of an entry counts
 * only if a table that it found afterwards has the entry still.
 *
 * Owns the layout; where the file comes from is not known here.
 */
#ifndef HF_LEDGER_H
#define HF_LEDGER_H

#include "hf_arena.h"

#define HF_LEDGER_MAGIC UINT64_C(0x74736166646c6f68) /* "holdfast" in memory, little endian */

/* What a block holds. */
enum hf_ledger_type {
    HF_LEDGER_VECTOR, /* a count n, and n numbers */
    HF_LEDGER_BREAKER,
    HF_LEDGER_BUCKET,
    HF_LEDGER_SLIDING,
    HF_LEDGER_BULKHEAD,
    HF_LEDGER_HISTOGRAM,
    HF_LEDGER_RETRY,
    HF_LEDGER_TIMEOUT,
    HF_LEDGER_FALLBACK,
    HF_LEDGER_HEDGE,
    HF_LEDGER_PIPELINE,
    HF_LEDGER_LATENCY_BUDGET,
    HF_LEDGER_ERROR_BUDGET,
    HF_LEDGER_ADAPTIVE_RATE,
    HF_LEDGER_CHAOS,
    HF_LEDGER_CHECK,
    HF_LEDGER_LEVEL,
    HF_LEDGER_METER,
    HF_LEDGER_COMPONENT,
    HF_LEDGER_RESOURCE,
    HF_LEDGER_TYPES
};

enum { HF_LEDGER_NAME_MOST = 2048, HF_LEDGER_ENTRIES_MOST = 1 << 20, HF_LEDGER_VECTOR_MOST = 64 };

typedef struct hf_ledger_header {
    uint64_t magic;
    uint64_t layout; /* of the kernels: another build or version cannot be read */
    uint64_t pid;
    hf_au64 table; /* its offset in lines, below the number of the change it came with */
} hf_ledger_header;

#define HF__LEDGER_OFFSET_BITS 24 /* lines: 1 GiB */
#define HF_LEDGER_TABLE(change, offset)                                                            \
    ((uint64_t)(change) << HF__LEDGER_OFFSET_BITS | (uint64_t)(offset) / HF_ARENA_LINE)
#define HF_LEDGER_TABLE_OFFSET(w)                                                                  \
    (((w) & ((UINT64_C(1) << HF__LEDGER_OFFSET_BITS) - 1)) * HF_ARENA_LINE)
#define HF_LEDGER_TABLE_CHANGE(w) ((w) >> HF__LEDGER_OFFSET_BITS)

typedef struct hf_ledger_entry {
    uint64_t id; /* the owner's */
    uint64_t at; /* offset of the block */
    uint64_t name_at;
    uint32_t name_length;
    uint32_t extra; /* a number that belongs to the role */
    uint8_t type, role, mode, flags;
    uint8_t spare[4];
} hf_ledger_entry;

typedef struct hf_ledger_table {
    hf_au64 length; /* entries that are whole; the block may have room for more */
    hf_ledger_entry entry[];
} hf_ledger_table;

typedef struct hf_ledger_vector {
    uint64_t length;
    uint64_t number[];
} hf_ledger_vector;

/* Bytes of a table of so many entries. */
static inline size_t
hf_ledger_bytes(size_t entries)
{
    return sizeof(hf_ledger_table) + entries * sizeof(hf_ledger_entry);
}

/* How many entries a block of so many bytes has room for. */
static inline size_t
hf_ledger_room(size_t bytes)
{
    return (bytes - sizeof(hf_ledger_table)) / sizeof(hf_ledger_entry);
}

/*
 * Have a table with room for them end with `n` more entries, all of them in one step. For the owner,
 * one caller at a time.
 */
static inline void
hf_ledger_append(hf_ledger_table *t, const hf_ledger_entry entries[], size_t n)
{
    const uint64_t length = hf_load_relaxed(&t->length);
    if (n > 0)
        memcpy(&t->entry[length], entries, n * sizeof *entries);
    /* Release pairs with the acquire in hf_ledger_find(): it finds the entries whole. */
    hf_store_release(&t->length, length + n);
}

/*
 * Fill an unpublished table with the entries of another, but for those of some identities, given in
 * ascending order. Identities that the other has not are ignored. Returns how many stay; `to` may be
 * NULL, to ask only that.
 */
static inline uint64_t
hf_ledger_copy(hf_ledger_table *to, const hf_ledger_table *from, const uint64_t gone[], size_t n)
{
    const uint64_t length = hf_load_relaxed(&from->length);
    uint64_t kept = 0;
    for (uint64_t i = 0; i < length; i++) {
        for (; n > 0 && *gone < from->entry[i].id; n--)
            gone++;
        if (n > 0 && *gone == from->entry[i].id)
            continue;
        if (to != NULL)
            to->entry[kept] = from->entry[i];
        kept++;
    }
    if (to != NULL)
        hf_store_relaxed(&to->length, kept);
    return kept;
}

/* Whether `bytes` bytes at an offset are within a file of `size`, and aligned for a word. */
static inline bool
hf_ledger_holds(size_t size, uint64_t offset, uint64_t bytes)
{
    return offset % sizeof(uint64_t) == 0 && offset >= HF_ARENA_LINE && offset <= size &&
           bytes <= size - offset;
}

/*
 * The table that a word names in a file of `size` bytes, its entries all within the file; NULL: there
 * is none, or it is no table (any more). `*length` is what was checked: the one in the table grows, or
 * changes when the owner uses its block for something else.
 */
static inline const hf_ledger_table *
hf_ledger_find(const unsigned char *base, size_t size, uint64_t word, uint64_t *length)
{
    const uint64_t offset = HF_LEDGER_TABLE_OFFSET(word);
    if (!hf_ledger_holds(size, offset, sizeof(hf_ledger_table)))
        return NULL;
    const hf_ledger_table *table = (const hf_ledger_table *)(base + offset);
    /* Acquire pairs with the release in hf_ledger_append(). */
    *length = hf_load_acquire(&table->length);
    if (*length > HF_LEDGER_ENTRIES_MOST ||
        !hf_ledger_holds(size, offset, hf_ledger_bytes(*length)))
        return NULL;
    return table;
}

/* Whether the table is still the one that a word named, after all that was read of it. */
static inline bool
hf_ledger_is_still(const hf_ledger_header *h, uint64_t word)
{
    hf_fence_acquire(); /* pairs with the release of the next table */
    return hf_load_acquire(&h->table) == word;
}

/* Whether an entry, copied out of the table, names a block of so many bytes, and a name. */
static inline bool
hf_ledger_is_sound(const hf_ledger_entry *e, size_t size, uint64_t bytes)
{
    return e->type < HF_LEDGER_TYPES && hf_ledger_holds(size, e->at, bytes) &&
           e->name_length <= HF_LEDGER_NAME_MOST &&
           hf_ledger_holds(size, e->name_at, e->name_length);
}

#endif /* HF_LEDGER_H */
