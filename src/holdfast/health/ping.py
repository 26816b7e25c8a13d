"""PingCheck: any function as a check."""

from __future__ import annotations

from holdfast.health.check import Check
from holdfast.validation import answers_at_once, explains_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any

    from holdfast.validation import Problems

__all__ = ["PingCheck"]

_CO_GENERATOR = 0x20 | 0x200


class PingCheck(Check):
    """Calls a function, which says whether something works.

    The check passes if the function returns None or True. It fails if the function returns False
    or raises. The function may return a ``CheckResult``.

    Args:
        name: For messages and metrics, 1 to 200 characters.
        fn: A function or coroutine function without arguments.
        interval: Seconds from one run to the next; None: that of the monitor.
        timeout: How many seconds one run may take; None: that of the monitor.
        failures: How many failed runs in a row make the check unhealthy.
        successes: How many passed runs in a row make it healthy again.
        start_period: Seconds after the start during which failed runs do not count before the
            first pass.
        jitter: The share of the interval by which a run may be delayed; None: that of the monitor.
        critical: Whether the service cannot work without this dependency.
        liveness: Whether a restart of this process would help if the check is unhealthy.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Immutable and without state, so safe to share between threads, event loops and monitors.

    >>> PingCheck("database", lambda: None).run().verdict
    'passed'
    """

    __slots__ = ("_fn",)

    @explains_names
    def __init__(
        self,
        name: str,
        fn: Callable[[], object],
        *,
        interval: float | timedelta | None = None,
        timeout: float | timedelta | None = None,
        failures: int = 3,
        successes: int = 1,
        start_period: float | timedelta = 0.0,
        jitter: float | None = None,
        critical: bool = True,
        liveness: bool = False,
    ) -> None:
        self._fn: Any = fn
        super().__init__(
            name,
            interval=interval,
            timeout=timeout,
            failures=failures,
            successes=successes,
            start_period=start_period,
            jitter=jitter,
            critical=critical,
            liveness=liveness,
        )
        self._is_async = self._needs_loop = not answers_at_once(fn)

    def _checked(self, problems: Problems) -> None:
        check_function(problems, "fn", self._fn)

    @property
    def fn(self) -> Callable[[], object]:
        """The function."""
        fn: Callable[[], object] = self._fn
        return fn

    def probe(self) -> object:
        """Call the function."""
        return self._fn()

    async def aprobe(self) -> object:
        """Await the coroutine function."""
        return await self._fn()


def check_function(problems: Problems, field: str, fn: Any) -> None:
    """Refuse what cannot be called without arguments, and generator functions."""
    if not callable(fn) or _is_generator_function(fn) or not _takes_none(fn):
        problems.refuse(field, fn, "a function or coroutine function without arguments")


def _is_generator_function(fn: Any) -> bool:
    while not hasattr(fn, "__code__") and hasattr(fn, "func"):  # a partial
        fn = fn.func
    flags = getattr(getattr(fn, "__code__", None), "co_flags", 0)
    return isinstance(flags, int) and bool(flags & _CO_GENERATOR)


def _takes_none(fn: Any) -> bool:
    """Return whether a call without arguments fits; True if that is not known."""
    from inspect import signature

    try:
        signature(fn).bind()
    except TypeError:
        return False
    except Exception:  # noqa: BLE001 - the caller's object, or a builtin function without one
        return True
    return True
