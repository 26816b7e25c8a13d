# What random.pyx uses of hf_random.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_random.h" nogil:
    ctypedef struct hf_random:
        pass
    void hf_random_init(hf_random *r, uint64_t seed)
    void hf_random_forget(hf_random *r, uint64_t seed)
    uint64_t hf_random_next(hf_random *r)
    double hf_random_unit(hf_random *r)
    uint64_t hf_random_below(hf_random *r, uint64_t n)
