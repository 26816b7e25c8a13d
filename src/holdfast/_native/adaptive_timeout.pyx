"""A timeout that follows a quantile of the latencies.

What is timed, and who is interrupted, is not here.
"""
cimport cython
from libc.stdint cimport INT64_MAX, INT64_MIN

from holdfast._native.binding cimport capsule, share, whole


@cython.final
cdef class AdaptiveTimeout:
    """``multiplier`` times the ``p``-quantile, from ``min_ns`` to ``max_ns``.

    Safe to use from any thread; no method waits.
    """

    cdef hf_adaptive_timeout kernel

    def __cinit__(self, initial_ns, min_ns, max_ns, multiplier, p):
        cdef int64_t least = whole(min_ns, "min_ns", 1, HF_QUANTILE_NS_MAX)
        cdef int64_t most = whole(max_ns, "max_ns", least, HF_QUANTILE_NS_MAX)
        hf_adaptive_timeout_init(
            &self.kernel, whole(initial_ns, "initial_ns", least, most), least, most,
            share(multiplier, "multiplier", 1.0, 1000.0), share(p, "p", 0.001, 0.999))

    def timeout_ns(self):
        """Return the timeout in force."""
        return hf_adaptive_timeout_get_ns(&self.kernel)

    def set_timeout_ns(self, ns):
        """Put another in force, held between min_ns and max_ns; the samples move it on."""
        hf_adaptive_timeout_set_ns(&self.kernel, whole(ns, "ns", INT64_MIN, INT64_MAX))

    def resize(self, ns, min_ns, max_ns):
        """Put another in force, within other limits."""
        cdef int64_t least = whole(min_ns, "min_ns", 1, HF_QUANTILE_NS_MAX)
        cdef int64_t most = whole(max_ns, "max_ns", least, HF_QUANTILE_NS_MAX)
        hf_adaptive_timeout_resize(&self.kernel, whole(ns, "ns", least, most), least, most)

    def limits_ns(self):
        """Return (min_ns, max_ns)."""
        return (hf_load_relaxed_signed(&self.kernel.min_ns),
                hf_load_relaxed_signed(&self.kernel.max_ns))

    def record(self, latency_ns, timed_out):
        """Let the timeout follow a call's latency; of one that timed out, how long it was given."""
        hf_adaptive_timeout_record(
            &self.kernel, whole(latency_ns, "latency_ns", INT64_MIN, INT64_MAX), bool(timed_out))

    def snapshot(self):
        """Return what it knows.

        Returns:
            (timeout_ns, average_ns, quantile_ns, samples); None for the two before a sample.
        """
        cdef hf_adaptive_timeout *k = &self.kernel
        cdef int64_t average = hf_adaptive_timeout_average_ns(k)
        cdef bint any_sample = hf_quantile_samples(&k.quantile) != 0
        return (hf_adaptive_timeout_get_ns(k), None if average < 0 else average,
                hf_quantile_get_ns(&k.quantile) if any_sample else None,
                hf_load_relaxed(&k.samples))

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_adaptive_timeout)

    def _capsule(self):
        return capsule(self, &self.kernel, "holdfast.adaptive_timeout")
