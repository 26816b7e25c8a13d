"""Quantile: a delay that follows how long calls take.

Owns the settings of such a delay. The estimate is the hedge's own (``hf_quantile.h``).
"""

from __future__ import annotations

from holdfast.validation import Problems, explains_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta

__all__ = ["Quantile"]

MAX_WARMUP = 255


class Quantile:
    """The delay of a ``Hedge``, as a quantile of the durations of first attempts.

    With ``Quantile(0.95)``, one call in twenty is hedged. The estimate follows each call, in one
    machine word. An attempt that lost counts with the time that it ran. A failed or cancelled
    attempt does not count.

    Args:
        quantile: The share of calls that is faster than the delay, 0.5 to 0.999.
        warmup: The number of measured calls before the quantile is used, 1 to 255.
        initial: Seconds of delay during the warm-up; None: only a failed attempt starts another.
        floor: The least delay in seconds.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Immutable, so safe to share between threads, event loops and policies. Hedges do not share the
    estimate.

    >>> Quantile(0.95)
    Quantile(0.95)
    """

    __slots__ = ("_floor_ns", "_initial_ns", "floor", "initial", "quantile", "warmup")

    @explains_names
    def __init__(
        self,
        quantile: float = 0.95,
        *,
        warmup: int = 20,
        initial: float | timedelta | None = None,
        floor: float | timedelta = 0.001,
    ) -> None:
        problems = Problems("Quantile", None)
        self.quantile = problems.number("quantile", quantile, least=0.5, most=0.999)
        self.warmup = problems.integer("warmup", warmup, least=1, most=MAX_WARMUP)
        self._initial_ns = problems.duration("initial", initial, none=True)
        self._floor_ns = problems.duration("floor", floor)
        problems.done()
        self.initial = initial
        self.floor = floor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantile) and self._settings() == other._settings()

    def __hash__(self) -> int:
        return hash(self._settings())

    def _settings(self) -> tuple[object, ...]:
        return self.quantile, self.warmup, self._initial_ns, self._floor_ns

    def __repr__(self) -> str:
        given = [repr(self.quantile)]
        if self.warmup != 20:
            given.append(f"warmup={self.warmup!r}")
        if self.initial is not None:
            given.append(f"initial={self.initial!r}")
        if self._floor_ns != 1_000_000:
            given.append(f"floor={self.floor!r}")
        return f"Quantile({', '.join(given)})"
