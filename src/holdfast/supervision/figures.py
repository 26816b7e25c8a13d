"""What a supervisor counts of one component, where metrics and other workers see it.

Elsewhere: what decides (``course``), how downtime is kept (``hf_component.h``), and names of
metrics (``telemetry``).
"""

from __future__ import annotations

from holdfast._native import component as native
from holdfast.clock import SystemClock
from holdfast.stores.figures import COMPONENT, KINDS, OWN_CLOCK, pair
from holdfast.stores.ledger import ledger
from holdfast.supervision.states import ComponentState
from holdfast.validation import is_checking

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.clock import Clock

__all__ = ["Figures"]

# States that show more than whether it is down.
_SHOWN = {
    ComponentState.RUNNING: native.UP,
    ComponentState.COOLING_DOWN: native.COOLING,
    ComponentState.GIVEN_UP: native.GIVEN_UP,
}


class Figures:
    """Enters the counts of a component in the ledger, for as long as this object lives.

    A downtime goes on while the component is down: nobody has to count it up. By the machine's
    clock it ends when that is said, even if the time that is given is earlier, since another worker
    may have shown it by then.

    Keep it with the component, over all its generations: its series disappear with the last
    reference. At first the component is stopped. In a forked child it is stopped too, and all
    counts are 0.

    Args:
        supervisor: The name of the supervisor.
        component: The name of the component.
        clock: The supervisor's clock, which gives the times.

    One thread at a time says what state the component is in; any may count and read.
    """

    __slots__ = ("__weakref__", "_clock", "_kernel", "name")

    kind = KINDS[COMPONENT]

    def __init__(self, supervisor: str, component: str, clock: Clock) -> None:
        ledger.prepare()  # first: from here on a kernel stands where other workers see it
        own_clock = not isinstance(clock, SystemClock)
        self.name = pair(supervisor, component)
        self._clock = clock  # the ledger asks it for the time
        self._kernel = native.Component(own_clock)
        if not is_checking():
            ledger.enter(self, 0, ((COMPONENT, self._kernel, OWN_CLOCK if own_clock else 0),))

    # ---- what happens ----

    def attempt(self) -> None:
        """An attempt to recover it begins."""
        self._kernel.count(native.ATTEMPT)

    def recovered(self) -> None:
        """A recovery has ended: the component's check has passed."""
        self._kernel.count(native.RECOVERED)

    def failed(self) -> None:
        """A recovery has ended without success, once for all its attempts: they are spent."""
        self._kernel.count(native.FAILED)

    def restarted(self) -> None:
        """It is started again without an order, as counts towards ``max_restarts``."""
        self._kernel.count(native.RESTARTED)

    def escalated(self) -> None:
        """It has exceeded ``max_restarts``."""
        self._kernel.count(native.ESCALATED)

    # ---- what state it is in, from a time in nanoseconds on ----

    def show(self, state: ComponentState, since_ns: int, *, is_down: bool) -> None:
        """It is in this state; ``is_down``: it does not work, although it is to."""
        shown = _SHOWN.get(state, native.STOPPED)
        self._kernel.be(max(shown, native.DOWN) if is_down else shown, since_ns)

    def stopped(self, now_ns: int) -> None:
        """Nobody wants it to run: stopped by order, or finished. That is no downtime."""
        self._kernel.be(native.STOPPED, now_ns)

    def up(self, now_ns: int) -> None:
        """It runs, and has been verified."""
        self._kernel.be(native.UP, now_ns)

    def down(self, now_ns: int) -> None:
        """It does not run, or its check fails; somebody is at it."""
        self._kernel.be(native.DOWN, now_ns)

    def cooling_down(self, now_ns: int) -> None:
        """It is down, and its attempts are spent until later."""
        self._kernel.be(native.COOLING, now_ns)

    def gave_up(self, now_ns: int) -> None:
        """It is down, and does not come back without an order."""
        self._kernel.be(native.GIVEN_UP, now_ns)

    # ---- for a status ----

    @property
    def attempts(self) -> int:
        """Attempts to recover it."""
        return self._kernel.counted()[native.ATTEMPT]

    @property
    def recoveries(self) -> int:
        """Recoveries that ended well."""
        return self._kernel.counted()[native.RECOVERED]

    @property
    def failures(self) -> int:
        """Recoveries that ended without success."""
        return self._kernel.counted()[native.FAILED]

    @property
    def restarts(self) -> int:
        """Restarts without an order."""
        return self._kernel.counted()[native.RESTARTED]

    @property
    def escalations(self) -> int:
        """How often it has exceeded ``max_restarts``."""
        return self._kernel.counted()[native.ESCALATED]

    def down_ns(self, now_ns: int) -> int:
        """Return for how long it was down, in nanoseconds, up to now."""
        return self._kernel.down_ns(now_ns)
