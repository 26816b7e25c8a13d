"""The comparison compares equal work, leaves out what is not there, and draws the same twice."""

import importlib.util
import warnings

import pytest

from benchmarks import compare, contenders, report
from holdfast.bench.timing import loop_of


@pytest.mark.parametrize("name", compare.SCENARIOS)
def test_ours_does_the_work_of_each_scenario(name):
    _, makers, _ = compare.SCENARIOS[name]
    assert loop_of(makers["holdfast"]())(iter([None] * 5)) > 0


@pytest.mark.parametrize("name", compare.SCENARIOS)
def test_what_is_installed_does_the_work_and_what_is_not_is_left_out_with_a_word(name):
    _, makers, each = compare.SCENARIOS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        found = compare.compare(makers, lambda cases: compare.timed(cases, 1, each))
    assert set(found["figures"]) | set(found["left_out"]) == set(makers)
    assert found["figures"]["holdfast"] > 0
    for why in found["left_out"].values():
        assert why == "not installed" or why.startswith("does not run here: ")


def test_a_library_that_is_missing_or_broken_keeps_no_other_out():
    def missing():
        raise ImportError("no such thing")

    def broken():
        raise ZeroDivisionError("oops")

    makers = {"holdfast": lambda: 1, "a loop": missing, "bare call": broken}
    found = compare.compare(makers, lambda there: dict.fromkeys(there, 7.0))
    assert found["figures"] == {"holdfast": 7.0}
    assert found["left_out"]["a loop"] == "not installed"
    assert "ZeroDivisionError: oops" in found["left_out"]["bare call"]


def test_ours_lets_one_probe_in_and_holds_no_lock_over_a_call():
    assert compare.threads_ratio(lambda: None) >= 0
    guarded, trip = compare.recovering()["holdfast"]()
    trip()
    assert guarded.state.value == "open"
    assert contenders.BREAKERS["holdfast"](1)(int)() == 0


def test_every_key_has_a_limiter_of_its_own():
    ns, size = compare.over_keys(compare.keyed()["holdfast"](), 50)
    assert ns > 0
    assert size > 100


def test_who_is_beaten_says_so():
    one = {
        "label": "x", "unit": "ns", "left_out": {"b": "not installed"},
        "figures": {"holdfast": 100.0, "faster": 50.0, "slower": 200.0, "bare call": 10.0},
    }  # fmt: skip
    assert report.compared(one) == (
        "| x | 100 ns | bare call 10, **faster 50**, slower 200, b: not installed |"
    )


def test_a_chart_is_the_same_each_time(tmp_path, require_real):
    if importlib.util.find_spec("matplotlib") is None:
        require_real("matplotlib is not installed")
    from benchmarks import charts

    figures = {"holdfast": 50.0, "bare call": 20.0, "another": 5_000.0}
    scenarios = {name: {"figures": figures} for name in charts.SHOWN}
    for theme in charts.THEMES:
        drawn = []
        for at in range(2):
            path = tmp_path / f"{theme}{at}.svg"
            charts.draw(scenarios, theme, path, "caption")
            drawn.append(path.read_bytes())
        assert drawn[0] == drawn[1]
        assert b"5,000 ns" in drawn[0]
        assert b"http-equiv" not in drawn[0]
