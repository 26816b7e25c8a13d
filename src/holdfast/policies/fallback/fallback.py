"""Fallback: what stands in for a call that failed or was refused.

Owns the settings and the face; when it stands in is ``csrc/python/gate_unwind.c``'s.
"""

from __future__ import annotations

from types import FunctionType

from holdfast._native.fallback import Fallback as Kernel
from holdfast.clock import read_clock
from holdfast.errors import Rejected
from holdfast.mode import read_mode
from holdfast.policies.base import NATIVE_MODES, Policy, refuse_nameless_sharing, settings_of
from holdfast.stores.figures import FALLBACK
from holdfast.validation import Problems, takes_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from holdfast.clock import Clock
    from holdfast.mode import Mode
    from holdfast.policies.base import On
    from holdfast.policies.fallback.snapshot import FallbackSnapshot
    from holdfast.stores.ledger import Part

__all__ = ["Fallback"]


class Fallback(Policy):
    """Returns a replacement if the call raises an exception or is rejected.

    Fallbacks can be nested. If an inner fallback raises, the next outer fallback is used, and the
    first error remains the cause of the final exception. Cancellations and interrupts are not
    replaced. For a generator, the replacement is an iterable with its items; for an asynchronous
    generator it may also be asynchronous.

    Args:
        value: The replacement, or a function that gets the exception and returns the replacement.
            The function may be asynchronous in an asynchronous call. Every callable counts as a
            function; use ``lambda error: value`` to return a callable.
        on: Exceptions that are replaced: classes, categories ("transient", "permanent",
            "resource", "logic"), several of both, or a predicate. ``Exception`` includes
            rejections, and a predicate is called with them, but they have no category. An
            exception group is replaced if all its exceptions are; a predicate gets the group. If
            a predicate raises, the caller gets that exception.
        ignore: Exceptions that are not replaced although ``on`` names them; as ``on``.
        name: For messages, metrics and the registry. A policy without a name is not registered.
        clock: The time of events; use a ``ManualClock`` in tests.
        mode: "enforce", "observe" or "off"; None uses the mode of the process (HOLDFAST_MODE).
        shared: Return the existing shared fallback of this name, if its settings are equal.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops.

    >>> Fallback("cached", on=ZeroDivisionError).call(lambda: 1 / 0)
    'cached'
    """

    __slots__ = ()

    kind = "fallback"

    def __init__(
        self,
        value: Any,
        *,
        on: On = (Exception,),
        ignore: On = (),
        name: str | None = None,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        problems = Problems("Fallback", name)
        if name is not None:
            name = problems.name(name)
        if isinstance(value, type) and issubclass(value, BaseException):
            problems.refuse("value", value, "a value or a function; exception classes are for on=")
        elif callable(value) and not takes_one(value):
            problems.refuse("value", value, "a value, or a function of one argument, the exception")
        on, classes, categories, wanted = problems.matcher("on", on, empty=False)
        ignore, ignored, ignored_categories, unwanted = problems.matcher("ignore", ignore)
        clock = read_clock(problems, clock)
        mode = read_mode(problems, mode)
        refuse_nameless_sharing(problems, name, shared)
        problems.done()
        kernel = Kernel()
        self._bind(
            "fallback",
            (kernel,),
            clock,
            name,
            NATIVE_MODES[mode],
            Rejected,
            on=classes,
            on_categories=categories,
            wanted=wanted,
            ignore=ignored if unwanted is None else unwanted,
            ignore_categories=ignored_categories,
            stand_in=value,
            stands_by_call=callable(value),
        )
        self._keep(
            value=value,
            on=on,
            ignore=ignore,
            clock=clock,
            mode=mode,
        )

    _setting_names = settings_of(__init__)

    def snapshot(self) -> FallbackSnapshot:
        """Return the current counts; see ``FallbackSnapshot`` for the fields."""
        from holdfast.policies.fallback.snapshot import FallbackSnapshot

        passed, used, failed, observed = self._kernel.counters()
        return FallbackSnapshot(self.name, passed, used, failed, observed)

    def _in_words(self) -> str:
        value = self._setting("value")
        return f"calls {value.__qualname__}" if isinstance(value, FunctionType) else ""

    def _figured(self) -> tuple[Part, ...]:
        return ((FALLBACK, self._kernel, 0),)

    def reset(self) -> None:
        """Do nothing: a fallback has no state except its counts, which continue."""

    def _further_costs(self) -> list[str]:
        return ["calls Python when it stands in"] * callable(self._setting("value"))
