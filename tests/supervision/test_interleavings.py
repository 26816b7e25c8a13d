"""Whatever is done to a supervisor in whatever order, it does what the model allows and owes."""

from __future__ import annotations

import logging
import random

import pytest

from holdfast import ManualClock
from holdfast.supervision import Component, Exit, Supervisor
from tests.supervision.model import Spec, SupervisorModel

EACH, STEPS = 50, 20
INTERVAL = 30.0  # seconds between checks: most of a play is time that passes
SETTLED = 1000.0  # seconds after which everything that can run runs: cool-downs and their rounds
NAMES = "abcd"


class Acted(Component):
    """A component that the test acts: it tells the model, and fails as the model says."""

    def __init__(self, name, play):
        super().__init__(name)
        self.play = play

    def watch(self, ended):
        self.play.ends.setdefault(self.name, []).append(ended)

    def start(self):
        if not self.play.tells(lambda model: model.on_start(self.name)):
            raise ConnectionError(f"{self.name} does not start")
        self.play.objects.setdefault(self.name, []).append(self)

    def stop(self):
        self.play.tells(lambda model: model.on_stop(self.name))


class Checked(Acted):
    def check(self):
        return self.play.tells(lambda model: model.on_check(self.name), self.name)


class Play:
    """A supervisor and its model, which the same is done to."""

    def __init__(self, settings):
        self.clock = ManualClock()
        self.model = SupervisorModel(
            max_restarts=settings["max_restarts"],
            strategy=settings["strategy"],
            interval=settings["interval"],
        )
        self.supervisor = Supervisor("node", clock=self.clock, **settings)
        self.supervisor.on_event(self.hears)
        self.ends = {}
        self.objects = {}
        self.broken = []

    def tells(self, what, but=None):
        """Tell the model; what it refuses is kept: a supervisor goes on when a part raises."""
        try:
            self.model.reach(self.clock.now(), but)
            return what(self.model)
        except (AssertionError, KeyError) as error:
            self.broken.append(error)
            raise

    def hears(self, event):
        but = event.name if event.kind in ("started", "recovered") else None
        self.tells(lambda model: model.on_event(event.kind, event.name), but)

    # ---- what can be done ----

    def add(self, spec):
        if spec.name in self.model.parts or not set(spec.depends_on) <= self.model.parts.keys():
            return
        make = Checked if spec.checked else Acted
        settings = {
            field: getattr(spec, field)
            for field in (
                *("depends_on", "restart", "attempts", "first_delay"),
                *("healthy_after", "cool_down", "start_timeout"),
            )
        }
        if self.model.strategy == "recreate":
            settings["recreate"] = lambda: make(spec.name, self)
        self.model.add(spec)
        self.supervisor.add(make(spec.name, self), on_exit=dict(spec.on_exit), **settings)

    def remove(self, name):
        if name not in self.model.parts or self.is_needed(name):
            return
        self.model.remove(name)
        self.supervisor.remove(name)
        self.model.removed(name)

    def is_needed(self, name):
        return any(name in part.spec.depends_on for part in self.model.parts.values())

    def start(self):
        self.model.start()
        self.supervisor.start()

    def stop(self):
        if not self.model.running:
            assert self.supervisor.stop()
            return
        self.model.stop()
        assert self.supervisor.stop()
        self.model.stopped()
        assert self.clock.next_due_ns() is None, "a timer is left"

    def exits(self, name, code):
        part = self.model.parts.get(name)
        if part is None or not part.works:
            return
        self.model.exits(name, code)
        self.ends[name][-1](Exit(code=code))

    def exits_late(self, name):
        """What an earlier incarnation says of itself changes nothing."""
        for ended in self.ends.get(name, [])[:-1]:
            ended(Exit(code=1))
        part = self.model.parts.get(name)
        if part is not None and self.ends.get(name) and not part.works:
            self.ends[name][-1](Exit(code=1))

    def fails(self, name, fails):
        if name in self.model.parts:
            self.model.parts[name].fails = fails

    def says(self, name, passes):
        if name in self.model.parts:
            self.model.says(name, passes=passes)

    def restart(self, name):
        if name in self.model.parts and self.model.running:
            self.model.restart(name)
            self.supervisor.restart(name)

    def advance(self, seconds):
        self.clock.advance(seconds)

    # ---- what is true after each step ----

    def look(self):
        if self.broken:
            raise self.broken[0]
        self.model.reach(self.clock.now())
        self.model.owes_nothing()
        for name, allowed in self.model.shown().items():
            status = self.supervisor.status(name)
            assert str(status.state) in allowed, (name, status, self.model.parts[name])
        assert self.supervisor.running is self.model.running

    def end(self):
        """Once nothing fails any more, all that can run runs; then all of it is stopped."""
        for part in self.model.parts.values():
            part.fails = False
            self.model.says(part.spec.name, passes=True)
        for _ in range(4):
            self.clock.advance(SETTLED / 4)
            self.look()
        for name, part in self.model.parts.items():
            may_stay = ("running", "given_up", "finished", "over")
            needs = [self.model.parts[one].state for one in part.spec.depends_on]
            if self.model.running and all(state == "running" for state in needs):
                assert part.state in may_stay, (name, part)
        self.stop()
        self.look()
        assert not any(part.works for part in self.model.parts.values())
        if self.model.strategy == "recreate":
            for made in self.objects.values():
                assert len(made) == len(set(map(id, made))), "an object was started again"


