"""A resource manager against its model, and what holds whatever races: each is cleaned once."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from random import Random

import pytest

import holdfast as hf
from holdfast.resources import cleanups
from tests.models.resources import Held, Resources

pytestmark = pytest.mark.stress

KINDS = ("connection", "file", "memory")
ACTS = ("works", "works", "fails", "registers", "unregisters")


class Thing:
    """An object that is tracked."""


class Both:
    """A manager and its model, of which the same is asked."""

    def __init__(self, seed):
        self.random = random = Random(seed)
        limits = {kind: random.choice([None, 2, 4, 9]) for kind in KINDS}
        most = random.choice([3, 6, 50])
        self.clock = hf.ManualClock()
        self.real = hf.ResourceManager(
            "shop",
            limits={kind: limit for kind, limit in limits.items() if limit},
            max_resources=most,
            clock=self.clock,
        )
        self.model = Resources(limits, most)
        self.ran: list[str] = []
        self.names = 0
        self.things: list[tuple[Held, Thing]] = []
        self.uses: list[tuple[Held, hf.Resource, object]] = []

    # ---- what both are asked ----

    def cleanup_of(self, kind):
        """Return a clean-up for the manager, and what the model knows of it."""
        if self.random.random() < 0.2:
            return None, None
        self.names += 1
        name, act = f"c{self.names}", self.random.choice(ACTS)

        def cleanup():
            self.ran.append(name)
            if act == "fails":
                raise OSError(name)
            if act == "registers":
                with suppress(hf.ResourceLimitError, RuntimeError):
                    self.real.register(f"child of {name}", kind)
            elif act == "unregisters":
                self.real.unregister(0)

        return cleanup, (name, act)

    def register(self):
        id_, kind = self.random.randrange(8), self.random.choice(KINDS)
        amount = self.random.choice([1, 1, 1, 2])
        cleanup, known = self.cleanup_of(kind)
        expected = self.model.register(Held(id_, kind, amount, known, self.model.now))
        try:
            self.real.register(id_, kind, cleanup, amount=amount)
            said = "registered"
        except hf.ResourceLimitError:
            said = "limit"
        except hf.ConfigError:
            said = "taken"
        except RuntimeError:
            said = "stopped"
        assert said == expected

    def track(self):
        kind, thing = self.random.choice(KINDS), Thing()
        cleanup, known = self.cleanup_of(kind)
        with suppress(hf.ResourceLimitError, RuntimeError):
            made = self.real.track(thing, kind, cleanup)
            self.model.now = int(self.clock.now())
            held = Held(made.id, kind, 1, known, self.model.now, tracked=True)
            assert self.model.register(held) == "registered"
            self.things.append((held, thing))
            return
        wanted = self.model.register(Held("refused", kind, 1, known, self.model.now))
        assert wanted in {"limit", "stopped"}

    def die(self):
        if self.things:
            held, thing = self.things.pop(self.random.randrange(len(self.things)))
            self.model.die(held)
            del thing

    def unregister(self):
        id_ = self.random.randrange(8)
        assert self.real.unregister(id_) == self.model.unregister(id_)

    def cleanup(self):
        id_ = self.random.randrange(8)
        assert self.real.cleanup(id_) == self.model.cleanup(id_)

    def touch(self):
        id_ = self.random.randrange(8)
        held = self.model.find(id_)
        assert self.real.touch(id_) == (held is not None)
        if held is not None:
            held.used = self.model.now

    def use(self):
        id_ = self.random.randrange(8)
        held = self.model.find(id_)
        resource = self.real.get(id_)
        assert (resource is None) == (held is None)
        if held is not None:
            using = resource.using()
            using.__enter__()
            held.uses += 1
            held.used = self.model.now
            self.uses.append((held, using))

    def end_use(self):
        if self.uses:
            held, using = self.uses.pop()
            using.__exit__(None, None, None)
            held.uses -= 1
            held.used = self.model.now

    def advance(self):
        seconds = self.random.choice([1, 100, 299, 300, 301, 700])
        self.clock.advance(seconds)
        self.model.now += seconds

    def clean_idle(self):
        assert self.real.clean_idle() == self.model.clean_idle()

    def find_leaks(self):
        assert [one.id for one in self.real.find_leaks()] == self.model.find_leaks()

    def resize(self):
        kind, limit = self.random.choice(KINDS), self.random.choice([1, 3, 5, 9])
        try:
            self.real.set_limit(kind, limit)
            done = True
        except hf.ConfigError:
            done = False
        assert done == self.model.resize(kind, limit)

    def cleanup_all(self):
        assert self.real.cleanup_all() == self.model.cleanup_all()

    def stop(self):
        assert self.real.stop()
        self.model.stop()

    # ---- what must hold after each ----

    def check(self):
        seen = self.real.snapshot()
        for kind, expected in self.model.counts.items():
            its = seen.kinds[kind]
            assert {name: getattr(its, name) for name in asdict(expected)} == asdict(expected)
            assert its.active == self.model.active(kind)
            assert its.limit == self.model.limits[kind]
            ended = its.cleaned + its.unregistered + its.collected
            assert its.created - ended == self.real.count(kind)
        assert seen.refused == self.model.refused
        assert self.real.count() == len(self.model.held)
        assert [one.id for one in self.real.resources()] == [one.id for one in self.model.held]
        assert self.ran == self.model.ran  # each once, and in the same order
        assert len(set(self.ran)) == len(self.ran)


OFTEN = ("register", "register", "register", "register", "track", "unregister", "cleanup")
SOMETIMES = ("die", "touch", "use", "end_use", "advance", "clean_idle", "find_leaks", "resize")
RARELY = ("cleanup_all",)
CHOICE = (*OFTEN * 2, *SOMETIMES, *RARELY)


@pytest.mark.parametrize("part", range(4))
def test_a_manager_does_what_its_model_does(part, stress_scale):  # RS-01 to RS-08, D-C-6 to D-C-9
    for seed in range(part, 160 * stress_scale, 4):
        both = Both(seed)
        try:
            for step in range(40):
                getattr(both, both.random.choice(CHOICE))()
                assert both.ran == both.model.ran
                if step % 4 == 0:
                    both.check()
            both.stop()
            both.check()
            both.register()
            both.check()
        except BaseException:
            print("seed", seed)
            raise
        assert both.real.count() == 0


# ---- threads ----


class Shared:
    """A manager that several threads use, and what became of each registration."""

    def __init__(self, seed):
        self.seed = seed
        self.real = hf.ResourceManager(
            "shop",
            limits={"connection": 6, "file": 4},
            max_resources=12,
            cleanup_interval=1,
            idle_after=1,
            clock=hf.ManualClock(),
        )
        self.called: dict[int, list[None]] = {}  # by registration; append is one step
        self.released: list[int] = []  # registrations that unregister() has ended
        self.made: list[int] = []
        self.refused: list[None] = []
        self.collected: list[int] = []

    def register(self, random, own, thread):
        number = thread * 1000 + len(own)
        calls = self.called[number] = []

        def cleanup():
            calls.append(None)
            if number % 5 == 0:
                raise OSError
            if number % 7 == 0:
                self.real.unregister(-1)

        kind = random.choice(["connection", "file", "memory"])
        own.append(None)
        try:
            if random.random() < 0.2:
                thing = Thing()
                self.real.track(thing, kind, cleanup)
                self.made.append(number)
                return
            made = self.real.register(random.randrange(20), kind, cleanup)
        except (hf.ResourceLimitError, hf.ConfigError, RuntimeError) as error:
            self.refused += [None] * isinstance(error, hf.ResourceLimitError)
            return
        self.made.append(number)
        own[-1] = (number, made)

    def act(self, thread):
        random, own = Random(self.seed * 31 + thread), []
        for _ in range(30):
            act = random.randrange(10)
            held = [one for one in own if one is not None]
            if act < 4 or not held:
                self.register(random, own, thread)
            elif act == 4:
                number, made = random.choice(held)
                if made.unregister():
                    self.released.append(number)
            elif act == 5:
                random.choice(held)[1].cleanup()
            elif act == 6:
                self.real.cleanup(random.randrange(20))
            elif act == 7:
                random.choice(held)[1].touch()
                self.real._clock.advance(0.6)
            elif act == 8:
                self.real.clean_idle()
            elif random.random() < 0.2:
                self.real.cleanup_all()
            else:
                with suppress(hf.ConfigError):
                    self.real.set_limit("file", random.choice([2, 4, 8]))

    def run(self, threads, stops):
        start = threading.Barrier(threads + stops)
        errors: list[BaseException] = []

        def body(thread):
            start.wait(60)
            try:
                self.act(thread)
            except BaseException as error:
                errors.append(error)

        def stopping():
            start.wait(60)
            self.real.stop(60)

        bodies = [threading.Thread(target=body, args=(thread,)) for thread in range(threads)]
        bodies += [threading.Thread(target=stopping)] * stops
        for one in bodies:
            one.start()
        for one in bodies:
            one.join(100)
            assert not one.is_alive()
        assert errors == []

    def check(self):
        """Each was cleaned once, but for those that their owner has unregistered: never."""
        assert self.real.stop(60)
        assert self.real.count() == 0
        released = set(self.released)
        assert len(released) == len(self.released)
        for number, calls in self.called.items():
            wanted = number in set(self.made) and number not in released
            assert len(calls) == wanted, number
        kinds = self.real.snapshot().kinds.values()
        assert sum(one.created for one in kinds) >= len(self.made)
        for one in kinds:
            assert one.active == 0
            assert one.created == one.cleaned + one.unregistered + one.collected
        assert sum(one.unregistered for one in kinds) >= len(released)
        refused = sum(one.refused for one in kinds) + self.real.snapshot().refused
        assert refused == len(self.refused)


@pytest.fixture
def often():
    """Have threads change places often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("stops", [0, 1])
