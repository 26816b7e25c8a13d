"""ComponentState: where a component is between its start and its stop.

Elsewhere: which state follows from what happens (``course``).
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ComponentState"]


class ComponentState(StrEnum):
    """The state of one component of a supervisor. Each is a string, its value.

    STOPPED: it was not started, or was stopped. STARTING: it starts, or waits for what it depends
    on, or for the first pass of its check. RUNNING: it has started, and its check has passed.
    UNHEALTHY: its check fails, and it is not restarted. RECOVERING: it will be started again, is
    being started, or its check has not passed. COOLING_DOWN: all attempts have failed, and more
    follow later. GIVEN_UP: all attempts have failed, and no more follow. FINISHED: its work has
    ended, and it is not restarted. STOPPING: it is being stopped.

    Safe to share between threads and event loops.

    >>> ComponentState("cooling_down").is_up
    False
    """

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    UNHEALTHY = "unhealthy"
    RECOVERING = "recovering"
    COOLING_DOWN = "cooling_down"
    GIVEN_UP = "given_up"
    FINISHED = "finished"
    STOPPING = "stopping"

    @property
    def is_up(self) -> bool:
        """Whether it has started and works: RUNNING."""
        return self is ComponentState.RUNNING

    @property
    def is_settled(self) -> bool:
        """Whether it stays so without an order: STOPPED, GIVEN_UP or FINISHED."""
        return self in _SETTLED


_SETTLED = frozenset({ComponentState.STOPPED, ComponentState.GIVEN_UP, ComponentState.FINISHED})
