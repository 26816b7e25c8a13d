"""Write docs/requirements.md and docs/traps.md: each item of the specification and its tests.

Items and what they ask stand in tools/specification/*.toml, which of them must be cited in
parts.toml beside them. A test cites what it is to prove in a comment, in Python and in C alike:

    def test_a_late_success_does_not_close_the_breaker(clock):  # CB-06, trap 2

A citation belongs to the test whose lines, or the comment lines right above them, hold it;
one outside all tests to its file.

    python tools/citations.py           write the documents
    python tools/citations.py --check   fail when they are out of date, when an item that must be
                                        cited is not, or when a citation names no item
"""

import argparse
import ast
import io
import re
import sys
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

ITEM = re.compile(
    r"\b(?:D-[A-Z]+-\d+|(?:[A-Z]{2}|GEN)-\d{2})\b|\btraps? \d+(?:(?:, | and )\d+\b(?!-))*"
)
C_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
C_TEST = re.compile(r"^HF_TEST\((\w+)\)", re.MULTILINE)
LISTED = 4


class Test(NamedTuple):
    """Where a citation stands: a file under the project's root, and a test in it or ''."""

    path: str
    name: str

    def link(self) -> str:
        """Return a Markdown link that reads as the sentence the test's name is."""
        sentence = self.name.removeprefix("test_").replace("_", " ") or Path(self.path).name
        return f"[{sentence}](../{self.path})"


class Span(NamedTuple):
    """The lines of one test, first and last included."""

    first: int
    last: int
    name: str


Sections = dict[str, dict[str, str]]
Citations = dict[str, list[Test]]
Partly = dict[str, str]


def items_in(text: str) -> Iterator[str]:
    """Yield the items a comment cites; ``traps 3, 4`` are two, ``EV-01..03`` are three."""
    for match in ITEM.finditer(text):
        if match[0].startswith("trap"):
            yield from (f"trap {number}" for number in re.findall(r"\d+", match[0]))
        else:
            last = re.match(r"\.\.\d+\b", text[match.end() :])
            yield from spelled(match[0] + (last[0] if last else ""))


def spelled(entry: str) -> list[str]:
    """Return the items of an entry, which may be a range like ``CB-01..10``."""
    head, _, last = entry.partition("..")
    parts = re.fullmatch(r"(.*?)(\d+)", head)
    assert parts is not None, entry
    stem, first = parts.groups()
    return [f"{stem}{number:0{len(first)}}" for number in range(int(first), int(last or first) + 1)]


