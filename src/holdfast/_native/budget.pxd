# What budget.pyx uses of hf_budget.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport int64_t, uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_atomic.h" nogil:
    ctypedef struct hf_au64:
        pass
    uint64_t hf_load_relaxed(const hf_au64 *w)

cdef extern from "holdfast/hf_budget.h" nogil:
    const uint64_t HF_BUDGET_RATIO_MAX
    const uint64_t HF_BUDGET_RATE_MAX
    const uint64_t HF_BUDGET_BURST_MAX
    ctypedef struct hf_budget_rule:
        uint64_t ratio
        uint64_t rate
        uint64_t burst
    ctypedef struct hf_budget:
        hf_au64 deposits
        hf_au64 withdrawn
        hf_au64 refused
        hf_au64 given_back
        uint64_t unit
    void hf_budget_init(hf_budget *b, hf_budget_rule rule, int64_t now_ns)
    void hf_budget_forget(hf_budget *k)
    void hf_budget_deposit(hf_budget *b)
    bint hf_budget_withdraw(hf_budget *b, int64_t now_ns)
    bint hf_budget_give_back(hf_budget *b)
    double hf_budget_balance(const hf_budget *b, int64_t now_ns)
