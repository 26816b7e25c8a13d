# What ledger.pyx uses of hf_arena.h and hf_ledger.h, and what the other bindings use of ledger.pyx.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_atomic.h" nogil:
    ctypedef struct hf_au64:
        pass
    uint64_t hf_load_relaxed(const hf_au64 *w)
    uint64_t hf_load_acquire(const hf_au64 *w)
    void hf_store_relaxed(hf_au64 *w, uint64_t x)
    void hf_store_release(hf_au64 *w, uint64_t x)

cdef extern from "holdfast/hf_arena.h" nogil:
    enum:
        HF_ARENA_LINE
    ctypedef struct hf_arena_tag:
        hf_au64 retired
    ctypedef struct hf_arena:
        unsigned char *base
        size_t used
        size_t size
    void hf_arena_init(hf_arena *a, void *base, size_t size, size_t reserved)
    bint hf_arena_has(const hf_arena *a, const void *address)
    uint64_t hf_arena_offset(const hf_arena *a, const void *address)
    size_t hf_arena_needs(const hf_arena *a, size_t bytes)
    void *hf_arena_take(hf_arena *a, size_t bytes)
    size_t hf_arena_room(const hf_arena *a, const void *block)
    void hf_arena_give(hf_arena *a, void *block)
    void hf_arena_lock "hf__arena_lock"(hf_arena *a)
    void hf_arena_unlock "hf__arena_unlock"(hf_arena *a)
    void hf_arena_retire(hf_arena *a, const void *block)

cdef extern from "holdfast/hf_ledger.h" nogil:
    const uint64_t HF_LEDGER_MAGIC
    enum:
        HF_LEDGER_VECTOR
        HF_LEDGER_BREAKER
        HF_LEDGER_BUCKET
        HF_LEDGER_SLIDING
        HF_LEDGER_BULKHEAD
        HF_LEDGER_HISTOGRAM
        HF_LEDGER_RETRY
        HF_LEDGER_TIMEOUT
        HF_LEDGER_FALLBACK
        HF_LEDGER_HEDGE
        HF_LEDGER_PIPELINE
        HF_LEDGER_LATENCY_BUDGET
        HF_LEDGER_ERROR_BUDGET
        HF_LEDGER_ADAPTIVE_RATE
        HF_LEDGER_CHAOS
        HF_LEDGER_CHECK
        HF_LEDGER_LEVEL
        HF_LEDGER_METER
        HF_LEDGER_COMPONENT
        HF_LEDGER_RESOURCE
        HF_LEDGER_TYPES
        HF_LEDGER_NAME_MOST
        HF_LEDGER_ENTRIES_MOST
        HF_LEDGER_VECTOR_MOST
    ctypedef struct hf_ledger_header:
        uint64_t magic
        uint64_t layout
        uint64_t pid
        hf_au64 table
    ctypedef struct hf_ledger_entry:
        uint64_t id
        uint64_t at
        uint64_t name_at
        uint32_t name_length
        uint32_t extra
        uint8_t type
        uint8_t role
        uint8_t mode
        uint8_t flags
    ctypedef struct hf_ledger_table:
        hf_au64 length
        hf_ledger_entry *entry
    ctypedef struct hf_ledger_vector:
        uint64_t length
        uint64_t *number
    uint64_t HF_LEDGER_TABLE(uint64_t change, uint64_t offset)
    uint64_t HF_LEDGER_TABLE_OFFSET(uint64_t w)
    uint64_t HF_LEDGER_TABLE_CHANGE(uint64_t w)
    size_t hf_ledger_bytes(size_t entries)
    size_t hf_ledger_room(size_t bytes)
    void hf_ledger_append(hf_ledger_table *t, const hf_ledger_entry *entries, size_t n)
    uint64_t hf_ledger_copy(hf_ledger_table *to, const hf_ledger_table *from_,
                            const uint64_t *gone, size_t n)
    bint hf_ledger_holds(size_t size, uint64_t offset, uint64_t bytes)
    const hf_ledger_table *hf_ledger_find(const unsigned char *base, size_t size, uint64_t word,
                                          uint64_t *length)
    bint hf_ledger_is_still(const hf_ledger_header *h, uint64_t word)
    bint hf_ledger_is_sound(const hf_ledger_entry *e, size_t size, uint64_t bytes)

ctypedef void (*forget_function)(void *kernel, uint64_t seed) noexcept nogil

cdef extern from "holdfast/hf_roster.h" nogil:
    ctypedef struct hf_member:
        pass
    ctypedef struct hf_roster:
        pass
    void hf_roster_join(hf_roster *r, hf_member *member, void *kernel, forget_function forget)
    void hf_roster_leave(hf_roster *r, hf_member *member)

cdef void *place(void **block, size_t size) except NULL
cdef void unplace(void *block) noexcept nogil
cdef void enlist(hf_member *member, void *kernel, forget_function forget) noexcept
cdef void strike(hf_member *member) noexcept nogil
cdef void keep_copy(const void *kernel, forget_function forget) noexcept nogil
cdef void *watch(void *base, size_t size) except NULL
cdef void unwatch(void *watched) noexcept nogil
cdef bint has_lost(const void *watched) noexcept nogil
