"""A node under load, in real threads, and for long: nothing is lost, and nothing is left."""

from __future__ import annotations

import gc
import inspect
import logging
import threading
import time
import weakref

import pytest

import holdfast as hf
from holdfast.supervision import ComponentManager, ComponentState, Supervisor
from tests.supervision.parts import Part, Transport

LIMIT = 60  # seconds until a test gives up waiting


def wait_until(is_so):
    until = time.monotonic() + LIMIT
    while not is_so():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.005)


@pytest.fixture
def _silent():
    """Nothing is logged: pytest keeps every record."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def cut_and_wait(manager, clock):
    """Cut the transport of a manager, and wait until there is another one."""
    before = manager.transport
    before.error = ConnectionError("cut")
    while manager.transport is before:
        clock.advance(2)
    assert not before.is_open


@pytest.mark.usefixtures("_silent")
def test_hundreds_of_recoveries_leave_no_memory_and_no_transport_behind(clock):  # TS-03, MG-06
    made = weakref.WeakSet()

    def make():
        made.add(transport := Transport())
        return transport

    manager = ComponentManager(
        "node", transport=make, sync=Part(), first_delay=0, healthy_after=1.0, clock=clock
    )
    with manager:
        for _ in range(50):
            cut_and_wait(manager, clock)
        gc.collect()
        before, threads = len(gc.get_objects()), set(threading.enumerate())
        for _ in range(300):
            cut_and_wait(manager, clock)
        gc.collect()
        assert len(made) <= 3
        assert sum(one.is_open for one in made) == 1
        assert len(gc.get_objects()) < before + 300  # less than one for each recovery
        assert set(threading.enumerate()) <= threads
        assert manager.status()["transport"].recoveries == 350
    assert not any(one.is_open for one in made)


def test_the_breaker_spares_a_transport_that_is_down_under_many_threads(clock):  # TS-03, CB-11
    calls = []

    class Down(Transport):
        def send(self, *message):
            calls.append(message)
            raise ConnectionError("down")

    refused = []

    def send(manager):
        for number in range(2000):
            try:
                manager.send_with_circuit_breaker("peer", number)
            except hf.CircuitOpenError:
                refused.append(number)
            except ConnectionError:
                pass

    with ComponentManager("node", transport=Down, clock=clock) as manager:
        threads = [threading.Thread(target=send, args=(manager,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
        assert manager.circuit_breaker_state() == "open"
        assert len(calls) + len(refused) == 8000
        assert 5 <= len(calls) <= 5 + 3  # those that were on their way when it opened


def test_parts_are_brought_back_in_real_time_while_messages_are_sent():  # TS-02, MG-21, NX-07
    done = []
    parts = {name: Part(name, done) for name in ("compression", "prediction", "sync", "consensus")}
    manager = ComponentManager(
        "node", transport=Transport, interval=0.02, first_delay=0.01, max_failures=1000, **parts
    )
    told = []
    manager.on_event(lambda event: told.append((event.kind, event.name)))
    stop = threading.Event()
    sent, failed = [], []

    def send():
        while not stop.is_set():
            try:
                sent.append(manager.send_with_circuit_breaker("peer", b"x"))
            except (ConnectionError, hf.CircuitOpenError) as error:
                failed.append(error)
            time.sleep(0.001)

    with manager:
        sender = threading.Thread(target=send)
        sender.start()
        first = manager.transport
        first.error = ConnectionError("cut")
        for part in parts.values():
            part.runs = False  # it has died, and its check fails until it is started again
        wait_until(lambda: manager.transport is not first and manager.is_healthy())
        seen = len(sent)
        wait_until(lambda: len(sent) > seen)
        stop.set()
        sender.join(LIMIT)
    assert {name for kind, name in told if kind == "recovered"} == {"transport", *parts}
    assert failed
    assert not any(part.runs for part in parts.values())
    assert not first.is_open


def test_starts_stops_sends_and_looks_of_many_threads_end_in_peace():  # TS-08, D-MG-1, D-MG-6
    parts = [Part("compression"), Part("sync")]
    manager = ComponentManager(
        "node", transport=Transport, compression=parts[0], sync=parts[1], interval=0.01
    )
    allowed = (
        *(hf.AlreadyStartedError, hf.PhaseStartError, hf.NotInitializedError),
        *(ConnectionError, hf.CircuitOpenError),
    )
    surprises = []
    stop = threading.Event()

    def work(*calls):
        while not stop.is_set():
            for call in calls:
                try:
                    call()
                except allowed:
                    pass
                except BaseException as error:  # told to the test
                    surprises.append(error)
                    raise

    works = (
        (manager.start, lambda: time.sleep(0.01), manager.stop),
        (manager.stop, lambda: time.sleep(0.02), manager.start),
        (lambda: manager.send_with_circuit_breaker("peer", b"x"), manager.circuit_breaker_state),
        (manager.snapshot, manager.is_healthy, manager.status),
        (lambda: manager.configure(attempts=2), lambda: time.sleep(0.01)),
    )
    threads = [threading.Thread(target=work, args=calls) for calls in works]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()
    assert surprises == []
    assert manager.stop(LIMIT)
    assert not any(part.runs for part in parts)
    manager.start()
    assert manager.is_healthy()
    assert manager.stop()


def test_a_part_that_hangs_delays_no_check_of_another_and_no_stop():  # D-MG-5, MG-08
    hangs, goes_on = threading.Event(), threading.Event()

    class Hanging(Part):
        def is_healthy(self):
            if self.starts and self.healthy == "hang":
                hangs.set()
                goes_on.wait(LIMIT)
            return True

    slow, quick = Hanging("sync"), Part("consensus")
    manager = ComponentManager(
        "node", sync=slow, consensus=quick, interval=0.02, timeout=0.1, stop_timeout=0.2
    )
    told = []
    manager.on_event(lambda event: told.append((event.kind, event.name)))
    manager.start()
    slow.healthy = "hang"
    assert hangs.wait(LIMIT)
    quick.runs = False
    wait_until(lambda: ("unhealthy", "consensus") in told)
    began = time.monotonic()
    manager.stop(5)
    assert time.monotonic() - began < LIMIT / 2
    assert not quick.runs
    goes_on.set()
    assert manager.stop(LIMIT)


# ---- what the criteria and the defaults of the original say ----


def test_the_criteria_of_the_original_are_the_defaults(clock):  # MG-21, RT-17, NX-04, MG-17
    settings = inspect.signature(ComponentManager).parameters
    assert settings["interval"].default == 10.0
    assert (settings["max_failures"].default, settings["reset_timeout"].default) == (5, 30.0)
    of_a_part = inspect.signature(Supervisor.add).parameters
    assert of_a_part["attempts"].default == 3
    backoff = of_a_part["backoff"].default
    assert [backoff.delay(attempt) for attempt in range(3)] == [1.0, 2.0, 4.0]
    part = Part("sync")
    with ComponentManager("node", sync=part, clock=clock, healthy_after=1.0) as manager:
        supervised = manager.status()["sync"]
        assert (supervised.attempts, supervised.state) == (3, ComponentState.RUNNING)
    # Each strategy can be configured.
    part.fails = None
    with ComponentManager(
        "other", sync=part, clock=clock, attempts=1, first_delay=0, cool_down=None
    ) as other:
        part.fails, part.runs = OSError("gone"), False
        clock.advance(60)
        assert other.status()["sync"].state == "given_up"


def test_the_settings_of_a_transport_are_those_of_the_original():  # MG-18
    from holdfast.manager import presets

    network = presets.get("dwcp")
    assert network.circuit_breakers["network"]["timeout"] == 30.0  # to connect
    retry = network.retry_policies["network"]
    assert (retry["max_retries"], retry["initial_delay"]) == (3, 0.1)
    assert inspect.signature(ComponentManager).parameters["interval"].default == 10.0


def test_there_is_one_spelling_of_each_state(clock):  # D-MG-7
    with ComponentManager("node", transport=Transport, clock=clock, max_failures=1) as manager:
        manager.transport.send = lambda *_: 1 / 0
        seen = [manager.circuit_breaker_state()]
        for _ in range(2):
            try:
                manager.send_with_circuit_breaker("peer", b"x")
            except (ZeroDivisionError, hf.CircuitOpenError):
                seen.append(manager.circuit_breaker_state())
        assert [hf.State(word) for word in seen] == [
            hf.State.CLOSED,
            hf.State.OPEN,
            hf.State.OPEN,
        ]
        assert hf.State("half_open") is hf.State("half-open")
        assert str(manager.status()["transport"].state) == ComponentState.RUNNING.value
