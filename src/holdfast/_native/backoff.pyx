"""How long to wait before a retry.

Owns the formulas' words and the one way in which an attempt and a delay before it are read.
What the settings may be, and back-offs made from others, are ``holdfast.policies.backoff.formulas``'s.
"""
from operator import index

from libc.math cimport isfinite, isnan
from libc.stdint cimport INT64_MAX, UINT32_MAX, int64_t

from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.long cimport PyLong_CheckExact

from holdfast._native.binding cimport PyLong_AsLongLongAndOverflow, capsule, whole, word
from holdfast._native.ledger cimport enlist, hf_member, strike

CONSTANT = <int> HF_BACKOFF_CONSTANT
LINEAR = <int> HF_BACKOFF_LINEAR
EXPONENTIAL = <int> HF_BACKOFF_EXPONENTIAL
FIBONACCI = <int> HF_BACKOFF_FIBONACCI
DECORRELATED = <int> HF_BACKOFF_DECORRELATED

cdef double NS = 1e9


cdef inline uint32_t nth(object attempt) except? 0xFFFFFFFF:
    """Read how many retries were made; more than 2**32 - 1 wait as long as so many."""
    cdef int overflow = 0
    cdef int64_t n
    if not PyLong_CheckExact(attempt):
        attempt = _index(attempt)
    n = PyLong_AsLongLongAndOverflow(attempt, &overflow)
    if overflow < 0 or (overflow == 0 and n < 0):
        raise ValueError(f"attempt: got {_told(attempt)}, allowed 0 or more")
    return UINT32_MAX if overflow or n > UINT32_MAX else <uint32_t> n


cdef inline int64_t nanoseconds(object previous) except? -2:
    """Read the delay before, in seconds; one longer than 292 years as so long, None as -1."""
    cdef double seconds
    if previous is None:
        return -1
    if PyFloat_CheckExact(previous):
        seconds = PyFloat_AS_DOUBLE(previous)
    else:
        seconds = _seconds(previous)
    if isnan(seconds) or seconds < 0:
        raise ValueError(f"previous: got {_told(previous)}, allowed seconds from 0, or None")
    seconds *= NS
    return <int64_t> (seconds + 0.5) if seconds < 9.2e18 else INT64_MAX


cdef object _index(object attempt):
    try:
        return index(attempt)
    except Exception:  # the caller's object; what it does instead is no answer
        raise TypeError(f"attempt: got {_told(attempt)}, allowed an integer") from None


cdef double _seconds(object previous) except? -1:
    from datetime import timedelta

    if isinstance(previous, timedelta):
        return previous.total_seconds()
    if isinstance(previous, bool) or not isinstance(previous, (int, float)):
        raise TypeError(
            f"previous: got {_told(previous)}, allowed seconds or a timedelta from 0, or None")
    try:
        return previous
    except OverflowError:
        return 1e300 if previous > 0 else -1e300


cdef str _told(object value):
    """How a message shows what the caller gave: briefly, whatever it is."""
    try:
        text = repr(value)
    except Exception:  # the caller's object, or a number of too many digits
        return f"<{type(value).__name__} without a repr>"
    return text if len(text) <= 80 else text[:79] + "…"


cdef double _between(object value, str name, double least, double most, str allowed) except? -1:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}: got {value!r}, allowed {allowed}")
    cdef double number = value
    if not isfinite(number) or not least <= number <= most:
        raise ValueError(f"{name}: got {value!r}, allowed {allowed}")
    return number


def read(attempt, previous):
    """Read what a back-off is asked.

    Returns:
        How many retries were made, 0 to 2**32 - 1, and the delay before in nanoseconds, -1 for
        none.
    """
    return nth(attempt), nanoseconds(previous)


cdef void forget(void *random, uint64_t seed) noexcept nogil:
    hf_random_forget(<hf_random *> random, seed)


cdef class Backoff:
    """One formula with its jitter; until ``__init__`` is called, one that never waits.

    Python classes may derive from it. Safe to share between threads.
    """

    cdef hf_backoff kernel
    cdef hf_member member
    cdef bint made

    def __init__(self, kind, base_ns, max_ns, *, increment_ns, factor, mode, jitter, seed):
        """Make it, once: ``kind`` is one of the constants, ``mode`` as hf_backoff.h numbers it."""
        cdef int64_t longest = whole(max_ns, "max_ns", 0, INT64_MAX)
        cdef int64_t base = whole(base_ns, "base_ns", 0, longest)
        cdef int64_t increment = whole(increment_ns, "increment_ns", 0, INT64_MAX)
        cdef int formula = <int> whole(kind, "kind", 0, HF_BACKOFF_DECORRELATED)
        cdef int shape = <int> whole(mode, "mode", 0, HF_JITTER_EQUAL)
        cdef double growth = _between(factor, "factor", 1.0, 1e300, "1.0 to 1e300")
        cdef double share = _between(jitter, "jitter", 0.0, 1.0, "0.0 to 1.0")
        cdef uint64_t start = word(seed, "seed")
        if self.made:
            raise TypeError(f"{type(self).__name__} is frozen: it is made once")
        self.made = True
        hf_backoff_init(&self.kernel, <hf_backoff_kind> formula, base, longest, start)
        self.kernel.increment_ns = increment
        self.kernel.factor = growth
        self.kernel.mode = <hf_jitter_mode> shape
        self.kernel.jitter = share

    def __dealloc__(self):
        strike(&self.member)

    def delay(self, attempt, previous=None):
        """Return how long to wait before the next retry, in seconds.

        Args:
            attempt: The retries already made, 0 before the first.
            previous: How long the last one was waited for, in seconds or as a timedelta; None
                before the first. Only decorrelated back-offs ask for it.

        Raises:
            ValueError: ``attempt`` or ``previous`` is negative, or ``previous`` is not a number.
            TypeError: ``attempt`` is no integer, or ``previous`` is no duration.
        """
        return hf_backoff_delay_ns(&self.kernel, nth(attempt), nanoseconds(previous)) / NS

    def delay_ns(self, attempt, previous_ns=None):
        """Return the same in nanoseconds."""
        cdef int64_t before = -1
        if previous_ns is not None:
            before = whole(previous_ns, "previous_ns", 0, INT64_MAX)
        return hf_backoff_delay_ns(&self.kernel, nth(attempt), before)

    def _delay_ns(self, attempt, previous_ns):
        """Return the same as a retry asks for it: -1 stands for no delay before."""
        return hf_backoff_delay_ns(
            &self.kernel, nth(attempt), whole(previous_ns, "previous_ns", -1, INT64_MAX))

    def _reseed_in_children(self):
        """Have each forked child draw other jitter than its parent."""
        if self.kernel.jitter > 0:
            enlist(&self.member, &self.kernel.random, forget)

    def seed(self, seed):
        """Start the jitter again from ``seed``."""
        hf_random_init(&self.kernel.random, word(seed, "seed"))

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_backoff)

    def _capsule(self):
        return capsule(self, &self.kernel, "holdfast.backoff")
