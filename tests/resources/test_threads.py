"""A resource manager that many threads use: what is counted balances, and nothing runs twice."""

import gc
import random
import sys
import threading
import time

import pytest

from holdfast import ResourceLimitError, ResourceManager

THREADS = 8
SOON = 60.0


@pytest.fixture(autouse=True)
def _quick_switches():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def together(*works):
    """Run functions in threads that begin at the same time; raise what one of them raises."""
    barrier, raised = threading.Barrier(len(works)), []

    def run(work):
        barrier.wait(SOON)
        try:
            work()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
        assert not thread.is_alive()
    if raised:
        raise raised[0]


def test_a_hundred_thousand_registrations_from_eight_threads_balance():  # RS-05
    each = 100_000 // THREADS
    resources = ResourceManager("shop", limits={}, max_resources=200_000)

    def work(thread):
        for number in range(each):
            resources.register((thread, number), "file")
            if number % 2:
                resources.unregister((thread, number))

    together(*(lambda thread=thread: work(thread) for thread in range(THREADS)))
    figures = resources.snapshot().kinds["file"]
    assert figures.created == 100_000
    assert figures.unregistered == 50_000
    assert figures.active == figures.registered == resources.count() == 50_000
    assert resources.cleanup_all() == 50_000
    assert resources.snapshot().kinds["file"].active == resources.count() == 0


def test_a_limit_holds_while_eight_threads_register():  # RS-06
    resources = ResourceManager("shop", limits={"connection": 10})
    held, lock = set(), threading.Lock()
    most, refused = [], []

    def work(thread):
        for number in range(2000):
            one = (thread, number)
            try:
                resources.register(one, "connection")
            except ResourceLimitError:
                refused.append(one)
                continue
            with lock:
                held.add(one)
                most.append(len(held))
                held.remove(one)
            assert resources.unregister(one)

    together(*(lambda thread=thread: work(thread) for thread in range(THREADS)))
    assert max(most) <= 10
    figures = resources.snapshot().kinds["connection"]
    assert figures.active == 0
    assert figures.refused == len(refused)
    assert figures.created + figures.refused == 2000 * THREADS


def test_one_identifier_is_registered_once_though_eight_threads_try():  # D-C-7
    resources = ResourceManager("shop")
    won = []

    def work(thread):
        for number in range(500):
            try:
                resources.register(number, "file", metadata={"by": thread})
            except ValueError:
                continue
            won.append(number)

    together(*(lambda thread=thread: work(thread) for thread in range(THREADS)))
    assert sorted(won) == list(range(500))
    assert resources.snapshot().kinds["file"].created == 500


@pytest.mark.parametrize("seed", range(10))
def test_each_cleanup_runs_once_whoever_ends_a_registration(seed):  # RS-07, D-C-9
    resources = ResourceManager("shop", idle_after=0.001, cleanup_timeout=SOON)
    cleaned, ends, lock = [], [], threading.Lock()

    def end(number, way):
        one = resources.get(number)
        if way == 0 and resources.unregister(number):
            with lock:
                ends.append(number)
        elif way == 1:
            resources.cleanup(number)
        elif way == 2 and one is not None and one.unregister():
            with lock:
                ends.append(number)
        elif way == 3:
            resources.clean_idle()
        elif way == 4:
            resources.cleanup_all()

    def work(thread):
        chance = random.Random(seed * THREADS + thread)
        numbers = list(range(60))
        chance.shuffle(numbers)
        for number in numbers:
            end(number, chance.choices(range(5), (8, 8, 8, 1, 1))[0])

    for number in range(60):
        resources.register(number, "file", lambda number=number: cleaned.append(number)).touch()
    together(*(lambda thread=thread: work(thread) for thread in range(4)), resources.stop)
    assert resources.stop(SOON) is True
    assert sorted([*cleaned, *ends]) == list(range(60))
    figures = resources.snapshot().kinds["file"]
    assert (figures.active, figures.cleaned, figures.unregistered) == (0, len(cleaned), len(ends))


@pytest.mark.parametrize("seed", range(5))
def test_what_is_registered_during_a_stop_is_refused_or_cleaned(seed):  # RS-07
    resources = ResourceManager("shop", cleanup_timeout=SOON)
    registered, cleaned = [], []

    def work(thread):
        for number in range(300):
            one = (thread, number)
            try:
                resources.register(one, "file", lambda one=one: cleaned.append(one))
            except RuntimeError:
                return
            registered.append(one)

    together(*(lambda thread=thread: work(thread) for thread in range(4)), resources.stop)
    assert resources.stop(SOON) is True
    assert resources.count() == 0
    assert sorted(cleaned) == sorted(registered)


class Thing:
    pass


def test_tracked_objects_that_die_in_many_threads_are_all_counted():  # RS-01
    resources = ResourceManager("shop", max_resources=100_000, cleanup_timeout=SOON)
    cleaned = []

    def work():
        for number in range(500):
            thing = Thing()
            thing.self = thing if number % 3 == 0 else None
            resources.track(thing, "file", cleaned.append, number)

    resources.start()
    together(*[work] * 4)
    until = time.monotonic() + SOON
    while resources.count() and time.monotonic() < until:
        gc.collect()  # it returns at once while another thread collects
    assert resources.count() == 0
    resources.stop(SOON)
    figures = resources.snapshot().kinds["file"]
    assert (figures.created, figures.collected, len(cleaned)) == (2000, 2000, 2000)
    assert figures.cleanup_errors == 0


def test_a_finaliser_may_use_the_manager_within_the_managers_own_steps():  # D-C-8
    resources = ResourceManager("shop", limits={"file": 100_000}, max_resources=100_000)

    class Finalised:
        def __init__(self, number):
            self.number = number
            self.self = self

        def __del__(self):
            resources.unregister(self.number)
            with resources.register(("end", self.number), "timer") as one, one.using():
                one.touch()
            resources.set_limit("file", 100_000)

    before = gc.get_threshold()
    gc.set_threshold(3, 2, 2)
    try:
        for number in range(2000):
            resources.register(number, "file")
            Finalised(number)
            resources.touch(number)
            resources.set_limit("connection", None)
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert resources.count() == 0
    assert resources.snapshot().kinds["timer"].created == 2000
