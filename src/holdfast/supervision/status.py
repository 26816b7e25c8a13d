"""What a supervisor shows of its components: data only."""

from __future__ import annotations

from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.health.status import CheckStatus
    from holdfast.supervision.component import Exit
    from holdfast.supervision.states import ComponentState

__all__ = ["ComponentStatus", "SupervisorSnapshot"]


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """One component at one moment. Times are seconds on the supervisor's clock.

    Attributes:
        name: The name of the component.
        state: Its state.
        healthy: Whether it has started and works: the state is RUNNING.
        recovering: Whether it is to be started again, or is being started again.
        generation: How often it was started.
        depends_on: The components that have to run before it starts.
        attempt: The number of its last attempt since it was healthy for long; 0: none.
        attempts: How many attempts there are before a cool-down.
        next_in: Seconds until its next attempt; None: none is planned.
        uptime: Seconds since it has been RUNNING; None: it is not.
        downtime: For how many seconds in all it was to run and did not, since it first did.
        restarts: How often it was started again, by itself or as somebody asked for it.
        recovery_attempts: How many attempts there were to recover it.
        recoveries: How many times it has recovered.
        failed_recoveries: How many times all attempts had failed.
        average_recovery_time: Seconds that a recovery took on average; None: there was none.
        last_recovery: When the last recovery ended; None: there was none.
        last_recovery_succeeded: Whether it succeeded; None: there was none.
        last_exit: How its work last ended by itself; None: it has not.
        error: Why it does not work, or last did not; None while it works.
        left_behind: Whether something of it may still run although it was stopped: its ``stop``
            raised, or it has not ended.
        check: The figures of its check; None: it has none, or does not run.
    """

    name: str
    state: ComponentState
    healthy: bool
    recovering: bool
    generation: int
    depends_on: tuple[str, ...]
    attempt: int
    attempts: int
    next_in: float | None
    uptime: float | None
    downtime: float
    restarts: int
    recovery_attempts: int
    recoveries: int
    failed_recoveries: int
    average_recovery_time: float | None
    last_recovery: float | None
    last_recovery_succeeded: bool | None
    last_exit: Exit | None
    error: str | None
    left_behind: bool
    check: CheckStatus | None


@dataclass(frozen=True, slots=True)
class SupervisorSnapshot:
    """A supervisor at one moment.

    Attributes:
        name: Its name.
        running: Whether it was started and not stopped since.
        strategy: What is restarted with a component that fails.
        healthy: Whether every component is RUNNING or FINISHED.
        components: The status of each component, by name, in the order of their starts.
        restarts_in_window: How many restarts by itself count towards ``max_restarts``.
        escalations: How often restarts were too many.
        given_up: Why it has given up on all of its components; None: it has not.
        callback_failures: How many exceptions listeners have raised.
    """

    kind: str = field(default="supervisor", init=False)
    name: str
    running: bool
    strategy: str
    healthy: bool
    components: Mapping[str, ComponentStatus]
    restarts_in_window: int
    escalations: int
    given_up: str | None
    callback_failures: int
