"""Odd constructions of English, and the texts of the project in which they are counted.

Each pattern is rare in technical prose: all of them together occur 5 to 15 times in 10,000 words of
the docstrings of asyncio, anyio, trio, gevent, celery, kombu, pydantic, pytest, fastapi and httpx.
"""

import ast
import dataclasses
import importlib
import inspect
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {"mutants.md", "requirements.md", "traps.md"}

_STARTS = r"(?:^|(?<=[.:;] )|(?<=: ))"  # of a sentence or of a main clause
_ENDS = r"(?=[.;:!)]|$)"  # of a clause
_NO_QUESTION = r"(?![^.]*\?)"

ODD = {
    "who or whoever as a subject": rf"{_STARTS}Who\b{_NO_QUESTION}|\b[Ww]hoever\b"
    r"|(?:^|[,;:] |\b(?:and|but|of|for|from|to) )who (?!(?:is|are|was|were)\b)\w+s\b",
    "a clause with what as a subject": rf"{_STARTS}What\b{_NO_QUESTION}"
    r"|[;:,] (?:and |but )?what (?:is|has|was|it|an?|the|they)\b",
    "a clause with where in front": rf"{_STARTS}Where\b{_NO_QUESTION}",
    "persons without a noun": r"\b(?:[Nn]obody|[Ss]omebody|[Aa]nybody|[Ee]verybody)\b",
    "nothing or none as a subject": rf"{_STARTS}(?:Nothing|Nor)\b"
    r"|\b(?:nothing|none) (?:is|are|was|has|can|that|else|waits|runs|counts|stays)\b",
    "told": r"\b[Tt]old\b|\btells? (?:of|apart|from)\b",
    "let": r"\b[Ll]et(?:s|ting)? (?:\w+ )?(?:go|in|through|out)\b",
    "stands": r"\b(?:[Ss]tands?|stood|standing)\b(?! for\b)",
    "asks": r"\b(?:asks|asked|asking)\b",
    "keeps": r"\bkeeps\b(?! track)",
    "here as a place": r"\b[Nn]ot here\b|\b[Hh]ere (?:is|are)\b|\bhere(?=[:;])",
    "own": r"\bof (?:its|their|his|her|one's|our|your|my) own\b|\bof (?:ours|theirs|his|yours)\b"
    r"|\b(?:is|are) \w+'s own\b",
    "an old turn": r"\b(?:as such|for ever|the like|by now|at the door|but for|beside|in vain"
    r"|in its turn|that which|none the less|thereby|thereof|hence|mends?|mended|for naught)\b",
    "ones": r"\bones\b",
    "a trailing adverb": rf"\b(?:too|as well|at once|besides|alone|by itself|yet){_ENDS}",
    "so that after a comma": r", so that\b",
    "an inversion": rf"{_STARTS}(?:Only then|Only so|Only there|Not until|So do|So does|So is)\b"
    r"|\b(?:nor|neither) (?:do|does|is|are|has|have|can)\b"
    r"|(?:^|[,;:] )(?:so|nor) (?:is|are|do|does|has) (?:the|an?|its|their)\b",
    "there is at the end": rf"\bthere (?:is|are|was|were)(?=,|{_ENDS})",
    "whatever": r"\b[Ww]h(?:at|ich)ever (?:the|its|their|an?|it|they|happens|is|has|that|else)\b"
    r"|\b[Hh]owever (?:it|that|they|many|long)\b",
    "is to": r"\b(?:that|which|what|who) (?:is|are|was|were) to \w+",
}
PATTERNS = {name: re.compile(pattern, re.MULTILINE) for name, pattern in ODD.items()}


@dataclasses.dataclass(frozen=True)
class Text:
    """A piece of prose, and where it is."""

    where: str
    prose: str

    @property
    def words(self) -> int:
        return len(re.findall(r"[A-Za-z][\w'’-]*", self.prose))

    def odd(self) -> list[str]:
        """Return each odd construction with its surroundings."""
        return [
            f"{self.where}: {name}: …{self.prose[max(0, hit.start() - 30) : hit.end() + 40]}…"
            for name, pattern in PATTERNS.items()
            for hit in pattern.finditer(self.prose)
        ]


def rate(texts: list[Text]) -> float:
    """Return the odd constructions in 10,000 words."""
    return 10_000 * sum(len(text.odd()) for text in texts) / sum(text.words for text in texts)


def plain(text: str) -> str:
    """Return the prose of a text in Markdown: a line a paragraph or cell, code left out."""
    text = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^ *(?:>>>|\.\.\. ).*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"<[^>\n]*>|!\[[^\]]*\]", "", text)
    text = re.sub(r"\]\([^)\s]*\)", "]", text)
    text = re.sub(r"`+[^`\n]*(?:\n[^`\n]*)?`+", "X", text)
    text = re.sub(r"[*\[\]_]|^#+ ", "", text, flags=re.MULTILINE)
    text = re.sub(r"^[ \t]*(?:[-*>]|\d+\.)[ \t]+", "\n\n", text, flags=re.MULTILINE)
    text = re.sub(r" *\| *", "\n\n", text)
    text = re.sub(r"^( *\w+:)$", r"\1\n", text, flags=re.MULTILINE)  # Args:
    text = re.sub(r"^(?: {4,})(\w+: )", r"\n\n\1", text, flags=re.MULTILINE)  # an argument
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    return "\n".join(filter(None, paragraphs))


