"""Workers come, count, scrape and die in any order: no counter falls, and all show the same."""

import tempfile
from pathlib import Path
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from holdfast.stores import names as module
from holdfast.stores.figures import BREAKER, COUNTS, LIMITER, Sum, add
from holdfast.stores.names import Bound, Names
from holdfast.stores.totals import OTHER, kind_of

KEYS = st.tuples(st.sampled_from([BREAKER, BREAKER, BREAKER, LIMITER]), st.sampled_from("abcd"))
WORKERS = st.integers(0, 2)
BOUNDS = (1, 2, 3)


class Process:
    """What a worker has counted and has alive."""

    def __init__(self, path):
        self.names = Names(path)
        self.counts = {}
        self.living = set()


def no_counter_fell(before, after):
    """Whether each series that is still there is not less; ``__other__`` always is there."""
    return all(
        after.get(key, 0 if key[1] == OTHER else count) >= count for key, count in before.items()
    )


class Directory(RuleBasedStateMachine):
    """The totals keep names that live or have a place; they add up all others."""

    def __init__(self):
        super().__init__()
        self.temporary = tempfile.TemporaryDirectory()
        self.path = Path(self.temporary.name)
        self.patch = mock.patch.object(module, "OTHERS_MORE", -100)
        self.patch.start()
        self.workers = [Process(self.path) for _ in range(3)]
        self.dead, self.totals, self.counted = [], {}, {}
        self.last = {most: {} for most in BOUNDS}

    def teardown(self):
        self.patch.stop()
        self.temporary.cleanup()

    def living(self):
        return {kind_of(key) for worker in self.workers for key in worker.living}

    @rule(at=WORKERS, keys=st.lists(KEYS, min_size=1, max_size=4))
    def count(self, at, keys):
        worker = self.workers[at]
        for key in keys:
            worker.counts[key] = worker.counts.get(key, 0) + 1
            worker.living.add(key)
            self.counted[key[0]] = self.counted.get(key[0], 0) + 1

    @rule(at=WORKERS, keys=st.sets(KEYS, min_size=1, max_size=4))
    def collect(self, at, keys):
        self.workers[at].living -= keys

    @rule(at=WORKERS)
    def die_and_come(self, at):
        self.dead.append(self.workers[at])
        self.workers[at] = Process(self.path)

    @rule()
    def bury(self):
        keep = self.living() | Names(self.path).chosen()
        before, self.totals = self.totals, {}
        for counts in (before, *(worker.counts for worker in self.dead)):
            for key, count in counts.items():
                own = key if kind_of(key) in keep else (key[0], OTHER)
                self.totals[own] = self.totals.get(own, 0) + count
        self.dead.clear()

    @rule(at=WORKERS, most=st.sampled_from(BOUNDS))
    def scrape(self, at, most):
        first = self.scraped(self.workers[at], most)
        assert no_counter_fell(self.last[most], first)
        for role in (BREAKER, LIMITER):
            assert sum(name != OTHER for its, name in first if its == role) <= most
        for worker in self.workers:
            assert self.scraped(worker, most) == first
        self.last[most] = first

    def scraped(self, worker, most):
        figures = {}
        for counts in (self.totals, *(one.counts for one in (*self.workers, *self.dead))):
            for key, count in counts.items():
                add(figures, key, [count] * COUNTS[key[0]])
        held = worker.names.hold(figures, self.living(), most)
        found = {key: there.counts[0] for key, there in held.items()}
        for role in (BREAKER, LIMITER):
            total = sum(count for key, count in found.items() if key[0] == role)
            assert total == self.counted.get(role, 0)
        return found

    @invariant()
    def nothing_is_left_of_a_write(self):
        assert {path.name for path in self.path.iterdir()} <= {"names.json"}


class Alone(RuleBasedStateMachine):
    """One process without a directory: what is collected is no longer counted."""

    def __init__(self):
        super().__init__()
        self.patch = mock.patch.object(module, "OTHERS_MORE", -100)
        self.patch.start()
        self.bound, self.counts, self.last = Bound(2), {}, {}

    def teardown(self):
        self.patch.stop()

    @rule(keys=st.lists(KEYS, max_size=4))
    def count(self, keys):
        for key in keys:
            self.counts[key] = self.counts.get(key, 0) + 1

    @rule(keys=st.lists(KEYS, max_size=4))
    def collect(self, keys):
        for key in keys:
            self.counts.pop(key, None)
            self.last.pop(key, None)

    @rule()
    def scrape(self):
        figures = {key: Sum([count] * COUNTS[key[0]]) for key, count in self.counts.items()}
        held = self.bound.hold(figures, {kind_of(key) for key in figures})
        found = {key: there.counts[0] for key, there in held.items()}
        assert no_counter_fell(self.last, found)
        for key, count in self.counts.items():
            assert found.get(key, count) == count
        for role in (BREAKER, LIMITER):
            assert sum(name != OTHER for its, name in found if its == role) <= 2
            assert sum(n for key, n in found.items() if key[0] == role) >= sum(
                n for key, n in self.counts.items() if key[0] == role
            )
        self.last = found


BRIEF = settings(max_examples=80, stateful_step_count=50, deadline=None)
TestDirectory = Directory.TestCase
TestDirectory.settings = BRIEF
TestAlone = Alone.TestCase
TestAlone.settings = settings(BRIEF, max_examples=40)
