"""Custom: a fault whose effect is a function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.chaos.fault import PROBABILITY, Fault
from holdfast.policies.base import settings_of
from holdfast.validation import takes_one

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta
    from typing import Any

    from holdfast.chaos.fault import Injection
    from holdfast.clock import Clock
    from holdfast.mode import Mode
    from holdfast.validation import Problems

__all__ = ["Custom"]


class Custom(Fault):
    """Calls a function for each call that it strikes.

    If the function raises, the call has failed with this error. If it returns, the call goes on. A
    subclass of ``Fault`` can do the same, and can be told when chaos is enabled and disabled.

    Args:
        inject: A function of one argument, the ``Injection``.
        ainject: The same for calls in tasks: a coroutine function. None calls ``inject``.
        name: For messages, metrics and the registry; None uses "custom".
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

    >>> def full_disk(injection):
    ...     raise OSError(28, "No space left on device")
    >>> Custom(full_disk, probability=0.01).call(len, "ok")  # chaos is disabled
    2
    """

    __slots__ = ("_functions",)

    def __init__(
        self,
        inject: Callable[[Injection], object],
        *,
        ainject: Callable[[Injection], Awaitable[object]] | None = None,
        name: str | None = None,
        probability: float = PROBABILITY,
        duration: float | timedelta | None = None,
        limit: int | None = None,
        seed: int | None = None,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        self._functions: tuple[Any, Any] = (inject, ainject)
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
        inject, ainject = self._functions
        problems.asked("inject", inject, none=False)
        if ainject is not None and not (callable(ainject) and takes_one(ainject)):
            problems.refuse("ainject", ainject, "a coroutine function of one argument, or None")
        return {"inject": inject, "ainject": ainject}

    def inject(self, injection: Injection) -> None:
        """Call the function."""
        self._functions[0](injection)

    async def ainject(self, injection: Injection) -> None:
        """Await the coroutine function, or call the function."""
        inject, ainject = self._functions
        if ainject is None:
            inject(injection)
        else:
            await ainject(injection)
