"""The soak finds what is left behind and what grows, and a short one ends well."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from tools.soak import census as counting
from tools.soak.census import Census, Memory, census, mark, settled
from tools.soak.handovers import reasons

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def marked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(counting.MARK, raising=False)
    monkeypatch.setenv(counting.MARK, mark())


def test_a_thread_that_is_left_is_found_by_its_name():
    before, ends = census(), threading.Event()
    thread = threading.Thread(target=ends.wait, name="left over")
    thread.start()
    assert "1 more thread: left over" in census().leaked_since(before)
    ends.set()
    thread.join()
    assert "left over" not in census().threads


def test_a_file_that_is_left_open_is_found(tmp_path: Path):
    before = census()
    with (tmp_path / "log").open("w"):
        assert census().leaked_since(before) == [f"1 more open file: {tmp_path / 'log'}"]
    assert census().leaked_since(before) == []


def test_a_process_that_is_left_is_found_though_its_parent_is_gone():
    before = census()
    # The shell ends at once: its child is a child of process 1, or of whoever takes orphans.
    left = ["sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"]
    pid = int(subprocess.run(left, check=True, stdout=subprocess.PIPE).stdout)
    try:
        leaked = census().leaked_since(before)
    finally:
        os.kill(pid, signal.SIGKILL)
    # The child may still be the shell that is to become it.
    found = [line for line in leaked if line.endswith(("sleep 600", "$!"))]
    assert [line.partition(":")[0] for line in found] == ["1 more process"]
    assert settled(before) == []


def test_more_of_a_kind_than_before_is_a_leak_and_less_is_none():
    many, few = Counter({"socket": 3}), Counter({"socket": 1})
    nothing: Counter[str] = Counter()
    before, after = Census(nothing, few, nothing), Census(nothing, many, nothing)
    assert after.leaked_since(before) == ["2 more open file: socket"]
    assert before.leaked_since(after) == []


def test_memory_that_grows_by_more_than_a_twentieth_is_wrong(monkeypatch: pytest.MonkeyPatch):
    now, size = [0.0], [100_000_000]
    monkeypatch.setattr(counting, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(counting, "resident", lambda: size[0])
    memory = Memory(seconds=100.0)
    memory.look()
    size[0] = 200_000_000  # while it warms up
    now[0] = 21.0
    memory.look()
    assert memory.judge() == []
    size[0] = 209_000_000
    assert memory.judge() == []
    size[0] = 211_000_000
    assert memory.judge() == ["memory has grown by 5.5%"]


def test_a_hand_over_that_went_wrong_is_told_with_what_it_was():
    error = ExceptionGroup(
        "unhandled", [AssertionError("two lead"), ExceptionGroup("in", [OSError("gone")])]
    )
    assert reasons(error) == ["AssertionError: two lead", "OSError: gone"]


def soak(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tools.soak", "--seed", "1", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=115,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_supervisor_that_is_harmed_for_seconds_leaves_nothing_behind():  # TS-03, TS-08
    out = soak("--part", "supervised", "--seconds", "2")
    assert "second instances: 0" in out
    assert "stopped, and left behind: nothing" in out
    assert out.endswith("soak: supervised good\n")


@pytest.mark.slow
@pytest.mark.parametrize("part", ["supervised", "cluster", "handovers"])
def test_a_soak_of_twenty_seconds_ends_well(part: str):  # TS-03
    assert f"soak: {part} good" in soak("--part", part, "--seconds", "20")