def test_whatever_races_each_is_cleaned_once_and_the_books_balance(stops, often, stress_scale):
    for seed in range(100 * stress_scale):  # RS-07, D-C-7, D-C-8
        shared = Shared(seed)
        if seed % 2:
            shared.real.start()
        shared.run(3, stops)
        shared.check()


def test_a_stop_while_a_clean_up_is_about_to_begin_leaves_it_its_thread(monkeypatch):  # RS-07
    """It would wait for ever for a thread that has ended, and never run."""
    resources, ran = hf.ResourceManager("shop"), []
    resources.register("first", "file", lambda: ran.append("first"))
    resources.cleanup_all()  # its thread waits for the next one
    resources.register("second", "file", lambda: ran.append("second"))
    stopping = threading.Thread(target=resources.stop, args=(60,))

    class Round(cleanups.Round):
        def __init__(self, *args):
            super().__init__(*args)
            stopping.start()
            stopping.join(0.3)  # it either ends now, or waits for this

    monkeypatch.setattr(cleanups, "Round", Round)
    cleaning = threading.Thread(target=resources.cleanup_all, daemon=True)
    cleaning.start()
    for one in (cleaning, stopping):
        one.join(30)
        assert not one.is_alive()
    assert ran == ["first", "second"]
    assert not [one for one in threading.enumerate() if "shop-cleanup" in one.name]
