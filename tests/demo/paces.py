"""A run's time that only moves when somebody waits or works."""


class ScriptedPace:
    """Jumps to every time it is asked to wait for; ``stop_at_ns`` ends the run there."""

    def __init__(self, stop_at_ns: int | None = None) -> None:
        self.time_ns = 0
        self.waited_for: list[int] = []
        self._stop_at_ns = stop_at_ns

    def now_ns(self) -> int:
        return self.time_ns

    def until(self, at_ns: int) -> bool:
        if self._stop_at_ns is not None and at_ns >= self._stop_at_ns:
            return False
        self.waited_for.append(at_ns)
        self.time_ns = max(self.time_ns, at_ns)
        return True

    async def auntil(self, at_ns: int) -> bool:
        return self.until(at_ns)
