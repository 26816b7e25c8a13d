"""The copy of the tree that faults are planted in, and the interpreter that runs its tests.

The copy is in build/mutants and has native modules of its own, built from its own sources. A
virtual environment finds the copy before what is installed. It has no editable install, so a
process that a test starts runs the copy too. The working tree is never touched.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COPY = ROOT / "build" / "mutants" / "tree"
NATIVE = COPY / "src" / "holdfast" / "_native"
BUILT = COPY / "build" / "native"
PLACE = ROOT / "build" / "mutants" / "venv"
PYTHON = PLACE / "bin" / "python"
SECONDS = 60  # that tests with a fault may always take
TIMES = 4  # as long as without a fault, they may take as well


def run(*command: str | Path, seconds: float = 600) -> tuple[bool, str]:
    """Run a command in the copy; return whether it succeeded, and what it printed."""
    running = subprocess.Popen(
        [str(part) for part in command],
        cwd=COPY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = running.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)  # with whatever the tests have started
        running.communicate()
        return False, f"more than {seconds:.0f} s"
    return running.returncode == 0, said


def copy_tree() -> None:
    """Bring the copy up to date; a file that did not change keeps its time, and is not rebuilt."""
    listing = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True
    )
    names = {name for name in listing.split("\0") if (ROOT / name).is_file()}
    for path in [
        *COPY.glob("csrc/**/*.[ch]"),
        *COPY.glob("src/**/*.p*"),
        *COPY.glob("tests/**/*.*"),
    ]:
        if path.is_file() and str(path.relative_to(COPY)) not in names:
            path.unlink()
    for name in names:
        source, target = ROOT / name, COPY / name
        if not target.exists() or source.read_bytes() != target.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def make_environment() -> None:
    """Make the environment that finds the copy first, and then the packages of this one."""
    if not PYTHON.exists():
        venv.create(PLACE, symlinks=True)
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    theirs = next(PLACE.glob("lib/python*/site-packages"))
    # The .pth files in `ours` are not read, so neither is the editable install.
    (theirs / "copy.pth").write_text(f"{COPY / 'src'}\n{ours}\n")


def build(*targets: str) -> tuple[bool, str]:
    """Build native modules in the copy, all by default; return whether that succeeded."""
    run("cmake", "-S", ".", "-B", BUILT, "-G", "Ninja", f"-DPython_EXECUTABLE={sys.executable}")
    chosen = ("--target", *targets) if targets else ()
    well, said = run("cmake", "--build", BUILT, *chosen, seconds=1800)
    for module in BUILT.glob("*.so"):
        shutil.copy2(module, NATIVE)
    return well, said


def prepare() -> None:
    """Bring copy, environment and native modules up to date; wait for another run to end first.

    Raises:
        RuntimeError: The tree does not build.
    """
    COPY.mkdir(parents=True, exist_ok=True)
    fcntl.flock(os.open(COPY, os.O_RDONLY), fcntl.LOCK_EX)  # held until the process ends
    copy_tree()
    make_environment()
    well, said = build()
    if not well:
        raise RuntimeError(said)


def pytest(*arguments: str) -> tuple[str, ...]:
    """Return the command that runs tests in Python against the copy."""
    return (str(PYTHON), "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *arguments)


def control(command: tuple[str, ...]) -> tuple[float, str]:
    """Run tests on the copy without a fault.

    Returns:
        The seconds that they may take with a fault, and what they said if they failed.
    """
    began = time.monotonic()
    well, said = run(*command)
    seconds = max(SECONDS, TIMES * (time.monotonic() - began))
    return seconds, "" if well else said[-500:] or "they failed"
