"""How much of a kind of resource is registered, how much may be, and what became of it."""
cimport cython
from libc.stdint cimport int64_t, uint64_t

from holdfast._native.binding cimport capsule, whole
from holdfast._native.ledger cimport enlist, hf_member, place, strike, unplace

cdef extern from "Python.h":
    object PyObject_CallMethodNoArgs(object self, object name)

MOST = HF_RESOURCE_MAX - 1
FULL, ALL_FULL, DONE = HF_RESOURCE_FULL, HF_RESOURCE_ALL_FULL, HF_RESOURCE_DONE
HIGH, ALL_HIGH = HF_RESOURCE_HIGH, HF_RESOURCE_ALL_HIGH
CLEANED, RELEASED, COLLECTED, LEAK, ERROR = range(HF_RESOURCE_EVENTS)


cdef void forget(void *kernel, uint64_t seed) noexcept nogil:
    hf_resource_forget(<hf_resource *> kernel)


cdef uint64_t limited(object limit) except? 1:
    """Read a limit; None for none."""
    if limit is None:
        return HF_RESOURCE_NO_LIMIT
    return whole(limit, "limit", 0, HF_RESOURCE_MAX - 1)


@cython.final
cdef class Resource:
    """What is registered of one kind, or of all.

    Safe to use from any thread; one caller at a time changes the limit.
    """

    cdef hf_resource *kernel
    cdef void *block
    cdef hf_member member

    def __cinit__(self, limit=None):
        cdef uint64_t most = limited(limit)
        self.kernel = <hf_resource *> place(&self.block, sizeof(hf_resource))
        hf_resource_init(self.kernel, most)
        enlist(&self.member, self.kernel, forget)

    def __dealloc__(self):
        strike(&self.member)
        unplace(self.block)

    def add(self, n=1, Resource total=None, list held=None):
        """Register ``n`` of this kind, which is one of all.

        Args:
            held: Is given one entry if there was room. Ctrl-C comes before both or after both.

        Returns:
            FULL or ALL_FULL: there is no room, in this kind or in all, and nothing was done. Else
            DONE, with HIGH if this kind and ALL_HIGH if all go above 80 % of their limit by that.
        """
        cdef uint64_t amount = whole(n, "n", 1, HF_RESOURCE_MAX - 1)
        cdef unsigned int answer = hf_resource_add(
            self.kernel, NULL if total is None else total.kernel, amount)
        if held is not None and answer >= HF_RESOURCE_DONE:
            held.append(None)
        return answer

    def remove(self, end, n=1, Resource total=None):
        """End what was registered with the same arguments.

        Args:
            end: CLEANED, RELEASED or COLLECTED.

        Returns:
            Whether so much was registered; if not, nothing was done.
        """
        cdef int64_t event = whole(end, "end", 0, HF_RESOURCE_ENDS - 1)
        cdef uint64_t amount = whole(n, "n", 1, HF_RESOURCE_MAX - 1)
        return hf_resource_remove(
            self.kernel, NULL if total is None else total.kernel, amount, <hf_resource_event> event)

    def take(self, list held, dict living, key, end, n, Resource total, into, one):
        """End a registration, unless it has ended. Ctrl-C comes before all of that or after it.

        Args:
            held: What ``add`` has given an entry: whoever takes that ends the registration.
            living: What is registered, by identifier.
            key: The identifier.
            end: As for ``remove``, like the next two.
            n: The amount.
            total: All kinds.
            into: Is given ``one``, if it is not None.
            one: What is registered.

        Returns:
            Whether this call has ended it.
        """
        cdef int64_t event = whole(end, "end", 0, HF_RESOURCE_ENDS - 1)
        cdef uint64_t amount = whole(n, "n", 1, HF_RESOURCE_MAX - 1)
        if not held:
            return False
        try:
            PyObject_CallMethodNoArgs(held, "pop")  # one step, also without the GIL
        except IndexError:
            return False
        living.pop(key, None)
        hf_resource_remove(
            self.kernel, NULL if total is None else total.kernel, amount, <hf_resource_event> event)
        if into is not None:
            into.append(one)
        return True

    def count(self, event):
        """Count a LEAK or an ERROR."""
        cdef int64_t at = whole(event, "event", HF_RESOURCE_ENDS, HF_RESOURCE_EVENTS - 1)
        hf_resource_count(self.kernel, <hf_resource_event> at)

    def counted(self):
        """Return how often each event was counted, in their order, then what was created and refused."""
        cdef int i
        cdef list events = [
            hf_resource_counted(self.kernel, <hf_resource_event> i)
            for i in range(HF_RESOURCE_EVENTS)]
        return (*events, hf_load_relaxed(&self.kernel.created), hf_load_relaxed(&self.kernel.refused))

    def active(self):
        """Return how much is registered."""
        cdef uint64_t limit
        return hf_resource_active(self.kernel, &limit)

    def limit(self):
        """Return the limit, or None."""
        cdef uint64_t limit
        hf_resource_active(self.kernel, &limit)
        return None if limit == HF_RESOURCE_NO_LIMIT else limit

    def resize(self, limit):
        """Have another limit, or none.

        Returns:
            FULL: more than that is registered, and nothing has changed. Else DONE, with HIGH if what
            is registered is above 80 % by that.
        """
        return hf_resource_resize(self.kernel, limited(limit))

    def show(self, limit):
        """Have figures show this limit, that of all, while there is none and each counts as 1."""
        hf_resource_show(self.kernel, whole(limit, "limit", 0, HF_RESOURCE_MAX - 1))

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_resource)

    def _capsule(self):
        return capsule(self, self.kernel, "holdfast.resource")
