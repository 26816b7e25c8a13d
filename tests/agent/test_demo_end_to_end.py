"""The demo as a user starts it: real processes, real traffic, real time."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import termios
from contextlib import contextmanager

import pytest

from tests.agent.processes import watch

PID = re.compile(r"upstream +pid (\d+) (?:at|started)")
TRANSITION = re.compile(r"breaker +(\S+) → (\S+)")
PHASE = re.compile(r" phase +(\w+):")
ENVIRONMENT = {**os.environ, "PYTHONIOENCODING": "utf-8"}


@contextmanager
def running_demo(*arguments):
    command = [sys.executable, "-W", "error", "-m", "holdfast", "demo", *arguments]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=ENVIRONMENT,
    ) as demo:
        try:
            yield demo
        finally:
            demo.kill()


def read_until(demo, wanted):
    """Return what the demo wrote up to and including the first line that ``wanted`` matches."""
    lines = []
    for line in demo.stdout:
        lines.append(line)
        if wanted.search(line):
            return "".join(lines)
    pytest.fail(f"the demo ended before it wrote {wanted.pattern}:\n{''.join(lines)}")


def read_terminal(descriptor, wanted=None):
    """Return what a terminal was sent, up to ``wanted`` or until nobody holds its other end."""
    sent = b""
    while wanted is None or wanted not in sent:
        try:
            read = os.read(descriptor, 65_536)
        except OSError:  # EIO, as Linux says that the other end is closed
            break
        if not read:  # as others say it
            break
        sent += read
    return sent


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def figures(summary, row):
    """Return the two numbers of a row of the summary: unguarded, guarded."""
    line = next(line for line in summary.splitlines() if line.strip().startswith(row))
    cells = re.split(r" {2,}", line.strip())[1:]
    return tuple(cell.replace(",", "") for cell in cells)


def figure(summary, row):
    """Return the one number of a row of the pipeline's part of the summary."""
    [cell] = figures(summary, row)
    return int(cell)


def goodput(summary, phase):
    """Return the goodput of a phase: unguarded, guarded."""
    rows = re.search(rf"\n  {phase} +unguarded +(\S+)/s.*\n +guarded +(\S+)/s", summary)
    return tuple(map(float, rows.groups()))


def in_order(wanted, found):
    """Return whether ``wanted`` occurs in ``found`` in this order, other things between."""
    rest = iter(found)
    return all(item in rest for item in wanted)


@pytest.fixture(scope="module")
def whole_run():
    """One run of ten seconds: exit code, output, errors."""
    with running_demo("--seconds", "10") as demo:
        output, errors = demo.communicate(timeout=90)
    return demo.returncode, output, errors


@pytest.fixture
def unhurried_run(whole_run):
    """What that run wrote, where the machine keeps up: else calls time out on their way."""
    _, output, _ = whole_run
    wasted = re.search(r"\n  healthy +unguarded(?: +\S+/s)(?: +\S+ \S+){2} +([\d,]+)", output)[1]
    if int(wasted.replace(",", "")) > 5:
        pytest.skip(f"the machine is too busy: of a healthy upstream {wasted} calls timed out")
    return output


def test_a_whole_run_ends_well_and_says_nothing_wrong(whole_run):
    code, _, errors = whole_run
    assert (code, errors) == (0, "")


def test_a_whole_run_goes_through_every_phase(whole_run):
    _, output, _ = whole_run
    assert PHASE.findall(output) == ["healthy", "flaky", "slow", "failing", "killed", "back"]


def test_a_whole_run_kills_the_upstream_and_starts_another(whole_run):
    _, output, _ = whole_run
    first, second = PID.findall(output)
    assert f"pid {first} killed with SIGKILL" in output
    assert first != second


def test_a_whole_run_leaves_no_process(whole_run):
    _, output, _ = whole_run
    assert not any(is_alive(int(pid)) for pid in PID.findall(output))


def test_the_breaker_opens_probes_and_closes(whole_run):  # CB-02, CB-26
    _, output, _ = whole_run
    cycle = [("closed", "open"), ("open", "half-open"), ("half-open", "closed")]
    assert in_order(cycle, TRANSITION.findall(output))


