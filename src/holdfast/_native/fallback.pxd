# What fallback.pyx uses of hf_fallback.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_atomic.h" nogil:
    ctypedef struct hf_au64:
        pass
    uint64_t hf_load_relaxed(const hf_au64 *w)

cdef extern from "holdfast/hf_fallback.h" nogil:
    ctypedef struct hf_fallback:
        hf_au64 passed
        hf_au64 used
        hf_au64 failed
        hf_au64 observed
    void hf_fallback_init(hf_fallback *f)
    void hf_fallback_forget(hf_fallback *k)
