# What meter.pyx uses of hf_meter.h.
# hf_build.h comes first: it says how the kernels are compiled.
from libc.stdint cimport uint64_t

cdef extern from "hf_build.h":
    pass

cdef extern from "holdfast/hf_meter.h" nogil:
    enum:
        HF_METER_NUMBERS
    ctypedef struct hf_meter:
        pass
    void hf_meter_init(hf_meter *m)
    void hf_meter_forget(hf_meter *m)
    void hf_meter_count(hf_meter *m, unsigned int at, uint64_t n)
    void hf_meter_set(hf_meter *m, unsigned int at, uint64_t value)
