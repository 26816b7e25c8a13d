"""How far a component is degraded: down at once, up after a stable time, by hand in any case.

And whether features are on: a look into a dict, by a method without a frame of its own.
"""
cimport cython
from cpython.object cimport PyTypeObject
from libc.stdint cimport INT64_MAX

from holdfast._native.binding cimport capsule, moment, whole
from holdfast._native.ledger cimport enlist, hf_member, place, strike, unplace

cdef extern from "Python.h":
    ctypedef struct PyMethodDef:
        pass
    ctypedef struct PyMethodDescrObject:
        PyMethodDef *d_method
    object PyDescr_NewMethod(PyTypeObject *cls, PyMethodDef *method)


cdef void forget(void *kernel, uint64_t seed) noexcept nogil:
    hf_level_forget(<hf_level *> kernel)


@cython.final
cdef class Level:
    """The level of one component, 0 to 3.

    One caller at a time changes it. Whatever only reads is safe to call from any thread.
    """

    cdef hf_level *kernel
    cdef void *block
    cdef hf_member member

    def __cinit__(self, stable_ns, now_ns):
        self.kernel = <hf_level *> place(&self.block, sizeof(hf_level))
        hf_level_init(self.kernel, whole(stable_ns, "stable_ns", 0, INT64_MAX // 2), moment(now_ns))
        enlist(&self.member, self.kernel, forget)

    def __dealloc__(self):
        strike(&self.member)
        unplace(self.block)

    def get(self):
        """Return the level in force."""
        return hf_level_get(self.kernel)

    def asked(self):
        """Return the worst level that is asked for."""
        return hf_load_relaxed(&self.kernel.asked)

    def forced(self):
        """Return the level that was ordered by hand, or None."""
        cdef uint64_t forced = hf_load_relaxed(&self.kernel.forced)
        return None if forced == HF_LEVEL_UNFORCED else forced

    def count(self, now_ns):
        """Count time in the level in force up to now; from any thread."""
        hf_level_count(self.kernel, moment(now_ns))

    def look(self, now_ns):
        """Count time, and change to the level that is due; return whether that is another one."""
        return hf_level_look(self.kernel, moment(now_ns))

    def ask(self, level, now_ns):
        """Have ``level`` be the worst that is asked for; return whether another one is in force."""
        return hf_level_ask(self.kernel, <uint64_t> whole(level, "level", 0, HF_LEVELS - 1),
                            moment(now_ns))

    def force(self, level, now_ns):
        """Order a level, or none for None; return whether another one is in force."""
        cdef uint64_t forced = HF_LEVEL_UNFORCED
        if level is not None:
            forced = <uint64_t> whole(level, "level", 0, HF_LEVELS - 1)
        return hf_level_force(self.kernel, forced, moment(now_ns))

    def recover(self, now_ns):
        """Forget what was asked for; return whether another level is in force."""
        return hf_level_recover(self.kernel, moment(now_ns))

    def ends_ns(self):
        """Return when the level ends if nobody asks for another; None if time does not end it."""
        cdef int64_t ends = hf_level_ends_ns(self.kernel)
        return None if ends == HF_LEVEL_ALWAYS else ends

    def since_ns(self):
        """Return when the level came into force."""
        return hf_load_relaxed_signed(&self.kernel.since_ns)

    def times(self, now_ns):
        """Return the nanoseconds in each level, up to now."""
        cdef int i
        cdef list times = [hf_load_relaxed(&self.kernel.spent_ns[i]) for i in range(HF_LEVELS)]
        times[hf_level_get(self.kernel)] += hf_level_uncounted_ns(self.kernel, moment(now_ns))
        return tuple(times)

    def changes(self):
        """Return the number of changes into each level."""
        cdef int i
        return tuple([hf_load_relaxed(&self.kernel.changes[i]) for i in range(HF_LEVELS)])

    def count_shed(self, priority):
        """Count a call that was refused, by its priority."""
        hf_count(&self.kernel.shed[whole(priority, "priority", 0, HF_LEVEL_PRIORITIES - 1)], 1)

    def shed(self):
        """Return the number of calls that were refused, by their priority."""
        cdef int i
        return tuple([hf_load_relaxed(&self.kernel.shed[i]) for i in range(HF_LEVEL_PRIORITIES)])

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_level)

    def _capsule(self):
        return capsule(self, self.kernel, "holdfast.level")


cdef class Flags:
    """Whether each feature is on. Safe to use from any thread."""

    cdef dict flags

    def __cinit__(self, *args, **settings):
        self.flags = {}

    @cython.binding(False)  # interpreters know how to call it fast
    def is_enabled(self, name, /):
        """Return whether a feature is on; True for a name that nobody knows."""
        on = self.flags.get(name)
        if on is None:
            if not isinstance(name, str):
                raise TypeError(f"is_enabled() takes the name of a feature, got {name!r}")
            return True
        return on

    def _put(self, name, on):
        self.flags[name] = on


def own_methods(cls):
    """Have a subclass of Flags own its method: interpreters do not call an inherited one fast."""
    if not issubclass(cls, Flags):
        raise TypeError(f"cls: got {cls!r}, allowed a subclass of Flags")
    method = Flags.__dict__["is_enabled"]
    cls.is_enabled = PyDescr_NewMethod(
        <PyTypeObject *> cls, (<PyMethodDescrObject *> method).d_method)
