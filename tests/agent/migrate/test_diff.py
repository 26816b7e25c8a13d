"""What `holdfast migrate --diff` prints is accepted by git and patch, and changes imports alone."""

import subprocess
from shutil import which

import pytest

from holdfast.agent.migrate.look import look_at
from holdfast.agent.migrate.patch import diff_of

APPLY = [("git", "apply", "--whitespace=nowarn"), ("patch", "-p1", "--silent")]


@pytest.fixture
def applied(tmp_path, require_real, monkeypatch):
    """Return a function that writes one file, applies its diff and returns what it is then."""
    if missing := {command[0] for command in APPLY if which(command[0]) is None}:
        require_real(f"not installed: {missing}")

    def apply(content, name="app.py"):
        after = set()
        for at, command in enumerate(APPLY):
            path = tmp_path / str(at) / name
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
            monkeypatch.chdir(tmp_path / str(at))
            patch = b"".join(look_at(".").patches)
            subprocess.run(command, input=patch, check=True, timeout=60)
            after.add(path.read_bytes())
        [one] = after
        return one

    return apply


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import tenacity", "import @tenacity as tenacity"),
        ("import tenacity as t", "import @tenacity as t"),
        ("import  tenacity   as  t ; x = 1", "import  @tenacity   as  t ; x = 1"),
        ("import os, tenacity, re  # why", "import os, @tenacity as tenacity, re  # why"),
        ("import tenacity.stop as s", "import @tenacity.stop as s"),
        ("import tenacity.stop", "import @tenacity as tenacity, @tenacity.stop"),
        ("import tenacity, tenacity.stop", "import @tenacity as tenacity, @tenacity.stop"),
        ("from tenacity import retry", "from @tenacity import retry"),
        ("from tenacity.stop import *", "from @tenacity.stop import *"),
        ("from  \\\n  tenacity \\\n import retry", "from  \\\n  @tenacity \\\n import retry"),
        (
            "from tenacity import (\n    retry,  # one\n    stop_any,\n)",
            "from @tenacity import (\n    retry,  # one\n    stop_any,\n)",
        ),
        ("def f():\n\timport limits; return 1", "def f():\n\timport @limits as limits; return 1"),
        ("é = 'ü'; from backoff import expo", "é = 'ü'; from @backoff import expo"),
        ("import_module(r'tenacity.stop')", "import_module(r'@tenacity.stop')"),
        ("mock.patch('''tenacity.nap''')", "mock.patch('''@tenacity.nap''')"),
    ],
)
def test_an_import_changes_and_nothing_else(project, before, after):
    around = "# tenacity\n{}\nx = 'tenacity'  # import tenacity\n"
    report = project(around.format(before))
    [patch] = report.patches
    lines = [one[1:] for one in patch.decode().splitlines()[3:] if one[0] in " +"]
    assert "\n".join(lines) in around.format(after.replace("@", "holdfast.compat."))
    after = project(around.format(after.replace("@", "holdfast.compat.")))
    assert after.uses == []


def test_what_is_changed_is_python_and_means_the_face(project, face):
    face("tenacity", retry=len)
    report = project(
        "import tenacity\nfrom tenacity import retry\nprint(tenacity.retry is retry)\n"
    )
    lines = [one[1:] for one in report.patches[0].decode().splitlines()[3:] if one[0] in " +"]
    names = {}
    exec("\n".join(lines[:2]), names)
    assert names["tenacity"].__name__ == "holdfast.compat.tenacity"
    assert names["retry"] is len


@pytest.mark.parametrize(
    "content",
    [
        b"import backoff\r\nx = 1\r\ny = 2\r\n",
        b"import backoff",
        b"x = 1\nimport backoff",
        b"\xef\xbb\xbfimport backoff\n",
        b"# coding: latin-1\nx = '\xe9'; import backoff\ny = '\xfc'\n",
        b"# -*- coding: utf-8 -*-\nx = '\xc3\xa9'; import backoff  # \xe2\x82\xac\n",
        b"import os\r\nimport backoff\n\nx = 1\r\n",
        b"x = '''\x0c\n'''\n\x0cimport backoff\n",
        b"\n" * 40 + b"import backoff\n" + b"\n" * 5 + b"from backoff import expo\n" + b"\n" * 40
        + b"import backoff as b",
    ],
)  # fmt: skip
def test_git_and_patch_apply_it_whatever_the_encoding_and_the_line_ends(applied, content):
    after = applied(content)
    expected = content.replace(b"from backoff", b"from holdfast.compat.backoff")
    expected = expected.replace(b"import backoff as b", b"import holdfast.compat.backoff as b")
    plain = b"import backoff"
    if not expected.endswith(b" as b"):
        expected = expected.replace(plain, b"import holdfast.compat.backoff as backoff")
    else:
        expected = expected.replace(plain, b"import holdfast.compat.backoff as backoff", 1)
    assert after == expected


@pytest.mark.parametrize(
    "name", ["a b.py", "ü/ö.py", 'say "x".py', "tab\there.py", "back\\slash.py"]
)
def test_git_and_patch_apply_it_whatever_the_file_is_called(applied, name):
    assert applied(b"import backoff\n", name) == b"import holdfast.compat.backoff as backoff\n"


def test_an_import_that_would_bind_a_name_of_the_file_is_left_to_somebody(project):
    report = project("holdfast = 1\nimport tenacity.stop\n")
    assert report.patches == []
    assert "`holdfast`" in report.uses[0].by_hand


def test_nothing_is_written(project, tmp_path):
    project("import tenacity\n")
    assert (tmp_path / "app.py").read_text() == "import tenacity\n"
    assert [one.name for one in tmp_path.iterdir()] == ["app.py"]


def test_far_changes_stand_apart_and_near_ones_together():
    old = [b"%d" % at for at in range(100)]
    new = [b"x" if at in {0, 7, 50, 99} else line for at, line in enumerate(old)]
    patch = diff_of("a", b"\n".join(old), b"\n".join(new))
    heads = [line for line in patch.splitlines() if line.startswith(b"@@")]
    assert heads == [b"@@ -1,11 +1,11 @@", b"@@ -48,7 +48,7 @@", b"@@ -97,4 +97,4 @@"]
    assert patch.endswith(b"\\ No newline at end of file\n")


def test_a_file_outside_the_current_folder_is_named_from_the_path(tmp_path, monkeypatch):
    inside, elsewhere = tmp_path / "project" / "pkg", tmp_path / "elsewhere"
    inside.mkdir(parents=True)
    elsewhere.mkdir()
    (inside / "a.py").write_text("import backoff\n")
    monkeypatch.chdir(elsewhere)
    assert look_at(str(tmp_path / "project")).patches[0].startswith(b"--- a/pkg/a.py\n")
    monkeypatch.chdir(tmp_path)
    assert look_at("project").patches[0].startswith(b"--- a/project/pkg/a.py\n")
