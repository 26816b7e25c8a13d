"""What metrics and other workers see of health checks."""

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

import holdfast.health.figures
from holdfast.health import HealthMonitor, PingCheck
from holdfast.health.figures import Figures
from holdfast.stores.figures import BREAKER, HEALTH, OTHER, pair, parts_of
from holdfast.stores.ledger import Ledger
from holdfast.telemetry import prometheus
from tests.telemetry.scraped import Scrape

PASSED, LIMPED, FAILED, UNPROVEN = range(4)
MS = 10**6

letters = st.characters(exclude_categories=("C", "Z")) | st.sampled_from(" /")
printable = st.text(letters, min_size=1, max_size=200).filter(str.isprintable)


@pytest.fixture(autouse=True)
def ledger(monkeypatch):
    """A ledger without what other tests have left to the collector."""
    fresh = Ledger()
    for module in (holdfast.health.figures, prometheus):
        monkeypatch.setattr(module, "ledger", fresh)


def figures(checker="shop", check="db", **settings):
    settings = {"failures": 2, "successes": 1, "start_period_ns": 0} | settings
    return Figures(checker, check, **settings)


def test_a_check_tells_its_status_results_and_durations():  # MX-10, MX-11, MX-12, MX-13, D-HC-4
    made = figures()
    labels = {"checker": "shop", "check": "db"}
    seen = Scrape()
    assert seen("health_check_status", **labels) == 0  # unknown, D-HC-3
    assert seen("health_check_total", **labels, result="success") == 0
    assert seen("health_check_failures_total", **labels) == 0
    assert not seen.series("health_check_duration_seconds_count")
    for verdict in (PASSED, LIMPED, UNPROVEN, FAILED):
        made.state.record(verdict, 0, 30 * MS)
    made.state.abandon()
    seen = Scrape()
    assert seen("health_check_status", **labels) == 1
    assert seen("health_check_total", **labels, result="success") == 2
    assert seen("health_check_total", **labels, result="failure") == 1
    assert seen("health_check_failures_total", **labels) == 1
    assert seen("health_check_unproven_total", **labels) == 1
    assert seen("health_check_abandoned_total", **labels) == 1
    assert seen("health_check_duration_seconds_bucket", **labels, le="0.025") == 0
    assert seen("health_check_duration_seconds_bucket", **labels, le="0.05") == 3
    assert seen("health_check_duration_seconds_sum", **labels) == pytest.approx(0.09)


@pytest.mark.parametrize(
    ("results", "status"), [("", 0), ("p", 1), ("pdd", 1), ("pff", 0), ("pffp", 1)]
)
def test_the_status_is_1_while_a_check_is_healthy_or_degraded(results, status):  # MX-10
    made = figures()
    for result in results:
        made.state.record("pdf".index(result), 0, 0)
    assert Scrape()("health_check_status", checker="shop", check="db") == status


def test_of_checks_of_one_name_the_worst_is_shown_and_counts_are_added_up():  # MX-10, MX-12
    good, bad = figures(), figures()
    good.state.record(PASSED, 0, 0)
    for _ in range(2):
        bad.state.record(FAILED, 0, 0)
    seen = Scrape()
    assert seen("health_check_status", checker="shop", check="db") == 0
    assert seen("health_check_total", checker="shop", check="db", result="success") == 1
    assert seen("health_check_total", checker="shop", check="db", result="failure") == 2


def test_who_does_not_know_says_nothing_of_what_others_know():  # MX-10, D-HC-3
    known, unknown = figures(), figures()  # as of a worker, and of a master that runs no monitor
    labels = {"checker": "shop", "check": "db"}
    known.state.record(PASSED, 0, 0)
    assert Scrape()("health_check_status", **labels) == 1
    for _ in range(2):
        known.state.record(FAILED, 0, 0)
    assert Scrape()("health_check_status", **labels) == 0
    assert unknown.state.state == 0


def test_the_series_of_a_check_go_with_its_last_reference():  # D-MX-2
    kept, gone = figures(check="kept"), figures(check="gone")
    assert len(Scrape().series("health_check_status")) == 2
    del gone
    gc.collect()
    assert Scrape().series("health_check_status") == {
        frozenset({("checker", "shop"), ("check", "kept")})
    }
    assert kept.state.state == 0


def test_the_series_of_a_check_end_when_it_is_removed(clock):  # D-MX-2
    monitor = HealthMonitor("shop", interval=3600, clock=clock)
    names = [f"c{n}" for n in range(8)]
    with monitor:
        for name in names:
            monitor.add(PingCheck(name, lambda: False, failures=1))
        assert len(Scrape().series("health_check_status")) == 8
        for name in names:
            monitor.remove(name)
        gc.collect()
        assert not Scrape().series("health_check_status")
        assert not Scrape().series("health_check_total")


def test_names_that_would_look_alike_when_joined_stay_apart():  # MX-10
    names = [("a/b", "c"), ("a", "b/c"), ("1 a", "b"), ("1", "a/b"), ("a b", "c"), ("é", "/")]
    made = [figures(checker, check) for checker, check in names]
    assert Scrape().series("health_check_status") == {
        frozenset({("checker", checker), ("check", check)}) for checker, check in names
    }
    assert len(made) == len(names)


@given(st.lists(st.tuples(printable, printable), unique=True, min_size=2, max_size=2))
def test_whatever_two_names_are_they_can_be_read_back_and_no_two_pairs_share_one(pairs):
    one, other = (pair(*names) for names in pairs)
    assert [parts_of(HEALTH, one), parts_of(HEALTH, other)] == pairs
    assert one != other
    assert one.isprintable()  # as names.json and totals.json ask for


@pytest.mark.parametrize("name", ["", "x", "4", "9 a", "²2 a/b", OTHER])
def test_a_name_that_is_no_pair_can_be_shown_all_the_same(name):  # trap 60
    first, second = parts_of(HEALTH, name)
    assert (first, second) == (OTHER, OTHER) or name == "" or first + second in name
    assert parts_of(BREAKER, name) == (name,)


def test_checks_beyond_the_bound_share_one_series():  # MX-10
    made = [figures(check=f"c{n}") for n in range(4)]
    for one in made:
        one.state.record(FAILED, 0, 0)
    seen = Scrape(max_names=2)
    assert seen("health_check_failures_total", checker=OTHER, check=OTHER) == 2
    assert seen("health_check_failures_total", checker="shop", check="c1") == 1


def test_a_process_that_is_asked_for_all_policies_finds_no_check_among_them():
    import holdfast as hf

    made = figures()
    assert made not in hf.registry.all()
