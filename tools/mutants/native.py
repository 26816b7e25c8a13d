"""Plant the faults of native.toml in a copy of the tree, one by one, and see which tests fail.

    python -m tools.mutants.native [--only REGEX] [--score]

Each entry names a line of C, what stands there instead, why that is wrong, and the tests that must
fail: `ctest`, a regular expression over the programs of tests/c, or `pytest`, a selection of tests
in Python. Each selection runs once without a fault first.

    caught      a test failed, or took four times as long as without the fault, and over a minute
    survived    every test passed
    equivalent  every test passed, and the entry says why none can tell the fault from the code
    void        its tests fail without the fault, so they prove nothing
    broken      the tree does not build with the fault, or no test was found
    stale       the line is not in its file, or in one of several by a pattern, exactly once

Exits with 1 unless all are caught or equivalent.
--score writes the table to native-score.json.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tools.mutants import tree

if TYPE_CHECKING:
    from collections.abc import Callable

LIST = Path(__file__).with_name("native.toml")
SCORE = Path(__file__).with_name("native-score.json")
# By the command that runs them: how long tests may take with a fault, and why they prove nothing.
controls: dict[tuple[str, ...], tuple[float, str]] = {}


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


def place(mutant: Mutant, root: Path = tree.ROOT) -> Path | None:
    """Return the one file that holds the line, of those that the entry names; None: it is stale."""
    found = [path for path in root.glob(mutant.file) if mutant.before in path.read_text()]
    return found[0] if len(found) == 1 and found[0].read_text().count(mutant.before) == 1 else None


def ctest(mutant: Mutant) -> tuple[str, str]:
    """Build and run the C tests that must find the fault."""
    build = tree.COPY / "build" / f"ctest{mutant.sanitize}"
    options = ("-DHOLDFAST_WERROR=OFF", f"-DHOLDFAST_SANITIZE={mutant.sanitize}")
    tree.run("cmake", "-S", "tests/c", "-B", build, "-G", "Ninja", *options)
    named = tree.run("ctest", "--test-dir", build, "-N", "-R", mutant.ctest)[1]
    targets = re.findall(r"Test +#\d+: (\w+)", named)
    with_tests = ("ctest", "--test-dir", str(build), "-R", mutant.ctest, "--stop-on-failure")

    def built() -> str:
        well, said = tree.run("cmake", "--build", build, "--target", *targets)
        return "" if targets and well else said[-500:] or "no test"

    return judge(mutant, built, with_tests, r"\d+ - (\w+) \(\w+\)")


def pytest(mutant: Mutant) -> tuple[str, str]:
    """Build what holds C of ours, and run the tests in Python that must find the fault."""

    def built() -> str:
        well, said = tree.build("gate", "ledger", "reader")
        return "" if well else said[-500:]

    return judge(mutant, built, tree.pytest(*mutant.pytest.split()), r"FAILED \S+::(\w+)")


def judge(
    mutant: Mutant, build: Callable[[], str], tests: tuple[str, ...], failure: str
) -> tuple[str, str]:
    """Run the tests without the fault, the first time they are used, and then with it."""
    path = place(mutant, tree.COPY)
    if path is None:
        return "stale", f"not in {mutant.file} exactly once: {mutant.before}"
    if tests not in controls:
        trouble = build()
        controls[tests] = (0, trouble) if trouble else tree.control(tests)
    seconds, trouble = controls[tests]
    if trouble:
        return "void", trouble
    sound = path.read_text()
    path.write_text(sound.replace(mutant.before, mutant.after))
    try:
        trouble = build()
        if trouble:
            return "broken", trouble
        well, said = tree.run(*tests, seconds=seconds)
    finally:
        path.write_text(sound)
    if not well and re.search(r"no tests ran|^ERROR|INTERNALERROR", said, re.MULTILINE):
        return "broken", said[-500:]
    failed = ", ".join(re.findall(failure, said))
    return ("survived" if well else "caught"), failed or said[-200:]


def main() -> int:
    """Run the entries and print a line for each."""
    parser = argparse.ArgumentParser(description="Plant the faults of native.toml, one by one.")
    parser.add_argument("--only", default="", help="the entries whose name matches this")
    parser.add_argument("--score", action="store_true", help="write native-score.json")
    arguments = parser.parse_args()
    tree.prepare()
    rows: list[dict[str, str | bool]] = []
    failed = 0
    for mutant in mutants():
        if not re.search(arguments.only, mutant.name):
            continue
        began = time.monotonic()
        word, detail = pytest(mutant) if mutant.pytest else ctest(mutant)
        if word == "survived" and mutant.equivalent:
            word, detail = "equivalent", mutant.equivalent
        failed += word not in {"caught", "equivalent"}
        seconds = time.monotonic() - began
        print(f"{word:<10} {seconds:4.0f} s  {mutant.name}: {detail}", flush=True)
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