def script(seed, settings):
    """Return what is done, in which order."""
    draw = random.Random(seed)
    steps = []
    for at, name in enumerate(NAMES[: draw.randint(1, 4)]):
        steps.append(("add", spec(draw, name, NAMES[:at])))
    steps.append(("start",))
    for _ in range(STEPS):
        name = draw.choice(NAMES)
        steps.append(
            draw.choices(
                (
                    ("add", spec(draw, name, NAMES[: NAMES.index(name)])),
                    ("remove", name),
                    ("start",),
                    ("stop",),
                    ("exits", name, draw.choice((0, 1, 1, 2, 3, 4, 5))),
                    ("exits_late", name),
                    ("fails", name, draw.random() < 0.5),
                    ("says", name, draw.random() < 0.5),
                    ("restart", name),
                    ("advance", draw.uniform(0.05, 3.0)),
                    ("advance", draw.uniform(3.0, 100.0)),
                    ("advance", draw.uniform(100.0, 700.0)),
                ),
                (2, 1, 1, 1, 8, 2, 4, 4, 2, 8, 4, 1),
            )[0]
        )
    return steps


def spec(draw, name, others):
    return Spec(
        name,
        depends_on=tuple(one for one in others if draw.random() < 0.4),
        restart=draw.choice(("permanent", "permanent", "permanent", "transient", "temporary")),
        attempts=draw.choice((1, 2, 3, 3)),
        first_delay=draw.choice((None, None, 0.0, 0.5)),
        healthy_after=draw.choice((5.0, 60.0)),
        cool_down=draw.choice((60.0, 60.0, 60.0, 5.0, None)),
        on_exit=draw.choice(((), ((2, "restart_now"), (3, "finish"), (4, "give_up")))),
        checked=draw.random() < 0.4,
    )


def perform(steps, settings):
    play = Play(settings)
    try:
        for step in steps:
            getattr(play, step[0])(*step[1:])
            play.look()
        play.end()
    finally:
        play.supervisor.stop(0)


def fails(steps, settings):
    try:
        perform(steps, settings)
    except Exception as error:  # whatever it is, it is shown below
        return error
    return None


def smallest(steps, settings):
    """Leave out what a failure does not need."""
    at = 0
    while at < len(steps):
        fewer = steps[:at] + steps[at + 1 :]
        if fails(fewer, settings) is None:
            at += 1
        else:
            steps = fewer
    return steps


def check(seeds, settings):
    for seed in seeds:
        steps = script(seed, settings)
        if fails(steps, settings) is not None:
            steps = smallest(steps, settings)
            print(f"seed {seed}, {settings}", *steps, sep="\n")
            perform(steps, settings)


def blocks(strategy, max_restarts, count):
    settings = {
        "strategy": strategy,
        "max_restarts": max_restarts,
        "within": 60.0,
        "interval": INTERVAL,
    }
    return [
        pytest.param(
            range(at * EACH, (at + 1) * EACH), settings, id=f"{strategy}-{max_restarts}-{at}"
        )
        for at in range(count)
    ]


@pytest.fixture
def _silent(monkeypatch):
    """Nothing is logged, since most would be; and checks are spread alike each time."""
    monkeypatch.setattr("holdfast.health.monitor.fresh_seed", lambda: 7)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(
    ("seeds", "settings"),
    [
        *blocks("one_for_one", None, 8),
        *blocks("one_for_one", 3, 3),
        *blocks("recreate", None, 2),
        *blocks("one_for_all", None, 4),
        *blocks("rest_for_one", None, 3),
    ],
)
@pytest.mark.usefixtures("_silent")
def test_a_supervisor_does_what_it_promises_in_any_order_of_what_happens(seeds, settings):
    # MG-05, MG-08, MG-17, RT-17, GEN-07, D-HC-2, D-MG-2, D-MG-3, D-MG-4, traps 61, 63, 64, 65
    check(seeds, settings)
