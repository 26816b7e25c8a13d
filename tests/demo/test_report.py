import re
from dataclasses import replace

import pytest

from holdfast.demo.chronicle import Chronicle
from holdfast.demo.report import Results, columns, summary
from holdfast.demo.tally import Tally
from tests.demo.scenes import SCHEDULE, STANDING, recorded_results


@pytest.fixture(scope="module")
def text():
    return summary(recorded_results())


def row_of(text, name):
    """Return the cells of the first line that begins with ``name``."""
    line = next(line for line in text.splitlines() if line.strip().startswith(name))
    return line.strip()[len(name) :].split("   ")


def cells(text, name):
    return [cell.strip() for cell in row_of(text, name) if cell.strip()]


def test_both_sides_stand_beside_each_other(text):
    assert cells(text, "calls") == ["20", "20"]
    assert cells(text, "goodput") == ["0.80/s", "1.20/s"]
    assert cells(text, "requests sent") == ["20", "16"]
    assert cells(text, "wasted calls") == ["12", "0"]
    assert cells(text, "time in wasted calls") == ["2.12 s", "0 µs"]
    assert cells(text, "rejected") == ["0", "8"]
    assert cells(text, "circuit-open") == ["–", "8"]


def test_the_percentiles_are_told_for_both_sides(text):
    # Within the 2 % of the histogram: 8 of 20 guarded calls took 1 ms, 8 others 8 ms, 4 took 20;
    # 4 of 20 unguarded ones took 500 ms.
    (p50, p50_unit), (p99, p99_unit) = (cells(text, name)[1].split() for name in ("p50", "p99"))
    assert (float(p50), p50_unit) == (pytest.approx(8, rel=0.02), "ms")
    assert (float(p99), p99_unit) == (pytest.approx(20, rel=0.02), "ms")
    p99, p99_unit = cells(text, "p99")[0].split()
    assert (float(p99), p99_unit) == (pytest.approx(500, rel=0.02), "ms")


def test_every_transition_is_counted(text):  # CB-07
    assert cells(text, "breaker transitions") == ["–", "5"]
    assert cells(text, "closed → open") == ["–", "1"]
    assert cells(text, "open → half-open") == ["–", "2"]
    assert cells(text, "half-open → open") == ["–", "1"]
    assert cells(text, "half-open → closed") == ["–", "1"]


def test_an_outage_is_told_from_opening_to_closing_with_its_phases(text):
    assert (
        "closed → open at 4.50 s (slow) → half-open 2 x → closed at 7.95 s (back)"
        in text.splitlines()
    )


def test_an_outage_that_lasts_says_so():
    chronicle = Chronicle()
    chronicle.transition(4_500_000_000, "closed", "open")
    text = summary(replace(recorded_results(), chronicle=chronicle))
    assert "closed → open at 4.50 s (slow) → half-open 0 x, not closed since" in text


def test_every_phase_has_a_line_for_each_side(text):
    _, _, phases, *_ = text.split("\n\n")
    lines = phases.splitlines()
    assert [line.split()[0] for line in lines[1::2]] == [
        "healthy",
        "flaky",
        "slow",
        "failing",
        "killed",
        "back",
    ]
    assert [line.split()[0] for line in lines[2::2]] == ["guarded"] * 6
    slow = lines[5].split()
    assert slow == ["slow", "unguarded", "0/s", *slow[3:7], "4", "0", "0"]
    flaky = lines[4].split()
    assert flaky == ["guarded", "1.82/s", *flaky[2:6], "0", "0", "4"]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        # RT-22
        ("attempts", "1,312"), ("of them retries", "74"), ("calls recovered", "46"),
        ("calls given up", "293"), ("exhausted", "6"), ("no-budget", "9"),
        ("retry budget at the end", "12.3 of 20"), ("retries refused", "9"),
        ("attempt timeouts", "2"), ("total timeouts", "1"),
    ],
)  # fmt: skip
def test_what_the_retries_and_the_timeouts_did_is_told(text, row, told):
    assert cells(text, row) == [told]
    assert re.search(r"\n    rejected +278\n", text)
    assert "a good call gives 0.25 back" in text


def test_the_words_of_the_trade_are_there_and_explained(text):
    legend = text.split("\n\n")[-1]
    for word in ("goodput", "p50", "p99", "wasted"):
        assert word in legend
    assert "half-open" in text
    assert "after 0.35 s on both sides" in legend


def test_it_says_what_the_upstream_can_do_for_each_side(text):
    what = "3 workers of its own in the upstream: 375 calls/s when healthy, 55 when slow"
    assert f"to {what}" in text.splitlines()


def test_it_fits_a_terminal_of_eighty_columns():
    assert max(map(len, summary(recorded_results()).splitlines())) <= 80


def test_a_run_that_was_ended_before_its_first_call_has_a_summary_too():
    text = summary(Results(0, SCHEDULE, 120, 0.35, 0, Tally(SCHEDULE), Chronicle(), STANDING))
    assert cells(text, "goodput") == ["–", "–"]
    assert cells(text, "p99") == ["–", "–"]
    assert "the breaker had no reason to open" in text


def test_columns_are_aligned_names_to_the_left_and_numbers_to_the_right():
    assert columns([["", "a", "bb"], ["name", "1,204", "7"]]) == [
        "             a   bb",
        "  name   1,204    7",
    ]
    assert columns([["", "a"], ["name", "7"]], gap=1) == ["       a", "  name 7"]
