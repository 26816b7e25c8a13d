"""Phases start in order, are taken back if one fails, and stop in reverse, from anywhere."""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import pickle
import signal
import threading

import pytest

from holdfast.supervision.errors import AlreadyStartedError, PhaseStartError
from holdfast.supervision.phases import Phases


class Acted:
    """A phase that writes down what is done to it."""

    def __init__(self, number, done, *, fails=None, stop_fails=None, ends=True):
        self.number, self.title = number, f"Part {number}"
        self.done, self.fails, self.stop_fails, self.ends = done, fails, stop_fails, ends
        self.meanwhile = lambda: None
        self.runs = False

    def start(self):
        self.done.append(("start", self.number))
        self.runs = True
        self.meanwhile()
        if self.fails is not None:
            raise self.fails

    async def astart(self):
        self.start()
        await asyncio.sleep(0)

    def stop(self, timeout):
        self.done.append(("stop", self.number))
        self.timeout = timeout
        self.runs = False
        if self.stop_fails is not None:
            raise self.stop_fails
        return self.ends

    async def astop(self, timeout):  # noqa: ASYNC109 - as in stop
        return self.stop(timeout)


@pytest.fixture
def done():
    return []


def three(done, **settings):
    return [Acted(number, done, **settings) for number in range(3)]


IN_ORDER = [("start", 0), ("start", 1), ("start", 2)]
IN_REVERSE = [("stop", 2), ("stop", 1), ("stop", 0)]


def test_phases_start_in_order_and_stop_in_reverse_again_and_again(done):  # MG-09, GEN-07, D-HC-2
    phases = Phases("node", three(done))
    for _ in range(3):
        done.clear()
        phases.start()
        assert phases.running
        assert done == IN_ORDER
        done.clear()
        assert phases.stop()
        assert not phases.running
        assert done == IN_REVERSE


async def test_phases_start_and_stop_in_an_event_loop(done):  # MG-09
    phases = Phases("node", three(done))
    for _ in range(2):
        done.clear()
        await phases.astart()
        assert phases.running
        assert await phases.astop()
        assert done == IN_ORDER + IN_REVERSE


def test_a_phase_that_fails_takes_back_what_had_started(done):  # MG-12, D-MG-6, GEN-08
    parts = three(done)
    parts[1].fails = ConnectionError("no route")
    phases = Phases("node", parts)
    with pytest.raises(PhaseStartError, match=r"'node'.*phase 1 \(Part 1\).*no route") as caught:
        phases.start()
    assert caught.value.__cause__ is parts[1].fails
    assert caught.value.code == "PHASE1_START_FAILED"
    assert done == [("start", 0), ("start", 1), ("stop", 1), ("stop", 0)]
    assert not phases.running
    assert not phases.is_begun
    parts[1].fails = None
    phases.start()
    assert phases.stop()


async def test_a_phase_that_fails_in_an_event_loop_takes_back_what_had_started(done):  # MG-12
    parts = three(done)
    parts[2].fails = OSError("full")
    with pytest.raises(PhaseStartError) as caught:
        await Phases("node", parts).astart()
    assert caught.value.code == "PHASE2_START_FAILED"
    assert done == IN_ORDER + IN_REVERSE


def test_what_fails_while_it_is_taken_back_is_told_beside_the_reason(done):  # MG-12
    parts = three(done)
    parts[2].fails = OSError("full")
    parts[0].stop_fails = ValueError("stuck")
    with pytest.raises(PhaseStartError, match="full") as caught:
        Phases("node", parts).start()
    assert "stuck" in caught.value.__notes__[0]
    assert not any(part.runs for part in parts)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_an_interrupt_is_passed_on_after_what_had_started_was_stopped(done, error):  # GEN-07
    parts = three(done)
    parts[1].fails = error
    phases = Phases("node", parts)
    with pytest.raises(type(error)):
        phases.start()
    assert not any(part.runs for part in parts)
    assert not phases.is_begun


async def test_a_cancelled_start_stops_what_had_started(done):  # GEN-07, D-MG-3
    parts = three(done)
    reached = asyncio.Event()

    async def hang():
        parts[1].start()
        reached.set()
        await asyncio.sleep(1000)

    parts[1].astart = hang
    phases = Phases("node", parts)
    task = asyncio.create_task(phases.astart())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(part.runs for part in parts)
    assert not phases.is_begun


def test_a_second_start_is_refused_and_changes_nothing(done):  # MG-11, GEN-08
    phases = Phases("node", three(done))
    phases.start()
    with pytest.raises(AlreadyStartedError, match="'node' was started already: stop it first") as e:
        phases.start()
    assert e.value.code == "ALREADY_STARTED"
    assert done == IN_ORDER
    assert phases.running
    assert phases.stop()


def test_a_stop_without_a_start_and_a_second_stop_do_nothing(done):  # MG-11, GEN-07
    phases = Phases("node", three(done))
    assert phases.stop()
    phases.start()
    assert phases.stop()
    assert phases.stop()
    assert done == IN_ORDER + IN_REVERSE


