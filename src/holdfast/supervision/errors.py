"""What a component manager raises of its own. Elsewhere: invalid settings (``ConfigError``)."""

from __future__ import annotations

from holdfast.errors import HoldfastError

__all__ = ["AlreadyStartedError", "LayerError", "NotInitializedError", "PhaseStartError"]


class AlreadyStartedError(HoldfastError, RuntimeError):
    """A component manager was started twice, or configured while it runs. Nothing has changed."""

    code = "ALREADY_STARTED"
    summary = "already started"


class NotInitializedError(HoldfastError, RuntimeError):
    """A component manager has no transport, or no circuit breaker, at this moment."""

    code = "NOT_INITIALIZED"
    summary = "not initialized"


class PhaseStartError(HoldfastError, RuntimeError):
    """A phase did not start. Its parts, and those of earlier phases, were stopped in reverse order.

    The exception that is the reason, if there is one, is the cause (``__cause__``).

    Attributes:
        phase: The number of the phase, from 0.
        title: What the phase is called.
        code: "PHASE0_START_FAILED" for phase 0, and so on.

    >>> PhaseStartError("node", 3, "Resilience Layer", "no memory").code
    'PHASE3_START_FAILED'
    """

    code = "PHASE_START_FAILED"
    summary = "phase did not start"
    phase: int
    title: str

    def __init__(self, name: str, phase: int, title: str, why: str) -> None:
        super().__init__(name, phase, title, why)  # what makes a copy
        self.phase = phase
        self.title = title
        self.code = f"PHASE{phase}_START_FAILED"

    def __str__(self) -> str:
        name, phase, title, why = self.args
        return f"component manager {name!r}: phase {phase} ({title}) did not start: {why}"


class LayerError(RuntimeError):
    """Why a phase did not start; users see it as the cause of a ``PhaseStartError``."""
