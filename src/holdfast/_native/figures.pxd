# What figures.pyx uses of hf_figures.h and hf_ledger.h, and what ledger.pyx and reader.pyx use of
# figures.pyx. hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport int64_t, uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_ledger.h" nogil:
    enum:
        HF_LEDGER_BREAKER
        HF_LEDGER_BUCKET
        HF_LEDGER_SLIDING
        HF_LEDGER_BULKHEAD
        HF_LEDGER_HISTOGRAM
        HF_LEDGER_RETRY
        HF_LEDGER_TIMEOUT
        HF_LEDGER_FALLBACK
        HF_LEDGER_HEDGE
        HF_LEDGER_PIPELINE
        HF_LEDGER_LATENCY_BUDGET
        HF_LEDGER_ERROR_BUDGET
        HF_LEDGER_ADAPTIVE_RATE
        HF_LEDGER_CHAOS
        HF_LEDGER_CHECK
        HF_LEDGER_LEVEL
        HF_LEDGER_METER
        HF_LEDGER_COMPONENT
        HF_LEDGER_RESOURCE
        HF_LEDGER_TYPES
    ctypedef struct hf_ledger_header:
        pass
    ctypedef struct hf_ledger_entry:
        pass

cdef extern from "holdfast/hf_figures.h" nogil:
    ctypedef struct hf_breaker:
        pass
    ctypedef struct hf_bucket:
        pass
    ctypedef struct hf_sliding:
        pass
    ctypedef struct hf_bulkhead:
        pass
    ctypedef struct hf_histogram:
        pass
    ctypedef struct hf_retry:
        pass
    ctypedef struct hf_timeout:
        pass
    ctypedef struct hf_fallback:
        pass
    ctypedef struct hf_hedge:
        pass
    ctypedef struct hf_pipeline:
        pass
    ctypedef struct hf_latency_budget:
        pass
    ctypedef struct hf_error_budget:
        pass
    ctypedef struct hf_clock:
        pass
    void hf_clock_init_system(hf_clock *c)
    int64_t hf_clock_now_ns(const hf_clock *c)
    ctypedef struct hf_adaptive_rate:
        pass
    ctypedef struct hf_chaos:
        pass
    ctypedef struct hf_check:
        pass
    ctypedef struct hf_level:
        pass
    ctypedef struct hf_meter:
        pass
    ctypedef struct hf_component:
        pass
    ctypedef struct hf_resource:
        pass
    enum:
        HF_BREAKER_COUNTS
        HF_LIMITER_COUNTS
        HF_BULKHEAD_COUNTS
        HF_HISTOGRAM_COUNTS
        HF_RETRY_COUNTS
        HF_TIMEOUT_COUNTS
        HF_FALLBACK_COUNTS
        HF_HEDGE_COUNTS
        HF_PIPELINE_COUNTS
        HF_LATENCY_BUDGET_COUNTS
        HF_LATENCY_BUDGET_NOW
        HF_ERROR_BUDGET_COUNTS
        HF_ERROR_BUDGET_NOW
        HF_ADAPTIVE_RATE_COUNTS
        HF_CHAOS_COUNTS
        HF_CHECK_COUNTS
        HF_LEVEL_COUNTS
        HF_METER_COUNTS
        HF_METER_NUMBERS
        HF_COMPONENT_COUNTS
        HF_RESOURCE_COUNTS
        HF_FIGURES_MOST
    ctypedef struct hf_figure_name:
        const char *name
        unsigned int numbers
    const hf_figure_name *hf_breaker_names
    const hf_figure_name *hf_limiter_names
    const hf_figure_name *hf_bulkhead_names
    const hf_figure_name *hf_histogram_names
    const hf_figure_name *hf_retry_names
    const hf_figure_name *hf_timeout_names
    const hf_figure_name *hf_fallback_names
    const hf_figure_name *hf_hedge_names
    const hf_figure_name *hf_pipeline_names
    const hf_figure_name *hf_latency_budget_names
    const hf_figure_name *hf_error_budget_names
    const hf_figure_name *hf_adaptive_rate_names
    const hf_figure_name *hf_chaos_names
    const hf_figure_name *hf_check_names
    const hf_figure_name *hf_level_names
    const hf_figure_name *hf_meter_names
    const hf_figure_name *hf_component_names
    const hf_figure_name *hf_resource_names
    size_t hf_breaker_figures(const hf_breaker *b, uint64_t *out)
    size_t hf_bucket_figures(const hf_bucket *b, uint64_t *out)
    size_t hf_sliding_figures(const hf_sliding *s, uint64_t *out)
    size_t hf_bulkhead_figures(const hf_bulkhead *bh, uint64_t *out)
    size_t hf_histogram_figures(const hf_histogram *h, uint64_t *out)
    size_t hf_retry_figures(const hf_retry *r, uint64_t *out)
    size_t hf_timeout_figures(const hf_timeout *t, uint64_t *out)
    size_t hf_fallback_figures(const hf_fallback *f, uint64_t *out)
    size_t hf_hedge_figures(const hf_hedge *h, uint64_t *out)
    size_t hf_pipeline_figures(const hf_pipeline *p, uint64_t *out)
    size_t hf_latency_budget_figures(const hf_latency_budget *b, uint64_t *out)
    size_t hf_error_budget_figures(const hf_error_budget *b, int64_t now_ns, uint64_t *out)
    size_t hf_adaptive_rate_figures(const hf_adaptive_rate *a, uint64_t *out)
    size_t hf_chaos_figures(const hf_chaos *k, uint64_t *out)
    size_t hf_check_figures(const hf_check *k, uint64_t *out)
    size_t hf_level_figures(const hf_level *k, uint64_t *out)
    size_t hf_meter_figures(const hf_meter *k, uint64_t *out)
    size_t hf_component_figures(const hf_component *k, int64_t now_ns, uint64_t *out)
    size_t hf_resource_figures(const hf_resource *k, uint64_t *out)

cdef int64_t machine_now_ns() noexcept nogil
cdef size_t figures(int kind, const void *at, int64_t now_ns, uint64_t *out) noexcept nogil
cdef size_t now_of(int kind) noexcept nogil
cdef size_t size_of(int kind) noexcept nogil
cdef tuple numbers(const uint64_t *first, size_t n)
cdef int kind_of(object holder) except -1
cdef void *kernel_at(object holder) except NULL
