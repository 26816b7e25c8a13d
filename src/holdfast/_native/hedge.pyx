"""When a further attempt begins beside one that has not answered, and the counts of those."""
cimport cython
from libc.stdint cimport INT64_MAX, INT64_MIN

from holdfast._native.binding cimport capsule, moment, share, whole
from holdfast._native.ledger cimport enlist, hf_member, place, strike, unplace


cdef void forget(void *kernel, uint64_t seed) noexcept nogil:
    hf_hedge_forget(<hf_hedge *> kernel)


@cython.final
cdef class Hedge:
    """After ``delay_ns``; or, with ``p``, after the p-quantile of the samples.

    ``delay_ns`` then counts until there are ``warmup`` samples; None: time begins no attempt.
    Safe to use from any thread.
    """

    cdef hf_hedge *kernel
    cdef void *block
    cdef hf_member member

    def __cinit__(self, delay_ns, p=None, warmup=1, floor_ns=0):
        cdef int64_t delay = HF_HEDGE_NEVER if delay_ns is None else whole(
            delay_ns, "delay_ns", 0, INT64_MAX - 1)
        cdef double share_of = 0.5 if p is None else share(p, "p", 0.001, 0.999)
        cdef int64_t samples = whole(warmup, "warmup", 1, HF_QUANTILE_SAMPLES_MAX)
        cdef int64_t least = whole(floor_ns, "floor_ns", 0, HF_QUANTILE_NS_MAX)
        self.kernel = <hf_hedge *> place(&self.block, sizeof(hf_hedge))
        if p is None:
            hf_hedge_init(self.kernel, delay)
        else:
            hf_hedge_init_quantile(self.kernel, share_of, <uint32_t> samples, delay, least)
        enlist(&self.member, self.kernel, forget)

    def __dealloc__(self):
        strike(&self.member)
        unplace(self.block)

    def delay_ns(self):
        """Return after how long a further attempt begins; None: time begins none."""
        cdef int64_t ns = hf_hedge_delay_ns(self.kernel)
        return None if ns == HF_HEDGE_NEVER else ns

    def due_ns(self, now_ns):
        """Return when a further attempt begins if the last began at ``now_ns``, or None."""
        cdef int64_t ns = hf_hedge_due_ns(self.kernel, moment(now_ns))
        return None if ns == HF_HEDGE_NEVER else ns

    def record(self, duration_ns):
        """Let the delay follow how long a first attempt took, or was let run."""
        hf_hedge_record(self.kernel, whole(duration_ns, "duration_ns", INT64_MIN, INT64_MAX))

    def samples(self):
        """Return how many samples there are, at most 255, and their quantile or None."""
        cdef unsigned n = hf_quantile_samples(&self.kernel.quantile)
        return n, hf_quantile_get_ns(&self.kernel.quantile) if n else None

    def counters(self):
        """Return the counts so far.

        Returns:
            (calls, failed, hedged, attempts, won, cancelled, refused, observed, abandoned, stopped)
        """
        cdef hf_hedge *k = self.kernel
        cdef uint64_t stopped = hf_load_acquire(&k.stopped)  # no reader sees more than abandoned
        return (hf_load_relaxed(&k.calls), hf_load_relaxed(&k.failed),
                hf_load_relaxed(&k.hedged), hf_load_relaxed(&k.attempts),
                hf_load_relaxed(&k.won), hf_load_relaxed(&k.cancelled),
                hf_load_relaxed(&k.refused), hf_load_relaxed(&k.observed),
                hf_load_relaxed(&k.abandoned), stopped)

    def count_attempt(self, first):
        """Count a further attempt; ``first``: it is the first of its call."""
        if first:
            hf_count(&self.kernel.hedged, 1)
        hf_count(&self.kernel.attempts, 1)

    def count_failed(self):
        """Count a call in threads of which every attempt failed."""
        hf_count(&self.kernel.failed, 1)

    def count_won(self):
        """Count a call that a further attempt has answered."""
        hf_count(&self.kernel.won, 1)

    def count_cancelled(self):
        """Count an attempt that lost."""
        hf_count(&self.kernel.cancelled, 1)

    def count_refused(self):
        """Count an attempt that the budget has not granted."""
        hf_count(&self.kernel.refused, 1)

    def count_abandoned(self):
        """Count an attempt that goes on in a thread after its call has ended."""
        hf_count(&self.kernel.abandoned, 1)

    def count_stopped(self):
        """Count such an attempt that has come to its end."""
        hf_count_release(&self.kernel.stopped, 1)

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_hedge)

    def _capsule(self):
        return capsule(self, self.kernel, "holdfast.hedge")
