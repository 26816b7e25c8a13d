"""What a supervisor counts of a component, whether it is up, and for how long it was down."""
cimport cython
from libc.stdint cimport int64_t

from holdfast._native.binding cimport capsule, moment, whole
from holdfast._native.figures cimport machine_now_ns
from holdfast._native.ledger cimport enlist, hf_member, place, strike, unplace

STOPPED, UP, DOWN, COOLING, GIVEN_UP = range(HF_COMPONENT_STATES)
ATTEMPT, RECOVERED, FAILED, RESTARTED, ESCALATED = range(HF_COMPONENT_EVENTS)


cdef void forget(void *kernel, uint64_t seed) noexcept nogil:
    hf_component_forget(<hf_component *> kernel)


@cython.final
cdef class Component:
    """The counts and the state of one component.

    One caller at a time changes the state. Whatever else is safe to call from any thread.
    """

    cdef hf_component *kernel
    cdef void *block
    cdef hf_member member

    def __cinit__(self, own_clock):
        self.kernel = <hf_component *> place(&self.block, sizeof(hf_component))
        hf_component_init(self.kernel, own_clock)
        enlist(&self.member, self.kernel, forget)

    def __dealloc__(self):
        strike(&self.member)
        unplace(self.block)

    def count(self, event):
        """Count one event."""
        cdef int64_t at = whole(event, "event", 0, HF_COMPONENT_EVENTS - 1)
        hf_component_count(self.kernel, <hf_component_event> at)

    def counted(self):
        """Return how often each event was counted, in their order."""
        cdef int i
        return tuple(
            [hf_load_relaxed(&self.kernel.counted[i]) for i in range(HF_COMPONENT_EVENTS)])

    def be(self, state, now_ns):
        """Have it be in a state from now on. By the machine's clock, a downtime ends no earlier than here."""
        cdef int64_t to = whole(state, "state", 0, HF_COMPONENT_STATES - 1)
        cdef int64_t now = moment(now_ns)
        if to < HF_COMPONENT_DOWN and not self.kernel.own_clock:
            now = max(now, machine_now_ns())
        hf_component_be(self.kernel, <hf_component_state> to, now)

    def state(self):
        """Return the state."""
        return hf_load_relaxed(&self.kernel.state)

    def look(self, now_ns):
        """Make the time of a clock of its own known: figures show its downtime as of then."""
        hf_component_look(self.kernel, moment(now_ns))

    def down_ns(self, now_ns):
        """Return for how long it was down, in nanoseconds, up to now."""
        cdef int64_t now = moment(now_ns)
        hf_component_look(self.kernel, now)
        return hf_component_down_ns(self.kernel, now)

    def end(self):
        """Have it be stopped from now on, by the machine's clock or the last time of its own."""
        cdef int64_t now = machine_now_ns()
        if self.kernel.own_clock:
            now = hf_load_time(&self.kernel.looked_ns)
        hf_component_be(self.kernel, HF_COMPONENT_STOPPED, now)

    def nbytes(self):
        """Return the size of the kernel in bytes."""
        return sizeof(hf_component)

    def _capsule(self):
        return capsule(self, self.kernel, "holdfast.component")
