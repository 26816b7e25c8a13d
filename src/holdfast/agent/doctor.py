"""Tells what holdfast finds where it runs, and what is wrong with it.

Imported by the ``doctor`` command only, which works from the bare package.
"""

from __future__ import annotations

import json
import os
import platform
import re
import stat
import subprocess
import sys
import sysconfig
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from holdfast._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["examine", "run_doctor"]

PACKAGE = Path(__file__).resolve().parent.parent
FORK_SECONDS = 60

# Run in a process of its own: whoever asks may have threads, with which a fork is no good.
FORK = """
import os
import holdfast
bulkhead = holdfast.Bulkhead("doctor", max_concurrent=1, mode="enforce")
bulkhead.enter()
pid = os.fork()
if pid == 0:
    os._exit(0 if bulkhead.in_flight == 0 and bulkhead.try_enter() else 1)
_, status = os.waitpid(pid, 0)
print("ok" if status == 0 and bulkhead.in_flight == 1 else "a child holds what its parent does")
"""

# The extras that add something to a service; the others are for work on holdfast itself.
EXTRAS = ("prometheus", "agent", "system", "demo")


class Finding(NamedTuple):
    """One line of the report.

    Attributes:
        what: What was looked at.
        how: How it is.
        problem: What is wrong with it; "" for nothing.
        note: What to know about it although nothing is wrong; "" for nothing.
    """

    what: str
    how: str
    problem: str = ""
    note: str = ""


def run_doctor(as_json: bool, out: TextIO) -> bool:
    """Write what there is to tell; return whether all is well."""
    findings = examine()
    problems = [finding.problem for finding in findings if finding.problem]
    if as_json:
        told: dict[str, Any] = {finding.what: finding.how for finding in findings}
        notes = [finding.note for finding in findings if finding.note]
        out.write(json.dumps({**told, "problems": problems, "notes": notes}, indent=1) + "\n")
    else:
        width = max(len(finding.what) for finding in findings)
        for what, how, problem, note in findings:
            out.write(f"{what:{width}}  {how}\n")
            out.writelines(
                f"{'':{width}}  {mark} {text}\n"
                for mark, text in (("!", problem), ("·", note))
                if text
            )
        out.write("\n" + ("all is well" if not problems else f"problems: {len(problems)}") + "\n")
    out.flush()
    return not problems


def examine() -> list[Finding]:
    """Return everything that was found."""
    return [
        Finding("version", f"{__version__} in {PACKAGE}"),
        _python(),
        _native(),
        _gil(),
        _sqlite(),
        *_extras(),
        *_libraries(),
        _forks(),
        _mode(),
        _directory(),
    ]


def _python() -> Finding:
    implementation = platform.python_implementation()
    problem = "" if implementation == "CPython" else "only CPython is supported"
    how = f"{implementation} {platform.python_version()}, {sys.executable}"
    return Finding("python", how, problem)


def _native() -> Finding:
    suffix = sysconfig.get_config_var("EXT_SUFFIX") or ""
    names = sorted(path.stem for path in (PACKAGE / "_native").glob("*.pyi"))
    broken = []
    for name in names:
        try:
            import_module(f"holdfast._native.{name}")
        except ImportError as error:
            broken.append(f"{name}: {error}")
    if broken:
        problem = f"{'; '.join(broken)}: install holdfast for this Python"
        return Finding("native core", suffix, problem)
    lto: bool = import_module("holdfast._native.gate").LTO
    how = f"{len(names)} modules, {suffix.strip('.')}, {'with' if lto else 'without'} LTO"
    return Finding("native core", how)


def _gil() -> Finding:
    enabled = getattr(sys, "_is_gil_enabled", lambda: True)()
    free = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    counts = "atomic counters" if free else "plain counters"
    how = ("on" if enabled else "off") + (f", free-threaded build, {counts}" if free else "")
    problem = ""
    if free and enabled:
        problem = "a module that is loaded, or PYTHON_GIL, has turned the GIL on"
    return Finding("GIL", how, problem)


def _sqlite() -> Finding:
    try:
        import sqlite3
    except ImportError:
        return Finding("SQLite", "none", "this Python has no sqlite3: durable queues will not work")
    return Finding("SQLite", sqlite3.sqlite_version)


