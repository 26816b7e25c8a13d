"""`holdfast doctor`: report the installation and its problems, in processes of their own."""

import json
import os
import subprocess
import sys

import pytest

import holdfast
from holdfast._native import gate
from holdfast.agent import cli, doctor


def ask(*arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "holdfast", "doctor", *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, done.stdout


def told(**environment):
    code, out = ask("--json", **environment)
    found = json.loads(out)
    assert code == (1 if found["problems"] else 0)
    return found


def test_a_healthy_installation_has_no_problems():
    code, out = ask()
    assert code == 0
    assert out.endswith("all is well\n")
    for word in ("version", "native core", "GIL", "SQLite", "extra agent", "fork hooks"):
        assert word in out
    assert "a forked child holds nothing of its parent's" in out


def test_for_programs_it_is_json():
    found = told()
    assert found["problems"] == []
    assert found["version"].startswith(holdfast.__version__)
    assert found["HOLDFAST_MODE"] == "enforce"
    assert ("with LTO" in found["native core"]) == gate.LTO


def test_a_mode_that_is_none_is_a_problem():
    found = told(HOLDFAST_MODE="nonsense")
    [problem] = found["problems"]
    assert "HOLDFAST_MODE: got 'nonsense', allowed one of" in problem
    assert told(HOLDFAST_MODE="observe")["HOLDFAST_MODE"] == "observe"


def test_a_directory_that_cannot_be_shared_is_a_problem(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    for path in ("file", "file/below", "open"):
        [problem] = told(HOLDFAST_DIR=str(tmp_path / path))["problems"]
        assert f"HOLDFAST_DIR: got {str(tmp_path / path)!r}, allowed a directory" in problem


def test_a_directory_is_described_and_not_made(tmp_path):
    path = tmp_path / "shared"
    assert told(HOLDFAST_DIR=str(path))["HOLDFAST_DIR"] == f"{path}, which will be made"
    assert not path.exists()
    path.mkdir(mode=0o700)
    (path / "worker-1-x").touch()
    assert told(HOLDFAST_DIR=str(path))["HOLDFAST_DIR"].endswith("(mode 0700), 1 files of workers")


def test_a_module_that_does_not_load_is_a_problem(monkeypatch):
    def broken(name):
        raise ImportError(f"{name}: wrong ELF class")

    monkeypatch.setattr(doctor, "import_module", broken)
    assert "wrong ELF class" in doctor._native()[2]


def test_a_fork_that_is_not_told_of_is_a_problem(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "FORK", "print('a child holds what its parent does')")
    assert cli.main(["doctor"]) == 1
    assert "! a forked child failed: a child holds what its parent does" in capsys.readouterr().out


REQUIREMENTS = [
    "prometheus-client>=0.20",
    "rich>=13 ; extra == 'agent'",
    'surely-not-there[x]>=1; extra == "other"',
    "holdfast[agent,other] ; extra == 'all'",
]


@pytest.mark.parametrize(
    ("extra", "missing"),
    [("agent", []), ("other", ["surely-not-there"]), ("all", ["surely-not-there"]), ("none", [])],
)
def test_an_extra_is_what_it_brings(extra, missing):
    assert doctor._missing(REQUIREMENTS, extra) == missing


def test_a_missing_extra_is_no_problem(monkeypatch):
    def version(name):
        raise doctor.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    assert ("extra agent", "without rich", "") in doctor._extras()
