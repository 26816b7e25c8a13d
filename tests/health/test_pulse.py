"""How long the own process did not run, and what a failure proves then."""

import asyncio
import ctypes
import os
import sys
import threading
import time

import pytest

from holdfast._native import clock as native
from holdfast.health import pulse as module
from holdfast.health.pulse import BEAT_NS, LoopPulse, RunningTime, ThreadPulse, judge
from holdfast.health.result import CheckResult
from tests.apart import run_apart
from tests.interpreters import GIL, forks_beside_threads

MS = 1_000_000
SECOND = 1_000 * MS
FAILED = CheckResult.failed("connection reset")
SLOW = CheckResult.degraded("answered after 700 ms")


def stop_for(clock, ns):
    """Move a clock as if this process was stopped: no timer of it rings on the way."""
    native.ManualClock.advance_ns(clock, ns)


@pytest.fixture
def pulse(clock):
    pulse = ThreadPulse(clock)
    yield pulse
    pulse.close()


def test_a_process_that_runs_has_not_stalled(pulse, clock):
    mark = pulse.begin()
    clock.advance(5)
    assert pulse.stalled_ns(mark) == 0
    pulse.end(mark)


def test_a_stop_is_noticed_by_a_check_that_asks_before_the_next_beat(pulse, clock):
    mark = pulse.begin()
    clock.advance(1)
    stop_for(clock, 5 * SECOND)
    assert 5 * SECOND - BEAT_NS <= pulse.stalled_ns(mark) <= 5 * SECOND


def test_a_stop_is_remembered_after_the_beat_goes_on(pulse, clock):
    mark = pulse.begin()
    clock.advance(1)
    stop_for(clock, 5 * SECOND)
    clock.advance(3)
    assert 5 * SECOND - BEAT_NS <= pulse.stalled_ns(mark) <= 5 * SECOND


def test_stops_add_up(pulse, clock):
    mark = pulse.begin()
    for _ in range(3):
        clock.advance(1)
        stop_for(clock, SECOND)
    assert 3 * (SECOND - BEAT_NS) <= pulse.stalled_ns(mark) <= 3 * SECOND


def test_a_stop_before_a_check_is_not_a_stop_during_it(pulse, clock):
    first = pulse.begin()
    stop_for(clock, 5 * SECOND)
    clock.advance(0.2)
    second = pulse.begin()
    clock.advance(1)
    assert pulse.stalled_ns(second) == 0
    assert pulse.stalled_ns(first) > 4 * SECOND


def test_a_check_that_begins_right_after_a_stop_is_charged_with_its_own_time_at_most(pulse, clock):
    pulse.begin()
    stop_for(clock, 5 * SECOND)
    second = pulse.begin()
    stop_for(clock, MS)
    assert pulse.stalled_ns(second) <= MS


def test_a_beat_that_is_a_little_late_is_punctual(pulse, clock):
    mark = pulse.begin()
    for _ in range(20):
        clock.advance_ns(BEAT_NS - 5 * MS)
        stop_for(clock, 10 * MS)
        clock.advance_ns(BEAT_NS - 5 * MS)
    assert pulse.stalled_ns(mark) == 0


def test_a_pulse_beats_only_while_checks_are_in_flight(pulse, clock):
    assert clock.next_due_ns() is None
    mark = pulse.begin()
    clock.advance(60)
    assert clock.next_due_ns() <= clock.now_ns() + BEAT_NS
    pulse.end(mark)
    assert clock.next_due_ns() is None
    mark = pulse.begin()
    stop_for(clock, SECOND)
    assert pulse.stalled_ns(mark) >= SECOND - BEAT_NS


def test_a_stop_is_known_after_the_last_check_has_ended(pulse, clock):
    mark = pulse.begin()
    stop_for(clock, 5 * SECOND)
    pulse.end(mark)
    assert pulse.stalled_ns(mark) >= 5 * SECOND - BEAT_NS


def test_time_without_checks_is_no_stall(pulse, clock):
    pulse.end(pulse.begin())
    clock.advance(3600)
    mark = pulse.begin()
    clock.advance(1)
    assert pulse.stalled_ns(mark) == 0


def test_a_pulse_that_was_closed_beats_no_more(pulse, clock):
    pulse.begin()
    pulse.close()
    assert clock.next_due_ns() is None
    pulse.end(pulse.begin())
    assert clock.next_due_ns() is None


