/*
 * Ledger: what stands in a worker's file, and how another process reads it.
 *
 *   header | blocks …           blocks: kernels, names, vectors of counts, and the table
 *
 * The table lists what there is to read. It is never changed: another one is written, and the header's
 * word is pointed to it. So whoever reads sees all of a change or nothing, and an owner that dies at
 * any moment leaves a whole table. The words of kernels change one by one, under whoever reads.
 *
 * Entries join at the end, under identities that only grow, and leave from anywhere: so whatever is in
 * two tables was there all the time between, and a reader of a file that changes while it is read
 * reads on with what has joined. It trusts nothing: every offset is checked, and what it read of an
 * entry counts only if a table that it found afterwards has the entry still.
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
    HF_LEDGER_TYPES
};

enum {
    HF_LEDGER_SUBTRACT =
        1, /* a vector that is to be taken off: the parent's counts, before a fork */
    HF_LEDGER_NAME_MOST = 1024,
    HF_LEDGER_ENTRIES_MOST = 1 << 20,
    HF_LEDGER_VECTOR_MOST = 64
};

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
    uint64_t length;
    hf_ledger_entry entry[];
} hf_ledger_table;

typedef struct hf_ledger_vector {
    uint64_t length;
    uint64_t number[];
} hf_ledger_vector;

/* Whether `bytes` bytes at an offset are within a file of `size`, and aligned for a word. */
static inline bool
hf_ledger_holds(size_t size, uint64_t offset, uint64_t bytes)
{
    return offset % sizeof(uint64_t) == 0 && offset >= HF_ARENA_LINE && offset <= size &&
           bytes <= size - offset;
}

/*
 * The table that a word names in a file of `size` bytes, its entries all within the file; NULL: there
 * is none, or it is no table (any more). `*length` is what was checked: the one in the table may change
 * when the owner uses its block for something else.
 */
static inline const hf_ledger_table *
hf_ledger_find(const unsigned char *base, size_t size, uint64_t word, uint64_t *length)
{
    const uint64_t offset = HF_LEDGER_TABLE_OFFSET(word);
    if (!hf_ledger_holds(size, offset, sizeof(hf_ledger_table)))
        return NULL;
    const hf_ledger_table *table = (const hf_ledger_table *)(base + offset);
    *length = *(const volatile uint64_t *)&table->length;
    if (*length > HF_LEDGER_ENTRIES_MOST ||
        !hf_ledger_holds(size, offset, sizeof *table + *length * sizeof(hf_ledger_entry)))
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
