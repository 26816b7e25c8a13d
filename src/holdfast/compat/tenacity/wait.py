"""How long to wait before the next attempt."""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable

from holdfast.compat.tenacity._utils import MAX_WAIT, override, time_unit_type, to_seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from holdfast.compat.tenacity._state import RetryCallState

__all__ = [
    "WaitBaseT",
    "wait_base",
    "wait_chain",
    "wait_combine",
    "wait_exception",
    "wait_exponential",
    "wait_exponential_jitter",
    "wait_fixed",
    "wait_incrementing",
    "wait_none",
    "wait_random",
    "wait_random_exponential",
]


class wait_base(ABC):
    """The base class of waits; ``+`` and ``sum`` add them.

    A wait has no state of a call: it is safe to share between threads, tasks and decorators.
    """

    @abstractmethod
    def __call__(self, retry_state: RetryCallState) -> float:
        """Return the seconds to wait."""

    def __add__(self, other: WaitBaseT) -> wait_combine:
        return wait_combine(self, other)

    def __radd__(self, other: WaitBaseT | int) -> wait_combine | wait_base:
        if isinstance(other, int):  # sum() begins with 0
            return self if other == 0 else NotImplemented
        return wait_combine(self, other)


if TYPE_CHECKING:
    WaitBaseT: TypeAlias = wait_base | Callable[[RetryCallState], float | int]
else:
    WaitBaseT = wait_base | Callable[["RetryCallState"], float | int]


class wait_fixed(wait_base):
    """Waits for the same time before each attempt.

    Args:
        wait: Seconds, or a timedelta.
    """

    def __init__(self, wait: time_unit_type) -> None:
        self.wait_fixed = to_seconds(wait)

    @override
    def __call__(self, retry_state: RetryCallState) -> float:
        return self.wait_fixed


class wait_none(wait_fixed):
    """Does not wait."""

    def __init__(self) -> None:
        super().__init__(0)


class wait_random(wait_base):
    """Waits for a time drawn evenly between two.

    Args:
        min: The shortest, in seconds or as a timedelta.
        max: The longest.
    """

    def __init__(self, min: time_unit_type = 0, max: time_unit_type = 1) -> None:
        self.wait_random_min = to_seconds(min)
        self.wait_random_max = to_seconds(max)

    @override
    def __call__(self, retry_state: RetryCallState) -> float:
        least, most = self.wait_random_min, self.wait_random_max
        return least + random.random() * (most - least)


class wait_combine(wait_base):
    """Waits for the sum of several waits."""

    def __init__(self, *strategies: WaitBaseT) -> None:
        self.wait_funcs = strategies

    @override
    def __call__(self, retry_state: RetryCallState) -> float:
        return float(sum(wait(retry_state) for wait in self.wait_funcs))


class wait_chain(wait_base):
    """Waits as the first of several before the second attempt, and so on; the last is repeated.

    Raises:
        ValueError: There is none.
    """

    def __init__(self, *strategies: WaitBaseT) -> None:
        if not strategies:
            raise ValueError("wait_chain() requires at least one strategy")
        self.strategies = strategies

    @override
    def __call__(self, retry_state: RetryCallState) -> float:
        at = min(max(retry_state.attempt_number, 1), len(self.strategies)) - 1
        return self.strategies[at](retry_state)


class wait_exception(wait_base):
    """Waits as long as a function says that gets the exception of the last attempt.

    Args:
        predicate: Returns seconds.
    """

    def __init__(self, predicate: Callable[[BaseException], float]) -> None:
        self.predicate = predicate

    @override
    def __call__(self, retry_state: RetryCallState) -> float:
        if retry_state.outcome is None:
            raise RuntimeError("__call__() called before outcome was set")
        error = retry_state.outcome.exception()
        if error is None:
            raise RuntimeError("outcome failed but the exception is None")
        return self.predicate(error)


