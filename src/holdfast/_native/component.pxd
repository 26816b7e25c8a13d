# What component.pyx uses of hf_component.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport int64_t, uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_atomic.h" nogil:
    ctypedef struct hf_au64:
        pass
    ctypedef struct hf_ai64:
        pass
    uint64_t hf_load_relaxed(const hf_au64 *w)
    int64_t hf_load_time "hf_load_relaxed"(const hf_ai64 *w)

cdef extern from "holdfast/hf_component.h" nogil:
    enum:
        HF_COMPONENT_EVENTS
    ctypedef enum hf_component_state:
        HF_COMPONENT_STOPPED
        HF_COMPONENT_DOWN
        HF_COMPONENT_STATES
    ctypedef enum hf_component_event:
        pass
    ctypedef struct hf_component:
        hf_au64 state
        hf_ai64 looked_ns
        hf_au64 *counted
        bint own_clock
    void hf_component_init(hf_component *k, bint own_clock)
    void hf_component_forget(hf_component *k)
    void hf_component_count(hf_component *k, hf_component_event event)
    uint64_t hf_component_down_ns(const hf_component *k, int64_t now_ns)
    void hf_component_look(hf_component *k, int64_t now_ns)
    void hf_component_be(hf_component *k, hf_component_state state, int64_t now_ns)
