"""What every binding shares: whole numbers, aligned memory, capsules.

Elsewhere: anything that knows a kernel.
"""
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree
from cpython.number cimport PyIndex_Check
from cpython.pycapsule cimport (
    PyCapsule_GetContext, PyCapsule_New, PyCapsule_SetContext,
)
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint64_t, uintptr_t

cdef extern from "hf_build.h":
    pass

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object value, int *overflow) except? -1
    unsigned long long PyLong_AsUnsignedLongLong(object value) except? -1


cdef inline int64_t whole(object value, str name, int64_t least, int64_t most) except? -1:
    """Read an integer. Cython's own conversion would cut 1.9 down to 1."""
    cdef int overflow = 0
    cdef int64_t n
    if not PyIndex_Check(value):
        raise TypeError(f"{name}: got {value!r}, allowed an integer")
    n = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow or n < least or n > most:
        raise ValueError(f"{name}: got {value!r}, allowed {least} to {most}")
    return n


cdef inline double share(object value, str name, double least, double most) except? -1.0:
    """Read a number; least is at least 0."""
    cdef double number = value
    if not least <= number <= most:  # nor NaN
        raise ValueError(f"{name}: got {value!r}, allowed {least!r} to {most!r}")
    return number


cdef inline int64_t moment(object now_ns) except? -1:
    """Read a point in time; any nanosecond an int64 can name is one."""
    return whole(now_ns, "now_ns", INT64_MIN, INT64_MAX)


cdef inline uint64_t word(object value, str name) except? 1:
    """Read an integer that uses all 64 bits."""
    if not isinstance(value, int):
        raise TypeError(f"{name}: got {value!r}, allowed an integer")
    if not 0 <= value < 1 << 64:
        raise ValueError(f"{name}: got {value!r}, allowed 0 to 2**64 - 1")
    return PyLong_AsUnsignedLongLong(value)


cdef extern from *:
    """
    #ifdef Py_GIL_DISABLED
    #define HF_KERNEL_LINE 64
    #else
    #define HF_KERNEL_LINE 8
    #endif
    """
    enum:
        HF_KERNEL_LINE


cdef inline void *aligned(void **block, size_t size) except NULL:
    """Allocate zeroed memory; where threads call at the same time, it starts on a cache line.

    There words of two kernels on one line would contend. Memory is aligned for a word by itself.
    ``block`` receives what has to be freed.
    """
    block[0] = PyMem_RawCalloc(1, size + HF_KERNEL_LINE - 8)
    if block[0] is NULL:
        raise MemoryError()
    return <void *> ((<uintptr_t> block[0] + HF_KERNEL_LINE - 8)
                     & ~<uintptr_t> (HF_KERNEL_LINE - 1))


cdef inline void release_owner(object holder) noexcept:
    Py_DECREF(<object> PyCapsule_GetContext(holder))


cdef inline object capsule(object owner, void *kernel, const char *name):
    """Hand a kernel to the gate; the capsule keeps the owner of its memory alive."""
    cdef object holder = PyCapsule_New(kernel, name, release_owner)
    Py_INCREF(owner)
    PyCapsule_SetContext(holder, <void *> owner)
    return holder
