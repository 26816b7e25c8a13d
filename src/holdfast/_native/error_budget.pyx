"""The failures of a window, and how many of them an objective allows.

Settings in seconds and shares are ``holdfast.policies.error_budget``'s.
"""
cimport cython
from libc.stdint cimport INT64_MAX

from holdfast._native.binding cimport capsule, moment, share, whole
from holdfast._native.ledger cimport enlist, hf_member, place, strike, unplace

# Bits of a state.
EXHAUSTED = 1
PAGE_FAST = 2
PAGE_SLOW = 4


cdef void forget(void *kernel, uint64_t seed) noexcept nogil:
    hf_error_budget_forget(<hf_error_budget *> kernel)


cdef hf_outcomes outcomes_of(given) except *:
    cdef hf_outcomes seen
    total, failed = given
    seen.total = whole(total, "total", 0, INT64_MAX)
    seen.failed = whole(failed, "failed", 0, seen.total)
    return seen


cdef inline object time_of(int64_t ns):
    return None if ns == HF_BUDGET_NEVER else ns


def lower_bound(total, failed):
    """Return the lower end of the interval that the true share of failures is in."""
    return hf_burn_lower_bound(outcomes_of((total, failed)))


def pages(shorter, longer, allowed, rate):
    """Return whether the failures of two windows are evidence of a burn above a rate.

    Args:
        shorter, longer: (total, failed) requests of each window.
        allowed: The share of requests that the objective allows to fail.
        rate: The burn rate.
    """
    return hf_burn_pages(outcomes_of(shorter), outcomes_of(longer),
                         share(allowed, "allowed", 0.0, 1.0), share(rate, "rate", 0.0, 1e9))


@cython.final
cdef class ErrorBudget:
    """Counts requests that succeeded and failed, and what of them is in a window.

    Safe to use from any thread; no method waits.
    """

    cdef hf_error_budget *kernel
    cdef void *block
    cdef hf_member member

    def __cinit__(self, window_ns, allowed, min_requests, min_failures, own_clock,
                  counts_rejections, sheds, now_ns):
        cdef hf_error_budget_rule rule
        rule.window_ns = whole(window_ns, "window_ns", 10, INT64_MAX)
        rule.allowed = whole(allowed, "allowed", 0, HF_BUDGET_WHOLE)
        rule.min_requests = whole(min_requests, "min_requests", 1, INT64_MAX)
        rule.min_failures = whole(min_failures, "min_failures", 1, INT64_MAX)
        rule.own_clock = own_clock
        rule.counts_rejections = counts_rejections
        rule.sheds = sheds
        self.kernel = <hf_error_budget *> place(&self.block, sizeof(hf_error_budget))
        hf_error_budget_init(self.kernel, rule, moment(now_ns))
        enlist(&self.member, self.kernel, forget)

    def __dealloc__(self):
        strike(&self.member)
        unplace(self.block)

    def record(self, good, n, now_ns):
        """Count n requests. True: settle() is to be asked."""
        cdef uint64_t requests = whole(n, "n", 1, INT64_MAX)
        if good:
            return hf_error_budget_succeed(self.kernel, requests, moment(now_ns))
        hf_error_budget_fail(self.kernel, requests, moment(now_ns))
        return True

    def judge(self, now_ns):
        """Return what is true at a time, as bits."""
        return hf_error_budget_judge(self.kernel, moment(now_ns))

    def settle(self, now_ns):
        """Find out what is true at a time, and keep it; return what was before, and that."""
        cdef uint64_t before = 0
        cdef uint64_t state = hf_error_budget_settle(self.kernel, moment(now_ns), &before)
        return before, state

    def may_change(self, now_ns):
        """Return whether something may become true or false without traffic."""
        return hf_error_budget_may_change(self.kernel, moment(now_ns))

    def watch(self, watched):
        """Note whether somebody looks at it from time to time; return whether somebody did."""
        cdef bint before = hf_load_watched(&self.kernel.watched)
        hf_store_watched(&self.kernel.watched, 1 if watched else 0)
        return before

    def outcomes(self, window, now_ns):
        """Return (total, failed) of a window: its own, 5 min, 1 h, 30 min or 6 h, by number."""
        cdef hf_outcomes seen = hf_error_budget_outcomes(
            self.kernel, whole(window, "window", 0, HF_BURN_WINDOWS - 1), moment(now_ns))
        return seen.total, seen.failed

    def outcomes_in(self, length_ns, now_ns):
        """Return (total, failed) of the last length_ns; None if that is not kept."""
        cdef hf_outcomes seen
        if not hf_error_budget_in(self.kernel, whole(length_ns, "length_ns", 1, INT64_MAX),
                                  moment(now_ns), &seen):
            return None
        return seen.total, seen.failed

    def sheds(self, priority, now_ns):
        """Return whether a call of a priority is to be refused; the next answer may differ."""
        return hf_error_budget_sheds(
            self.kernel, whole(priority, "priority", 0, HF_BUDGET_PRIORITIES - 1), moment(now_ns))

    def shed_share(self, priority, now_ns):
        """Return the share of the calls of a priority that is refused."""
        cdef int64_t now = moment(now_ns)
        return hf_error_budget_shed_share(
            self.kernel, whole(priority, "priority", 0, HF_BUDGET_PRIORITIES - 1),
            hf_error_budget_outcomes(self.kernel, 0, now))

    def view(self, now_ns):
        """Return what a snapshot shows: (state, outcomes of each window, times(), counters())."""
        cdef int64_t now = moment(now_ns)
        cdef unsigned window
        cdef hf_outcomes seen
        cdef list outcomes = []
        for window in range(HF_BURN_WINDOWS):
            seen = hf_error_budget_outcomes(self.kernel, window, now)
            outcomes.append((seen.total, seen.failed))
        return hf_error_budget_judge(self.kernel, now), outcomes, self.times(), self.counters()

    def look(self, now_ns):
        """Begin the slices that have begun: figures show the windows as of the last one."""
        hf_error_budget_turn(self.kernel, moment(now_ns))

    def clear(self):
        """Empty all windows; the counts go on."""
        hf_error_budget_clear(self.kernel)

    def times(self):
        """Return when it was made, the last success and failure, and the first of the last failures."""
        cdef hf_error_budget *k = self.kernel
        return (k.made_ns, time_of(hf_load_time(&k.last_success_ns)),
                time_of(hf_load_time(&k.last_failure_ns)),
                time_of(hf_load_time(&k.down_since_ns)))

    def counters(self):
        """Return (good, bad, exhausted, paged_fast, paged_slow, shed, observed, down_ns) so far."""
        cdef hf_error_budget *k = self.kernel
        return (hf_load_relaxed(&k.good), hf_load_relaxed(&k.bad), hf_load_relaxed(&k.exhausted),
                hf_load_relaxed(&k.paged_fast), hf_load_relaxed(&k.paged_slow),
                hf_load_relaxed(&k.shed), hf_load_relaxed(&k.observed), hf_load_relaxed(&k.down_ns))

    def _forget(self):
        """Do what a forked child does before anything else: for tests."""
        hf_error_budget_forget(self.kernel)

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_error_budget)

    def _capsule(self):
        return capsule(self, self.kernel, "holdfast.error_budget")
