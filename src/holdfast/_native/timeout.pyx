"""How long a call may take, and the counts of those that took longer."""
cimport cython
from libc.stdint cimport INT64_MAX

from holdfast._native.binding cimport capsule, moment, whole
from holdfast._native.ledger cimport enlist, hf_member, keep_copy, place, strike, unplace


cdef void forget(void *kernel, uint64_t seed) noexcept nogil:
    hf_timeout_forget(<hf_timeout *> kernel)


@cython.final
cdef class Timeout:
    """At most ``duration_ns`` a call.

    Safe to use from any thread.
    """

    cdef hf_timeout *kernel
    cdef void *block
    cdef hf_member member

    def __cinit__(self, duration_ns):
        self.kernel = <hf_timeout *> place(&self.block, sizeof(hf_timeout))
        hf_timeout_init(self.kernel, whole(duration_ns, "duration_ns", 0, INT64_MAX))
        enlist(&self.member, self.kernel, forget)

    def __dealloc__(self):
        strike(&self.member)
        unplace(self.block)

    def duration_ns(self):
        """Return how long a call that begins now may take."""
        return hf_load_relaxed_signed(&self.kernel.duration_ns)

    def set_duration_ns(self, duration_ns):
        """Change it for calls that begin from now on."""
        hf_store_relaxed(
            &self.kernel.duration_ns, whole(duration_ns, "duration_ns", 0, INT64_MAX))
        keep_copy(self.kernel, forget)

    def deadline_ns(self, now_ns):
        """Return when a call that begins at ``now_ns`` has to be over."""
        return hf_timeout_deadline_ns(self.kernel, moment(now_ns))

    def counters(self):
        """Return the counts of calls so far.

        Returns:
            (in_time, expired, late, refused, abandoned, stopped, observed): late of the expired
            returned a value that was dropped; abandoned less stopped go on in a thread.
        """
        cdef hf_timeout *k = self.kernel
        return (hf_load_relaxed(&k.in_time), hf_load_relaxed(&k.expired),
                hf_load_relaxed(&k.late), hf_load_relaxed(&k.refused),
                hf_load_relaxed(&k.abandoned), hf_load_relaxed(&k.stopped),
                hf_load_relaxed(&k.observed))

    def count_abandoned(self):
        """Count work that goes on in a thread after its call has ended."""
        hf_count(&self.kernel.abandoned, 1)

    def count_stopped(self):
        """Count abandoned work that has come to its end."""
        hf_count(&self.kernel.stopped, 1)

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_timeout)

    def _capsule(self):
        return capsule(self, self.kernel, "holdfast.timeout")