# ---- the rest of its time ----


def test_a_check_whose_process_was_stopped_gets_the_rest_of_its_time(pulse, clock):
    mark = pulse.begin()
    clock.advance(0.3)
    stop_for(clock, 5 * SECOND)
    left_ns = pulse.more_ns(mark, SECOND)
    assert 700 * MS - BEAT_NS <= left_ns <= 700 * MS
    clock.advance_ns(left_ns)
    assert pulse.more_ns(mark, SECOND) == 0


def test_a_check_whose_process_ran_gets_no_more_time(pulse, clock):
    mark = pulse.begin()
    clock.advance(1)
    assert pulse.more_ns(mark, SECOND) == 0


def test_a_check_in_a_process_that_hardly_runs_is_cut_in_the_end(pulse, clock):
    mark = pulse.begin()
    waits = 0
    while left_ns := pulse.more_ns(mark, SECOND):
        waits += 1
        stop_for(clock, left_ns)
    assert 1 < waits < 20


def test_the_time_that_a_run_has_left_is_running_time(pulse, clock):
    mark = pulse.begin()
    time_left = RunningTime(pulse, mark, SECOND)
    clock.advance(0.01)
    assert time_left.left_ns() == 990 * MS
    clock.advance(0.29)
    stop_for(clock, 5 * SECOND)
    assert 700 * MS - BEAT_NS <= time_left.left_ns() <= 750 * MS
    clock.advance(0.8)
    assert time_left.left_ns() == 0


# ---- event loops ----


async def test_a_loop_that_was_blocked_has_stalled(loop):
    pulse = LoopPulse(loop)
    mark = pulse.begin()
    await asyncio.sleep(1)
    assert pulse.stalled_ns(mark) == 0
    loop.clock.advance_ns(3 * SECOND)
    assert pulse.stalled_ns(mark) >= 3 * SECOND - BEAT_NS
    await asyncio.sleep(1)
    assert 3 * SECOND - BEAT_NS <= pulse.stalled_ns(mark) <= 3 * SECOND
    pulse.end(mark)


async def test_a_loop_keeps_no_timer_of_a_pulse_that_is_idle_or_closed(loop):
    pulse = LoopPulse(loop)
    before = loop.pending
    pulse.end(pulse.begin())
    await asyncio.sleep(1)
    assert loop.pending == before
    pulse.begin()
    pulse.close()
    assert loop.pending == before


def test_a_real_loop_blocked_by_a_sleep_has_stalled():
    async def check():
        pulse = LoopPulse(asyncio.get_running_loop())
        mark = pulse.begin()
        await asyncio.sleep(0.01)
        time.sleep(0.4)  # noqa: ASYNC251 - what is tested
        stalled_ns = pulse.stalled_ns(mark)
        pulse.close()
        return stalled_ns

    assert asyncio.run(check()) >= 300 * MS


# ---- real threads and processes ----


@pytest.mark.skipif(not GIL, reason="there is no lock that native code could hold")
def test_native_code_that_holds_the_interpreter_is_a_stall():
    pulse = ThreadPulse()
    mark = pulse.begin()
    ctypes.PyDLL(None).usleep(400_000)
    assert pulse.stalled_ns(mark) >= 300 * MS
    pulse.end(mark)
    pulse.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_process_that_was_stopped_and_continued_has_stalled():
    run_apart("""
import os, signal, threading, time
from holdfast.health.pulse import ThreadPulse

def stop_and_go():
    parent = os.getpid()
    if os.fork() == 0:
        os.kill(parent, signal.SIGSTOP)
        time.sleep(0.5)
        os.kill(parent, signal.SIGCONT)
        os._exit(0)

pulse = ThreadPulse()
mark = pulse.begin()
began = time.monotonic()
stop_and_go()
while time.monotonic() - began < 0.5:
    pass
assert pulse.stalled_ns(mark) >= 400_000_000, pulse.stalled_ns(mark)
pulse.end(mark)
pulse.close()
deadline = time.monotonic() + 10
while threading.active_count() > 1 and time.monotonic() < deadline:
    time.sleep(0.01)
assert threading.active_count() == 1
""")


