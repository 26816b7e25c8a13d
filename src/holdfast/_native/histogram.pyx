"""Latencies: exact at the exported bounds, quantiles within two percent."""
cimport cython
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree
from libc.math cimport isnan
from libc.stdint cimport INT64_MAX, INT64_MIN
from libc.string cimport memset

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


@cython.final
cdef class Looks:
    """What many counters of calls count from one look to the next.

    For one thread at a time; whoever counts calls needs not wait.
    """

    cdef list ends  # which are watched, in the order of their rows
    cdef dict rows  # by counters: where they are
    cdef hf_pipeline_seen *old
    cdef hf_pipeline_seen *now
    cdef hf_pipeline_seen sum

    def __cinit__(self):
        self.ends = []
        self.rows = {}
        memset(&self.sum, 0, sizeof(self.sum))

    def __dealloc__(self):
        PyMem_RawFree(self.old)
        PyMem_RawFree(self.now)

    def __init__(self):
        """Take no arguments; without this, __cinit__ would overlook them."""

    def watch(self, ends):
        """Watch these counters, each once, in this order, and no others.

        Those that were watched go on from the last look. Of the others all counts are new.
        """
        cdef list wanted = list(ends)
        cdef dict rows = {one: at for at, one in enumerate(wanted)}
        cdef Py_ssize_t n = len(wanted)
        cdef Py_ssize_t at
        cdef hf_pipeline_seen *old
        cdef hf_pipeline_seen *now
        for one in wanted:
            if type(one) is not Ends:
                raise TypeError(f"ends: got {one!r}, allowed Ends")
        if len(rows) != n:
            raise ValueError("ends: the same counters are in it twice")
        old = <hf_pipeline_seen *> PyMem_RawCalloc(n + 1, sizeof(hf_pipeline_seen))
        now = <hf_pipeline_seen *> PyMem_RawCalloc(n + 1, sizeof(hf_pipeline_seen))
        if old == NULL or now == NULL:
            PyMem_RawFree(old)
            PyMem_RawFree(now)
            raise MemoryError
        for at in range(n):
            before = self.rows.get(wanted[at])
            if before is not None:
                now[at] = self.now[<Py_ssize_t> before]
                old[at] = self.old[<Py_ssize_t> before]
        self.old, old = old, self.old
        self.now, now = now, self.now
        PyMem_RawFree(old)
        PyMem_RawFree(now)
        self.ends = wanted
        self.rows = rows

    def look(self):
        """Look, and return (failures, calls, -row) of each row in which calls have ended.

        A failure is a call that failed, was rejected or was out of time.
        """
        cdef list ended = []
        cdef Py_ssize_t at
        cdef hf_pipeline_seen came
        cdef uint64_t calls
        self.old, self.now = self.now, self.old
        memset(&self.sum, 0, sizeof(self.sum))
        for at in range(len(self.ends)):
            hf_pipeline_see((<Ends> self.ends[at]).kernel, &self.now[at])
            hf_pipeline_between(&self.old[at], &self.now[at], &came)
            calls = hf_pipeline_calls(&came)
            if calls:
                hf_pipeline_gather(&self.sum, &came)
                ended.append((came.ended[1] + came.ended[2] + came.ended[3], calls, -at))
        return ended

    def came(self, row):
        """Return what came in one row in the last look: ends, buckets, and all time in ns."""
        cdef hf_pipeline_seen came
        cdef Py_ssize_t at = row
        if not 0 <= at < len(self.ends):
            raise IndexError(f"row: got {row!r}, allowed 0 to {len(self.ends) - 1}")
        hf_pipeline_between(&self.old[at], &self.now[at], &came)
        return shown(&came)

    def total(self):
        """Return the same of all rows together."""
        return shown(&self.sum)


cdef tuple shown(const hf_pipeline_seen *came):
    cdef Py_ssize_t i
    cdef Py_ssize_t ends = HF_PIPELINE_ENDS
    return (
        tuple([came.ended[i] for i in range(ends)]),
        tuple([came.upto[i] for i in range(HF_HISTOGRAM_BUCKETS)]),
        came.sum_ns)
