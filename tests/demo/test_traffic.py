import threading
from collections import Counter
from contextlib import nullcontext

import pytest

from holdfast.demo.schedule import NS
from holdfast.demo.tally import Face, Lane, Side, Trip, Verdict
from holdfast.demo.traffic import Arrivals, Orders, RealPace, TaskTraffic, ThreadTraffic
from tests.demo.paces import ScriptedPace
from tests.waiting.parties import Party

MS = 1_000_000


class Books:
    """Takes the calls down; the lane's ``record``."""

    def __init__(self):
        self.calls = []

    def record(self, lane, call):
        self.calls.append(call)

    def verdicts(self):
        return [call.verdict for call in self.calls]


def judge(error):
    return (Verdict.FAILED, "as foreseen") if isinstance(error, ConnectionError) else None


@pytest.fixture(params=list(Face))
def lane_of(request):
    """Return what makes a lane of threads, or of tasks, whose every call is one request to act."""

    def make(act, arrivals, *, workers=1, stop_at_ns=None):
        def call(trip):
            trip.requests += 1
            act()

        async def acall(trip):
            call(trip)

        books, pace = Books(), ScriptedPace(stop_at_ns)
        lane = Lane(Side.GUARDED, request.param)
        orders = Orders(lane, arrivals, pace, judge, books.record, workers)
        if request.param is Face.THREADS:
            return ThreadTraffic(orders, lambda: nullcontext(call)), books, pace
        return TaskTraffic(orders, lambda: nullcontext(acall)), books, pace

    return make


def test_arrivals_are_due_at_the_rate_and_end_before_the_end():
    arrivals = Arrivals(per_second=4, offset_ns=5, end_ns=NS)
    due = [arrivals.take() for _ in range(6)]
    assert due == [5, 250 * MS + 5, 500 * MS + 5, 750 * MS + 5, None, None]


def test_arrivals_at_a_rate_that_does_not_divide_a_second_do_not_drift():
    arrivals = Arrivals(per_second=3, offset_ns=0, end_ns=None)
    due = [arrivals.take() for _ in range(3_001)]
    assert due[-1] == 1_000 * NS


def test_every_arrival_is_handed_out_once_to_many_threads():
    arrivals = Arrivals(per_second=1_000, offset_ns=0, end_ns=2 * NS)
    taken = []

    def take_all():
        while (due := arrivals.take()) is not None:
            taken.append(due)

    for party in [Party(take_all) for _ in range(4)]:
        party.result()
    assert sorted(taken) == [n * MS for n in range(2_000)]


def test_a_call_is_made_for_every_arrival_when_it_is_due_and_counts_its_own_requests(lane_of):
    lane, books, _ = lane_of(lambda: None, Arrivals(10, 0, NS))
    lane.run()
    assert books.verdicts() == [Verdict.GOOD] * 10
    assert [call.sent_ns for call in books.calls] == [n * 100 * MS for n in range(10)]
    assert [call.requests for call in books.calls] == [1] * 10


def test_a_call_that_is_due_while_every_worker_is_stuck_is_sent_late(lane_of):
    def takes_a_quarter_of_a_second():
        pace.time_ns += 250 * MS

    lane, books, pace = lane_of(takes_a_quarter_of_a_second, Arrivals(10, 0, 300 * MS))
    lane.run()
    times = [(call.due_ns // MS, call.sent_ns // MS, call.done_ns // MS) for call in books.calls]
    assert times == [(0, 0, 250), (100, 250, 500), (200, 500, 750)]


def test_what_a_call_raises_is_judged_and_does_not_stop_the_lane(lane_of):
    troubles = iter([ConnectionError("gone"), None, ConnectionError("gone")])

    def act():
        if (trouble := next(troubles)) is not None:
            raise trouble

    lane, books, _ = lane_of(act, Arrivals(3, 0, NS))
    lane.run()
    assert lane.error is None
    assert books.verdicts() == [Verdict.FAILED, Verdict.GOOD, Verdict.FAILED]
    assert books.calls[0].reason == "as foreseen"


def test_a_call_whose_further_attempt_is_turned_away_was_sent_and_has_failed():
    pace, books = ScriptedPace(), Books()
    turned_away = (Verdict.REJECTED, "turned away")
    lane, arrivals = Lane(Side.GUARDED, Face.THREADS), Arrivals(1, 0, NS)
    orders = Orders(lane, arrivals, pace, lambda error: turned_away, books.record, 1)
    for requests in (0, 1):
        orders.finish(0, 0, Trip(requests), PermissionError())
    endings = [(call.verdict, call.reason, call.requests) for call in books.calls]
    assert endings == [(*turned_away, 0), (Verdict.FAILED, "", 1)]


def test_what_nobody_foresaw_ends_the_lane_and_is_kept(lane_of):
    trouble = LookupError("a fault of the demo's own")

    def act():
        raise trouble

    lane, books, _ = lane_of(act, Arrivals(3, 0, NS))
    lane.run()
    assert trouble in (lane.error, *getattr(lane.error, "exceptions", ()))
    assert books.calls == []


def test_the_lane_ends_when_the_run_is_stopped(lane_of):
    lane, books, _ = lane_of(lambda: None, Arrivals(10, 0, None), stop_at_ns=500 * MS)
    lane.run()
    assert len(books.calls) == 5


def test_the_workers_share_the_arrivals(lane_of):
    lane, books, _ = lane_of(lambda: None, Arrivals(50, 0, NS), workers=8)
    lane.run()
    assert Counter(call.due_ns for call in books.calls) == {n * 20 * MS: 1 for n in range(50)}


def test_a_lane_runs_in_a_thread_of_its_own_and_can_be_waited_for(lane_of):
    release = threading.Event()
    lane, books, _ = lane_of(release.wait, Arrivals(1, 0, NS))
    lane.start()
    assert not lane.join(0)
    release.set()
    assert lane.join(30)
    assert len(books.calls) == 1


def test_stopping_the_real_pace_ends_a_wait_at_once():
    pace = RealPace()
    waiting = Party(pace.until, 10**18)
    pace.stop()
    assert not waiting.result()
    assert not pace.until(0)


def test_the_real_pace_does_not_wait_for_what_is_past():
    pace = RealPace()
    assert pace.now_ns() >= 0
    assert pace.until(-NS)
