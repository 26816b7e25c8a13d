"""Tokens for retries, given by successes and by time.

Settings in tokens and seconds are ``holdfast.policies.retry.budget``'s.
"""
cimport cython

from holdfast._native.binding cimport capsule, moment, whole
from holdfast._native.ledger cimport enlist, hf_member, strike


cdef void forget(void *kernel, uint64_t seed) noexcept nogil:
    hf_budget_forget(<hf_budget *> kernel)


@cython.final
cdef class Budget:
    """At most ``burst`` tokens; ``ratio`` of them a success, ``rate`` a second, in millionths.

    Safe to use from any thread; no method waits.
    """

    cdef hf_budget kernel
    cdef hf_member member

    def __cinit__(self, ratio, rate, burst, now_ns):
        cdef hf_budget_rule rule
        rule.ratio = whole(ratio, "ratio", 0, HF_BUDGET_RATIO_MAX)
        rule.rate = whole(rate, "rate", 0, HF_BUDGET_RATE_MAX)
        rule.burst = whole(burst, "burst", 1, HF_BUDGET_BURST_MAX)
        hf_budget_init(&self.kernel, rule, moment(now_ns))
        enlist(&self.member, &self.kernel, forget)

    def __dealloc__(self):
        strike(&self.member)

    def deposit(self):
        """Count a success."""
        hf_budget_deposit(&self.kernel)

    def withdraw(self, now_ns):
        """Take a token for a retry, if there is one."""
        return hf_budget_withdraw(&self.kernel, moment(now_ns))

    def give_back(self):
        """Give back the token of a retry that was not made.

        False: all that were taken are back already, and nothing changed.
        """
        return hf_budget_give_back(&self.kernel)

    def balance(self, now_ns):
        """Return how many tokens there are, with fractions."""
        return hf_budget_balance(&self.kernel, moment(now_ns))

    def unit(self):
        """Return into how many parts a token is divided: what a balance is exact to."""
        return self.kernel.unit

    def counters(self):
        """Return the counts so far.

        Returns:
            (withdrawn, refused, given_back, deposits); given_back of the withdrawn are back.
        """
        cdef hf_budget *k = &self.kernel
        return (hf_load_relaxed(&k.withdrawn), hf_load_relaxed(&k.refused),
                hf_load_relaxed(&k.given_back), hf_load_relaxed(&k.deposits))

    def _forget(self):
        """Do what a forked child does before anything else: for tests."""
        hf_budget_forget(&self.kernel)

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_budget)

    def _capsule(self):
        return capsule(self, &self.kernel, "holdfast.budget")
