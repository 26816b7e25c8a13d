# What bulkhead.pyx uses of hf_bulkhead.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport uint32_t, uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_atomic.h" nogil:
    ctypedef struct hf_au64:
        pass
    uint64_t hf_load_relaxed(const hf_au64 *w)
    void hf_count(hf_au64 *w, uint64_t n)

cdef extern from "<stdbool.h>":
    ctypedef bint c_bool "bool"

cdef extern from "holdfast/hf_bulkhead.h" nogil:
    const uint32_t HF_BULKHEAD_MAX
    ctypedef enum hf_entry:
        pass
    ctypedef struct hf_bulkhead:
        hf_au64 admitted
        hf_au64 completed
        hf_au64 undone
        hf_au64 rejected
        hf_au64 waited
        hf_au64 timed_out
        hf_au64 over_released
    void hf_bulkhead_init(hf_bulkhead *bh, uint32_t limit, uint32_t max_waiting)
    bint hf_bulkhead_try_enter(hf_bulkhead *bh)
    hf_entry hf_bulkhead_enter_or_queue(hf_bulkhead *bh)
    bint hf_bulkhead_force_enter(hf_bulkhead *bh)
    bint hf_bulkhead_leave(hf_bulkhead *bh, c_bool *waiters)
    bint hf_bulkhead_undo(hf_bulkhead *bh, c_bool *waiters)
    bint hf_bulkhead_grant(hf_bulkhead *bh)
    bint hf_bulkhead_unqueue(hf_bulkhead *bh)
    bint hf_bulkhead_resize(hf_bulkhead *bh, uint32_t limit)
    void hf_bulkhead_forget(hf_bulkhead *bh)
    uint32_t hf_bulkhead_in_flight(const hf_bulkhead *bh)
    uint32_t hf_bulkhead_waiting(const hf_bulkhead *bh)
    uint32_t hf_bulkhead_limit(const hf_bulkhead *bh)
    uint32_t hf_bulkhead_max_waiting(const hf_bulkhead *bh)
