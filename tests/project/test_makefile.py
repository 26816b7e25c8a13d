"""The Makefile is the one entry point: it says what it offers, and does its own set-up."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()


def make(*arguments: str) -> str:
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
    )  # fmt: skip
    return done.stdout


@pytest.fixture(autouse=True)
def needs_make(require_real):
    if shutil.which("make") is None:
        require_real("there is no make on this machine")


def phony_targets() -> set[str]:
    [listed] = re.findall(r"^\.PHONY: ((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)
    return set(listed.replace("\\", " ").split())


def test_help_lists_every_target_and_comes_first():
    lines = make().splitlines()
    assert {line.split()[0] for line in lines} == phony_targets()
    assert lines[0].split()[0] == "help"


def test_every_target_of_the_project_is_there():
    assert phony_targets() >= {
        "run", "test", "test-all", "ctest", "tsan", "asan", "stress", "fuzz", "soak", "bench",
        "lint", "types", "wheel", "clean", "system-packages",
    }  # fmt: skip


def test_run_passes_its_seconds_on_to_the_demo_or_runs_until_it_is_stopped():
    assert re.search(r"holdfast demo --seconds 20\b", make("-n", "run", "SECONDS=20"))
    assert re.search(r"holdfast demo\s*$", make("-n", "run"), re.MULTILINE)


def test_soak_takes_ten_minutes_or_as_long_as_it_is_told():
    assert re.search(r"tools\.soak --seconds 600\b", make("-n", "soak"))
    assert re.search(r"tools\.soak --seconds 20\b", make("-n", "soak", "SECONDS=20"))


def test_bench_with_arguments_rewrites_nothing():
    assert "benchmarks.report" in make("-n", "bench")
    assert not re.search(r"-m benchmarks\.\w+", make("-n", "bench", "ARGS=-k breaker"))


def test_format_goes_on_after_what_ruff_cannot_mend():
    steps = [line for line in make("-n", "format").splitlines() if line.startswith(".venv/bin/")]
    assert [step.split()[0] for step in steps[-3:]] == [
        f".venv/bin/{tool}" for tool in ("clang-format", "ruff", "ruff")
    ]
    assert "--exit-zero" in steps[-2]


def test_fuzz_goes_on_for_ten_minutes_unless_told_otherwise(tmp_path):
    show = tmp_path / "show.mk"
    show.write_text("include Makefile\nfuzz:\n\t@echo seconds $$FUZZ_SECONDS\n")
    nothing_built = ("-o", ".venv/.built", "-o", ".venv/.has-test")
    told = [
        make("-s", "-f", str(show), *nothing_built, "fuzz", *more) for more in ([], ["SECONDS=7"])
    ]
    assert "seconds 600" in told[0]
    assert "seconds 7" in told[1]


def test_a_test_that_hangs_fails_alone_and_the_next_one_runs(tmp_path):
    hangs = tmp_path / "test_hangs.py"
    hangs.write_text(
        "from threading import Lock\n"
        "def test_hangs():\n    lock = Lock()\n    lock.acquire()\n    lock.acquire()\n"
        "def test_next():\n    pass\n"
    )
    command = make("-n", "pytest", "TEST_SECONDS=1").splitlines()[-1]
    command = command.replace(".venv/bin/python", sys.executable) + f" -p no:cacheprovider {hangs}"
    done = subprocess.run(
        command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "1 failed, 1 passed" in done.stdout
    assert "test_hangs.py:5" in done.stdout


def test_a_venv_that_could_not_be_finished_is_made_again_the_next_time(tmp_path):
    broken = tmp_path / "python-without-pip"
    broken.write_text('#!/bin/sh\nmkdir -p "$3/bin"\n: > "$3/bin/python"\nexit 1\n')
    broken.chmod(0o755)
    python = tmp_path / "venv" / "bin" / "python"
    with pytest.raises(subprocess.CalledProcessError):
        make(f"PYTHON={broken}", f"VENV={tmp_path / 'venv'}", str(python))
    assert python.parent.is_dir()
    assert not python.exists()


def test_what_has_no_wheel_without_the_gil_is_not_asked_for_by_the_build_before(tmp_path):
    steps = make("-n", "test-nogil", "PYTHON=python", f"NOGIL={tmp_path}")
    asked = re.findall(r"requirements\.py ([\w-]+)", steps)
    assert asked[:2] == ["test-nogil", "demo"]


def find_python(*version: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "tools" / "find-python", *version], capture_output=True, text=True, check=False
    )


def test_the_python_found_can_build_holdfast():
    python = find_python().stdout.strip()
    ask = "import sys, venv; print(sys.version_info >= (3, 11))"
    answer = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)
    assert answer.stdout == "True\n"


def test_a_python_that_is_not_there_is_not_found():
    done = find_python("3.99")
    assert (done.returncode, done.stdout) == (1, "")


def test_every_version_of_cpython_is_tested_that_the_classifiers_name():
    [versions] = re.findall(r"^VERSIONS := (.*)$", MAKEFILE, re.MULTILINE)
    named = re.findall(r"Python :: (3\.\d+)\"", (ROOT / "pyproject.toml").read_text())
    assert versions.split() == [*named, "3.14t"]


def test_continuous_integration_runs_the_versions_of_test_all():
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    [listed] = re.findall(r"^ *python: \[(.*)\]$", workflow, re.MULTILINE)
    [versions] = re.findall(r"^VERSIONS := (.*)$", MAKEFILE, re.MULTILINE)
    assert re.findall(r"[\w.]+", listed) == versions.split()


def interpreter(folder: Path, name: str, gil: bool) -> None:
    """An interpreter that says of itself that it is 3.99, with a GIL or without."""
    path = folder / name
    says = "import sys, sysconfig; sys.version_info = (3, 99); was = sysconfig.get_config_var; "
    says += (
        f"sysconfig.get_config_var = lambda name: {int(not gil)} if 'GIL' in name else was(name)"
    )
    path.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c \"{says}\nimport sys; sys.executable = '{path}'\n"
        'exec(sys.stdin.read())" "$2"\n'
    )
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("asked", "found"), [("3.99", "python3"), ("3.99t", "python3.99t"), ("", "python3")]
)
def test_a_python_without_the_gil_is_found_by_its_own_name_only(
    tmp_path, monkeypatch, asked, found
):
    for name in ("python", "python3.99", "python3.99t"):
        interpreter(tmp_path, name, gil=False)
    interpreter(tmp_path, "python3", gil=True)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_python(*filter(None, [asked])).stdout.strip() == str(tmp_path / found)
