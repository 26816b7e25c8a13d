"""ResilienceManager: names to policies, and operations that are compiled from them.

Owns the lock under which something is registered, and which operations are compiled anew for it.
Elsewhere: what is registered (``registered``), what an operation passes (``operation``), the parts
(health, degradation, chaos, objectives: the folders of these names).
"""

from __future__ import annotations

from collections.abc import Iterable
from types import NoneType
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from holdfast._native import gate
from holdfast._native.meter import Meter
from holdfast.clock import read_clock
from holdfast.forks import mind, settle
from holdfast.life import Life
from holdfast.locks import RLock
from holdfast.manager.errors import UnprotectedError
from holdfast.manager.followed import Followed
from holdfast.manager.living import enlist
from holdfast.manager.operation import (
    KEYS,
    Definition,
    Operation,
    Unresolved,
    arranged,
    definition,
    resolve,
)
from holdfast.manager.order import ORDERS, TOTAL
from holdfast.manager.registered import ADAPTIVE, KINDS, Entry, Registered, kind_in, made
from holdfast.manager.told import (
    BUDGETS,
    Closing,
    Listening,
    tell_checks,
    tell_listener,
    tell_timeouts,
    tell_tracker,
)
from holdfast.mode import read_mode
from holdfast.pipeline.standard import NOT_GIVEN, NotGiven, read_timeout
from holdfast.policies.base import Policy, enter
from holdfast.records import note
from holdfast.stores.figures import MANAGER, TIMEOUT_TOTAL
from holdfast.stores.ledger import ledger
from holdfast.validation import Problems, explains_names, nearest, shown, wait_to_ns
from holdfast.whole import Whole

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
    from datetime import timedelta
    from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar

    from holdfast.chaos import Fault
    from holdfast.clock import Clock
    from holdfast.degradation.component import Component
    from holdfast.degradation.manager import DegradationManager
    from holdfast.health.check import Check
    from holdfast.health.monitor import HealthMonitor
    from holdfast.manager.chaos import ManagerChaos
    from holdfast.manager.keyed import KeyedOperation, Keys
    from holdfast.manager.recovery import RecoveryOutcome
    from holdfast.manager.snapshot import ManagerSnapshot
    from holdfast.manager.timeouts import TimeoutManager
    from holdfast.mode import Mode
    from holdfast.pipeline.lint import Finding
    from holdfast.policies.breaker import CircuitBreaker
    from holdfast.policies.bulkhead import Bulkhead
    from holdfast.policies.error_budget import ErrorBudget
    from holdfast.policies.fallback import Fallback
    from holdfast.policies.hedge import Hedge
    from holdfast.policies.latency_budget import LatencyBudget
    from holdfast.policies.limiter import RateLimiter
    from holdfast.policies.limiter.adaptive import AdaptiveRateLimiter
    from holdfast.policies.retry import Retry
    from holdfast.policies.slo_tracker import SloTracker
    from holdfast.policies.timeout import Timeout

    P = ParamSpec("P")
    R = TypeVar("R")
    Made = TypeVar("Made", bound=Policy)
    #: Policies and names of policies, one or several.
    Several: TypeAlias = Made | str | Sequence[Made | str]

__all__ = ["ResilienceManager"]

DEFAULT_SECONDS = 30.0


