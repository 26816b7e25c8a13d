"""The pipeline in front of the guarded side: the demo's one user of the policies.

One pipeline serves the threads and the event loop alike, as in a service that has both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.demo import client, upstream
from holdfast.demo.schedule import NS
from holdfast.demo.tally import Verdict
from holdfast.errors import DeadlineExceededError, Rejected
from holdfast.pipeline.pipeline import Pipeline
from holdfast.policies.backoff import Exponential
from holdfast.policies.breaker import CircuitBreaker, CountWindow, State
from holdfast.policies.bulkhead import Bulkhead
from holdfast.policies.limiter import RateLimiter
from holdfast.policies.retry import Retry, RetryBudget
from holdfast.policies.timeout import Timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from holdfast.clock import Clock
    from holdfast.demo.schedule import Schedule
    from holdfast.events import Event

#: Keeps the upstream's workers busy and lets no long queue grow in front of them.
MAX_CONCURRENT = 2 * upstream.WORKERS
#: Those beyond wait a moment: room for a burst, and a place given back is taken at once. On a busy
#: machine answers take longer, and so does the wait. It and a slow answer fit an attempt.
MAX_WAITING = 16
MAX_WAIT_SECONDS = 0.07

#: Longer than a place and an answer of an upstream that is only slow take, and short enough for
#: another attempt.
ATTEMPT_TIMEOUT_SECONDS = 0.22

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
    """The pipeline, and those of its policies that there is something to tell of."""

    pipeline: Pipeline
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


def build_guard(schedule: Schedule, per_second: int, clock: Clock | None = None) -> Guard:
    """Return a guard for ``per_second`` calls, whose breaker has time to recover in each cycle."""
    # Half of the last fifty attempts failed: what a flaky upstream fails is the retry's to deal
    # with, a lack of capacity the bulkhead's.
    breaker = CircuitBreaker(
        "demo",
        failure_rate=0.5,
        window=CountWindow(50),
        min_calls=20,
        reset_timeout=reset_timeout_seconds(schedule),
        half_open_max_calls=1,
        success_threshold=3,
        clock=clock,
    )
    # One retry for every four successes, so that nothing amplifies what the upstream cannot bear.
    budget = RetryBudget(ratio=0.25, min_per_second=1, burst=15, clock=clock)
    # Above what is offered with its retries, so that only a burst after a stall meets it.
    limiter = RateLimiter("demo", rate=per_second * 3 // 2, burst=per_second // 4, clock=clock)
    standard = Pipeline.standard(
        "demo",
        total_timeout=client.CALL_TIMEOUT_SECONDS,  # as on the unguarded side
        attempts=ATTEMPTS,
        attempt_timeout=ATTEMPT_TIMEOUT_SECONDS,
        max_concurrent=MAX_CONCURRENT + MAX_WAITING,
        rate=limiter,
        on=client.TRANSIENT,
        backoff=Exponential(0.02, max=0.1, jitter_mode="full"),
        budget=budget,
        breaker=breaker,
        clock=clock,
    )
    places = Bulkhead(
        "demo-places",
        max_concurrent=MAX_CONCURRENT,
        max_waiting=MAX_WAITING,
        max_wait=MAX_WAIT_SECONDS,
        clock=clock,
    )
    [retry] = (policy for policy in standard.policies if isinstance(policy, Retry))
    total, attempt = (policy for policy in standard.policies if isinstance(policy, Timeout))
    return Guard(Pipeline("demo", standard, places), breaker, budget, retry, total, attempt)


def judge(error: Exception) -> tuple[Verdict, str] | None:
    """Return what an exception of a guarded call means; see ``client.judge``."""
    if isinstance(error, Rejected):
        return Verdict.REJECTED, error.code.lower().replace("_", "-")
    if isinstance(error, DeadlineExceededError):
        return Verdict.TIMED_OUT, ""
    return client.judge(error)
