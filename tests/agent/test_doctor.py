"""`holdfast doctor`: report the installation and its problems, in processes of their own."""

import json
import os
import subprocess
import sys
from types import ModuleType

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
    assert "wrong ELF class" in doctor._native().problem


def test_a_fork_that_is_not_told_of_is_a_problem(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "FORK", "print('a child holds what its parent does')")
    assert cli.main(["doctor"]) == 1
    assert "! a forked child failed: a child holds what its parent does" in capsys.readouterr().out


REQUIREMENTS = [
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


@pytest.fixture
def installed(monkeypatch):
    """Have only these libraries installed, in these versions."""

    def have(**versions):
        def version(name):
            if name not in versions:
                raise doctor.metadata.PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(doctor.metadata, "version", version)

    return have


def test_a_missing_extra_is_no_problem_and_its_command_is_shown(installed):
    installed()
    [agent] = [found for found in doctor._extras() if found.what == "extra agent"]
    assert agent == (
        "extra agent",
        (
            "not installed, without rich, pydantic, PyYAML, starlette, uvicorn: "
            "pip install 'holdfast[agent]'"
        ),
        "",
        "",
    )


def test_extras_for_work_on_holdfast_itself_are_not_shown():
    _, out = ask()
    assert not {"extra test", "extra dev", "extra bench", "extra compare"} & set(out.splitlines())
    shown = {line.split("  ")[0] for line in out.splitlines() if line.startswith("extra ")}
    assert shown == {"extra prometheus", "extra agent", "extra system", "extra demo"}


def test_httpcore_and_greenlet_are_told_of_where_they_are_installed(installed):
    installed()
    assert doctor._libraries() == []
    installed(httpcore="1.0.9")
    [httpcore] = doctor._libraries()
    assert "loses a connection of its pool" in httpcore.note
    assert not httpcore.problem


def test_a_greenlet_that_does_not_switch_context_variables_is_a_problem(installed, monkeypatch):
    installed(greenlet="0.4.16")
    old = ModuleType("greenlet")
    monkeypatch.setitem(sys.modules, "greenlet", old)
    [found] = doctor._libraries()
    assert "install greenlet 1.0 or later" in found.problem
    old.GREENLET_USE_CONTEXT_VARS = True
    monkeypatch.setattr(doctor, "find_spec", lambda name: name == "gevent" or None)
    [found] = doctor._libraries()
    assert not found.problem
    assert "a Timeout cannot interrupt a function" in found.note


def test_notes_are_told_and_are_no_problems(monkeypatch, capsys):
    note = doctor.Finding("httpcore", "1.0.9", note="what to know")
    monkeypatch.setattr(doctor, "examine", lambda: [note])
    assert cli.main(["doctor"]) == 0
    assert capsys.readouterr().out == "httpcore  1.0.9\n          · what to know\n\nall is well\n"
    assert cli.main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == ["what to know"]
