"""The pipeline in front of the guarded side: the demo's one user of the policies.

One pipeline serves the threads and the event loop alike, as in a service that has both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.agent.demo import client, upstream
from holdfast.agent.demo.schedule import NS
from holdfast.agent.demo.tally import Verdict
from holdfast.errors import Rejected
from holdfast.pipeline.pipeline import Pipeline
from holdfast.policies.breaker import CircuitBreaker, State
from holdfast.policies.bulkhead import Bulkhead
from holdfast.policies.limiter import RateLimiter
from holdfast.policies.windows import CountWindow

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.agent.demo.schedule import Schedule
    from holdfast.events import Event

#: Keeps the upstream's workers busy and lets no queue grow in front of them.
MAX_CONCURRENT = upstream.WORKERS + 2


@dataclass(frozen=True, slots=True)
class Guard:
    """The pipeline, and its breaker to look at."""

    pipeline: Pipeline
    breaker: CircuitBreaker

    def state(self) -> str:
        """Return the breaker's state in words."""
        return self.breaker.state.value

    def retry_after_seconds(self) -> float | None:
        """Return how long until a call may probe; 0.0 or None when there is nothing to wait for."""
        return self.breaker.retry_after

    def on_transition(self, tell: Callable[[str, str], None]) -> None:
        """Have ``tell`` called with the old and the new state, in the thread that caused it."""

        def listen(event: Event) -> None:
            if isinstance(event.old, State) and isinstance(event.new, State):
                tell(event.old.value, event.new.value)

        self.breaker.on_event(listen)


def reset_timeout_seconds(schedule: Schedule) -> float:
    """Return how long the breaker stays open: a few probes in every phase of the schedule."""
    return min(0.5, schedule.cycle_ns / NS / 50)


def build_guard(schedule: Schedule, per_second: int) -> Guard:
    """Return a guard for ``per_second`` calls, whose breaker has time to recover in each cycle."""
    breaker = CircuitBreaker(
        "demo",
        # Half of the last twenty failed: a lack of capacity is the bulkhead's to deal with.
        failure_rate=0.5,
        window=CountWindow(20),
        min_calls=10,
        reset_timeout=reset_timeout_seconds(schedule),
        half_open_max_calls=1,
        success_threshold=3,
    )
    # Above what is offered, so that only a burst after a stall meets it.
    limiter = RateLimiter("demo", rate=per_second * 5 // 4, burst=per_second // 4)
    # Those beyond wait a moment: room for a burst, and a place given back is taken at once.
    bulkhead = Bulkhead("demo", max_concurrent=MAX_CONCURRENT, max_waiting=16, max_wait=0.06)
    return Guard(Pipeline("demo", breaker, limiter, bulkhead), breaker)


def judge(error: Exception) -> tuple[Verdict, str] | None:
    """Return what an exception of a guarded call means; see ``client.judge``."""
    if isinstance(error, Rejected):
        return Verdict.REJECTED, error.code.lower().replace("_", "-")
    return client.judge(error)
