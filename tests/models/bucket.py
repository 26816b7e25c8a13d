"""What a token bucket means, in fractions."""

from fractions import Fraction
from math import ceil, floor

EVER_SINCE = Fraction(-(2**63))


class TokenBucket:
    """``num`` tokens every ``den`` ns, at most ``burst`` of them saved up.

    All there is to remember is when it is, or was, full; before that moment it lacks what flows
    in until then. A bucket that lacks more than its burst is in debt: tokens are booked.
    """

    def __init__(self, num: int, den: int, burst: int, now_ns: int) -> None:
        self.num, self.den, self.burst = num, den, burst
        self.full_at = Fraction(now_ns)

    def level(self, now_ns: int) -> Fraction:
        """Tokens there are; below zero, tokens of debt."""
        lacking = max(Fraction(0), self.full_at - now_ns) * self.num / self.den
        return self.burst - lacking

    def available(self, now_ns: int) -> int:
        return max(0, floor(self.level(now_ns)))

    def wait_ns(self, n: int, now_ns: int) -> int | None:
        """Rounded up: one nanosecond earlier they are not there."""
        if n > self.burst:
            return None
        missing = n - self.level(now_ns)
        return max(0, ceil(missing * self.den / self.num))

    def reserve(self, n: int, now_ns: int) -> int | None:
        wait_ns = self.wait_ns(n, now_ns)
        if wait_ns is not None:
            self._set_level(self.level(now_ns) - n, now_ns)
        return wait_ns

    def take_within(self, n: int, now_ns: int, max_wait_ns: int) -> int:
        wait_ns = self.wait_ns(n, now_ns)
        if wait_ns is None or wait_ns > max_wait_ns:
            return -1
        self.reserve(n, now_ns)
        return wait_ns

    def try_take(self, n: int, now_ns: int) -> bool:
        return self.take_within(n, now_ns, 0) == 0

    def refund(self, n: int) -> None:
        self.full_at -= Fraction(n * self.den, self.num)

    def clear(self) -> None:
        self.full_at = EVER_SINCE

    def clear_but(self, n: int, now_ns: int) -> None:
        self.clear()
        if n > 0:
            self._set_level(Fraction(self.burst - n), now_ns)

    def due_ns(self, after: int, now_ns: int) -> int:
        """Until the level would not be below zero but for the last ``after`` tokens."""
        lacking = -(self.level(now_ns) + after)
        return max(0, ceil(lacking * self.den / self.num))

    def resize(self, num: int, den: int, burst: int, now_ns: int) -> None:
        """Tokens stay tokens, to the last unit of the other rate, a ``den``-th of a token."""
        level = Fraction(floor(self.level(now_ns) * den), den)
        self.num, self.den, self.burst = num, den, burst
        self._set_level(min(level, Fraction(burst)), now_ns)

    def _set_level(self, level: Fraction, now_ns: int) -> None:
        self.full_at = now_ns + (self.burst - level) * self.den / self.num
