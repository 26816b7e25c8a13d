"""ComponentManager: the components of a node, started in phases, checked, and brought back.

Owns the parts by name, the settings, and the answers about health. Elsewhere: the order of the
phases (``phases``), what each of them starts (``layers``), recoveries (``supervisor``), and sending
(``guarded``).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from holdfast.clock import read_clock
from holdfast.errors import ConfigError
from holdfast.forks import mind
from holdfast.health.result import CheckResult
from holdfast.life import Life
from holdfast.locks import RLock
from holdfast.periodic import Periodic
from holdfast.policies.breaker import CircuitBreaker
from holdfast.supervision.adapted import Given, check_settings, read_given
from holdfast.supervision.errors import AlreadyStartedError
from holdfast.supervision.guarded import Guarded
from holdfast.supervision.layers import ComponentLayer, ResilienceLayer
from holdfast.supervision.managed import ComponentManagerSnapshot
from holdfast.supervision.phases import Phases
from holdfast.supervision.supervisor import Supervisor
from holdfast.validation import Problems, answers_at_once, explains_names
from holdfast.whole import Whole

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from datetime import timedelta
    from typing import Any, TypeAlias

    from holdfast.clock import Clock
    from holdfast.events import Event, Listener
    from holdfast.supervision.status import ComponentStatus

    #: A part: an object with ``start`` and ``stop``, or a factory of such objects.
    Part: TypeAlias = Any

__all__ = ["ComponentManager"]

_MOST_FAILURES = 1_000_000
_RESILIENCE = 3  # the number of its phase
#: The phase of each part that has a name of its own.
_PHASES = {
    "transport": 0,
    "compression": 0,
    "prediction": 1,
    "partitioner": 1,
    "sync": 2,
    "consensus": 2,
}
_MANAGER_METHODS = ("start", "stop", "execute", "is_healthy")


class ComponentManager(Guarded, Whole, Life):
    """Starts the components of a node in phases, looks after them, and guards its transport.

    Phase 0 starts the transport and the compression, phase 1 the prediction and the task
    partitioner, phase 2 the synchronisation and the consensus, and phase 3 the circuit breaker of
    the transport and the resilience manager. A phase starts when the checks of the one before it
    have passed. If one fails, what had started is stopped again, in reverse.

    Each component is checked every ``interval`` seconds. The supervisor recovers a component that
    fails: see ``Supervisor``. A part that was given as a factory is stopped and made anew, any
    other is stopped and started again. While the manager is disabled, ``start`` does nothing.

    A part is an object with a ``start``, a ``stop`` or ``close``, and perhaps a ``check``,
    ``health_check`` or ``is_healthy``, each of which may be a coroutine function; or a callable
    without arguments that returns such an object. The transport also has ``send``, and perhaps
    ``receive``.

    Args:
        name: For messages and metrics, 1 to 200 characters.
        enabled: Whether a start starts anything.
        transport: The part that sends and receives; None: there is none, as of the others.
        compression: The part that compresses.
        prediction: The part that predicts bandwidth and latency.
        partitioner: The part that divides tasks.
        sync: The part that synchronises the state of all nodes.
        consensus: The part that elects a leader.
        resilience: A ``ResilienceManager``, or a callable that makes one; it runs as long as this
            manager does. None: sending is not protected by one.
        max_failures: Consecutive failures that open the transport's circuit breaker.
        reset_timeout: Seconds that it stays open; the first success then closes it.
        interval: Seconds from one check of a component to the next.
        timeout: How many seconds a check may take.
        max_restarts: As of ``Supervisor``; None: every component has its own attempts, and there
            is no common bound.
        within: As of ``Supervisor``.
        degradation: The ``DegradationManager`` whose components follow those of this manager. None:
            that of a resilience manager which was given as an object.
        on_metrics: Called with a snapshot every ``metrics_interval`` seconds while it runs.
        metrics_interval: Seconds.
        clock: The source of time; use a ``ManualClock`` in tests.
        **settings: Settings of ``Supervisor.add`` for all components: ``attempts``, ``backoff``,
            ``first_delay``, ``healthy_after``, ``cool_down``, ``start_timeout`` …

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops. A forked child has started nothing.

    >>> manager = ComponentManager("node", transport=None, max_failures=5)
    >>> with manager: print(manager.is_healthy(), manager.circuit_breaker_state())
    True closed
    """

    kind = "component_manager"

    @explains_names
    def __init__(
        self,
        name: str,
        *,
        enabled: bool = True,
        transport: Part = None,
        compression: Part = None,
        prediction: Part = None,
        partitioner: Part = None,
        sync: Part = None,
        consensus: Part = None,
        resilience: Any = None,
        max_failures: int = 5,
        reset_timeout: float | timedelta = 30.0,
        interval: float | timedelta = 10.0,
        timeout: float | timedelta = 5.0,
        max_restarts: int | None = None,
        within: float | timedelta = 60.0,
        degradation: Any = None,
        on_metrics: Callable[[ComponentManagerSnapshot], object] | None = None,
        metrics_interval: float | timedelta = 5.0,
        clock: Clock | None = None,
        **settings: Any,
    ) -> None:
        problems = Problems("ComponentManager", name)
        self._name = problems.name(name)
        self._clock = read_clock(problems, clock)
        problems.done()
        self._lock = RLock()  # held for moments; nothing of a user's runs under it
        self._waiters: list[Any] = []  # for events, of starts that go on
        self._listening: dict[object, list[Any]] = {}  # a listener, and what ends it
        self._added: dict[str, Given] = {}  # by ``add``
        self._transport: Any = None  # the one that has been verified
        self._phases = Phases(
            self._name, [*(ComponentLayer(self, number) for number in range(3)), self._layer()]
        )
        self._configure(
            {
                "enabled": enabled,
                **dict(
                    zip(
                        _PHASES,
                        (transport, compression, prediction, partitioner, sync, consensus),
                        strict=True,
                    )
                ),
                "resilience": resilience,
                "max_failures": max_failures,
                "reset_timeout": reset_timeout,
                "interval": interval,
                "timeout": timeout,
                "max_restarts": max_restarts,
                "within": within,
                "degradation": degradation,
                "on_metrics": on_metrics,
                "metrics_interval": metrics_interval,
            },
            settings,
        )
        mind(self)

    @property
    def name(self) -> str:
        """The name, for messages and metrics."""
        return self._name

    @property
    def enabled(self) -> bool:
        """Whether a start starts anything."""
        return self._enabled

    @property
    def supervisor(self) -> Supervisor:
        """The supervisor of the components."""
        return self._supervisor

    # ---- its settings ----

    def configure(self, **settings: Any) -> None:
        """Change settings: those of the constructor except ``name`` and ``clock``.

        Raises:
            AlreadyStartedError: The manager runs; the settings are the same as before.
            ConfigError: A setting is invalid or unknown; the settings are the same as before.
        """
        if self._phases.is_begun:
            raise AlreadyStartedError(
                f"component manager {self._name!r} cannot be configured while it runs: stop it"
                " first"
            )
        own = {name: settings.pop(name) for name in tuple(settings) if name in self._own}
        self._configure({**self._own, **own}, {**self._settings, **settings})

    @explains_names
    def add(
        self, component: Any, *, phase: int = 0, name: str | None = None, **settings: Any
    ) -> None:
        """Look after a further component. A running manager starts the component.

        Args:
            component: A part, as those of the constructor.
            phase: The phase that it starts in, 0 to 2, after those that were added before.
            name: Its name; None: that of the object.
            **settings: Those of ``Supervisor.add``; else those of the constructor.

        Raises:
            ConfigError: An argument is invalid, or there is a component of this name.
        """
        problems = Problems("ComponentManager", self._name)
        phase = problems.integer("phase", phase, least=0, most=_RESILIENCE - 1)
        its = problems.name(getattr(component, "name", None) if name is None else name)
        if its in self._parts:
            problems.refuse("name", its, "one that no other component has")
        check_settings(problems, settings, ())
        given = read_given(problems, its, phase, component, {**self._settings, **settings})
        problems.done()
        assert given is not None
        self._supervisor.add(given.component(), **given.options())
        with self._lock:
            self._added[its] = self._parts[its] = given

    def _configure(self, own: dict[str, Any], settings: dict[str, Any]) -> None:
        """Take these settings, all or none of them."""
        problems = Problems("ComponentManager", self._name)
        enabled = problems.flag("enabled", own["enabled"])
        parts: dict[str, Given] = {}
        for name, phase in _PHASES.items():
            if own[name] is not None:
                given = read_given(problems, name, phase, own[name], dict(settings))
                if given is not None:
                    parts[name] = given
        _check_transport(problems, parts.get("transport"), own["transport"])
        _check_resilience(problems, own["resilience"])
        on_metrics = problems.asked("on_metrics", own["on_metrics"])
        metrics = supervisor = None
        try:
            if on_metrics is not None:
                metrics = self._metrics_loop(on_metrics, own["metrics_interval"])
        except ConfigError as error:
            problems.adopt(error)
        problems.integer("max_failures", own["max_failures"], least=1, most=_MOST_FAILURES)
        problems.duration("reset_timeout", own["reset_timeout"], least_ns=1)
        check_settings(problems, settings, own)
        try:
            supervisor = self._new_supervisor(own)
        except ConfigError as error:
            problems.adopt(error)
        problems.done()
        assert supervisor is not None
        parts.update(self._added)
        for part in parts.values():
            supervisor.add(part.component(), **part.options())
        with self._lock:
            self._own, self._settings = own, settings
            self._enabled, self._parts = enabled, parts
            self._metrics = metrics
            self._supervisor = supervisor
            for listening in self._listening.values():
                listening[1]()
                listening[1] = supervisor.on_event(listening[0])
        supervisor.on_event(self._hear)

    def _metrics_loop(
        self, on_metrics: Callable[[ComponentManagerSnapshot], object], interval: Any
    ) -> Periodic:
        name = f"metrics of {self._name}"
        return Periodic(lambda: on_metrics(self.snapshot()), interval, name=name, clock=self._clock)

    def _new_supervisor(self, own: dict[str, Any]) -> Supervisor:
        degradation = own["degradation"]
        if degradation is None and not _is_factory(own["resilience"]):
            degradation = getattr(own["resilience"], "degradation", None)
        return Supervisor(
            self._name,
            max_restarts=own["max_restarts"],
            within=own["within"],
            interval=own["interval"],
            timeout=own["timeout"],
            degradation=degradation,
            clock=self._clock,
        )

    # ---- its life ----

    @property
    def running(self) -> bool:
        """Whether all phases have started in this process, and no stop has begun since."""
        return self._phases.running

    def start(self) -> None:
        """Start all phases; return once the checks of all components have passed.

        A disabled manager starts nothing.

        Raises:
            AlreadyStartedError: It was started, and not stopped since.
            PhaseStartError: A phase did not start; everything was stopped again.
        """
        if self._enabled:
            self._phases.start()

    async def astart(self) -> None:
        """Start in this event loop: coroutine functions run in its tasks; see ``start``."""
        if self._enabled:
            await self._phases.astart()

    def stop(self, timeout: float | timedelta = 10.0) -> bool:
        """End all recoveries, and stop the phases in reverse order.

        It may be called from anywhere, any number of times, also by a check or a callback, and
        start again afterwards.

        Args:
            timeout: How many seconds to wait at most, for all phases together; 0 never waits.

        Returns:
            Whether nothing of it runs any more.

        Raises:
            ConfigError: ``timeout`` is not a duration.
        """
        return self._phases.stop(timeout)

    async def astop(self, timeout: float | timedelta = 10.0) -> bool:  # noqa: ASYNC109 - as in stop
        """Stop as ``stop(timeout)`` does, without blocking the event loop."""
        return await self._phases.astop(timeout)

    def _layer(self) -> ResilienceLayer:
        self._resilient = layer = ResilienceLayer(self, _RESILIENCE)
        return layer

    def _empty_supervisor(self) -> None:
        """Leave to each phase what it adds."""
        there = self._supervisor.status()
        for name in reversed(self._parts):
            if name in there:
                self._supervisor.remove(name)

    def _supervise(self, part: Given) -> str:
        self._supervisor.add(part.component(), **part.options())
        return part.name

    def _new_breaker(self) -> CircuitBreaker:
        own = self._own
        return CircuitBreaker(
            f"{self._name}-transport",
            failure_threshold=own["max_failures"],
            reset_timeout=own["reset_timeout"],
            success_threshold=1,
            clock=self._clock,
        )

    def _given_resilience(self) -> Any:
        given = self._own["resilience"]
        return given() if _is_factory(given) else given

    @contextmanager
    def _heard_by(self, waiter: Any) -> Generator[None]:
        """Have events wake a waiter."""
        with self._lock:
            self._waiters.append(waiter)
        try:
            yield
        finally:
            with self._lock:
                self._waiters.remove(waiter)

    def _hear(self, event: Event) -> None:
        if event.kind in ("started", "recovered"):
            self._take_transport([event.name or ""])
        self._wake()

    def _take_transport(self, verified: list[str]) -> None:
        """Send by the transport from now on, if it is one of those that were verified."""
        if "transport" in verified:
            self._transport = self._parts["transport"].object

    def _wake(self) -> None:
        with self._lock:
            waiters = tuple(self._waiters)
        for waiter in waiters:
            waiter.wake()

    def _after_fork(self) -> None:
        """In a forked child: have a lock that nobody holds, and nothing that was started."""
        self._lock = RLock()
        self._waiters = []
        self._transport = None
        self._resilient.forget()

    # ---- its health ----

    def is_healthy(self) -> bool:
        """Return whether all components run, and the resilience manager is healthy.

        True while the manager is disabled. False if it is enabled and was not started.
        """
        return self.check().verdict == "passed"

    def check(self) -> CheckResult:
        """Return what ``is_healthy()`` says, with the reason: a supervisor may look after this."""
        if not self._enabled:
            return CheckResult("passed", "disabled")
        if not self.running:
            return CheckResult("failed", "not started")
        down = [
            f"{name} is {status.state}"
            for name, status in self._supervisor.status().items()
            if not (status.healthy or status.state == "finished")
        ]
        layer = self._resilient.resilience
        if layer is not None and not layer.is_healthy():
            down.append("the resilience manager is unhealthy")
        return CheckResult("failed", ", ".join(down)) if down else CheckResult("passed")

    def status(self) -> dict[str, ComponentStatus]:
        """Return the status of each component, by name."""
        return dict(self._supervisor.status())

    def snapshot(self) -> ComponentManagerSnapshot:
        """Return the state of everything."""
        return ComponentManagerSnapshot(
            name=self._name,
            enabled=self._enabled,
            running=self.running,
            healthy=self.is_healthy(),
            circuit_breaker=self.circuit_breaker_state(),
            supervisor=self._supervisor.snapshot(),
            resilience=self.resilience_metrics(),
        )

    def on_event(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener(event)`` for what happens to components; see ``Supervisor.on_event``.

        Returns:
            A function that removes the listener.

        Raises:
            TypeError: ``listener`` does not accept one argument.
        """
        key: object = object()
        with self._lock:
            self._listening[key] = [listener, self._supervisor.on_event(listener)]

        def unsubscribe() -> None:
            with self._lock:
                listening = self._listening.pop(key, None)
            if listening is not None:
                listening[1]()

        return unsubscribe

    def __repr__(self) -> str:
        state = "disabled" if not self._enabled else "running" if self.running else "stopped"
        count = len(self._parts)
        noun = "component" if count == 1 else "components"
        return f"<ComponentManager {self._name!r}: {count} {noun}, {state}>"


def _is_factory(resilience: Any) -> bool:
    return resilience is not None and (
        isinstance(resilience, type) or not hasattr(resilience, "execute")
    )


def _check_transport(problems: Problems, given: Given | None, value: Any) -> None:
    if (
        given is not None
        and given.made is not None
        and not callable(getattr(given.object, "send", None))
    ):
        problems.refuse("transport", value, "an object that has also a send(), or a factory of one")


def _check_resilience(problems: Problems, value: Any) -> None:
    if value is None:
        return
    if _is_factory(value):
        if not (callable(value) and answers_at_once(value)):
            problems.refuse(
                "resilience", value, "a ResilienceManager, a callable that makes one, or None"
            )
    elif not all(callable(getattr(value, method, None)) for method in _MANAGER_METHODS):
        problems.refuse("resilience", value, f"an object with {', '.join(_MANAGER_METHODS)}")
