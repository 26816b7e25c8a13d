import io
import os
import signal
import sys
import threading

import pytest

from holdfast.demo import client, run
from holdfast.demo.lines import LineDisplay
from holdfast.demo.process import UpstreamError, UpstreamProcess
from holdfast.demo.run import Interrupts, RunError, Stage
from holdfast.demo.schedule import PHASES, Schedule
from holdfast.demo.table import LiveDisplay
from holdfast.demo.tally import Face


class Terminal(io.StringIO):
    encoding = None

    def __init__(self, encoding="utf-8"):
        super().__init__()
        self.encoding = encoding

    def isatty(self):
        return True


@pytest.fixture
def upstream():
    with UpstreamProcess() as upstream:
        upstream.start(PHASES[0].behaviour)
        yield upstream


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_for_the_end_and_nothing_more(number):
    before = signal.getsignal(number)
    with Interrupts() as interrupts:
        assert not interrupts.requested
        os.kill(os.getpid(), number)
        assert interrupts.requested
    assert signal.getsignal(number) is before


def test_outside_the_main_thread_signals_are_left_alone():
    entered = []

    def enter():
        with Interrupts() as interrupts:
            entered.append((interrupts.requested, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [(False, signal.getsignal(signal.SIGINT))]


def test_each_side_has_workers_of_its_own_in_the_upstream(upstream, monkeypatch):
    asked = set()

    def note(url, *_):
        asked.add(url)
        raise PermissionError

    monkeypatch.setattr(client, "thread_calls", note)
    monkeypatch.setattr(client, "task_calls", note)
    with Stage(upstream, Schedule.fit(None), "http://127.0.0.1:9/metrics") as stage:
        assert all(lane.join(30) for lane in stage._lanes)
    assert asked == {f"{upstream.url}unguarded", f"{upstream.url}guarded"}


def test_callers_enough_to_send_what_is_due_when_every_call_times_out():
    waiting = run.CALLS_PER_SECOND / len(Face) * client.CALL_TIMEOUT_SECONDS
    assert 1.5 * waiting < run.WORKERS_PER_LANE


def test_a_run_that_is_ended_early_reports_what_there_was_and_leaves_no_thread(upstream):
    before = set(threading.enumerate())
    with Stage(upstream, Schedule.fit(None), "http://127.0.0.1:9/metrics") as stage:
        assert len(set(threading.enumerate()) - before) >= 5  # the director and four lanes
        assert not stage.is_over()
        scene = stage.scene()
        results = stage.finish()
    assert scene.pid == upstream.pid
    assert scene.moment.phase.name == "healthy"
    assert scene.guard.breaker == "closed"
    assert (results.guard.retries, results.kills) == (0, 0)
    assert results.elapsed_ns < results.schedule.cycle_ns
    assert set(threading.enumerate()) <= before


def test_a_fault_in_a_lane_breaks_the_run_off_and_names_the_lane(upstream, monkeypatch):
    monkeypatch.setattr(client, "judge", lambda error: None)
    monkeypatch.setattr(client, "thread_calls", lambda *opening: None)
    with Stage(upstream, Schedule.fit(None), "http://127.0.0.1:9/metrics") as stage:
        for lane in stage._lanes[:1]:
            assert lane.join(30)
        with pytest.raises(RunError, match=r"^unguarded threads: TypeError"):
            stage.is_over()


def test_a_fault_of_the_director_breaks_the_run_off(upstream, monkeypatch):
    def behave(behaviour):
        raise UpstreamError("gone")

    monkeypatch.setattr(upstream, "behave", behave)
    with Stage(upstream, Schedule.fit(None), "http://127.0.0.1:9/metrics") as stage:
        stage._director.join()
        with pytest.raises(UpstreamError, match="gone"):
            stage.is_over()


@pytest.mark.parametrize(
    ("plain", "out", "term", "rich", "kind"),
    [
        (False, Terminal(), "xterm-256color", True, LiveDisplay),
        (True, Terminal(), "xterm-256color", True, LineDisplay),
        (False, io.StringIO(), "xterm-256color", True, LineDisplay),
        (False, Terminal(), "dumb", True, LineDisplay),
        (False, Terminal("iso8859-1"), "xterm", True, LineDisplay),
        (False, Terminal(), "xterm-256color", False, LineDisplay),
    ],
    ids=["a terminal", "on request", "a pipe", "dumb", "without the signs", "without rich"],
)
def test_a_terminal_that_can_draw_gets_the_live_table_and_all_else_lines(
    plain, out, term, rich, kind, monkeypatch
):
    monkeypatch.setenv("TERM", term)
    if not rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    assert isinstance(run._display(plain=plain, out=out), kind)
