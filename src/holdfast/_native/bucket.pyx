"""Rate limits: the token bucket, exact to the fraction, and the sliding window.

Seconds, rates as people write them and limits joined together are ``holdfast.policies.limiter.limiter``'s.
"""
cimport cython
from libc.stdint cimport INT64_MAX, INT64_MIN

from holdfast._native.binding cimport capsule, moment, whole
from holdfast._native.ledger cimport enlist, hf_member, keep_copy, place, strike, unplace


cdef uint64_t tokens(object n) except? 0:
    return whole(n, "n", 0, INT64_MAX)


cdef object wait(int64_t ns, int64_t never):
    return None if ns == never else ns


cdef tuple counted(const hf_au64 *allowed, const hf_au64 *rejected, const hf_au64 *refunded):
    return hf_load_relaxed(allowed), hf_load_relaxed(rejected), hf_load_relaxed(refunded)


cdef hf_rate rate_of(object num, object den, object burst) except *:
    """Read ``num`` tokens in ``den`` ns, refusing what would overflow the kernel's word."""
    cdef hf_rate rate
    rate.num = whole(num, "num", 1, HF_RATE_NUM_MAX)
    rate.den = whole(den, "den", 1, HF_RATE_SPAN_MAX)
    rate.burst = whole(burst, "burst", 1, HF_RATE_SPAN_MAX // rate.den)
    return rate


cdef void forget_bucket(void *kernel, uint64_t seed) noexcept nogil:
    hf_bucket_forget(<hf_bucket *> kernel)


@cython.final
cdef class TokenBucket:
    """``num`` tokens every ``den`` nanoseconds, at most ``burst`` saved up.

    Safe to use from any thread; no method waits.
    """

    cdef hf_bucket *kernel
    cdef void *block
    cdef hf_member member

    def __cinit__(self, num, den, burst, now_ns):
        self.kernel = <hf_bucket *> place(&self.block, sizeof(hf_bucket))
        hf_bucket_init(self.kernel, rate_of(num, den, burst), moment(now_ns))
        enlist(&self.member, self.kernel, forget_bucket)

    def __dealloc__(self):
        strike(&self.member)
        unplace(self.block)

    def try_take(self, n, now_ns):
        """Take ``n`` tokens if they are there."""
        return hf_bucket_try_take(self.kernel, tokens(n), moment(now_ns))

    def take_within(self, n, now_ns, max_wait_ns):
        """Book ``n`` tokens that will be there in time.

        Returns:
            How many nanoseconds to wait for them, rounded up; -1 when that is more than
            ``max_wait_ns``, and then nothing is booked.
        """
        return hf_bucket_take_within(
            self.kernel, tokens(n), moment(now_ns),
            whole(max_wait_ns, "max_wait_ns", 0, INT64_MAX))

    def reserve(self, n, now_ns):
        """Book ``n`` tokens however long they take.

        Returns:
            How many nanoseconds to wait for them, rounded up; None when they would never be there
            (more than the burst, or hours of waiting are booked already): nothing is booked.
        """
        return wait(hf_bucket_reserve(self.kernel, tokens(n), moment(now_ns)), HF_BUCKET_NEVER)

    def wait_ns(self, n, now_ns):
        """Return how long until ``n`` are there, rounded up, or None: never. Takes nothing."""
        return wait(hf_bucket_wait_ns(self.kernel, tokens(n), moment(now_ns)), HF_BUCKET_NEVER)

    def due_ns(self, after, now_ns):
        """Return how long until all that is booked is due but the last ``after`` tokens, rounded up."""
        return hf_bucket_due_ns(self.kernel, tokens(after), moment(now_ns))

    def refund(self, n):
        """Return the ``n`` tokens of one take that was not used; never fills beyond the burst."""
        hf_bucket_refund(self.kernel, tokens(n))

    def unbook(self, n):
        """Return ``n`` tokens that the parent of a forked child had booked: it counted the call."""
        hf_bucket_unbook(self.kernel, tokens(n))

    def available(self, now_ns):
        """Return how many whole tokens are there."""
        return hf_bucket_available(self.kernel, moment(now_ns))

    def resize(self, num, den, burst, now_ns):
        """Change the rate. Tokens stay, up to the new burst; what is booked stays booked."""
        hf_bucket_resize(self.kernel, rate_of(num, den, burst), moment(now_ns))
        keep_copy(self.kernel, forget_bucket)

    def clear(self):
        """Fill it up to the burst and forget all bookings; the counters stay."""
        hf_bucket_clear(self.kernel)

    def clear_but(self, n, now_ns):
        """Fill it up to the burst and book ``n`` tokens, in one step; all other bookings are forgotten."""
        hf_bucket_clear_but(self.kernel, tokens(n), moment(now_ns))

    def rate(self):
        """Return (num, den, burst)."""
        cdef hf_rate rate = hf_bucket_rate(self.kernel)
        return rate.num, rate.den, rate.burst

    def counters(self):
        """Return (allowed, rejected, refunded), in calls, not in tokens."""
        return counted(&self.kernel.allowed, &self.kernel.rejected, &self.kernel.refunded)

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_bucket)

    def _capsule(self):
        return capsule(self, self.kernel, "holdfast.bucket")


cdef void forget_sliding(void *kernel, uint64_t seed) noexcept nogil:
    hf_sliding_forget(<hf_sliding *> kernel)


@cython.final
cdef class SlidingWindow:
    """At most ``limit`` in any ``per_ns`` nanoseconds; may refuse a tenth of that early.

    Safe to use from any thread; no method waits.
    """

    cdef hf_sliding *kernel
    cdef void *block
    cdef hf_member member

    def __cinit__(self, limit, per_ns):
        self.kernel = <hf_sliding *> place(&self.block, sizeof(hf_sliding))
        hf_sliding_init(
            self.kernel, whole(limit, "limit", 1, HF_SLIDING_LIMIT_MAX),
            whole(per_ns, "per_ns", 1, INT64_MAX))
        enlist(&self.member, self.kernel, forget_sliding)

    def __dealloc__(self):
        strike(&self.member)
        unplace(self.block)

    def try_take(self, n, now_ns):
        """Take ``n`` if the span that ends now still holds them; False is counted as rejected."""
        return hf_sliding_try_take(self.kernel, tokens(n), moment(now_ns))

    def refund(self, n, taken_ns):
        """Return the ``n`` of one take that was not used, made at ``taken_ns``."""
        hf_sliding_refund(self.kernel, tokens(n), moment(taken_ns))

    def wait_ns(self, n, now_ns):
        """Return how long until ``n`` can be taken, rounded up, or None: never. Takes nothing."""
        return wait(hf_sliding_wait_ns(self.kernel, tokens(n), moment(now_ns)), HF_SLIDING_NEVER)

    def available(self, now_ns):
        """Return how many could be taken."""
        return hf_sliding_available(self.kernel, moment(now_ns))

    def resize(self, limit):
        """Change the limit; what was taken stays taken."""
        hf_sliding_resize(self.kernel, whole(limit, "limit", 1, HF_SLIDING_LIMIT_MAX))
        keep_copy(self.kernel, forget_sliding)

    def clear(self):
        """Empty it; the counters stay."""
        hf_sliding_clear(self.kernel)

    def limit(self):
        """Return how many a span holds."""
        return hf_sliding_limit(self.kernel)

    def counters(self):
        """Return (allowed, rejected, refunded), in calls, not in tokens."""
        return counted(&self.kernel.allowed, &self.kernel.rejected, &self.kernel.refunded)

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_sliding)

    def _capsule(self):
        return capsule(self, self.kernel, "holdfast.sliding")
