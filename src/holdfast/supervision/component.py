"""Component: what a supervisor starts, stops and checks; and Exit, how one has ended.

Elsewhere: when a component is started and stopped (``course``, ``supervisor``), and components for
processes, threads, tasks and functions (a file each).
"""

from __future__ import annotations

import signal as signals
from dataclasses import dataclass

from holdfast.redaction import describe_error
from holdfast.validation import Problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Component", "Exit", "as_component", "has_check", "is_component"]


@dataclass(frozen=True, slots=True)
class Exit:
    """How the work of a component has ended without a stop.

    Args:
        code: The exit code of a process, or None.
        signal: The number of the signal that ended a process, or None.
        error: The exception that ended a thread, a task or a nested supervisor, or None.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Immutable, so safe to share between threads and event loops.

    >>> print(Exit(signal=9), "-", Exit(code=3), "-", Exit())
    killed by SIGKILL - exit code 3 - ended
    """

    code: int | None = None
    signal: int | None = None
    error: BaseException | None = None

    def __post_init__(self) -> None:
        problems = Problems("Exit")
        for field, value in (("code", self.code), ("signal", self.signal)):
            if value is not None:
                problems.instance(field, value, int, "an integer or None")
        if self.error is not None:
            problems.instance("error", self.error, BaseException, "an exception or None")
        problems.done()

    @property
    def is_clean(self) -> bool:
        """Whether it ended as it was to: with code 0 or none, by no signal and no exception."""
        return not self.code and self.signal is None and self.error is None

    def __str__(self) -> str:
        if self.signal is not None:
            return f"killed by {_name_of_signal(self.signal)}"
        if self.error is not None:
            name, text = describe_error(self.error)
            return f"{name}: {text}" if text else name
        return "ended" if self.code is None else f"exit code {self.code}"


class Component:
    """A part that a supervisor starts, stops and checks; the base class of all components.

    A supervisor also takes any other object that has a ``name``, a ``start`` and a ``stop``, and
    perhaps a ``check`` and a ``watch``. Each of ``start``, ``stop`` and ``check`` may be a
    coroutine function. An object that also has ``astart`` and ``astop`` is started and stopped by
    these in an event loop.

    The supervisor calls ``start`` and ``stop`` one at a time, with one exception: a ``start`` that
    takes longer than its ``start_timeout`` is given up, and ``stop`` is called while it may still
    run, and again when it has ended.

    Safe to share between threads if its methods are.

    Args:
        name: For messages and metrics, 1 to 200 characters. All components of a supervisor have
            different names.

    Raises:
        ConfigError: The name is invalid.

    >>> class Cache(Component):
    ...     def start(self): self.entries = {}
    ...     def stop(self): self.entries = None
    """

    name: str

    def __init__(self, name: str) -> None:
        problems = Problems(type(self).__name__, name)
        self.name = problems.name(name)
        problems.done()

    def start(self) -> Any:
        """Begin the work, and return once it has begun. Raising means that this start failed."""
        raise NotImplementedError(f"{type(self).__name__} has no start()")

    def stop(self) -> Any:
        """End the work that the last start began; return when all of it has ended.

        It is called also after a start that failed, and perhaps twice.
        """
        raise NotImplementedError(f"{type(self).__name__} has no stop()")

    def check(self) -> Any:
        """Look whether it works: return None, True, False or a ``CheckResult``, or raise.

        A component without its own ``check`` counts as recovered once it has started.
        """

    def watch(self, ended: Callable[[Exit], object]) -> Any:
        """Take a callable that reports the end of the next start's work.

        Args:
            ended: The component calls it with an ``Exit`` if the work ends without a ``stop``: at
                most once, from any thread. Each start has another one.
        """

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, 'name', None)!r}>"


class _Foreign(Component):
    """Any other object with a name, a start and a stop."""

    def __init__(self, given: Any) -> None:
        super().__init__(given.name)
        self.given = given
        for method in ("start", "stop", "check", "watch", "astart", "astop"):
            if callable(found := getattr(given, method, None)):
                setattr(self, method, found)

    def __repr__(self) -> str:
        return repr(self.given)


def is_component(value: Any) -> bool:
    """Return whether a supervisor can take an object: it has a name, a start and a stop."""
    if isinstance(value, type):
        return False
    return isinstance(getattr(value, "name", None), str) and all(
        callable(getattr(value, method, None)) for method in ("start", "stop")
    )


def as_component(value: Any, problems: Problems | None = None, field: str = "component") -> Any:
    """Return an object as a component: itself if it is one.

    Args:
        value: A ``Component``, or any object with a ``name``, a ``start`` and a ``stop``.
        problems: Where to note that it is none; the result is then None.
        field: The name of the argument, for the message.

    Raises:
        ConfigError: It is none, and there is no ``problems``.
    """
    its = Problems() if problems is None else problems
    if not is_component(value):
        its.refuse(field, value, "a Component, or an object with a name, a start() and a stop()")
    elif its.name(value.name, f"{field}.name") == value.name:
        return value if isinstance(value, Component) else _Foreign(value)
    if problems is None:
        its.done()
    return None


def has_check(component: Component) -> bool:
    """Return whether a component has a check of its own."""
    return getattr(component.check, "__func__", None) is not Component.check


def _name_of_signal(number: int) -> str:
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"
