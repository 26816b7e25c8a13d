"""Policy time: nanoseconds that never go backwards.

Owns the clock's words. Timers, seconds and the shared default clock are ``holdfast.clock``'s.
"""
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t

from holdfast._native.binding cimport capsule, whole


cdef class Clock:
    """The system's monotonic clock.

    Python classes may derive from it. Safe to read from any thread.
    """

    cdef hf_clock kernel

    def __cinit__(self, *args, **kwargs):
        if type(self) is Clock and (args or kwargs):
            raise TypeError("Clock() takes no arguments")
        hf_clock_init_system(&self.kernel)

    def now_ns(self):
        """Return the precise policy time."""
        return hf_clock_now_ns(&self.kernel)

    def coarse_ns(self):
        """Return policy time that may lag by one tick of the system, a few milliseconds."""
        return hf_clock_coarse_ns(&self.kernel)

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_clock)

    def _capsule(self):
        return capsule(self, &self.kernel, "holdfast.clock")


cdef class ManualClock(Clock):
    """A clock that moves only when told to.

    A derived class with other arguments overrides ``__new__`` to pass ``start_ns`` on.
    Safe to move and to read from any thread.
    """

    def __cinit__(self, start_ns=0):
        hf_clock_init_manual(&self.kernel, whole(start_ns, "start_ns", INT64_MIN, INT64_MAX))

    def shown_ns(self):
        """Return the time it was last set or advanced to; this one may step backwards."""
        return hf_clock_shown_ns(&self.kernel)

    def advance_ns(self, d_ns):
        """Move both times forward.

        Args:
            d_ns: At least 0.

        Raises:
            ValueError: ``d_ns`` is negative.
        """
        hf_clock_advance(&self.kernel, whole(d_ns, "d_ns", 0, INT64_MAX))

    def set_ns(self, shown_ns):
        """Show another time; policy time takes a step forward as well, and none backward."""
        hf_clock_set(&self.kernel, whole(shown_ns, "shown_ns", INT64_MIN, INT64_MAX))


def read_repeatedly(Clock clock not None, n):
    """Read the precise time n times in a compiled loop: a yardstick of what one read costs.

    Args:
        clock: Any clock.
        n: 1 to 100,000.

    Returns:
        The last time read.

    Raises:
        ValueError: ``n`` is out of range.
    """
    cdef int64_t now_ns = 0
    cdef int64_t left = whole(n, "n", 1, 100_000)
    while left > 0:
        now_ns = hf_clock_now_ns(&clock.kernel)
        left -= 1
    return now_ns
