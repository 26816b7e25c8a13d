"""Measures the essential rows of the cost table in a few fresh processes, and shows them.

Imported by the ``bench`` command only.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from typing import TYPE_CHECKING, Any, TextIO

from holdfast.bench.rows import GIL, ROWS, clock_cost, partial_cost

if TYPE_CHECKING:
    from collections.abc import Mapping

    Least = Mapping[str, float]

__all__ = ["BenchError", "run_bench"]


class BenchError(RuntimeError):
    """A process that measures broke off."""


def run_bench(processes: int, rounds: int, as_json: bool, out: TextIO) -> None:
    """Measure, and write a table or JSON.

    Args:
        processes: How many, one after the other; the least of all counts.
        rounds: How often each case is timed in each.
        as_json: Whether JSON is wanted.
        out: Where to write.

    Raises:
        BenchError: A process broke off.
    """
    least: dict[str, float] = {}
    for _ in range(processes):
        for case, ns in _measure(rounds).items():
            least[case] = min(ns, least.get(case, ns))
    found = _found(least, processes, rounds)
    out.write(json.dumps(found, indent=1) + "\n" if as_json else _table(found))
    out.flush()


def _measure(rounds: int) -> dict[str, float]:
    command = [sys.executable, "-m", "holdfast.bench.measure", "--rounds", str(rounds)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["no output"]
        raise BenchError(f"a benchmark process failed: {said[-1]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _found(least: Least, processes: int, rounds: int) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "gil": GIL,
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, {platform.system()}",
        "processes": processes,
        "rounds": rounds,
        "clock_read_ns": clock_cost(least),
        "partial_ns": partial_cost(least),
        "rows": [
            {
                "label": row.label.replace("`", ""),
                "ns": row.cost(least),
                "measured": row.figure(least),
                "target": row.target,
                "unit": row.unit.replace("`", ""),
                "met": row.figure(least) <= row.target * 1.005,
            }
            for row in ROWS
            if row.essential
        ],
    }


def _table(found: dict[str, Any]) -> str:
    rows = found["rows"]
    width = max(len(row["label"]) for row in rows)
    lines = [
        (
            f"{found['implementation']} {found['python']}, GIL {'on' if found['gil'] else 'off'}, "
            f"{found['machine']}"
        ),
        (
            f"C, a clock read: {found['clock_read_ns']:.1f} ns; "
            f"P, what functools.partial adds: {found['partial_ns']:.1f} ns"
        ),
        f"the least of {found['processes']} processes; a busy machine shows more",
        "",
        f"{'per call, over the bare call':{width}}     ns   measured  target",
    ]
    lines += [
        f"{row['label']:{width}} {row['ns']:6.0f} {row['measured']:10.2f}  "
        f"{row['target']:6.2f} {row['unit']}{'' if row['met'] else '  missed'}"
        for row in rows
    ]
    return "\n".join(lines) + "\n"
