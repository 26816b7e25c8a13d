"""Plant faults in the Python code, a random sample of all there are, and see which tests fail.

    python -m tools.mutants.python [--sample 100] [--seed 1] [--only REGEX] [--again] [--score]

cosmic-ray makes the faults: another operator, another number, a branch the other way, a decorator
or a statement less. Each is planted in a copy of the tree (build/mutants), then its tests run.
A survivor is a fault that no test of its folder noticed; equivalent.toml says of some why no test
can. --again plants only what survived last time, for tests that were written since. --score writes
python-score.json, from which docs/mutants.md is made. What was not planted keeps its score.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import random
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

os.environ["COVERAGE_CORE"] = ""

from cosmic_ray.commands.init import _all_work_items
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

from tools.mutants import tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SCORE = Path(__file__).with_name("python-score.json")
# Tests that ask every policy for something.
EVERY = (
    "tests/pipeline/test_pipeline.py tests/policies/test_wrong_names.py tests/project/test_face.py"
)
# Each folder's code, and the tests that have to notice a fault in it.
TESTS = {
    "policies/backoff": "tests/policies/backoff tests/policies/retry",
    "policies/breaker": f"tests/policies/breaker {EVERY}",
    "policies/bulkhead": f"tests/policies/bulkhead tests/waiting/test_rooms.py {EVERY}",
    "policies/fallback": f"tests/policies/fallback {EVERY}",
    "policies/latency_budget": f"tests/policies/latency_budget {EVERY}",
    "policies/slo_tracker": "tests/policies/slo_tracker",
    "policies/limiter": f"tests/policies/limiter tests/waiting/test_lines.py {EVERY}",
    "policies/pool": f"tests/policies/pool {EVERY}",
    "policies/retry": f"tests/policies/retry {EVERY}",
    "policies/timeout": f"tests/policies/timeout {EVERY}",
    "pipeline": "tests/pipeline tests/policies/test_wrong_names.py",
    "waiting": "tests/waiting tests/policies/limiter tests/policies/bulkhead tests/policies/pool "
    "tests/policies/fallback tests/policies/timeout/test_blocks.py "
    "tests/policies/timeout/test_nested.py tests/policies/timeout/test_loops.py "
    "tests/policies/breaker/test_nested.py tests/gate/test_streams.py tests/gate/test_late.py "
    "tests/runtimes/test_greenlets.py",
    "stores": "tests/stores tests/telemetry",
    "telemetry": "tests/telemetry tests/stores",
}
# What the operator `|` joins are types in annotations, which nothing runs.
UNSEEN = "ReplaceBinaryOperator_BitOr_"
# What only a type checker reads: with it, a module does the same and takes longer to import.
TYPING = "-if TYPE_CHECKING:"
QUICK = "not slow and not stress and not fuzz"


class Fault(NamedTuple):
    """One fault, and the file with and without it."""

    path: Path
    sound: str
    faulty: str
    shown: str


def faults_of(folder: str) -> list[Any]:
    """Return what cosmic-ray would change in a folder."""
    paths = sorted(Path("src/holdfast", folder).glob("[!_]*.py"))
    items = [item.mutations[0] for item in _all_work_items(paths, {})]
    return [item for item in items if UNSEEN not in item.operator_name]


def made(items: Iterable[Any]) -> Iterator[Fault]:
    """Make the faults, without those that only a type checker would see."""
    for item in items:
        sound = item.module_path.read_text()
        operator = get_operator(item.operator_name)(**item.operator_args)
        faulty = mutate_code(sound, operator, item.occurrence)
        if faulty is not None:
            diff = difflib.ndiff(sound.splitlines(), faulty.splitlines())
            changed = [line[0] + line[2:] for line in diff if line[0] in "-+"]
            if TYPING not in changed:
                yield Fault(
                    item.module_path, sound, faulty, f"{item.module_path}: {' '.join(changed)}"
                )


def survived_in(folder: str, shown: list[str]) -> list[Fault]:
    """Make the faults of a folder that are shown; one whose line has changed is no more."""
    touched = {line.split(":")[0] for line in shown}
    items = [item for item in faults_of(folder) if str(item.module_path) in touched]
    found = {fault.shown: fault for fault in made(items)}
    return [found[line] for line in shown if line in found]


def plant(faults: list[Fault], tests: str) -> tuple[Counter[str], list[str]]:
    """Plant faults one by one; return what became of them, and those that survived."""
    if not faults:
        return Counter(), []
    command = tree.pytest("-m", QUICK, *tests.split())
    seconds, trouble = tree.control(command)
    if trouble:
        print(f"void: without a fault: {trouble}", flush=True)
        return Counter(void=len(faults)), []
    survivors = []
    for fault in faults:
        fault.path.write_text(fault.faulty)
        try:
            survives, _ = tree.run(*command, seconds=seconds)
        finally:
            fault.path.write_text(fault.sound)
        print(f"{'survived' if survives else 'caught'}: {fault.shown}", flush=True)
        survivors += [fault.shown] * survives
    return Counter(caught=len(faults) - len(survivors), survived=len(survivors)), survivors


def main() -> int:
    """Plant a sample in each folder, and print a line for each fault and each folder."""
    parser = argparse.ArgumentParser(description="Plant random faults in the Python code.")
    parser.add_argument("--sample", type=int, default=100, help="how many faults in all (100)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (1)")
    parser.add_argument("--only", default="", help="the folders whose name matches this")
    parser.add_argument("--again", action="store_true", help="only what survived last time")
    parser.add_argument("--score", action="store_true", help="write python-score.json")
    arguments = parser.parse_args()
    tree.prepare()
    os.chdir(tree.COPY)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # a file may change twice within a second
    items = [(folder, item) for folder in TESTS for item in faults_of(folder)]
    chosen = random.Random(arguments.seed).sample(items, min(arguments.sample, len(items)))
    score = json.loads(SCORE.read_text())
    void = 0
    for folder, tests in TESTS.items():
        if not re.search(arguments.only, folder):
            continue
        before = score["folders"].get(folder, {"counts": {}, "survivors": []})
        if arguments.again:
            mine = survived_in(folder, before["survivors"])
        else:
            mine = list(made(item for place, item in chosen if place == folder))
        if not mine and not (arguments.again and before["survivors"]):
            continue
        row, survivors = plant(mine, tests)
        void += row["void"]
        if arguments.again:
            row["caught"] += before["counts"].get("caught", 0)
        print(f"{folder}: {dict(row)}", flush=True)
        score["folders"][folder] = {"counts": row, "survivors": survivors}
    score["of"] = len(items)
    if arguments.score:
        SCORE.write_text(json.dumps(score, indent=1) + "\n")
    return 1 if void else 0


if __name__ == "__main__":
    sys.exit(main())
