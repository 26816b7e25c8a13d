# What clock.pyx uses of hf_clock.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport int64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_clock.h" nogil:
    ctypedef struct hf_clock:
        pass
    int64_t hf_clock_now_ns(const hf_clock *c)
    int64_t hf_clock_coarse_ns(const hf_clock *c)
    int64_t hf_clock_shown_ns(const hf_clock *c)
    void hf_clock_init_system(hf_clock *c)
    void hf_clock_init_manual(hf_clock *c, int64_t start_ns)
    void hf_clock_advance(hf_clock *c, int64_t d_ns)
    void hf_clock_set(hf_clock *c, int64_t shown_ns)
