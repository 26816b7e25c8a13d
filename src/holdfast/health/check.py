"""Check: the base class of all health checks.

A check of your own is a subclass with one method:

    class Ping(Check):
        def probe(self):            # in a thread; or: async def aprobe(self), in a task
            client.ping()           # raises: failed; returns None or True: passed, False: failed

A probe may also return a ``CheckResult``. ``self.time_left()`` is how many seconds it may still
take. A check holds no state, so one check may be in several monitors.

Elsewhere: when checks run, and what follows from their results (``monitor``).
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar, copy_context
from functools import partial
from importlib import import_module
from types import CoroutineType, coroutine

from holdfast.clock import system_clock
from holdfast.health.result import FAILED, PASSED, CheckResult, failed_by
from holdfast.redaction import describe_result
from holdfast.validation import Problems, answers_at_once, explains_names, seconds_to_ns
from holdfast.waiting.foreign import loop_here
from holdfast.waiting.hubs import thread_beside_hub
from holdfast.waiting.parking import ThreadWaiter

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from asyncio import Future
    from collections.abc import Callable, Generator
    from datetime import timedelta
    from typing import Any, TypeVar

    T = TypeVar("T")

__all__ = [
    "TIMEOUT",
    "Allowance",
    "Check",
    "in_thread",
    "is_interrupt",
    "problems_of",
    "read_returned",
]

TIMEOUT = 5.0
_LEAST_NS = 1_000_000  # of an interval and a timeout, as of a Periodic
_MOST_IN_A_ROW = 1_000
_INTERRUPTS = (KeyboardInterrupt, SystemExit)
_ALLOWED = "None, True, False or a CheckResult"

# How long the probe that runs here may take.
_allowed: ContextVar[Allowance | None] = ContextVar("holdfast.check", default=None)


class Allowance:
    """How long one run of a check may take: a time on the system's clock."""

    __slots__ = ("_until_ns", "limit_ns")

    def __init__(self, limit_ns: int) -> None:
        self.limit_ns = limit_ns
        self._until_ns = system_clock.now_ns() + limit_ns

    def left_ns(self) -> int:
        """Return how long the run may still take, 0 at least."""
        return max(0, self._until_ns - system_clock.now_ns())

    def more_ns(self) -> int:
        """Return how long it may still take although the time is up; 0: cut it."""
        return 0


