"""Latencies: exact at the exported bounds, quantiles within two percent."""
cimport cython
from libc.math cimport isnan
from libc.stdint cimport INT64_MAX, INT64_MIN

from holdfast._native.binding cimport capsule, whole
from holdfast._native.ledger cimport enlist, hf_member, place, strike, unplace


#: The ways in which a call of a pipeline ends, in the order of enum hf_pipeline_end.
ENDS = ("success", "failure", "rejected", "timeout", "cancelled")


cdef void forget(void *kernel, uint64_t seed) noexcept nogil:
    hf_histogram_forget(<hf_histogram *> kernel)


cdef void forget_ends(void *kernel, uint64_t seed) noexcept nogil:
    hf_pipeline_forget(<hf_pipeline *> kernel)


@cython.final
cdef class Histogram:
    """A histogram of durations.

    Safe to write and read from any thread.
    """

    cdef hf_histogram *kernel
    cdef void *block
    cdef hf_member member

    def __cinit__(self):
        self.kernel = <hf_histogram *> place(&self.block, sizeof(hf_histogram))
        hf_histogram_init(self.kernel)
        enlist(&self.member, self.kernel, forget)

    def __dealloc__(self):
        strike(&self.member)
        unplace(self.block)

    def __init__(self):
        """Take no arguments; without this, __cinit__ would overlook them."""

    def record(self, ns):
        """Count one duration of ``ns`` nanoseconds; less than 0 counts as 0."""
        hf_histogram_record(self.kernel, whole(ns, "ns", INT64_MIN, INT64_MAX))

    def buckets(self):
        """Return how many durations were at most each bound, and how many there are.

        The bounds are Prometheus' defaults: .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5 and 10
        seconds, then infinity.
        """
        cdef uint64_t out[HF_HISTOGRAM_BUCKETS]
        hf_histogram_buckets(self.kernel, out)
        return tuple([out[i] for i in range(HF_HISTOGRAM_BUCKETS)])

    def quantile(self, q):
        """Return the duration in nanoseconds that a fraction ``q`` of all did not exceed.

        None when nothing was counted. Within 2 % between 1 us and 275 s.

        Raises:
            ValueError: ``q`` is not in 0..1.
        """
        cdef double fraction = q
        cdef double ns
        if not 0.0 <= fraction <= 1.0:
            raise ValueError(f"q: got {q!r}, allowed 0.0 to 1.0")
        ns = hf_histogram_quantile(self.kernel, fraction)
        return None if isnan(ns) else ns

    def count(self):
        """Return how many durations were counted."""
        return hf_histogram_count(self.kernel)

    def sum_ns(self):
        """Return the sum of all durations in nanoseconds, modulo 2**64."""
        return hf_histogram_sum(self.kernel)

    def clear(self):
        """Forget every duration."""
        hf_histogram_clear(self.kernel)

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_histogram)

    def _capsule(self):
        return capsule(self, self.kernel, "holdfast.histogram")


@cython.final
cdef class Ends:
    """Counts how calls of a pipeline or an operation end, and how long they take.

    Of an operation, also its retries and the timeouts that ran out; and whether it is critical.
    In this module, which is imported already: it is made at the end of a pipeline's first call.
    Safe to write and read from any thread.
    """

    cdef hf_pipeline *kernel
    cdef void *block
    cdef hf_member member

    def __cinit__(self):
        self.kernel = <hf_pipeline *> place(&self.block, sizeof(hf_pipeline))
        hf_pipeline_init(self.kernel)
        enlist(&self.member, self.kernel, forget_ends)

    def __dealloc__(self):
        strike(&self.member)
        unplace(self.block)

    def __init__(self):
        """Take no arguments; without this, __cinit__ would overlook them."""

    def count(self, end, ns):
        """Count a call that ended in the way ``ENDS[end]`` after ``ns`` nanoseconds; -1: nobody knows."""
        hf_pipeline_count(
            self.kernel,
            <hf_pipeline_end> <int> whole(end, "end", 0, HF_PIPELINE_ENDS - 1),
            whole(ns, "ns", -1, INT64_MAX))

    def count_retry(self):
        """Count an attempt after the first."""
        hf_pipeline_count_retry(self.kernel)

    def count_timeout(self):
        """Count a timeout that ran out, around a call or around an attempt."""
        hf_pipeline_count_timeout(self.kernel)

    @property
    def critical(self):
        """Whether the operation is critical."""
        return hf_pipeline_is_critical(self.kernel)

    @critical.setter
    def critical(self, is_critical):
        hf_pipeline_set_critical(self.kernel, is_critical)

    def retries(self):
        """Return how many attempts after the first its calls have made."""
        return hf_pipeline_retries(self.kernel)

    def timeouts(self):
        """Return how many timeouts have run out."""
        return hf_pipeline_timeouts(self.kernel)

    def counters(self):
        """Return how many calls have ended in each of the ways ``ENDS``."""
        return tuple([
            hf_pipeline_ended(self.kernel, <hf_pipeline_end> end)
            for end in range(HF_PIPELINE_ENDS)])

    def buckets(self):
        """Return how many calls took at most each bound of a histogram, and how many were timed."""
        cdef uint64_t out[HF_HISTOGRAM_BUCKETS]
        hf_pipeline_buckets(self.kernel, out)
        return tuple([out[i] for i in range(HF_HISTOGRAM_BUCKETS)])

    def sum_ns(self):
        """Return the sum of all durations in nanoseconds, modulo 2**64."""
        return hf_pipeline_sum(self.kernel)

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_pipeline)

    def _capsule(self):
        return capsule(self, self.kernel, "holdfast.pipeline")
