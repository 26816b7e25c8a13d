"""Monitors under a storm: nothing is lost, nothing runs twice at once, nothing is left."""

import asyncio
import random
import threading
import time
from itertools import pairwise

import pytest

from holdfast.health import Check, CompositeCheck, HealthMonitor, PingCheck
from tests.health.monitored import threads_of
from tests.waiting.parties import LIMIT, Party, until

pytestmark = pytest.mark.stress


class Moody(Check):
    """A check that passes, fails, takes long or ignores its timeout, by chance."""

    __slots__ = ("lock", "most", "now", "random")

    def __init__(self, name, **settings):
        self.random = random.Random(name)
        self.lock = threading.Lock()
        self.now = self.most = 0
        super().__init__(name, interval=0.01, timeout=0.02, failures=2, **settings)

    def probe(self):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            chance = self.random.random()
            if chance < 0.05:
                time.sleep(0.06)
            elif chance < 0.2:
                time.sleep(0.005)
            return chance < 0.8
        finally:
            with self.lock:
                self.now -= 1


async def ping():
    await asyncio.sleep(0.001)


def test_a_storm_of_changes_leaves_a_monitor_as_it_should_be(stress_scale):
    members = [Moody(f"member-{n}") for n in range(3)]
    checks = [Moody(f"c{n}") for n in range(12)]
    monitor = HealthMonitor("shop", workers=4, history=5)
    for check in checks:
        monitor.add(check)
    monitor.add(CompositeCheck("all", *members, quorum=0.5, interval=0.01, timeout=0.05))
    monitor.add(CompositeCheck("some", checks[0], members[0], interval=0.01))
    monitor.add(PingCheck("async", ping, interval=0.02))
    moves = {}
    lock = threading.Lock()

    def hear(event):
        if event.kind == "health":
            with lock:
                moves.setdefault(event.name, []).append((event.old, event.new))

    monitor.on_event(hear)
    ends = time.monotonic() + 1.5 * stress_scale

    def storm(seed):
        chance = random.Random(seed)
        while time.monotonic() < ends:
            what = chance.random()
            if what < 0.3:
                monitor.check_now(chance.choice(["c0", "c1", "all", "some", "async"]))
            elif what < 0.4:
                monitor.stop(chance.choice([0, 0.01, 1]))
            elif what < 0.6:
                monitor.start()
            elif what < 0.7:
                monitor.snapshot()
            elif what < 0.75:
                monitor.check_now()
            else:
                time.sleep(chance.random() * 0.02)

    def replace():
        chance = random.Random(0)
        while time.monotonic() < ends:
            check = chance.choice(checks[2:])
            monitor.remove(check.name)
            time.sleep(0.003)
            monitor.add(check)

    for party in [Party(storm, seed) for seed in range(4)] + [Party(replace)]:
        party.join(LIMIT * (1 + stress_scale))
        party.result()
    monitor.start()
    counts = {name: status.check_count for name, status in monitor.status().items()}
    until(lambda: all(one.check_count > counts[name] for name, one in monitor.status().items()))
    until(monitor.stop)  # a run that was given up goes on for a moment
    until(lambda: not threads_of("shop"))
    assert max(check.most for check in (*checks, *members)) == 1  # never twice at once
    assert not monitor._busy
    snapshot = monitor.snapshot()
    assert (snapshot.abandoned, snapshot.waiting) == (0, 0)
    for name, told in moves.items():
        if name in {"c0", "c1", "all", "some", "async"}:  # the others were added anew
            assert all(before[1] == after[0] for before, after in pairwise(told))
