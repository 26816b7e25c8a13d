# What latency_budget.pyx uses of hf_latency_budget.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_atomic.h" nogil:
    ctypedef struct hf_au64:
        pass
    uint64_t hf_load_relaxed(const hf_au64 *w)

cdef extern from "holdfast/hf_latency_budget.h" nogil:
    enum:
        HF_HISTOGRAM_CELLS
        HF_LATENCY_BUDGET_ASKED
        HF_LATENCY_BUDGET_MOST
        HF_PERCENTILE_MOST
    ctypedef struct hf_latency_budget:
        int64_t target_ns
        uint32_t size
        uint32_t percentile
        hf_au64 recorded
        hf_au64 exceeded
        hf_au64 exhausted
    size_t hf_latency_budget_size(uint32_t size)
    void hf_latency_budget_init(hf_latency_budget *b, int64_t target_ns, uint32_t percentile,
                                uint32_t size, uint32_t least)
    bint hf_latency_budget_record(hf_latency_budget *b, int64_t ns)
    bint hf_latency_budget_clear(hf_latency_budget *b)
    void hf_latency_budget_forget(hf_latency_budget *b)
    uint64_t hf_latency_budget_tally(const hf_latency_budget *b)
    uint64_t hf_latency_budget_turns(const hf_latency_budget *b)
    void hf_latency_budget_percentiles(const hf_latency_budget *b, const uint32_t *percentiles,
                                       size_t n, int64_t *ns)
    uint32_t HF_TALLY_CALLS(uint64_t tally)
    uint32_t HF_TALLY_EXCEEDING(uint64_t tally)
    int64_t hf_histogram_middle(unsigned int cell)
