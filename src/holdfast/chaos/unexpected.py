"""Raise: a fault that raises what nobody expects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.chaos.error import made_of, read_errors
from holdfast.chaos.errors import InjectedPanicError
from holdfast.chaos.fault import PROBABILITY, Fault
from holdfast.policies.base import settings_of

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any, NoReturn

    from holdfast.chaos.fault import Injection
    from holdfast.clock import Clock
    from holdfast.mode import Mode
    from holdfast.validation import Problems

__all__ = ["Raise"]


class Raise(Fault):
    """Raises an unexpected error, as a defect in the function would.

    ``Error`` raises what a dependency raises when it is down; this fault raises what policies do
    not name, unless they name ``Exception``.

    Args:
        message: The message of the error, or the exception to raise: a class or an instance.
        name: For messages, metrics and the registry; None uses "raise".
        probability: The share of calls that are struck, 0 to 1.
        duration: Seconds from ``chaos.enable`` on, after which the fault strikes no call; None
            for as long as chaos is enabled.
        limit: The number of calls that are struck at most each time chaos is enabled; None for no
            limit.
        seed: The seed of the random numbers, 0 to 2**64 - 1; None derives it from the seed of
            ``chaos.enable``.
        clock: The source of time; use a ``ManualClock`` in tests.
        mode: "enforce", "observe" or "off"; None uses the mode of the process (HOLDFAST_MODE).
        shared: Return the existing shared fault of this name, if its settings are equal.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops.

    >>> Raise("out of cheese", probability=0.01).call(len, "ok")  # chaos is disabled
    2
    """

    __slots__ = ("_error", "_message")

    def __init__(
        self,
        message: str | type[Exception] | Exception | None = None,
        *,
        name: str | None = None,
        probability: float = PROBABILITY,
        duration: float | timedelta | None = None,
        limit: int | None = None,
        seed: int | None = None,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        self._message: Any = message
        super().__init__(
            name,
            probability=probability,
            duration=duration,
            limit=limit,
            seed=seed,
            clock=clock,
            mode=mode,
            shared=shared,
        )

    _setting_names = settings_of(__init__)

    def _checked(self, problems: Problems) -> dict[str, Any]:
        message = self._message
        if message is None or isinstance(message, str):
            self._error: Any = InjectedPanicError(*(() if message is None else (message,)))
        else:
            (self._error,) = read_errors(problems, (message,), "message")
        return {"message": message}

    def inject(self, injection: Injection) -> NoReturn:  # noqa: ARG002 - always the same error
        """Raise the error."""
        raise made_of(self._error)
