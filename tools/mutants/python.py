"""Plant faults in the Python code, a random sample of all there are, and see which tests fail.

    python -m tools.mutants.python [--sample 100] [--seed 1] [--only REGEX] [--score]

cosmic-ray makes the faults: another operator, another number, a branch the other way, a decorator
or a statement less. Each is planted in a copy of the tree (build/mutants), then its tests run.
A survivor is a fault that no test of its folder noticed; equivalent.toml says of some why no test
can. --score writes python-score.json, from which docs/mutants.md is made. With --only the score of
the other folders stays.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shlex
import sys
from collections import Counter
from pathlib import Path
from typing import Any

os.environ["COVERAGE_CORE"] = ""

from cosmic_ray.commands.init import _all_work_items
from cosmic_ray.mutating import mutate_and_test

from tools.mutants import tree

SCORE = Path(__file__).with_name("python-score.json")
# Tests that ask every policy for something.
EVERY = "tests/pipeline/test_pipeline.py tests/policies/test_wrong_names.py"
# Each folder's code, and the tests that have to notice a fault in it.
TESTS = {
    "policies/backoff": "tests/policies/backoff tests/policies/retry",
    "policies/breaker": f"tests/policies/breaker {EVERY}",
    "policies/bulkhead": f"tests/policies/bulkhead tests/waiting/test_rooms.py {EVERY}",
    "policies/fallback": f"tests/policies/fallback {EVERY}",
    "policies/limiter": f"tests/policies/limiter tests/waiting/test_lines.py {EVERY}",
    "policies/pool": f"tests/policies/pool {EVERY}",
    "policies/retry": f"tests/policies/retry {EVERY}",
    "policies/timeout": f"tests/policies/timeout {EVERY}",
    "pipeline": "tests/pipeline tests/policies/test_wrong_names.py",
    "waiting": "tests/waiting tests/policies/limiter tests/policies/bulkhead tests/policies/pool "
    "tests/policies/fallback tests/policies/breaker/test_nested.py tests/gate/test_streams.py "
    "tests/gate/test_late.py tests/runtimes/test_greenlets.py",
    "stores": "tests/stores tests/telemetry",
    "telemetry": "tests/telemetry tests/stores",
}
# What the operator `|` joins are types in annotations, which nothing runs.
UNSEEN = "ReplaceBinaryOperator_BitOr_"
# What only a type checker reads: with it, a module does the same and takes longer to import.
TYPING = "-if TYPE_CHECKING:"
QUICK = "not slow and not stress and not fuzz"


def plant(items: list[Any], tests: str) -> tuple[Counter[str], list[str]]:
    """Plant faults one by one; return how many were caught, and those that survived.

    Raises:
        RuntimeError: The tests fail without a fault.
    """
    command = tree.pytest("-m", QUICK, *tests.split())
    seconds, trouble = tree.control(command)
    if trouble:
        raise RuntimeError(f"without a fault: {trouble}")
    row: Counter[str] = Counter()
    survivors: list[str] = []
    for item in items:
        result = mutate_and_test(item.mutations, shlex.join(command), seconds)
        lines = (result.diff or "").splitlines()
        changed = [line for line in lines if re.match(r"[-+](?![-+])", line)]
        if result.test_outcome is None or TYPING in changed:
            continue
        row["caught" if result.is_killed else "survived"] += 1
        if not result.is_killed:
            survivors.append(f"{item.mutations[0].module_path}: {' '.join(changed)}")
            print(f"survived: {survivors[-1]}", flush=True)
    return row, survivors


def main() -> int:
    """Plant a sample in each folder, and print a line for each survivor and each folder."""
    parser = argparse.ArgumentParser(description="Plant random faults in the Python code.")
    parser.add_argument("--sample", type=int, default=100, help="how many faults in all (100)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (1)")
    parser.add_argument("--only", default="", help="the folders whose name matches this")
    parser.add_argument("--score", action="store_true", help="write python-score.json")
    arguments = parser.parse_args()
    tree.prepare()
    os.chdir(tree.COPY)
    items = [
        (folder, item)
        for folder in TESTS
        for item in _all_work_items(sorted(Path("src/holdfast", folder).glob("[!_]*.py")), {})
        if UNSEEN not in item.mutations[0].operator_name
    ]
    chosen = random.Random(arguments.seed).sample(items, min(arguments.sample, len(items)))
    score = json.loads(SCORE.read_text())
    void = 0
    for folder, tests in TESTS.items():
        mine = [item for place, item in chosen if place == folder]
        if not mine or not re.search(arguments.only, folder):
            continue
        try:
            row, survivors = plant(mine, tests)
        except RuntimeError as trouble:
            print(f"{folder}: void, its tests fail {trouble}", flush=True)
            void += 1
            row, survivors = Counter(void=len(mine)), []
        print(f"{folder}: {dict(row)}", flush=True)
        score["folders"][folder] = {"counts": row, "survivors": survivors}
    score["of"] = len(items)
    if arguments.score:
        SCORE.write_text(json.dumps(score, indent=1) + "\n")
    return 1 if void else 0


if __name__ == "__main__":
    sys.exit(main())
