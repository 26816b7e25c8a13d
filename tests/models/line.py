"""What waiting for tokens means: a list of who waits, and a bucket that the first drains."""

from fractions import Fraction


class Line:
    """``rate`` tokens a second, at most ``burst``; those who wait are served in order.

    Attributes:
        waiting: (who, tokens) in order.
        served: Who has got his tokens, in order.
        issued: Tokens that were given out and not given back.
    """

    def __init__(self, rate: int, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self.level = Fraction(burst)
        self.waiting: list[tuple[int, int]] = []
        self.served: list[int] = []
        self.issued = 0

    def take(self, n: int) -> bool:
        if self.waiting or self.level < n:
            return False
        self.level -= n
        self.issued += n
        return True

    def wait(self, who: int, n: int) -> None:
        self.waiting.append((who, n))
        self._serve()

    def leave(self, who: int) -> None:
        self.waiting = [(other, n) for other, n in self.waiting if other != who]
        self._serve()

    def clear(self) -> None:
        self.level = Fraction(self.burst)
        self._serve()

    def resize(self, rate: int) -> None:
        self.rate = rate

    def advance_ns(self, ns: int) -> None:
        """One after the other: what flows in while the first waits is not capped by the burst."""
        left = Fraction(ns, 10**9)
        while self.waiting:
            takes = max(Fraction(0), (self.waiting[0][1] - self.level) / self.rate)
            if takes > left:
                break
            self.level += takes * self.rate
            left -= takes
            self._serve()
        self.level += left * self.rate
        if not self.waiting:
            self.level = min(self.level, Fraction(self.burst))

    def _serve(self) -> None:
        while self.waiting and self.level >= self.waiting[0][1]:
            who, n = self.waiting.pop(0)
            self.level -= n
            self.issued += n
            self.served.append(who)
