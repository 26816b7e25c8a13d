"""What decides the state of a check, in plain Python."""

from __future__ import annotations


class CheckState:
    def __init__(self, failures: int, successes: int, start_period_ns: int) -> None:
        self._need, self._heal, self._start = failures, successes, start_period_ns
        self.passes = self.failed = self.unproven = self.abandoned = self.limped = 0
        self.last_ns: int | None = None
        self.last_pass_ns: int | None = None
        self.last_failure_ns: int | None = None
        self.start(0)

    def start(self, now_ns: int) -> None:
        self._started = now_ns
        self._passed = False
        self.state = 0
        self.failures_in_a_row = self.passes_in_a_row = self._bad = self._none = 0

    @property
    def checks(self) -> int:
        return self.passes + self.failed + self.unproven + self.limped

    @property
    def pending(self) -> bool:
        if self.state == 0:
            return bool(self.failures_in_a_row)
        return bool(self._bad) if self.state == 1 else bool(self.passes_in_a_row)

    def abandon(self) -> None:
        self.abandoned += 1

    def record(self, verdict: int, began_ns: int, duration_ns: int) -> tuple[int, int] | None:
        old = self.state
        at = began_ns + duration_ns
        if verdict == 3:
            self.unproven += 1
            self._none += 1
            if self._none >= 10:
                self.state = 0
            return (old, self.state) if self.state != old else None
        self._none = 0
        self.last_ns = at
        if verdict == 0:
            self.passes += 1
            self.last_pass_ns = at
            self._passed = True
            self.passes_in_a_row += 1
            self.failures_in_a_row = self._bad = 0
            if self.state == 0 or self.passes_in_a_row >= self._heal:
                self.state = 1
        else:
            self.passes_in_a_row = 0
            if verdict == 2:
                self.failed += 1
                self.last_failure_ns = at
                if not self._passed and began_ns < self._started + self._start:
                    return None
                self.failures_in_a_row += 1
            else:
                self.limped += 1
                self.failures_in_a_row = 0
            self._bad += 1
            if self.failures_in_a_row >= self._need:
                self.state = 3
            elif self._bad >= self._need and self.state != 3:
                self.state = 2
        return (old, self.state) if self.state != old else None
