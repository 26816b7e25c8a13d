"""The rate of a token bucket follows what its calls take.

Rates are in millionths of a token per second. Which calls are samples is ``csrc/python/step_adaptive.c``'s.
"""
cimport cython
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport INT64_MAX, INT64_MIN

from holdfast._native.binding cimport capsule, moment, whole
from holdfast._native.ledger cimport enlist, hf_member, keep_copy, place, strike, unplace

# What becomes of a rate, in the order of enum hf_rate_move.
MOVES = ("kept", "raised", "slowed", "throttled")


cdef void forget(void *kernel, uint64_t seed) noexcept nogil:
    hf_adaptive_rate_forget(<hf_adaptive_rate *> kernel)


cdef void read_limits(hf_adaptive_settings *s, object rate, object least, object most,
                      object burst) except *:
    s.min = whole(least, "min_rate", HF_RATE_MICRO_MIN, HF_RATE_MICRO_MAX)
    s.max = whole(most, "max_rate", s.min, HF_RATE_MICRO_MAX)
    s.rate = whole(rate, "rate", s.min, s.max)
    s.burst = whole(burst, "burst", 0, (1 << 28) - 1)


@cython.final
cdef class AdaptiveRate:
    """Moves the rate of a token bucket from ``min_rate`` to ``max_rate``; ``burst`` 0 is that of a second.

    Safe to use from any thread; no method waits. ``record`` and its kin return what became of the rate, a
    place in ``MOVES``, and the rate before if it is another one.
    """

    cdef hf_adaptive_rate *kernel
    cdef hf_bucket *bucket
    cdef object bucket_object
    cdef void *block
    cdef hf_member member

    def __cinit__(self, bucket, rate, min_rate, max_rate, burst, target_ns, max_age_ns, window,
                  now_ns):
        cdef hf_adaptive_settings s
        read_limits(&s, rate, min_rate, max_rate, burst)
        s.target_ns = whole(target_ns, "target_ns", 1, HF_RATE_TARGET_NS_MAX)
        s.max_age_ns = whole(max_age_ns, "max_age_ns", 2, INT64_MAX)
        s.window = whole(window, "window", 2, HF_RATE_WINDOW_MAX)
        self.bucket = <hf_bucket *> PyCapsule_GetPointer(bucket._capsule(), "holdfast.bucket")
        self.bucket_object = bucket
        self.kernel = <hf_adaptive_rate *> place(&self.block, sizeof(hf_adaptive_rate))
        hf_adaptive_rate_init(self.kernel, self.bucket, &s, moment(now_ns))
        enlist(&self.member, self.kernel, forget)

    def __dealloc__(self):
        if self.kernel is not NULL:
            strike(&self.member)
            unplace(self.block)

    def rate(self):
        """Return the rate in force."""
        return hf_adaptive_rate_get(self.kernel)

    def limits(self):
        """Return (min_rate, max_rate, burst)."""
        cdef hf_adaptive_rate *k = self.kernel
        return hf_load_relaxed(&k.min), hf_load_relaxed(&k.max), hf_load_relaxed(&k.burst)

    cdef object tell(self, hf_rate_evidence evidence, object duration_ns, object taken_ns,
                     object now_ns):
        cdef uint64_t before = 0
        cdef int move = hf_adaptive_rate_record(
            self.kernel, self.bucket, evidence, moment(taken_ns), moment(now_ns),
            whole(duration_ns, "duration_ns", INT64_MIN, INT64_MAX), &before)
        return move, before

    def record(self, duration_ns, taken_ns, now_ns):
        """Let the rate follow what a call took that was admitted at ``taken_ns``."""
        return self.tell(HF_RATE_LATENCY, duration_ns, taken_ns, now_ns)

    def record_unfinished(self, duration_ns, taken_ns, now_ns):
        """The same for a call that failed or was cut short: a sample only if it was slow."""
        return self.tell(HF_RATE_AT_LEAST, duration_ns, taken_ns, now_ns)

    def throttle(self, taken_ns, now_ns):
        """Let the rate follow a call that was told that there are too many."""
        return self.tell(HF_RATE_THROTTLING, 0, taken_ns, now_ns)

    def resize(self, rate, min_rate, max_rate, burst, now_ns):
        """Put another rate and other limits in force; the samples so far are forgotten."""
        cdef hf_adaptive_settings s
        read_limits(&s, rate, min_rate, max_rate, burst)
        hf_adaptive_rate_resize(
            self.kernel, self.bucket, s.rate, s.min, s.max, s.burst, moment(now_ns))
        keep_copy(self.kernel, forget)

    def latency(self):
        """Return (average_ns of the last window, quantile_ns, samples); None before there is one."""
        cdef hf_adaptive_rate *k = self.kernel
        cdef int64_t average = hf_load_relaxed_signed(&k.average_ns)
        cdef bint any_sample = hf_quantile_samples(&k.quantile) != 0
        return (None if average < 0 else average,
                hf_quantile_get_ns(&k.quantile) if any_sample else None,
                hf_load_relaxed(&k.samples))

    def counters(self):
        """Return how often it was (raised, slowed, throttled)."""
        cdef hf_adaptive_rate *k = self.kernel
        return (hf_load_relaxed(&k.raised), hf_load_relaxed(&k.slowed),
                hf_load_relaxed(&k.throttled))

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_adaptive_rate)

    def _capsule(self):
        return capsule(self, self.kernel, "holdfast.adaptive_rate")
