"""Chaos for as long as a block lasts: faults in policies that exist."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from holdfast.chaos.engine import disable, enable_for_tests
from holdfast.chaos.error import Error
from holdfast.chaos.latency import Latency
from holdfast.chaos.point import attach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta
    from typing import Any, TypeVar

    from holdfast.chaos.error import Errors
    from holdfast.chaos.fault import Fault
    from holdfast.clock import Clock
    from holdfast.policies.base import Policy

    _Fault = TypeVar("_Fault", bound=Fault)

__all__ = ["Chaos", "Target", "chaos_enabled"]


@contextmanager
def chaos_enabled(
    *, seed: int = 0, duration: float | timedelta = 300.0, clock: Clock | None = None
) -> Iterator[Chaos]:
    """Enable chaos in a block, without the environment variable that ``chaos.enable`` needs.

    Args:
        seed: The seed of the run; a fault that has no seed derives it from this one.
        duration: Seconds after which no fault strikes any more.
        clock: The clock that measures ``duration``.

    Yields:
        A ``Chaos``, which attaches faults to policies until the end of the block.

    Raises:
        ChaosRefusedError: The environment variable ``HOLDFAST_ENV`` is "production".
        ConfigError: An argument is invalid; the message lists all problems.

    Only one such block may be open in a process. It applies to calls of any thread.
    """
    enable_for_tests(seed, duration, clock)
    with ExitStack() as stack:
        stack.callback(disable)
        yield Chaos(stack.callback)


class Chaos:
    """Attaches faults to policies until the end of a block or test.

    >>> import holdfast as hf
    >>> pipe = hf.Pipeline("payments", hf.CircuitBreaker("payments"))
    >>> with chaos_enabled() as chaos:
    ...     fault = chaos("payments").fail(ConnectionError, times=1)
    ...     pipe.try_call(len, "ok")
    <Outcome error=ConnectionError()>
    """

    def __init__(self, at_end: Callable[[Callable[[], None]], Any]) -> None:
        self._at_end = at_end

    def __call__(self, target: Policy | str) -> Target:
        """Return what attaches faults to a policy, or to the policies of a name."""
        return Target(target, self._at_end)


class Target:
    """The policies that faults are attached to; see ``Chaos``."""

    def __init__(self, target: Policy | str, at_end: Callable[[Callable[[], None]], Any]) -> None:
        self._target = target
        self._at_end = at_end

    def fail(
        self, errors: Errors | None = None, *, times: int | None = None, probability: float = 1.0
    ) -> Error:
        """Fail calls with one of the errors: all, a share, or the first ``times`` of these."""
        return self.strike(Error(errors, limit=times, probability=probability))

    def delay(
        self,
        least: float | timedelta,
        most: float | timedelta | None = None,
        *,
        times: int | None = None,
        probability: float = 1.0,
    ) -> Latency:
        """Delay calls by seconds between two bounds: all, a share, or the first ``times``."""
        longest = least if most is None else most
        return self.strike(Latency(least, longest, limit=times, probability=probability))

    def strike(self, fault: _Fault) -> _Fault:
        """Attach a fault, and return it."""
        self._at_end(attach(fault, self._target))
        return fault
