"""The public face as text, read from sources and stubs: names, parameters, defaults, annotations.

``make docs`` writes it to ``docs/public-face.txt``.
"""

import ast
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FACE = ROOT / "docs" / "public-face.txt"
# What users import from. A name that two of them have is written where it comes first.
MODULES = (
    "holdfast",
    "holdfast.categories",
    "holdfast.degradation",
    "holdfast.health",
    "holdfast.telemetry.prometheus",
    "holdfast.telemetry.rules",
    "holdfast.testing",
)
DATA = (
    "holdfast.degradation",
    "holdfast.health",
    "holdfast.policies",
    "holdfast.pipeline",
    "holdfast.waiting",
)  # have the snapshots
BEHIND = "what these derive from and return"
# Special methods that are called by users, not by the interpreter alone.
INNER = {"explains_names"}  # decorators that change no more than messages
SPECIAL = {"__init__", "__call__", "__enter__", "__aenter__", "__bool__", "__getattr__"}


@cache
def tree(module: str) -> ast.Module:
    """Parse the module; of a native one, the stub beside it."""
    source = ROOT.joinpath("src", *module.split("."))
    options = (source.with_suffix(".py"), source.with_suffix(".pyi"), source / "__init__.py")
    return ast.parse(next(path for path in options if path.exists()).read_text(encoding="utf-8"))


def is_public(name: str) -> bool:
    return name in SPECIAL or not name.startswith("_")


def members(cls: ast.ClassDef) -> Iterator[str]:
    """Yield a line for each public method, property and field that the class itself defines."""
    ifs = [node for node in cls.body if isinstance(node, ast.If)]
    for_types = [node for node in ifs if ast.unparse(node.test) != "not TYPE_CHECKING"]
    for node in [*cls.body, *(node for block in for_types for node in block.body)]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if is_public(node.name):
                yield function(node)
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if is_public(ast.unparse(target)):
                yield ast.unparse(node)


def function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    marks = [f"@{mark} " for mark in map(ast.unparse, node.decorator_list) if mark not in INNER]
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{''.join(marks)}{word} {node.name}({ast.unparse(node.args)}){returns}"


def definition(thing: type | object) -> ast.AST | None:
    """Return where a class or function is defined, in its module's source or stub."""
    module, name = getattr(thing, "__module__", ""), getattr(thing, "__name__", "")
    if not str(module).startswith("holdfast"):
        return None
    return next((n for n in tree(module).body if getattr(n, "name", None) == name), None)


def shown(name: str, thing: object) -> Iterator[str]:
    """Yield the lines of one public name; a class brings the public bases it inherits from."""
    node = definition(thing)
    if isinstance(thing, type):
        bases = ", ".join(base.__name__ for base in thing.__bases__ if base is not object)
        yield f"class {name}({bases})" if bases else f"class {name}"
        if isinstance(node, ast.ClassDef):
            yield from (f"    {line}" for line in members(node))
        else:  # made by native code
            yield from (
                f"    {key} = {thing.__dict__[key]!r}" for key in ("code",) if key in vars(thing)
            )
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield function(node)
    elif not isinstance(thing, str):
        yield f"{name}: {type(thing).__name__}"


def things() -> dict[str, list[tuple[str, object]]]:
    """Return, by module, the names users meet: exported ones, their bases, what snapshots give."""
    found: dict[str, list[tuple[str, object]]] = {}
    seen: set[int] = set()
    for module in MODULES:
        loaded = importlib.import_module(module)
        for name in loaded.__all__:
            thing = getattr(loaded, name)
            given = [(name, thing)]
            given += [(type(thing).__name__, type(thing))] if not inspect.isroutine(thing) else []
            given += [(base.__name__, base) for base in getattr(thing, "__mro__", ())]
            for each, value in given:
                is_ours = value is thing or (is_public(each) and definition(value) is not None)
                if id(value) not in seen and is_ours:
                    seen.add(id(value))
                    home = module if value is thing else BEHIND
                    found.setdefault(home, []).append((each, value))
    for module in sorted(sys.modules):
        if module.startswith(DATA):
            for name, value in vars(sys.modules[module]).items():
                is_data = isinstance(value, type) and name.endswith(("Snapshot", "Stats"))
                if is_data and value.__module__ == module and id(value) not in seen:
                    seen.add(id(value))
                    found.setdefault(BEHIND, []).append((name, value))
    return found


def face() -> str:
    """Return the public face, a line for each name, parameter list and field."""
    import holdfast

    for module in pkgutil.walk_packages(holdfast.__path__, "holdfast."):
        if module.name.startswith(DATA):
            importlib.import_module(module.name)
    lines = []
    for module, named in things().items():
        lines += ["", f"# {module}"]
        for name, thing in sorted(named, key=lambda pair: pair[0]):
            lines += shown(name, thing)
    return "\n".join(lines).lstrip("\n") + "\n"


if __name__ == "__main__":
    FACE.write_text(face(), encoding="utf-8")