class Check:
    """The abstract base class of health checks.

    A subclass has a method ``probe()``, a coroutine function ``aprobe()``, or both. A check passes
    if its probe returns None or True. It fails if the probe returns False or raises anything
    except KeyboardInterrupt and SystemExit. A probe may return a ``CheckResult`` instead.

    Args:
        name: For messages and metrics, 1 to 200 characters.
        interval: Seconds from one run to the next, at least 0.001; None: that of the monitor.
        timeout: How many seconds one run may take, at least 0.001; None: that of the monitor.
        failures: How many failed runs in a row make the check unhealthy, 1 to 1,000.
        successes: How many passed runs in a row make it healthy again, 1 to 1,000.
        start_period: Seconds after the start during which failed runs do not count before the
            first pass.
        jitter: The share of the interval, 0 to 1, by which a run may be delayed at random; None:
            that of the monitor.
        critical: Whether the service cannot work without this dependency.
        liveness: Whether a restart of this process would help if the check is unhealthy. Only
            such checks take part in ``is_live``.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.
        TypeError: The class has neither ``probe`` nor ``aprobe``, or ``probe`` is a coroutine
            function.

    Immutable and without state, so safe to share between threads, event loops and monitors.
    """

    __slots__ = (
        "__weakref__",
        "_critical",
        "_failures",
        "_interval_ns",
        "_is_async",
        "_jitter",
        "_liveness",
        "_name",
        "_needs_loop",
        "_start_period_ns",
        "_successes",
        "_timeout_ns",
    )

    #: Whether the check is about this process itself: then it is evidence that the process was
    #: late. For all other checks, a failure while the own process did not run proves nothing.
    measures_self: bool = False

    @explains_names
    def __init__(
        self,
        name: str,
        *,
        interval: float | timedelta | None = None,
        timeout: float | timedelta | None = None,
        failures: int = 3,
        successes: int = 1,
        start_period: float | timedelta = 0.0,
        jitter: float | None = None,
        critical: bool = True,
        liveness: bool = False,
    ) -> None:
        cls = type(self)
        has_probe, has_aprobe = cls.probe is not Check.probe, cls.aprobe is not Check.aprobe
        if not (has_probe or has_aprobe):
            raise TypeError(f"{cls.__name__} is abstract: a check has probe() or aprobe()")
        if has_probe and not answers_at_once(cls.probe):
            raise TypeError(f"{cls.__name__}.probe() is a coroutine function: call it aprobe()")
        problems = problems_of(self, name)
        self._name = problems.name(name)
        self._interval_ns = problems.duration("interval", interval, least_ns=_LEAST_NS, none=True)
        self._timeout_ns = problems.duration("timeout", timeout, least_ns=_LEAST_NS, none=True)
        self._failures = problems.integer("failures", failures, least=1, most=_MOST_IN_A_ROW)
        self._successes = problems.integer("successes", successes, least=1, most=_MOST_IN_A_ROW)
        self._start_period_ns = problems.duration("start_period", start_period)
        self._jitter = problems.fraction("jitter", jitter, none=True)
        self._critical = problems.flag("critical", critical)
        self._liveness = problems.flag("liveness", liveness)
        self._checked(problems)
        problems.done()
        self._is_async = has_aprobe
        self._needs_loop = not has_probe
        if self._needs_loop:
            # Now: in a child that is forked while a thread imports it, nobody could any more.
            import_module("asyncio")

    def _checked(self, problems: Problems) -> None:
        """Check the settings that only this class has, which it has kept already."""

    # ---- what a subclass says ----

    def probe(self) -> object:
        """Look once, in this thread. Return None, True, False or a ``CheckResult``, or raise."""
        raise NotImplementedError(f"{type(self).__name__} has no probe()")

    async def aprobe(self) -> object:
        """Look once, in this task. Return None, True, False or a ``CheckResult``, or raise."""
        raise NotImplementedError(f"{type(self).__name__} has no aprobe()")

    def time_left(self) -> float:
        """Return how many seconds the probe that calls this may still take, 0 at least.

        It is real time, also if the monitor has a ``ManualClock``.
        """
        return self._left_ns() / 1e9

    # ---- running it ----

    def run(self, timeout: float | timedelta | None = None) -> CheckResult:
        """Run the check once, in this thread, and return what it has shown.

        ``aprobe`` runs in a private event loop if there is no ``probe``. It is cancelled when
        the time is up. A ``probe`` cannot be stopped: ``run`` returns when the probe returns.

        Args:
            timeout: How many seconds the run may take; None: that of the check, else 5.

        Raises:
            ConfigError: ``timeout`` is not a duration.
            RuntimeError: The check needs an event loop, and one runs in this thread already: use
                ``await check.arun()``.
        """
        return self._run(Allowance(self._limit_ns(timeout)))

    def _run(self, allowance: Allowance) -> CheckResult:
        if self._needs_loop:
            return self._run_in_loop(allowance)
        token = _allowed.set(allowance)
        try:
            return read_returned(self.probe())
        except BaseException as error:  # noqa: BLE001 - a check that raises has failed
            return _failed_by(error)
        finally:
            _allowed.reset(token)

    async def arun(
        self,
        timeout: float | timedelta | None = None,  # noqa: ASYNC109 - as in run()
    ) -> CheckResult:
        """Run the check once, in this task, and return what it has shown.

        ``aprobe`` is cancelled when the time is up. A check that has only ``probe`` runs in a
        thread, and the event loop goes on meanwhile; the thread goes on when the time is up.

        Args:
            timeout: How many seconds the run may take; None: that of the check, else 5.

        Raises:
            ConfigError: ``timeout`` is not a duration.
        """
        return await self._arun(Allowance(self._limit_ns(timeout)))

    async def _arun(self, allowance: Allowance) -> CheckResult:
        import asyncio

        loop = loop_here(self, "run()")
        began = loop.time()
        task = asyncio.current_task()
        cancelled_before = task.cancelling() if task is not None else 0
        token = _allowed.set(allowance)
        cut: asyncio.Timeout | None = None
        timer: asyncio.TimerHandle | None = None

        def ring() -> None:
            nonlocal timer
            if more_ns := allowance.more_ns():
                timer = loop.call_later(more_ns / 1e9, ring)
            elif cut is not None:
                cut.reschedule(loop.time())

        try:
            probing = self.aprobe() if self._is_async else in_thread(self.probe)
            if isinstance(probing, CoroutineType):
                # Most are over before they wait for anything: then no timer has to be set.
                try:
                    awaited = probing.send(None)
                except StopIteration as done:
                    return read_returned(done.value)
                probing = _go_on(probing, awaited)
            cut = asyncio.timeout(None)
            timer = loop.call_at(began + allowance.limit_ns / 1e9, ring)
            async with cut:
                result = read_returned(await probing)
        except asyncio.CancelledError as error:
            if task is not None and task.cancelling() > cancelled_before:
                raise  # the caller has cancelled this task
            result = failed_by(error)  # the probe itself has raised it
        except BaseException as error:  # noqa: BLE001 - a check that raises has failed
            result = _failed_by(error)
        finally:
            if timer is not None:
                timer.cancel()
            with suppress(ValueError):  # nobody has awaited it, and it is closed in another context
                _allowed.reset(token)
        if cut is not None and cut.expired():
            return CheckResult("failed", f"took longer than {allowance.limit_ns / 1e9:.3g} s")
        return result

    def _run_in_loop(self, allowance: Allowance) -> CheckResult:
        start = thread_beside_hub()
        if start is None:
            return self._run_in_own_loop(allowance)
        # A loop would be that of all greenlets of this thread.
        return _returned(start, partial(self._run_in_own_loop, allowance))

    def _run_in_own_loop(self, allowance: Allowance) -> CheckResult:
        import asyncio

        if asyncio._get_running_loop() is not None:
            raise RuntimeError(
                f"{type(self).__name__} {self._name!r} needs a private event loop, and one"
                " runs in this thread: use 'await check.arun()'"
            )
        try:
            with asyncio.Runner() as runner:
                return runner.run(self._arun(allowance))
        except BaseException as error:  # noqa: BLE001 - of what the probe has left in the loop
            return _failed_by(error)

    def _limit_ns(self, timeout: float | timedelta | None) -> int:
        if timeout is not None:
            return seconds_to_ns("timeout", timeout)
        return self._timeout_ns or round(TIMEOUT * 1e9)

    def _left_ns(self) -> int:
        allowance = _allowed.get()
        return self._limit_ns(None) if allowance is None else allowance.left_ns()

    def _allowance(self) -> Allowance:
        """Return how long the probe that calls this may take; outside of a run, from here on."""
        return _allowed.get() or Allowance(self._limit_ns(None))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            if name in Check.__slots__ and not name.startswith("__"):
                raise AttributeError(
                    f"{type(self).__name__}.__init__() has to call super().__init__(name) first"
                )
            return object.__getattribute__(self, name)  # raises the plain error

    # ---- its settings ----

    @property
    def name(self) -> str:
        """The name, for messages and metrics."""
        return self._name

    @property
    def is_async(self) -> bool:
        """Whether the check runs as a task where there is an event loop: it has ``aprobe``."""
        return self._is_async

    @property
    def interval(self) -> float | None:
        """Seconds from one run to the next; None: that of the monitor."""
        return _seconds(self._interval_ns)

    @property
    def timeout(self) -> float | None:
        """How many seconds one run may take; None: that of the monitor."""
        return _seconds(self._timeout_ns)

    @property
    def failures(self) -> int:
        """How many failed runs in a row make the check unhealthy."""
        return self._failures

    @property
    def successes(self) -> int:
        """How many passed runs in a row make it healthy again."""
        return self._successes

    @property
    def start_period(self) -> float:
        """Seconds during which failed runs do not count before the first pass."""
        return self._start_period_ns / 1e9

    @property
    def jitter(self) -> float | None:
        """The share of the interval by which a run may be delayed; None: that of the monitor."""
        return self._jitter

    @property
    def critical(self) -> bool:
        """Whether the service cannot work without this dependency."""
        return self._critical

    @property
    def liveness(self) -> bool:
        """Whether a restart of this process would help if the check is unhealthy."""
        return self._liveness

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name!r}>"


