import io
from dataclasses import replace

import pytest
from rich.console import Console

from holdfast.demo.chronicle import Chronicle
from holdfast.demo.schedule import NS, Schedule
from holdfast.demo.table import FEWEST_ENTRIES, MOST_ENTRIES, LiveDisplay, render
from tests.demo.scenes import STANDING, scene_at

SCREEN = (80, 24)


def console_of(**settings):
    size = dict(zip(("width", "height"), SCREEN, strict=True))
    return Console(file=io.StringIO(), markup=False, highlight=False, **{**size, **settings})


def drawn(scene, **settings):
    console = console_of(**settings)
    console.print(render(scene))
    return console.file.getvalue()


@pytest.mark.parametrize("second", range(10))
@pytest.mark.parametrize("filled", [False, True])
def test_it_fits_a_terminal_of_eighty_by_twenty_four(second, filled):
    chronicle = Chronicle()
    for at_ns in range(20 if filled else 0):
        chronicle.note(at_ns * NS, "upstream", "pid 4194304 killed with SIGKILL")
    lines = drawn(scene_at(second * NS, chronicle=chronicle)).splitlines()
    assert len(lines) < SCREEN[1]
    assert max(len(line) for line in lines) <= SCREEN[0]
    assert "…" not in "".join(lines)


def test_what_does_not_fit_is_cut_and_does_not_wrap():
    many = dict.fromkeys(("circuit-open", "bulkhead-timeout", "bulkhead-full", "shed"), 10**9)
    usual = drawn(scene_at(9 * NS)).splitlines()
    crowded = drawn(replace(scene_at(9 * NS), reasons=many)).splitlines()
    assert len(crowded) == len(usual)
    assert any(line.endswith("…") for line in crowded)


def test_a_narrow_terminal_shows_whole_columns_and_those_of_the_whole_run():
    whole = ["goodput", "p50", "p99", "wasted"]
    seconds = ["good/s", "wasted/s", "rejected/s", "requests/s"]
    for width, last_second in (
        (120, seconds),
        (86, seconds),
        (85, seconds[:3]),
        (74, seconds[:3]),
        (73, seconds[:2]),
        (60, seconds[:1]),
        (46, []),
    ):
        heading, *rows = drawn(scene_at(4 * NS), width=width).splitlines()[3:10]
        assert heading.split() == last_second + whole
        assert "…" not in "".join(rows)


def test_its_height_is_steady_while_the_list_of_events_fills():
    empty = drawn(scene_at(NS, chronicle=Chronicle()))
    full = drawn(scene_at(9 * NS))
    assert len(empty.splitlines()) == len(full.splitlines())


def test_both_sides_and_their_lanes_have_a_row_each():
    rows = [line.split() for line in drawn(scene_at(4 * NS)).splitlines()[4:10]]
    assert [row[0] for row in rows] == [
        "unguarded",
        "threads",
        "asyncio",
        "guarded",
        "threads",
        "asyncio",
    ]
    assert [row[-1] for row in rows] == ["4", "2", "2", "0", "0", "0"]


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (5, " healthy  flaky [slow] failing  killed  back "),
        (5, "200 after 50 to 60 ms, 1 s left"),
        (6, "breaker   open, a probe in 217 ms\n"),
        (6, "rejected  circuit-open 4\n"),
        # RT-22
        (4, "retries   74 in 1,312 attempts, 46 calls recovered\n"),
        (4, "given up  exhausted 6, no-budget 9, rejected 278\n"),
        (4, "budget    12.3 of 20 retries left, 9 refused; timeouts: attempt 2, total 1\n"),
    ],
)
def test_it_tells_of_the_phase_the_breaker_the_retries_and_the_budget(second, told):
    assert told in drawn(scene_at(second * NS))


def test_where_no_call_was_given_up_it_says_so():
    assert "given up  none\n" in drawn(scene_at(0, guard=replace(STANDING, gave_up={})))


def test_a_higher_terminal_shows_more_of_what_happened():
    chronicle = Chronicle()
    for at_ns in range(20):
        chronicle.note(at_ns * NS, "phase", "healthy")
    heights = (10, 24, 27, 80)
    shown = [
        drawn(scene_at(0, chronicle=chronicle), height=height).count("  phase  ")
        for height in heights
    ]
    assert shown == [FEWEST_ENTRIES, FEWEST_ENTRIES, 6, MOST_ENTRIES]


@pytest.mark.parametrize("retry_after", [None, 0.0])
def test_a_breaker_that_lets_calls_pass_announces_no_probe(retry_after):
    text = drawn(scene_at(0, guard=replace(STANDING, breaker="closed", retry_after=retry_after)))
    assert "breaker   closed\n" in text
    assert "probe" not in text


def test_the_last_events_are_shown_the_newest_last():
    text = drawn(scene_at(9 * NS))
    assert text.index("half-open → open") < text.index("half-open → closed")


def test_a_run_without_an_end_has_no_length():
    endless = scene_at(3 * NS, schedule=Schedule.fit(None))
    assert drawn(endless).splitlines()[0].startswith("holdfast demo   3.00 s   upstream")


def test_a_killed_upstream_has_no_process():
    assert "no process" in drawn(scene_at(6 * NS, pid=None)).splitlines()[0]


def test_what_looks_like_markup_is_shown_as_it_is():
    chronicle = Chronicle()
    chronicle.note(0, "phase", "[red]not red[/red] [link=x]")
    assert "[red]not red[/red] [link=x]" in drawn(scene_at(0, chronicle=chronicle))


def test_colours_are_used_on_a_terminal_and_not_with_no_color(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    green = "\x1b[1;32m"
    assert green in drawn(scene_at(0), force_terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert green not in drawn(scene_at(0), force_terminal=True)


def test_the_live_table_shows_scenes_and_is_cleared_at_the_end(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    console = console_of(force_terminal=True)
    with LiveDisplay(console) as display:
        display.show(scene_at(3 * NS))
        shown = console.file.getvalue()
    after = console.file.getvalue()[len(shown) :]
    assert "unguarded" in shown
    up_and_erase = "\x1b[1A\x1b[2K"
    assert after.endswith(up_and_erase * (shown.count("\n") + 1))
