"""No check is unhealthy because this process was late, and no outage is missed for it.

Worlds on virtual time. Each has remote parts that are up and down in turn, and a process that is
stopped at random, for moments and for seconds: in a check, before it begins, while a timer waits. A
stop moves the clock past all timers, as SIGSTOP, a blocked loop or a lost processor does. One
failure makes a check unhealthy in these worlds: a single wrong one shows.
"""

import asyncio
import random
from functools import partial

import pytest

from holdfast._native import clock as native
from holdfast.clock import ManualClock
from holdfast.health import CheckResult, HealthMonitor, HealthState, PingCheck
from holdfast.health.pulse import ThreadPulse
from tests.health.monitored import Hanging, Steered
from tests.waiting.parties import until
from tests.waiting.virtual import VirtualLoop

MS = 1_000_000
SECOND = 1_000 * MS
TIMEOUT_NS = SECOND
INTERVAL_NS = 20 * SECOND
STOPS = (0.02, 0.1, 0.3, 0.6, 0.9, 1.1, 2.0, 5.0)
KINDS = ("hangs", "refuses", "resets", "slow")
REMOTES = 5
# How long a remote part is up and down, in intervals.
UP, DOWN = 40, 40
# How often a check is hit by a stop, and whether outages may be known as UNKNOWN only.
BUSY = {"calm": (0.02, False), "busy": (0.2, False), "starved": (0.95, True)}


class Remote:
    """Something that is up and down in turn.

    Attributes:
        was_down: Whether it was down when it was last probed.
        found: The states that its check got since it is down.
        outages: How many have ended.
        missed: The outages of which the check has noticed nothing.
    """

    def __init__(self, dice, now_ns):
        self.dice = dice
        self.is_up = True
        self.was_down = False
        self.kind = ""
        self.found = set()
        self.outages = 0
        self.missed = []
        self.until_ns = now_ns + int(dice.uniform(0.3, 1) * UP * INTERVAL_NS)

    def look(self, now_ns):
        """Go up or down if it is time; return how long it takes until it answers."""
        if now_ns >= self.until_ns:
            self.is_up = not self.is_up
            length = UP if self.is_up else DOWN
            self.until_ns = now_ns + int(self.dice.uniform(0.7, 1.3) * length * INTERVAL_NS)
            self.outages += self.is_up
            if self.is_up and not self.found:
                self.missed.append(f"it {self.kind}")
            self.found = set()
            self.kind = "" if self.is_up else self.dice.choice(KINDS)
        self.was_down = not self.is_up
        if self.is_up:
            return int(self.dice.uniform(0.001, 0.24) * SECOND)
        return {"hangs": 3600, "refuses": 0.001, "resets": 0.03, "slow": 3}[self.kind] * SECOND

    def answer(self, took_ns, stopped_ns):
        """Return the answer that a client gets, or raise."""
        if self.was_down:
            raise ConnectionResetError(self.kind)
        # A server gives up on a client that is silent.
        if stopped_ns > 400 * MS and self.dice.random() < 0.5:
            raise ConnectionResetError("the other side has hung up")
        if took_ns > TIMEOUT_NS // 2 and self.dice.random() < 0.5:
            return CheckResult.degraded("slow")
        return True


class World:
    """Remote parts, a monitor of them, and stops of this process."""

    def __init__(self, seed, clock, stop, share, adaptive):
        self.dice = random.Random(seed)
        self.clock = clock
        self.share = share
        self.stopped_ns = self.probes = 0
        self.alarms = []
        self.advance_past_timers = stop
        self.monitor = HealthMonitor(
            "world",
            interval=INTERVAL_NS / SECOND,
            timeout=TIMEOUT_NS / SECOND,
            clock=clock,
            adaptive=adaptive,
            history=1,
        )
        self.monitor.on_event(self.heed)
        self.remotes = {}
        for n in range(REMOTES):
            remote = Remote(random.Random(f"{seed} {n}"), clock.now_ns())
            self.remotes[f"r{n}"] = remote

    def watch(self, probe):
        for name, remote in self.remotes.items():
            self.monitor.add(PingCheck(name, partial(probe, self, remote), failures=1))

    def heed(self, event):
        """Look whether what the monitor says of a remote part is true."""
        if event.kind != "health":
            return
        remote = self.remotes[event.name]
        is_bad = event.new in (HealthState.UNHEALTHY, HealthState.DEGRADED)
        if is_bad and not remote.was_down:
            self.alarms.append(event.reason)
        if not remote.is_up and event.new is not HealthState.HEALTHY:
            remote.found.add(event.new)

    def stop_now(self):
        stop_ns = int(self.dice.choice(STOPS) * SECOND)
        self.stopped_ns += stop_ns
        self.advance_past_timers(stop_ns)

    def is_hit(self):
        return self.dice.random() < self.share

    def outages(self):
        return sum(remote.outages for remote in self.remotes.values())


