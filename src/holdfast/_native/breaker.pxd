# What breaker.pyx uses of hf_breaker.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_atomic.h" nogil:
    ctypedef struct hf_au64:
        pass
    ctypedef struct hf_ai64:
        pass
    ctypedef struct hf_au32:
        pass
    uint64_t hf_load_relaxed(const hf_au64 *w)
    int64_t hf_load_i64 "hf_load_relaxed"(const hf_ai64 *w)
    uint32_t hf_load_u32 "hf_load_relaxed"(const hf_au32 *w)

cdef extern from "holdfast/hf_random.h" nogil:
    ctypedef struct hf_random:
        pass
    void hf_random_init(hf_random *r, uint64_t seed)

cdef extern from "holdfast/hf_count_window.h" nogil:
    const uint32_t HF_COUNT_WINDOW_MOST

cdef extern from "holdfast/hf_tally.h" nogil:
    const int HF_IGNORED
    ctypedef struct hf_tally:
        uint64_t calls
        uint64_t failures
        uint64_t slow
        uint64_t ignored

cdef extern from "holdfast/hf_breaker.h" nogil:
    enum:
        HF_STATES
    const int HF_WINDOW_NONE
    const int HF_WINDOW_COUNT
    const int HF_WINDOW_TIME
    const int HF_BREAKER_COUNT_MOST
    const int HF_PERMIT_PROBE
    const int HF_PERMIT_OBSERVED
    const int HF_PERMIT_SILENT
    const int HF_PERMIT_INSIDE

    enum hf_state:
        pass
    ctypedef struct hf_breaker_config:
        uint32_t failure_threshold
        uint32_t success_threshold
        uint32_t half_open_max
        uint32_t min_calls
        uint32_t failure_rate_ppb
        uint32_t slow_rate_ppb
        int64_t slow_ns
        int64_t reset_ns
        int64_t reset_max_ns
        int64_t probe_ns
        int64_t failure_reset_ns
        double reset_factor
        double reset_jitter
        uint32_t window_kind
        uint32_t window_n
        int64_t slice_ns
    ctypedef struct hf_breaker:
        hf_au64 word
        hf_ai64 last_failure_ns
        hf_ai64 last_success_ns
        hf_random rng
        hf_breaker_config config
        hf_au64 admitted
        hf_au64 succeeded
        hf_au64 failed
        hf_au64 ignored
        hf_au64 abandoned
        hf_au64 rejected
        hf_au64 observed
        hf_au64 unobserved
        hf_au64 late
        hf_au64 slow
        hf_au32 changes[6][6]
    ctypedef struct hf_breaker_permit:
        uint64_t gen
        uint32_t flags
    ctypedef struct hf_change:
        uint8_t origin "from"
        uint8_t to
        bint happened
        uint8_t rule
        uint64_t gen
        uint32_t count
        uint32_t calls

    uint64_t HF_BREAKER_GEN(uint64_t w)
    size_t hf_breaker_size(const hf_breaker_config *config)
    void hf_breaker_init(hf_breaker *b, const hf_breaker_config *config, uint64_t seed)
    bint hf_breaker_admit(hf_breaker *b, hf_breaker_permit *permit)
    bint hf_breaker_admit_slow(
        hf_breaker *b, int64_t now_ns, hf_breaker_permit *permit, hf_change *change)
    bint hf_breaker_admit_inside(hf_breaker *b, const hf_breaker_permit *probe, int64_t now_ns,
                                 hf_breaker_permit *permit)
    void hf_breaker_admit_observed(hf_breaker *b, hf_breaker_permit *permit)
    bint hf_breaker_settle_fast(hf_breaker *b, const hf_breaker_permit *permit)
    hf_change hf_breaker_settle(
        hf_breaker *b, const hf_breaker_permit *permit, int outcome, int64_t duration_ns,
        int64_t now_ns)
    void hf_breaker_abandon(hf_breaker *b, const hf_breaker_permit *permit)
    void hf_breaker_undo(hf_breaker *b, const hf_breaker_permit *permit)
    hf_change hf_breaker_override(hf_breaker *b, hf_state to, int64_t now_ns)
    const uint64_t HF_NO_OPENING
    ctypedef struct hf_breaker_period:
        uint64_t gen
        uint64_t opening
    hf_breaker_period hf_breaker_period_now(const hf_breaker *b)
    hf_change hf_breaker_close_opening(hf_breaker *b, uint64_t opening)
    hf_change hf_breaker_open_generation(hf_breaker *b, uint64_t gen, uint32_t failures, int64_t now_ns)
    void hf_breaker_tune(hf_breaker *b, uint32_t failure_threshold, uint32_t success_threshold,
                         int64_t reset_ns)
    bint hf_breaker_set_run(hf_breaker *b, uint32_t run)
    void hf_breaker_forget(hf_breaker *b, uint64_t seed)
    hf_state hf_breaker_state(const hf_breaker *b)
    uint32_t hf_breaker_run(const hf_breaker *b)
    uint32_t hf_breaker_failures_in_a_row(const hf_breaker *b, int64_t now_ns)
    const size_t HF_BREAKER_STRIPES_BYTES
    uint64_t hf_breaker_admitted(const hf_breaker *b)
    uint64_t hf_breaker_succeeded(const hf_breaker *b)
    uint64_t hf_breaker_rejected(const hf_breaker *b)
    uint64_t hf_breaker_in_flight(const hf_breaker *b)
    uint32_t hf_breaker_probes(const hf_breaker *b, int64_t now_ns)
    bint hf_breaker_peek(const hf_breaker *b, int64_t now_ns)
    int64_t hf_breaker_retry_after_ns(const hf_breaker *b, int64_t now_ns)
    hf_tally hf_breaker_tally(const hf_breaker *b, int64_t now_ns)
