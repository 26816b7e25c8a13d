"""The jitter generator: small, seedable, never for secrets."""
cimport cython

from holdfast._native.binding cimport capsule, word
from holdfast._native.ledger cimport enlist, hf_member, strike


cdef void forget(void *random, uint64_t seed) noexcept nogil:
    hf_random_forget(<hf_random *> random, seed)


@cython.final
cdef class Random:
    """A splitmix64 generator; the same seed gives the same numbers.

    Unless it is ``seeded``, a forked child draws other numbers than its parent.

    Safe to draw from by any thread: each draw takes its own number.
    """

    cdef hf_random kernel
    cdef hf_member member

    def __cinit__(self, seed, *, seeded=True):
        hf_random_init(&self.kernel, word(seed, "seed"))
        if not seeded:
            enlist(&self.member, &self.kernel, forget)

    def __dealloc__(self):
        strike(&self.member)

    def next(self):
        """Return the next number, 0 to 2**64 - 1."""
        return hf_random_next(&self.kernel)

    def unit(self):
        """Return a float in [0, 1)."""
        return hf_random_unit(&self.kernel)

    def below(self, n):
        """Return a number in [0, n), without bias.

        Raises:
            ValueError: ``n`` is 0: there is no such number.
        """
        cdef uint64_t bound = word(n, "n")
        if bound == 0:
            raise ValueError("n: got 0, allowed 1 to 2**64 - 1")
        return hf_random_below(&self.kernel, bound)

    def seed(self, seed):
        """Start again from ``seed``."""
        hf_random_init(&self.kernel, word(seed, "seed"))

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_random)

    def _capsule(self):
        return capsule(self, &self.kernel, "holdfast.random")
