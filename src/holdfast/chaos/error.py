"""Error: a fault that fails calls."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

from holdfast.chaos.errors import InjectedError
from holdfast.chaos.fault import PROBABILITY, Fault
from holdfast.policies.base import settings_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from typing import Any, NoReturn, TypeAlias

    from holdfast.chaos.fault import Injection
    from holdfast.clock import Clock
    from holdfast.mode import Mode
    from holdfast.validation import Problems

    One: TypeAlias = type[Exception] | Exception
    Errors: TypeAlias = One | Sequence[One]

__all__ = ["Error", "made_of", "read_errors"]


class Error(Fault):
    """Raises an error in place of the calls that it strikes.

    Every policy around it sees a call of the function that failed.

    Args:
        errors: An exception class or instance, or several, of which each injection chooses one. A
            class is raised with its default message. None is ``InjectedError``, a ConnectionError.
        name: For messages, metrics and the registry; None uses "error".
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

    >>> Error(ConnectionResetError, probability=0.1).call(len, "ok")  # chaos is disabled
    2
    """

    __slots__ = ("_errors",)

    def __init__(
        self,
        errors: Errors | None = None,
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
        self._errors: Any = errors
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
        errors = self._errors
        self._errors = (InjectedError,) if errors is None else read_errors(problems, errors)
        return {"errors": self._errors}

    def inject(self, injection: Injection) -> NoReturn:
        """Raise one of the errors."""
        raise made_of(injection.choice(self._errors))


def read_errors(problems: Problems, errors: Any, field: str = "errors") -> tuple[One, ...]:
    """Return the errors that a fault may raise: classes that can be made without arguments."""
    several = tuple(errors) if isinstance(errors, (list, tuple)) else (errors,)
    for one in several:
        if not _can_be_raised(one):
            problems.refuse(
                field, one, "an exception, or a class of exceptions that needs no arguments"
            )
    if not several:
        problems.refuse(field, errors, "at least one exception")
    return several


def made_of(error: One) -> Exception:
    """Return an exception to raise; of an instance a copy, which gets notes of its own."""
    return error() if isinstance(error, type) else copy(error)


def _can_be_raised(one: object) -> bool:
    is_class = isinstance(one, type) and issubclass(one, Exception)
    try:
        return (is_class or isinstance(one, Exception)) and isinstance(made_of(one), Exception)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - the user's class; it is refused
        return False
