# What timeout.pyx uses of hf_timeout.h.
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
    void hf_store_relaxed(hf_ai64 *w, int64_t x)
    void hf_count(hf_au64 *w, uint64_t n)

cdef extern from "holdfast/hf_timeout.h" nogil:
    ctypedef struct hf_timeout:
        hf_ai64 duration_ns
        hf_au64 in_time
        hf_au64 expired
        hf_au64 late
        hf_au64 refused
        hf_au64 abandoned
        hf_au64 stopped
        hf_au64 observed
    void hf_timeout_init(hf_timeout *t, int64_t duration_ns)
    void hf_timeout_forget(hf_timeout *k)
    int64_t hf_timeout_deadline_ns(const hf_timeout *t, int64_t now_ns)
