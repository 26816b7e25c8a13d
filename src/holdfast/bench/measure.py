"""Measure in one fresh process and print the figures as JSON; ``report.py`` starts several.

Run as ``python -m holdfast.bench.measure``. Timings of one process are all a bit
fast or all a bit slow, by where its memory happens to lie: only the least of several says much.
"""

from __future__ import annotations

import argparse
import json

from holdfast.bench.cases import CASES
from holdfast.bench.timing import run_in_turn


def main() -> None:
    """Measure, and print nanoseconds by case."""
    parser = argparse.ArgumentParser(description="Time every case in this process.")
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    print(json.dumps(run_in_turn({name: make() for name, make in CASES.items()}, rounds)))


if __name__ == "__main__":
    main()
