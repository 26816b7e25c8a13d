"""Health of the collector: it is healthy while half of its workers run, and at least one.

Elsewhere: when a worker runs (``worker``), and who shows the answer (``admin``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.health import CheckResult, CompositeCheck, PingCheck

if TYPE_CHECKING:
    from collections.abc import Mapping

    from examples.market_collector.worker import Worker, WorkerState

__all__ = ["QUORUM", "Health", "health_of", "workers_check"]

QUORUM = 0.5
_TO_BEGIN = 5.0  # seconds in which the threads begin


@dataclass(frozen=True, slots=True)
class Health:
    """How the collector is.

    Attributes:
        healthy: Whether at least half of the workers run, and at least one.
        running: How many workers run.
        total: How many workers there are.
        states: What each worker does: "running", or why it does not count as that.
        message: The same in a sentence.
    """

    healthy: bool
    running: int
    total: int
    states: Mapping[str, str]
    message: str


def word_of(state: WorkerState) -> str:
    """Return what a worker does, in a word or two."""
    if state.running:
        return "running"
    if state.failed_in_a_row:
        return f"{state.failed_in_a_row} rounds failed"
    return "not running"


def workers_check(workers: Mapping[str, Worker]) -> CompositeCheck:
    """Return the check of all workers: it passes while half of them run."""

    def check(worker: Worker) -> PingCheck:
        def ask() -> CheckResult:
            state = worker.state()
            return CheckResult("passed" if state.running else "failed", word_of(state))

        return PingCheck(worker.exchange, ask)

    members = (check(worker) for worker in workers.values())
    return CompositeCheck("workers", *members, quorum=QUORUM, failures=1, start_period=_TO_BEGIN)


def health_of(check: CompositeCheck, workers: Mapping[str, Worker]) -> Health:
    """Ask all workers, and return what follows."""
    states = {name: worker.state() for name, worker in workers.items()}
    running = sum(state.running for state in states.values())
    result = check.run()
    return Health(
        healthy=result.verdict == "passed",
        running=running,
        total=len(states),
        states={name: word_of(state) for name, state in states.items()},
        message=f"{running} of {len(states)} workers run",
    )
