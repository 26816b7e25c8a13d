"""A scenario's counts say what was collected, and name whatever may not be so."""

import io

import pytest

from examples.market_collector.report import Counts, Errors, Report

BEFORE = Errors(100, 3, {"transient": 3}, {"alpha.ticker": 2, "cleanup": 1})
AFTER = Errors(1300, 12, {"transient": 8, "permanent": 4}, {"alpha.ticker": 11, "cleanup": 1})


def test_errors_are_told_by_category_and_operation_with_the_most_frequent_first():  # ER-03, ER-04
    assert str(AFTER.since(BEFORE)) == (
        "9 of 1,200 operations failed: 5 transient, 4 permanent; alpha.ticker 9"
    )
    assert str(BEFORE.since(BEFORE)) == "0 of 0 operations failed"


def test_of_many_operations_the_rare_ones_are_added_up():
    failed = {"a.ticker": 9, "b.save": 1, "c.ticker": 8, "d.ticker": 7, "e.save": 2, "f.ticker": 6}
    assert str(Errors(100, 33, {"transient": 33}, failed)).endswith(
        "; a.ticker 9, c.ticker 8, d.ticker 7, f.ticker 6, 2 others 3"
    )


def test_the_counts_of_a_good_scenario_are_in_its_line_and_in_the_table():
    out = io.StringIO()
    report = Report(out)
    story = report.begin("freeze", "an exchange is frozen")
    report.broke(story, "alpha is frozen")
    report.noticed(story, "the breaker of alpha", "open", story.broken_at + 0.5)
    report.verified(story, "all prices are stored", story.broken_at + 2)
    report.counted(story, Counts(1112, 16, 0, 0, AFTER.since(BEFORE)))
    assert report.end() is True
    assert "counted   collected 1,112, filled 16, missing 0; 9 of 1,200 operations failed" in (
        out.getvalue()
    )
    row = report.table()[1].split()
    assert row[0] == "freeze"
    assert row[-5:] == ["1,112", "16", "0", "9", "good"]


@pytest.mark.parametrize(
    ("counts", "wrong"),
    [
        (Counts(8, missing=2), "2 prices are missing"),
        (Counts(8, wrong_values=1), "1 prices are not what the exchange has said"),
        (Counts(), "nothing was collected"),
    ],
)
def test_prices_that_are_missing_or_wrong_make_the_run_go_wrong(counts: Counts, wrong: str):
    out = io.StringIO()
    report = Report(out)
    story = report.begin("down", "an exchange is down")
    report.broke(story, "it")
    report.noticed(story, "someone", "it", story.broken_at)
    report.verified(story, "it")
    report.counted(story, counts)
    assert story.wrong == [wrong]
    assert report.end() is False


def test_a_scenario_that_was_interrupted_is_not_judged():
    out = io.StringIO()
    report = Report(out)
    report.broke(report.begin("down", "an exchange is down"), "it")
    report.interrupted()
    assert report.end() is False  # nothing was shown
    assert "interrupted during down, which does not count" in out.getvalue()
    assert out.getvalue().endswith("no scenario was played to its end\n")


def test_what_was_played_before_an_interruption_counts():
    out = io.StringIO()
    report = Report(out)
    story = report.begin("freeze", "an exchange is frozen")
    report.broke(story, "it")
    report.noticed(story, "someone", "it", story.broken_at)
    report.verified(story, "it")
    report.counted(story, Counts(8))
    report.begin("down", "an exchange is down")
    report.interrupted()
    assert report.end() is True
    assert out.getvalue().endswith(
        "\n1 scenario: noticed, recovered, verified; nothing is missing\n"
    )
