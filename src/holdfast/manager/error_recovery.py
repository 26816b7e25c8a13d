"""ErrorRecoveryManager: named operations of a collector, with recovery and an account of errors.

A face over a ``ResilienceManager``: whatever is registered there protects here too. Elsewhere: one
call (``recovery``), the errors of many (``aggregate``), calls one by one (``degradation.gather``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.degradation.degraded_mode import DegradationMode
from holdfast.degradation.gather import agather_or_sequential, gather_or_sequential
from holdfast.degradation.gathered import GatherError
from holdfast.errors import ConfigError
from holdfast.forks import mind, settle
from holdfast.locks import RLock
from holdfast.manager import spellings
from holdfast.manager.aggregate import AggregatedError, ErrorAggregate
from holdfast.manager.manager import ResilienceManager
from holdfast.manager.recovery import arecover, recover
from holdfast.manager.registered import KINDS
from holdfast.policies.breaker import State
from holdfast.records import note
from holdfast.validation import Problems, explains_names, nearest
from holdfast.whole import Whole

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from typing import Any, ParamSpec, TypeVar

    from holdfast.clock import Clock
    from holdfast.degradation.gathered import Gathered
    from holdfast.manager.operation import Operation
    from holdfast.manager.recovery import RecoveryOutcome
    from holdfast.policies.breaker import CircuitBreaker
    from holdfast.policies.retry import Retry

    P = ParamSpec("P")
    R = TypeVar("R")
    T = TypeVar("T")

__all__ = ["DEFAULT_RETRY", "BreakerStatus", "ErrorRecoveryManager"]

#: The retry policy of operations that nothing is registered for.
DEFAULT_RETRY: dict[str, Any] = {
    "max_retries": 3,
    "base_delay": 0.1,
    "max_delay": 5.0,
    "backoff_factor": 2.0,
    "jitter": 0.25,
    "jitter_mode": "around",
}
MOST_DEFAULTED = 256


@dataclass(frozen=True, slots=True)
class BreakerStatus:
    """The state of a circuit breaker at one moment.

    Attributes:
        state: Its state.
        failures: Failures in a row; while it is not closed, the failures that opened it.
        last_failure: Seconds since the last failure; None before the first.
        retry_after: Seconds until it admits a call, 0.0 if it does; None if that is not known.
    """

    state: State
    failures: int
    last_failure: float | None
    retry_after: float | None


class ErrorRecoveryManager(Whole):
    """Runs operations by name, with retries, circuit breakers and fallbacks.

    An operation without policies has the ``default`` retry policy, under its name. That is logged
    once for each name, and ``defaulted`` lists these names. With ``default=None`` it is an error,
    and the function does not run.

    Args:
        name: For messages and metrics, as of ``ResilienceManager``.
        manager: The manager with the policies of the operations; None for a new manager.
        presets: A preset for the new manager, for example "collector".
        default: The settings of a retry policy, or None.
        mode: A switch: whether calls that belong together run one by one, and whether fallbacks
            are used; None for a new one.
        clock: The source of time of a new manager; use a ``ManualClock`` in tests.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops.

    >>> recovery = ErrorRecoveryManager("collector")
    >>> _ = recovery.register_retry_policy("fetch", max_retries=2, base_delay=0.001)
    >>> outcome = recovery.execute_with_recovery("fetch", lambda: 1 / 0, fallback="cached")
    >>> outcome.data, outcome.attempts, outcome.fallback_used
    ('cached', 3, True)
    """

    @explains_names
    def __init__(
        self,
        name: str = "recovery",
        *,
        manager: ResilienceManager | None = None,
        presets: Any = None,
        default: Mapping[str, Any] | None = DEFAULT_RETRY,
        mode: DegradationMode | None = None,
        clock: Clock | None = None,
    ) -> None:
        problems = Problems("ErrorRecoveryManager", name)
        name = problems.name(name)
        if manager is not None:
            problems.instance("manager", manager, ResilienceManager, "a ResilienceManager, or None")
            for field, value in (("presets", presets), ("clock", clock)):
                if value is not None:
                    problems.refuse(field, value, "None together with a manager, which has its own")
        if default is not None:
            try:
                default = dict(default)
                spellings.retry(default)
            except (TypeError, ValueError) as error:
                inside = error.problems if isinstance(error, ConfigError) else ("not a dict",)
                problems.adopt(ConfigError("", [f"default: {one}" for one in inside]))
        if mode is not None:
            problems.instance("mode", mode, DegradationMode, "a DegradationMode, or None")
        problems.done()
        self._name = name
        if manager is None:
            manager = ResilienceManager(name, presets=presets, clock=clock)
        self._manager = manager
        self._default = default
        self._mode = DegradationMode() if mode is None else mode
        self._lock = RLock()
        self._defaulted: dict[str, None] = {}
        mind(self)

    @property
    def name(self) -> str:
        """The name, for messages."""
        return self._name

    @property
    def manager(self) -> ResilienceManager:
        """The manager with the policies of the operations: limiters, budgets and others."""
        return self._manager

    @property
    def mode(self) -> DegradationMode:
        """The switch for degraded mode and for fallbacks."""
        return self._mode

    @property
    def defaulted(self) -> tuple[str, ...]:
        """The operations that have the default retry policy, in the order of their first calls."""
        settle()
        with self._lock:
            return tuple(self._defaulted)

    # ---- registering ----

    def register_circuit_breaker(self, name: str, **settings: Any) -> CircuitBreaker:
        """Register a circuit breaker with the settings of a collector.

        Args:
            name: Its name.
            **settings: ``failure_threshold``, ``success_threshold``, ``timeout`` (seconds it stays
                open), ``max_requests`` (probes at the same time), ``reset_timeout`` (seconds
                without a failure after which failures are forgotten), and further settings of
                ``CircuitBreaker``. ``manager.register_circuit_breaker`` takes other words.

        Raises:
            ConfigError: A setting is invalid, or two contradict each other.
        """
        arguments, limit = spellings.collector_breaker(settings, name)
        if limit is not None:
            arguments["operation_timeout"] = limit
        return self._manager.register_circuit_breaker(name, **arguments)

    def register_retry_policy(self, name: str, **settings: Any) -> Retry:
        """Register a retry policy; see ``ResilienceManager.register_retry_policy``.

        Args:
            name: Its name, also of the operation that has it.
            **settings: As of the manager.

        Raises:
            ConfigError: A setting is invalid, or two contradict each other.
        """
        retry = self._manager.register_retry_policy(name, **settings)
        with self._lock:
            self._defaulted.pop(name, None)
        return retry

    # ---- calling ----

    def operation(self, name: str) -> Operation:
        """Return an operation; without policies, it gets the default retry policy.

        Args:
            name: The name of the operation.

        Raises:
            UnprotectedError: It has no policies, and there is no default, or 256 operations have
                the default already. Or it names a policy that is not registered.
        """
        manager = self._manager
        if self._default is None or name in manager._handles or not self._is_unknown(name):
            return manager.operation(name)
        settle()
        with self._lock:
            is_new = name not in self._defaulted
            if is_new and len(self._defaulted) < MOST_DEFAULTED:
                known = tuple(dict.fromkeys((*manager._defined, *manager._registered.names())))
                hint = nearest(name, [one for one in known if one not in self._defaulted][:100])
                self._defaulted[name] = None
            elif is_new:
                return manager.operation(name)  # which raises
        manager.register_retry_policy(name, **self._default)
        if is_new:
            note(
                "defaulted",
                "manager",
                name,
                "operation %r has the default retry policy, as nothing is registered for it%s",
                name,
                hint,
            )
        return manager.operation(name)

    def _is_unknown(self, name: object) -> bool:
        manager = self._manager
        return (
            isinstance(name, str)
            and name not in manager._defined
            and all(manager._registered.get(kind, name) is None for kind in KINDS)
        )

    def execute_with_retry(
        self, name: str, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call ``fn(*args, **kwargs)`` as the operation ``name``.

        Every attempt passes its circuit breaker, if it has one.

        Raises:
            UnprotectedError: As of ``operation``; ``fn`` did not run.
            Rejected: A policy has rejected the call.
        """
        return self.operation(name).call(fn, *args, **kwargs)

    async def aexecute_with_retry(
        self, name: str, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Await ``fn(*args, **kwargs)`` for ``name``, as ``execute_with_retry`` calls it."""
        return await self.operation(name).acall(fn, *args, **kwargs)

    def execute_with_recovery(
        self, name: str, fn: Callable[[], Any], fallback: Any = None
    ) -> RecoveryOutcome:
        """Call ``fn`` as an operation, and a fallback if that fails; return the outcome.

        Every attempt passes the circuit breaker: while that is open, ``fn`` is not called, and the
        fallback is used immediately.

        Args:
            name: The operation.
            fn: A function without arguments.
            fallback: A replacement after a rejection or the last attempt: a value, or a function,
                which is called with the error if it takes an argument. None for no replacement. It
                is not used when an enclosing deadline has passed.

        Raises:
            UnprotectedError: As of ``operation``; ``fn`` did not run.
            TypeError: ``fn`` or ``fallback`` is a coroutine function.
        """
        operation = self.operation(name)
        return recover(operation, fn, fallback, may_fall_back=self._mode.fallback)

    async def aexecute_with_recovery(
        self, name: str, fn: Callable[[], Awaitable[Any]], fallback: Any = None
    ) -> RecoveryOutcome:
        """Await ``fn`` for ``name``, as ``execute_with_recovery`` calls it.

        The ``fallback`` may be asynchronous.
        """
        operation = self.operation(name)
        return await arecover(operation, fn, fallback, may_fall_back=self._mode.fallback)

    # ---- calls that belong together ----

    def execute_together(
        self, name: str, calls: Iterable[Callable[[], T]], **options: Any
    ) -> Gathered[T]:
        """Make calls concurrently in threads, each as an operation; one by one if many fail.

        Args:
            name: The operation.
            calls: Functions without arguments.
            **options: ``max_concurrent``, ``failure_rate``, ``min_successes``, ``timeout`` and
                others of ``gather_or_sequential``.

        Returns:
            The result of each call, in order.

        Raises:
            AggregatedError: Fewer calls succeeded than have to; it has the counts by category.
            ConfigError: An argument is invalid.
            UnprotectedError: As of ``operation``.
        """
        gate: Any = self.operation(name)._gate
        try:
            return gather_or_sequential(calls, policy=gate, **self._together(name, options))
        except GatherError as error:
            raise self._aggregated(name, error) from error.__cause__

    async def aexecute_together(
        self, name: str, calls: Iterable[Callable[[], Awaitable[T]]], **options: Any
    ) -> Gathered[T]:
        """Await ``calls`` for ``name`` in tasks, as ``execute_together`` runs them in threads."""
        gate: Any = self.operation(name)._gate
        options = self._together(name, options)
        try:
            return await agather_or_sequential(calls, policy=gate, **options)
        except GatherError as error:
            raise self._aggregated(name, error) from error.__cause__

    def aggregate(self, name: str, *, keep: int = 1000) -> ErrorAggregate:
        """Return an account of the errors of operations that run together; see its class.

        Args:
            name: The purpose of the operations, for the message.
            keep: How many errors are kept; all are counted.

        Raises:
            ConfigError: An argument is invalid.
        """
        return ErrorAggregate(name, keep=keep)

    def _together(self, name: str, options: dict[str, Any]) -> dict[str, Any]:
        own = {"mode": self._mode, "name": name, "clock": self._manager._clock}
        return {**own, **options}

    def _aggregated(self, name: str, error: GatherError) -> AggregatedError:
        failed = [call for call in error.report if call.error is not None]
        errors = [(name, call.error) for call in failed if call.error is not None]
        return AggregatedError.of(self._name, errors, total=len(error.report))

    # ---- looking ----

    def status(self) -> dict[str, BreakerStatus]:
        """Return the state of all circuit breakers, by name."""
        shown = {}
        for name, policy in self._manager.policies().get("circuit_breaker", {}).items():
            breaker: Any = policy
            seen = breaker.snapshot()
            last = seen.last_failure
            opened = seen.trip is not None and seen.state is not State.CLOSED
            shown[name] = BreakerStatus(
                state=seen.state,
                failures=seen.trip.count if opened else seen.consecutive_failures,
                last_failure=None
                if last is None
                else max(0.0, breaker._clock.now_ns() / 1e9 - last),
                retry_after=seen.retry_after,
            )
        return shown

    def __repr__(self) -> str:
        return f"<ErrorRecoveryManager {self._name!r} over {self._manager!r}>"

    def _after_fork(self) -> None:
        self._lock = RLock()