class wait_incrementing(wait_base):
    """Waits longer by the same time before each attempt.

    Args:
        start: The first wait, in seconds or as a timedelta.
        increment: What is added before each later attempt; may be negative.
        max: The longest.
    """

    def __init__(
        self,
        start: time_unit_type = 0,
        increment: time_unit_type = 100,
        max: time_unit_type = MAX_WAIT,
    ) -> None:
        self.start = to_seconds(start)
        self.increment = to_seconds(increment)
        self.max = to_seconds(max)

    @override
    def __call__(self, retry_state: RetryCallState) -> float:
        result = self.start + self.increment * (retry_state.attempt_number - 1)
        return max(0, min(result, self.max))


class wait_exponential(wait_base):
    """Waits ``multiplier * exp_base ** n`` seconds before retry ``n``, counted from 0.

    Args:
        multiplier: The first wait, in seconds.
        max: The longest, in seconds or as a timedelta.
        exp_base: By what each wait is longer than the one before.
        min: The shortest.
    """

    def __init__(
        self,
        multiplier: float = 1,
        max: time_unit_type = MAX_WAIT,
        exp_base: float = 2,
        min: time_unit_type = 0,
    ) -> None:
        self.multiplier = multiplier
        self.min = to_seconds(min)
        self.max = to_seconds(max)
        self.exp_base = exp_base

    @override
    def __call__(self, retry_state: RetryCallState) -> float:
        return _power(self, retry_state.attempt_number - 1, 0)


class wait_random_exponential(wait_exponential):
    """Waits for a time drawn evenly between ``min`` and the wait of ``wait_exponential``.

    This is "full jitter": callers that failed together do not try again together.
    """

    @override
    def __call__(self, retry_state: RetryCallState) -> float:
        return random.uniform(self.min, super().__call__(retry_state))


class wait_exponential_jitter(wait_base):
    """Waits ``multiplier * exp_base ** n`` seconds and a random time more.

    Args:
        initial: The former name of ``multiplier``.
        max: The longest wait with all, in seconds or as a timedelta.
        exp_base: By what each wait is longer than the one before.
        jitter: The longest random time.
        min: The shortest wait.
        multiplier: The first wait, in seconds.

    Raises:
        ValueError: Both ``initial`` and ``multiplier`` are given.
    """

    def __init__(
        self,
        initial: float = 1,
        max: time_unit_type = MAX_WAIT,
        exp_base: float = 2,
        jitter: time_unit_type = 1,
        min: time_unit_type = 0,
        multiplier: float = 1,
    ) -> None:
        if initial != 1 and multiplier != 1:
            raise ValueError(
                "Cannot specify both 'initial' and 'multiplier' — use 'multiplier' only"
            )
        if initial != 1:
            from warnings import warn

            warn(
                "The 'initial' parameter is deprecated, use 'multiplier' instead",
                DeprecationWarning,
                stacklevel=2,
            )
            multiplier = initial
        self.multiplier = multiplier
        self.max = to_seconds(max)
        self.exp_base = exp_base
        self.jitter = to_seconds(jitter)
        self.min = to_seconds(min)

    @override
    def __call__(self, retry_state: RetryCallState) -> float:
        return _power(self, retry_state.attempt_number - 1, random.uniform(0, self.jitter))


def _power(wait: wait_exponential | wait_exponential_jitter, exponent: int, jitter: float) -> float:
    """Return an exponential wait within its bounds, however large the power is."""
    least = max(0, wait.min)
    if _is_beyond(wait, exponent):
        return max(least, wait.max)
    try:
        seconds = wait.multiplier * wait.exp_base**exponent + jitter
    except OverflowError:
        seconds = wait.max
    return max(least, min(seconds, wait.max))


def _is_beyond(wait: wait_exponential | wait_exponential_jitter, exponent: int) -> bool:
    """Whether a power is above ``max`` for sure: of whole numbers it would be a huge one."""
    if not (wait.multiplier > 0 and wait.max > 0 and wait.exp_base > 1 and exponent > 0):
        return False
    if not math.isfinite(wait.max):
        return False
    return exponent * math.log(wait.exp_base) > math.log(wait.max) - math.log(wait.multiplier)
