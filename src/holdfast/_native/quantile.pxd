# What quantile.pyx uses of hf_quantile.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport int64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_quantile.h" nogil:
    ctypedef struct hf_quantile:
        pass
    void hf_quantile_init(hf_quantile *q, double p)
    void hf_quantile_record(hf_quantile *q, int64_t sample_ns)
    int64_t hf_quantile_get_ns(const hf_quantile *q)
    unsigned hf_quantile_samples(const hf_quantile *q)
