"""Plant the faults of native.toml in a copy of the tree, one by one, and see which tests fail.

    python tools/mutants/native.py [--only REGEX] [--score]

Each entry names a line of C, what stands there instead, why that is wrong, and the tests that must
fail: `ctest`, a regular expression over the programs of tests/c, or `pytest`, a selection of tests
in Python. The copy is in build/mutants, so the working tree is never touched.

    caught      a test failed, or ran into its time limit
    survived    every test passed; an entry with `equivalent` says why no test can tell
    broken      the tree does not build with the fault, or no test was found
    stale       the line is not in its file, or in one of several by a pattern, exactly once

Exits with 1 for a survivor that is not equivalent, and for what is broken or stale.
--score writes the table to native-score.json.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("native.toml")
SCORE = Path(__file__).with_name("native-score.json")
COPY = ROOT / "build" / "mutants" / "tree"
CTEST = COPY / "build" / "ctest"
GATE = COPY / "build" / "gate"
SECONDS = 60


class Mutant(NamedTuple):
    """One planted fault."""

    name: str
    file: str
    before: str
    after: str
    why: str
    ctest: str = ""
    pytest: str = ""
    order: bool = False  # a weakened memory order
    sanitize: str = ""  # the C tests are built with this sanitizer
    equivalent: str = ""


def mutants() -> list[Mutant]:
    """Return the entries of native.toml, in their order."""
    return [Mutant(**entry) for entry in tomllib.loads(LIST.read_text())["mutant"]]


def place(mutant: Mutant, root: Path = ROOT) -> Path | None:
    """Return the one file that holds the line, of those that the entry names; None: it is stale."""
    found = [path for path in root.glob(mutant.file) if mutant.before in path.read_text()]
    return found[0] if len(found) == 1 and found[0].read_text().count(mutant.before) == 1 else None


def run(*command: str | Path, seconds: int = 600, **environment: str) -> tuple[bool, str]:
    """Run a command in the copy; whether it succeeded, and what it printed."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=COPY,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, f"more than {seconds} s"
    return done.returncode == 0, done.stdout + done.stderr


def copy_tree() -> None:
    """Bring the copy up to date; a file that did not change keeps its time, and is not rebuilt."""
    listing = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
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


def ctest(mutant: Mutant) -> tuple[str, str]:
    """Build and run the C tests that must find the fault."""
    build = CTEST.with_name(f"ctest{mutant.sanitize}")
    options = ("-DHOLDFAST_WERROR=OFF", f"-DHOLDFAST_SANITIZE={mutant.sanitize}")
    run("cmake", "-S", "tests/c", "-B", build, "-G", "Ninja", *options)
    named = run("ctest", "--test-dir", build, "-N", "-R", mutant.ctest)[1]
    targets = re.findall(r"Test +#\d+: (\w+)", named)
    built, said = run("cmake", "--build", build, "--target", *targets)
    if not targets or not built:
        return "broken", said[-500:]
    limits = ("--timeout", str(SECONDS), "--stop-on-failure")
    well, said = run("ctest", "--test-dir", build, "-R", mutant.ctest, *limits)
    failed = re.findall(r"\d+ - (\w+) \(\w+\)", said)
    return ("survived" if well else "caught"), ", ".join(failed)


def pytest(mutant: Mutant) -> tuple[str, str]:
    """Build the gate, and run the tests in Python that must find the fault."""
    native = Path("src", "holdfast", "_native")
    installed = Path(next(p for p in sys.path if p.endswith("site-packages")))
    for module in (installed / "holdfast" / "_native").glob("*.so"):
        if not module.name.startswith("gate."):
            shutil.copy2(module, COPY / native)
    run("cmake", "-S", ".", "-B", GATE, "-G", "Ninja", f"-DPython_EXECUTABLE={sys.executable}")
    built, said = run("cmake", "--build", GATE, "--target", "gate")
    if not built:
        return "broken", said[-500:]
    shutil.copy2(next(GATE.glob("gate.*.so")), COPY / native)
    # -S: without site there is no editable install, which would find the tree that is no copy.
    python = (sys.executable, "-S", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider")
    path = f"{COPY / 'src'}{os.pathsep}{installed}"
    well, said = run(*python, *mutant.pytest.split(), seconds=SECONDS, PYTHONPATH=path)
    if not well and re.search(r"no tests ran|ERROR|INTERNALERROR", said):
        return "broken", said[-500:]
    failed = re.findall(r"FAILED \S+::(\w+)", said)
    return ("survived" if well else "caught"), ", ".join(failed) or said[-200:]


def verdict(mutant: Mutant) -> tuple[str, str]:
    """Plant one fault in the copy, and say what became of it."""
    path = place(mutant, COPY)
    if path is None:
        return "stale", f"not in {mutant.file} exactly once: {mutant.before}"
    sound = path.read_text()
    path.write_text(sound.replace(mutant.before, mutant.after))
    try:
        return pytest(mutant) if mutant.pytest else ctest(mutant)
    finally:
        path.write_text(sound)


def main() -> int:
    """Run the entries and print a line for each."""
    parser = argparse.ArgumentParser(description="Plant the faults of native.toml, one by one.")
    parser.add_argument("--only", default="", help="the entries whose name matches this")
    parser.add_argument("--score", action="store_true", help="write native-score.json")
    arguments = parser.parse_args()
    copy_tree()
    rows: list[dict[str, str | bool]] = []
    failed = 0
    for mutant in mutants():
        if not re.search(arguments.only, mutant.name):
            continue
        began = time.monotonic()
        word, detail = verdict(mutant)
        failed += word in {"broken", "stale"} or (word == "survived" and not mutant.equivalent)
        seconds = time.monotonic() - began
        print(
            f"{word:<9}{seconds:4.0f} s  {mutant.name}: {mutant.equivalent or detail}", flush=True
        )
        rows.append(
            {"name": mutant.name, "file": mutant.file, "order": mutant.order, "verdict": word}
        )
    caught = sum(row["verdict"] == "caught" for row in rows)
    print(f"{caught} of {len(rows)} caught")
    if arguments.score:
        SCORE.write_text(json.dumps(rows, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
