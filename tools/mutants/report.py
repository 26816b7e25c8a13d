"""Write docs/mutants.md from the scores of native.py and python.py."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "mutants.md"
HEAD = """# Mutants

A mutant is a fault that is planted in a copy of the code. A good test suite fails for it.
`make mutants` plants two kinds and writes this page; `SAMPLE=500` takes a larger sample.

"""


def table(rows: dict[str, Counter[str]], what: str) -> list[str]:
    """Return a table of what was caught, and its sum."""
    lines = [f"| {what} | planted | caught | survived |", "|---|---:|---:|---:|"]
    total: Counter[str] = sum(rows.values(), Counter())
    for name, row in [*sorted(rows.items()), ("**together**", total)]:
        lines.append(f"| {name} | {row.total()} | {row['caught']} | {row['survived']} |")
    return lines


def native(score: list[dict[str, Any]]) -> list[str]:
    """Return the part about the faults that were picked by hand."""
    rows: dict[str, Counter[str]] = {}
    for fault in score:
        folder = "memory orders" if fault["order"] else str(Path(fault["file"]).parent)
        rows.setdefault(folder, Counter())[fault["verdict"]] += 1
    lines = ["## Picked by hand, in C", ""]
    lines += ["`tools/mutants/native.toml` lists them, each with the tests that must fail.", ""]
    return lines + table(rows, "where")


def python(score: dict[str, Any]) -> list[str]:
    """Return the part about the random sample."""
    rows = {name: Counter(row) for name, row in score["folders"].items()}
    lines = ["", "## A random sample, in Python", ""]
    lines += [f"cosmic-ray makes {score['of']:,} faults in these folders; this is a sample.", ""]
    lines += [*table(rows, "folder"), "", "The survivors:", ""]
    return lines + [f"- `{line.replace('`', '')}`" for line in score["survivors"]]


def main() -> None:
    """Write the page."""
    lines = native(json.loads((HERE / "native-score.json").read_text()))
    lines += python(json.loads((HERE / "python-score.json").read_text()))
    PAGE.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
