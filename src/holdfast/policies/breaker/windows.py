"""Over which calls a rate is taken: the last so many, or those of the last so many seconds.

Settings only; what a window holds is ``hf_count_window.h`` and ``hf_time_window.h``.
"""

from __future__ import annotations

from holdfast.validation import Problems, explains_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any, NoReturn

__all__ = ["CountWindow", "TimeWindow"]

MAX_CALLS = 100_000
SLICES = 10
# Slices of a millisecond at least: shorter ones would turn faster than the coarse clock ticks.
LEAST_NS = 10_000_000
MOST_NS = 30 * 86_400 * 10**9


class _Window:
    """A frozen value: equal to another of the same class and setting."""

    __slots__ = ("_setting",)

    _setting: Any

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} is frozen: cannot set {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} is frozen: cannot delete {name!r}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Window) or type(self) is not type(other):
            return NotImplemented
        return bool(self._setting == other._setting)

    def __hash__(self) -> int:
        return hash((type(self), self._setting))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._setting!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._setting,)


class CountWindow(_Window):
    """The last ``n`` calls.

    Args:
        n: The number of calls, 1 to 100,000.

    Raises:
        ConfigError: ``n`` is invalid.

    Immutable, so safe to share between threads, event loops and policies.

    >>> CountWindow(20).size
    20
    """

    __slots__ = ()

    @explains_names
    def __init__(self, n: int) -> None:
        problems = Problems("CountWindow")
        size = problems.integer("n", n, least=1, most=MAX_CALLS)
        problems.done()
        object.__setattr__(self, "_setting", size)

    @property
    def size(self) -> int:
        """The number of calls in the window."""
        return int(self._setting)


class TimeWindow(_Window):
    """The calls of the last ``seconds``.

    The window advances in steps of a tenth of its length, so it covers nine to ten tenths of that
    length.

    Args:
        seconds: The length, 0.01 seconds to 30 days.

    Raises:
        ConfigError: ``seconds`` is invalid.

    Immutable, so safe to share between threads, event loops and policies.

    >>> TimeWindow(60).seconds
    60.0
    """

    __slots__ = ("slice_ns",)

    slice_ns: int
    """Nanoseconds of one slice."""

    @explains_names
    def __init__(self, seconds: float | timedelta) -> None:
        problems = Problems("TimeWindow")
        length_ns = problems.duration("seconds", seconds, least_ns=LEAST_NS, most_ns=MOST_NS)
        problems.done()
        object.__setattr__(self, "_setting", length_ns / 1e9)
        object.__setattr__(self, "slice_ns", -(-length_ns // SLICES))

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return float(self._setting)

    @property
    def slices(self) -> int:
        """The number of slices of the window."""
        return SLICES
