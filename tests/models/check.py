"""The state of a health check, from the list of its results."""

UNKNOWN, HEALTHY, DEGRADED, UNHEALTHY = range(4)
PASSED, LIMPED, FAILED, UNPROVEN = range(4)


def run_of(results: list[int], *kinds: int) -> int:
    """How many of the last results are of these kinds."""
    length = 0
    for result in reversed(results):
        if result not in kinds:
            break
        length += 1
    return length


class Check:
    def __init__(self, failures: int, successes: int, start_period: int) -> None:
        self.failures, self.successes, self.start_period = failures, successes, start_period
        self.limit = max(10, failures + 1)
        self.counts = [0, 0, 0, 0]
        self.started: int | None = None
        self.begin()

    def begin(self) -> None:
        self.state = UNKNOWN
        self.results: list[int] = []  # that are evidence
        self.answered = False
        self.in_vain = 0

    def start(self, now: int) -> tuple[int, int] | None:
        before = self.state
        self.started = now
        self.begin()
        return (before, UNKNOWN) if before != UNKNOWN else None

    def record(self, verdict: int, began: int) -> tuple[int, int] | None:
        before = self.state
        self.counts[verdict] += 1
        if self.started is not None and began < self.started:
            return None
        if verdict == UNPROVEN:
            self.in_vain += 1
            if self.in_vain >= self.limit:
                self.state, self.results = UNKNOWN, []
        else:
            self.in_vain = 0
            excused = self.started is not None and began < self.started + self.start_period
            if verdict != FAILED or self.answered or not excused:
                self.answered |= verdict != FAILED
                self.results.append(verdict)
                self.state = self.decided(verdict)
        return (before, self.state) if before != self.state else None

    def decided(self, verdict: int) -> int:
        passes, failures, troubles, answers = self.runs()
        if failures >= self.failures:
            return UNHEALTHY
        match self.state:
            case 0:  # unknown
                return {PASSED: HEALTHY, LIMPED: DEGRADED, FAILED: UNKNOWN}[verdict]
            case 1:  # healthy
                return DEGRADED if troubles >= self.failures else HEALTHY
            case 2:  # degraded
                return HEALTHY if passes >= self.successes else DEGRADED
            case _:  # unhealthy
                if passes >= self.successes:
                    return HEALTHY
                return DEGRADED if answers >= self.successes else UNHEALTHY

    def runs(self) -> tuple[int, int, int, int]:
        return (
            run_of(self.results, PASSED),
            run_of(self.results, FAILED),
            run_of(self.results, LIMPED, FAILED),
            run_of(self.results, PASSED, LIMPED),
        )

    def pending(self) -> bool:
        passes, failures, troubles, answers = self.runs()
        return [
            self.in_vain < self.limit,
            troubles > 0,
            passes > 0 or failures > 0,
            answers > 0,
        ][self.state]
