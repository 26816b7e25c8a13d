"""Fault: the base class of all faults, and what one injection knows.

A fault of your own is a subclass with one method:

    class Flaky(Fault):
        def inject(self, injection):       # a thread; ainject() in a task, which calls inject()
            raise ConnectionResetError     # raises: the call has failed; returns: the call goes on

``inject`` is called before the function, for the calls that the fault strikes. What it raises is
the function's own failure for every policy around it. ``self.sleep(seconds)`` and
``await self.asleep(seconds)`` wait on the fault's clock, until a deadline, or until chaos is
disabled. ``armed()`` is called when chaos is enabled, and ``disarmed()`` when it is disabled: a
fault that holds something gives it back there.

Elsewhere: which calls are struck (``hf_chaos.h``), and whether any are (``engine``).
"""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

from holdfast._native.chaos import Chaos, unit
from holdfast._native.gate import check_deadline
from holdfast.chaos.engine import engine
from holdfast.clock import read_clock
from holdfast.errors import Rejected
from holdfast.mode import Mode, read_mode
from holdfast.policies.base import NATIVE_MODES, Policy, settings_of, within_deadline_ns
from holdfast.seeds import fresh_seed
from holdfast.stores.figures import FAULT
from holdfast.validation import Problems, seconds_to_ns
from holdfast.waiting.parking import ThreadWaiter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from typing import Any, TypeVar

    from holdfast._native.gate import Gate
    from holdfast.chaos.snapshot import FaultSnapshot
    from holdfast.clock import Clock
    from holdfast.stores.ledger import Part

    T = TypeVar("T")

__all__ = ["Fault", "Injection"]

PROBABILITY = 0.01
_MOST_SEED = 2**64 - 1
_NO_EPISODE = (-(2**63), -(2**63))
_serials = count()


class Injection:
    """One injection: which fault strikes which call, and its random numbers.

    Attributes:
        fault: The fault that strikes.
        number: The number of the call among those of the fault, from 0.
        seed: The seed of the fault. The random numbers follow from ``seed`` and ``number``.

    For one call, so for one thread or task.
    """

    __slots__ = ("_lane", "fault", "number", "seed")

    def __init__(self, fault: Fault, number: int, seed: int) -> None:
        self.fault = fault
        self.number = number
        self.seed = seed
        self._lane = 0

    def random(self) -> float:
        """Return the next random number of this injection, in [0, 1)."""
        self._lane += 1
        return unit(self.seed, self.number, self._lane)

    def uniform(self, least: float, most: float) -> float:
        """Return a random number from ``least`` to ``most``."""
        return least + (most - least) * self.random()

    def choice(self, options: Sequence[T]) -> T:
        """Return one of several options, each with the same probability."""
        return options[int(self.random() * len(options))]

    def __repr__(self) -> str:
        return f"<Injection of {self.fault.name!r}: call {self.number}, seed {self.seed}>"


