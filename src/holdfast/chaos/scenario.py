"""Scenario: what goes wrong when, and where, as data."""

from __future__ import annotations

import builtins
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from holdfast.chaos.composite import Group
from holdfast.chaos.fault import Fault
from holdfast.chaos.point import Point, attach
from holdfast.clock import read_clock
from holdfast.errors import ConfigError
from holdfast.validation import MAX_NS, Problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType
    from typing import Any, Self, TypeAlias

    from holdfast.clock import Clock
    from holdfast.policies.base import Policy

    Row: TypeAlias = tuple[Any, ...] | Mapping[str, Any]

__all__ = ["Scenario", "Step"]

_FIELDS = ("at", "fault", "target", "duration")


class Step(NamedTuple):
    """One thing that goes wrong.

    Attributes:
        at: When it begins, in seconds from the start of the scenario.
        fault: What strikes the calls.
        target: Where: a policy, or the name of a pipeline or of another policy.
        duration: How long it lasts, in seconds; None until the scenario is stopped.
    """

    at: float
    fault: Fault
    target: Policy | str
    duration: float | None


class Scenario:
    """A sequence of faults: each begins at a time, and strikes the calls of a target.

    A scenario attaches the faults to policies that exist; see ``attach``. It has no thread: each
    call reads the clock. So it runs the same on a ``ManualClock``. Chaos must be enabled for its
    faults to strike.

    Args:
        *steps: What goes wrong: ``(at, fault, target)`` or ``(at, fault, target, duration)``, or a
            mapping with these keys. ``fault`` is a fault, the name of a class such as "latency",
            or a mapping with the name of the class as "type", and with its settings. In a fault
            that is given by name or as a mapping, the probability is 1 unless it is given,
            "errors" may be names of built-in exceptions, and "faults" and "then" are lists of
            faults.
        clock: The clock of the times, and of faults that are given by name or as a mapping.

    Raises:
        ConfigError: One or more steps are invalid; the message lists all problems.

    Use one scenario at a time for the same faults. Safe to start and stop from any thread.

    >>> import holdfast as hf
    >>> pipe, clock = hf.Pipeline("payments", hf.CircuitBreaker("payments")), hf.ManualClock()
    >>> outage = Scenario({"at": 10, "fault": "error", "target": "payments"}, clock=clock)
    >>> with outage:
    ...     clock.advance(10)
    """

    def __init__(self, *steps: Row, clock: Clock | None = None) -> None:
        problems = Problems("Scenario")
        self._clock = read_clock(problems, clock)
        self.steps: tuple[Step, ...] = tuple(
            step
            for at, row in enumerate(steps)
            if (step := _read_step(problems, f"steps[{at}]", row, self._clock)) is not None
        )
        problems.done()
        self._stack: ExitStack | None = None

    @property
    def running(self) -> bool:
        """Whether the scenario was started and not stopped."""
        return self._stack is not None

    def start(self) -> None:
        """Attach the faults; the times count from here on. Does nothing if it is running.

        Raises:
            ConfigError: A target is the name of no living policy.
        """
        if self._stack is not None:
            return
        now_ns = self._clock.now_ns()
        with ExitStack() as stack:
            for step in self.steps:
                from_ns = now_ns + round(step.at * 1e9)
                lasts_ns = MAX_NS if step.duration is None else round(step.duration * 1e9)
                span = (self._clock, from_ns, from_ns + lasts_ns)
                stack.callback(attach(step.fault, step.target, _span=span))
            self._stack = stack.pop_all()

    def stop(self) -> None:
        """Detach the faults. Does nothing if it is not running."""
        stack, self._stack = self._stack, None
        if stack is not None:
            stack.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        cls: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return f"<Scenario of {len(self.steps)} steps, {state}>"


def _read_step(problems: Problems, where: str, row: Any, clock: Clock) -> Step | None:
    given: dict[Any, Any] = {}
    if hasattr(row, "keys"):
        given = dict(row)
    elif isinstance(row, (tuple, list)) and len(row) <= len(_FIELDS):
        given = dict(zip(_FIELDS, row, strict=False))
    wrong = [f"without {field}" for field in _FIELDS[:3] if field not in given]
    wrong += [f"with {key!r}" for key in given if key not in _FIELDS]
    if wrong:
        allowed = "(at, fault, target), (…, duration), or a dict of these"
        if hasattr(row, "keys"):
            allowed += f", not one {' and '.join(wrong)}"
        elif isinstance(row, (tuple, list)) and all(hasattr(one, "keys") for one in row):
            allowed += ": unpack it, as in Scenario(*steps)"
        problems.refuse(where, row, allowed)
        return None
    at_ns = problems.duration(f"{where}.at", given["at"])
    duration_ns = problems.duration(
        f"{where}.duration", given.get("duration"), least_ns=1, none=True
    )
    fault = _read_fault(problems, f"{where}.fault", given["fault"], clock)
    target: Any = given["target"]
    if not isinstance(target, str) and not hasattr(target, "_attach"):
        problems.refuse(f"{where}.target", target, "a policy, or the name of one")
    if fault is None:
        return None
    return Step(at_ns / 1e9, fault, target, None if duration_ns is None else duration_ns / 1e9)


def _read_fault(problems: Problems, where: str, given: Any, clock: Clock) -> Fault | None:
    if isinstance(given, Fault):
        return given
    settings = {"type": given} if isinstance(given, str) else given
    if not hasattr(settings, "keys"):
        problems.refuse(where, given, "a fault, the name of its class, or a dict of settings")
        return None
    settings = {"probability": 1.0, "clock": clock, **settings}
    word = settings.pop("type", None)
    classes = {cls.fault_type: cls for cls in _classes(Fault) if _is_complete(cls)}
    cls: Any = classes.get(word) if isinstance(word, str) else None
    if cls is None:
        problems.refuse(f"{where}.type", word, "one of " + ", ".join(sorted(classes)))
        return None
    if "errors" in settings:
        settings["errors"] = _read_errors(settings["errors"])
    if issubclass(cls, Group):
        for key in {"faults", "then"} & settings.keys():
            if isinstance(settings[key], (list, tuple)):
                settings[key] = [
                    _read_fault(problems, f"{where}.{key}[{at}]", one, clock)
                    for at, one in enumerate(settings[key])
                ]
                if None in settings[key]:
                    return None
    members = settings.pop("faults") if isinstance(settings.get("faults"), list) else ()
    try:
        made: Fault = cls(*members, **settings)
    except (ConfigError, TypeError) as error:
        problems.refuse(where, given, f"settings of {cls.__name__}: {error}")
        return None
    return made


def _is_complete(cls: type[Fault]) -> bool:
    """Return whether a class is a fault by itself, and not a part of others."""
    return bool(cls.fault_type) and cls is not Point and not cls.__name__.startswith("_")


def _read_errors(given: Any) -> Any:
    """Return errors with the class in place of each name of a built-in exception."""
    if isinstance(given, (list, tuple)):
        return [_read_errors(one) for one in given]
    cls = getattr(builtins, given, None) if isinstance(given, str) else None
    return cls if isinstance(cls, type) and issubclass(cls, Exception) else given


def _classes(cls: type[Fault]) -> Iterable[type[Fault]]:
    for below in cls.__subclasses__():
        yield below
        yield from _classes(below)
