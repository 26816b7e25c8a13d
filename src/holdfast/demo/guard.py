"""The manager in front of the guarded side: the demo's one user of the policies.

It has the preset of a node, in which the operation "send" has the demo's time scale. This one
operation serves the threads and the event loop alike, as in a service that has both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.demo import client, upstream
from holdfast.demo.schedule import NS
from holdfast.demo.tally import Verdict
from holdfast.errors import DeadlineExceededError, Rejected
from holdfast.manager import presets
from holdfast.manager.manager import ResilienceManager
from holdfast.policies.backoff import Exponential
from holdfast.policies.breaker import CircuitBreaker, CountWindow, State
from holdfast.policies.retry import Retry, RetryBudget
from holdfast.policies.timeout import Timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from holdfast.clock import Clock
    from holdfast.demo.schedule import Schedule
    from holdfast.events import Event
    from holdfast.manager.operation import Operation

OPERATION = "send"

#: Keeps the upstream's workers busy and lets no long queue grow in front of them.
MAX_CONCURRENT = 2 * upstream.WORKERS
#: Those beyond wait a moment: room for a burst, and a place given back is taken at once. On a busy
#: machine answers take longer, and so does the wait.
MAX_WAITING = 16
MAX_WAIT_SECONDS = 0.07

#: Longer than an answer of an upstream that is only slow takes, and with the wait for a place short
#: enough for another attempt.
ATTEMPT_TIMEOUT_SECONDS = 0.15

ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Standing:
    """The guard's policies at one moment.

    ``retry_after`` is in seconds, 0.0 or None when a call may pass. ``gave_up`` has the reasons
    there were. The budget has ``balance`` retries left, is given ``ratio`` by each good call up to
    ``burst``, and ``refused`` some.
    """

    breaker: str
    retry_after: float | None
    attempts: int
    retries: int
    recovered: int
    gave_up: Mapping[str, int]
    attempt_timeouts: int
    total_timeouts: int
    balance: float
    burst: int
    ratio: float
    refused: int


@dataclass(frozen=True, slots=True)
class Guard:
    """The manager, its operation, and those of its policies that there is something to tell of."""

    manager: ResilienceManager
    operation: Operation
    breaker: CircuitBreaker
    budget: RetryBudget
    retry: Retry
    total_timeout: Timeout
    attempt_timeout: Timeout

    def standing(self) -> Standing:
        """Return what there is to tell at this moment."""
        retry, budget = self.retry.snapshot(), self.budget.snapshot()
        return Standing(
            breaker=self.breaker.state.value,
            retry_after=self.breaker.retry_after,
            attempts=retry.attempts,
            retries=sum(retry.retries),
            recovered=retry.recovered,
            gave_up={why.replace("_", "-"): n for why, n in retry.gave_up.items() if n},
            attempt_timeouts=self.attempt_timeout.snapshot().expired,
            total_timeouts=self.total_timeout.snapshot().expired,
            balance=budget.balance,
            burst=budget.burst,
            ratio=budget.ratio,
            refused=budget.refused,
        )

    def on_transition(self, tell: Callable[[str, str], None]) -> None:
        """Have ``tell`` called with the old and the new state, in the thread that caused it."""

        def listen(event: Event) -> None:
            if isinstance(event.old, State) and isinstance(event.new, State):
                tell(event.old.value, event.new.value)

        self.breaker.on_event(listen)


def reset_timeout_seconds(schedule: Schedule) -> float:
    """Return how long the breaker stays open: a few probes in every phase of the schedule."""
    return min(0.5, schedule.cycle_ns / NS / 50)


def preset(schedule: Schedule, per_second: int, budget: RetryBudget) -> presets.Preset:
    """Return the preset of a node, in which "send" has the time scale of the demo."""
    breaker: dict[str, Any] = {
        # Half of the last fifty attempts failed: what a flaky upstream fails is the retry's to deal
        # with, a lack of capacity the bulkhead's.
        "max_failures": None,
        "failure_rate": 0.5,
        "window": CountWindow(50),
        "min_calls": 20,
        "timeout": ATTEMPT_TIMEOUT_SECONDS,
        "reset_timeout": reset_timeout_seconds(schedule),
        "half_open_max_calls": 1,
        "success_threshold": 3,
    }
    retry = {
        "attempts": ATTEMPTS,
        "backoff": Exponential(0.02, max=0.1, jitter_mode="full"),
        "on": client.TRANSIENT,
        "budget": budget,
    }
    # Above what is offered with its retries, so that only a burst after a stall meets it.
    limiter = {"rate": per_second * 3 // 2, "burst": per_second // 4}
    places = {
        "max_concurrent": MAX_CONCURRENT,
        "max_waiting": MAX_WAITING,
        "max_wait": MAX_WAIT_SECONDS,
    }
    return presets.get("dwcp").but(
        circuit_breakers={OPERATION: breaker},
        retry_policies={OPERATION: retry},
        rate_limiters={OPERATION: limiter},
        adaptive_rate_limiters={OPERATION: None},
        bulkheads={OPERATION: places},
        timeouts={OPERATION: client.CALL_TIMEOUT_SECONDS},  # as on the unguarded side
        monitoring=False,  # the run starts and stops it
    )


def build_guard(schedule: Schedule, per_second: int, clock: Clock | None = None) -> Guard:
    """Return a guard for ``per_second`` calls, whose breaker has time to recover in each cycle."""
    # One retry for every four successes, so that nothing amplifies what the upstream cannot bear.
    budget = RetryBudget(ratio=0.25, min_per_second=1, burst=15, clock=clock)
    manager = ResilienceManager("demo", presets=preset(schedule, per_second, budget), clock=clock)
    operation = manager.operation(OPERATION)
    total, attempt = (one for one in operation.policies if isinstance(one, Timeout))
    return Guard(
        manager,
        operation,
        manager.circuit_breaker(OPERATION),
        budget,
        manager.retry(OPERATION),
        total,
        attempt,
    )


def judge(error: Exception) -> tuple[Verdict, str] | None:
    """Return what an exception of a guarded call means; see ``client.judge``."""
    if isinstance(error, Rejected):
        return Verdict.REJECTED, error.code.lower().replace("_", "-")
    if isinstance(error, DeadlineExceededError):
        return Verdict.TIMED_OUT, ""
    return client.judge(error)
