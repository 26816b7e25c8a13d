"""Whatever lies in a code base, `holdfast migrate` says so and goes on."""

import os
import subprocess
import sys
import time

import pytest

from holdfast.agent.migrate import source
from holdfast.agent.migrate.look import look_at

GOOD = "import backoff\n"


def problems(report):
    return [(os.path.basename(one.file), one.line, one.reason) for one in report.problems]


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"import tenacity\nprint 'two'\n", 2, "no Python of this version"),
        (b"import tenacity\ndef f(:\n", 2, "no Python of this version"),
        (b"import tenacity\nx = '\x00'\n", None, "no Python"),
        (b"import tenacity\n" + b"(" * 5000, None, "no"),
        (b"import tenacity\nx = " + b"-" * 200_000 + b"1\n", None, "ne|no"),
        (b"import tenacity\nx = " + b"+".join([b"1"] * 200_000) + b"\n", None, "nested too deeply"),
        (b"# coding: no-such\nimport tenacity\n", 0, "its encoding"),
        (b"# coding: rot13\nimport tenacity\n", 0, "its encoding"),
        (b"import tenacity\nx = '\xff'\n", 0, "its encoding"),
        (b"# coding: utf-8\nx = '\xe9'\nimport tenacity\n", 0, "its encoding"),
    ],
)
def test_a_file_that_is_no_python_is_a_problem_and_the_rest_is_looked_at(
    project, content, line, reason
):
    report = project(GOOD, **{"bad.py": content, "z.py": GOOD})
    [(name, at, why)] = problems(report)
    assert name == "bad.py"
    assert line is None or at == line
    assert __import__("re").match(reason, why), why
    assert [os.path.basename(one.file) for one in report.uses if one.library == "backoff"] == [
        "app.py", "z.py"
    ]  # fmt: skip


def test_imports_in_a_file_that_cannot_be_parsed_are_for_somebody_to_change(project):
    report = project(
        "print 'two'\nimport tenacity\n  from limits.aio import storage\nx = 'import'\n"
    )
    assert [(one.line, one.name, one.change) for one in report.uses] == [
        (2, "tenacity", ""), (3, "limits.aio", "")
    ]  # fmt: skip
    assert report.patches == []


def test_deep_code_that_python_can_parse_is_looked_at(project):
    deep = "x = " + ".".join(["a"] * 1_500) + "\ny = " + " + ".join(["1"] * 1_500) + "\n"
    report = project(deep + "import tenacity\ntenacity.retry\n")
    assert ([one.line for one in report.uses], report.problems) == ([3, 4], [])


def test_names_that_stand_for_one_another_end(project):
    circle = "a = b\nb = a\na()\na.x\n"
    chain = "".join(f"v{at} = v{at + 1}\n" for at in range(5_000)) + "v0()\n"
    report = project("import tenacity\n" + circle, **{"chain.py": GOOD + chain})
    assert [one.line for one in report.uses if one.file.endswith("app.py")] == [1]
    assert [why for _, _, why in problems(report)] in (
        [], ["its names stand for one another too deeply"]
    )  # fmt: skip


def test_many_bindings_of_one_name_take_linear_time(project):
    text = GOOD + "x = f(x)\n" * 8_000
    began = time.perf_counter()
    assert len(project(text).uses) == 1
    assert time.perf_counter() - began < 10


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("requirements.txt", "tenacity\n"), ("app.py", "import backoff\n"),
        ("app.py", "import backoff; print 1\n"), ("app.ipynb", "import backoff\n"),
        ("app.py", "from x import (\n"),
    ],
)  # fmt: skip
def test_very_many_lines_take_linear_time(project, file, line):
    took = []
    for count in (2_000, 16_000):
        began = time.process_time()
        project(**{file: GOOD + line * count})
        took.append(time.process_time() - began)
    assert took[1] < 24 * took[0] + 0.5  # eight times as many


def test_a_file_of_another_encoding_that_cannot_be_written_back_is_no_diff(project):
    report = project(GOOD, **{"seven.py": b"# coding: utf-7\nimport tenacity\nx = '+AOk-+AOk-'\n"})
    assert problems(report) == [("seven.py", 0, "cannot be written in its encoding, utf-7")]
    assert len(report.patches) == 1


