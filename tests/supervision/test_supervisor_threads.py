"""A supervisor in threads: time limits, stops from everywhere, and nothing that is left."""

import gc
import logging
import os
import signal
import threading
import time
import weakref
from contextlib import suppress

import pytest

from holdfast import ConfigError
from holdfast.health import PingCheck
from holdfast.supervision import Component, Exit, Supervisor
from tests.supervision.crewed import Checked, Part

SOON = 20.0  # a generous limit for what happens at once
FAILED = Exit(code=1)


class Gate(Part):
    """Its start or its stop waits until it is let go."""

    def __init__(self, name, *, start=False, stop=False):
        super().__init__(name)
        self.go = threading.Event()
        self.waits = {"start": start, "stop": stop}
        self.entered = threading.Event()

    def start(self):
        if self.waits["start"]:
            self.entered.set()
            self.go.wait(SOON)
        super().start()

    def stop(self):
        if self.waits["stop"]:
            self.entered.set()
            self.go.wait(SOON)
        super().stop()


def until(is_so, seconds=SOON):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it has not come about"
        time.sleep(0.002)


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = set(threading.enumerate())
    yield
    until(lambda: set(threading.enumerate()) <= before)


def supervisor_of(*parts, **settings):
    supervisor = Supervisor("crew", interval=0.05, max_restarts=None)
    for part in parts:
        supervisor.add(part, **settings)
    return supervisor


def test_components_start_recover_and_stop_in_threads():  # MG-08
    part = Checked("db")
    with supervisor_of(part, first_delay=0) as supervisor:
        assert supervisor.wait_until_running(SOON)
        part.end(FAILED)
        until(lambda: supervisor.status("db").recoveries == 1)
    assert part.calls == ["+db", "-db", "+db", "-db"]
    assert not supervisor.running


def test_independent_components_start_at_the_same_time():
    one, other = Gate("one", start=True), Gate("other", start=True)
    supervisor = supervisor_of(one, other)
    supervisor.start()
    assert one.entered.wait(SOON)
    assert other.entered.wait(SOON)
    one.go.set()
    other.go.set()
    assert supervisor.wait_until_running(SOON)
    assert supervisor.stop()


def test_many_slow_starts_share_a_bounded_number_of_threads():
    parts = [Gate(f"part-{n}", start=True) for n in range(50)]
    supervisor = supervisor_of(*parts)
    supervisor.start()
    until(lambda: sum(one.entered.is_set() for one in parts) == 32)
    time.sleep(0.05)
    assert sum(one.entered.is_set() for one in parts) == 32
    for one in parts:
        one.go.set()
    assert supervisor.wait_until_running(SOON)
    assert supervisor.stop()


# ---- what hangs ----


def test_a_start_that_hangs_is_given_up_stopped_and_not_joined_by_another():  # MG-17, D-MG-5
    part = Gate("db", start=True)
    supervisor = supervisor_of(
        part, start_timeout=0.05, stop_timeout=0.05, backoff=0.01, attempts=100
    )
    supervisor.start()
    until(lambda: supervisor.status("db").recovery_attempts >= 3)
    assert "start" in supervisor.status("db").error
    assert "+db" not in part.calls
    part.waits["start"] = False
    part.go.set()
    assert supervisor.wait_until_running(SOON)
    assert part.calls.count("+db") == 2  # the late one was stopped, see Part.start
    assert supervisor.stop()


def test_one_that_hangs_while_it_is_stopped_is_not_joined_by_another():
    part = Gate("db", stop=True)
    supervisor = supervisor_of(part, stop_timeout=0.05, backoff=0.01, attempts=100)
    supervisor.start()
    assert supervisor.wait_until_running(SOON)
    part.end(FAILED)
    until(lambda: supervisor.status("db").recovery_attempts >= 3)
    assert part.calls == ["+db"]
    part.waits["stop"] = False
    part.go.set()
    assert supervisor.wait_until_running(SOON)
    assert part.calls.count("+db") == 2
    assert supervisor.stop()


def test_a_stop_is_bounded_though_a_component_hangs_and_the_rest_goes_on_later():  # D-MG-1
    part = Gate("db", stop=True)
    supervisor = supervisor_of(part)
    supervisor.start()
    assert supervisor.wait_until_running(SOON)
    began = time.monotonic()
    assert supervisor.stop(timeout=0.1) is False
    assert time.monotonic() - began < 5
    part.go.set()
    assert supervisor.stop()
    assert supervisor.status("db").state == "stopped"