def problems_of(check: Check, name: object) -> Problems:
    """Return where to note what is wrong with the settings of a check."""
    return Problems(type(check).__name__, name)


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e9


def read_returned(returned: Any) -> CheckResult:
    """Return what a probe says by what it has returned.

    Raises:
        ConfigError: It is a result of a subclass that is not valid.
    """
    if returned is None or returned is True:
        return PASSED
    if returned is False:
        return FAILED
    if isinstance(returned, CheckResult):
        if type(returned) is not CheckResult:  # a subclass may have left out the checks
            CheckResult.__post_init__(returned)
        return returned
    if hasattr(returned, "__await__"):
        if hasattr(returned, "close"):  # a coroutine that nobody awaits would warn
            returned.close()
        return CheckResult(
            "failed", "the check returned an awaitable: give it a coroutine function (async def)"
        )
    return CheckResult("failed", f"the check gave {describe_result(returned)}, not {_ALLOWED}")


def _failed_by(error: BaseException) -> CheckResult:
    """Return the result of a probe that has raised; an interrupt is raised on."""
    if is_interrupt(error):
        raise error
    return failed_by(error)


def is_interrupt(error: BaseException) -> bool:
    """Return whether it is one, or a group with one in it."""
    is_group = issubclass(type(error), BaseExceptionGroup)
    inside: tuple[BaseException, ...] = getattr(error, "exceptions", ()) if is_group else ()
    return isinstance(error, _INTERRUPTS) or any(map(is_interrupt, inside))


