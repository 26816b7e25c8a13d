"""`for attempt in retry.attempts():` and `async for`: a retry around a block of code.

Owns the loop. Whether there is another attempt, and after how long, is decided where it is for
calls (``csrc/python/step_retry.c``). Elsewhere: the policies of a pipeline around such a block
(``guarded_attempts``).
"""

from __future__ import annotations

from holdfast.waiting.parking import sleep_ns
from holdfast.waiting.standstill import mind_loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self

    from holdfast._native.gate import Gate

__all__ = ["Attempt", "Attempts"]


class Attempt:
    """One attempt at a block; a context manager around it.

    Attributes:
        number: Which it is, from 1.
        error: What the block raised, where another attempt follows; else the caller has it, or
            there was none.

    Belongs to the thread or task that runs the block.
    """

    __slots__ = ("_attempts", "_entered", "_result", "_returned", "error", "number")

    def __init__(self, attempts: Attempts, number: int) -> None:
        self.number = number
        self.error: BaseException | None = None
        self._attempts: Attempts | None = attempts  # until it is made: a loop left ends at once
        self._entered = False
        self._returned = False
        self._result: Any = None

    def set_result(self, result: Any) -> None:
        """Have the policies judge what the block has found, as a result that a call returns.

        Raises:
            RuntimeError: The block has ended, and the attempt is judged.
        """
        if self._attempts is None:
            raise RuntimeError("the attempt has ended: set its result inside the block")
        self._result = result
        self._returned = True

    def __enter__(self) -> Self:
        if self._entered:
            raise RuntimeError(
                "an attempt can be entered only once: use the next attempt of the loop"
            )
        self._entered = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        attempts, self._attempts = self._attempts, None
        if attempts is None:
            raise RuntimeError("an attempt can end only once")
        result, self._result = self._result, None
        return attempts._made(self, error, result)


class Attempts:
    """The attempts of one call: iterate over it once, in one thread or task."""

    __slots__ = (
        "_begun",
        "_failed",
        "_granted",
        "_policy",
        "_previous_ns",
        "_retries",
        "_started_ns",
    )

    def __init__(self, policy: Gate) -> None:
        self._granted: list[int | None] = [None]  # the delay before the next attempt, if any
        self._policy = policy
        self._retries = 0
        self._previous_ns = -1
        self._started_ns = 0
        self._begun = False
        self._failed = False  # a step has judged the last result a failure

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Attempt:
        if not self._begun:
            return self._begin()
        (delay_ns,) = self._granted
        if delay_ns is None:
            raise StopIteration
        try:
            if delay_ns > 0:
                mind_loop(self._policy)
                sleep_ns(self._policy._clock, delay_ns)
        except BaseException:
            self._end_pause(interrupted=True)
            raise
        return self._begin_again(delay_ns)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Attempt:
        if not self._begun:
            return self._begin()
        (delay_ns,) = self._granted
        if delay_ns is None:
            raise StopAsyncIteration
        try:
            if delay_ns > 0:
                from holdfast.waiting.aio import asleep_ns

                await asleep_ns(self._policy._clock, delay_ns)
        except BaseException:
            self._end_pause(interrupted=True)
            raise
        return self._begin_again(delay_ns)

    def __del__(self) -> None:
        if hasattr(self, "_granted"):  # or it was interrupted while it was made
            self._end_pause(interrupted=True)  # the loop was left, with a retry that is not made

    def _begin(self) -> Attempt:
        self._policy._check_begin()
        self._started_ns = self._policy._clock.now_ns()
        self._begun = True
        return Attempt(self, 1)

    def _begin_again(self, delay_ns: int) -> Attempt:
        self._end_pause(interrupted=False)
        self._retries += 1
        self._previous_ns = delay_ns
        return Attempt(self, self._retries + 1)

    def _end_pause(self, *, interrupted: bool) -> None:
        if self._granted[0] is not None:
            self._granted[0] = None
            self._policy._pause_ended(self._retries + 1, interrupted)

    def _made(self, attempt: Attempt, error: BaseException | None, result: Any) -> bool:
        """Take note of the end of an attempt; return whether its error ends here."""
        follows = self._judge(error, result, attempt._returned)
        if follows:
            # Not one that is raised: it holds the frame that holds the attempt.
            attempt.error = error
        return follows and error is not None

    def _judge(self, error: BaseException | None, result: Any, returned: bool) -> bool:
        """Return whether another attempt follows one that has ended so."""
        self._failed |= self._policy._attempt_made(
            self._retries,
            self._previous_ns,
            self._started_ns,
            error,
            result,
            returned,
            self._granted,
        )
        return self._granted[0] is not None
