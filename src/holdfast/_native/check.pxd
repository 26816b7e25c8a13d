# What check.pyx uses of hf_check.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_atomic.h" nogil:
    ctypedef struct hf_au64:
        pass
    ctypedef struct hf_ai64:
        pass
    uint64_t hf_load_relaxed(const hf_au64 *w)
    int64_t hf_load_i64 "hf_load_relaxed"(const hf_ai64 *w)
    void hf_count(hf_au64 *w, uint64_t n)

cdef extern from "holdfast/hf_check.h" nogil:
    const int HF_CHECK_RUN_MOST
    const int HF_CHECK_STATES
    const int HF_CHECK_VERDICTS
    ctypedef struct hf_check:
        hf_ai64 last_ns
        hf_ai64 last_pass_ns
        hf_ai64 last_failure_ns
        hf_ai64 last_duration_ns
        hf_au64 passed
        hf_au64 limped
        hf_au64 failed
        hf_au64 unproven
        hf_au64 abandoned
        hf_au64 sum_ns
    ctypedef struct hf_check_change:
        bint happened
        uint8_t from_ "from"
        uint8_t to
    void hf_check_init(hf_check *c, uint32_t failures, uint32_t successes, int64_t start_period_ns)
    void hf_check_forget(hf_check *c)
    uint64_t hf_check_word(const hf_check *c)
    int hf_check_state_of(uint64_t w)
    uint32_t hf_check_failures(uint64_t w)
    uint32_t hf_check_passes(uint64_t w)
    bint hf_check_is_pending(const hf_check *c, uint64_t w)
    hf_check_change hf_check_record(hf_check *c, unsigned int verdict, int64_t began_ns, int64_t duration_ns)
    hf_check_change hf_check_start(hf_check *c, int64_t now_ns)
