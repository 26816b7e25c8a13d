# What hedge.pyx uses of hf_hedge.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_atomic.h" nogil:
    ctypedef struct hf_au64:
        pass
    uint64_t hf_load_relaxed(const hf_au64 *w)
    uint64_t hf_load_acquire(const hf_au64 *w)
    void hf_count(hf_au64 *w, uint64_t n)
    void hf_count_release(hf_au64 *w, uint64_t n)

cdef extern from "holdfast/hf_quantile.h" nogil:
    enum:
        HF_QUANTILE_SAMPLES_MAX
    const int64_t HF_QUANTILE_NS_MAX
    ctypedef struct hf_quantile:
        pass
    int64_t hf_quantile_get_ns(const hf_quantile *q)
    unsigned hf_quantile_samples(const hf_quantile *q)

cdef extern from "holdfast/hf_hedge.h" nogil:
    const int64_t HF_HEDGE_NEVER
    ctypedef struct hf_hedge:
        hf_quantile quantile
        hf_au64 calls
        hf_au64 failed
        hf_au64 hedged
        hf_au64 attempts
        hf_au64 won
        hf_au64 cancelled
        hf_au64 refused
        hf_au64 observed
        hf_au64 abandoned
        hf_au64 stopped
    void hf_hedge_init(hf_hedge *h, int64_t delay_ns)
    void hf_hedge_init_quantile(hf_hedge *h, double p, uint32_t warmup, int64_t initial_ns,
                                int64_t floor_ns)
    void hf_hedge_forget(hf_hedge *k)
    int64_t hf_hedge_delay_ns(const hf_hedge *h)
    int64_t hf_hedge_due_ns(const hf_hedge *h, int64_t now_ns)
    void hf_hedge_record(hf_hedge *h, int64_t duration_ns)