def test_a_thread_without_a_processor_has_stalled_though_the_beat_is_punctual(monkeypatch):
    """What Linux says of a thread counts even if other threads got their turn."""
    pulse = ThreadPulse()
    waited = [0]
    monkeypatch.setattr(module._Thread, "read_ns", lambda _self: waited[0])
    mark = pulse.begin()
    began = time.monotonic_ns()
    while time.monotonic_ns() - began < 30 * MS:
        pass
    waited[0] = 20 * MS
    assert pulse.stalled_ns(mark) >= 20 * MS
    pulse.close()


@pytest.mark.skipif(not os.path.exists(module._SCHEDSTAT), reason="this system does not tell it")
def test_a_thread_that_shares_its_processor_with_hogs_has_stalled():
    run_apart("""
import os, subprocess, sys, time
from holdfast.health.pulse import ThreadPulse

cpu = min(os.sched_getaffinity(0))
os.sched_setaffinity(0, {cpu})
hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(6)]
try:
    time.sleep(0.3)
    os.nice(5)
    pulse = ThreadPulse()
    mark = pulse.begin()
    began, used = time.monotonic(), time.thread_time()
    while time.monotonic() - began < 1:
        pass
    wall, ran = time.monotonic() - began, time.thread_time() - used
    stalled = pulse.stalled_ns(mark) / 1e9
    assert stalled >= 0.8 * (wall - ran) > 0.4, (stalled, wall, ran)
finally:
    for hog in hogs:
        hog.kill()
        hog.wait()
""")


@pytest.mark.skipif(not GIL, reason="there is no interpreter that threads wait for")
@pytest.mark.skipif(not os.path.exists(module._SCHEDSTAT), reason="this system does not tell it")
def test_threads_that_wait_for_each_other_in_a_starved_process_have_stalled():
    """Each waits for the interpreter most of the time; one waits for an answer."""
    run_apart("""
import os, socket, subprocess, sys, threading, time
from holdfast.health.pulse import ThreadPulse

cpu = min(os.sched_getaffinity(0))
os.sched_setaffinity(0, {cpu})
pulse = ThreadPulse()
hang, answer = socket.socketpair()
marks, measured = [], []

def wait_for_answer():
    marks.append(pulse.begin())
    hang.recv(1)

def compute():
    mark, began, used = pulse.begin(), time.monotonic(), time.process_time()
    while time.monotonic() - began < 1.5:
        pass
    idle = time.monotonic() - began - (time.process_time() - used)
    measured.append((pulse.stalled_ns(mark) / 1e9, idle))

waiting = threading.Thread(target=wait_for_answer)
waiting.start()
while not marks:
    time.sleep(0.01)
time.sleep(0.2)
hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(6)]
try:
    time.sleep(0.3)
    os.nice(3)
    threads = [threading.Thread(target=compute) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    starved, passed = marks[0].starved_ns(10**12), pulse.passed_ns(marks[0])
    assert starved < 0.1 * passed, (starved, passed)
finally:
    for hog in hogs:
        hog.kill()
        hog.wait()
    answer.close()
    waiting.join()
    hang.close()
# Beats between two turns see nothing: with two processors they find 60 to 85 % of it.
assert sum(stalled for stalled, _ in measured) >= 0.5 * sum(idle for _, idle in measured), measured
assert all(idle > 0.5 for _, idle in measured), measured
""")


class Beaten(ThreadPulse):
    """A pulse whose beats come when a test says so, and a system that says what a test wants."""

    def __init__(self, path, monkeypatch):
        super().__init__()
        self.time_ns = self.computed_ns = 0
        self.file = path / "schedstat"
        self.tell()
        monkeypatch.setattr(module, "_SCHEDSTAT", str(self.file))
        monkeypatch.setattr(module, "_local", threading.local())
        monkeypatch.setattr(module, "process_time_ns", lambda: self.computed_ns)
        monkeypatch.setattr(module, "_wait_ns", lambda: 5 * MS)
        self._now_ns = lambda: self.time_ns

    def _start(self):
        pass

    def _stop(self):
        pass

    def tell(self, delay_ns=0, turns=0):
        """Say how long the thread of the check has waited for a processor, and got one."""
        self.file.write_text(f"12345 {delay_ns} {turns}\n")

    def go_on(self, late_ns, computed_ns, beats=10):
        """Let beats come late while the process computed for some time before each."""
        for _ in range(beats):
            self.time_ns += BEAT_NS + late_ns
            self.computed_ns += computed_ns
            self._beat()