def test_symbolic_links_are_not_followed(project, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.py").write_text(GOOD)
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.py").write_text(GOOD)
    for name, target in {"loop": inside, "up": tmp_path, "out": outside}.items():
        (inside / name).symlink_to(target)
    (inside / "file.py").symlink_to(outside / "secret.py")
    (inside / "dangling.py").symlink_to("nowhere")
    report = look_at(str(inside))
    assert [os.path.basename(one.file) for one in report.uses] == ["a.py"]
    assert problems(report) == []


def test_pipes_and_devices_are_not_waited_for(project, tmp_path):
    os.mkfifo(tmp_path / "pipe.py")
    assert len(project(GOOD).uses) == 1
    report = look_at(str(tmp_path / "pipe.py"))
    assert problems(report) == [("pipe.py", 0, "not a regular file")]


def test_a_huge_file_is_a_problem(project, monkeypatch):
    monkeypatch.setattr(source, "MOST_BYTES", 1000)
    report = project(GOOD, **{"big.py": GOOD + "#" * 1000})
    assert problems(report) == [("big.py", 0, "larger than 1,000 bytes")]


def test_what_must_not_be_read_is_a_problem(project, tmp_path, monkeypatch):
    project(GOOD, **{"closed.py": GOOD, "folder/a.py": GOOD})
    closed = {str(tmp_path / "closed.py"), str(tmp_path / "folder")}

    def refusing(call):  # as root, whom no permission stops
        def refuse(path, *rest):
            if path in closed:
                raise PermissionError(13, "Permission denied")
            return call(path, *rest)

        return refuse

    monkeypatch.setattr(os, "open", refusing(os.open))
    monkeypatch.setattr(os, "scandir", refusing(os.scandir))
    report = look_at(str(tmp_path))
    assert problems(report) == [
        ("closed.py", 0, "Permission denied"), ("folder", 0, "Permission denied")
    ]  # fmt: skip
    assert len(report.uses) == 1


def test_environments_caches_and_installed_packages_are_left_out(project):
    names = ["venv/lib/a.py", "node_modules/a.py", ".git/a.py", "x/site-packages/a.py", ".tox/a.py"]
    report = project("", **{"venv/pyvenv.cfg": "home = x", **dict.fromkeys(names, GOOD)})
    assert report.uses == []


def test_programs_without_an_ending_are_looked_at_by_their_first_line(project):
    report = project(
        "", **{"bin/run": "#!/usr/bin/env python3\n" + GOOD, "bin/shell": "#!/bin/sh\n" + GOOD}
    )
    assert [os.path.basename(one.file) for one in report.uses] == ["run"]


def test_a_notebook_is_for_somebody_to_change(project):
    cell = '{"cells": [{"source": [\n    "import tenacity\\n",\n    "x = 1"]}]}\n'
    [use] = project("", **{"one.ipynb": cell}).uses
    assert (use.line, use.name, use.change) == (2, "tenacity", "")
    assert "no file of Python" in use.by_hand


def test_the_code_that_is_looked_at_is_not_run(tmp_path):
    boom = "raise SystemExit('run')\n"
    for name in ("tokenize", "difflib", "tomllib", "tenacity", "limits", "conftest", "setup"):
        (tmp_path / f"{name}.py").write_text(boom)
    (tmp_path / "app.py").write_text("import backoff\nimport tomllib\n")
    for where in (".", str(tmp_path)):
        done = subprocess.run(
            [sys.executable, "-m", "holdfast", "migrate", where],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert "holdfast.compat.backoff" in done.stdout
    assert not [*tmp_path.rglob("__pycache__")]


def test_control_characters_of_a_name_do_not_reach_the_terminal(tmp_path, capsys):
    from holdfast.agent import cli

    (tmp_path / "a\x1b[31m\n.py").write_text(GOOD)
    (tmp_path / os.fsdecode(b"b\xff.py")).write_text(GOOD)
    assert cli.main(["migrate", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert r"a\x1b[31m\n.py:1:8" in told
    assert r"b\xff.py:1:8" in told