def _extras() -> list[Finding]:
    """Return, for each extra, whether what it brings is there; a missing one is no problem."""
    try:
        ours = metadata.metadata("holdfast")
    except metadata.PackageNotFoundError:
        return [Finding("extras", "unknown", "holdfast is not installed: pip install holdfast")]
    found = []
    for extra in EXTRAS:
        missing = _missing(ours.get_all("Requires-Dist") or [], extra)
        how = f"not installed, without {', '.join(missing)}: pip install 'holdfast[{extra}]'"
        found.append(Finding(f"extra {extra}", how if missing else "installed"))
    return found


REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)(\[[^]]*\])?[^;]*;.*extra == ['\"]([\w-]+)['\"]")


def _missing(requirements: list[str], extra: str) -> list[str]:
    missing = []
    for requirement in requirements:
        match = REQUIREMENT.match(requirement)
        if match is None or match[3] != extra:
            continue
        if match[1] == "holdfast":  # an extra made of others
            for other in (match[2] or "").strip("[]").split(","):
                missing += _missing(requirements, other.strip())
            continue
        try:
            metadata.version(match[1])
        except metadata.PackageNotFoundError:
            missing.append(match[1])
    return list(dict.fromkeys(missing))


def _libraries() -> list[Finding]:
    """Return what to know of installed libraries that holdfast works with, but not all the way."""
    found = []
    for library, ask in (("greenlet", _of_greenlet), ("httpcore", _of_httpcore)):
        try:
            version = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
        problem, note = ask()
        found.append(Finding(library, version, problem, note))
    return found


def _of_greenlet() -> tuple[str, str]:
    try:
        greenlet: Any = import_module("greenlet")
    except ImportError as error:
        return f"greenlet does not load: {error}", ""
    if not getattr(greenlet, "GREENLET_USE_CONTEXT_VARS", False):
        problem = (
            "it does not switch context variables, so a greenlet gets the deadlines of another"
        )
        return f"{problem}: install greenlet 1.0 or later", ""
    if not any(map(find_spec, ("gevent", "eventlet"))):
        return "", ""
    return "", (
        "under gevent and eventlet a Timeout cannot interrupt a function that does not check "
        "its deadline: set the time limits of the client, too (docs/running.md)"
    )


def _of_httpcore() -> tuple[str, str]:
    # encode/httpcore issue 1093, open for all of 1.0: httpcore._async.connection_pool keeps a slot
    # for a connection that nobody opens any more.
    return "", (
        "httpcore loses a connection of its pool when a request is cancelled while it waits for "
        "a connection or opens one, as a Timeout does in asyncio; when all are lost, each request "
        "fails with PoolTimeout. Give the httpx client timeouts shorter than the Timeout"
    )


def _forks() -> Finding:
    if not hasattr(os, "fork"):
        return Finding("fork hooks", "no forks on this system")
    environment = {key: value for key, value in os.environ.items() if key != "HOLDFAST_DIR"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", FORK],
            check=False, capture_output=True, text=True, timeout=FORK_SECONDS,
            env={**environment, "HOLDFAST_MODE": ""},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        problem = f"a forked child did not end within {FORK_SECONDS} s"
        return Finding("fork hooks", "unknown", problem)
    if done.stdout.strip() == "ok":
        return Finding("fork hooks", "a forked child holds nothing of its parent's")
    said = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
    return Finding("fork hooks", "broken", f"a forked child failed: {said[-1]}")


def _asked(variable: str, ask: Callable[[], str]) -> Finding:
    """Return what a variable of the environment leads to; whoever reads it may refuse it."""
    from holdfast.errors import ConfigError

    try:
        return Finding(variable, ask())
    except ConfigError as error:
        return Finding(variable, repr(os.environ.get(variable, "")), str(error))


def _mode() -> Finding:
    from holdfast.mode import VARIABLE, process_mode

    return _asked(VARIABLE, lambda: process_mode().value)


def _directory() -> Finding:
    from holdfast.stores.files import VARIABLE, check_directory, directory

    def ask() -> str:
        path = directory()
        if path is None:
            return "not set: each process tells of itself alone"
        check_directory(path)
        if not path.exists():
            return f"{path}, which will be made"
        mode = stat.S_IMODE(path.stat().st_mode)
        workers = sum(name.startswith("worker-") for name in os.listdir(path))
        return f"{path} (mode {mode:04o}), {workers} files of workers"

    return _asked(VARIABLE, ask)
