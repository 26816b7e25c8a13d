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
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

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

Finding = tuple[str, str, str]  # what, how it is, and what is wrong; "" for nothing


def run_doctor(as_json: bool, out: TextIO) -> bool:
    """Write what there is to tell; return whether all is well."""
    findings = examine()
    problems = [problem for _, _, problem in findings if problem]
    if as_json:
        told: dict[str, Any] = {what: how for what, how, _ in findings}
        out.write(json.dumps({**told, "problems": problems}, indent=1) + "\n")
    else:
        width = max(len(what) for what, _, _ in findings)
        out.writelines(
            f"{what:{width}}  {how}\n" + (f"{'':{width}}  ! {problem}\n" * bool(problem))
            for what, how, problem in findings
        )
        out.write("\n" + ("all is well" if not problems else f"problems: {len(problems)}") + "\n")
    out.flush()
    return not problems


def examine() -> list[Finding]:
    """Return everything that was found."""
    return [
        ("version", f"{__version__} in {PACKAGE}", ""),
        _python(),
        _native(),
        _gil(),
        _sqlite(),
        _prometheus(),
        *_extras(),
        _forks(),
        _mode(),
        _directory(),
    ]


def _python() -> Finding:
    implementation = platform.python_implementation()
    problem = "" if implementation == "CPython" else "only CPython is supported"
    return "python", f"{implementation} {platform.python_version()}, {sys.executable}", problem


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
        return "native core", suffix, f"{'; '.join(broken)}: install holdfast for this Python"
    lto: bool = import_module("holdfast._native.gate").LTO
    how = f"{len(names)} modules, {suffix.strip('.')}, {'with' if lto else 'without'} LTO"
    return "native core", how, ""


def _gil() -> Finding:
    enabled = getattr(sys, "_is_gil_enabled", lambda: True)()
    free = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    counts = "atomic counters" if free else "plain counters"
    how = ("on" if enabled else "off") + (f", free-threaded build, {counts}" if free else "")
    problem = ""
    if free and enabled:
        problem = "a module that is loaded, or PYTHON_GIL, has turned the GIL on"
    return "GIL", how, problem


def _sqlite() -> Finding:
    try:
        import sqlite3
    except ImportError:
        return "SQLite", "none", "this Python has no sqlite3: durable queues will not work"
    return "SQLite", sqlite3.sqlite_version, ""


def _prometheus() -> Finding:
    try:
        return "prometheus-client", metadata.version("prometheus-client"), ""
    except metadata.PackageNotFoundError:
        return (
            "prometheus-client",
            "none",
            "metrics need it: pip install prometheus-client",
        )


def _extras() -> list[Finding]:
    """Return, for each extra, whether what it brings is there; a missing one is no problem."""
    try:
        ours = metadata.metadata("holdfast")
    except metadata.PackageNotFoundError:
        return [("extras", "unknown", "holdfast is not installed: pip install holdfast")]
    found = []
    for extra in ours.get_all("Provides-Extra") or []:
        missing = _missing(ours.get_all("Requires-Dist") or [], extra)
        how = "there" if not missing else "without " + ", ".join(missing)
        found.append((f"extra {extra}", how, ""))
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


def _forks() -> Finding:
    if not hasattr(os, "fork"):
        return "fork hooks", "no forks on this system", ""
    environment = {key: value for key, value in os.environ.items() if key != "HOLDFAST_DIR"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", FORK],
            check=False, capture_output=True, text=True, timeout=FORK_SECONDS,
            env={**environment, "HOLDFAST_MODE": ""},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "fork hooks", "unknown", f"a forked child did not end within {FORK_SECONDS} s"
    if done.stdout.strip() == "ok":
        return "fork hooks", "a forked child holds nothing of its parent's", ""
    said = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
    return "fork hooks", "broken", f"a forked child failed: {said[-1]}"


def _asked(variable: str, ask: Callable[[], str]) -> Finding:
    """Return what a variable of the environment leads to; whoever reads it may refuse it."""
    from holdfast.errors import ConfigError

    try:
        return variable, ask(), ""
    except ConfigError as error:
        return variable, repr(os.environ.get(variable, "")), str(error)


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
