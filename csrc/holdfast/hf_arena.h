/*
 * Arena: blocks of memory out of one region that begins at the same address for ever.
 *
 * Kernels stand in it whose words others are to read: the region is a mapped file. Owns which bytes of
 * the region are taken; how it is mapped, grown and named is its user's (src/holdfast/_native/ledger.pyx).
 * What decides that stands beside the region, in memory of this process: nobody else's bytes are ever
 * trusted, and a copy of the region and of this struct is a working arena again (fork).
 */
#ifndef HF_ARENA_H
#define HF_ARENA_H

#include <stddef.h>
#include <string.h>

#include "hf_atomic.h"

#define HF_ARENA_LINE 64 /* blocks begin on a cache line and never share one */
/* Up to 16 lines one class each, then four classes to an octave, up to 2^28 lines. */
enum { HF__ARENA_SMALL = 16, HF_ARENA_CLASSES = HF__ARENA_SMALL + 24 * 4 };

/* What stands in the line before each block. Others read `retired`, and trust nothing here. */
typedef struct hf_arena_tag {
    uint64_t class; /* which free list it goes back to */
    uint64_t next;  /* while it is free: the offset of the next one of its class; 0: none */
    hf_au64
        retired; /* what stands in it is nobody's any more: its counts stay, its state does not */
} hf_arena_tag;

typedef struct hf_arena {
    hf_au32 busy; /* 1: somebody is at it, for a few dozen instructions */
    unsigned char *base;
    size_t used, size; /* bytes taken at least once, and there are; both multiples of a line */
    uint64_t free[HF_ARENA_CLASSES];
} hf_arena;

/* Lines of a class, the tag's not counted. */
static inline size_t
hf__arena_lines(unsigned class)
{
    if (class < HF__ARENA_SMALL)
        return class + 1;
    const unsigned beyond = class - HF__ARENA_SMALL;
    return (size_t)(5 + beyond % 4) << (2 + beyond / 4);
}

/* The least class with so many lines; HF_ARENA_CLASSES if there is none. */
static inline unsigned
hf__arena_class(size_t lines)
{
    unsigned class = lines <= HF__ARENA_SMALL ? (unsigned)lines - (lines > 0) : HF__ARENA_SMALL;
    while (class < HF_ARENA_CLASSES && hf__arena_lines(class) < lines)
        class++;
    return class;
}

static inline hf_arena_tag *
hf__arena_tag(const hf_arena *a, uint64_t offset)
{
    return (hf_arena_tag *)(a->base + offset - HF_ARENA_LINE);
}

static inline void
hf__arena_lock(hf_arena *a)
{
    uint32_t is = 0;
    /* Acquire pairs with the release in hf__arena_unlock(). */
    while (!hf_cas_weak_acquire(&a->busy, &is, 1))
        is = 0;
}

static inline void
hf__arena_unlock(hf_arena *a)
{
    hf_store_release(&a->busy, 0);
}

/* An arena over `size` bytes at base, whose first `reserved` are its user's. */
static inline void
hf_arena_init(hf_arena *a, void *base, size_t size, size_t reserved)
{
    memset(a, 0, sizeof *a);
    a->base = base;
    a->size = size / HF_ARENA_LINE * HF_ARENA_LINE;
    a->used = (reserved + HF_ARENA_LINE - 1) / HF_ARENA_LINE * HF_ARENA_LINE;
}

/* Whether an address is one of the arena's. */
static inline bool
hf_arena_has(const hf_arena *a, const void *address)
{
    const uintptr_t at = (uintptr_t)address, base = (uintptr_t)a->base;
    return at > base && at - base < a->used;
}

static inline uint64_t
hf_arena_offset(const hf_arena *a, const void *address)
{
    return (uint64_t)((uintptr_t)address - (uintptr_t)a->base);
}

/* Bytes the region has to have for a block of so many that no freed one serves. */
static inline size_t
hf_arena_needs(const hf_arena *a, size_t bytes)
{
    const unsigned class = hf__arena_class((bytes + HF_ARENA_LINE - 1) / HF_ARENA_LINE);
    if (class == HF_ARENA_CLASSES)
        return SIZE_MAX;
    return a->used + (1 + hf__arena_lines(class)) * HF_ARENA_LINE;
}

/*
 * A zeroed block of at least so many bytes, on a line of its own; NULL: the region has no room.
 * Never waits for longer than another take or give lasts.
 */
static inline void *
hf_arena_take(hf_arena *a, size_t bytes)
{
    const unsigned class = hf__arena_class((bytes + HF_ARENA_LINE - 1) / HF_ARENA_LINE);
    if (class == HF_ARENA_CLASSES)
        return NULL;
    const size_t whole = hf__arena_lines(class) * HF_ARENA_LINE;
    hf__arena_lock(a);
    uint64_t offset = a->free[class];
    if (offset != 0) {
        a->free[class] = hf__arena_tag(a, offset)->next;
    } else if (a->size - a->used >= whole + HF_ARENA_LINE) {
        offset = a->used + HF_ARENA_LINE;
        a->used += whole + HF_ARENA_LINE;
    }
    hf__arena_unlock(a);
    if (offset == 0)
        return NULL;
    hf_arena_tag *tag = hf__arena_tag(a, offset);
    tag->class = class;
    tag->next = 0;
    hf_store_relaxed(&tag->retired, 0);
    memset(a->base + offset, 0, whole);
    return a->base + offset;
}

/* Bytes of a block that take() gave: at least as many as were asked for. */
static inline size_t
hf_arena_room(const hf_arena *a, const void *block)
{
    const hf_arena_tag *tag = hf__arena_tag(a, hf_arena_offset(a, block));
    return hf__arena_lines((unsigned)tag->class) * HF_ARENA_LINE;
}

/* Give back a block that take() gave, once. */
static inline void
hf_arena_give(hf_arena *a, void *block)
{
    const uint64_t offset = hf_arena_offset(a, block);
    hf_arena_tag *tag = hf__arena_tag(a, offset);
    hf__arena_lock(a);
    tag->next = a->free[tag->class];
    a->free[tag->class] = offset;
    hf__arena_unlock(a);
}

/* Say that what stands in a block is nobody's any more. */
static inline void
hf_arena_retire(hf_arena *a, const void *block)
{
    hf_store_relaxed(&hf__arena_tag(a, hf_arena_offset(a, block))->retired, 1);
}

#endif /* HF_ARENA_H */