def test_the_summary_compares_goodput_percentiles_and_waste(whole_run):
    _, output, _ = whole_run
    summary = output[output.index("holdfast demo: ") :]
    for word in ("goodput", "p50", "p99", "wasted", "half-open"):
        assert word in summary
    assert re.fullmatch(r"[\d.]+/s", figures(summary, "goodput")[1])
    assert all(re.fullmatch(r"[\d.]+ (µs|ms|s)", cell) for cell in figures(summary, "p99"))


def test_the_guarded_side_wastes_far_fewer_calls(whole_run):  # CB-02
    _, output, _ = whole_run
    unguarded, guarded = map(int, figures(output, "wasted calls"))
    assert guarded * 4 < unguarded


def test_the_guarded_side_gets_more_out_of_a_slow_upstream(unhurried_run):  # BH-01
    unguarded, guarded = goodput(unhurried_run, "slow")
    assert guarded > unguarded


def test_retries_get_more_out_of_a_flaky_upstream(unhurried_run):  # RT-23
    unguarded, guarded = goodput(unhurried_run, "flaky")
    assert guarded > unguarded
    assert figure(unhurried_run, "calls recovered") > 0


def test_the_guarded_side_gets_more_out_of_the_whole_run(unhurried_run):
    unguarded, guarded = (
        float(cell.removesuffix("/s")) for cell in figures(unhurried_run, "goodput")
    )
    assert guarded > unguarded


def test_retries_send_no_more_requests_than_there_are_calls(whole_run):
    _, output, _ = whole_run
    unguarded, guarded = map(int, figures(output, "requests sent"))
    assert figure(output, "of them retries") > 0
    assert guarded < unguarded


def test_when_everything_fails_the_budget_ends_the_retries(whole_run):
    _, output, _ = whole_run
    assert figure(output, "retries refused") > 0
    assert figure(output, "no-budget") == figure(output, "retries refused")


def test_every_call_that_was_given_up_has_a_reason(whole_run):
    _, output, _ = whole_run
    reasons = re.search(r"calls given up.*\n((?:    .*\n)+)", output)[1].split()[1::2]
    assert sum(int(n.replace(",", "")) for n in reasons) == figure(output, "calls given up")


def test_each_second_tells_what_the_retries_did(whole_run):
    _, output, _ = whole_run
    said = re.findall(r"\| retries [\d,]+, recovered [\d,]+, timeouts \d+, budget \S+ of 15$",
                      output, re.MULTILINE)  # fmt: skip
    assert len(said) >= 8


def test_both_sides_were_offered_the_same_calls(whole_run):
    _, output, _ = whole_run
    unguarded, guarded = map(int, figures(output, "calls"))
    # All 1,200, save what a busy machine had not got round to at the end.
    assert unguarded == pytest.approx(1_200, rel=0.02)
    assert guarded == pytest.approx(1_200, rel=0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_with_its_summary(number):
    with running_demo() as demo:
        started = read_until(demo, PID)
        read_until(demo, re.compile(r"good/s"))  # a second of traffic
        demo.send_signal(number)
        output, errors = demo.communicate(timeout=60)
    assert (demo.returncode, errors) == (0, "")
    assert "goodput" in output
    assert int(figures(output, "calls")[1]) > 0
    assert not is_alive(int(PID.search(started)[1]))


def test_on_a_terminal_it_draws_a_table_and_leaves_only_the_summary():
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 80))
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "holdfast", "demo"],
        stdout=its,
        stderr=subprocess.PIPE,
        text=True,
        env={**ENVIRONMENT, "TERM": "xterm-256color"},
    ) as demo:
        os.close(its)
        drawn = read_terminal(ours, b"breaker")
        demo.send_signal(signal.SIGINT)
        left = read_terminal(ours)
        errors = demo.stderr.read()
    os.close(ours)
    assert (demo.returncode, errors) == (0, "")
    assert b"rejected/s" in drawn
    _, summary = left.rsplit(b"\x1b[2K", 1)
    assert b"goodput" in summary
    assert b"rejected/s" not in summary


def test_a_demo_that_is_killed_leaves_no_upstream():
    with running_demo() as demo:
        started = read_until(demo, PID)
        upstream_ended = watch(int(PID.search(started)[1]))
        demo.kill()
    assert upstream_ended()


def test_a_reader_that_goes_away_ends_the_run_without_a_traceback():
    with running_demo() as demo:
        started = read_until(demo, PID)
        demo.stdout.close()
        errors = demo.stderr.read()
        code = demo.wait(60)
    assert (code, errors) == (1, "")
    assert not is_alive(int(PID.search(started)[1]))