def plain_probe(world, remote):
    """Probe as a client with blocking sockets does, in the thread that advances the clock."""
    clock = world.clock
    world.probes += 1
    began_ns, before_ns = clock.now_ns(), world.stopped_ns
    latency_ns = remote.look(began_ns)
    wait_ns = min(latency_ns, TIMEOUT_NS)
    if world.is_hit():
        clock.advance_ns(int(wait_ns * world.dice.random()))
        world.stop_now()
    clock.advance_ns(max(0, int(began_ns + wait_ns - clock.now_ns())))
    took_ns = clock.now_ns() - began_ns
    # The timer of a socket may ring before it is seen that there is an answer.
    if latency_ns > took_ns or (took_ns >= TIMEOUT_NS and world.dice.random() < 0.5):
        raise TimeoutError("timed out")
    return remote.answer(took_ns, world.stopped_ns - before_ns)


async def task_probe(world, remote):
    """Probe as a task: something else in the loop blocks it."""
    clock = world.clock
    world.probes += 1
    began_ns, before_ns = clock.now_ns(), world.stopped_ns
    latency_ns = remote.look(began_ns)
    if world.is_hit():
        wait_ns = min(latency_ns, TIMEOUT_NS) * world.dice.random()
        asyncio.get_running_loop().call_later(wait_ns / SECOND, world.stop_now)
    await asyncio.sleep(latency_ns / SECOND)
    return remote.answer(clock.now_ns() - began_ns, world.stopped_ns - before_ns)


def run_in_threads(seed, share, probes):
    clock = ManualClock()
    world = World(seed, clock, partial(native.ManualClock.advance_ns, clock), share, False)
    world.watch(plain_probe)
    with world.monitor:
        while world.probes < probes:
            clock.advance(world.dice.random() * 5)
            if world.dice.random() < share / 5:
                world.stop_now()
    return world


def run_in_tasks(seed, share, probes):
    loop = VirtualLoop()

    async def live():
        world = World(seed, loop.clock, loop.clock.advance_ns, share, True)
        world.watch(task_probe)
        async with world.monitor:
            while world.probes < probes:
                await asyncio.sleep(world.dice.random() * 5)
                if world.dice.random() < share / 5:
                    world.stop_now()
        return world

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(live())


@pytest.mark.parametrize("busy", BUSY)
@pytest.mark.parametrize("run", [run_in_threads, run_in_tasks])
def test_lateness_causes_no_false_alarm_and_hides_no_outage(run, busy):  # trap 62
    look(run, busy, probes=1_500, seed="quick")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("busy", BUSY)
@pytest.mark.parametrize("run", [run_in_threads, run_in_tasks])
def test_100_000_checks_around_stops_give_no_false_alarm(run, busy, seed):
    look(run, busy, probes=8_500, seed=seed)


def look(run, busy, probes, seed):
    share, may_be_unknown = BUSY[busy]
    world = run(f"{busy} {seed}", share, probes)
    assert world.alarms == []
    assert [missed for remote in world.remotes.values() for missed in remote.missed] == []
    assert world.outages() >= probes // 400
    unproven = sum(status.unproven_count for status in world.monitor.status().values())
    assert unproven > probes * share / 20
    known = {state for remote in world.remotes.values() for state in remote.found}
    assert may_be_unknown or HealthState.UNKNOWN not in known
    assert world.monitor.snapshot().callback_failures == 0


def test_a_check_that_has_proved_nothing_runs_again_soon():
    clock = ManualClock()
    check = Steered("remote", clock, interval=8, timeout=1, failures=1)
    monitor = HealthMonitor("real", clock=clock, jitter=0)
    monitor.add(check)
    with monitor:
        clock.advance(20)
        check.does = lambda: native.ManualClock.advance_ns(clock, 5 * SECOND)
        check.says = ConnectionResetError("the other side has hung up")
        before = len(check.times)
        while len(check.times) == before:
            clock.advance(0.5)
        status = monitor.status("remote")
        assert status.unproven_count == 1
        assert status.state is HealthState.HEALTHY
        check.does = lambda: None
        while len(check.times) == before + 1:
            clock.advance(0.5)
        assert check.times[-1] - check.times[-2] <= 5 + 2 + 0.5
        assert monitor.status("remote").state is HealthState.UNHEALTHY


# ---- runs that were given up ----


@pytest.mark.parametrize(
    ("stalled", "states"),
    [
        (0.1, {HealthState.UNKNOWN, HealthState.UNHEALTHY}),
        (0.9, {HealthState.UNKNOWN}),
    ],
)
def test_a_run_that_has_not_ended_proves_nothing_if_the_process_hardly_ran(
    monkeypatch, stalled, states
):
    def stalled_ns(self, mark):
        return int((self._now_ns() - mark.began_ns) * stalled)

    monkeypatch.setattr(ThreadPulse, "stalled_ns", stalled_ns)
    check = Hanging("hangs", timeout=0.02, interval=0.05, failures=1)
    monitor = HealthMonitor("real", adaptive=False)
    monitor.add(check)
    with monitor:
        until(lambda: monitor.status("hangs").check_count > 5)
        seen = {record.state for record in monitor.history("hangs")}
        check.out.set()
    assert seen <= states
    assert (HealthState.UNHEALTHY in seen) == (HealthState.UNHEALTHY in states)
