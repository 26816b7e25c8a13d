"""Retry budget: retries may add so much to the load, and no more, whoever shares it.

Owns the settings and the face; the counting is ``csrc/holdfast/hf_budget.h``. It has no name and is
in no registry: it belongs to the retry policies it is given to.
"""

from __future__ import annotations

from functools import lru_cache

from holdfast._native.budget import Budget as Kernel
from holdfast.clock import read_clock
from holdfast.validation import Problems, explains_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from holdfast.clock import Clock
    from holdfast.policies.retry.snapshot import RetryBudgetSnapshot

__all__ = ["RetryBudget"]

MAX_RATIO = 1_000
MAX_PER_SECOND = 1_000_000_000
MAX_BURST = 1_000_000_000
LEAST_BURST = 10

# Finagle's RetryBudget keeps what ten seconds bring (its ttl).
_KEPT_SECONDS = 10
_MILLION = 1_000_000


class RetryBudget:
    """Limits the number of retries relative to the number of successful calls.

    A retry takes one token. Each success adds ``ratio`` tokens, and each second adds
    ``min_per_second`` tokens. If no token is available, no retry is made, so the load does not
    multiply while a dependency is down. The budget starts full. Its balance is never negative and
    never above ``burst``. The idea and the defaults come from Finagle's ``RetryBudget``: retries
    for a fifth of the calls, and ten per second for callers with few calls.

    Args:
        ratio: Tokens per success, 0 to 1,000; with 0 only time adds tokens. The resolution is one
            millionth.
        min_per_second: Tokens per second, 0 to 1,000,000,000; with 0 only successes add tokens.
            If both are 0, there are ``burst`` retries in total. The resolution is one millionth.
        burst: The largest number of tokens, 1 to 1,000,000,000; None for ten seconds of
            ``min_per_second``, and at least 10.
        clock: The source of time; use a ``ManualClock`` in tests.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between retry policies, threads and event loops.

    >>> budget = RetryBudget(ratio=0.1, min_per_second=0, burst=1)
    >>> budget.try_withdraw(), budget.try_withdraw()
    (True, False)
    """

    __slots__ = ("__weakref__", "_clock", "_kernel", "_settings")

    @explains_names
    def __init__(
        self,
        *,
        ratio: float = 0.2,
        min_per_second: float = 10.0,
        burst: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        problems = Problems("RetryBudget")
        ratio = problems.number("ratio", ratio, most=MAX_RATIO)
        rate = problems.number("min_per_second", min_per_second, most=MAX_PER_SECOND)
        held = problems.integer("burst", burst, least=1, most=MAX_BURST, none=True)
        clock = read_clock(problems, clock)
        problems.done()
        given = _millionths(rate)
        if held is None:
            held = min(MAX_BURST, max(LEAST_BURST, -(-_KEPT_SECONDS * given // _MILLION)))
        self._clock = clock
        self._kernel = Kernel(_millionths(ratio), given, held, clock.now_ns())
        self._settings = _kept_once(ratio, rate, held)

    @property
    def balance(self) -> float:
        """Available tokens, from 0.0 to ``burst``."""
        return self._kernel.balance(self._clock.now_ns())

    def try_withdraw(self) -> bool:
        """Take a token for a retry, if one is available.

        Call ``give_back`` if the retry is not made.

        Returns:
            Whether a token was taken.
        """
        return self._kernel.withdraw(self._clock.now_ns())

    def deposit(self) -> None:
        """Count a success."""
        self._kernel.deposit()

    def give_back(self) -> None:
        """Give back the token of a retry that was not made.

        The balance never exceeds ``burst``. Without a withdrawn token, the call has no effect.
        """
        self._kernel.give_back()

    def snapshot(self) -> RetryBudgetSnapshot:
        """Return the current tokens and counts; see the snapshot class for the fields."""
        from holdfast.policies.retry.snapshot import RetryBudgetSnapshot

        ratio, min_per_second, burst = self._settings
        withdrawn, refused, given_back, successes = self._kernel.counters()
        return RetryBudgetSnapshot(
            ratio=ratio,
            min_per_second=min_per_second,
            burst=burst,
            balance=self.balance,
            withdrawn=withdrawn,
            refused=refused,
            given_back=given_back,
            successes=successes,
        )

    if not TYPE_CHECKING:  # or a type checker would accept every name

        def __getattr__(self, name: str) -> object:
            if name.startswith("__"):  # what tools look for: raises the plain error
                return object.__getattribute__(self, name)
            from holdfast.hints import missing_attribute

            raise missing_attribute(self, type(self), name)

    # The copy of a policy or object that has a budget shares the budget.

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object, /) -> Self:
        return self

    def __repr__(self) -> str:
        ratio, rate, burst = self._settings
        return f"RetryBudget(ratio={ratio!r}, min_per_second={rate!r}, burst={burst!r})"


@lru_cache(64)
def _kept_once(ratio: float, rate: float, held: int) -> tuple[float, float, int]:
    """Return settings as an object that budgets with the same ones share."""
    return ratio, rate, held


def _millionths(number: float) -> int:
    """Return a number in the kernel's unit; none but 0 as 0."""
    return round(number * _MILLION) or int(number > 0)
