"""`holdfast migrate PATH [--diff | --json]`: what it prints, and its exit codes."""  # RT-18

import json
import os
import subprocess
import sys

import pytest

from holdfast.agent import cli

CODE = """\
import pybreaker

b = pybreaker.CircuitBreaker(exclude=[OSError])
c = pybreaker.CircuitBreaker(exclude=[OSError])
"""


class CircuitBreaker:
    def __init__(self, fail_max=5, exclude=None): ...


@pytest.fixture
def code(tmp_path, monkeypatch, face):
    face("pybreaker", [(("CircuitBreaker.exclude",), "Exclusions count neither way."),
                       ((), "Probes expire.")],
         CircuitBreaker=CircuitBreaker)  # fmt: skip
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "client.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("code")
def test_each_use_has_its_file_line_and_column_its_change_and_what_differs(capsys):
    assert cli.main(["migrate", "."]) == cli.EXIT_DONE
    assert (
        capsys.readouterr().out
        == """\
app/client.py:1:8: import pybreaker
    becomes  import holdfast.compat.pybreaker as pybreaker
app/client.py:3:5: pybreaker.CircuitBreaker
    differs  Exclusions count neither way.
app/client.py:4:5: pybreaker.CircuitBreaker
    differs  as in line 3

pybreaker: 3 uses in 1 file, 1 change; the face is that of version 1.4.1
    differs  Probes expire.
1 file looked at
"""
    )


def test_what_was_told_of_a_line_is_told_once_however_much_it_is(tmp_path, face, capsys):
    face("pybreaker", [(("CircuitBreaker",), "Late results are dropped."),
                       (("CircuitBreaker",), "Calls run side by side.")],
         CircuitBreaker=CircuitBreaker)  # fmt: skip
    (tmp_path / "app.py").write_text(
        "from pybreaker import CircuitBreaker as B\na, b = B(), B()\nc = B()\n"
    )
    assert cli.main(["migrate", str(tmp_path)]) == cli.EXIT_DONE
    told = [line.split("differs  ") for line in capsys.readouterr().out.split("\n")]
    assert [line[1] for line in told if len(line) == 2] == [
        *("Late results are dropped.", "Calls run side by side."),
        *["as in line 2"] * 2,
    ]


@pytest.mark.usefixtures("code")
def test_for_programs_it_is_json(capsys):
    assert cli.main(["migrate", "app", "--json"]) == cli.EXIT_DONE
    found = json.loads(capsys.readouterr().out)
    assert found["libraries"]["pybreaker"] == {
        "uses": 3,
        "face": "holdfast.compat.pybreaker",
        "version": "1.4.1",
        "differs": ["Probes expire."],
    }
    assert [(use["file"], use["line"], use["differs"]) for use in found["uses"]][1:] == [
        ("app/client.py", 3, ["Exclusions count neither way."]),
        ("app/client.py", 4, ["Exclusions count neither way."]),
    ]
    assert (found["files"], found["problems"], found["own"]) == (1, [], {})


def test_a_diff_is_alone_on_standard_output_and_the_rest_on_standard_error(code, capfdbinary):
    (code / "app" / "old.py").write_text("import limits\nprint 'two'\n")
    (code / "app" / "other.py").write_text("x = __import__('backoff')\n")
    assert cli.main(["migrate", ".", "--diff"]) == cli.EXIT_BROKE
    out, err = capfdbinary.readouterr()
    assert out.startswith(b"--- a/app/client.py\n+++ b/app/client.py\n@@ -1,4 +1,4 @@\n-import")
    assert out.count(b"\n") == 8
    assert b"app/old.py:2: problem: no Python of this version" in err
    assert b"app/old.py:1: limits: change it by hand" in err
    assert b"app/other.py:1: 'backoff': change it by hand" in err


@pytest.mark.usefixtures("code")
def test_what_could_not_be_looked_at_is_an_exit_code(code, capsys):
    (code / "bad.py").write_text("import limits\nprint 'two'\n")
    assert cli.main(["migrate", "."]) == cli.EXIT_BROKE
    out = capsys.readouterr().out
    assert "bad.py:2: problem: no Python of this version" in out
    assert out.endswith("2 files looked at, 1 problem\n")


def test_a_path_that_is_not_there_is_refused(capsys):
    assert cli.main(["migrate", "/no/such"]) == cli.EXIT_CANNOT_START
    assert (
        capsys.readouterr().err == "holdfast: PATH: got '/no/such', allowed: a file or a folder\n"
    )


def test_diff_and_json_exclude_each_other(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["migrate", ".", "--diff", "--json"])
    assert left.value.code == cli.EXIT_CANNOT_START
    assert "not allowed with argument --diff" in capsys.readouterr().err


def test_code_without_a_use_says_so(tmp_path, capsys):
    (tmp_path / "a.py").write_text("import os\n")
    assert cli.main(["migrate", str(tmp_path)]) == cli.EXIT_DONE
    assert capsys.readouterr().out.startswith("no use of aiobreaker, aiolimiter, backoff, ")


def test_a_module_of_the_project_is_told(tmp_path, capsys):
    (tmp_path / "limits.py").write_text("")
    (tmp_path / "a.py").write_text("import limits\n")
    assert cli.main(["migrate", str(tmp_path)]) == cli.EXIT_DONE
    assert "limits: a module of the project in 1 file, left alone" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--diff",)])
def test_a_terminal_of_ascii_and_a_reader_that_leaves_are_no_trouble(tmp_path, arguments):
    (tmp_path / "ä.py").write_text("import backoff  # ö\n" * 1500)
    command = [sys.executable, "-m", "holdfast", "migrate", str(tmp_path), *arguments]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        command, capture_output=True, check=False, timeout=60, env=environment
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as running:
        assert running.stdout.read(10)
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(60) in {0, 1}  # a pipe may have taken all before its reader left


def test_the_path_of_imports_is_as_it_was(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = sys.path[:]
    cli.main(["migrate", "."])
    assert sys.path == before
