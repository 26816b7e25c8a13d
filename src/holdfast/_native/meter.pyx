"""What something that is no policy, such as a manager, counts and shows."""
cimport cython
from libc.stdint cimport INT64_MAX

from holdfast._native.binding cimport capsule, whole
from holdfast._native.ledger cimport enlist, hf_member, place, strike, unplace


cdef void forget(void *kernel, uint64_t seed) noexcept nogil:
    hf_meter_forget(<hf_meter *> kernel)


@cython.final
cdef class Meter:
    """Two counts, and two numbers that are true at the moment.

    Safe to use from any thread.
    """

    cdef hf_meter *kernel
    cdef void *block
    cdef hf_member member

    def __cinit__(self):
        self.kernel = <hf_meter *> place(&self.block, sizeof(hf_meter))
        hf_meter_init(self.kernel)
        enlist(&self.member, self.kernel, forget)

    def __dealloc__(self):
        strike(&self.member)
        unplace(self.block)

    def __init__(self):
        """Take no arguments; without this, __cinit__ would overlook them."""

    def count(self, at, n=1):
        """Add ``n`` to the count in place ``at``."""
        hf_meter_count(
            self.kernel, whole(at, "at", 0, HF_METER_NUMBERS - 1), whole(n, "n", 0, INT64_MAX))

    def set(self, at, value):
        """Have the number in place ``at`` be ``value``."""
        hf_meter_set(
            self.kernel, whole(at, "at", 0, HF_METER_NUMBERS - 1),
            whole(value, "value", 0, INT64_MAX))

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_meter)

    def _capsule(self):
        return capsule(self, self.kernel, "holdfast.meter")
