"""Whether chaos is enabled in this process: who may enable it, for how long, and with which seed.

Owns the one switch, the gates that faults are placed in, and the waits that end with the switch.
Elsewhere: which calls a fault strikes (``hf_chaos.h``), and what it does to them (``fault``).
"""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import TYPE_CHECKING
from weakref import WeakSet

from holdfast.chaos.errors import ChaosRefusedError
from holdfast.clock import read_clock
from holdfast.forks import call_in_child
from holdfast.locks import RLock
from holdfast.seeds import fresh_seed
from holdfast.validation import Problems

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

    from holdfast._native.gate import Gate
    from holdfast.clock import Clock

    Fault = Any  # holdfast.chaos.fault.Fault, which stands above

__all__ = ["disable", "enable", "enable_for_tests", "enabled", "engine"]

VARIABLE, ENVIRONMENT = "HOLDFAST_CHAOS", "HOLDFAST_ENV"
LONGEST_SECONDS = 86_400
_PRODUCTION = frozenset({"production", "prod"})
_MOST_SEED = 2**64 - 1


class _Engine:
    """The switch of this process.

    Attributes:
        lock: Held while the switch is turned, and while gates get faults.
        seed: What the seeds of faults without their own are made from; None before the first run.
        run: How often chaos was enabled.
        sleepers: What injected faults wait for; woken when chaos is disabled.
    """

    def __init__(self) -> None:
        self.lock = RLock()
        self._clock: Clock | None = None  # None: disabled
        self._until_ns = 0
        self._gates: WeakSet[Gate] = WeakSet()
        self._faults: WeakSet[Fault] = WeakSet()
        self._ordinals: dict[str, int] = {}
        self.seed: int | None = None
        self.run = 0
        self.sleepers: set[Any] = set()

    @property
    def faults(self) -> list[Fault]:
        """The living faults, in the order in which they were made."""
        with self.lock:
            return sorted(self._faults, key=lambda fault: fault._serial)

    def left_ns(self) -> int:
        """Return for how long chaos is still enabled; 0 if it is not."""
        clock = self._clock
        return 0 if clock is None else max(0, self._until_ns - clock.now_ns())

    def start(self, seed: int, duration_ns: int, clock: Clock) -> None:
        """Enable chaos, afresh if it was enabled already."""
        self.stop()
        with self.lock:
            self.seed, self.run = seed, self.run + 1
            self._clock, self._until_ns = clock, clock.now_ns() + duration_ns
            self._ordinals.clear()
            run, faults = self.run, self.faults
            for fault in faults:
                self._arm(fault)
        # Without the lock, as in `stop`. No call passes the faults before they are told.
        for fault in faults:
            fault._tell_armed()
        with self.lock:
            if self.left_ns() > 0 and self.run == run:
                for gate in list(self._gates):
                    gate._inject(True)

    def stop(self) -> bool:
        """Disable chaos; return whether it was enabled."""
        with self.lock:
            was, self._clock = self._clock is not None, None
            for gate in list(self._gates):
                gate._inject(False)
            disarmed = [fault for fault in self.faults if fault._disarm()]
            for waiter in list(self.sleepers):
                waiter.wake()
        # Without the lock: callbacks of the application may wait for another thread that needs it.
        for fault in disarmed:
            fault._told(fault.disarmed)
        return was

    def place(self, gate: Gate) -> None:
        """Have a gate with faults pass them while chaos is enabled."""
        with self.lock:
            self._gates.add(gate)
            gate._inject(self._clock is not None)

    def register(self, fault: Fault) -> None:
        """Mind a new fault; it strikes at once if chaos is enabled."""
        with self.lock:
            self._faults.add(fault)
            if self.left_ns() > 0:
                self._arm(fault)
        fault._say("fault_registered", "is registered (%s)", fault.fault_type)
        fault._tell_armed()

    def _arm(self, fault: Fault) -> None:
        ordinal = self._ordinals.get(fault.name, 0)
        self._ordinals[fault.name] = ordinal + 1
        assert self.seed is not None
        fault._arm(_seed_of(self.seed, fault.name, ordinal), self.left_ns())

    def after_fork(self) -> None:
        """In a forked child: have a lock that nobody holds, and nobody who sleeps."""
        self.lock = RLock()
        self.sleepers = set()


def _seed_of(seed: int, name: str, ordinal: int) -> int:
    """Return the seed of a fault that has none of its own."""
    text = f"{seed}/{name}/{ordinal}".encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")


engine = _Engine()
call_in_child(engine.after_fork)


def enable(
    *,
    seed: int | None = None,
    duration: float | timedelta = 300.0,
    clock: Clock | None = None,
) -> bool:
    """Enable chaos in this process: from here on, faults strike.

    Chaos stays disabled unless the environment variable ``HOLDFAST_CHAOS`` is 1. Enabled again,
    chaos begins afresh: with this seed and duration, and with the first call of each fault.

    Args:
        seed: The seed of the run, 0 to 2**64 - 1; a fault that has no seed derives it from this
            one. The same seed and the same order of calls give the same faults. None chooses
            a seed, which is logged.
        duration: Seconds after which no fault strikes any more, up to one day.
        clock: The clock that measures ``duration``; use a ``ManualClock`` in tests.

    Returns:
        Whether chaos is enabled.

    Raises:
        ChaosRefusedError: The environment variable ``HOLDFAST_ENV`` is "production".
        ConfigError: An argument is invalid; the message lists all problems.

    Safe to call from any thread.
    """
    return _enable(seed, duration, clock, ask_environment=True)


def enable_for_tests(seed: int, duration: float | timedelta, clock: Clock | None) -> None:
    """Enable chaos whether or not the environment says so; production refuses it all the same."""
    _enable(seed, duration, clock, ask_environment=False)


def _enable(
    seed: int | None,
    duration: float | timedelta,
    clock: Clock | None,
    *,
    ask_environment: bool,
) -> bool:
    problems = Problems("chaos.enable")
    chosen = problems.integer("seed", seed, least=0, most=_MOST_SEED, none=True)
    longest_ns = LONGEST_SECONDS * 10**9
    duration_ns = problems.duration("duration", duration, least_ns=1, most_ns=longest_ns)
    clock = read_clock(problems, clock)
    problems.done()
    environment = os.environ.get(ENVIRONMENT, "").strip().lower()
    if environment in _PRODUCTION:
        raise ChaosRefusedError(
            f"chaos cannot be enabled: the environment variable {ENVIRONMENT} is {environment!r}"
        )
    if ask_environment and os.environ.get(VARIABLE, "").strip() != "1":
        _log(
            "chaos_refused", "chaos stays disabled: the environment variable %s is not 1", VARIABLE
        )
        return False
    chosen = fresh_seed() if chosen is None else chosen
    _log(
        "chaos_enabled",
        "chaos is ENABLED for %g s, with seed %d",
        duration_ns / 1e9,
        chosen,
        seed=chosen,
    )
    engine.start(chosen, duration_ns, clock)
    return enabled()


def disable() -> None:
    """Disable chaos: no fault strikes from here on, and injected waits end.

    Safe to call from any thread, and when chaos is disabled already.
    """
    if engine.stop():
        _log("chaos_disabled", "chaos is disabled")


def enabled() -> bool:
    """Return whether faults strike at this moment.

    Safe to call from any thread.
    """
    return engine.left_ns() > 0


def _log(record: str, text: str, *args: object, **fields: Any) -> None:
    from holdfast.records import note

    note(record, "chaos", None, text, *args, **fields)
