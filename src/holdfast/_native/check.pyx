"""The state of one health check, as its results decide it."""
cimport cython
from libc.stdint cimport INT64_MAX, INT64_MIN

from holdfast._native.binding cimport capsule, moment, whole
from holdfast._native.ledger cimport enlist, hf_member, place, strike, unplace

UNKNOWN, HEALTHY, DEGRADED, UNHEALTHY = range(HF_CHECK_STATES)
PASSED, LIMPED, FAILED, UNPROVEN = range(HF_CHECK_VERDICTS)
RUN_MOST = HF_CHECK_RUN_MOST


cdef void forget(void *kernel, uint64_t seed) noexcept nogil:
    hf_check_forget(<hf_check *> kernel)


cdef object change_of(hf_check_change change):
    return (change.from_, change.to) if change.happened else None


cdef object time_of(const hf_ai64 *word):
    cdef int64_t ns = hf_load_i64(word)
    return None if ns == INT64_MIN else ns


@cython.final
cdef class CheckState:
    """The state of one check: 0 unknown, 1 healthy, 2 degraded, 3 unhealthy.

    ``failures`` results in a row that have failed make it unhealthy, ``successes`` that have passed
    make it healthy again. Until ``start_period_ns`` after a start, or until a result that has not
    failed, failures are no evidence.

    Safe to use from any thread.
    """

    cdef hf_check *kernel
    cdef void *block
    cdef hf_member member

    def __cinit__(self, failures, successes, start_period_ns):
        cdef uint32_t down = <uint32_t> whole(failures, "failures", 1, HF_CHECK_RUN_MOST)
        cdef uint32_t up = <uint32_t> whole(successes, "successes", 1, HF_CHECK_RUN_MOST)
        cdef int64_t grace = whole(start_period_ns, "start_period_ns", 0, INT64_MAX)
        self.kernel = <hf_check *> place(&self.block, sizeof(hf_check))
        hf_check_init(self.kernel, down, up, grace)
        enlist(&self.member, self.kernel, forget)

    def __dealloc__(self):
        strike(&self.member)
        unplace(self.block)

    def start(self, now_ns):
        """Know nothing from here on, and go on with no run.

        Returns:
            The old and the new state; None if it was unknown before.
        """
        return change_of(hf_check_start(self.kernel, moment(now_ns)))

    def record(self, verdict, began_ns, duration_ns):
        """Take in a result: 0 passed, 1 degraded, 2 failed, 3 unproven.

        Returns:
            The old and the new state; None if it has not changed.
        """
        cdef unsigned int said = <unsigned int> whole(verdict, "verdict", 0, HF_CHECK_VERDICTS - 1)
        cdef int64_t began = whole(began_ns, "began_ns", INT64_MIN, INT64_MAX)
        cdef int64_t took = whole(duration_ns, "duration_ns", INT64_MIN, INT64_MAX)
        return change_of(hf_check_record(self.kernel, said, began, took))

    def abandon(self):
        """Count a run that was left behind, since it ignored its timeout."""
        hf_count(&self.kernel.abandoned, 1)

    @property
    def state(self):
        """0 unknown, 1 healthy, 2 degraded, 3 unhealthy."""
        return hf_check_state_of(hf_check_word(self.kernel))

    @property
    def pending(self):
        """Whether a change is under way, or the first result is awaited."""
        return hf_check_is_pending(self.kernel, hf_check_word(self.kernel))

    @property
    def failures_in_a_row(self):
        """The length of the run of failures that lasts; at most 2**20 - 1."""
        return hf_check_failures(hf_check_word(self.kernel))

    @property
    def passes_in_a_row(self):
        """The length of the run of passes that lasts; at most 2**20 - 1."""
        return hf_check_passes(hf_check_word(self.kernel))

    @property
    def checks(self):
        """All results."""
        cdef hf_check *k = self.kernel
        return (hf_load_relaxed(&k.passed) + hf_load_relaxed(&k.limped)
                + hf_load_relaxed(&k.failed) + hf_load_relaxed(&k.unproven))

    @property
    def passes(self):
        """Results that passed, with the degraded ones."""
        return hf_load_relaxed(&self.kernel.passed) + hf_load_relaxed(&self.kernel.limped)

    @property
    def degraded(self):
        """Results that passed in a way that is called degraded."""
        return hf_load_relaxed(&self.kernel.limped)

    @property
    def failed(self):
        """Results that failed."""
        return hf_load_relaxed(&self.kernel.failed)

    @property
    def unproven(self):
        """Results that prove nothing."""
        return hf_load_relaxed(&self.kernel.unproven)

    @property
    def abandoned(self):
        """Runs that were left behind."""
        return hf_load_relaxed(&self.kernel.abandoned)

    @property
    def last_ns(self):
        """When the last result came; None before the first."""
        return time_of(&self.kernel.last_ns)

    @property
    def last_pass_ns(self):
        """When the last result came that has not failed; None before the first."""
        return time_of(&self.kernel.last_pass_ns)

    @property
    def last_failure_ns(self):
        """When the last result came that failed; None before the first."""
        return time_of(&self.kernel.last_failure_ns)

    @property
    def last_duration_ns(self):
        """How long the last run took; 0 before the first."""
        return hf_load_i64(&self.kernel.last_duration_ns)

    @property
    def sum_ns(self):
        """How long all runs together took whose results prove anything."""
        return hf_load_relaxed(&self.kernel.sum_ns)

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_check)

    def _capsule(self):
        return capsule(self, self.kernel, "holdfast.check")
