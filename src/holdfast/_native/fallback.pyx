"""The counts of the calls that something else stood in for."""
cimport cython

from holdfast._native.binding cimport capsule
from holdfast._native.ledger cimport enlist, hf_member, place, strike, unplace


cdef void forget(void *kernel, uint64_t seed) noexcept nogil:
    hf_fallback_forget(<hf_fallback *> kernel)


@cython.final
cdef class Fallback:
    """Counts how calls ended.

    Safe to use from any thread.
    """

    cdef hf_fallback *kernel
    cdef void *block
    cdef hf_member member

    def __cinit__(self):
        self.kernel = <hf_fallback *> place(&self.block, sizeof(hf_fallback))
        hf_fallback_init(self.kernel)
        enlist(&self.member, self.kernel, forget)

    def __dealloc__(self):
        strike(&self.member)
        unplace(self.block)

    def __init__(self):
        """Take no arguments; without this, __cinit__ would overlook them."""

    def counters(self):
        """Return (passed, used, failed, observed) calls so far."""
        cdef hf_fallback *k = self.kernel
        return (hf_load_relaxed(&k.passed), hf_load_relaxed(&k.used),
                hf_load_relaxed(&k.failed), hf_load_relaxed(&k.observed))

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_fallback)

    def _capsule(self):
        return capsule(self, self.kernel, "holdfast.fallback")
