# What adaptive_timeout.pyx uses of hf_adaptive_timeout.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport int64_t, uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "<stdbool.h>":
    ctypedef bint c_bool "bool"

cdef extern from "holdfast/hf_atomic.h" nogil:
    ctypedef struct hf_au64:
        pass
    ctypedef struct hf_ai64:
        pass
    uint64_t hf_load_relaxed(const hf_au64 *w)
    int64_t hf_load_relaxed_signed "hf_load_relaxed"(const hf_ai64 *w)

cdef extern from "holdfast/hf_quantile.h" nogil:
    const int64_t HF_QUANTILE_NS_MAX
    ctypedef struct hf_quantile:
        pass
    int64_t hf_quantile_get_ns(const hf_quantile *q)
    unsigned hf_quantile_samples(const hf_quantile *q)

cdef extern from "holdfast/hf_adaptive_timeout.h" nogil:
    ctypedef struct hf_adaptive_timeout:
        hf_quantile quantile
        hf_au64 samples
        hf_ai64 min_ns
        hf_ai64 max_ns
    void hf_adaptive_timeout_init(hf_adaptive_timeout *t, int64_t initial_ns, int64_t min_ns,
                                  int64_t max_ns, double multiplier, double p)
    int64_t hf_adaptive_timeout_get_ns(const hf_adaptive_timeout *t)
    void hf_adaptive_timeout_set_ns(hf_adaptive_timeout *t, int64_t ns)
    void hf_adaptive_timeout_resize(hf_adaptive_timeout *t, int64_t ns, int64_t min_ns,
                                    int64_t max_ns)
    void hf_adaptive_timeout_record(hf_adaptive_timeout *t, int64_t latency_ns, c_bool timed_out)
    int64_t hf_adaptive_timeout_average_ns(const hf_adaptive_timeout *t)
