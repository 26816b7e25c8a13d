# What level.pyx uses of hf_level.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport int64_t, uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_atomic.h" nogil:
    ctypedef struct hf_au64:
        pass
    ctypedef struct hf_ai64:
        pass
    uint64_t hf_load_relaxed(const hf_au64 *w)
    int64_t hf_load_relaxed_signed "hf_load_relaxed"(const hf_ai64 *w)
    void hf_count(hf_au64 *w, uint64_t n)

cdef extern from "holdfast/hf_level.h" nogil:
    enum:
        HF_LEVELS
        HF_LEVEL_PRIORITIES
        HF_LEVEL_UNFORCED
    const int64_t HF_LEVEL_ALWAYS
    ctypedef struct hf_level:
        hf_au64 asked
        hf_au64 forced
        hf_ai64 since_ns
        hf_au64 *changes
        hf_au64 *spent_ns
        hf_au64 *shed
    void hf_level_init(hf_level *k, int64_t stable_ns, int64_t now_ns)
    void hf_level_forget(hf_level *k)
    uint64_t hf_level_get(const hf_level *k)
    uint64_t hf_level_uncounted_ns(const hf_level *k, int64_t now_ns)
    void hf_level_count(hf_level *k, int64_t now_ns)
    bint hf_level_look(hf_level *k, int64_t now_ns)
    bint hf_level_ask(hf_level *k, uint64_t asked, int64_t now_ns)
    bint hf_level_force(hf_level *k, uint64_t forced, int64_t now_ns)
    bint hf_level_recover(hf_level *k, int64_t now_ns)
    int64_t hf_level_ends_ns(const hf_level *k)
