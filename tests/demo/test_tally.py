import pytest

from holdfast.demo.schedule import NS, Schedule
from holdfast.demo.tally import Call, Face, Lane, Side, Tally, Verdict
from tests.waiting.parties import Party

MS = 1_000_000
GUARDED = Lane(Side.GUARDED, Face.THREADS)
UNGUARDED = Lane(Side.UNGUARDED, Face.ASYNCIO)


@pytest.fixture
def tally():
    return Tally(Schedule.fit(10))


def call(verdict, at=0.0, queued_ms=0, took_ms=10, reason="", requests=1):
    due_ns = round(at * NS)
    sent_ns = due_ns + queued_ms * MS
    return Call(due_ns, sent_ns, sent_ns + took_ms * MS, verdict, reason, requests)


def test_every_call_counts_once_in_its_lane_its_side_and_its_phase(tally):
    for verdict in Verdict:
        tally.record(GUARDED, call(verdict, at=4.5))
    for figures in (
        tally.lane(GUARDED),
        tally.side(Side.GUARDED),
        tally.phase(Side.GUARDED, "slow"),
    ):
        counts = (figures.good, figures.failed, figures.timed_out, figures.rejected)
        assert counts == (1, 1, 1, 1)
        assert figures.calls == 4
    assert tally.side(Side.UNGUARDED).calls == 0
    assert tally.lane(Lane(Side.GUARDED, Face.ASYNCIO)).calls == 0
    assert tally.phase(Side.GUARDED, "healthy").calls == 0


def test_a_side_sums_its_threads_and_its_tasks(tally):
    for face in Face:
        tally.record(Lane(Side.GUARDED, face), call(Verdict.GOOD))
    assert tally.side(Side.GUARDED).good == 2


def test_failed_and_timed_out_calls_are_wasted_and_rejected_ones_are_not(tally):
    for verdict in Verdict:
        tally.record(GUARDED, call(verdict))
    assert tally.side(Side.GUARDED).wasted == 2


def test_requests_are_counted_whatever_became_of_their_calls(tally):
    for verdict, requests in ((Verdict.GOOD, 3), (Verdict.FAILED, 2), (Verdict.REJECTED, 0)):
        tally.record(GUARDED, call(verdict, requests=requests))
    assert tally.side(Side.GUARDED).requests == 5


def test_a_call_has_recovered_when_it_is_good_after_more_than_one_request(tally):  # RT-23
    for verdict in (Verdict.GOOD, Verdict.FAILED, Verdict.TIMED_OUT):
        for requests in (1, 2, 3):
            tally.record(GUARDED, call(verdict, requests=requests))
    assert tally.side(Side.GUARDED).recovered == 2


def test_wasted_time_is_counted_from_the_sending(tally):
    tally.record(GUARDED, call(Verdict.TIMED_OUT, queued_ms=300, took_ms=500))
    tally.record(GUARDED, call(Verdict.GOOD, took_ms=700))
    assert tally.side(Side.GUARDED).wasted_ns == 500 * MS


def test_latency_is_counted_from_when_the_call_was_due(tally):
    tally.record(UNGUARDED, call(Verdict.TIMED_OUT, queued_ms=700, took_ms=500))
    assert tally.side(Side.UNGUARDED).p50_ns == pytest.approx(1200 * MS, rel=0.02)


def test_the_percentiles_are_those_of_all_calls_whatever_became_of_them(tally):
    for _ in range(980):
        tally.record(GUARDED, call(Verdict.REJECTED, took_ms=1))
    for _ in range(20):
        tally.record(GUARDED, call(Verdict.GOOD, took_ms=400))
    figures = tally.side(Side.GUARDED)
    assert figures.p50_ns == pytest.approx(1 * MS, rel=0.02)
    assert figures.p99_ns == pytest.approx(400 * MS, rel=0.02)


def test_a_side_without_calls_has_no_percentiles(tally):
    figures = tally.side(Side.GUARDED)
    assert (figures.p50_ns, figures.p99_ns, figures.calls) == (None, None, 0)


def test_a_call_belongs_to_the_phase_in_which_it_was_due(tally):
    tally.record(UNGUARDED, call(Verdict.FAILED, at=5.7, queued_ms=300))
    assert tally.phase(Side.UNGUARDED, "slow").calls == 1
    assert tally.phase(Side.UNGUARDED, "failing").calls == 0


def test_rejections_are_counted_by_reason_the_most_frequent_first(tally):
    for reason in ("bulkhead-full", "circuit-open", "circuit-open"):
        tally.record(GUARDED, call(Verdict.REJECTED, reason=reason))
    assert list(tally.reasons().items()) == [("circuit-open", 2), ("bulkhead-full", 1)]


def test_a_side_has_recovered_with_its_first_good_answer_after_the_return(tally):
    tally.upstream_is_back(7 * NS)
    tally.record(GUARDED, call(Verdict.REJECTED, at=7.1))
    tally.record(GUARDED, call(Verdict.GOOD, at=7.3))
    tally.record(GUARDED, call(Verdict.GOOD, at=8.0))
    assert tally.recovery_ns(Side.GUARDED) == 310 * MS
    assert tally.recovery_ns(Side.UNGUARDED) is None


def test_an_answer_to_a_call_sent_before_the_return_proves_no_recovery(tally):
    tally.record(GUARDED, call(Verdict.GOOD))
    assert tally.recovery_ns(Side.GUARDED) is None
    tally.upstream_is_back(7 * NS)
    tally.record(GUARDED, call(Verdict.GOOD, at=6.999))
    assert tally.recovery_ns(Side.GUARDED) is None


def test_the_longest_recovery_is_the_one_that_is_told(tally):
    for back, first_good in ((10, 10.5), (20, 20.1)):
        tally.upstream_is_back(back * NS)
        tally.record(GUARDED, call(Verdict.GOOD, at=first_good, took_ms=0))
    assert tally.recovery_ns(Side.GUARDED) == 500 * MS


def test_no_call_is_lost_between_threads(tally):  # GEN-03
    def record_many():
        for _ in range(500):
            tally.record(GUARDED, call(Verdict.GOOD))

    for party in [Party(record_many) for _ in range(8)]:
        party.result()
    assert tally.side(Side.GUARDED).good == 4_000