@pytest.fixture
def beaten(tmp_path, monkeypatch):
    return Beaten(tmp_path, monkeypatch)


def test_a_thread_that_waits_for_one_without_a_processor_has_stalled(beaten):
    mark = beaten.begin()
    beaten.go_on(late_ns=50 * MS, computed_ns=10 * MS)
    beaten.tell(delay_ns=100 * MS, turns=180)
    assert beaten.stalled_ns(mark) == 900 * MS  # and the beats were late for 500 ms
    beaten.tell(delay_ns=100 * MS, turns=120)
    assert beaten.stalled_ns(mark) == 700 * MS  # it has not waited for longer


def test_a_stall_of_the_interpreter_that_goes_on_counts(beaten):
    mark = beaten.begin()
    beaten.time_ns += 120 * MS
    beaten.tell(turns=100)
    assert beaten.stalled_ns(mark) == 120 * MS


def test_a_thread_that_waits_for_an_answer_is_not_excused_by_the_threads_that_compute(beaten):
    mark = beaten.begin()
    beaten.go_on(late_ns=20 * MS, computed_ns=5 * MS)
    beaten.tell(delay_ns=7 * MS, turns=4)
    assert beaten.stalled_ns(mark) == 200 * MS  # what the beats have lost


def test_a_thread_that_looks_for_an_answer_every_millisecond_has_not_stalled(beaten):
    mark = beaten.begin()
    beaten.go_on(late_ns=4 * MS, computed_ns=3 * MS)
    beaten.tell(delay_ns=30 * MS, turns=500)
    assert beaten.stalled_ns(mark) == 30 * MS


def test_threads_that_wait_for_each_other_while_the_process_computes_have_not_stalled(beaten):
    mark = beaten.begin()
    beaten.go_on(late_ns=9 * MS, computed_ns=59 * MS)
    beaten.go_on(late_ns=15 * MS, computed_ns=60 * MS, beats=2)
    beaten.tell(delay_ns=10 * MS, turns=120)
    assert beaten.stalled_ns(mark) == 30 * MS  # what the beats have lost
    beaten.computed_ns += 4 * SECOND  # on several processors
    assert beaten.stalled_ns(mark) == 30 * MS


def test_a_stall_of_the_interpreter_before_a_check_is_not_one_during_it(beaten):
    first = beaten.begin()
    beaten.go_on(late_ns=50 * MS, computed_ns=0)
    second = beaten.begin()
    beaten.go_on(late_ns=0, computed_ns=0)
    beaten.tell(turns=500)
    assert beaten.stalled_ns(second) == 0
    assert beaten.stalled_ns(first) == SECOND


@pytest.mark.parametrize(("has_lock", "expected"), [(True, 5 * MS), (False, 0)])
def test_threads_wait_for_each_other_only_where_there_is_a_lock(monkeypatch, has_lock, expected):
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: has_lock, raising=False)
    monkeypatch.setattr(sys, "getswitchinterval", lambda: 0.005)
    assert module._wait_ns() == expected


def test_many_threads_may_share_a_pulse(stress_scale):
    pulse = ThreadPulse()
    wrong = []

    def work():
        for _ in range(200 * stress_scale):
            mark = pulse.begin()
            if not 0 <= pulse.stalled_ns(mark) <= time.monotonic_ns() - mark.began_ns:
                wrong.append(mark)
            pulse.end(mark)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not pulse._marks
    pulse.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@forks_beside_threads
def test_a_forked_child_has_a_pulse_of_its_own():
    run_apart("""
import sys, time
sys.path.insert(0, ".")
from holdfast.health import pulse as module
from holdfast.health.pulse import ThreadPulse
from tests.apart import in_child

pulse = ThreadPulse()
mark = pulse.begin()

def check():
    assert not pulse._marks
    thread = module._here()
    assert pulse.stalled_ns(mark) < 60_000_000_000
    mine = pulse.begin()
    deadline = time.monotonic() + 10
    while pulse._seen_ns == mine.began_ns and time.monotonic() < deadline:
        time.sleep(0.01)
    assert pulse._seen_ns > mine.began_ns
    pulse.end(mine)
    pulse.close()

pulse.stalled_ns(mark)
in_child(check)
pulse.end(mark)
pulse.close()
""")


