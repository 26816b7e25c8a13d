"""Whether a failed call is tried again, and the counts of all calls of one policy.

Delays, budgets and failures that may be retried at all are others' business.
"""
cimport cython
from libc.stdint cimport INT64_MAX, UINT32_MAX

from holdfast._native.binding cimport capsule, moment, whole
from holdfast._native.ledger cimport enlist, hf_member, place, strike, unplace

# In the order of enum hf_retry_verdict.
VERDICTS = (
    "again", "exhausted", "out_of_time", "deadline", "no_budget", "not_retryable",
    "rejected", "cancelled",
)


cdef void forget(void *kernel, uint64_t seed) noexcept nogil:
    hf_retry_forget(<hf_retry *> kernel)


@cython.final
cdef class Retry:
    """At most ``attempts`` attempts (0: no limit), begun within ``max_time_ns`` of the first (-1).

    Safe to use from any thread.
    """

    cdef hf_retry *kernel
    cdef void *block
    cdef hf_member member

    def __cinit__(self, attempts, max_time_ns=-1):
        self.kernel = <hf_retry *> place(&self.block, sizeof(hf_retry))
        hf_retry_init(
            self.kernel, whole(attempts, "attempts", 0, UINT32_MAX),
            whole(max_time_ns, "max_time_ns", -1, INT64_MAX))
        enlist(&self.member, self.kernel, forget)

    def __dealloc__(self):
        strike(&self.member)
        unplace(self.block)

    def decide(self, retries, started_ns, now_ns, delay_ns, deadline_ns=INT64_MAX):
        """Return why a call that has made ``retries`` retries makes no other, or "again".

        As the gate decides it, but for the budget.
        """
        cdef uint32_t made = whole(retries, "retries", 0, UINT32_MAX)
        cdef int verdict = 1
        if hf_retry_has_attempts(self.kernel, made):
            verdict = hf_retry_in_time(
                self.kernel, moment(started_ns), moment(now_ns),
                whole(delay_ns, "delay_ns", 0, INT64_MAX), moment(deadline_ns))
        return VERDICTS[verdict]

    def count_delay(self, delay_ns):
        """Count a delay that is about to be waited for."""
        hf_retry_count_delay(self.kernel, whole(delay_ns, "delay_ns", 0, INT64_MAX))

    def count_retry(self, ordinal):
        """Count the retry number ``ordinal``, from 1, which begins."""
        hf_retry_count_retry(self.kernel, whole(ordinal, "ordinal", 1, UINT32_MAX))

    def count_success(self, retries):
        """Count a call that succeeded after ``retries`` retries."""
        hf_retry_count_success(self.kernel, whole(retries, "retries", 0, UINT32_MAX))

    def count_end(self, verdict):
        """Count a call that failed, and why it was not tried again: one of ``VERDICTS``."""
        hf_count(&self.kernel.gave_up[whole(VERDICTS.index(verdict), "verdict", 1, HF_RETRY_VERDICTS - 1)], 1)

    def count_observed(self):
        """Count a retry that was not made, but would have been."""
        hf_count(&self.kernel.observed, 1)

    def counters(self):
        """Return (succeeded, recovered, observed) calls so far."""
        cdef hf_retry *k = self.kernel
        return (hf_load_relaxed(&k.succeeded), hf_load_relaxed(&k.recovered),
                hf_load_relaxed(&k.observed))

    def gave_up(self):
        """Return how many calls failed, by the reason that they were not tried again."""
        return {
            VERDICTS[i]: hf_load_relaxed(&self.kernel.gave_up[i])
            for i in range(1, HF_RETRY_VERDICTS)
        }

    def retries(self):
        """Return how many first, second … retries there were; the last are all later ones."""
        return tuple([hf_load_relaxed(&self.kernel.retries[i]) for i in range(HF_RETRY_ORDINALS)])

    def delays(self):
        """Return how many delays were up to 1, 2, 4 … 32,768 ms, and longer; and their sum in ns."""
        counts = tuple([hf_load_relaxed(&self.kernel.delays[i]) for i in range(HF_RETRY_DELAYS)])
        return counts, hf_load_relaxed(&self.kernel.delay_ns)

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_retry)

    def _capsule(self):
        return capsule(self, self.kernel, "holdfast.retry")
