"""What an adaptive rate decides at the end of a window, from the samples in it."""

from tests.models.quantile import MOST_NS, Quantile

KEPT, RAISED, SLOWED, THROTTLED = range(4)
MICRO = 10**6


class AdaptiveRate:
    def __init__(
        self, limits: tuple[int, int, int], target_ns: int, max_age_ns: int, window: int
    ) -> None:
        self.rate, self.least, self.most = limits
        self.target_ns, self.max_age_ns, self.window = target_ns, max_age_ns, window
        self.slow_ns = target_ns + target_ns // 5
        self.fast_ns = target_ns - target_ns // 5
        self.unit = 2 ** max(0, target_ns.bit_length() - 18)
        self.throttled_at = 0
        self.average_ns: int | None = None
        self.quantile = Quantile(0.95)
        self.samples = 0
        self.moves = [0, 0, 0, 0]
        self.used = self.refused = 0  # of the bucket, in this window
        self.begin(0, cool=False)

    def begin(self, now_ns: int, *, cool: bool) -> None:
        self.began_ns, self.cool, self.throttled = now_ns, cool, False
        self.window_ns: list[int] = []
        self.used = self.refused = 0
        self.ended = self.samples

    def record(self, evidence: int, ns: int, taken_ns: int, now_ns: int) -> int:
        """Evidence: 0 a latency, 1 at least so long, 2 throttling."""
        ns = max(ns, 0)
        if evidence == 1 and ns <= self.slow_ns:
            return KEPT
        if evidence != 2:
            self.quantile.record(min(max(ns, 1), MOST_NS))
            self.samples += 1
        age_ns = now_ns - self.began_ns
        if taken_ns < self.began_ns and age_ns <= self.slow_ns:
            return KEPT
        if age_ns > self.max_age_ns:
            self.begin(now_ns, cool=False)
            return KEPT
        self.window_ns.append(MOST_NS if evidence == 2 else ns)
        self.throttled = self.throttled or evidence == 2
        n, few = len(self.window_ns), min(self.window // 2, 10)
        at_once = self.throttled and not self.cool
        if not (at_once or n >= self.window or (n >= few and age_ns >= self.max_age_ns // 2)):
            return KEPT
        return self._decide(now_ns)

    def _decide(self, now_ns: int) -> int:
        n = len(self.window_ns)
        p95 = sorted(self.window_ns)[n * 95 // 100]
        most = 2**25 - 1
        total = sum(min(ns // self.unit, most) for ns in self.window_ns) * self.unit
        rate, move = self.rate, KEPT
        if self.throttled:
            if not self.cool or p95 > self.slow_ns:
                self.throttled_at, rate, move = rate, rate * 7 // 10, THROTTLED
        elif p95 > self.slow_ns:
            before = self.average_ns
            if before is None or total // n >= before - before // 16:
                rate, move = self._lowered(now_ns), SLOWED
        elif p95 < self.fast_ns and total < n * self.target_ns and self._limited(now_ns):
            if self.throttled_at and rate < 2 * self.throttled_at:
                rate += self.throttled_at // 20
            else:
                self.throttled_at = 0
                rate += rate // 20
            move = RAISED
        rate = min(max(rate, self.least), self.most)
        if rate == self.rate:
            move = KEPT
        self.moves[move] += 1
        self.rate = rate
        if not self.throttled:
            self.average_ns = total // n
        self.begin(now_ns, cool=move == THROTTLED)
        return move

    def _lowered(self, now_ns: int) -> int:
        """Not below three quarters of the calls that have ended in a second."""
        age_ns = now_ns - self.began_ns
        ended = self.samples - self.ended
        least = ended * (0.75e9 * MICRO) / age_ns if age_ns > 0 else 0
        return int(max(self.rate * 9 // 10, min(self.rate, least)))

    def _limited(self, now_ns: int) -> bool:
        issued = float(self.rate) * float(now_ns - self.began_ns) * 1e-15
        return self.refused > 0 or self.used >= issued - issued / 5

    def resize(self, rate: int, least: int, most: int, now_ns: int) -> None:
        self.rate, self.least, self.most = rate, least, most
        self.throttled_at = 0
        self.begin(now_ns, cool=False)