def documents(*names: str) -> list[Text]:
    return [Text(name, plain((ROOT / name).read_text())) for name in names]


def pages() -> list[Text]:
    found = sorted((ROOT / "docs").rglob("*.md"))
    return documents(
        "README.md",
        "CHANGELOG.md",
        "benchmarks/README.md",
        "benchmarks/notes.md",
        *(str(page.relative_to(ROOT)) for page in found if page.name not in GENERATED),
    )


# ---- docstrings ----

# Modules whose names a user imports.
PUBLIC_MODULES = (
    "holdfast",
    "holdfast.categories",
    "holdfast.clock",
    "holdfast.errors",
    "holdfast.events",
    "holdfast.health",
    "holdfast.mode",
    *(
        f"holdfast.policies.{policy}.snapshot"
        for policy in ("breaker", "bulkhead", "fallback", "limiter", "pool", "retry", "timeout")
    ),
    "holdfast.telemetry.prometheus",
    "holdfast.telemetry.rules",
    "holdfast.testing",
)


def public_docstrings() -> list[Text]:
    """Return the docstrings of all that a user may import, and of its public members."""
    found: dict[str, Text] = {}
    for module_name in PUBLIC_MODULES:
        module = importlib.import_module(module_name)
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if not (inspect.isclass(value) or callable(value)):
                continue
            members = {"": value}
            if inspect.isclass(value):
                for cls in value.__mro__[:-1]:
                    if cls.__module__.startswith("holdfast"):
                        members |= {
                            f".{member}": what
                            for member, what in vars(cls).items()
                            if not member.startswith("_") and f".{member}" not in members
                        }
            for member, what in members.items():
                doc = getattr(what, "__doc__", None)
                if isinstance(doc, str) and doc != type(what).__doc__:  # not that of its class
                    found.setdefault(doc, Text(f"{name}{member}", plain(doc)))
    return list(found.values())


def all_docstrings() -> list[Text]:
    """Return every docstring of the package."""
    found = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, kinds) and (doc := ast.get_docstring(node)):
                where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"
                found.append(Text(where, plain(doc)))
    return found


# ---- messages ----

_RAISING = {"refuse", "warn", "warning", "error", "exception", "MissingExtraError"}
_HELPING = {"ArgumentParser", "add_argument", "add_parser"}
# A call of C that takes a message: PyErr_Format(type, "…" "…", …)
_MESSAGE_OF_C = re.compile(
    r"(?:PyErr_Format|PyErr_SetString|PyErr_WarnFormat|PyErr_WarnEx|hf_error\w*)\s*\("
    r"(?:[^;\"]*?)((?:\"(?:[^\"\\]|\\.)*\"\s*(?:PRI\w+\s*)?)+)"
)


def messages() -> list[Text]:
    """Return what errors and warnings say, and the help of the command line."""
    found = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                found += _said(path, node.exc)
            elif isinstance(node, ast.Call) and _name_of(node.func) in _RAISING | _HELPING:
                found += _said(path, node)
            elif path.name == "cli.py" and isinstance(node, ast.Assign):
                found += _said(path, ast.Call(node.value, [node.value], [], lineno=node.lineno))
    for path in sorted([*(ROOT / "src").rglob("*.pyx"), *(ROOT / "csrc").rglob("*.[ch]")]):
        source = path.read_text()
        if path.suffix == ".pyx":
            pattern = re.compile(r"raise \w+\(\s*((?:f?\"(?:[^\"\\]|\\.)*\"\s*)+)")
        else:
            pattern = _MESSAGE_OF_C
        for hit in pattern.finditer(source):
            said = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', hit[1]))
            line = source[: hit.start()].count("\n") + 1
            where = f"{path.relative_to(ROOT)}:{line}"
            found.append(Text(where, re.sub(r"%[-.\d]*\w+|\{[^}]*\}|\\.", "X", said)))
    return found


def _name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _said(path: Path, call: ast.Call) -> list[Text]:
    """Return the strings of a call's arguments that have more than one word."""
    said = []
    for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
        nodes = ast.walk(argument) if isinstance(argument, ast.JoinedStr) else [argument]
        strings = [node.value for node in nodes if isinstance(node, ast.Constant)]
        parts = [value for value in strings if isinstance(value, str)]
        if " " in (whole := "X".join(parts)).strip():
            said.append(Text(f"{path.relative_to(ROOT)}:{call.lineno}", plain(whole)))
    return said


def read_by_users() -> list[Text]:
    return [*pages(), *public_docstrings(), *messages()]


def read_by_contributors() -> list[Text]:
    return [*documents("ARCHITECTURE.md", "CONTRIBUTING.md"), *all_docstrings()]
