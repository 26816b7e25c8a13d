"""A function that does what a test has written down, call by call."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from holdfast.validation import Problems, explains_names
from holdfast.waiting.parking import sleep_ns

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any, Self

    from holdfast.clock import Clock

__all__ = ["Script", "ScriptExhaustedError"]

MOST = 1_000_000_000


class ScriptExhaustedError(AssertionError):
    """A script was called more often than specified."""


class _Step(NamedTuple):
    result: Any
    error: BaseException | type[BaseException] | None
    after_ns: int


class Script:
    """Replaces a dependency in a test: it returns, raises and takes time as specified.

    Call the script as a function; for a coroutine function, use ``script.acall``. Each call uses
    the next specified result. A call after the last one raises ``ScriptExhaustedError``.

    Args:
        clock: The clock that advances for results with a duration; a ``ManualClock`` in most
            tests.

    Attributes:
        calls: The arguments of each call so far: ``(args, kwargs)``.

    Safe to share between threads and event loops.

    >>> import holdfast as hf
    >>> script = Script().fails(ConnectionError, times=2).returns("ok", times=None)
    >>> hf.Retry("r", attempts=3, backoff=hf.Constant(0)).call(script)
    'ok'
    >>> len(script.calls)
    3
    """

    @explains_names
    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock
        self._steps: deque[tuple[_Step, int | None]] = deque()
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def returns(
        self, result: Any = None, *, times: int | None = 1, after: float | timedelta = 0.0
    ) -> Self:
        """Return ``result`` from the next calls.

        Args:
            result: The value to return.
            times: The number of calls, at least 1; None for all further calls.
            after: Seconds that the call takes, on the script's clock.

        Raises:
            ConfigError: An argument is invalid, or ``after`` is given without a clock.
        """
        return self._add(result, None, times, after)

    def fails(
        self,
        error: BaseException | type[BaseException],
        *,
        times: int | None = 1,
        after: float | timedelta = 0.0,
    ) -> Self:
        """Raise ``error`` from the next calls; ``times`` and ``after`` are those of ``returns``."""
        is_class = isinstance(error, type) and issubclass(error, BaseException)
        if not (is_class or isinstance(error, BaseException)):
            problems = Problems("Script")
            problems.refuse("error", error, "an exception or a class of them")
            problems.done()
        return self._add(None, error, times, after)

    @property
    def left(self) -> int | None:
        """The number of specified calls that remain; None for any number."""
        counts = [times for _, times in self._steps]
        return None if None in counts else sum(times for times in counts if times is not None)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do what comes next."""
        step = self._next(args, kwargs)
        if step.after_ns and self._clock is not None:
            sleep_ns(self._clock, step.after_ns)
        return _do(step)

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        """Use the next specified result in a task."""
        step = self._next(args, kwargs)
        if step.after_ns and self._clock is not None:
            from holdfast.waiting.aio import asleep_ns

            await asleep_ns(self._clock, step.after_ns)
        return _do(step)

    def _add(
        self,
        result: Any,
        error: BaseException | type[BaseException] | None,
        times: int | None,
        after: float | timedelta,
    ) -> Self:
        problems = Problems("Script")
        if times is not None:
            times = problems.integer("times", times, least=1, most=MOST)
        after_ns = problems.duration("after", after)
        if after_ns and self._clock is None:
            problems.refuse("after", after, "0 for a script without a clock")
        if self._steps and self._steps[-1][1] is None:
            problems.refuse("times", times, "no step after an endless step")
        problems.done()
        self._steps.append((_Step(result, error, after_ns), times))
        return self

    def _next(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Step:
        self.calls.append((args, kwargs))
        try:
            step, times = self._steps.popleft()
        except IndexError:
            raise ScriptExhaustedError(
                f"call {len(self.calls)} of a script of {len(self.calls) - 1}"
            ) from None
        if times is None or times > 1:
            self._steps.appendleft((step, None if times is None else times - 1))
        return step


def _do(step: _Step) -> Any:
    if step.error is not None:
        raise step.error
    return step.result
