# What chaos.pyx uses of hf_chaos.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport int64_t, uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_atomic.h" nogil:
    ctypedef struct hf_au64:
        pass
    uint64_t hf_load_relaxed(const hf_au64 *w)
    void hf_store_relaxed(hf_au64 *w, uint64_t x)
    void hf_count(hf_au64 *w, uint64_t n)

cdef extern from "holdfast/hf_chaos.h" nogil:
    const uint64_t HF_CHAOS_ONE
    ctypedef struct hf_chaos:
        hf_au64 seed
        hf_au64 calls
        hf_au64 probability
        hf_au64 left
        hf_au64 checked
        hf_au64 injected
        hf_au64 observed
    void hf_chaos_init(hf_chaos *k, uint64_t seed, uint64_t probability)
    void hf_chaos_forget(hf_chaos *k, uint64_t seed)
    void hf_chaos_arm(hf_chaos *k, uint64_t seed, int64_t until_ns, uint64_t left)
    void hf_chaos_disarm(hf_chaos *k)
    void hf_chaos_begin_episode(hf_chaos *k, int64_t from_ns, int64_t until_ns)
    bint hf_chaos_is_armed(const hf_chaos *k, int64_t now_ns)
    bint hf_chaos_in_episode(const hf_chaos *k, int64_t now_ns)
    bint hf_chaos_check(hf_chaos *k, int64_t now_ns, uint64_t *number)
    void hf_chaos_give_back(hf_chaos *k, uint64_t number, bint struck)
    double hf_chaos_unit(uint64_t seed, uint64_t number, uint64_t lane)
