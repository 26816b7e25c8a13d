"""The circuit breaker's word, leases, window and counters.

Policies read and override a breaker through this binding; their calls go through the gate
(csrc/python). ``admit`` to ``undo`` are the kernel's own call path, one step at a time.
"""
cimport cython
from libc.math cimport isfinite
from libc.stdint cimport INT64_MAX, INT64_MIN, UINT32_MAX

from holdfast._native.binding cimport capsule, moment, whole, word
from holdfast._native.ledger cimport enlist, hf_member, place, strike, unplace

cdef enum:
    MOST_PPB = 1000000000
    MOST_SLICES = 1024
    MOST_PROBES = 10000


@cython.final
cdef class Permit:
    """What a kernel hands out for one admitted call. Made by ``Breaker.admit`` only."""

    cdef hf_breaker_permit kernel
    cdef Breaker breaker

    def __init__(self):
        raise TypeError("a Permit is made by Breaker.admit()")

    @property
    def generation(self):
        """The generation that admitted the call."""
        return self.kernel.gen

    @property
    def is_probe(self):
        """Whether it holds a lease of a half-open breaker."""
        return self.kernel.flags & HF_PERMIT_PROBE != 0

    @property
    def is_observed(self):
        """Whether the call would have been refused, and decides nothing."""
        return self.kernel.flags & HF_PERMIT_OBSERVED != 0

    @property
    def is_inside(self):
        """Whether it is of a call inside of a probe."""
        return self.kernel.flags & HF_PERMIT_INSIDE != 0

    @property
    def is_silent(self):
        """Whether the call counts nothing, because the breaker was disabled."""
        return self.kernel.flags & HF_PERMIT_SILENT != 0


cdef hf_breaker_permit *of(Permit permit, Breaker breaker) except NULL:
    """Return the kernel's permit; one of another breaker could name a lease this one has not."""
    if permit is None or permit.breaker is not breaker:
        raise ValueError("permit: got a permit of another breaker, allowed this breaker's own")
    return &permit.kernel


cdef object listed(hf_change change):
    if not change.happened:
        return None
    return change.origin, change.to, change.gen, change.rule, change.count, change.calls


cdef object time_or_none(int64_t at_ns):
    return None if at_ns == INT64_MIN else at_ns


cdef double at_least(double value, str name, double least) except? -1:
    if not isfinite(value) or value < least:
        raise ValueError(f"{name}: got {value!r}, allowed {least!r} or more")
    return value


cdef int read_rules(hf_breaker_config *config, dict given) except -1:
    """Fill in what is judged: runs, rates, slow calls, probes."""
    config.failure_threshold = whole(
        given["failure_threshold"], "failure_threshold", 0, HF_BREAKER_COUNT_MOST)
    config.success_threshold = whole(
        given["success_threshold"], "success_threshold", 1, HF_BREAKER_COUNT_MOST)
    config.half_open_max = whole(given["half_open_max"], "half_open_max", 1, MOST_PROBES)
    config.min_calls = whole(given["min_calls"], "min_calls", 0, UINT32_MAX)
    config.failure_rate_ppb = whole(given["failure_rate_ppb"], "failure_rate_ppb", 0, MOST_PPB)
    config.slow_rate_ppb = whole(given["slow_rate_ppb"], "slow_rate_ppb", 0, MOST_PPB)
    config.slow_ns = whole(given["slow_ns"], "slow_ns", 0, INT64_MAX)
    return 0


cdef int read_times(hf_breaker_config *config, dict given) except -1:
    """Fill in how long things last."""
    config.reset_ns = whole(given["reset_ns"], "reset_ns", 0, INT64_MAX)
    config.reset_max_ns = whole(given["reset_max_ns"], "reset_max_ns", 0, INT64_MAX)
    config.reset_factor = at_least(given["reset_factor"], "reset_factor", 1.0)
    config.reset_jitter = at_least(given["reset_jitter"], "reset_jitter", 0.0)
    config.probe_ns = whole(given["probe_ns"], "probe_ns", -1, INT64_MAX)
    config.failure_reset_ns = whole(given["failure_reset_ns"], "failure_reset_ns", 0, INT64_MAX)
    return 0


cdef int read_window(hf_breaker_config *config, dict given) except -1:
    """Fill in the window; what its kind does not need is 0."""
    cdef int64_t least = 0, most = 0, widest = 0
    config.window_kind = whole(
        given["window_kind"], "window_kind", HF_WINDOW_NONE, HF_WINDOW_TIME)
    if config.window_kind != HF_WINDOW_NONE:
        least, most = 1, MOST_SLICES
    if config.window_kind == HF_WINDOW_COUNT:
        most = HF_COUNT_WINDOW_MOST
    config.window_n = whole(given["window_n"], "window_n", least, most)
    if config.window_kind == HF_WINDOW_TIME:
        widest = INT64_MAX
    config.slice_ns = whole(given["slice_ns"], "slice_ns", widest > 0, widest)
    return 0


