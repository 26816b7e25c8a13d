"""Protection by one call: operations of a manager that is there for the whole process.

Elsewhere: what such an operation passes (``presets.standard``).
"""

from __future__ import annotations

from holdfast.forks import call_in_child, settle
from holdfast.locks import RLock
from holdfast.manager.manager import ResilienceManager
from holdfast.manager.presets.standard import STANDARD
from holdfast.validation import Problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.manager.operation import Operation
    from holdfast.manager.presets.preset import Preset

__all__ = ["default_manager", "protect"]

NAME = "default"

# Held while the manager is made. Re-entrant: a finaliser of this thread may protect something
# meanwhile. In a list, for a child has another: a thread of its parent may hold this one.
_locks = [RLock()]
_made: list[ResilienceManager] = []
_protected: set[str] = set()
# What the preset registers, and what the manager calls it.
_KINDS = {
    "circuit_breakers": "circuit_breaker",
    "retry_policies": "retry",
    "bulkheads": "bulkhead",
    "timeouts": "timeout",
    "error_budgets": "error_budget",
    "latency_budgets": "latency_budget",
}


def protect(name: str) -> Operation:
    """Return an operation with full protection, without any configuration.

    A call has 30 seconds, 4 attempts of at most 10 seconds each with growing pauses between them,
    a circuit breaker (a tenth of at least 100 attempts in 30 seconds failed), at most 1,000 calls
    at the same time, and budgets that count what it used up. ``describe()`` prints all of it. Only
    transient errors are repeated and counted by the breaker.

    Args:
        name: The operation, for messages and metrics. The same name gives the same operation.

    Returns:
        The operation: a decorator, with ``call``, ``acall`` and ``describe``.

    Raises:
        ConfigError: ``name`` is not a name.

    Safe to call from any thread, and to share between threads and event loops.

    >>> protect("geocoding").call(len, "ok")
    2
    """
    problems = Problems("protect")
    if callable(name):
        problems.refuse("name", name, 'a name, as in @hf.protect("payments")')
    else:
        problems.name(name)
    problems.done()
    mine = STANDARD.named(name)
    manager = default_manager()
    if name not in _protected:
        # Without a lock: what is registered is logged, and a handler of the log may be protected,
        # by another thread. Who does the same meanwhile keeps what there is.
        _without_own(mine, manager).apply(manager)
        _protected.add(name)
    return manager.operation(name)


def _without_own(preset: Preset, manager: ResilienceManager) -> Preset:
    """Return a preset of one name without the kinds that the user has registered for it."""
    kept = manager._registered
    own = [
        kind
        for kind, its in _KINDS.items()
        if any(kept.get(its, name) is not None for name in getattr(preset, kind))
    ]
    return preset.but(**dict.fromkeys(own)) if own else preset


def default_manager() -> ResilienceManager:
    """Return the manager of the operations that ``protect`` returns; made when it is first used.

    Register other policies with it to change an operation.
    """
    settle()
    with _locks[0]:
        if not _made:
            _made.append(ResilienceManager(NAME))
        return _made[0]


def _in_child() -> None:
    _locks[0] = RLock()


call_in_child(_in_child)
