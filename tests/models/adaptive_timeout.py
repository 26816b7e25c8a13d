"""What an adaptive timeout decides: so many times the quantile, approached step by step."""

from tests.models.quantile import MOST_NS, Quantile


def towards_zero(n: int, by: int) -> int:
    return abs(n) // by * (1 if n >= 0 else -1)


class AdaptiveTimeout:
    def __init__(
        self, initial_ns: int, min_ns: int, max_ns: int, multiplier: float, p: float
    ) -> None:
        self.timeout_ns = initial_ns
        self.min_ns, self.max_ns, self.multiplier = min_ns, max_ns, multiplier
        self.quantile = Quantile(p)
        self.average_ns: int | None = None
        self.samples = 0

    def held(self, ns: int) -> int:
        return min(max(ns, self.min_ns), self.max_ns)

    def set_timeout_ns(self, ns: int) -> None:
        self.timeout_ns = self.held(ns)

    def resize(self, ns: int, min_ns: int, max_ns: int) -> None:
        self.min_ns, self.max_ns = min_ns, max_ns
        self.timeout_ns = ns

    def record(self, latency_ns: int, timed_out: bool) -> None:
        sample = max(latency_ns, self.timeout_ns) if timed_out else latency_ns
        sample = min(max(sample, 1), MOST_NS)
        self.quantile.record(sample)
        self.samples += 1
        if self.average_ns is None:
            self.average_ns = sample
        else:
            self.average_ns += towards_zero(sample - self.average_ns, 16)
        if self.samples >= 10:
            self._follow()

    def _follow(self) -> None:
        quantile = self.quantile.ns()
        assert quantile is not None
        desired = self.held(int(min(quantile * self.multiplier, float(self.max_ns))))
        if desired > self.timeout_ns:
            self.timeout_ns += (desired - self.timeout_ns) // 2
        else:
            self.timeout_ns -= (self.timeout_ns - desired) // 10

    def snapshot(self) -> tuple[int, int | None, int | None, int]:
        return self.timeout_ns, self.average_ns, self.quantile.ns(), self.samples
