# What retry.pyx uses of hf_retry.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_atomic.h" nogil:
    ctypedef struct hf_au64:
        pass
    uint64_t hf_load_relaxed(const hf_au64 *w)
    void hf_count(hf_au64 *w, uint64_t n)

cdef extern from "holdfast/hf_retry.h" nogil:
    const int HF_RETRY_VERDICTS
    const int HF_RETRY_ORDINALS
    const int HF_RETRY_DELAYS
    ctypedef enum hf_retry_verdict:
        pass
    ctypedef struct hf_retry:
        uint32_t attempts
        int64_t max_time_ns
        hf_au64 succeeded
        hf_au64 recovered
        hf_au64 *gave_up
        hf_au64 *retries
        hf_au64 *delays
        hf_au64 delay_ns
        hf_au64 observed
    void hf_retry_init(hf_retry *r, uint32_t attempts, int64_t max_time_ns)
    void hf_retry_forget(hf_retry *k)
    bint hf_retry_has_attempts(const hf_retry *r, uint32_t retries)
    hf_retry_verdict hf_retry_in_time(const hf_retry *r, int64_t started_ns, int64_t now_ns,
                                      int64_t delay_ns, int64_t deadline_ns)
    void hf_retry_count_delay(hf_retry *r, int64_t delay_ns)
    void hf_retry_count_retry(hf_retry *r, uint32_t ordinal)
    void hf_retry_count_success(hf_retry *r, uint32_t retries)
