"""The last durations against a target: percentiles, and whether one is above it.

Percentiles are in ten thousandths of a percent: 950,000 is the 95th. Elsewhere: what a duration is,
and who is told of a turn.
"""
cimport cython
from libc.stdint cimport INT64_MAX, INT64_MIN

from holdfast._native.binding cimport capsule, whole
from holdfast._native.ledger cimport enlist, hf_member, place, strike, unplace


cdef void forget(void *kernel, uint64_t seed) noexcept nogil:
    hf_latency_budget_forget(<hf_latency_budget *> kernel)


def middle_ns(cell):
    """Return the middle duration of a cell of a histogram, in nanoseconds."""
    return hf_histogram_middle(<unsigned int> whole(cell, "cell", 0, HF_HISTOGRAM_CELLS - 1))


@cython.final
cdef class LatencyBudget:
    """The last ``size`` durations, and whether their percentile exceeds ``target_ns``.

    Fewer than ``least`` durations prove nothing. Safe to use from any thread.
    """

    cdef hf_latency_budget *kernel
    cdef void *block
    cdef hf_member member

    def __cinit__(self, target_ns, percentile, size, least):
        cdef int64_t target = whole(target_ns, "target_ns", 0, INT64_MAX)
        cdef uint32_t p = whole(percentile, "percentile", 0, HF_PERCENTILE_MOST)
        cdef uint32_t n = whole(size, "size", 1, HF_LATENCY_BUDGET_MOST)
        cdef uint32_t proof = whole(least, "least", 1, n)
        self.kernel = <hf_latency_budget *> place(&self.block, hf_latency_budget_size(n))
        hf_latency_budget_init(self.kernel, target, p, n, proof)
        enlist(&self.member, self.kernel, forget)

    def __dealloc__(self):
        strike(&self.member)
        unplace(self.block)

    def record(self, ns):
        """Take a duration into account; less than 0 counts as 0.

        Returns:
            Whether the budget became exhausted, or recovered.
        """
        return hf_latency_budget_record(self.kernel, whole(ns, "ns", INT64_MIN, INT64_MAX))

    def clear(self):
        """Forget the durations; the budget is then not exhausted. Returns whether it was."""
        return hf_latency_budget_clear(self.kernel)

    def tally(self):
        """Return how many of the last durations there are, and how many exceed the target."""
        cdef uint64_t tally = hf_latency_budget_tally(self.kernel)
        return HF_TALLY_CALLS(tally), HF_TALLY_EXCEEDING(tally)

    def turns(self):
        """Return how often it became exhausted or recovered: odd while it is exhausted."""
        return hf_latency_budget_turns(self.kernel)

    def percentiles_ns(self, percentiles):
        """Return percentiles of the last durations in nanoseconds; None without any.

        Args:
            percentiles: A tuple of up to eight, in ascending order.
        """
        cdef uint32_t asked[HF_LATENCY_BUDGET_ASKED]
        cdef int64_t ns[HF_LATENCY_BUDGET_ASKED]
        cdef size_t i, n = len(percentiles)
        if n > HF_LATENCY_BUDGET_ASKED:
            raise ValueError(f"percentiles: got {n}, allowed {HF_LATENCY_BUDGET_ASKED}")
        for i in range(n):
            asked[i] = whole(percentiles[i], "percentiles", 0, HF_PERCENTILE_MOST)
            if i > 0 and asked[i] < asked[i - 1]:
                raise ValueError(f"percentiles: got {percentiles!r}, allowed ascending ones")
        hf_latency_budget_percentiles(self.kernel, asked, n, ns)
        return tuple([None if ns[i] < 0 else ns[i] for i in range(n)])

    def counters(self):
        """Return (recorded, exceeded, exhausted): durations, those above the target, and times."""
        cdef hf_latency_budget *k = self.kernel
        return (hf_load_relaxed(&k.recorded), hf_load_relaxed(&k.exceeded),
                hf_load_relaxed(&k.exhausted))

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return hf_latency_budget_size(self.kernel.size)

    def _forget(self):
        """Do what a forked child does before anything else: for tests."""
        hf_latency_budget_forget(self.kernel)

    def _capsule(self):
        return capsule(self, self.kernel, "holdfast.latency_budget")
