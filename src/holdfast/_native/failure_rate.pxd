# What failure_rate.pyx uses of hf_failure_rate.h.
# hf_build.h comes first: it says how the kernels are compiled.
cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_failure_rate.h" nogil:
    ctypedef struct hf_failure_rate:
        pass
    void hf_failure_rate_init(hf_failure_rate *r)
    void hf_failure_rate_record(hf_failure_rate *r, bint failed)
    double hf_failure_rate_get(const hf_failure_rate *r)
