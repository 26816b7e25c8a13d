"""The demo as a user starts it: real processes, real traffic, real time."""

import os
import pty
import re
import signal
import subprocess
import sys
import termios
from contextlib import contextmanager

import pytest

from tests.demo.processes import watch

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
    """What one run of ten seconds wrote; it ended well and complained of nothing."""
    with running_demo("--seconds", "10") as demo:
        output, errors = demo.communicate(timeout=90)
    assert (demo.returncode, errors) == (0, "")
    return output


def test_a_whole_run_goes_through_every_phase_and_accounts_for_every_call(whole_run):
    assert PHASE.findall(whole_run) == ["healthy", "flaky", "slow", "failing", "killed", "back"]
    first, second = PID.findall(whole_run)
    assert f"pid {first} killed with SIGKILL" in whole_run
    assert first != second
    assert not any(is_alive(int(pid)) for pid in (first, second))
    cycle = [("closed", "open"), ("open", "half-open"), ("half-open", "closed")]
    assert in_order(cycle, TRANSITION.findall(whole_run))  # CB-02, CB-26
    assert re.search(r"\| retries [\d,]+, recovered [\d,]+, timeouts \d+, budget \S+ of 15$",
                     whole_run, re.MULTILINE)  # fmt: skip
    summary = whole_run[whole_run.index("holdfast demo: ") :]
    for word in ("goodput", "p50", "p99", "wasted", "half-open"):
        assert word in summary
    assert re.fullmatch(r"[\d.]+/s", figures(summary, "goodput")[1])
    assert all(re.fullmatch(r"[\d.]+ (µs|ms|s)", cell) for cell in figures(summary, "p99"))
    assert figure(summary, "of them retries") > 0
    assert figure(summary, "no-budget") == figure(summary, "retries refused") > 0
    reasons = re.search(r"calls given up.*\n((?:    .*\n)+)", summary)[1].split()[1::2]
    assert sum(int(n.replace(",", "")) for n in reasons) == figure(summary, "calls given up")


@pytest.mark.slow
def test_the_guarded_side_gets_more_out_of_the_same_upstream(whole_run):
    """It compares what two sides achieve in real time, so it needs a machine that keeps up."""
    wasted = re.search(r"\n  healthy +unguarded(?: +\S+/s)(?: +\S+ \S+){2} +([\d,]+)", whole_run)[1]
    if int(wasted.replace(",", "")) > 5:
        pytest.skip(f"the machine is too busy: of a healthy upstream {wasted} calls timed out")
    assert list(map(int, figures(whole_run, "calls"))) == pytest.approx([1_200] * 2, rel=0.02)
    unguarded, guarded = map(int, figures(whole_run, "requests sent"))
    assert guarded < unguarded
    unguarded, guarded = map(int, figures(whole_run, "wasted calls"))
    assert guarded * 4 < unguarded
    for phase in ("slow", "flaky"):
        unguarded, guarded = goodput(whole_run, phase)
        assert guarded > unguarded, phase
    assert figure(whole_run, "calls recovered") > 0
    unguarded, guarded = (float(cell.removesuffix("/s")) for cell in figures(whole_run, "goodput"))
    assert guarded > unguarded


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_demo_that_is_killed_leaves_no_upstream():
    with running_demo() as demo:
        started = read_until(demo, PID)
        upstream_ended = watch(int(PID.search(started)[1]))
        demo.kill()
    assert upstream_ended()


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_the_run_without_a_traceback():
    with running_demo() as demo:
        started = read_until(demo, PID)
        demo.stdout.close()
        errors = demo.stderr.read()
        code = demo.wait(60)
    assert (code, errors) == (1, "")
    assert not is_alive(int(PID.search(started)[1]))