def test_a_stop_during_a_start_waits_for_it_and_undoes_it():  # MG-12, D-MG-3
    part = Gate("db", start=True)
    supervisor = supervisor_of(part)
    supervisor.start()
    assert part.entered.wait(SOON)
    stopper = threading.Thread(target=supervisor.stop)
    stopper.start()
    part.go.set()
    stopper.join(SOON)
    assert part.calls == ["+db", "-db"]
    assert part.alive == 0


def test_a_stop_does_not_wait_for_the_whole_time_of_a_start_that_hangs():
    part = Gate("db", start=True)
    supervisor = supervisor_of(part, stop_timeout=0.1, start_timeout=600)
    supervisor.start()
    assert part.entered.wait(SOON)
    assert supervisor.stop(timeout=1) is False
    assert part.calls == ["-db"]
    part.go.set()
    assert supervisor.stop()  # which may call its stop once more at once
    assert part.calls.count("+db") == 1
    assert part.calls[-1] == "-db"  # what it has begun late is undone
    assert part.alive == 0


def test_a_check_that_hangs_holds_up_neither_the_recovery_nor_the_stop():  # D-MG-5
    go = threading.Event()

    class Hangs(Checked):
        def check(self):
            if not self.healthy and len(self.ends) == 1:  # of the first start
                go.wait(SOON)
            return True

    part = Hangs("db")
    supervisor = Supervisor("crew", interval=0.02, timeout=0.05)
    supervisor.add(part, first_delay=0)
    supervisor.start()
    assert supervisor.wait_until_running(SOON)
    part.healthy = False
    until(lambda: supervisor.status("db").recoveries >= 1)
    assert supervisor.stop()
    go.set()


def test_a_listener_that_hangs_holds_up_no_recovery():  # MG-16
    part, go = Part("db"), threading.Event()
    supervisor = supervisor_of(part, backoff=0, attempts=100)
    heard = []

    def listener(event):
        heard.append(event.kind)
        go.wait(SOON)

    supervisor.on_event(listener)
    supervisor.start()
    until(lambda: heard)
    for _ in range(2):
        generation = supervisor.status("db").generation
        part.end(FAILED)
        until(lambda n=generation: supervisor.status("db").generation > n)
        assert supervisor.wait_until_running(SOON)
    assert heard == ["started"]
    go.set()
    assert supervisor.stop()
    assert heard == ["started", *["exited", "recovering", "recovered"] * 2, "stopped"]


# ---- stops from everywhere ----


@pytest.mark.parametrize("place", ["start", "check", "stop", "listener"])
def test_a_stop_from_within_what_the_supervisor_calls_returns_and_stops(place):  # D-MG-1
    answers = []

    def stop():
        answers.append(supervisor.stop(timeout=SOON))

    class Suicidal(Part):
        def start(self):
            super().start()
            if place == "start":
                stop()

        def stop(self):
            super().stop()
            if place == "stop":
                stop()

        def check(self):
            if place == "check":
                stop()

    supervisor = supervisor_of(Suicidal("db"))
    if place == "listener":
        supervisor.on_event(lambda event: stop() if event.kind == "started" else None)
    began = time.monotonic()
    supervisor.start()
    if place == "stop":
        assert supervisor.wait_until_running(SOON)
        supervisor.restart("db")
    until(lambda: answers and not supervisor.running)
    assert supervisor.stop()
    assert time.monotonic() - began < SOON / 2
    assert supervisor.status("db").state == "stopped"


def test_a_stop_within_a_check_does_not_wait_for_a_stop_that_waits_for_the_check():  # D-MG-1
    answers = []
    goes_on = threading.Lock()

    class Locked(Part):
        def stop(self):
            with goes_on:
                super().stop()

        def check(self):
            with goes_on:
                answers.append(supervisor.stop(timeout=SOON))

    supervisor = supervisor_of(Locked("db"))
    began = time.monotonic()
    supervisor.start()
    until(lambda: answers)
    assert supervisor.stop(SOON)
    assert time.monotonic() - began < SOON / 2


def test_a_signal_handler_may_stop_it_whatever_it_interrupts():
    part = Part("db")
    supervisor = supervisor_of(part, backoff=0, attempts=100)
    stopped = []
    before = signal.signal(signal.SIGUSR1, lambda *_: stopped.append(supervisor.stop(5)))
    try:
        supervisor.start()
        assert supervisor.wait_until_running(SOON)
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        end = time.monotonic() + SOON
        while not stopped and time.monotonic() < end:
            supervisor.status()
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert stopped
    assert supervisor.stop()


