"""A run tells what was broken, who noticed it when, what was done, and what was counted."""

import io
import re
import time

import pytest

from examples.dwcp_node.report import Counts, Report
from examples.story import duration


def told(out: io.StringIO) -> list[str]:
    return [re.sub(r"^ *\d+\.\d\d s  ", "", line) for line in out.getvalue().splitlines()]


def test_the_story_of_a_scenario_is_told_in_order_with_times_since_the_harm():
    out = io.StringIO()
    report = Report(out)
    story = report.begin("kill", "a node is killed")
    report.broke(story, "node b: kill -9 of process 7")
    at = story.broken_at
    report.noticed(story, "the supervisor", "killed by SIGKILL", at + 0.004)
    report.noticed(story, "link to b of node a", "lost", at + 0.25)
    report.done("the supervisor", "started again", at + 0.3)
    report.verified(story, "its check passes", at + 1.5)
    report.counted(story, Counts(accepted=1200, delivered=1200, given_up=3))
    assert report.end() is True
    assert told(out)[1:7] == [
        "--- kill: a node is killed",
        "broken    node b: kill -9 of process 7",
        "noticed   by the supervisor after 4 ms: killed by SIGKILL",
        "noticed   by link to b of node a after 0.25 s: lost",
        "done      by the supervisor: started again",
        "verified  after 1.50 s: its check passes",
    ]
    assert told(out)[7] == (
        "counted   accepted 1,200, delivered 1,200, lost 0, twice 0 (given up: 3)"
    )
    assert story.noticed_after == pytest.approx(0.004)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (Counts(accepted=9, delivered=7, lost=2), "2 accepted messages are lost"),
        (Counts(accepted=9, delivered=9, twice=1), "1 messages were delivered more than once"),
    ],
)
def test_a_lost_or_doubled_message_makes_the_run_go_wrong(counts: Counts, said: str):
    out = io.StringIO()
    report = Report(out)
    story = report.begin("cut", "a connection is cut")
    report.broke(story, "it")
    report.noticed(story, "someone", "it", story.broken_at)
    report.verified(story, "it")
    report.counted(story, counts)
    assert report.end() is False
    assert f"WRONG     {said}" in told(out)
    assert told(out)[-1] == "1 of 1 scenarios went WRONG: cut"


@pytest.mark.parametrize("missing", ["noticed", "verified"])
def test_what_was_never_noticed_or_never_verified_is_wrong(missing: str):
    report = Report(io.StringIO())
    story = report.begin("components", "each component is broken")
    for left_out in ("", missing):
        report.broke(story, "one")
        if left_out != "noticed":
            report.noticed(story, "someone", "it", story.broken_at)
        if left_out != "verified":
            report.verified(story, "it")
    assert report.end() is False


def test_the_table_has_one_row_a_scenario_with_the_longest_times_and_all_counts():
    report = Report(io.StringIO())
    for after, accepted in ((0.01, 1000), (0.2, 500)):
        story = report.begin("kill", "a node is killed")
        report.broke(story, "it")
        report.noticed(story, "someone", "it", story.broken_at + after)
        report.verified(story, "it", story.broken_at + 10 * after)
        report.counted(story, Counts(accepted=accepted, delivered=accepted))
    head, row = report.table()
    assert head.split() == ["scenario", "times", "noticed", "verified", "accepted", "lost", "twice"]
    assert row.split() == [
        "kill", "2", "≤", "0.20", "s", "≤", "2.00", "s", "1,500", "0", "0", "good",
    ]  # fmt: skip


def test_a_duration_is_written_in_the_unit_that_reads_best():
    assert [duration(value) for value in (0.0004, 0.0123, 0.25, 3.456, 34.56)] == [
        "1 ms", "12 ms", "0.25 s", "3.46 s", "34.6 s",
    ]  # fmt: skip


def test_each_line_is_there_at_once():
    out = io.StringIO()
    report = Report(out)
    report.say("calm", "three nodes", time.monotonic())
    assert re.fullmatch(r" +0\.00 s  calm      three nodes\n", out.getvalue())