def test_all_phases_are_stopped_whatever_one_of_them_raises(done):  # GEN-07
    parts = three(done)
    parts[1].stop_fails = ValueError("stuck")
    phases = Phases("node", parts)
    phases.start()
    with pytest.raises(ExceptionGroup, match="stopping component manager 'node'"):
        phases.stop()
    assert done == IN_ORDER + IN_REVERSE
    parts[1].stop_fails = None
    assert phases.stop()
    phases.start()
    assert phases.stop()


def test_a_stop_that_leaves_something_says_so_and_can_be_repeated(done):  # GEN-07
    parts = three(done)
    parts[0].ends = False
    phases = Phases("node", parts)
    phases.start()
    assert not phases.stop(0.5)
    assert 0 < parts[0].timeout <= 0.5
    with pytest.raises(AlreadyStartedError, match="is being stopped"):
        phases.start()
    parts[0].ends = True
    assert phases.stop()
    phases.start()
    assert phases.stop()


def test_a_failed_start_that_leaves_something_needs_another_stop(done):  # MG-12, GEN-07
    parts = three(done)
    parts[1].fails, parts[0].ends = OSError("full"), False
    phases = Phases("node", parts)
    with pytest.raises(PhaseStartError):
        phases.start()
    assert not phases.running
    with pytest.raises(AlreadyStartedError, match="is being stopped"):
        phases.start()
    parts[1].fails, parts[0].ends = None, True
    assert phases.stop()
    phases.start()
    assert phases.stop()


def test_a_stop_from_within_a_start_ends_the_start(done):  # GEN-07
    parts = three(done)
    phases = Phases("node", parts)
    parts[1].meanwhile = lambda: stopped.append(phases.stop())
    stopped = []
    with pytest.raises(PhaseStartError, match="stopped meanwhile"):
        phases.start()
    assert stopped == [False]  # the start itself still runs
    assert ("start", 2) not in done
    assert not any(part.runs for part in parts)
    assert not phases.is_begun


def test_a_stop_by_another_thread_ends_a_start_and_waits_for_its_end(done):  # GEN-07, TS-08
    parts = three(done)
    phases = Phases("node", parts)
    reached, goes_on = threading.Event(), threading.Event()

    def hang():
        reached.set()
        goes_on.wait(60)

    def stop(timeout):
        parts[1].runs = False
        goes_on.set()  # as a supervisor does, whose stop ends the wait for a start
        return True

    parts[1].meanwhile, parts[1].stop = hang, stop
    errors = []

    def start():
        try:
            phases.start()
        except PhaseStartError as error:
            errors.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    assert reached.wait(60)
    assert phases.stop(60)
    thread.join(60)
    assert [error.phase for error in errors] == [1]
    assert not any(part.runs for part in parts)
    assert not phases.is_begun


def test_a_stop_in_a_signal_handler_that_interrupts_a_start_does_not_wait_for_it(done):  # GEN-07
    parts = three(done)
    phases = Phases("node", parts)
    before = signal.signal(signal.SIGUSR1, lambda *_: phases.stop(60))
    try:
        parts[1].meanwhile = lambda: os.kill(os.getpid(), signal.SIGUSR1)
        with pytest.raises(PhaseStartError):
            phases.start()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not any(part.runs for part in parts)


def test_concurrent_starts_and_stops_leave_all_or_nothing(done):  # TS-08, D-MG-1
    parts = three(done)
    phases = Phases("node", parts)
    barrier = threading.Barrier(4)
    refused = []

    def work(call):
        barrier.wait(60)
        for _ in range(50):
            try:
                call()
            except (AlreadyStartedError, PhaseStartError) as error:
                refused.append(error)

    threads = [
        threading.Thread(target=work, args=(call,))
        for call in (phases.start, phases.start, phases.stop, phases.stop)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert phases.stop(60)
    assert not any(part.runs for part in parts)
    phases.start()
    assert all(part.runs for part in parts)
    assert phases.stop()


def test_each_phase_says_that_it_starts_and_stops(done, caplog):  # LG-02
    caplog.set_level(logging.INFO, "holdfast")
    phases = Phases("node", three(done))
    phases.start()
    phases.stop()
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == "Starting Phase 0: Part 0: component manager 'node'"
    assert said[-1] == "Stopping Phase 0: Part 0: component manager 'node'"
    assert len(said) == 6
    assert {record.name for record in caplog.records} == {"holdfast.supervision"}
    assert caplog.records[0].holdfast_phase == 0


def test_the_error_of_a_phase_is_equal_in_another_process():  # GEN-08
    error = PhaseStartError("node", 3, "Resilience Layer", "no memory")
    for one in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (one.code, one.phase, one.title) == ("PHASE3_START_FAILED", 3, "Resilience Layer")
        assert str(one) == str(error)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_started_nothing(done):
    phases = Phases("node", three(done))
    phases.start()
    child = os.fork()
    if child == 0:
        os._exit(0 if not phases.running and phases.stop() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert phases.running
    assert phases.stop()
