"""Write docs/mutants.md from the scores of native.py and python.py."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "mutants.md"
HEAD = """# Mutants

A mutant is a fault that is planted in a copy of the code. A good test suite fails for it.
`make mutants` plants two kinds and writes this page; `SAMPLE=500` takes a larger sample.
Tests that fail without a fault prove nothing: the faults they should find are void.
Once there are tests for the survivors, `python -m tools.mutants.python --again --score` plants
those again, and `python -m tools.mutants.report` writes this page.
The score is then that of these faults alone: for an estimate of all, take another `--seed`.

"""
VERDICTS = ("caught", "equivalent", "survived", "void")


def table(rows: dict[str, Counter[str]], what: str) -> list[str]:
    """Return a table of what became of the faults, and its sum."""
    lines = [f"| {what} | planted | {' | '.join(VERDICTS)} |", "|---" + "|---:" * 5 + "|"]
    total: Counter[str] = sum(rows.values(), Counter())
    for name, row in [*sorted(rows.items()), ("**together**", total)]:
        counts = [row.total(), *(row[verdict] for verdict in VERDICTS)]
        lines.append(f"| {name} | {' | '.join(map(str, counts))} |")
    return lines


def native(score: list[dict[str, Any]]) -> list[str]:
    """Return the part about the faults that were picked by hand."""
    rows: dict[str, Counter[str]] = {}
    for fault in score:
        folder = "memory orders" if fault["order"] else str(Path(fault["file"]).parent)
        rows.setdefault(folder, Counter())[fault["verdict"]] += 1
    lines = ["## Picked by hand, in C and Cython", ""]
    lines += ["`tools/mutants/native.toml` lists them, each with the tests that must fail.", ""]
    return lines + table(rows, "where")


def python(score: dict[str, Any], equivalents: list[dict[str, str]]) -> list[str]:
    """Return the part about the random sample."""
    rows: dict[str, Counter[str]] = {}
    survivors, equivalent = [], []
    for folder, found in score["folders"].items():
        row = rows[folder] = Counter(found["counts"])
        for line in found["survivors"]:
            shown = f"- `{line.replace('`', '')}`"
            why = reason(line, equivalents)
            if why is None:
                survivors.append(shown)
            else:
                equivalent.append(f"{shown} {why}")
                row["survived"] -= 1
                row["equivalent"] += 1
    lines = ["", "## A random sample, in Python", ""]
    lines += [f"cosmic-ray makes {score['of']:,} faults in these folders; this is a sample.", ""]
    lines += [*table(rows, "folder"), "", "The survivors:", "", *(survivors or ["- none"]), ""]
    return [*lines, "Those that no test can tell from the code, and why:", "", *equivalent]


def reason(survivor: str, equivalents: list[dict[str, str]]) -> str | None:
    """Return why no test can tell this fault from the code; None: a test can."""
    for entry in equivalents:
        if survivor.startswith(f"{entry['file']}:") and entry["fault"] in survivor:
            return entry["why"]
    return None


def main() -> None:
    """Write the page."""
    equivalents = tomllib.loads((HERE / "equivalent.toml").read_text())["equivalent"]
    lines = native(json.loads((HERE / "native-score.json").read_text()))
    lines += python(json.loads((HERE / "python-score.json").read_text()), equivalents)
    PAGE.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
