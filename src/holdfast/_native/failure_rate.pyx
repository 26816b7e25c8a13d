"""Which share of the last attempts failed."""
cimport cython

from holdfast._native.binding cimport capsule


@cython.final
cdef class FailureRate:
    """A mean over about the last 32 attempts, in which the latest weigh most; 0 at first.

    Safe to write and read from any thread.
    """

    cdef hf_failure_rate kernel

    def __cinit__(self):
        hf_failure_rate_init(&self.kernel)

    def __init__(self):
        """Take no arguments; without this, __cinit__ would overlook them."""

    def record(self, bint failed):
        """Count an attempt."""
        hf_failure_rate_record(&self.kernel, failed)

    def get(self):
        """Return the rate, 0 to 1."""
        return hf_failure_rate_get(&self.kernel)

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_failure_rate)

    def _capsule(self):
        return capsule(self, &self.kernel, "holdfast.failure_rate")
