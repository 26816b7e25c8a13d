"""Plant faults in the Python code, a random sample of all there are, and see which tests fail.

    python tools/mutants/python.py [--sample 100] [--seed 1] [--only REGEX] [--score]

cosmic-ray makes the faults: another operator, another number, a branch the other way, a decorator
or a statement less. Each is planted in a copy of the tree (build/mutants), then its tests run.
A survivor is a fault that no test of its folder noticed. Some change nothing that can be seen.
--score writes python-score.json, from which docs/mutants.md is made.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ["COVERAGE_CORE"] = ""

from cosmic_ray.commands.init import _all_work_items
from cosmic_ray.mutating import mutate_and_test

from tools.mutants.native import COPY, copy_tree

SCORE = Path(__file__).with_name("python-score.json")
# Each folder's code, and the tests that have to notice a fault in it.
TESTS = {
    "policies/backoff": "tests/policies/backoff tests/policies/retry",
    "policies/breaker": "tests/policies/breaker",
    "policies/bulkhead": "tests/policies/bulkhead tests/waiting/test_rooms.py",
    "policies/fallback": "tests/policies/fallback",
    "policies/limiter": "tests/policies/limiter tests/waiting/test_lines.py",
    "policies/pool": "tests/policies/pool",
    "policies/retry": "tests/policies/retry",
    "policies/timeout": "tests/policies/timeout",
    "pipeline": "tests/pipeline",
    "waiting": "tests/waiting tests/policies tests/gate/test_streams.py tests/gate/test_late.py",
    "stores": "tests/stores tests/telemetry",
    "telemetry": "tests/telemetry tests/stores",
}
# What the operator `|` joins are types in annotations, which nothing runs.
UNSEEN = "ReplaceBinaryOperator_BitOr_"


def command(tests: str) -> str:
    """Return the command that runs these tests against the copy."""
    parts = (sys.executable, "-S", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider")
    return " ".join([*parts, "-m", "'not slow and not stress and not fuzz'", tests])


def prepare() -> None:
    """Bring the copy up to date, with the native modules of this environment."""
    copy_tree()
    installed = Path(next(path for path in sys.path if path.endswith("site-packages")))
    for module in (installed / "holdfast" / "_native").glob("*.so"):
        shutil.copy2(module, COPY / "src" / "holdfast" / "_native")
    # -S: without site there is no editable install, which would find the tree that is no copy.
    os.environ["PYTHONPATH"] = f"{COPY / 'src'}{os.pathsep}{installed}"
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.chdir(COPY)


def main() -> int:
    """Plant a sample in each folder, and print a line for each survivor and each folder."""
    parser = argparse.ArgumentParser(description="Plant random faults in the Python code.")
    parser.add_argument("--sample", type=int, default=100, help="how many faults (100)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (1)")
    parser.add_argument("--only", default="", help="the folders whose name matches this")
    parser.add_argument("--score", action="store_true", help="write python-score.json")
    arguments = parser.parse_args()
    prepare()
    folders = [folder for folder in TESTS if re.search(arguments.only, folder)]
    items = [
        (folder, item)
        for folder in folders
        for item in _all_work_items(sorted(Path("src/holdfast", folder).glob("[!_]*.py")), {})
        if UNSEEN not in item.mutations[0].operator_name
    ]
    chosen = random.Random(arguments.seed).sample(items, min(arguments.sample, len(items)))
    rows: dict[str, Counter[str]] = {folder: Counter() for folder in folders}
    survivors: list[str] = []
    for folder in folders:
        mine = [item for place, item in chosen if place == folder]
        run = command(TESTS[folder])
        if mine and subprocess.run(run, shell=True, capture_output=True, check=False).returncode:
            print(f"{folder}: its tests fail without a fault", flush=True)
            return 1
        for item in mine:
            result = mutate_and_test(item.mutations, run, 300)
            diff = result.diff or ""
            if result.test_outcome is None:
                continue
            rows[folder]["caught" if result.is_killed else "survived"] += 1
            if not result.is_killed:
                changed = [line for line in diff.splitlines() if re.match(r"[-+](?![-+])", line)]
                survivors.append(f"{item.mutations[0].module_path}: {' '.join(changed)}")
                print(f"survived: {survivors[-1]}", flush=True)
        print(f"{folder}: {dict(rows[folder])}", flush=True)
    total = sum(rows.values(), Counter())
    print(f"{total['caught']} of {total.total()} caught")
    if arguments.score:
        score = {"folders": rows, "of": len(items), "survivors": survivors}
        SCORE.write_text(json.dumps(score, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