def test_the_open_file_of_a_thread_ends_with_the_thread():
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("this system does not list the open files")
    pulse = ThreadPulse()
    pulse.end(pulse.begin())
    before = len(os.listdir("/proc/self/fd"))
    marks = []
    for _ in range(20):
        thread = threading.Thread(target=lambda: marks.append(pulse.begin()))
        thread.start()
        thread.join()
    for mark in marks:
        assert pulse.stalled_ns(mark) >= 0  # of a thread that has ended
        pulse.end(mark)
    marks.clear()
    del mark
    assert len(os.listdir("/proc/self/fd")) == before
    pulse.close()


def test_a_system_that_tells_nothing_of_threads_has_the_beat(monkeypatch):
    monkeypatch.setattr(module, "_SCHEDSTAT", "/nowhere/schedstat")
    monkeypatch.setattr(module, "_local", threading.local())
    pulse = ThreadPulse()
    mark = pulse.begin()
    assert mark.starved_ns() == 0
    pulse.end(mark)
    pulse.close()


def test_without_a_thread_for_the_beat_the_check_still_runs(monkeypatch, caplog):
    pulse = ThreadPulse()

    def refuse():
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(module.Periodic, "start", lambda _self: refuse())
    mark = pulse.begin()
    assert pulse.stalled_ns(mark) >= 0
    assert "can't start new thread" in caplog.text
    pulse.end(mark)


# ---- the rule ----


def verdict(result, stalled, duration, timeout=1.0, **options):
    return judge(
        result,
        stalled_ns=round(stalled * SECOND),
        duration_ns=round(duration * SECOND),
        timeout_ns=round(timeout * SECOND),
        **options,
    ).verdict


@pytest.mark.parametrize(
    ("stalled", "duration", "expected"),
    [
        (0.0, 0.01, "failed"),
        (5.0, 5.1, "unproven"),  # stopped for longer than the timeout
        (0.9, 1.0, "unproven"),  # it had a tenth of its time
        (0.3, 1.0, "unproven"),
        (0.2, 1.0, "failed"),  # it had most of its time
        (0.9, 1.9, "failed"),  # it had all of its time besides
        (1.1, 2.2, "unproven"),  # the other side may have given up
    ],
)
def test_a_failure_proves_as_much_as_the_time_that_the_check_had(stalled, duration, expected):
    assert verdict(FAILED, stalled, duration) == expected


def test_a_pass_is_a_pass_however_late():
    assert verdict(CheckResult.passed(), 5, 6) == "passed"


def test_slowness_is_measured_by_how_long_the_check_took():
    assert verdict(SLOW, 0.5, 0.7, timeout=5) == "unproven"
    assert verdict(SLOW, 0.1, 0.7, timeout=5) == "degraded"
    assert verdict(FAILED, 0.5, 0.7, timeout=5) == "failed"
    assert verdict(FAILED, 0.5, 0.7, timeout=5, by_time=True) == "unproven"


def test_an_instant_failure_is_not_excused_by_the_resolution_of_the_clock():
    assert verdict(FAILED, 0.005, 0.006, timeout=0.01) == "failed"


def test_an_unproven_result_says_why_and_for_how_long():
    result = judge(
        CheckResult.failed("connection reset", port=5432),
        stalled_ns=5 * SECOND,
        duration_ns=5_100 * MS,
        timeout_ns=SECOND,
    )
    assert result.message == (
        "this process did not run for 5 s of 5.1 s, so this proves nothing: connection reset"
    )
    assert result.details["port"] == 5432
    assert result.details["stalled_seconds"] == 5


@pytest.mark.parametrize(
    ("text", "share"),
    [
        (b"some avg10=93.50 avg60=1.00 avg300=0.00 total=12\nfull avg10=0.00\n", 0.935),
        (b"", None),
    ],
)
def test_an_unproven_result_tells_the_pressure_on_the_processors(
    tmp_path, monkeypatch, text, share
):
    file = tmp_path / "cpu"
    file.write_bytes(text)
    monkeypatch.setattr(module, "_PRESSURE", str(file))
    result = judge(FAILED, stalled_ns=SECOND, duration_ns=SECOND, timeout_ns=SECOND)
    assert result.details.get("cpu_pressure") == share
    monkeypatch.setattr(module, "_PRESSURE", str(tmp_path / "nothing"))
    result = judge(FAILED, stalled_ns=SECOND, duration_ns=SECOND, timeout_ns=SECOND)
    assert "cpu_pressure" not in result.details