class ResilienceManager(Whole, Life, gate.Directory):
    """Registers policies by name, and protects calls by everything that bears the name.

    ``execute("send", fn)`` calls ``fn`` under all policies that are registered as "send".
    ``register_operation`` joins policies of other names under one. A name without policies is an
    error: no call runs unprotected.

    Policies may be registered at any time, from any thread, in any order. An operation is compiled
    when it is first called, and compiled anew when something that it uses is registered: the next
    call passes the new policies, calls in flight end on the old policies. If a policy is registered
    again with equal settings, it remains, with its state and its counts.

    A call passes, from the outermost: error budget, latency budget, fallback, timeout, retry,
    hedge, circuit breaker, rate limiter, bulkhead, the breaker's own timeout, faults. With
    ``order="classic"``: budgets, fallback, faults, rate limiter, bulkhead, circuit breaker and its
    timeout, retry, hedge, timeout.

    Args:
        name: For messages and metrics, 1 to 200 characters. Metrics of all policies show those of
            a manager as ``manager/name``.
        presets: Presets that are registered first: a name ("dwcp", "collector"), a ``Preset``, or
            several. None: none.
        default_timeout: Seconds that a call of an operation without a registered timeout may take,
            attempts and pauses together; None for no limit.
        order: "recommended" or "classic"; an operation may have a different order.
        clock: The source of time for what is registered without one; use a ``ManualClock`` in
            tests.
        mode: "enforce", "observe" or "off", for what is registered without one; None uses the mode
            of the process.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops. A forked child runs no health checks before it
    calls ``start``.

    >>> rm = ResilienceManager("shop")
    >>> rm.register_circuit_breaker("payments", max_failures=5, timeout=10, reset_timeout=60)
    <CircuitBreaker 'payments' closed>
    >>> rm.register_retry_policy("payments", max_retries=2, initial_delay=0.1).name
    'payments'
    >>> rm.execute("payments", len, "ok")
    2
    """

    kind = "manager"

    @explains_names
    def __init__(
        self,
        name: str,
        *,
        presets: Any = None,
        default_timeout: float | timedelta | None = DEFAULT_SECONDS,
        order: Literal["recommended", "classic"] = "recommended",
        clock: Clock | None = None,
        mode: Mode | str | None = None,
    ) -> None:
        problems = Problems("ResilienceManager", name)
        self._name = problems.name(name)
        read_timeout(problems, "default_timeout", default_timeout)
        self._default_timeout = default_timeout
        self._order: str = problems.choice("order", order, tuple(ORDERS))
        self._clock = read_clock(problems, clock)
        mode = read_mode(problems, mode)
        several = _presets(problems, presets)
        problems.done()
        self._common: dict[str, Any] = {"clock": self._clock, "mode": mode}
        # Held for moments: what is the user's runs outside of it, except finalisers, which may
        # register something meanwhile. Hence re-entrant, and what is compiled is looked at again.
        self._lock = RLock()
        self._registered = Registered()
        self._changes = 0  # of what is registered
        ledger.prepare()
        self._meter = Meter()  # for metrics: the changes, and whether it runs
        self._defined: dict[str, Definition] = {}
        self._operations: dict[str, Operation] = {}  # once they were asked for
        # Those that have nothing left to pass: as long as somebody holds them.
        self._gone: WeakValueDictionary[str, Operation] = WeakValueDictionary()
        self._keyed: dict[str, Keys] = {}  # by operation, once one was asked for by key
        self._users: dict[str, dict[str, None]] = {}  # by name of a policy: operations that need it
        self._passed_over: set[str] = set()  # operations of which that was logged
        self._closing: dict[str, Closing] = {}  # checks that close a breaker
        self._followed = Followed()
        self._degrading: dict[str, str] = {}  # by error budget, the component that it degrades
        self._listening: dict[object, Listening] = {}
        self._health: HealthMonitor | None = None
        self._degradation: DegradationManager | None = None
        self._chaos: ManagerChaos | None = None
        self._slo: SloTracker | None = None
        self._timeouts: TimeoutManager | None = None
        self._running = False
        mind(self)
        enlist(self)
        ledger.enter(self, 0, ((MANAGER, self._meter, 0),))
        try:
            for preset in several:
                preset.apply(self)
        except BaseException:  # nobody gets this manager: nothing of it runs on
            self.stop(0)
            raise

    @property
    def name(self) -> str:
        """The name, for messages and metrics."""
        return self._name

    @property
    def clock(self) -> Clock:
        """The source of time of what is registered without one."""
        return self._clock

    # ---- registering policies ----

    def register_circuit_breaker(self, name: str, **settings: Any) -> CircuitBreaker:
        """Register a circuit breaker.

        Args:
            name: Its name.
            **settings: Those of ``CircuitBreaker``; or ``max_failures`` (consecutive failures that
                open it), ``timeout`` (seconds that a call may take; a longer one is a failure),
                ``reset_timeout`` (seconds it stays open), ``half_open_max_requests``.

        Returns:
            The living breaker of this name if its settings are equal, else a new one, which the
            operations that use this name pass from their next call on.

        Raises:
            ConfigError: A setting is invalid, or two contradict each other.
        """
        breaker: CircuitBreaker = self._register("circuit_breaker", name, (), settings)
        return breaker

    def register_retry_policy(self, name: str, **settings: Any) -> Retry:
        """Register a retry policy; see ``register_circuit_breaker``.

        Args:
            name: Its name.
            **settings: Those of ``Retry``; or ``max_retries`` (the first attempt is no retry),
                ``initial_delay`` or ``base_delay`` (seconds), ``max_delay``, ``multiplier`` or
                ``backoff_factor``, ``jitter``. ``on`` is every exception if it is not given.

        Raises:
            ConfigError: A setting is invalid, or two contradict each other.
        """
        retry: Retry = self._register("retry", name, (), settings)
        return retry

    def register_rate_limiter(self, name: str, **settings: Any) -> RateLimiter:
        """Register a rate limiter. It wins over an adaptive limiter of its name.

        Args:
            name: Its name.
            **settings: Those of ``RateLimiter``: ``rate`` and ``burst``, or ``limits`` …

        Raises:
            ConfigError: A setting is invalid, or two contradict each other.
        """
        limiter: RateLimiter = self._register("rate_limiter", name, (), settings)
        return limiter

    def register_adaptive_rate_limiter(self, name: str, **settings: Any) -> AdaptiveRateLimiter:
        """Register a rate limiter that adapts.

        Args:
            name: Its name.
            **settings: Those of ``AdaptiveRateLimiter``: ``rate``, ``min_rate``, ``max_rate`` …

        Raises:
            ConfigError: A setting is invalid, or two contradict each other.
        """
        limiter: AdaptiveRateLimiter = self._register(ADAPTIVE, name, (), settings)
        return limiter

    def register_bulkhead(
        self,
        name: str,
        max_concurrent: int | None = None,
        max_waiting: int | None = None,
        max_wait: float | timedelta | None = None,
        **settings: Any,
    ) -> Bulkhead:
        """Register a bulkhead; see ``register_circuit_breaker``.

        Args:
            name: Its name.
            max_concurrent: Calls that may run at the same time.
            max_waiting: Calls that may wait for a slot.
            max_wait: Seconds that they may wait.
            **settings: The others of ``Bulkhead``; None of the three above is its default.

        Raises:
            ConfigError: A setting is invalid, or two contradict each other.
        """
        three = {"max_concurrent": max_concurrent, "max_waiting": max_waiting, "max_wait": max_wait}
        settings.update((field, value) for field, value in three.items() if value is not None)
        bulkhead: Bulkhead = self._register("bulkhead", name, (), settings)
        return bulkhead

    def register_timeout(self, name: str, duration: float | timedelta, **settings: Any) -> Timeout:
        """Register how many seconds an operation may take, attempts and pauses together.

        Args:
            name: The name of the operation.
            duration: Seconds, above 0.
            **settings: The others of ``Timeout``, such as ``thread``.

        Raises:
            ConfigError: A setting is invalid.
        """
        timeout: Timeout = self._register("timeout", name, (duration,), settings)
        return timeout

    def register_error_budget(self, name: str, **settings: Any) -> ErrorBudget:
        """Register an error budget, also in ``slo``.

        Args:
            name: Its name.
            **settings: Those of ``ErrorBudget``: ``slo``, ``window`` …

        Raises:
            ConfigError: A setting of ``ErrorBudget`` is invalid.
        """
        budget: ErrorBudget = self._register("error_budget", name, (), settings)
        return budget

    def register_latency_budget(self, name: str, **settings: Any) -> LatencyBudget:
        """Register a latency budget, also in ``slo``.

        Args:
            name: Its name.
            **settings: Those of ``LatencyBudget``: ``target``, ``percentile``, ``samples`` …

        Raises:
            ConfigError: A setting of ``LatencyBudget`` is invalid.
        """
        budget: LatencyBudget = self._register("latency_budget", name, (), settings)
        return budget

    def register_hedge(self, name: str, **settings: Any) -> Hedge:
        """Register a hedge, which asks again when an answer is late.

        Args:
            name: Its name.
            **settings: Those of ``Hedge``: ``delay``, ``max`` …

        Raises:
            ConfigError: A setting of ``Hedge`` is invalid.
        """
        hedge: Hedge = self._register("hedge", name, (), settings)
        return hedge

    def register_fallback(self, name: str, value: Any, **settings: Any) -> Fallback:
        """Register a replacement for the final error.

        Args:
            name: Its name.
            value: A value, or a function of the exception.
            **settings: The others of ``Fallback``, such as ``on``.

        Raises:
            ConfigError: A setting of ``Fallback`` is invalid.
        """
        fallback: Fallback = self._register("fallback", name, (value,), settings)
        return fallback

    def register_fault(self, fault: Fault, operations: Iterable[str] | None = None) -> Fault:
        """Register a fault, which strikes calls while chaos is enabled. It is disabled at first.

        Args:
            fault: A fault of ``holdfast.chaos``.
            operations: The operations whose calls it strikes; None for all.

        Raises:
            ConfigError: ``fault`` is not a fault.
        """
        from holdfast.chaos import Fault as Faults

        problems = Problems("ResilienceManager", self._name)
        problems.instance("fault", fault, Faults, "a fault of holdfast.chaos")
        which = None
        if isinstance(operations, str) or not isinstance(operations, (Iterable, NoneType)):
            problems.refuse("operations", operations, "a list of names, or None")
        elif operations is not None:
            which = frozenset([problems.name(one, "operations") for one in operations])
        problems.done()
        self._put(fault.name, Entry("fault", fault, operations=which), is_ready=True)
        return fault

    def register(self, policy: Made) -> Made:
        """Register a policy that exists, under its own name.

        The metrics of all policies and those of this manager show it under its name.

        Raises:
            ConfigError: It is no policy with a name, or of a kind that no operation can have.
        """
        problems = Problems("ResilienceManager", self._name)
        given: object = policy
        kind = kind_in(given) if isinstance(given, Policy) and given._is_made else None
        if kind is None or policy.name is None:
            problems.refuse(
                "policy", policy, "a policy with a name that can be a part of a pipeline"
            )
            problems.done()
        assert kind is not None
        assert policy.name is not None
        self._put(policy.name, Entry(kind, policy), is_ready=True)
        return policy

    def unregister(self, kind: str, name: str) -> None:
        """Remove a policy, a fault, a check or an operation. Calls in flight end as they began.

        Args:
            kind: "circuit_breaker", "retry", "rate_limiter", "adaptive_rate_limiter", "bulkhead",
                "timeout", "error_budget", "latency_budget", "hedge", "fallback", "fault",
                "health_check" or "operation".
            name: Its name.

        Raises:
            LookupError: It is not registered.
            ConfigError: The kind does not exist, or an operation names it.
        """
        problems = Problems("ResilienceManager", self._name)
        problems.choice("kind", kind, (*KINDS, "health_check", "operation"))
        problems.done()
        settle()
        if kind == "health_check":
            self._closing.pop(name, None)
            self.health.remove(name)
            return
        news = _News()
        with self._lock:
            entry = None
            if kind == "operation":
                if name not in self._defined:
                    raise self._unknown("operation", name, tuple(self._defined))
                self._define(name, None)
                users = [name]
            else:
                entry = self._registered.get(kind, name)
                if entry is None:
                    raise self._unknown(KINDS[kind].words, name, self._names(kind))
                for operation in self._naming(kind, name):
                    problems.refuse("name", name, f"one that operation {operation!r} does not name")
                problems.done()
                self._registered.take(kind, name)
                users = self._users_of(entry, name)
            self._recompile(users, news)
        self._publish(news)
        words = "operation" if entry is None else KINDS[kind].words
        self._note("unregistered", words, name, "is no longer registered")
        if entry is not None:
            self._tell_parts(kind, name, entry)

    def _register(
        self, kind: str, name: str, args: tuple[Any, ...], settings: dict[str, Any]
    ) -> Any:
        entry = made(self._name, kind, name, args, {**self._common, **settings})
        return self._put(entry.policy.name, entry).policy

    def _put(self, name: str, entry: Entry, *, is_ready: bool = False) -> Entry:
        """Register an entry, or return the living one that equals it."""
        settle()
        with self._lock:
            there = self._registered.equal(name, entry, by_identity=is_ready)
        if there is not None:
            return there
        if not is_ready:
            entry.enter()  # before any call passes it: metrics miss none
        news = _News()
        with self._lock:
            before = self._registered.get(entry.kind, name)
            there = self._registered.put(name, entry, by_identity=is_ready)
            if there is not None:  # another thread was faster
                return there
            users = self._users_of(entry, name)
            if before is not None and entry.kind == "fault":
                users = list(dict.fromkeys((*users, *self._users_of(before, name))))
            try:
                self._recompile(users, news)
            except BaseException:  # too many policies for an operation: nothing has changed
                self._registered.put_back(entry.kind, name, before)
                self._recompile(users, news)
                raise
        self._publish(news)
        done = "is registered" if before is None else "is registered anew"
        self._note("registered", KINDS[entry.kind].words, name, done)
        self._tell_parts(entry.kind, name, before)
        return entry

    def _note(self, record: str, what: str, name: str, done: str) -> None:
        """Log what was done to something that is registered."""
        manager = self._name
        note(record, "manager", name, "manager %r: %s %r %s", manager, what, name, done,
             manager=manager)  # fmt: skip

    def _tell_parts(self, kind: str, name: str, before: Entry | None) -> None:
        """Have the parts know of what is registered under a name, and not of what was before."""
        if kind in BUDGETS:
            tell_tracker(self, kind, name)
        if kind == "error_budget":
            self._see_to_budget(name)
        if kind == "circuit_breaker":
            tell_checks(self, name)
        if kind == "timeout":
            tell_timeouts(self, name)
        for listening in list(self._listening.values()):
            if before is not None:
                listening.leave(before.policy)
            tell_listener(self, listening, kind, name)

    # ---- operations ----

    @explains_names
    def register_operation(
        self,
        name: str,
        *,
        circuit_breaker: CircuitBreaker | str | NotGiven | None = NOT_GIVEN,
        retry: Retry | str | NotGiven | None = NOT_GIVEN,
        rate_limiter: RateLimiter | str | NotGiven | None = NOT_GIVEN,
        bulkhead: Bulkhead | str | NotGiven | None = NOT_GIVEN,
        timeout: Timeout | str | float | timedelta | NotGiven | None = NOT_GIVEN,
        error_budget: Several[ErrorBudget] | NotGiven | None = NOT_GIVEN,
        latency_budget: Several[LatencyBudget] | NotGiven | None = NOT_GIVEN,
        hedge: Hedge | str | NotGiven | None = NOT_GIVEN,
        fallback: Fallback | str | NotGiven | None = NOT_GIVEN,
        degradation: str | None = None,
        critical: bool = False,
        order: Literal["recommended", "classic"] | None = None,
        keys: int = KEYS,
    ) -> Operation:
        """Join policies under the name of an operation.

        Each argument is the name of a policy, which may be registered later, or a policy. None is
        none. One that is not given is the policy that bears the name of the operation, if there is
        one.

        Args:
            name: The name of the operation.
            circuit_breaker: A circuit breaker.
            retry: A retry policy.
            rate_limiter: A rate limiter; of a name, the fixed one wins over the adaptive one.
            bulkhead: A bulkhead.
            timeout: A timeout, or seconds. None: no limit, not even the manager's default.
            error_budget: An error budget, or several.
            latency_budget: A latency budget, or several.
            hedge: A hedge.
            fallback: A fallback.
            degradation: The name of a component of ``degradation``. It is degraded while the
                breaker of the operation is open, or its error budget is exhausted.
            critical: Whether metrics and alerts mark the operation as critical.
            order: "recommended" or "classic"; None for the manager's.
            keys: How many keys ``keyed`` keeps apart, 1 to 10,000,000.

        Returns:
            The operation, as ``operation(name)`` returns it.

        Raises:
            ConfigError: An argument is invalid; the message lists all that are.
        """
        given: dict[str, Any] = {
            "error_budget": error_budget, "latency_budget": latency_budget, "fallback": fallback,
            "timeout": timeout, "retry": retry, "hedge": hedge, "circuit_breaker": circuit_breaker,
            "rate_limiter": rate_limiter, "bulkhead": bulkhead,
        }  # fmt: skip
        joined = {field: one for field, one in given.items() if one is not NOT_GIVEN}
        defined = definition(
            self._name,
            name,
            joined,
            self._common,
            degradation=degradation,
            critical=critical,
            order=order,
            keys=keys,
        )
        settle()
        news = _News()
        with self._lock:
            there = self._defined.get(name)
            is_news = there is None or not there.equals(defined)
            if is_news:
                news.policies += [(one, TIMEOUT_TOTAL) for one in defined.made()]
                self._define(name, defined)
            operation = self._made_operation(name)
            try:
                self._recompile([name], news)
            except BaseException:  # as above
                self._define(name, there)
                self._recompile([name], news)
                raise
        self._publish(news)
        if is_news:
            done = "is registered" if there is None else "is registered anew"
            self._note("registered", "operation", name, done)
        return operation

    def operation(self, name: str) -> Operation:
        """Return the operation of this name: a decorator with ``call``, ``acall``, ``describe``.

        A call through it spares the look-up of the name. It follows what is registered later.

        Raises:
            UnprotectedError: There is no policy of this name, or the operation names a policy that
                is not registered.
        """
        there: Any = self._handles.get(name)
        operation: Operation = self._missing(name) if there is None else there
        return operation

    def keyed(self, operation: str, key: Hashable) -> KeyedOperation:
        """Return an operation for one key, such as one exchange of many.

        Each key has its own circuit breaker, rate limiter, bulkhead and retry budget, with the
        settings of the operation's. Budgets, timeouts, hedge and fallback are shared with the
        operation, and so are all counts in metrics. See ``keys`` for all of them.

        The policies of a key are kept while a program holds them, while a call is inside, while the
        breaker is not closed, and while tokens are missing. Beyond ``keys`` of
        ``register_operation`` keys, others are dropped that were not used lately. If all are in
        use, a new key shares the policies of one overflow key, and is counted.

        Args:
            operation: The operation.
            key: A value that can be a key of a dict.

        Raises:
            UnprotectedError: No policy is registered for the operation, or not all that it names.
            ConfigError: ``key`` cannot be a key of a dict.

        >>> rm = ResilienceManager("market")
        >>> _ = rm.register_circuit_breaker("exchange", max_failures=5)
        >>> rm.keyed("exchange", "binance").call(len, "ok")
        2
        """
        try:
            there = self._keyed[operation]._table[key]
        except (KeyError, TypeError):
            return self.keys(operation)._find(key)
        if not there._recent:
            there._recent = True
        return there

    def keys(self, operation: str) -> Keys:
        """Return the keys of an operation: how many there are, their states, a reset of all.

        Raises:
            UnprotectedError: No policy is registered for the operation, or not all that it names.
        """
        there = self._keyed.get(operation)
        if there is None:
            from holdfast.manager.keyed import Keys

            self.operation(operation)
            made = Keys(operation, self)
            with self._lock:
                there = self._keyed.setdefault(operation, made)
        return there

    def _most_keys(self, operation: str) -> int:
        defined = self._defined.get(operation)
        return KEYS if defined is None else defined.keys

    def _listen_to_key(self, policy: Policy) -> None:
        """Have those who listen to all policies hear of one that a key has for itself."""
        for listening in list(self._listening.values()):
            listening.listen_to_key(policy)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations that were registered or called, in that order."""
        return tuple(self._operations.copy().values())

    def _missing(self, name: str) -> Operation:
        """Return an operation that was not called yet.

        Raises:
            UnprotectedError: It would pass nothing.
        """
        if not isinstance(name, str):
            raise self._unprotected(name, [])
        settle()
        news = _News()
        with self._lock:
            operation = self._operations.get(name)
            try:
                steps = self._steps(name, news)
            except Unresolved as error:
                raise self._unprotected(name, error.problems) from None
            if operation is None:
                operation = self._made_operation(name)
            self._compile(operation, steps, news)
        self._publish(news)
        return operation

    def _made_operation(self, name: str) -> Operation:
        operation = self._operations.get(name)
        if operation is None:
            operation = self._gone.pop(name, None) or Operation(name, self)
            self._operations[name] = operation
            self._users.setdefault(name, {})[name] = None
        return operation

    def _define(self, name: str, defined: Definition | None) -> None:
        """Have another definition of an operation, or none. The lock is held."""
        before = self._defined.pop(name, None)
        for needed in before.names() if before is not None else ():
            if needed != name:
                self._unuse(needed, name)
        if defined is not None:
            self._defined[name] = defined
            for needed in defined.names():
                self._users.setdefault(needed, {})[name] = None
        self._passed_over.discard(name)

    def _unuse(self, needed: str, operation: str) -> None:
        users = self._users.get(needed, {})
        users.pop(operation, None)
        if not users:
            self._users.pop(needed, None)

    def _users_of(self, entry: Entry, name: str) -> list[str]:
        """Return the operations that may pass an entry of this name. The lock is held."""
        if entry.kind != "fault":
            if (gone := self._gone.get(name)) is not None:
                self._made_operation(gone.name)
            return list(self._users.get(name, ()))
        return [one for one in self._operations if entry.strikes(one)]

    def _naming(self, kind: str, name: str) -> list[str]:
        """Return the operations whose definition names a policy."""
        field = "rate_limiter" if kind == ADAPTIVE else kind
        return [
            operation
            for operation in list(self._users.get(name, ()))
            if (defined := self._defined.get(operation)) is not None
            and name in defined.joined.get(field, ())
            and not (field == "rate_limiter" and self._other_limiter(kind, name))
        ]

    def _other_limiter(self, kind: str, name: str) -> bool:
        other = "rate_limiter" if kind == ADAPTIVE else ADAPTIVE
        return self._registered.get(other, name) is not None

    def _recompile(self, names: Iterable[str], news: _News) -> None:
        """Have operations pass what is registered from here on. The lock is held."""
        self._changes += 1
        self._meter.count(0)
        for name in names:
            operation = self._operations.get(name)
            if operation is None:
                continue
            try:
                steps = self._steps(name, news)
            except Unresolved:
                self._handles.pop(name, None)
                operation._turn_to(None)
                news.operations.append(operation)
                if name not in self._defined and name not in self._keyed:
                    self._gone[name] = self._operations.pop(name)
                    self._unuse(name, name)
                    self._passed_over.discard(name)
            else:
                self._compile(operation, steps, news)

    def _steps(self, name: str, news: _News) -> list[Policy]:
        """Return what an operation passes, outermost first. The lock is held.

        Raises:
            Unresolved: It would pass nothing, or names a policy that is not registered.
        """
        defined = self._defined.get(name)
        order = self._order if defined is None or defined.order is None else defined.order
        places, over = resolve(name, defined, self._registered)
        if over and name not in self._passed_over:
            self._passed_over.add(name)
            news.passed_over.append((name, over[0].policy.name))
        has_own = defined is not None and "timeout" in defined.joined
        if TOTAL not in places and not has_own and self._default_timeout is not None:
            operation = self._made_operation(name)
            timeout = operation._default_timeout(self._default_timeout, self._common)
            places[TOTAL] = [timeout]
        places["chaos"] = [
            entry.policy
            for entry in self._registered.of_kind("fault").values()
            if entry.strikes(name)
        ]
        return arranged(places, order)

    def _compile(self, operation: Operation, steps: list[Policy], news: _News) -> None:
        """Have an operation pass these policies from the next call on. The lock is held."""
        name = operation.name
        defined = self._defined.get(name)
        own = None if defined is None else defined.order
        operation._mark(
            critical=defined is not None and defined.critical,
            order=self._order if own is None else own,
        )
        while True:
            changes = self._changes
            operation._compile(steps)
            if changes == self._changes:
                break
            steps = self._steps(name, news)  # a finaliser has registered something meanwhile
        news.operations.append(operation)
        default = operation._take_default()
        if default is not None:
            news.policies.append((default, TIMEOUT_TOTAL))
        self._handles[name] = operation

    def _publish(self, news: _News) -> None:
        """Have others know what was made and compiled. The lock is not held."""
        for policy, role in news.policies:
            enter(policy, role)
        for operation in news.operations:
            self._see_to_degradation(operation)
            keys = self._keyed.get(operation.name)
            if keys is not None:
                keys._outdate()
        for name, limiter in news.passed_over:
            text = (
                "operation %r of manager %r: the fixed rate limiter %r wins over the adaptive one"
            )
            note("passed_over", "manager", name, text, name, self._name, limiter)

    def _unprotected(self, name: object, problems: list[str]) -> UnprotectedError:
        of = f"manager {self._name!r}"
        if problems:
            return UnprotectedError(f"operation {name!r} of {of}: {'; '.join(problems)}")
        if isinstance(name, str) and name in self._defined:
            return UnprotectedError(
                f"operation {name!r} of {of} has no policy: the call would be unprotected"
            )
        known = tuple(dict.fromkeys((*self._defined, *self._registered.names())))
        hint = nearest(name, known) if isinstance(name, str) else ""
        some = f"; it has {', '.join(map(repr, known[:10]))}" if known and not hint else ""
        return UnprotectedError(
            f"{of} has no policy and no operation {shown(name)}: the call would be "
            f"unprotected{hint}{some}"
        )

    def _unknown(self, words: str, name: object, known: tuple[str, ...]) -> LookupError:
        hint = nearest(name, known)
        return LookupError(f"manager {self._name!r} has no {words} {shown(name)}{hint}")

    def _names(self, kind: str) -> tuple[str, ...]:
        return tuple(self._registered.of_kind(kind))

    # ---- calling under one kind of protection; `execute` is native ----

    def execute_with_circuit_breaker(
        self, name: str, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call ``fn`` only under the circuit breaker and its timeout of ``name``.

        Raises:
            LookupError: There is no circuit breaker of this name; ``fn`` did not run.
        """
        entry = self._entry("circuit_breaker", name)
        breaker, limit = entry.policy, entry.call_timeout
        result: R = (
            breaker.call(fn, *args, **kwargs)
            if limit is None
            else breaker.call(limit.call, fn, *args, **kwargs)
        )
        return result

    async def aexecute_with_circuit_breaker(
        self, name: str, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Await ``fn`` for ``name``, as ``execute_with_circuit_breaker`` calls it."""
        entry = self._entry("circuit_breaker", name)
        breaker, limit = entry.policy, entry.call_timeout
        result: R = await (
            breaker.acall(fn, *args, **kwargs)
            if limit is None
            else breaker.acall(limit.acall, fn, *args, **kwargs)
        )
        return result

    def execute_with_retry(
        self, name: str, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call ``fn`` only under the retry policy of ``name``.

        Raises:
            LookupError: There is no retry policy of this name; ``fn`` did not run.
        """
        return self.retry(name).call(fn, *args, **kwargs)

    async def aexecute_with_retry(
        self, name: str, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Await ``fn`` for ``name``, as ``execute_with_retry`` calls it."""
        return await self.retry(name).acall(fn, *args, **kwargs)

    def execute_with_bulkhead(
        self, name: str, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call ``fn`` only under the bulkhead of ``name``.

        Raises:
            LookupError: There is no bulkhead of this name; ``fn`` did not run.
        """
        return self.bulkhead(name).call(fn, *args, **kwargs)

    async def aexecute_with_bulkhead(
        self, name: str, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Await ``fn`` for ``name``, as ``execute_with_bulkhead`` calls it."""
        return await self.bulkhead(name).acall(fn, *args, **kwargs)

    def execute_with_degradation(
        self,
        name: str,
        normal: Callable[..., R],
        degraded: Callable[..., R] | None = None,
        emergency: Callable[..., R] | None = None,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> R:
        """Call the function that belongs to the level of a component.

        Args:
            name: The component.
            normal: The function to call while the component is normal.
            degraded: The function to call while it is degraded; None for ``normal``.
            emergency: The function to call in an emergency; None for none.
            args: Positional arguments of the function.
            kwargs: Keyword arguments of the function.

        Raises:
            EmergencyModeError: It is an emergency, and there is no function for it.

        See ``DegradationManager.execute``.
        """
        return self.degradation.execute(name, normal, degraded, emergency, args, kwargs)

    async def aexecute_with_degradation(
        self,
        name: str,
        normal: Callable[..., Any],
        degraded: Callable[..., Any] | None = None,
        emergency: Callable[..., Any] | None = None,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Await the function that belongs to the level of a component.

        Args:
            name: The component.
            normal: The function to await while the component is normal.
            degraded: The function to await while it is degraded; None for ``normal``.
            emergency: The function to await in an emergency; None for none.
            args: Positional arguments of the function.
            kwargs: Keyword arguments of the function.

        See ``DegradationManager.aexecute``.
        """
        return await self.degradation.aexecute(name, normal, degraded, emergency, args, kwargs)

    def execute_with_recovery(
        self, name: str, fn: Callable[[], Any], fallback: Any = None
    ) -> RecoveryOutcome:
        """Call ``fn`` as ``execute`` does, and a fallback if that fails; return the outcome.

        Every attempt passes the circuit breaker: while that is open, ``fn`` is not called.

        Args:
            name: The operation.
            fn: A function without arguments.
            fallback: A replacement after a failure or a rejection: a value, or a function, which is
                called with the error if it takes an argument. None for no replacement.

        Raises:
            UnprotectedError: There is no policy of this name; ``fn`` did not run.
            TypeError: ``fn`` or ``fallback`` is a coroutine function.
        """
        from holdfast.manager.recovery import recover

        return recover(self.operation(name), fn, fallback)

    async def aexecute_with_recovery(
        self, name: str, fn: Callable[[], Awaitable[Any]], fallback: Any = None
    ) -> RecoveryOutcome:
        """Await ``fn`` for ``name``, as ``execute_with_recovery`` calls it.

        The ``fallback`` may be asynchronous.
        """
        from holdfast.manager.recovery import arecover

        return await arecover(self.operation(name), fn, fallback)

    def check_rate_limit(self, name: str, n: int = 1) -> bool:
        """Take ``n`` tokens of the rate limiter of a name; return whether there were as many.

        The fixed limiter of a name wins over the adaptive one. A name that has other policies but
        no limiter allows everything.

        Args:
            name: The name of a limiter or of an operation.
            n: How many tokens.

        Raises:
            UnprotectedError: There is no policy of this name.
        """
        for kind in ("rate_limiter", ADAPTIVE):
            entry = self._registered.get(kind, name)
            if entry is not None:
                return bool(entry.policy.try_acquire(n))
        for policy in self.operation(name).policies:
            if policy.kind == "rate_limiter":
                limiter: Any = policy
                return bool(limiter.try_acquire(n))
        return True

    def maybe_inject_fault(self, name: str | None = None) -> None:
        """Pass the faults of an operation, as a call of it would; what strikes is raised or waited.

        Args:
            name: The operation; None passes the faults of all operations.
        """
        for entry in self._registered.of_kind("fault").values():
            if name is None or entry.strikes(name):
                entry.policy.call(_nothing)

    def record_request(self, name: str, ok: bool, n: int = 1) -> None:
        """Count requests in an error budget that did not pass an operation with this budget.

        Raises:
            LookupError: There is no error budget of this name.
            ConfigError: ``ok`` or ``n`` is invalid.
        """
        self.error_budget(name).record(ok, n)

    def record_latency(self, name: str, seconds: float | timedelta) -> None:
        """Record a duration that no operation has measured, in a latency budget.

        It is also a sample for the adaptive limiter of this name or, if there is no such limiter,
        for all adaptive limiters.

        Raises:
            LookupError: There is no latency budget of this name.
            ConfigError: ``seconds`` is not a duration.
        """
        self.latency_budget(name).record(seconds)
        adaptive = self._registered.of_kind(ADAPTIVE)
        for entry in [adaptive[name]] if name in adaptive else adaptive.values():
            entry.policy.record(seconds)

    # ---- what is registered ----

    def _entry(self, kind: str, name: str) -> Entry:
        entry = self._registered.get(kind, name)
        if entry is None:
            raise self._unknown(KINDS[kind].words, name, self._names(kind))
        return entry

    def circuit_breaker(self, name: str) -> CircuitBreaker:
        """Return the breaker registered as ``name``. Raises LookupError if there is none."""
        policy: CircuitBreaker = self._entry("circuit_breaker", name).policy
        return policy

    def retry(self, name: str) -> Retry:
        """Return the retry policy registered as ``name``. Raises LookupError if there is none."""
        policy: Retry = self._entry("retry", name).policy
        return policy

    def rate_limiter(self, name: str) -> RateLimiter:
        """Return the rate limiter of a name, the fixed one if there are two.

        Raises:
            LookupError: There is none.
        """
        adaptive = self._registered.get(ADAPTIVE, name)
        fixed = self._registered.get("rate_limiter", name)
        if fixed is None and adaptive is None:
            known = self._names("rate_limiter") + self._names(ADAPTIVE)
            raise self._unknown("rate limiter", name, known)
        policy: RateLimiter = (fixed or adaptive).policy  # type: ignore[union-attr]  # one is there
        return policy

    def adaptive_rate_limiter(self, name: str) -> AdaptiveRateLimiter:
        """Return the adaptive limiter of ``name``. Raises LookupError if there is none."""
        policy: AdaptiveRateLimiter = self._entry(ADAPTIVE, name).policy
        return policy

    def bulkhead(self, name: str) -> Bulkhead:
        """Return the bulkhead registered as ``name``. Raises LookupError if there is none."""
        policy: Bulkhead = self._entry("bulkhead", name).policy
        return policy

    def timeout(self, name: str) -> Timeout:
        """Return the timeout registered as ``name``. Raises LookupError if there is none."""
        policy: Timeout = self._entry("timeout", name).policy
        return policy

    def error_budget(self, name: str) -> ErrorBudget:
        """Return the error budget registered as ``name``. Raises LookupError if there is none."""
        policy: ErrorBudget = self._entry("error_budget", name).policy
        return policy

    def latency_budget(self, name: str) -> LatencyBudget:
        """Return the latency budget registered as ``name``. Raises LookupError if there is none."""
        policy: LatencyBudget = self._entry("latency_budget", name).policy
        return policy

    def hedge(self, name: str) -> Hedge:
        """Return the hedge registered as ``name``. Raises LookupError if there is none."""
        policy: Hedge = self._entry("hedge", name).policy
        return policy

    def fallback(self, name: str) -> Fallback:
        """Return the fallback registered as ``name``. Raises LookupError if there is none."""
        policy: Fallback = self._entry("fallback", name).policy
        return policy

    def fault(self, name: str) -> Fault:
        """Return the fault registered as ``name``. Raises LookupError if there is none."""
        policy: Fault = self._entry("fault", name).policy
        return policy

    def policies(self) -> dict[str, dict[str, Policy]]:
        """Return all registered policies, by kind and name."""
        found: dict[str, dict[str, Policy]] = {}
        for kind, name, entry in self._registered.all():
            found.setdefault(kind, {})[name] = entry.policy
        return found

    # ---- parts ----

    @property
    def health(self) -> HealthMonitor:
        """The health monitor: every 10 s, at most 5 s a check. Made when it is first used."""
        there = self._health
        if there is not None:
            return there
        from holdfast.health.monitor import HealthMonitor

        settle()
        made = HealthMonitor(self._name, interval=10.0, timeout=5.0, clock=self._clock)
        with self._lock:
            if self._health is None:
                self._health = made
            is_new, running = self._health is made, self._running
        if is_new and running:
            self._start_part(made)
        return self._health

    @property
    def degradation(self) -> DegradationManager:
        """The levels of components, and features. Made when it is first used."""
        if self._degradation is None:
            from holdfast.degradation.manager import DegradationManager

            settle()
            made = DegradationManager(self._name, clock=self._clock)
            with self._lock:
                if (there := self._degradation) is None:
                    there = self._degradation = made
            return there
        return self._degradation

    @property
    def chaos(self) -> ManagerChaos:
        """Chaos for the faults of this manager: off until it is enabled."""
        if self._chaos is None:
            from holdfast.manager.chaos import ManagerChaos

            with self._lock:
                if (there := self._chaos) is None:
                    there = self._chaos = ManagerChaos(self)
            return there
        return self._chaos

    @property
    def slo(self) -> SloTracker:
        """The tracker of all registered budgets. Made when it is first used."""
        if self._slo is None:
            from holdfast.policies.slo_tracker import SloTracker

            settle()
            made = SloTracker()
            with self._lock:
                if self._slo is None:
                    self._slo = made
                budgets = [(kind, name) for kind, name, _ in self._registered.all()]
            for kind, name in budgets:
                if kind in BUDGETS:
                    tell_tracker(self, kind, name)
        return self._slo

    @property
    def timeouts(self) -> TimeoutManager:
        """Operations by identifier, with deadlines, that can be cancelled; made when first used.

        The types of operations are the names of registered timeouts; others have the manager's
        ``default_timeout``, or 30 s.
        """
        there = self._timeouts
        if there is not None:
            return there
        from holdfast.manager.timeouts import TimeoutManager

        settle()
        made = TimeoutManager(
            self._name,
            default=DEFAULT_SECONDS if self._default_timeout is None else self._default_timeout,
            **self._common,
        )
        with self._lock:
            if self._timeouts is None:
                self._timeouts = made
            is_new, running = self._timeouts is made, self._running
        for name in self._names("timeout"):
            tell_timeouts(self, name)
        if is_new and running:
            self._start_part(made)
        return self._timeouts

    def register_health_check(
        self, check: Check, *, closes: CircuitBreaker | str | None = None, opens: bool = False
    ) -> Check:
        """Have the health monitor watch a check; it replaces one of its name.

        Args:
            check: A check of ``holdfast.health``.
            closes: The breaker that the check closes, or its name; see ``HealthMonitor.add``.
            opens: Whether the check opens this breaker when it becomes unhealthy.

        Raises:
            LookupError: No breaker of this name is registered.
            ConfigError: An argument is invalid.
        """
        from holdfast.health.check import Check as Checks

        problems = Problems("ResilienceManager", self._name)
        problems.instance("check", check, Checks, "a check of holdfast.health")
        problems.flag("opens", opens)
        problems.done()
        breaker = self.circuit_breaker(closes) if isinstance(closes, str) else closes
        self.health._put(check, breaker, opens=opens)
        self._closing.pop(check.name, None)
        if isinstance(closes, str):
            self._closing[check.name] = Closing(check, closes, opens=opens)
            tell_checks(self, closes)
        return check

    def is_healthy(self) -> bool:
        """Return whether every health check is healthy; unknown is not. True without checks."""
        monitor = self._health
        return True if monitor is None else monitor.is_healthy

    def _see_to_degradation(self, operation: Operation) -> None:
        """Have a component follow what an operation passes."""
        name = operation.name
        with self._lock:
            defined = self._defined.get(name)
            wanted = {}
            if defined is not None and defined.degradation is not None:
                wanted = {
                    (defined.degradation, id(policy)): policy
                    for policy in operation.policies
                    if policy.kind in ("circuit_breaker", "error_budget")
                }
            self._followed.update(name, wanted)
        self._followed.tell(self._component)

    def degrade_while_exhausted(self, budget: str, component: str | None = None) -> None:
        """Have a component of ``degradation`` be degraded while an error budget is exhausted.

        It also follows budgets that are registered under this name later.

        Args:
            budget: The name of a registered error budget.
            component: The name of the component; None: that of the budget.

        Raises:
            LookupError: There is no error budget of this name.
            ConfigError: ``component`` is not a name.
        """
        self.error_budget(budget)
        problems = Problems("ResilienceManager", self._name)
        name = budget if component is None else problems.name(component, "component")
        problems.done()
        self._degrading[budget] = name
        self._see_to_budget(budget)

    def _see_to_budget(self, name: str) -> None:
        """Have a component follow an error budget, if one is to."""
        with self._lock:
            component = self._degrading.get(name)
            if component is None:
                return
            entry = self._registered.get("error_budget", name)
            wanted = {} if entry is None else {(component, id(entry.policy)): entry.policy}
            self._followed.update(f"\0{name}", wanted)  # no operation has such a name
        self._followed.tell(self._component)

    def _component(self, name: str) -> Component:
        return self.degradation.component(name)

    # ---- its life ----

    @property
    def running(self) -> bool:
        """Whether it was started in this process and not stopped since."""
        settle()
        return self._running

    def start(self) -> None:
        """Start what runs in the background: health checks, and the look at active operations.

        Started again, nothing changes.

        Raises:
            RuntimeError: No thread can be started.
        """
        settle()
        with self._lock:
            was = self._runs(True)
            parts = self._parts()
        idle = [part for part in parts if not part.running]
        try:
            for part in parts:
                self._start_part(part)
        except BaseException:
            self._take_back(was, idle)
            raise
        if not was:
            note("manager_started", "manager", self._name, "manager %r is started", self._name)

    async def astart(self) -> None:
        """Start with this event loop: asynchronous checks are tasks of it."""
        settle()
        with self._lock:
            was = self._runs(True)
            parts = self._parts()
        idle = [part for part in parts if not part.running]
        try:
            for part in parts:
                await part.astart()
                if not self._running:
                    await part.astop(0)
        except BaseException:
            self._take_back(was, idle)
            raise
        if not was:
            note("manager_started", "manager", self._name, "manager %r is started", self._name)

    def stop(self, timeout: float | timedelta = 10.0) -> bool:
        """Stop what runs in the background, and wait until it has ended. Calls go on as before.

        Operations of ``timeouts`` are cancelled, and it waits for them.

        It may be called from anywhere, any number of times, also by a check or a callback, and
        start again afterwards. No lock is held while it waits.

        Args:
            timeout: How many seconds to wait at most, for all parts together; 0 never waits.

        Returns:
            Whether nothing of it runs any more.

        Raises:
            ConfigError: ``timeout`` is not a duration.
        """
        timeout_ns = wait_to_ns("timeout", timeout)
        settle()
        with self._lock:
            was = self._runs(False)
            parts = self._parts()[::-1]
        if was:
            note("manager_stopped", "manager", self._name, "manager %r is stopped", self._name)
        from holdfast.manager.stopping import stop_all

        return stop_all(parts, timeout_ns)

    async def astop(self, timeout: float | timedelta = 10.0) -> bool:  # noqa: ASYNC109 - as in stop
        """Stop as ``stop(timeout)`` does, without blocking the event loop."""
        timeout_ns = wait_to_ns("timeout", timeout)
        settle()
        with self._lock:
            was = self._runs(False)
            parts = self._parts()[::-1]
        if was:
            note("manager_stopped", "manager", self._name, "manager %r is stopped", self._name)
        from holdfast.manager.stopping import astop_all

        return await astop_all(parts, timeout_ns)

    def _runs(self, running: bool) -> bool:
        """Show whether it runs; return whether it did. The lock is held."""
        was, self._running = self._running, running
        self._meter.set(0, int(running))
        return was

    def _parts(self) -> list[Any]:
        """Return the parts that run in the background and were used, in the order of a start."""
        return [part for part in (self._timeouts, self._health) if part is not None]

    def _start_part(self, part: Any) -> None:
        part.start()
        if not self._running:  # stopped meanwhile
            part.stop(0)

    def _take_back(self, was: bool, idle: list[Any]) -> None:
        """After a start that failed: what ran before it runs, and nothing else."""
        if was:
            return
        with self._lock:
            self._runs(False)
        from holdfast.manager.stopping import stop_all

        stop_all(idle[::-1], 0)

    def _after_fork(self) -> None:
        """In a forked child: have a lock that nobody holds, and nothing that runs."""
        self._lock = RLock()
        self._running = False
        self._followed.after_fork()

    # ---- looking ----

    def lint(self) -> list[Finding]:
        """Return warnings about what is registered: valid, but probably unintended.

        Examples are policies that no operation uses, operations that name a policy which is not
        registered, and what ``Pipeline.lint`` finds in each operation.
        """
        from holdfast.manager.lint import lint

        return lint(self)

    def snapshot(self) -> ManagerSnapshot:
        """Return the state of everything that is registered, and of the parts that were used."""
        from holdfast.manager.snapshot import snapshot_of

        return snapshot_of(self)

    def on_event(self, listener: Callable[[Any], object]) -> Callable[[], None]:
        """Call ``listener(event)`` for the events of all policies, also of those that come later.

        See ``Policy.on_event``. Events of the parts are theirs: ``health.on_event`` …

        Returns:
            A function that removes the listener.

        Raises:
            TypeError: ``listener`` does not accept one argument.
        """
        key, listening = object(), Listening(listener)
        with self._lock:
            self._listening[key] = listening
            there = [(kind, name) for kind, name, _ in self._registered.all()]
        try:
            for kind, name in there:
                tell_listener(self, listening, kind, name)
            for keys in list(self._keyed.values()):
                for policy in keys._policies():
                    listening.listen_to_key(policy)
        except BaseException:
            self._listening.pop(key, None)
            listening.end()
            raise

        def unsubscribe() -> None:
            self._listening.pop(key, None)
            listening.end()

        return unsubscribe

    def __repr__(self) -> str:
        every = sum(len(named) for named in self.policies().values())
        state = ", running" if self._running else ""
        return (
            f"<ResilienceManager {self._name!r}: {every} policies, "
            f"{len(self._handles)} operations{state}>"
        )


gate._own_methods(ResilienceManager)


class _News:
    """What was made and compiled under the lock, of which others are told without it."""

    __slots__ = ("operations", "passed_over", "policies")

    def __init__(self) -> None:
        self.passed_over: list[tuple[str, str]] = []  # operations, and the limiters that win
        self.policies: list[tuple[Policy, int | None]] = []  # with their roles
        self.operations: list[Operation] = []


def _presets(problems: Problems, given: Any) -> Sequence[Any]:
    """Return the presets that were given, and note those that do not exist."""
    if given is None:
        return ()
    from holdfast.manager.presets import read

    return read(problems, "presets", given)


def _nothing() -> None:
    """What is called where only faults are to strike."""
