# What error_budget.pyx uses of hf_error_budget.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_atomic.h" nogil:
    ctypedef struct hf_au32:
        pass
    ctypedef struct hf_au64:
        pass
    ctypedef struct hf_ai64:
        pass
    uint32_t hf_load_watched "hf_load_relaxed"(const hf_au32 *w)
    void hf_store_watched "hf_store_relaxed"(hf_au32 *w, uint32_t x)
    uint64_t hf_load_relaxed(const hf_au64 *w)
    int64_t hf_load_time "hf_load_relaxed"(const hf_ai64 *w)

cdef extern from "holdfast/hf_error_budget.h" nogil:
    enum:
        HF_BURN_WINDOWS
        HF_BUDGET_PRIORITIES
    const uint64_t HF_BUDGET_WHOLE
    const int64_t HF_BUDGET_NEVER
    ctypedef struct hf_outcomes:
        uint64_t total
        uint64_t failed
    ctypedef struct hf_error_budget_rule:
        int64_t window_ns
        uint64_t allowed
        uint64_t min_requests
        uint64_t min_failures
        bint own_clock
        bint counts_rejections
        bint sheds
    ctypedef struct hf_error_budget:
        hf_au64 good
        hf_au64 bad
        hf_ai64 last_success_ns
        hf_ai64 last_failure_ns
        hf_ai64 down_since_ns
        hf_au32 watched
        hf_au64 state
        hf_au64 down_ns
        hf_au64 exhausted
        hf_au64 paged_fast
        hf_au64 paged_slow
        hf_au64 shed
        hf_au64 observed
        hf_error_budget_rule rule
        int64_t made_ns
    void hf_error_budget_init(hf_error_budget *b, hf_error_budget_rule rule, int64_t now_ns)
    void hf_error_budget_forget(hf_error_budget *b)
    void hf_error_budget_clear(hf_error_budget *b)
    void hf_error_budget_turn(hf_error_budget *b, int64_t now_ns)
    bint hf_error_budget_succeed(hf_error_budget *b, uint64_t n, int64_t now_ns)
    void hf_error_budget_fail(hf_error_budget *b, uint64_t n, int64_t now_ns)
    uint64_t hf_error_budget_judge(hf_error_budget *b, int64_t now_ns)
    uint64_t hf_error_budget_settle(hf_error_budget *b, int64_t now_ns, uint64_t *before)
    bint hf_error_budget_may_change(const hf_error_budget *b, int64_t now_ns)
    hf_outcomes hf_error_budget_outcomes(const hf_error_budget *b, unsigned window, int64_t now_ns)
    bint hf_error_budget_in(
        const hf_error_budget *b, int64_t length_ns, int64_t now_ns, hf_outcomes *seen)
    bint hf_error_budget_sheds(hf_error_budget *b, unsigned priority, int64_t now_ns)
    double hf_error_budget_shed_share(
        const hf_error_budget *b, unsigned priority, hf_outcomes seen)
    double hf_burn_lower_bound(hf_outcomes seen)
    bint hf_burn_pages(hf_outcomes shorter, hf_outcomes longer, double allowed, double rate)
