"""Which file of the gate needs which other, read from the sources: a circle ties them together.

A file needs another if it names a function or an object that only the other defines. Names that
more than one file uses begin with ``hf_``. A macro that makes definitions, such as
``HF_STEP_VERBS(breaker, …)``, makes those its body names.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

COMMENT_OR_TEXT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.DOTALL)
NAME = re.compile(r"\bhf_\w+")
MACRO = re.compile(r"^#\s*define\s+(\w+)\(([^)]*)\)((?:[^\n]*\\\n)*[^\n]*)", re.MULTILINE)
# The gate's style puts the name of a function that is defined at the beginning of a line.
FUNCTION = re.compile(r"^(hf_\w+)\([^;{]*\)\s*\{", re.MULTILINE)
PASTED_FUNCTION = re.compile(r"[\s*]((?:hf_)?\w*##\w+##\w+)\([^;{]*\)\s*\{")
DECLARED = re.compile(r"\b(hf_\w+)\s*(?:\[[^\]]*\]\s*)?[,;=]")
INLINE = re.compile(r"^(hf_\w+)\([^;{]*\)\s*\{(.*?)^\}", re.MULTILINE | re.DOTALL)
OBJECT = re.compile(
    r"^(?!static|extern|typedef|#)\w[\w \t*,\n]*?\*?\bhf_\w+[^({]*?(?:;|=)", re.MULTILINE
)


def _code(text: str) -> str:
    """Return the text without comments and strings."""
    return COMMENT_OR_TEXT.sub(" ", text)


def _makers(headers: Iterable[str]) -> dict[str, tuple[list[str], list[str]]]:
    """Return parameters and pasted names of each macro that defines functions."""
    found = {}
    for text in headers:
        for name, parameters, body in MACRO.findall(text):
            if names := PASTED_FUNCTION.findall(body.replace("\\\n", "\n")):
                found[name] = ([parameter.strip() for parameter in parameters.split(",")], names)
    return found


def _made(text: str, makers: Mapping[str, tuple[list[str], list[str]]]) -> Iterator[str]:
    """Yield the functions that uses of such macros define."""
    for macro, (parameters, names) in makers.items():
        for use in re.finditer(rf"^{macro}\(([^)]*)\)", text, re.MULTILINE):
            values = dict(zip(parameters, (v.strip() for v in use[1].split(",")), strict=True))
            for name in names:
                yield "".join(values.get(part, part) for part in name.split("##"))


def _expanded(text: str, lists: Mapping[str, list[list[str]]]) -> str:
    """Return the text with what the uses of X macros would name after it."""
    added = []
    for name, parameters, body in MACRO.findall(text):
        names = [parameter.strip() for parameter in parameters.split(",")]
        for rows in (rows for x, rows in lists.items() if re.search(rf"\b{x}\({name}\)", text)):
            for row in rows:
                made = body
                for parameter, value in zip(names, row, strict=True):
                    made = re.sub(
                        rf"##{parameter}\b|\b{parameter}##|(?<!\w){parameter}\b(?!\w)", value, made
                    )
                added.append(made.replace("##", ""))
    return "\n".join([text, *added])


def needs(folder: Path) -> dict[str, dict[str, set[str]]]:
    """Return for each source the sources it needs, each with the names it needs them for."""
    headers = [_code(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.h"))]
    sources = {p.name: _code(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("*.c"))}
    makers = _makers(headers)
    lists = {
        name: [[v.strip() for v in row.split(",")] for row in re.findall(r"\bX\(([^)]*)\)", body)]
        for text in headers
        for name, parameters, body in MACRO.findall(text)
        if parameters.strip() == "X"
    }
    owner = {}
    for source, text in sources.items():
        plain = re.sub(r"^static[^;{]*", "", text, flags=re.MULTILINE)
        for name in [*FUNCTION.findall(plain), *_made(text, makers)]:
            owner[name] = source
        for match in OBJECT.findall(plain):
            owner.update(dict.fromkeys(DECLARED.findall(match), source))
    # What an inline function or a macro of a header names is needed by whoever names that.
    inline = {}
    for text in headers:
        for match in INLINE.finditer(text):
            inline[match[1]] = set(NAME.findall(match[2]))
    found: dict[str, dict[str, set[str]]] = {}
    for source, text in sources.items():
        names = set(NAME.findall(_expanded(text, lists)))
        todo = list(names)
        while todo:
            new = inline.get(todo.pop(), set()) - names
            names |= new
            todo += new
        for name in names:
            if owner.get(name, source) != source:
                found.setdefault(source, {}).setdefault(owner[name], set()).add(name)
    return found


def circles(folder: Path) -> list[str]:
    """Return a line for each need that closes a circle; none if the files stand on each other."""
    needed = needs(folder)

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for other in needed.get(todo.pop(), {}):
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
        return seen

    reached = {source: reach(source) for source in needed}
    return [
        f"{source} needs {other} for {', '.join(sorted(names))}, and {other} needs {source}"
        for source, others in sorted(needed.items())
        for other, names in sorted(others.items())
        if source in reached.get(other, ())
    ]
