# What bucket.pyx uses of hf_bucket.h and hf_sliding.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport int64_t, uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_atomic.h" nogil:
    ctypedef struct hf_au64:
        pass
    uint64_t hf_load_relaxed(const hf_au64 *w)

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
    void hf_bucket_forget(hf_bucket *k)
    bint hf_bucket_try_take(hf_bucket *b, uint64_t n, int64_t now_ns)
    int64_t hf_bucket_take_within(hf_bucket *b, uint64_t n, int64_t now_ns, int64_t max_wait_ns)
    int64_t hf_bucket_reserve(hf_bucket *b, uint64_t n, int64_t now_ns)
    int64_t hf_bucket_wait_ns(const hf_bucket *b, uint64_t n, int64_t now_ns)
    void hf_bucket_refund(hf_bucket *b, uint64_t n)
    void hf_bucket_unbook(hf_bucket *b, uint64_t n)
    uint64_t hf_bucket_available(const hf_bucket *b, int64_t now_ns)
    void hf_bucket_resize(hf_bucket *b, hf_rate rate, int64_t now_ns)
    void hf_bucket_clear(hf_bucket *b)
    void hf_bucket_clear_but(hf_bucket *b, uint64_t n, int64_t now_ns)
    int64_t hf_bucket_due_ns(const hf_bucket *b, uint64_t after, int64_t now_ns)
    hf_rate hf_bucket_rate(const hf_bucket *b)

cdef extern from "holdfast/hf_sliding.h" nogil:
    const uint64_t HF_SLIDING_LIMIT_MAX
    const int64_t HF_SLIDING_NEVER
    ctypedef struct hf_sliding:
        hf_au64 allowed
        hf_au64 rejected
        hf_au64 refunded
    void hf_sliding_init(hf_sliding *s, uint64_t limit, int64_t per_ns)
    void hf_sliding_forget(hf_sliding *k)
    bint hf_sliding_try_take(hf_sliding *s, uint64_t n, int64_t now_ns)
    void hf_sliding_refund(hf_sliding *s, uint64_t n, int64_t taken_ns)
    uint64_t hf_sliding_available(const hf_sliding *s, int64_t now_ns)
    int64_t hf_sliding_wait_ns(const hf_sliding *s, uint64_t n, int64_t now_ns)
    void hf_sliding_resize(hf_sliding *s, uint64_t limit)
    void hf_sliding_clear(hf_sliding *s)
    uint64_t hf_sliding_limit(const hf_sliding *s)