cdef void forget(void *kernel, uint64_t seed) noexcept nogil:
    hf_breaker_forget(<hf_breaker *> kernel, seed)


@cython.final
cdef class Breaker:
    """One circuit breaker; every argument is a keyword, every time in nanoseconds.

    States: 0 closed, 1 half-open, 2 open, 3 forced open, 4 disabled, 5 metrics only.
    Safe to use from any thread.
    """

    cdef hf_breaker *kernel
    cdef void *block
    cdef hf_member member
    cdef size_t size

    def __cinit__(self, *, failure_threshold, success_threshold, half_open_max, min_calls,
                  failure_rate_ppb, slow_rate_ppb, slow_ns, reset_ns, reset_max_ns, probe_ns,
                  failure_reset_ns, reset_factor, reset_jitter, window_kind, window_n, slice_ns,
                  seed):
        cdef hf_breaker_config config
        cdef uint64_t start = word(seed, "seed")
        cdef dict given = dict(
            failure_threshold=failure_threshold, success_threshold=success_threshold,
            half_open_max=half_open_max, min_calls=min_calls, failure_rate_ppb=failure_rate_ppb,
            slow_rate_ppb=slow_rate_ppb, slow_ns=slow_ns, reset_ns=reset_ns,
            reset_max_ns=reset_max_ns, probe_ns=probe_ns, failure_reset_ns=failure_reset_ns,
            reset_factor=reset_factor, reset_jitter=reset_jitter, window_kind=window_kind,
            window_n=window_n, slice_ns=slice_ns)
        read_rules(&config, given)
        read_times(&config, given)
        read_window(&config, given)
        self.size = hf_breaker_size(&config)
        self.kernel = <hf_breaker *> place(&self.block, self.size)
        hf_breaker_init(self.kernel, &config, start)
        enlist(&self.member, self.kernel, forget)

    def __dealloc__(self):
        strike(&self.member)
        unplace(self.block)

    def admit(self, now_ns):
        """Ask for one call.

        Returns:
            The permit, or None when refused (which is counted); and the transition this caused,
            as (from, to, generation, rule, count, calls), or None.
        """
        cdef int64_t now = moment(now_ns)
        cdef Permit permit = Permit.__new__(Permit)
        cdef hf_change change
        change.happened = False
        permit.breaker = self
        if (hf_breaker_admit(self.kernel, &permit.kernel)
                or hf_breaker_admit_slow(self.kernel, now, &permit.kernel, &change)):
            return permit, listed(change)
        return None, listed(change)

    def admit_observed(self):
        """After a refusal, let the call run all the same: it is observed and decides nothing."""
        cdef Permit permit = Permit.__new__(Permit)
        permit.breaker = self
        hf_breaker_admit_observed(self.kernel, &permit.kernel)
        return permit

    def admit_inside(self, Permit probe, now_ns):
        """Ask for a call made inside of a probe; None: that does not go on, and nothing was done."""
        cdef Permit permit = Permit.__new__(Permit)
        permit.breaker = self
        if hf_breaker_admit_inside(self.kernel, of(probe, self), moment(now_ns), &permit.kernel):
            return permit
        return None

    def settle_fast(self, Permit permit):
        """Settle a success if that needs neither time nor window; False: nothing was done."""
        return hf_breaker_settle_fast(self.kernel, of(permit, self))

    def settle(self, Permit permit, outcome, duration_ns, now_ns):
        """Settle a permit; that this happens once is the holder's duty.

        Args:
            permit: Of this breaker.
            outcome: 0 success, 1 failure, 2 ignored.
            duration_ns: How long the call took; -1 when unknown.
            now_ns: When it ended.

        Returns:
            The transition this caused, as ``admit`` returns it, or None.
        """
        return listed(hf_breaker_settle(
            self.kernel, of(permit, self), whole(outcome, "outcome", 0, HF_IGNORED),
            whole(duration_ns, "duration_ns", -1, INT64_MAX),
            moment(now_ns)))

    def abandon(self, Permit permit):
        """Give a permit up without a verdict."""
        hf_breaker_abandon(self.kernel, of(permit, self))

    def undo(self, Permit permit):
        """Take an admission back, as if it had never been asked for."""
        hf_breaker_undo(self.kernel, of(permit, self))

    def override(self, state, now_ns):
        """Go to a state whatever the calls say; this begins a generation in any case.

        Returns:
            The transition, as ``admit`` returns it; None if it was in that state before.
        """
        return listed(hf_breaker_override(
            self.kernel, <hf_state> <int> whole(state, "state", 0, HF_STATES - 1),
            moment(now_ns)))

    def tune(self, failure_threshold, success_threshold, reset_ns):
        """Change three of its rules; an opening that is under way keeps its deadline."""
        cdef int64_t failures = whole(
            failure_threshold, "failure_threshold", 0, HF_BREAKER_COUNT_MOST)
        cdef int64_t successes = whole(
            success_threshold, "success_threshold", 1, HF_BREAKER_COUNT_MOST)
        hf_breaker_tune(self.kernel, <uint32_t> failures, <uint32_t> successes,
                        whole(reset_ns, "reset_ns", 0, INT64_MAX))

    def set_run(self, run):
        """Say how many failures in a row there are, or successes if it is half-open.

        Returns:
            Whether it is in a state that has a run: closed, half-open or metrics-only.
        """
        return hf_breaker_set_run(
            self.kernel, <uint32_t> whole(run, "run", 0, HF_BREAKER_COUNT_MOST))

    def period(self):
        """Return what evidence belongs to that begins now: (generation, opening).

        The opening is the generation that the last opening began; None if the breaker is neither
        open nor half-open.
        """
        cdef hf_breaker_period period = hf_breaker_period_now(self.kernel)
        return period.gen, None if period.opening == HF_NO_OPENING else period.opening

    def close_opening(self, opening):
        """Close it by evidence that began in that opening, if it is in the same one.

        Returns:
            The transition, as ``admit`` returns it; None if it is not.
        """
        return listed(hf_breaker_close_opening(self.kernel, word(opening, "opening")))

    def open_generation(self, generation, failures, now_ns):
        """Open it by evidence that began in that generation, if it is closed or half-open in it.

        Returns:
            The transition, as ``admit`` returns it; None if it is not.
        """
        return listed(hf_breaker_open_generation(
            self.kernel, word(generation, "generation"),
            <uint32_t> whole(failures, "failures", 0, UINT32_MAX), moment(now_ns)))

    def state(self):
        """Return the state; an open breaker becomes half-open only when asked to admit."""
        return <int> hf_breaker_state(self.kernel)

    def retry_after_ns(self, now_ns):
        """Return how long until asking again may help; -1 when no timer ends it (forced open)."""
        return hf_breaker_retry_after_ns(
            self.kernel, moment(now_ns))

    def peek(self, now_ns):
        """Return whether a call would be admitted. Changes nothing."""
        return hf_breaker_peek(self.kernel, moment(now_ns))

    def probes(self, now_ns):
        """Return how many leases of half-open probes are alive."""
        return hf_breaker_probes(self.kernel, moment(now_ns))

    def in_flight(self):
        """Return how many admitted calls have not settled."""
        return hf_breaker_in_flight(self.kernel)

    def generation(self):
        """Return the generation; each move, by hand to the same state too, begins another."""
        return HF_BREAKER_GEN(hf_load_relaxed(&self.kernel.word))

    def consecutive(self):
        """Return the failures in a row if closed or metrics-only, the successes if half-open."""
        return hf_breaker_run(self.kernel)

    def failures_in_a_row(self, now_ns):
        """Return the failures in a row as of now; none after a pause, nor in other states."""
        return hf_breaker_failures_in_a_row(self.kernel, moment(now_ns))

    def last_failure_ns(self):
        """Return when a failure of the generation of its time last came, or None."""
        return time_or_none(hf_load_i64(&self.kernel.last_failure_ns))

    def last_success_ns(self):
        """Return when a success last came, or None; settle_fast() knows no time and leaves it."""
        return time_or_none(hf_load_i64(&self.kernel.last_success_ns))

    def counters(self):
        """Return the counts of calls so far.

        Returns:
            (admitted, succeeded, failed, ignored, abandoned, rejected, observed, late, slow);
            rejected are all that were refused, also those that were observed.
        """
        cdef hf_breaker *k = self.kernel
        return (hf_breaker_admitted(k), hf_breaker_succeeded(k),
                hf_load_relaxed(&k.failed), hf_load_relaxed(&k.ignored),
                hf_load_relaxed(&k.abandoned), hf_breaker_rejected(k),
                # Counted last, read first: no figure is ever below zero.
                -<int64_t> hf_load_relaxed(&k.unobserved) + <int64_t> hf_load_relaxed(&k.observed),
                hf_load_relaxed(&k.late), hf_load_relaxed(&k.slow))

    def changes(self):
        """Return how often each transition happened: a tuple of 36, at 6 * from + to."""
        return tuple([hf_load_u32(&self.kernel.changes[i // HF_STATES][i % HF_STATES])
                      for i in range(HF_STATES * HF_STATES)])

    def window(self, now_ns):
        """Return (calls, failures, slow, ignored) of the window, or None without one."""
        cdef int64_t now = moment(now_ns)
        cdef hf_tally tally
        if self.kernel.config.window_kind == HF_WINDOW_NONE:
            return None
        tally = hf_breaker_tally(self.kernel, now)
        return tally.calls, tally.failures, tally.slow, tally.ignored

    def _forget(self, seed):
        """Do what a forked child does before anything else: for tests."""
        hf_breaker_forget(self.kernel, word(seed, "seed"))

    def nbytes(self):
        """Return the size of the kernel in bytes, leases and window included, stripes not."""
        return self.size - HF_BREAKER_STRIPES_BYTES

    def _capsule(self):
        return capsule(self, self.kernel, "holdfast.breaker")
