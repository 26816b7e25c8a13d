"""A running quantile of durations, in one word."""
cimport cython
from libc.stdint cimport INT64_MAX, INT64_MIN

from holdfast._native.binding cimport capsule, share, whole


@cython.final
cdef class Quantile:
    """The duration that a share ``p`` of the latest ones does not exceed, about.

    Safe to write and read from any thread.
    """

    cdef hf_quantile kernel

    def __cinit__(self, p):
        hf_quantile_init(&self.kernel, share(p, "p", 0.001, 0.999))

    def record(self, ns):
        """Take one duration into account; it counts as one from 1 ns to 100 years."""
        hf_quantile_record(&self.kernel, whole(ns, "ns", INT64_MIN, INT64_MAX))

    def ns(self):
        """Return the estimate in nanoseconds, None before the first duration."""
        return hf_quantile_get_ns(&self.kernel) if hf_quantile_samples(&self.kernel) else None

    def samples(self):
        """Return how many durations there were; it does not count beyond 255."""
        return hf_quantile_samples(&self.kernel)

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_quantile)

    def _capsule(self):
        return capsule(self, &self.kernel, "holdfast.quantile")
