"""Measure all rows in several processes; write benchmarks/results.md and the README's cost table.

Run from the project's root: ``python -m benchmarks.report``. Figures of this Python replace those
of an earlier run of the same version; those of other versions stay (benchmarks/results.json).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

from benchmarks import compare, contention, faces, footprint, growth, scrape
from holdfast.bench.rows import GIL, ROWS, clock_cost, partial_cost

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results.json"
MARKED = re.compile(r"(?<=<!-- costs:begin -->\n).*?(?=<!-- costs:end -->)", re.DOTALL)
MISSED = 1.5  # times its target: then notes.md says where the time goes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def measure(processes: int, rounds: int) -> dict[str, Any]:
    """Return everything there is to say of this interpreter."""
    least: dict[str, float] = {}
    for _ in range(processes):
        done = subprocess.run(
            [sys.executable, "-m", "holdfast.bench.measure", "--rounds", str(rounds)],
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        for case, ns in json.loads(done.stdout).items():
            least[case] = min(ns, least.get(case, ns))
    rows = [
        {
            "label": row.label,
            "ns": row.cost(least),
            "figure": row.figure(least),
            "unit": row.unit,
            "target": row.target,
            "essential": row.essential,
        }
        for row in ROWS
    ]
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, {platform.system()}",
        "processes": processes,
        "C": clock_cost(least),
        "P": partial_cost(least),
        "rows": rows,
        "threads": threads(contention.measure(2)),
        "import": footprint.import_ratio(),
        "scrape": scrape.measure(),
        "sizes": [
            {
                "label": label,
                "native": footprint.native_bytes(make()),
                "whole": footprint.whole_bytes(make),
                "most": most,
                "most_whole": footprint.WHOLE.get(label),
            }
            for label, make, most in footprint.SIZES
        ],
    }


def figure(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def threads(rates: contention.Rates) -> list[dict[str, Any]]:
    """Return the rows that are about threads; their figures are to be at least so much."""
    if GIL:
        return [
            {
                "label": "two threads through one breaker",
                "figure": rates.scaling(),
                "unit": "what they make of the bare function",
                "least": 0.9,
            }
        ]
    return [
        {"label": label, "figure": rates.gain(kind), "unit": "one thread", "least": least}
        for label, kind, least in (
            ("two threads through one breaker", "shared", 0.9),
            ("two threads, a breaker each", "separate", 1.8),
        )
    ]


def table(found: dict[str, Any], *, essential: bool = False) -> list[str]:
    """Return the cost table of one interpreter, in Markdown; all of it, or what is essential."""
    lines = ["| per call | ns | measured | target |", "|---|---:|---:|---:|"]
    for row in found["rows"]:
        if essential and not row.get("essential"):
            continue
        missed = " (missed)" if row["figure"] > row["target"] * 1.005 else ""
        lines.append(
            f"| {row['label']} | {row['ns']:.0f} | {figure(row['figure'])} {row['unit']}{missed} "
            f"| ≤ {row['target']:g} {row['unit']} |"
        )
    for row in found["threads"]:
        missed = "" if row["figure"] >= row["least"] else " (missed)"
        lines.append(
            f"| {row['label']} | – | {figure(row['figure'])} × {row['unit']}{missed} "
            f"| ≥ {row['least']} × |"
        )
    missed = "" if found["import"] <= 0.5 else " (missed)"
    lines.append(
        f"| `import holdfast` | – | {found['import']:.2f} × `import asyncio`{missed} | ≤ 0.5 × |"
    )
    lines += [
        f"| Prometheus scrape, {name}, of {scrape.OF[name]} | – | {us:.0f} µs each"
        f"{' (missed)' * (us > scrape.TARGETS[name])} | ≤ {scrape.TARGETS[name]} µs each |"
        for name, us in found.get("scrape", {}).items()
    ]
    lines += [
        f"| memory, {size['label']} | – | {size['native']} B native, {size['whole']:.0f} B "
        f"with all of Python's | ≤ {size['most']} B native{whole_target(size)} |"
        for size in found["sizes"][: 1 if essential else None]
    ]
    return lines


def whole_target(size: dict[str, Any]) -> str:
    most = size.get("most_whole")
    if most is None:
        return ""
    return f", {most} B with all of Python's" + " (missed)" * (size["whole"] > most)


def describe(version: str, found: dict[str, Any]) -> str:
    return (
        f"CPython {version}, {found['machine']}; C = {found['C']:.1f} ns, P = {found['P']:.1f} ns; "
        f"the minimum of {found['processes']} processes."
    )


def comparison() -> list[str]:
    """Return the pages of the comparison, in Markdown; none before it was made."""
    if not compare.RESULTS.exists():
        return []
    page = []
    for version, found in sorted(json.loads(compare.RESULTS.read_text()).items()):
        versions = ", ".join(f"{name} {which}" for name, which in found["versions"].items())
        page += [f"## Beside other libraries, CPython {version}", "", versions + ".", ""]
        page += ["| what | holdfast | others, the least first |", "|---|---:|---|"]
        page += [compared(one) for one in found["scenarios"].values()]
        page.append("")
    return page


def beside_originals() -> list[str]:
    """Return the table of the faces of other libraries, in Markdown; none before it was made."""
    if not faces.RESULTS.exists():
        return []
    page = []
    for version, found in sorted(json.loads(faces.RESULTS.read_text()).items()):
        page += [f"## Faces beside their originals, CPython {version}", ""]
        page += [*faces.table(found["speed"]), "", *faces.table_of_many(found["many"]), ""]
    return page


def growths() -> list[str]:
    """Return what ``benchmarks.growth`` has measured, in Markdown; none before it did."""
    if not growth.RESULTS.exists():
        return []
    everything = json.loads(growth.RESULTS.read_text(encoding="utf-8"))
    page = []
    for version, panels in sorted(everything.items()):
        page += [f"## Growth, CPython {version}", ""]
        if version == min(everything):
            page += [
                "<picture>",
                '  <source media="(prefers-color-scheme: dark)" srcset="growth-dark.svg">',
                '  <img alt="cost over number, as in the table" src="growth-light.svg">',
                "</picture>",
                "",
            ]
        page += [*growth.table(panels), ""]
    return page


def compared(one: dict[str, Any]) -> str:
    """Return one scenario as a row; what beats holdfast is printed bold."""
    figures = dict(sorted(one["figures"].items(), key=lambda item: item[1]))
    ours = figures.pop("holdfast")
    digits = 1 if one["unit"].startswith("×") else 0
    others = [
        f"{'**' * beats}{library} {value:,.{digits}f}{'**' * beats}"
        for library, value in figures.items()
        for beats in [value < ours * 0.95 and not library.startswith("bare")]
    ]
    others += [f"{library}: {why}" for library, why in one["left_out"].items()]
    return f"| {one['label']} | {ours:,.{digits}f} {one['unit']} | {', '.join(others)} |"


def write(everything: dict[str, Any]) -> None:
    """Write the results page, and the table of this interpreter into the README."""
    page = [
        "# Results",
        "",
        "Written by `make bench`. `README.md` in this folder explains how to read it.",
        "",
    ]
    for version, found in sorted(everything.items()):
        page += [f"## CPython {version}", "", describe(version, found), "", *table(found), ""]
        far = [row for row in found["rows"] if row["figure"] > MISSED * row["target"]]
        page += [f"More than {MISSED} × its target: {row['label']}." for row in far] + [""] * bool(
            far
        )
    page += [*growths(), *comparison(), *beside_originals()]
    notes = ROOT / "benchmarks" / "notes.md"
    if notes.exists():
        page.append(notes.read_text(encoding="utf-8").strip())
    (ROOT / "benchmarks" / "results.md").write_text(
        "\n".join(page).rstrip() + "\n", encoding="utf-8"
    )
    version = min(everything)
    readme = ROOT / "README.md"
    costs = table(everything[version], essential=True)
    shown = "\n".join([*costs, "", describe(version, everything[version]), ""])
    readme.write_text(
        MARKED.sub(lambda _: shown, readme.read_text(encoding="utf-8")), encoding="utf-8"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the rows of the cost table.")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=60)
    arguments = parser.parse_args()
    everything = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    version = ".".join(platform.python_version_tuple()[:2]) + ("" if GIL else "t")
    everything[version] = measure(arguments.processes, arguments.rounds)
    RESULTS.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    write(everything)
    print("\n".join(table(everything[version])))


if __name__ == "__main__":
    main()
