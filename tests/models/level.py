"""What a level is made from, in plain numbers: a list of what was asked for, and since when."""


class Level:
    def __init__(self, stable_ns: int, now_ns: int) -> None:
        self.stable_ns = stable_ns
        self.asked = [(now_ns, 0)]  # since when which level was the worst that was asked for
        self.forced: int | None = None
        self.level = 0
        self.now_ns = self.since_ns = now_ns
        self.times = [0, 0, 0, 0]
        self.changes = [0, 0, 0, 0]

    def wanted(self) -> int:
        """The order, else the worst that was asked for within the stable time."""
        if self.forced is not None:
            return self.forced
        ends = [*[since for since, _ in self.asked[1:]], None]
        return max(
            level
            for (_, level), end in zip(self.asked, ends, strict=True)
            if end is None or self.now_ns < end + self.stable_ns
        )

    def look(self, now_ns: int) -> bool:
        self.times[self.level] += now_ns - self.now_ns
        self.now_ns = now_ns
        before, self.level = self.level, self.wanted()
        if self.level == before:
            return False
        self.since_ns = now_ns
        self.changes[self.level] += 1
        return True

    def ask(self, level: int, now_ns: int) -> bool:
        self.asked.append((now_ns, level))
        return self.look(now_ns)

    def force(self, level: int | None, now_ns: int) -> bool:
        self.forced = level
        return self.look(now_ns)

    def recover(self, now_ns: int) -> bool:
        self.asked = [(now_ns, 0)]
        return self.look(now_ns)

    def ends_ns(self) -> int | None:
        """When time alone changes the level, which was looked at last at ``now_ns``."""
        if self.forced is not None:
            return None
        now_ns = self.now_ns
        try:
            ends = {since + self.stable_ns for since, _ in self.asked}
            for self.now_ns in sorted(end for end in ends if end > now_ns):
                if self.wanted() != self.level:
                    return self.now_ns
            return None
        finally:
            self.now_ns = now_ns
