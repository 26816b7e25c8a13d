"""Which module stands on which floor, and what is wrong with the imports of a tree.

The floors are those of ARCHITECTURE.md: a module imports from its own floor and from those below.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

# From the ground up. A package stands with all that is in it.
FLOORS = (
    {"_version", "_native"},
    {"errors", "validation", "mode"}
    | {"clock", "events", "forks", "whole", "named", "registry", "asked_delay", "seeds", "guards"}
    | {"machine", "priorities", "life", "later", "locks"}
    | {"arguments", "hints", "instead", "categories", "redaction", "trip"},
    {"stores"},
    {"waiting", "periodic", "repeats", "records", "transitions"},
    {"policies"},
    {"pipeline", "chaos"},
    {"health", "degradation"},
    {"telemetry"},
    {"durable", "alerts", "supervision", "resources"},
    {"recovery"},
    {"testing", "sim"},
    {"manager"},
    {"compat", "integrations"},
    {"demo", "bench"},
    {"agent"},
    {"__main__"},
)
# What stands on one floor, and does not know of the other: what drives a level is an argument.
APART = {"health", "degradation"}
# What is not in the standard library, and who alone may import it.
FOREIGN = {
    "prometheus_client": (
        "telemetry/prometheus.py",
        "telemetry/serving.py",
        "compat/stamina/",
    ),
    "httpx": ("demo/", "agent/cli.py"),
    "rich": ("demo/",),
    "greenlet": ("agent/doctor.py",),
    "psutil": ("machine/",),
    "annotated_types": ("agent/config/",),
    "pydantic": ("agent/config/",),
    "pydantic_core": ("agent/config/",),
    "redis": ("resources/publishing.py", "compat/pybreaker/", "compat/aiobreaker/"),
    "starlette": ("agent/",),
    "uvicorn": ("agent/",),
    "yaml": ("agent/config/",),
    "limits": ("compat/limits/",),  # its storages of other processes
    "packaging": ("compat/limits/",),  # the versions that users' storages need
    "sniffio": ("compat/",),
    "structlog": ("compat/stamina/",),
    "tornado": ("compat/tenacity/", "compat/pybreaker/"),
    "trio": ("compat/",),
}
# A policy decides. What would make it wait, speak or look at the time is not for it.
# But a pool has threads of its own: it speaks of their futures.
NOT_IN_POLICIES = {"asyncio", "concurrent", "logging", "sched", "select", "selectors", "time"}

CYTHON_IMPORT = re.compile(r"^\s*(?:from\s+(\S+)\s+c?import\b|c?import\s+(\S+))", re.MULTILINE)
C_IMPORT = re.compile(r'PyImport_\w+\(\s*"([\w.]+)"')


def floor_of(module: str) -> int | None:
    """Return the floor a module of ours stands on; None when nobody has given it one."""
    room = module.split(".")[1]
    return next((n for n, rooms in enumerate(FLOORS) if room in rooms), None)


def imports_of_python(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and module of every import, those inside functions and by name included."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # `from holdfast import clock` imports a module as well as the package root.
            base = "." * node.level + (node.module or "")
            if base == "holdfast":
                yield from ((node.lineno, f"holdfast.{alias.name}") for alias in node.names)
            yield node.lineno, base
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in {"import_module", "__import__"}:
                yield node.lineno, str(node.args[0].value)


def imports_of_text(text: str, pattern: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    """Yield line and module of every import that ``pattern`` finds in Cython or C."""
    for match in pattern.finditer(text):
        module = next(group for group in match.groups() if group)
        yield text.count("\n", 0, match.start()) + 1, module


def faults_of(module: str, path: str, imported: str) -> Iterator[str]:
    """Yield what is wrong with one import of ``module``, which stands in ``path``."""
    top, _, below = imported.partition(".")
    if not top:
        yield "relative import"
    elif top == "holdfast":
        if not below:
            yield "imports the package root"
            return
        mine, theirs = floor_of(module), floor_of(imported)
        if mine is not None and theirs is not None and theirs > mine:
            yield f"imports {imported}, which stands above it"
        if {module.split(".")[1], imported.split(".")[1]} == APART:
            yield f"imports {imported}, which it is not to know"
    elif top == "typing_extensions" and path.endswith(".pyi"):
        return  # no type checker needs it installed
    elif top not in sys.stdlib_module_names:
        owners = FOREIGN.get(top, ())
        if not path.startswith(owners):
            yield f"imports {top}, which is for {' and '.join(owners) or 'nobody'}"
    elif (
        path.startswith("policies/")
        and top in NOT_IN_POLICIES
        and not (path.startswith("policies/pool/") and top == "concurrent")
    ):
        yield f"imports {top}, but policies neither wait nor speak nor read the time"


def faults(package: Path, gate: Path | None = None) -> list[str]:
    """Return what is wrong with the imports of the package, and of the C beside it, a line each."""
    found = []
    for source in sorted(package.rglob("*.p[yx]*")):
        path = source.relative_to(package).as_posix()
        module = ".".join(["holdfast", *Path(path).with_suffix("").parts])
        if path == "__init__.py" or source.suffix not in {".py", ".pyx", ".pxd", ".pyi"}:
            continue
        if floor_of(module) is None:
            found.append(f"{path}: stands on no floor")
        text = source.read_text(encoding="utf-8")
        is_python = source.suffix in {".py", ".pyi"}
        every = imports_of_python(text) if is_python else imports_of_text(text, CYTHON_IMPORT)
        for line, imported in every:
            if is_python or imported.split(".")[0] not in {"libc", "cpython", "cython"}:
                found += [f"{path}:{line}: {fault}" for fault in faults_of(module, path, imported)]
    for source in sorted(gate.glob("*.[ch]")) if gate else ():
        for line, imported in imports_of_text(source.read_text(encoding="utf-8"), C_IMPORT):
            where = f"_native/{source.name}"
            found += [
                f"{source.name}:{line}: {fault}"
                for fault in faults_of("holdfast._native.gate", where, imported)
            ]
    return found


def import_circles(package: Path) -> list[list[str]]:
    """Return the circles of modules of a package: each module in one imports all others of it.

    Every import counts, those inside functions and under TYPE_CHECKING included.
    """
    files = {
        ".".join(["holdfast", *path.relative_to(package).with_suffix("").parts]): path
        for path in package.rglob("*.py")
    }
    used = {module: modules_used(path, files) for module, path in files.items()}
    reached = {module: reachable(module, used) for module in used}
    found = {
        tuple(sorted(other for other in reached[module] if module in reached[other]))
        for module in used
        if module in reached[module]
    }
    return [list(circle) for circle in sorted(found)]


def modules_used(path: Path, files: dict[str, Path]) -> set[str]:
    """Return the modules among ``files`` that a file imports."""
    text = path.read_text(encoding="utf-8")
    used = {module for _, module in imports_of_python(text)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):  # what is imported may be a module itself
            used |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {module for name in used for module in (name, f"{name}.__init__") if module in files}


def reachable(start: str, used: dict[str, set[str]]) -> set[str]:
    """Return all that a module imports, directly and through others."""
    seen: set[str] = set()
    left = [start]
    while left:
        new = used[left.pop()] - seen
        seen |= new
        left.extend(new)
    return seen
