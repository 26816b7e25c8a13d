import pytest

from holdfast.demo.chronicle import Chronicle
from holdfast.demo.director import Director
from holdfast.demo.process import UpstreamError
from holdfast.demo.schedule import NS, PHASES, Schedule
from holdfast.demo.tally import Call, Face, Lane, Side, Tally, Verdict
from tests.demo.paces import ScriptedPace

WELL, FLAKY, SLOW, FAILING = (PHASES[index].behaviour for index in (0, 1, 2, 3))


class ScriptedProcess:
    """Writes down what it is told, and when."""

    def __init__(self, pace):
        self.pid = 100
        self.told = []
        self._pace = pace

    def _note(self, what):
        self.told.append((self._pace.now_ns() / NS, what))

    def behave(self, behaviour):
        self._note(behaviour)

    def kill(self):
        self._note("kill")
        self.pid = None

    def start(self, behaviour):
        self._note(("start", behaviour))
        self.pid = 101


@pytest.fixture
def stage():
    def make(seconds=10, stop_at_ns=None):
        schedule = Schedule.fit(seconds)
        pace = ScriptedPace(stop_at_ns)
        process, tally, chronicle = ScriptedProcess(pace), Tally(schedule), Chronicle()
        director = Director(process, schedule, pace, tally, chronicle)
        return director, process, tally, chronicle

    return make


def test_the_upstream_goes_through_every_phase_at_its_time(stage):
    director, process, _, _ = stage()
    director.run()
    assert director.error is None
    assert process.told == [
        (0.0, WELL),
        (1.6, FLAKY),
        (3.8, SLOW),
        (5.8, FAILING),
        (6.8, "kill"),
        (7.8, ("start", WELL)),
    ]


def test_each_cycle_kills_and_restarts_it_once(stage):
    director, process, _, _ = stage(seconds=60)
    director.run()
    assert director.kills == 2
    assert [what for _, what in process.told].count(("start", WELL)) == 2


def test_phases_kills_and_starts_are_written_down(stage):
    director, _, _, chronicle = stage()
    director.run()
    texts = [entry.text for entry in chronicle.since(0)]
    assert texts == [
        "healthy: 200 after 4 to 12 ms",
        "flaky: 20% get 503, 1% hang",
        "slow: 200 after 50 to 60 ms",
        "failing: 503 after 5 to 15 ms",
        "killed: connections refused",
        "pid 100 killed with SIGKILL",
        "back: 200 after 4 to 12 ms",
        "pid 101 started",
    ]


def test_recoveries_count_from_the_restart(stage):
    director, _, tally, _ = stage()
    director.run()
    sent_ns = round(7.9 * NS)
    call = Call(sent_ns, sent_ns, sent_ns + NS // 100, Verdict.GOOD)
    tally.record(Lane(Side.GUARDED, Face.THREADS), call)
    assert tally.recovery_ns(Side.GUARDED) == 110_000_000


def test_a_stopped_run_leaves_the_upstream_as_it_is(stage):
    director, process, _, _ = stage(seconds=None, stop_at_ns=19 * NS)
    director.run()
    assert [what for _, what in process.told] == [WELL, FLAKY, SLOW, FAILING]


def test_what_goes_wrong_is_kept_for_whoever_watches(stage):
    director, process, _, _ = stage()
    trouble = UpstreamError("gone")

    def behave(behaviour):
        raise trouble

    process.behave = behave
    director.start()
    director.join()
    assert director.error is trouble
