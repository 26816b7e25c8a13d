"""What is decided for all components, under random events, failures and delays: never two of one.

The crew is pure: the test is its machine. It does what is asked for in any order and with any end,
and looks after each step whether anything impossible was asked for.
"""

import random

import pytest

from holdfast.supervision import Exit
from holdfast.supervision.course import Phase, Rules
from holdfast.supervision.crew import STRATEGIES, Crew
from holdfast.supervision.intensity import Intensity

SECOND = 10**9


class Machine:
    """Does what a crew asks for, as chance wills."""

    def __init__(self, seed, strategy, kind):
        self.random = random.Random(seed)
        self.crew = Crew(strategy, Intensity(self.random.choice([None, 3, 10]), 60 * SECOND))
        self.now = 0
        self.alive = {}  # by name: the instances that are there
        self.starting = {}  # by name: the generation of the start that runs
        self.stopping = {}
        self.watched = {}
        self.trouble = 0.3
        self.names = []
        self.unwanted = set()  # that were to be removed: one that cannot be stopped stays so
        for n in range(self.random.randint(1, 5)):
            self.add(f"c{n}", kind)

    def add(self, name, kind):
        needs = [one for one in self.names if self.random.random() < 0.3]
        rules = Rules(
            restart=kind or self.random.choice(["permanent", "transient", "temporary"]),
            delay_ns=lambda attempt, previous: (1 << min(attempt - 1, 2)) * SECOND,
            attempts=self.random.randint(1, 3),
            on_exit={},
            start_timeout_ns=30 * SECOND,
            stop_timeout_ns=10 * SECOND,
            healthy_after_ns=60 * SECOND,
            cool_down_ns=self.random.choice([60 * SECOND, None]) if kind is None else 60 * SECOND,
            has_check=self.random.random() < 0.5,
        )
        self.names.append(name)
        self.alive[name] = 0
        self.crew.add(name, rules, needs, self.now)

    def settle(self):
        """Have the crew look, and take what it asks for."""
        for _ in range(1000):
            self.crew.look(self.now)
            actions = self.crew.out.copy()
            self.crew.out.clear()
            if not actions:
                return
            for what, course, *how in actions:
                getattr(self, f"do_{what}", lambda *_: None)(course, *how)
        raise AssertionError("it asks for things without end")

    def do_start(self, course, generation):
        name = course.name
        assert name not in self.starting, "a start while another one runs"
        assert name not in self.stopping, "a start while a stop runs"
        assert self.alive[name] == 0, "a start while an old one is there"
        for need in self.crew.needs_of(name):
            other = self.crew.courses[need]
            assert other.is_up, "a start before what it depends on"
        self.starting[name] = generation

    def do_stop(self, course):
        name = course.name
        assert name not in self.stopping, "a stop while another one runs"
        assert name not in self.starting or course.start_late, "a stop during a start"
        self.stopping[name] = course.generation

    def do_hasten(self, course):
        if self.random.random() < 0.5:
            self.give_up(course.name, "start")

    def do_watch(self, course, generation):
        assert course.name not in self.watched
        self.watched[course.name] = generation

    def do_unwatch(self, course):
        assert self.watched.pop(course.name) is not None

    def do_removed(self, course):
        assert self.alive[course.name] == 0, "forgotten while it is there"
        self.names.remove(course.name)

    # ---- what may happen ----

    def end_start(self, name):
        generation = self.starting.pop(name)
        ok = self.random.random() >= self.trouble
        self.alive[name] += 1  # also what has failed may have left something
        self.crew.started(name, generation, None if ok else "no", self.now)

    def end_stop(self, name):
        generation = self.stopping.pop(name)
        ok = self.random.random() >= self.trouble
        if ok and name not in self.starting:
            self.alive[name] = 0
        self.crew.stopped(name, generation, None if ok else "no", self.now)

    def give_up(self, name, verb):
        course = self.crew.courses[name]
        running = self.starting if verb == "start" else self.stopping
        late = course.start_late if verb == "start" else course.stop_late
        if name in running and not late:
            self.crew.overdue(name, running[name], verb, self.now)

    def exit(self, name):
        course = self.crew.courses[name]
        end = Exit(code=self.random.choice([0, 1]))
        stale = self.random.random() < 0.2
        self.crew.exited(name, course.generation - stale, end, self.now)

    def prove(self, name):
        good = self.random.random() >= self.trouble
        generation = self.watched[name]
        if good or self.crew.courses[name].phase is not Phase.VERIFYING:
            self.crew.proved(name, generation, good, "bad", self.now, self.now)

    def step(self):
        chance, crew = self.random, self.crew
        name = chance.choice(self.names) if self.names else None
        what = chance.randrange(12)
        if what == 0:
            (crew.start if not crew.is_wanted else crew.stop)(self.now)
        elif name is None:
            self.add(f"n{self.now}-{chance.random()}", "permanent")
        elif what == 1 and crew.is_wanted:
            crew.restart(name, self.now)
        elif what == 2 and self.starting:
            self.give_up(chance.choice(list(self.starting)), "start")
        elif what == 3 and self.stopping:
            self.give_up(chance.choice(list(self.stopping)), "stop")
        elif what == 4 and not crew.needed_by(name) and chance.random() < 0.1:
            self.unwanted.add(name)
            crew.remove(name, self.now)
        elif what in (5, 6, 7) and self.starting:
            self.end_start(chance.choice(list(self.starting)))
        elif what in (8, 9) and self.stopping:
            self.end_stop(chance.choice(list(self.stopping)))
        elif what == 10 and self.watched:
            self.prove(chance.choice(list(self.watched)))
        elif what == 11:
            self.exit(name)
        self.now += chance.choice([0, 0, SECOND // 2, SECOND, 20 * SECOND])
        self.settle()

    def calm_down(self):
        """Let everything go well from here on, for as long as anything goes on."""
        self.trouble = 0
        for _ in range(400):
            for name in list(self.starting):
                self.end_start(name)
            for name in list(self.stopping):
                self.end_stop(name)
            for name in list(self.watched):
                self.prove(name)
            self.now += 10 * SECOND
            self.settle()


@pytest.mark.stress
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_order_of_events_makes_two_instances_or_a_start_before_its_time(strategy, stress_scale):
    for seed in range(20 * stress_scale):
        machine = Machine(seed, strategy, None)
        for _ in range(80):
            machine.step()


@pytest.mark.stress
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_whatever_has_happened_all_run_once_everything_works_again(strategy, stress_scale):
    for seed in range(15 * stress_scale):
        machine = Machine(seed, strategy, "permanent")
        machine.crew.start(machine.now)
        for _ in range(60):
            machine.step()
        if not machine.crew.is_wanted:
            machine.crew.start(machine.now)
        machine.calm_down()
        for course in machine.crew.courses.values():
            if course.name not in machine.unwanted and course.rules.restart == "permanent":
                assert course.phase is Phase.UP, (seed, course.name, course.phase)


@pytest.mark.stress
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_whatever_has_happened_nothing_is_left_after_a_stop(strategy, stress_scale):
    for seed in range(15 * stress_scale):
        machine = Machine(seed, strategy, None)
        machine.crew.start(machine.now)
        for _ in range(60):
            machine.step()
        machine.crew.stop(machine.now)
        machine.calm_down()
        assert machine.crew.is_settled, seed
        for name, course in machine.crew.courses.items():
            # What could not be stopped in time of trouble may be left, and is known to be.
            assert machine.alive[name] == 0 or not course.clean, (seed, name)
        assert not machine.watched


def test_a_restart_that_is_taken_after_a_stop_starts_nothing():  # MG-11, trap 64
    machine = Machine(1, "one_for_one", "permanent")
    machine.crew.start(now_ns=0)
    machine.settle()
    machine.crew.stop(now_ns=0)
    machine.crew.restart("c0", now_ns=0)
    assert not machine.crew.courses["c0"].wanted