def python_comments(text: str) -> Iterator[tuple[int, str]]:
    """Yield line number and text of each comment of a Python file."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def python_tests(text: str) -> list[Span]:
    """Return the test functions of a Python file, and the state machines that hypothesis runs."""
    spans = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            is_test = node.name.startswith("test_")
            if is_test or (isinstance(node, ast.ClassDef) and node.name.startswith("Test")):
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                spans.append(Span(first, node.end_lineno or first, node.name))
    return spans


def c_comments(text: str) -> Iterator[tuple[int, str]]:
    """Yield line number and text of each line of a comment of a C file."""
    for match in C_COMMENT.finditer(text):
        first = text.count("\n", 0, match.start()) + 1
        yield from enumerate(match[0].split("\n"), first)


def c_tests(text: str) -> list[Span]:
    """Return the tests of a C file; each ends with the brace that starts a line."""
    spans = []
    for match in C_TEST.finditer(text):
        first = text.count("\n", 0, match.start()) + 1
        end = text.find("\n}", match.end())
        spans.append(Span(first, text.count("\n", 0, end) + 2, match[1]))
    return spans


def owner(line: int, spans: list[Span], comment_lines: set[int]) -> str:
    """Return the name of the innermost test that holds ``line``, or stands right below it."""
    while line in comment_lines and not any(s.first <= line <= s.last for s in spans):
        line += 1
    holding = [span for span in spans if span.first <= line <= span.last]
    return max(holding).name if holding else ""


def citations(root: Path) -> Citations:
    """Return the tests that cite each item, in the order of the files."""
    found: Citations = {}
    readers = {".py": (python_comments, python_tests), ".c": (c_comments, c_tests)}
    for path in sorted((root / "tests").rglob("*")):
        if path.suffix not in readers:
            continue
        text = path.read_text(encoding="utf-8")
        comments, tests = readers[path.suffix]
        lines, spans = list(comments(text)), tests(text)
        alone = {number for number, comment in lines if is_alone(text, number)}
        for number, comment in lines:
            test = Test(path.relative_to(root).as_posix(), owner(number, spans, alone))
            for item in items_in(comment):
                if test not in found.setdefault(item, []):
                    found[item].append(test)
    return found


def is_alone(text: str, number: int) -> bool:
    """Tell whether a line holds nothing but its comment."""
    return text.split("\n")[number - 1].lstrip().startswith(("#", "//", "/*", "*"))


def specification(root: Path) -> dict[str, Sections]:
    """Return the sections of each file of the catalogue."""
    folder = root / "tools" / "specification"
    return {
        name: tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))
        for name in ("policies", "service", "operations", "defects", "traps")
    }


def required(root: Path) -> list[str]:
    """Return the items that parts.toml wants cited, with ranges spelled out."""
    text = (root / "tools" / "specification" / "parts.toml").read_text(encoding="utf-8")
    entries = (item for part in tomllib.loads(text)["part"] for item in part["items"])
    return [item for entry in entries for item in spelled(entry)]


def partly(root: Path) -> Partly:
    """Return what of some items is left to later parts, by item."""
    text = (root / "tools" / "specification" / "parts.toml").read_text(encoding="utf-8")
    found: Partly = tomllib.loads(text).get("partly", {})
    return found


def spread(tests: list[Test]) -> list[Test]:
    """Return the tests with the first of each directory first, and whole files last."""
    before: Counter[str] = Counter()
    ranked = []
    for test in tests:
        directory = test.path.rpartition("/")[0]
        ranked.append(((not test.name, before[directory]), test))
        before[directory] += 1
    return [test for _, test in sorted(ranked, key=lambda pair: pair[0])]


def line_for(item: str, asks: str, tests: list[Test], is_required: bool, open_: str) -> str:
    """Return the one line about an item; ``open_`` is what of it no test can prove yet."""
    if tests:
        shown = ", ".join(test.link() for test in spread(tests)[:LISTED])
        more = f" and {len(tests) - LISTED} more" if len(tests) > LISTED else ""
        rest = f" Not yet: {open_}." if open_ else ""
        return f"- **{item}** {asks}: {shown}{more}.{rest}"
    return f"- **{item}** {asks}: {'not cited' if is_required else 'a later part'}."


def document(
    title: str, about: str, sections: Sections, cited: Citations, wanted: set[str], partly: Partly
) -> str:
    """Return one of the two documents."""
    every = [item for items in sections.values() for item in items]
    lines = [
        f"# {title}",
        "",
        about,
        f"{sum(item in cited for item in every)} of {len(every)} are cited by tests.",
        "Written by `make docs` from the comments in the tests; do not edit.",
    ]
    for name, items in sections.items():
        lines += ["", f"## {name}", ""]
        lines += [
            line_for(item, asks, cited.get(item, []), item in wanted, partly.get(item, ""))
            for item, asks in items.items()
        ]
    return "\n".join(lines) + "\n"


def documents(root: Path, cited: Citations) -> dict[Path, str]:
    """Return what each document should hold."""
    spec, wanted = specification(root), set(required(root))
    requirements: Sections = spec["policies"] | spec["service"] | spec["operations"]
    requirements |= {
        f"Defects not repeated: {name}": items for name, items in spec["defects"].items()
    }
    return {
        root / "docs" / "requirements.md": document(
            "Requirements",
            "What holdfast is to do, and the tests that cite it.",
            requirements,
            cited,
            wanted,
            partly(root),
        ),
        root / "docs" / "traps.md": document(
            "Traps",
            "Ways in which libraries of this kind went wrong: what ours does instead, and the\n"
            "tests that cite it.",
            spec["traps"],
            cited,
            wanted,
            partly(root),
        ),
    }


def faults(root: Path, cited: Citations) -> list[str]:
    """Return what is wrong with the citations and the documents, a line each."""
    known = {
        item
        for sections in specification(root).values()
        for items in sections.values()
        for item in items
    }
    found = [f"{item}: no test cites it" for item in required(root) if item not in cited]
    for item in sorted(cited.keys() - known):
        places = ", ".join(f"{test.path}: {test.name}" for test in cited[item])
        found.append(f"{item}: no such item, cited in {places}")
    for path, text in documents(root, cited).items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            found.append(f"{path.relative_to(root)}: out of date, run `make docs`")
    return found


def main() -> int:
    """Write the documents, or check them; return the exit status."""
    parser = argparse.ArgumentParser(
        description="Which tests cite which item of the specification."
    )
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a fault")
    check = parser.parse_args().check
    cited = citations(ROOT)
    if not check:
        for path, text in documents(ROOT, cited).items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return 0
    found = faults(ROOT, cited)
    print("\n".join(found) or f"{len(required(ROOT))} items cited, documents up to date")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
