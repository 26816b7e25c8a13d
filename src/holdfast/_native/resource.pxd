# What resource.pyx uses of hf_resource.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_atomic.h" nogil:
    ctypedef struct hf_au64:
        pass
    uint64_t hf_load_relaxed(const hf_au64 *w)

cdef extern from "holdfast/hf_resource.h" nogil:
    uint64_t HF_RESOURCE_MAX
    uint64_t HF_RESOURCE_NO_LIMIT
    enum:
        HF_RESOURCE_FULL
        HF_RESOURCE_ALL_FULL
        HF_RESOURCE_DONE
        HF_RESOURCE_HIGH
        HF_RESOURCE_ALL_HIGH
        HF_RESOURCE_ENDS
        HF_RESOURCE_EVENTS
    ctypedef enum hf_resource_event:
        pass
    ctypedef struct hf_resource:
        hf_au64 created
        hf_au64 refused
    void hf_resource_init(hf_resource *k, uint64_t limit)
    void hf_resource_forget(hf_resource *k)
    void hf_resource_count(hf_resource *k, hf_resource_event event)
    uint64_t hf_resource_counted(const hf_resource *k, hf_resource_event event)
    unsigned int hf_resource_add(hf_resource *k, hf_resource *all, uint64_t n)
    bint hf_resource_remove(hf_resource *k, hf_resource *all, uint64_t n, hf_resource_event end)
    unsigned int hf_resource_resize(hf_resource *k, uint64_t limit)
    uint64_t hf_resource_active(const hf_resource *k, uint64_t *limit)
    void hf_resource_show(hf_resource *k, uint64_t limit)
