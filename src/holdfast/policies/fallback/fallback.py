"""Fallback: what stands in for a call that failed or was refused.

Owns the settings and the face; when it stands in is ``csrc/python/gate_unwind.c``'s.
"""

from __future__ import annotations

from holdfast._native.fallback import Fallback as Kernel
from holdfast.clock import read_clock
from holdfast.errors import Rejected
from holdfast.events import Listeners
from holdfast.mode import read_mode
from holdfast.policies.base import NATIVE_MODES, Policy, refuse_nameless_sharing
from holdfast.stores.figures import FALLBACK
from holdfast.validation import Problems, takes_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from holdfast.clock import Clock
    from holdfast.mode import Mode
    from holdfast.policies.fallback.snapshot import FallbackSnapshot
    from holdfast.stores.ledger import Part

__all__ = ["Fallback"]


class Fallback(Policy):
    """Gives a value of its own where the call raised or was rejected.

    Several may stand around each other: where one raises, the next outer one is asked, and the
    first error stays the cause of what is raised in the end. Cancellation and interrupts pass. In
    place of a generator it gives the items: an iterable, for an asynchronous one of either kind.

    Args:
        value: What is returned instead, or a function of one argument, the exception, that gives
            it; in an asynchronous call that function may be asynchronous. A class or another
            callable is a function too: ``lambda error: value`` returns one.
        on: Exceptions it stands in for; ``Exception`` has the rejections in it. For an exception
            group it stands in if it does for everything in it.
        name: For messages, metrics and the registry; None: not in the registry.
        clock: Where events read the time; a ``ManualClock`` in tests.
        mode: "enforce", "observe" or "off"; None for that of the process (HOLDFAST_MODE).
        shared: Return the living shared fallback of that name, if its settings are equal.

    Raises:
        ConfigError: Naming every argument that is not as it should be.

    Safe to share between threads and event loops.

    >>> Fallback("cached", on=ZeroDivisionError).call(lambda: 1 / 0)
    'cached'
    """

    __slots__ = ("_kernel",)

    kind = "fallback"
    _fields = ("value", "on", "clock", "mode")

    def __init__(
        self,
        value: Any,
        *,
        on: type[Exception] | tuple[type[Exception], ...] = (Exception,),
        name: str | None = None,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        problems = Problems("Fallback", name)
        if name is not None:
            name = problems.name(name)
        if callable(value) and not takes_one(value):
            problems.refuse("value", value, "a value, or a function of one argument, the exception")
        on = problems.exceptions("on", on)
        if on == ():
            problems.refuse("on", on, "at least one subclass of Exception")
        clock = read_clock(problems, clock)
        mode = read_mode(problems, mode)
        refuse_nameless_sharing(problems, name, shared)
        problems.done()
        kernel = Kernel()
        self._bind("fallback", (kernel,), clock, name, NATIVE_MODES[mode], Rejected, on=on)
        self._equip(stand_in=value, stands_by_call=callable(value))
        self._kernel = kernel
        self._listeners = Listeners()
        self.mode = mode
        self._settings = (value, on, clock, mode)

    def snapshot(self) -> FallbackSnapshot:
        """Return its counts at this moment; fields in ``FallbackSnapshot``."""
        from holdfast.policies.fallback.snapshot import FallbackSnapshot

        passed, used, failed, observed = self._kernel.counters()
        return FallbackSnapshot(self.name, passed, used, failed, observed)

    def _figured(self) -> tuple[Part, ...]:
        return ((FALLBACK, self._kernel, 0),)

    def reset(self) -> None:
        """Do nothing: a fallback remembers nothing but its counts, which go on."""

    def _further_costs(self) -> list[str]:
        return ["calls Python when it stands in"] * callable(self._setting("value"))
