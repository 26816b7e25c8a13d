"""What a performance monitor is told of workers, and asks caches.

A worker reports a state: the newest replaces the one before, and nothing is added up. Elsewhere:
what is shown (``report``), and how functions are asked within a time limit (``asking``).
"""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.resources.asking import Asked
from holdfast.resources.report import CacheFigures, CachePerformance, WorkerHealth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ["MOST_WORKERS", "SILENT_NS", "Cache", "Workers", "read_cache"]

MOST_WORKERS = 1_000
SILENT_NS = 600_000_000_000  # a worker that has said nothing for so long is not known to run

_FIELDS = (("hits",), ("misses",), ("evictions",), ("size", "currsize"))


class _Said:
    """What one worker has said last."""

    __slots__ = ("at_ns", "errors", "running")

    def __init__(self, running: bool, errors: int, at_ns: int) -> None:
        self.running, self.errors, self.at_ns = running, errors, at_ns


class Workers:
    """The workers of one monitor. For one thread at a time."""

    __slots__ = ("_said", "_shown")

    def __init__(self) -> None:
        self._said: dict[str, _Said] = {}
        self._shown: dict[str, int] = {}  # their errors at the look before

    def say(self, name: str, running: bool, errors: int, now_ns: int) -> bool:
        """Keep what a worker says; False: there is no room for another one."""
        if name not in self._said and len(self._said) >= MOST_WORKERS:
            silent = [one for one, said in self._said.items() if _is_silent(said, now_ns)]
            if not silent:
                return False
            for one in silent:
                del self._said[one]
        self._said[name] = _Said(running, errors, now_ns)
        return True

    def forget(self, name: str) -> bool:
        """Forget a worker; return whether it was known."""
        self._shown.pop(name, None)
        return self._said.pop(name, None) is not None

    def look(self, now_ns: int, components: Mapping[str, Any]) -> dict[str, WorkerHealth]:
        """Return the workers, and keep their errors in mind for the next look.

        Args:
            now_ns: The time on the clock of the monitor.
            components: The status of each component of a supervisor.
        """
        found: dict[str, WorkerHealth] = {}
        for name, status in components.items():
            if name not in self._said:
                running, errors = status.state.is_up, status.restarts
                found[name] = WorkerHealth(
                    name, running, errors, self._new(name, errors), None, silent=False
                )
        for name, said in self._said.items():
            its = components.get(name)
            silent = _is_silent(said, now_ns)
            found[name] = WorkerHealth(
                name,
                running=said.running and not silent and (its is None or its.state.is_up),
                errors=said.errors,
                new_errors=self._new(name, said.errors),
                age=max(0, now_ns - said.at_ns) / 1e9,
                silent=silent,
            )
        self._shown = {name: worker.errors for name, worker in found.items()}
        return found

    def _new(self, name: str, errors: int) -> int:
        """Return how many errors are new: all of those of a worker that has begun anew."""
        before = self._shown.get(name, 0)
        return errors - before if errors >= before else errors


class Cache:
    """A cache that is asked at each look. For one thread at a time.

    Args:
        name: Its name.
        figures: Returns what it has counted in all.
    """

    __slots__ = ("_last", "asked", "name", "was_failing")

    def __init__(self, name: str, figures: Callable[[], object]) -> None:
        self.name = name
        self.asked = Asked(lambda: read_cache(figures()))
        self.was_failing = False
        self._last: CacheFigures | None = None

    def look(self) -> CachePerformance:
        """Return what came since the look before, once it was asked."""
        new: CacheFigures | None = self.asked.value
        if new is None:
            return CachePerformance(self.name, 0, 0, 0, None, self._last, self.asked.error)
        old = self._last or CacheFigures(0, 0)
        self._last = new
        if new.hits < old.hits or new.misses < old.misses or new.evictions < old.evictions:
            old = CacheFigures(0, 0)  # another cache, or one that was cleared
        return CachePerformance(
            self.name,
            new.hits - old.hits,
            new.misses - old.misses,
            new.evictions - old.evictions,
            new.size,
            new,
            None,
        )


def read_cache(given: object) -> CacheFigures:
    """Return what a cache has counted.

    Args:
        given: A ``CacheFigures``, or anything with its fields as attributes or keys, such as
            ``cache_info()`` of ``functools.lru_cache``. ``evictions`` and ``size`` may be missing.

    Raises:
        ValueError: A field is missing, or is no number of at least 0.
    """
    found: list[Any] = []
    for names in _FIELDS:
        value = _first(given, names)
        if value is None and names[0] in {"evictions", "size"}:
            value = 0 if names[0] == "evictions" else None
        elif not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ValueError(f"{names[0]}: got {value!r}, allowed a whole number of at least 0")
        found.append(value)
    return CacheFigures(*found)


def _first(given: Any, names: Iterable[str]) -> Any:
    for name in names:
        value = given.get(name) if isinstance(given, Mapping) else getattr(given, name, None)
        if value is not None:
            return value
    return None


def _is_silent(said: _Said, now_ns: int) -> bool:
    return now_ns - said.at_ns >= SILENT_NS
