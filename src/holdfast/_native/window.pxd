# What window.pyx uses of hf_count_window.h and hf_time_window.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_tally.h" nogil:
    const int HF_IGNORED
    ctypedef struct hf_tally:
        uint64_t calls
        uint64_t failures
        uint64_t slow
        uint64_t ignored

cdef extern from "holdfast/hf_count_window.h" nogil:
    const uint32_t HF_COUNT_WINDOW_MOST
    ctypedef struct hf_count_window:
        pass
    size_t hf_count_window_size(uint32_t n)
    void hf_count_window_init(hf_count_window *w, uint32_t n)
    void hf_count_window_record(hf_count_window *w, uint64_t gen, int outcome, bint slow)
    hf_tally hf_count_window_read(const hf_count_window *w, uint64_t gen)

cdef extern from "holdfast/hf_time_window.h" nogil:
    ctypedef struct hf_time_window:
        pass
    size_t hf_time_window_size(uint32_t slices)
    void hf_time_window_init(hf_time_window *w, uint32_t slices, int64_t slice_ns)
    void hf_time_window_record(
        hf_time_window *w, uint64_t gen, int64_t now_ns, int outcome, bint slow)
    hf_tally hf_time_window_read(const hf_time_window *w, uint64_t gen, int64_t now_ns)
    bint hf_time_window_has_failures(const hf_time_window *w, uint64_t gen, int64_t now_ns)
