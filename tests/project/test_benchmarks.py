"""The benchmarks still run, and measure what they say. None of them is a test of speed."""

import importlib.util
from itertools import repeat

import pytest

from benchmarks import contention, footprint, growth, health, performance, resources
from holdfast.bench.cases import CASES
from holdfast.bench.rows import ROWS
from holdfast.bench.timing import loop_of, run_in_turn
from tests.interpreters import GIL


@pytest.mark.parametrize("name", CASES)
def test_each_case_does_what_it_times(name):
    case = CASES[name]()
    assert loop_of(case)(repeat(None, 10)) > 0
    assert case.holds(10)


def test_every_row_can_be_figured_out():
    ns = run_in_turn({name: make() for name, make in CASES.items()}, rounds=1)
    assert all(isinstance(row.figure(ns), float) for row in ROWS)


def test_the_cost_of_a_monitor_is_measured_while_all_checks_are_healthy():
    for figures in (health.pings(5, 0.05, 0.2), health.tcp(2, 0.05, 0.2)):
        assert figures["checks a second"] > 0
        assert 0 < figures["percent of a core"] < 100


def test_the_cost_of_a_look_is_measured_while_every_operation_is_called():
    seconds, calls = performance.look(20, rounds=2)
    assert seconds > 0
    assert calls == 20
    seconds, calls = performance.look(20, rounds=2, come=3)
    assert seconds > 0
    assert calls == 26  # also of those that have come


def test_the_cost_of_a_registration_is_measured_where_others_are_registered():
    found = resources.measure(20, rounds=2)
    assert all(cost > 0 for cost in found.values())
    assert set(found) == {"pair", "ratio", "idle", "leaks", "stop"}
    ways = resources.measure_ways(rounds=2)
    assert len(ways) == 6
    assert all(cost > 0 for costs in ways.values() for cost in costs)


def test_two_threads_lose_no_count():
    rates = contention.measure(2, calls=2_000, rounds=2)
    assert all(rates.of(kind, 2) > 0 for kind in contention.KINDS)
    assert rates.scaling() > 0


@pytest.mark.parametrize(("label", "make", "most"), footprint.SIZES)
def test_native_state_is_as_small_as_promised(label, make, most):  # GEN-13
    assert footprint.native_bytes(make()) <= most
    assert footprint.whole_bytes(make, count=5) > 0


def test_a_pipeline_weighs_as_little_as_promised():
    # Objects of other versions are larger, and those without the GIL are larger still.
    share = 1.1 if GIL else 1.25
    for label, make, _ in footprint.SIZES:
        if label in footprint.WHOLE:
            assert footprint.whole_bytes(make, count=100) <= share * footprint.WHOLE[label]


CURVES = {(work, with_dir) for *_, lines in growth.PANELS for _, work, _, with_dir in lines}


@pytest.mark.parametrize(("work", "with_dir"), sorted(CURVES - {("aiolimiter", False)}))
def test_each_curve_has_its_figures(work, with_dir):
    figures = growth.measure_apart(work, 3, with_dir)
    shown = {
        figure
        for *_, lines in growth.PANELS
        for _, its, figure, its_dir in lines
        if (its, its_dir) == (work, with_dir)
    }
    assert figures.keys() >= shown


def test_a_point_of_a_curve_that_could_not_be_measured_is_left_out():
    panel = {"title": "x", "unit": "s", "lines": {"a": {"10": 0.123, 1000: 12_345.6}}}
    assert growth.table([panel])[2:] == ["| x, a, s | 0.12 | – | 12,346 | – | – |"]


def test_the_pictures_of_growth_are_the_same_each_time(tmp_path, require_real):
    if importlib.util.find_spec("matplotlib") is None:
        require_real("matplotlib is not installed")
    from benchmarks import growth_chart

    lines = {"alone": {"10": 2.0, "1000": 4.0}, "never": {}}
    panels = [
        {"title": title, "unit": unit, "lines": lines} for title, unit, _ in growth.PANELS[:3]
    ]
    drawn = []
    for at in range(2):
        path = tmp_path / f"{at}.svg"
        growth_chart.draw(panels, "dark", path, "caption")
        drawn.append(path.read_text())
    assert drawn[0] == drawn[1]
    assert "policies made, one name" in drawn[0]
