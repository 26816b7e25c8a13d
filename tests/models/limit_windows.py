"""What the windows of rate limit items mean: times of hits, counted when asked."""

from __future__ import annotations


class FixedWindow:
    """Begins with its first hit; what is refused counts as well."""

    def __init__(self) -> None:
        self.ends_ns: int | None = None
        self.count = 0

    def counted(self, now_ns: int) -> int:
        return 0 if self.ends_ns is None or now_ns >= self.ends_ns else self.count

    def add(self, n: int, per_ns: int, now_ns: int) -> int:
        if not self.counted(now_ns):
            if n <= 0:
                return 0  # it begins no window
            self.count = 0
            self.ends_ns = now_ns + per_ns
        self.count = max(0, self.count + n)
        return self.count

    def take_back(self, n: int, now_ns: int) -> int:
        self.count = max(0, self.counted(now_ns) - n)
        return self.count

    def hit(self, n: int, limit: int, per_ns: int, now_ns: int) -> bool:
        if n == 0:
            return self.counted(now_ns) <= limit
        return self.add(n, per_ns, now_ns) <= limit

    def test(self, n: int, limit: int, _per_ns: int, now_ns: int) -> bool:
        return self.counted(now_ns) + n <= limit

    def look(self, _per_ns: int, now_ns: int) -> tuple[int, ...]:
        over = self.ends_ns is None or now_ns >= self.ends_ns
        return self.counted(now_ns), -1 if self.ends_ns is None or over else self.ends_ns


class MovingWindow:
    """Every hit that was taken, with its time; for as long as the longest span of a hit."""

    def __init__(self) -> None:
        self.hits: list[int] = []
        self.kept_ns = 0

    def inside(self, per_ns: int, now_ns: int) -> list[int]:
        return [at for at in self.hits if at > now_ns - min(per_ns, self.kept_ns)]

    def hit(self, n: int, limit: int, per_ns: int, now_ns: int) -> bool:
        if 0 < n <= limit:
            self.hits = self.inside(self.kept_ns, now_ns)
            self.kept_ns = max(per_ns, self.kept_ns if self.hits else 0)
        fits = self.test(n, limit, per_ns, now_ns)
        self.hits += [now_ns] * (n if fits else 0)
        return fits

    def test(self, n: int, limit: int, per_ns: int, now_ns: int) -> bool:
        return len(self.inside(per_ns, now_ns)) + n <= limit

    def look(self, per_ns: int, now_ns: int) -> tuple[int, ...]:
        inside = self.inside(per_ns, now_ns)
        return min(inside, default=-1), len(inside)


class WindowCounter:
    """Counts of windows aligned to time 0; of the one before, by the part still covered."""

    def __init__(self) -> None:
        self.taken: dict[int, int] = {}
        self.per_ns = 0

    def counts(self, per_ns: int, now_ns: int) -> tuple[int, int, int]:
        window, elapsed = divmod(now_ns, per_ns)
        taken = self.taken if per_ns == self.per_ns else {}
        return taken.get(window - 1, 0), taken.get(window, 0), per_ns - elapsed

    def hit(self, n: int, limit: int, per_ns: int, now_ns: int) -> bool:
        fits = self.test(n, limit, per_ns, now_ns)
        if fits and n:
            if per_ns != self.per_ns:
                self.taken, self.per_ns = {}, per_ns
            window = now_ns // per_ns
            self.taken[window] = self.taken.get(window, 0) + n
        return fits

    def test(self, n: int, limit: int, per_ns: int, now_ns: int) -> bool:
        before, current, covered = self.counts(per_ns, now_ns)
        return before * covered // per_ns + current + n <= limit

    def look(self, per_ns: int, now_ns: int) -> tuple[int, ...]:
        before, current, covered = self.counts(per_ns, now_ns)
        return before, covered if before else 0, current, covered + per_ns


Window = FixedWindow | MovingWindow | WindowCounter
