"""`for attempt in retry.attempts():` and `async for`: a retry around a block of code.

Owns the loop; whether there is another attempt, and after how long, is decided where it is for
calls (``csrc/python/retry.c``).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self

    from holdfast.policies.retry import Retry

__all__ = ["Attempt", "Attempts"]


class Attempt:
    """One attempt at a block; a context manager around it.

    Attributes:
        number: Which it is, from 1.
        error: What the block raised; None before its end, and when it returned.

    Belongs to the thread or task that runs the block.
    """

    __slots__ = ("_attempts", "_entered", "_result", "_returned", "error", "number")

    def __init__(self, attempts: Attempts, number: int) -> None:
        self.number = number
        self.error: BaseException | None = None
        self._attempts = attempts
        self._entered = False
        self._returned = False
        self._result: Any = None

    def set_result(self, result: Any) -> None:
        """Have ``on_result`` of the policy judge what the block has found."""
        self._result = result
        self._returned = True

    def __enter__(self) -> Self:
        if self._entered:
            raise RuntimeError("an attempt is made once: take the next one from the loop")
        self._entered = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self.error = error
        return self._attempts._made(self, error)


class Attempts:
    """The attempts of one call: iterate over it once, in one thread or task."""

    __slots__ = ("_delay_ns", "_last", "_policy", "_previous_ns", "_retries", "_started_ns")

    def __init__(self, policy: Retry) -> None:
        self._policy = policy
        self._retries = 0
        self._previous_ns = -1
        self._started_ns = 0
        self._last: Attempt | None = None
        self._delay_ns: int | None = None  # before the next attempt; None: there is none

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Attempt:
        if self._last is None:
            return self._begin()
        delay_ns = self._next_delay_ns()
        if delay_ns is None:
            raise StopIteration
        try:
            if delay_ns > 0:
                self._policy._sleep(delay_ns)
        except BaseException:
            self._policy._pause_ended(self._retries, True)
            raise
        return self._begin_again()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Attempt:
        if self._last is None:
            return self._begin()
        delay_ns = self._next_delay_ns()
        if delay_ns is None:
            raise StopAsyncIteration
        try:
            if delay_ns > 0:
                await self._policy._pause(delay_ns)
        except BaseException:
            self._policy._pause_ended(self._retries, True)
            raise
        return self._begin_again()

    def _begin(self) -> Attempt:
        self._policy._check_begin()
        self._started_ns = self._policy._clock.now_ns()
        self._last = Attempt(self, 1)
        return self._last

    def _begin_again(self) -> Attempt:
        self._policy._pause_ended(self._retries, False)
        self._last = Attempt(self, self._retries + 1)
        return self._last

    def _next_delay_ns(self) -> int | None:
        delay_ns, self._delay_ns = self._delay_ns, None
        return delay_ns

    def _made(self, attempt: Attempt, error: BaseException | None) -> bool:
        """Take note of the end of an attempt; return whether its error is to be swallowed."""
        self._delay_ns = self._policy._attempt_made(
            self._retries,
            self._previous_ns,
            self._started_ns,
            error,
            attempt._result,
            attempt._returned,
        )
        if self._delay_ns is None:
            return False
        self._retries += 1
        self._previous_ns = self._delay_ns
        return error is not None
