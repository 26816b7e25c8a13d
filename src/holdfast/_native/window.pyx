"""The last calls, by number and by time. Both windows expire when read, not only when written.

A generation is a number below 2**35. The first record of a later one starts with nothing; records
and reads of an earlier one find nothing.
"""
cimport cython
from cpython.mem cimport PyMem_RawFree
from libc.stdint cimport INT64_MAX

from holdfast._native.binding cimport aligned, capsule, moment, whole

cdef enum:
    MOST_SLICES = 1024


cdef uint64_t gen(object generation) except? 0:
    return whole(generation, "generation", 0, (<int64_t> 1 << 35) - 1)


cdef int code(object outcome) except? -1:
    return <int> whole(outcome, "outcome", 0, HF_IGNORED)


cdef tuple listed(hf_tally tally):
    return tally.calls, tally.failures, tally.slow, tally.ignored


@cython.final
cdef class CountWindow:
    """The last ``n`` calls of a generation.

    Safe to write and read from any thread. Outcomes: 0 success, 1 failure, 2 ignored.
    """

    cdef hf_count_window *kernel
    cdef void *block
    cdef uint32_t n

    def __cinit__(self, n):
        self.n = whole(n, "n", 1, HF_COUNT_WINDOW_MOST)
        self.kernel = <hf_count_window *> aligned(&self.block, hf_count_window_size(self.n))
        hf_count_window_init(self.kernel, self.n)

    def __dealloc__(self):
        PyMem_RawFree(self.block)

    def record(self, generation, outcome, bint slow):
        """Count one finished call of a generation; an ignored one takes no place in the window."""
        hf_count_window_record(self.kernel, gen(generation), code(outcome), slow)

    def read(self, generation):
        """Return (calls, failures, slow, ignored) of a generation; calls = successes + failures."""
        return listed(hf_count_window_read(self.kernel, gen(generation)))

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return hf_count_window_size(self.n)

    def _capsule(self):
        return capsule(self, self.kernel, "holdfast.count_window")


@cython.final
cdef class TimeWindow:
    """The calls of the last ``slices`` slices of time, the running one included.

    Safe to write and read from any thread. Outcomes: 0 success, 1 failure, 2 ignored.
    """

    cdef hf_time_window *kernel
    cdef void *block
    cdef uint32_t slices

    def __cinit__(self, slices, slice_ns):
        cdef int64_t width = whole(slice_ns, "slice_ns", 1, INT64_MAX)
        self.slices = whole(slices, "slices", 1, MOST_SLICES)
        self.kernel = <hf_time_window *> aligned(&self.block, hf_time_window_size(self.slices))
        hf_time_window_init(self.kernel, self.slices, width)

    def __dealloc__(self):
        PyMem_RawFree(self.block)

    def record(self, generation, now_ns, outcome, bint slow):
        """Count one finished call of a generation in the slice of ``now_ns``."""
        hf_time_window_record(self.kernel, gen(generation), moment(now_ns), code(outcome), slow)

    def read(self, generation, now_ns):
        """Return (calls, failures, slow, ignored) of a generation; calls = successes + failures."""
        return listed(hf_time_window_read(self.kernel, gen(generation), moment(now_ns)))

    def has_failures(self, generation, now_ns):
        """Guess whether the window holds a failure or a slow call.

        Never wrongly False, except of calls that were in the future when time stepped back.
        """
        return hf_time_window_has_failures(self.kernel, gen(generation), moment(now_ns))

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return hf_time_window_size(self.slices)

    def _capsule(self):
        return capsule(self, self.kernel, "holdfast.time_window")
