"""Retry budget: retries may add so much to the load, and no more, whoever shares it.

Owns the settings and the face; the counting is ``csrc/holdfast/hf_budget.h``. It has no name and is
in no registry: it belongs to the retry policies it is given to.
"""

from __future__ import annotations

from holdfast._native.budget import Budget as Kernel
from holdfast.clock import read_clock
from holdfast.validation import Problems

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
    """Bounds how many retries there are for the calls that succeed.

    A retry takes one token; each success gives ``ratio`` tokens back, and time ``min_per_second``.
    Without tokens there are no retries, so while a dependency is down the load does not multiply.
    It begins full, is never negative, and never above ``burst``. Defaults and the idea are those of
    Finagle's ``RetryBudget``: a fifth of the calls, and ten a second for callers with few.

    Args:
        ratio: Tokens a success gives, 0 to 1,000; 0: only time gives. Counted in millionths.
        min_per_second: Tokens a second gives, 0 to 1,000,000,000; 0: only successes give. With both
            0 there are ``burst`` retries and then none. Counted in millionths.
        burst: Tokens it holds at most, 1 to 1,000,000,000; None for what ten seconds of
            ``min_per_second`` give, and at least 10.
        clock: Where it reads the time; a ``ManualClock`` in tests.

    Raises:
        ConfigError: Naming every argument that is not as it should be.

    Made to be shared: between retry policies, threads and event loops.

    >>> budget = RetryBudget(ratio=0.1, min_per_second=0, burst=1)
    >>> budget.try_withdraw(), budget.try_withdraw()
    (True, False)
    """

    __slots__ = ("__weakref__", "_clock", "_kernel", "_settings")

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
        self._settings = (ratio, rate, held)

    @property
    def balance(self) -> float:
        """Tokens there are, from 0.0 to ``burst``."""
        return self._kernel.balance(self._clock.now_ns())

    def try_withdraw(self) -> bool:
        """Take a token for a retry, if there is one; a retry that is not made gives it back."""
        return self._kernel.withdraw(self._clock.now_ns())

    def deposit(self) -> None:
        """Tell of a success."""
        self._kernel.deposit()

    def give_back(self) -> None:
        """Give back the token of a retry that was not made, as when cancelled while it waited.

        Never fills beyond ``burst``, and nothing happens when no token is out.
        """
        self._kernel.give_back()

    def snapshot(self) -> RetryBudgetSnapshot:
        """Return its tokens and counts at this moment; fields in ``RetryBudgetSnapshot``."""
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

    # The copy of a policy or object that has a budget shares the budget.

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object, /) -> Self:
        return self

    def __repr__(self) -> str:
        ratio, rate, burst = self._settings
        return f"RetryBudget(ratio={ratio!r}, min_per_second={rate!r}, burst={burst!r})"


def _millionths(number: float) -> int:
    """Return a number in the kernel's unit; none but 0 as 0."""
    return round(number * _MILLION) or int(number > 0)
