# What bucket.pyx uses of hf_bucket.h and hf_sliding.h. hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport int64_t, uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_atomic.h" nogil:
    ctypedef struct hf_au64:
        pass
    uint64_t hf_load_relaxed(const hf_au64 *w)
    void hf_count(hf_au64 *w, uint64_t n)

cdef extern from "holdfast/hf_bucket.h" nogil:
    ctypedef struct hf_rate:
        uint64_t num
        uint64_t den
        uint64_t burst
    ctypedef struct hf_bucket:
        hf_au64 allowed
        hf_au64 rejected
        hf_au64 refunded
    const uint64_t HF_RATE_NUM_MAX
    const uint64_t HF_RATE_SPAN_MAX
    const int64_t HF_BUCKET_NEVER
    void hf_bucket_init(hf_bucket *b, hf_rate rate, int64_t now_ns)
    bint hf_bucket_try_take(hf_bucket *b, uint64_t n, int64_t now_ns)
    int64_t hf_bucket_take_within(hf_bucket *b, uint64_t n, int64_t now_ns, int64_t max_wait_ns)
    int64_t hf_bucket_reserve(hf_bucket *b, uint64_t n, int64_t now_ns)
    int64_t hf_bucket_wait_ns(const hf_bucket *b, uint64_t n, int64_t now_ns)
    void hf_bucket_refund(hf_bucket *b, uint64_t n)
    uint64_t hf_bucket_available(const hf_bucket *b, int64_t now_ns)
    void hf_bucket_resize(hf_bucket *b, hf_rate rate, int64_t now_ns)
    void hf_bucket_clear(hf_bucket *b)
    hf_rate hf_bucket_rate(const hf_bucket *b)
