"""Which calls a fault strikes: decided by its seed and the number of the call."""
cimport cython
from libc.stdint cimport INT64_MAX, INT64_MIN, UINT64_MAX

from holdfast._native.binding cimport capsule, moment, share, whole, word
from holdfast._native.ledger cimport enlist, hf_member, place, strike, unplace


cdef void forget(void *kernel, uint64_t seed) noexcept nogil:
    hf_chaos_forget(<hf_chaos *> kernel, seed | 1)


cdef void forget_counts(void *kernel, uint64_t seed) noexcept nogil:
    hf_chaos_forget(<hf_chaos *> kernel, 0)


cdef uint64_t of_one(object probability) except? 1:
    return <uint64_t> (share(probability, "probability", 0.0, 1.0) * <double> HF_CHAOS_ONE)


def unit(seed, number, lane):
    """Return the random number in [0, 1) that a call has in a lane."""
    return hf_chaos_unit(word(seed, "seed"), word(number, "number"), word(lane, "lane"))


@cython.final
cdef class Chaos:
    """Decides whether a fault strikes a call. It strikes none until it is armed.

    Unless it is ``seeded``, a forked child has another seed than its parent.

    Safe to use from any thread.
    """

    cdef hf_chaos *kernel
    cdef void *block
    cdef hf_member member

    def __cinit__(self, seed, probability, *, seeded=True):
        self.kernel = <hf_chaos *> place(&self.block, sizeof(hf_chaos))
        hf_chaos_init(self.kernel, word(seed, "seed"), of_one(probability))
        enlist(&self.member, self.kernel, forget_counts if seeded else forget)

    def __dealloc__(self):
        strike(&self.member)
        unplace(self.block)

    def arm(self, seed, until_ns, left=None):
        """Strike until a time, at most ``left`` times, and number the calls from 0."""
        hf_chaos_arm(
            self.kernel, word(seed, "seed"), moment(until_ns),
            UINT64_MAX if left is None else <uint64_t> whole(left, "left", 0, INT64_MAX))

    def disarm(self):
        """Strike no call from here on."""
        hf_chaos_disarm(self.kernel)

    def begin_episode(self, from_ns, until_ns):
        """Strike every call from one time until another, if it is armed then."""
        hf_chaos_begin_episode(self.kernel, moment(from_ns), moment(until_ns))

    def set_probability(self, probability):
        """Strike this share of the calls outside of episodes."""
        hf_store_relaxed(&self.kernel.probability, of_one(probability))

    def is_armed(self, now_ns):
        """Return whether calls may be struck at a time."""
        return hf_chaos_is_armed(self.kernel, moment(now_ns))

    def in_episode(self, now_ns):
        """Return whether an episode goes on at a time."""
        return hf_chaos_in_episode(self.kernel, moment(now_ns))

    def check(self, now_ns):
        """Return whether the next call is struck, and its number; None if no call is numbered."""
        cdef uint64_t number = 0
        cdef bint struck = hf_chaos_check(self.kernel, moment(now_ns), &number)
        return struck, None if number == UINT64_MAX else number

    def give_back(self, number, struck):
        """Take a call as not made."""
        hf_chaos_give_back(self.kernel, word(number, "number"), struck)

    def count_injected(self):
        """Count an injection that was not asked for by ``check`` alone."""
        hf_count(&self.kernel.injected, 1)

    def count_observed(self):
        """Count a call that would have been struck."""
        hf_count(&self.kernel.observed, 1)

    def count_checked(self):
        """Count a call for which somebody else has decided."""
        hf_count(&self.kernel.checked, 1)

    def seed(self):
        """Return the seed in use."""
        return hf_load_relaxed(&self.kernel.seed)

    def calls(self):
        """Return the number of the next call."""
        return hf_load_relaxed(&self.kernel.calls)

    def left(self):
        """Return how many more calls may be struck; None if there is no limit."""
        cdef uint64_t left = hf_load_relaxed(&self.kernel.left)
        return None if left == UINT64_MAX else left

    def counters(self):
        """Return (checked, injected, observed) calls so far."""
        cdef hf_chaos *k = self.kernel
        return (hf_load_relaxed(&k.checked), hf_load_relaxed(&k.injected),
                hf_load_relaxed(&k.observed))

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_chaos)

    def _capsule(self):
        return capsule(self, self.kernel, "holdfast.chaos")