class Fault(Policy):
    """The abstract base class of faults, which strike some of the calls that pass them.

    A fault is a policy. Put it innermost, so that all other policies see what it does. While chaos
    is disabled, no call passes it.

    Args:
        name: For messages, metrics and the registry; None uses the name of the class.
        probability: The share of calls that are struck, 0 to 1.
        duration: Seconds from ``chaos.enable`` on, after which the fault strikes no call; None
            for as long as chaos is enabled.
        limit: The number of calls that are struck at most each time chaos is enabled; None for no
            limit.
        seed: The seed of the random numbers, 0 to 2**64 - 1. The same seed and the same order of
            calls give the same faults. None derives it from the seed of ``chaos.enable``.
        clock: The source of time; use a ``ManualClock`` in tests.
        mode: "enforce", "observe" (counts the calls that would be struck) or "off"; None uses the
            mode of the process (HOLDFAST_MODE).
        shared: Return the existing shared fault of this name, if its settings are equal.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops.
    """

    __slots__ = ("_armed_ns", "_episode_ns", "_serial")

    kind = "fault"
    # The word for this class of faults in logs and snapshots, and the default of ``name``.
    fault_type = "fault"
    name: str
    _armed_ns: int | None  # until when it was armed; None: it is not

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Name the class in logs and snapshots, unless it does so itself."""
        super().__init_subclass__(**kwargs)
        if "fault_type" not in cls.__dict__:
            cls.fault_type = cls.__name__.lower()

    def __init__(
        self,
        name: str | None = None,
        *,
        probability: float = PROBABILITY,
        duration: float | timedelta | None = None,
        limit: int | None = None,
        seed: int | None = None,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        if type(self) is Fault:
            raise TypeError("Fault is abstract: instantiate one of its subclasses")
        problems = Problems(type(self).__name__, self.fault_type if name is None else name)
        name = self.fault_type if name is None else problems.name(name)
        own = self._checked(problems)
        problems.fraction("probability", probability)
        problems.duration("duration", duration, least_ns=1, none=True)
        problems.integer("limit", limit, least=0, most=2**62, none=True)
        problems.integer("seed", seed, least=0, most=_MOST_SEED, none=True)
        clock = read_clock(problems, clock)
        mode = read_mode(problems, mode)
        problems.flag("shared", shared)
        problems.done()
        kernel = Chaos(fresh_seed() if seed is None else seed, probability, seeded=seed is not None)
        self._bind("chaos", (kernel,), clock, name, NATIVE_MODES[mode], Rejected)
        self._keep(
            **own,
            probability=probability,
            duration=duration,
            limit=limit,
            seed=seed,
            clock=clock,
            mode=mode,
        )
        self._serial = next(_serials)
        self._armed_ns = None
        self._episode_ns = _NO_EPISODE
        engine.place(self)
        engine.register(self)

    _setting_names = settings_of(__init__)

    # ---- what a subclass says ----

    def inject(self, injection: Injection) -> None:
        """Strike a call in this thread. Raise to fail the call, or return to let it go on."""
        raise NotImplementedError(f"{type(self).__name__} has no inject()")

    async def ainject(self, injection: Injection) -> None:
        """Strike a call in this task. The default calls ``inject``."""
        self.inject(injection)

    def armed(self, left: float) -> None:
        """Be told that chaos is enabled, and that this fault may strike for ``left`` seconds.

        ``Fault.__init__`` calls it as well if chaos is enabled.
        """

    def disarmed(self) -> None:
        """Be told that chaos is disabled: give back what the fault holds."""

    def _checked(self, problems: Problems) -> dict[str, Any]:  # noqa: ARG002
        """Check the settings that only this class has, and return them by name."""
        return {}

    # ---- what a subclass uses ----

    def sleep(self, seconds: float | timedelta) -> bool:
        """Let time pass in this thread, until chaos ends at most.

        Returns:
            True; False if chaos has ended meanwhile, for this fault or as a whole.

        Raises:
            DeadlineExceededError: The deadline of an enclosing ``Timeout`` came first.
        """
        ns = seconds_to_ns("seconds", seconds)
        wait_ns = min(ns, self._left_ns())
        allowed_ns = within_deadline_ns(wait_ns)
        waiter = ThreadWaiter()
        engine.sleepers.add(waiter)
        try:
            woken = self._is_idle() or waiter.park(self._clock, allowed_ns)
        finally:
            engine.sleepers.discard(waiter)
        if not woken and allowed_ns is not None and allowed_ns < wait_ns:
            check_deadline()
        return not woken and wait_ns == ns

    async def asleep(self, seconds: float | timedelta) -> bool:
        """Let time pass in this task, which may be cancelled, until chaos ends at most.

        Returns:
            True; False if chaos has ended meanwhile, for this fault or as a whole.
        """
        from holdfast.waiting.aio import TaskWaiter

        ns = seconds_to_ns("seconds", seconds)
        wait_ns = min(ns, self._left_ns())
        waiter = TaskWaiter()
        engine.sleepers.add(waiter)
        try:
            woken = self._is_idle() or await waiter.park(self._clock, wait_ns)
        finally:
            engine.sleepers.discard(waiter)
        return not woken and wait_ns == ns

    # ---- what its owner does ----

    @property
    def probability(self) -> float:
        """The share of calls that are struck outside of episodes."""
        value: float = self._setting("probability")
        return value

    def set_probability(self, probability: float) -> None:
        """Change the share of calls that are struck.

        Raises:
            ConfigError: ``probability`` is not a number from 0 to 1.
        """
        problems = Problems(type(self).__name__, self.name)
        problems.fraction("probability", probability)
        problems.done()
        self._change(probability=probability)
        self._kernel.set_probability(probability)
        self._say("fault_changed", "has the probability %g", probability)

    def strike(self, duration: float | timedelta, *, after: float | timedelta = 0.0) -> None:
        """Strike every call for some time, whatever the probability is.

        Has no effect while chaos is disabled. ``limit`` and the duration of the fault hold as
        well.

        Args:
            duration: How long, in seconds.
            after: How long from now it begins, in seconds.

        Raises:
            ConfigError: An argument is not a duration.
        """
        problems = Problems(f"{type(self).__name__}.strike", self.name)
        duration_ns = problems.duration("duration", duration)
        after_ns = problems.duration("after", after)
        problems.done()
        if self._is_idle():
            return
        now_ns = self._clock.now_ns()
        from_ns, until_ns = now_ns + after_ns, now_ns + after_ns + duration_ns
        if self._episode_ns[1] > now_ns:  # the two become one
            from_ns = min(from_ns, self._episode_ns[0])
            until_ns = max(until_ns, self._episode_ns[1])
        self._episode_ns = from_ns, until_ns
        self._kernel.begin_episode(from_ns, until_ns)

    def snapshot(self) -> FaultSnapshot:
        """Return the current counts; see ``FaultSnapshot`` for the fields."""
        from holdfast.chaos.snapshot import FaultSnapshot

        kernel = self._kernel
        checked, injected, observed = kernel.counters()
        return FaultSnapshot(
            name=self.name,
            fault_type=self.fault_type,
            armed=kernel.is_armed(self._clock.now_ns()),
            probability=self.probability,
            seed=kernel.seed(),
            checked=checked,
            injected=injected,
            observed=observed,
            rate=injected / checked if checked else 0.0,
            left=kernel.left(),
        )

    def reset(self) -> None:
        """Begin afresh, if chaos is enabled: with call 0, and as many injections as at first."""
        until_ns = self._armed_ns
        if until_ns is not None:
            self._kernel.arm(self._kernel.seed(), until_ns, self._setting("limit"))

    def _in_words(self) -> str:
        return "armed" if self._kernel.is_armed(self._clock.now_ns()) else "disarmed"

    def _figured(self) -> tuple[Part, ...]:
        return ((FAULT, self._kernel, 0),)

    def _costs(self) -> list[str]:
        if self.mode is Mode.OFF:
            return ["off: nothing"]
        return ["nothing while chaos is disabled", "else native, and calls Python when it strikes"]

    # ---- what the engine asks ----

    def _is_idle(self) -> bool:
        return self._armed_ns is None

    def _left_ns(self) -> int:
        """Return for how long it may still strike; 0 if it may not."""
        until_ns = self._armed_ns
        return 0 if until_ns is None else max(0, until_ns - self._clock.now_ns())

    def _arm(self, seed: int, left_ns: int) -> None:
        duration, own = self._setting("duration"), self._setting("seed")
        if duration is not None:
            left_ns = min(left_ns, seconds_to_ns("duration", duration))
        until_ns = self._clock.now_ns() + left_ns
        self._armed_ns, self._episode_ns = until_ns, _NO_EPISODE
        self._kernel.arm(seed if own is None else own, until_ns, self._setting("limit"))

    def _tell_armed(self) -> None:
        """Tell a subclass that chaos is enabled, if it still is."""
        until_ns = self._armed_ns
        if until_ns is None:
            return
        self._told(self.armed, max(0, until_ns - self._clock.now_ns()) / 1e9)
        if self._is_idle():  # disabled meanwhile, by another thread or by what was told
            self._told(self.disarmed)

    def _disarm(self) -> bool:
        """Strike no more; return whether ``disarmed`` has to be called."""
        was_armed = self._armed_ns is not None
        self._armed_ns = None
        self._kernel.disarm()
        return was_armed

    def _told(self, method: Any, *args: object) -> None:
        """Call a method of a subclass; what it raises is logged, and changes nothing else."""
        try:
            method(*args)
        except Exception:  # the other faults are still to be told
            from logging import getLogger

            text = "fault %r: %s() raised"
            getLogger("holdfast.chaos").exception(text, self.name, method.__name__)

    # ---- what a group of faults asks ----

    def _strike_for(self, injection: Injection) -> None:
        """Take part in the injection of a group of faults."""
        if self._takes_part(injection):
            self.inject(injection)

    async def _astrike_for(self, injection: Injection) -> None:
        if self._takes_part(injection):
            await self.ainject(injection)

    def _takes_part(self, injection: Injection) -> bool:
        kernel = self._kernel
        if self.mode is Mode.OFF or not kernel.is_armed(self._clock.now_ns()):
            return False
        kernel.count_checked()
        if self.mode is Mode.OBSERVE:
            kernel.count_observed()
            return False
        kernel.count_injected()
        self._tell(injection)
        return True

    # ---- what the native gate asks ----

    def _placed_in(self, gate: Gate) -> None:
        engine.place(gate)

    def _block(self, number: int = 0) -> None:
        injection = self._begin(number)
        try:
            self.inject(injection)
        except Exception as error:
            _mark(error, injection)
            raise

    async def _suspend(self, number: int = 0) -> None:
        injection = self._begin(number)
        try:
            await self.ainject(injection)
        except Exception as error:
            _mark(error, injection)
            raise

    def _begin(self, number: int) -> Injection:
        injection = Injection(self, number, self._kernel.seed())
        self._tell(injection)
        return injection

    def _tell(self, injection: Injection) -> None:
        self._emit("injected", reason=self.fault_type)
        text = "(%s) strikes call %d, seed %d"
        number, seed = injection.number, injection.seed
        self._say("injected", text, self.fault_type, number, seed, number=number, seed=seed)


def _mark(error: Exception, injection: Injection) -> None:
    """Note on an error that chaos has raised it, so that nobody looks for its cause elsewhere."""
    fault = injection.fault
    with suppress(Exception):  # an exception that cannot be changed goes on without
        error._injected = True  # type: ignore[attr-defined]  # for guarded_attempts
        notes = getattr(error, "__notes__", None)
        begin = f"injected by chaos: fault {fault.name!r}, "
        if notes:  # one that is raised again and again is not to grow
            notes[:] = [one for one in notes if not str(one).startswith(begin)]
        error.add_note(f"{begin}call {injection.number}, seed {injection.seed}")
