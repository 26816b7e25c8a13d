"""`holdfast bench`: the essential rows, measured on this machine. No figure makes a test fail."""

import json
import subprocess
import sys

import pytest

from holdfast.agent import cli
from holdfast.bench import run
from holdfast.bench.rows import ROWS

QUICK = ("bench", "--processes", "1", "--rounds", "1")


def test_it_shows_the_essential_rows_and_the_yardsticks():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "holdfast", *QUICK],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    for row in ROWS:
        assert (row.label.replace("`", "") in done.stdout) >= row.essential
    assert "C, a clock read: " in done.stdout
    assert "GIL o" in done.stdout


def test_for_programs_it_is_json(capsys):
    assert cli.main([*QUICK, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["processes"] == found["rounds"] == 1
    assert len(found["rows"]) == sum(row.essential for row in ROWS) > 8
    for row in found["rows"]:
        assert row["met"] == (row["measured"] <= row["target"] * 1.005)


def test_a_process_that_breaks_off_is_told_of(monkeypatch, capsys):
    monkeypatch.setattr(run.sys, "executable", "/bin/false")
    assert cli.main(list(QUICK)) == 1
    assert "a benchmark process failed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [("--processes", "0"), ("--processes", "101"), ("--rounds", "x"), ("--rounds", "-1")],
)
def test_a_number_that_is_none_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as raised:
        cli.main(["bench", *arguments])
    assert raised.value.code == 2
    assert f"got '{arguments[1]}', allowed: 1 to" in capsys.readouterr().err