@coroutine
def _go_on(steps: CoroutineType[Any, Any, T], awaited: Any) -> Generator[Any, Any, T]:
    """Await a coroutine that has begun, and waits for ``awaited``."""
    while True:
        step = steps.send
        try:
            given: Any = yield awaited
        except GeneratorExit:
            steps.close()
            raise
        except BaseException as error:  # noqa: BLE001 - raised in the coroutine
            step, given = steps.throw, error
        try:
            awaited = step(given)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        finally:
            del step, given  # an error refers to this frame


def _returned(start: Callable[[Callable[[], object]], object], call: Callable[[], T]) -> T:
    """Return what a call returns that ``start`` has another thread make, or raise what it raises.

    Who waits is a greenlet: others go on meanwhile.
    """
    waiter = ThreadWaiter()
    context = copy_context()
    returned: list[T] = []
    raised: list[BaseException] = []

    def work() -> None:
        try:
            returned.append(context.run(call))
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            raised.append(error)
        finally:
            waiter.wake()

    start(work)
    waiter.park(system_clock, None)
    if raised:
        raise raised.pop()
    return returned.pop()


async def in_thread(probe: Callable[[], T]) -> T:
    """Return what a probe returns that runs in a thread of its own, or raise what it raises."""
    from asyncio import get_running_loop

    from holdfast.waiting.daemons import DaemonThreads

    loop = get_running_loop()
    future: Future[tuple[Any, BaseException | None]] = loop.create_future()
    context = copy_context()

    def settle(returned: T | None, raised: BaseException | None) -> None:
        if not future.done():  # else nobody waits any more
            future.set_result((returned, raised))

    def work() -> None:
        returned: T | None = None
        raised: BaseException | None = None
        try:
            returned = context.run(probe)
        except BaseException as error:  # noqa: BLE001 - raised in the task that waits
            raised = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, returned, raised)

    DaemonThreads("holdfast-check", 1).submit(work)
    returned, raised = await future
    if raised is not None:
        raise raised
    value: T = returned
    return value
