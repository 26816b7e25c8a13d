# What adaptive_rate.pyx uses of hf_adaptive_rate.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_atomic.h" nogil:
    ctypedef struct hf_au64:
        pass
    ctypedef struct hf_ai64:
        pass
    uint64_t hf_load_relaxed(const hf_au64 *w)
    int64_t hf_load_relaxed_signed "hf_load_relaxed"(const hf_ai64 *w)

cdef extern from "holdfast/hf_bucket.h" nogil:
    ctypedef struct hf_bucket:
        pass

cdef extern from "holdfast/hf_quantile.h" nogil:
    ctypedef struct hf_quantile:
        pass
    int64_t hf_quantile_get_ns(const hf_quantile *q)
    unsigned hf_quantile_samples(const hf_quantile *q)

cdef extern from "holdfast/hf_adaptive_rate.h" nogil:
    const uint64_t HF_RATE_MICRO_MIN
    const uint64_t HF_RATE_MICRO_MAX
    const int64_t HF_RATE_TARGET_NS_MAX
    enum:
        HF_RATE_WINDOW_MAX
    ctypedef enum hf_rate_move:
        HF_RATE_KEPT
    ctypedef enum hf_rate_evidence:
        HF_RATE_LATENCY
        HF_RATE_AT_LEAST
        HF_RATE_THROTTLING
    ctypedef struct hf_adaptive_rate:
        hf_ai64 average_ns
        hf_quantile quantile
        hf_au64 samples
        hf_au64 raised
        hf_au64 slowed
        hf_au64 throttled
        hf_au64 min
        hf_au64 max
        hf_au64 burst
    ctypedef struct hf_adaptive_settings:
        uint64_t rate
        uint64_t min
        uint64_t max
        uint64_t burst
        int64_t target_ns
        int64_t max_age_ns
        uint32_t window
    void hf_adaptive_rate_init(hf_adaptive_rate *a, hf_bucket *b, const hf_adaptive_settings *s,
                               int64_t now_ns)
    void hf_adaptive_rate_forget(hf_adaptive_rate *a)
    uint64_t hf_adaptive_rate_get(const hf_adaptive_rate *a)
    hf_rate_move hf_adaptive_rate_record(hf_adaptive_rate *a, hf_bucket *b,
                                         hf_rate_evidence evidence, int64_t taken_ns,
                                         int64_t now_ns, int64_t duration_ns, uint64_t *before)
    void hf_adaptive_rate_resize(hf_adaptive_rate *a, hf_bucket *b, uint64_t rate, uint64_t min,
                                 uint64_t max, uint64_t burst, int64_t now_ns)
