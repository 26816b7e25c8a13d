"""How many are inside and how many wait to come in.

The queue itself (who waits, who is woken) is ``holdfast.waiting.rooms``'s.
"""
cimport cython

from holdfast._native.binding cimport capsule, whole
from holdfast._native.ledger cimport enlist, hf_member, keep_copy, place, strike, unplace


cdef void forget(void *kernel, uint64_t seed) noexcept nogil:
    hf_bulkhead_forget(<hf_bulkhead *> kernel)


@cython.final
cdef class Bulkhead:
    """At most ``limit`` inside at once, and at most ``max_waiting`` in the queue.

    Safe to use from any thread; no method waits.
    """

    cdef hf_bulkhead *kernel
    cdef void *block
    cdef hf_member member

    def __cinit__(self, limit, max_waiting):
        self.kernel = <hf_bulkhead *> place(&self.block, sizeof(hf_bulkhead))
        hf_bulkhead_init(
            self.kernel, whole(limit, "limit", 1, HF_BULKHEAD_MAX),
            whole(max_waiting, "max_waiting", 0, HF_BULKHEAD_MAX))
        enlist(&self.member, self.kernel, forget)

    def __dealloc__(self):
        strike(&self.member)
        unplace(self.block)

    def try_enter(self):
        """Enter if there is room and nobody waits for it.

        True obliges to one leave() or undo(); False is counted as rejected.
        """
        return hf_bulkhead_try_enter(self.kernel)

    def enter_or_queue(self):
        """Enter as try_enter() does, or else become a waiter.

        Returns:
            0: inside. 1: a waiter, until a grant() is passed to it or it gives up by unqueue().
            2: neither, counted as rejected.
        """
        return <int> hf_bulkhead_enter_or_queue(self.kernel)

    def force_enter(self):
        """Enter whatever the limit says (observe mode). False: 2**22 - 1 are inside already."""
        return hf_bulkhead_force_enter(self.kernel)

    def leave(self):
        """Leave after the call.

        Returns:
            Whether somebody was inside (if not, nothing changed and it is counted as
            over-released), and whether a waiter can come in, for whom grant() is due.
        """
        cdef c_bool waiters = False
        cdef bint inside = hf_bulkhead_leave(self.kernel, &waiters)
        return inside, waiters

    def undo(self):
        """Leave when the call never ran: refused further in, or a waiter granted too late.

        Returns:
            As leave().
        """
        cdef c_bool waiters = False
        cdef bint inside = hf_bulkhead_undo(self.kernel, &waiters)
        return inside, waiters

    def grant(self):
        """Turn one waiter into an occupant; True obliges to wake the first in the queue."""
        return hf_bulkhead_grant(self.kernel)

    def unqueue(self):
        """Give up waiting, without having been granted. False: nobody was waiting."""
        return hf_bulkhead_unqueue(self.kernel)

    def resize(self, limit):
        """Change the limit; who is inside stays. True: waiters can come in, grant() is due."""
        cdef bint waiters = hf_bulkhead_resize(
            self.kernel, whole(limit, "limit", 1, HF_BULKHEAD_MAX))
        keep_copy(self.kernel, forget)
        return waiters

    def _forget(self):
        """Do what a forked child does before anything else: for tests."""
        hf_bulkhead_forget(self.kernel)

    def in_flight(self):
        """Return how many are inside."""
        return hf_bulkhead_in_flight(self.kernel)

    def waiting(self):
        """Return how many are in the queue."""
        return hf_bulkhead_waiting(self.kernel)

    def limit(self):
        """Return how many may be inside."""
        return hf_bulkhead_limit(self.kernel)

    def max_waiting(self):
        """Return how many may be in the queue."""
        return hf_bulkhead_max_waiting(self.kernel)

    def counters(self):
        """Return the counts of events so far.

        Returns:
            (admitted, completed, undone, rejected, waited, timed_out, over_released); admitted -
            completed - undone are inside, and waited of the admitted came from the queue.
        """
        cdef hf_bulkhead *k = self.kernel
        return (hf_load_relaxed(&k.admitted), hf_load_relaxed(&k.completed),
                hf_load_relaxed(&k.undone), hf_load_relaxed(&k.rejected),
                hf_load_relaxed(&k.waited), hf_load_relaxed(&k.timed_out),
                hf_load_relaxed(&k.over_released))

    def count_timed_out(self):
        """Count one who waited in vain."""
        hf_count(&self.kernel.timed_out, 1)

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_bulkhead)

    def _capsule(self):
        return capsule(self, self.kernel, "holdfast.bulkhead")
