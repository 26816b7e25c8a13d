"""The documents in Markdown: their blocks, links, headings and tables."""

import inspect
import os
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import holdfast as hf

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)


class Page:
    """One document, by its path below the root."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path
        self.text = path.read_text()

    @cached_property
    def prose(self) -> str:
        """The text without its blocks of code."""
        return _BLOCK.sub("", self.text)

    def blocks(self, language: str) -> list[str]:
        return [hit[3] for hit in _BLOCK.finditer(self.text) if hit[2] == language]

    def program(self, language: str) -> str:
        """Return the blocks, each line at its place in the page, so that tracebacks name it."""
        lines = [""] * self.text.count("\n")
        for hit in _BLOCK.finditer(self.text):
            if hit[2] == language:
                first = self.text[: hit.start(3)].count("\n")
                block = hit[3].splitlines()
                lines[first : first + len(block)] = block
        return "\n".join(lines) + "\n"

    def languages(self) -> set[str]:
        return {hit[2] for hit in _BLOCK.finditer(self.text)}

    def anchors(self) -> set[str]:
        """Return what a link may have behind ``#``, as GitHub makes it from the headings."""
        found: set[str] = set()
        for heading in _HEADING.findall(self.prose):
            anchor = slug(heading)
            n = 1
            while (one := anchor if n == 1 else f"{anchor}-{n - 1}") in found:
                n += 1
            found.add(one)
        return found

    def targets(self) -> Iterator[tuple[str, str]]:
        """Yield the files that links lead to, by their path below the root, and the anchors."""
        root = self.path.parents[self.name.count("/")]
        for link in _LINK.findall(re.sub(r"`[^`\n]*`", "X", self.prose)):
            if re.match(r"[a-z]+:", link):
                continue
            file, _, anchor = link.partition("#")
            target = (self.path.parent / file).resolve() if file else self.path.resolve()
            yield os.path.relpath(target, root.resolve()), anchor

    def tables(self, *columns: str) -> list[tuple[str, list[list[str]]]]:
        """Return the tables whose first columns have these names: the heading above, and rows."""
        found = []
        heading, rows = "", None
        for line in self.prose.splitlines():
            if hit := _HEADING.match(line):
                heading = hit[1]
            if not line.startswith("|"):
                rows = None
                continue
            cells = [
                cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]
            ]
            if rows is not None:
                if set(line) - set("|-: "):
                    rows.append(cells)
            else:
                rows = []
                if tuple(cells[: len(columns)]) == columns:
                    found.append((heading, rows))
        return found


def all_pages() -> dict[str, Page]:
    paths = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
    names = {str(path.relative_to(ROOT)): path for path in paths}
    return {name: Page(name, path) for name, path in names.items()}


def slug(heading: str) -> str:
    """Return the anchor of a heading."""
    text = re.sub(r"\]\([^)]*\)", "]", heading).lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def broken_links(page: Page, there: dict[str, Page]) -> list[str]:
    broken = []
    root = page.path.parents[page.name.count("/")]
    for target, anchor in page.targets():
        is_missing = not (root / target).exists()
        if is_missing or (anchor and target in there and anchor not in there[target].anchors()):
            broken.append(f"{page.name}: {target}#{anchor}")
    return broken


def chapters() -> list[str]:
    """Return the letters with which identifiers of the specification begin."""
    text = (DOCS / "requirements.md").read_text()
    return sorted(set(re.findall(r"\b([A-Z]{2,5})-\d{2}\b", text)))


def named_in(heading: str) -> Any:
    """Return what the code in a heading names: a class or a method of holdfast."""
    found: Any = hf
    for part in re.search(r"`([\w.]+)`", heading)[1].split("."):
        found = getattr(found, part)
    return found


def check_default(what: str, cell: str, parameter: inspect.Parameter) -> None:
    """Fail unless the cell of a table shows the default of a parameter."""
    if parameter.default is parameter.empty:
        assert cell == "required", f"{what}: {cell}, but it has no default"
        return
    code = re.fullmatch(r"`([^`]+)`", cell)
    if code is None:  # in words: what has no value of its own
        assert cell != "required", what
        assert repr(parameter.default).startswith("<"), f"{what}: {parameter.default!r}"
        return
    assert eval(code[1], {**vars(hf)}) == parameter.default, f"{what}: {parameter.default!r}"
