# What histogram.pyx uses of hf_histogram.h and hf_pipeline.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport int64_t, uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_histogram.h" nogil:
    enum:
        HF_HISTOGRAM_BUCKETS
    ctypedef struct hf_histogram:
        pass
    void hf_histogram_init(hf_histogram *h)
    void hf_histogram_forget(hf_histogram *k)
    void hf_histogram_clear(hf_histogram *h)
    void hf_histogram_record(hf_histogram *h, int64_t ns)
    void hf_histogram_buckets(const hf_histogram *h, uint64_t *out)
    uint64_t hf_histogram_count(const hf_histogram *h)
    uint64_t hf_histogram_sum(const hf_histogram *h)
    double hf_histogram_quantile(const hf_histogram *h, double q)

cdef extern from "holdfast/hf_pipeline.h" nogil:
    ctypedef enum hf_pipeline_end:
        HF_PIPELINE_ENDS
    ctypedef struct hf_pipeline:
        pass
    void hf_pipeline_init(hf_pipeline *p)
    void hf_pipeline_forget(hf_pipeline *p)
    bint hf_pipeline_is_critical(const hf_pipeline *p)
    void hf_pipeline_set_critical(hf_pipeline *p, bint critical)
    uint64_t hf_pipeline_retries(const hf_pipeline *p)
    uint64_t hf_pipeline_timeouts(const hf_pipeline *p)
    void hf_pipeline_count_retry(hf_pipeline *p)
    void hf_pipeline_count_timeout(hf_pipeline *p)
    void hf_pipeline_count(hf_pipeline *p, hf_pipeline_end end, int64_t ns)
    uint64_t hf_pipeline_ended(const hf_pipeline *p, hf_pipeline_end end)
    uint64_t hf_pipeline_sum(const hf_pipeline *p)
    void hf_pipeline_buckets(const hf_pipeline *p, uint64_t *out)
    ctypedef struct hf_pipeline_seen:
        uint64_t *ended
        uint64_t *upto
        uint64_t sum_ns
    void hf_pipeline_see(const hf_pipeline *p, hf_pipeline_seen *out)
    uint64_t hf_pipeline_calls(const hf_pipeline_seen *seen)
    void hf_pipeline_between(
        const hf_pipeline_seen *old, const hf_pipeline_seen *now, hf_pipeline_seen *out)
    void hf_pipeline_gather(hf_pipeline_seen *sum, const hf_pipeline_seen *one)