def test_many_threads_may_start_stop_and_restart_it_at_the_same_time():  # TS-01, TS-02
    part = Part("db")
    supervisor = supervisor_of(part, backoff=0, attempts=1000)
    errors = []

    def churn(seed):
        try:
            for n in range(30):
                if (n + seed) % 3 == 0:
                    supervisor.start()
                elif (n + seed) % 3 == 1:
                    supervisor.stop(timeout=5)
                else:
                    with suppress(RuntimeError):  # it does not run at the moment
                        supervisor.restart("db", timeout=0)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=churn, args=(seed,)) for seed in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert not errors
    assert supervisor.stop()
    assert part.alive == 0


# ---- what is left ----


def test_a_stopped_supervisor_can_be_collected():
    supervisor = supervisor_of(Checked("db"))
    supervisor.start()
    assert supervisor.wait_until_running(SOON)
    assert supervisor.stop()
    gone = weakref.ref(supervisor)
    del supervisor
    until(lambda: gc.collect() is not None and gone() is None)


def test_a_check_of_health_is_used_in_place_of_its_own():  # MG-02
    part = Checked("db")
    part.healthy = False
    supervisor = Supervisor("crew")
    supervisor.add(part, check=PingCheck("database", lambda: True))
    with supervisor:
        assert supervisor.wait_until_running(SOON)
        assert supervisor.status("db").check.name == "database"
    assert part.checked == 0


def test_two_components_have_no_check_of_one_name():
    supervisor = Supervisor("crew")
    supervisor.add(Part("a"), check=PingCheck("database", lambda: True))
    with pytest.raises(ConfigError, match="other than that of the check of 'a'"):
        supervisor.add(Part("b"), check=PingCheck("database", lambda: True))


def test_a_name_is_free_again_only_once_its_removal_was_told(caplog):  # MG-02
    stopped, go = threading.Event(), threading.Event()

    class Holds(logging.Handler):
        def emit(self, record):
            if "stopped" in record.getMessage():
                stopped.set()
                go.wait(SOON)

    caplog.set_level(logging.INFO, "holdfast.supervision")
    supervisor = Supervisor("crew")
    supervisor.add(Part("db"), check=PingCheck("database", lambda: True))
    log, handler = logging.getLogger("holdfast.supervision"), Holds()
    with supervisor:
        assert supervisor.wait_until_running(SOON)
        log.addHandler(handler)
        try:
            supervisor.remove("db", timeout=0)
            assert stopped.wait(SOON)
            with pytest.raises(ConfigError, match="while the removed 'db' is being stopped"):
                supervisor.add(Part("db"))
        finally:
            log.removeHandler(handler)
            go.set()
        until(lambda: _is_added(supervisor, Part("db")))
        assert supervisor.wait_until_running(SOON)
        assert supervisor.status("db").state == "running"


def _is_added(supervisor, part):
    with suppress(ConfigError):
        supervisor.add(part)
        return True
    return False


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_runs_none_of_it_and_may_start_it_anew():  # NX-04
    part = Part("db")
    with supervisor_of(part) as supervisor:
        assert supervisor.wait_until_running(SOON)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                part.alive = 0
                ok = not supervisor.running and supervisor.status("db").state == "stopped"
                ok = ok and supervisor.stop()
                supervisor.start()
                ok = ok and supervisor.wait_until_running(10) and supervisor.stop()
                code = 0 if ok else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert supervisor.status("db").state == "running"


def test_a_coroutine_function_is_refused_where_there_is_no_event_loop():
    class Async(Component):
        async def start(self):
            pass

        async def stop(self):
            pass

    supervisor = Supervisor("crew")
    supervisor.add(Async("a"))
    with pytest.raises(TypeError, match=r"'[\w-]+' needs an event loop.*astart"):
        supervisor.start()
    assert not supervisor.running


def test_a_start_that_returns_an_awaitable_has_failed():
    async def later():
        pass

    class Sly(Part):
        def start(self):
            return later()

    with supervisor_of(Sly("a")) as supervisor:
        until(lambda: supervisor.status("a").error)
        assert "make it a coroutine function" in supervisor.status("a").error


def test_who_has_waited_in_vain_is_not_kept():
    supervisor = Supervisor("shop")
    gate = Gate("db", start=True)
    supervisor.add(gate)
    with supervisor:
        assert gate.entered.wait(SOON)
        for _ in range(10):
            assert not supervisor.wait_until_running(0.001)
        assert supervisor._run._watchers == []
        gate.go.set()
