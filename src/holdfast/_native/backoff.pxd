# What backoff.pyx uses of hf_backoff.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_random.h" nogil:
    ctypedef struct hf_random:
        pass
    void hf_random_init(hf_random *r, uint64_t seed)
    void hf_random_forget(hf_random *r, uint64_t seed)

cdef extern from "holdfast/hf_backoff.h" nogil:
    ctypedef enum hf_backoff_kind:
        HF_BACKOFF_CONSTANT
        HF_BACKOFF_LINEAR
        HF_BACKOFF_EXPONENTIAL
        HF_BACKOFF_FIBONACCI
        HF_BACKOFF_DECORRELATED
    ctypedef enum hf_jitter_mode:
        HF_JITTER_EQUAL
    ctypedef struct hf_backoff:
        hf_jitter_mode mode
        int64_t increment_ns
        double factor
        double jitter
        hf_random random
    void hf_backoff_init(
        hf_backoff *b, hf_backoff_kind kind, int64_t base_ns, int64_t max_ns, uint64_t seed)
    int64_t hf_backoff_delay_ns(hf_backoff *b, uint32_t attempt, int64_t previous_ns)
