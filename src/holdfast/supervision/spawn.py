"""Starting a process: in a session of its own, with its files, its folder and its limits.

The parent may have many threads: no Python runs between the fork and the new program. Elsewhere:
how a process ends (``exits``), and what becomes of its output (``output``).
"""

from __future__ import annotations

import errno
import os
import posix
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from signal import SIGKILL

from holdfast.supervision.limits import apply, no_limits
from holdfast.supervision.originals import original_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from holdfast.supervision.limits import Limits
    from holdfast.validation import Problems

__all__ = [
    "OUTPUTS",
    "Plan",
    "Spawned",
    "read_command",
    "read_cwd",
    "read_env",
    "require_program",
    "spawn",
]

OUTPUTS = ("log", "inherit", "discard")
# It waits for a line before it becomes the program, and leaves if the parent goes meanwhile.
_GATE = ("/bin/sh", "-c", 'read -r _ && exec "$@" </dev/null', "holdfast-limits")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be started. Immutable.

    Attributes:
        command: The program and its arguments.
        env: All of its environment; None: that of this process.
        cwd: Its folder; None: that of this process.
        output: One of ``OUTPUTS``.
        stdin: Whether it reads what this process would read.
        limits: Soft and hard limits by name.
        kill_after_ns: How long it has to end once it was asked to.
        outlives: Whether it goes on if this process ends.
    """

    command: tuple[str, ...]
    env: Mapping[str, str] | None = None
    cwd: str | None = None
    output: str = "log"
    stdin: bool = False
    limits: Limits = field(default_factory=no_limits)
    kill_after_ns: int = 5_000_000_000
    outlives: bool = False


@dataclass(frozen=True, slots=True)
class Spawned:
    """A process that runs: its pid, and the files with its output, by name. Immutable."""

    pid: int
    files: dict[str, int]


def spawn(plan: Plan) -> Spawned:
    """Start a process; it leads its own session and group, and stays a child of this one.

    Raises:
        FileNotFoundError: The program, or its folder, does not exist.
        OSError: It cannot be started for another reason.
    """
    subprocess = original_module("subprocess")
    popen, devnull = subprocess.Popen, subprocess.DEVNULL
    with ExitStack() as on_error, ExitStack() as theirs:
        files: dict[str, int] = {}
        settings: dict[str, Any] = {"stdin": None if plan.stdin else devnull}
        for name in ("stdout", "stderr"):
            if plan.output == "discard":
                settings[name] = devnull
            elif plan.output == "log":
                reads, writes = posix.pipe()
                on_error.callback(posix.close, reads)
                theirs.callback(posix.close, writes)
                posix.set_blocking(reads, False)
                files[name], settings[name] = reads, writes
        start = partial(popen, env=plan.env, cwd=plan.cwd, start_new_session=True, **settings)
        try:
            pid = _start_limited(plan, start) if plan.limits else _pid_of(start(plan.command))
        except OSError as error:
            raise _explained(plan, error) from error
        on_error.pop_all()
        return Spawned(pid, files)


def read_command(problems: Problems, given: object) -> tuple[str, ...]:
    """Check a program and its arguments."""
    value: Any = given
    words = [_as_text(one) for one in value] if isinstance(given, list | tuple) else []
    if words and words[0] and all(isinstance(one, str) and "\0" not in one for one in words):
        return tuple(words)
    problems.refuse("command", value, "a list of strings: the program and its arguments")
    return ("?",)


def read_env(problems: Problems, given: object) -> dict[str, str] | None:
    """Check an environment: all of it."""
    if given is None:
        return None
    value: Any = given
    try:
        env: dict[Any, Any] = dict(value)
    except (TypeError, ValueError):
        env = {"": value}
    for key, text in env.items():
        if not (isinstance(key, str) and key and "=" not in key and isinstance(text, str)):
            problems.refuse("env", value, "a dict of strings, the whole environment; or None")
            break
        if "\0" in key + text:
            problems.refuse("env", key, "strings without a null character")
    return env


def read_cwd(problems: Problems, given: object) -> str | None:
    """Check a folder."""
    path = _as_text(given)
    if path is None or (isinstance(path, str) and path and "\0" not in path):
        return path
    problems.refuse("cwd", path, "the path of a folder, or None")
    return None


def _as_text(given: Any) -> Any:
    return given.__fspath__() if hasattr(given, "__fspath__") else given


def _pid_of(process: Any) -> int:
    process.returncode = 0  # whoever looks at its end is not this object
    pid: int = process.pid
    return pid


def _start_limited(plan: Plan, start: Any) -> int:
    """Have the process wait before it becomes the program, until it has its limits."""
    require_program(plan)
    reads, writes = posix.pipe()
    try:
        try:
            pid = _pid_of(start([*_GATE, *plan.command], stdin=reads))
        finally:
            posix.close(reads)
        try:
            apply(pid, plan.limits)
        except BaseException:
            posix.kill(pid, SIGKILL)
            with suppress(ChildProcessError):
                posix.waitpid(pid, 0)
            raise
        with suppress(BrokenPipeError):  # it was killed: its end is seen as any other
            posix.write(writes, b"\n")
        return pid
    finally:
        posix.close(writes)


def require_program(plan: Plan) -> None:
    """Raise what ``spawn`` would raise if the program or its folder does not exist.

    Raises:
        FileNotFoundError: One of them does not exist.
        PermissionError: The program is there, and must not be run.
    """
    from shutil import which

    program = plan.command[0]
    if plan.cwd is not None and not os.path.isdir(plan.cwd):
        raise _explained(plan, _error(errno.ENOENT, plan.cwd))
    path = os.pathsep.join(os.get_exec_path(None if plan.env is None else dict(plan.env)))
    is_path = bool(os.path.dirname(program))
    where = os.path.join(plan.cwd or "", program) if is_path else program
    if which(where, path=path) is None:
        is_there = os.path.exists(where) if is_path else which(where, os.F_OK, path) is not None
        raise _explained(plan, _error(errno.EACCES if is_there else errno.ENOENT, program))


def _error(number: int, name: str) -> OSError:
    return OSError(number, os.strerror(number), name)


def _explained(plan: Plan, error: OSError) -> OSError:
    """Return the error with the setting that is wrong: of the same class."""
    program = plan.command[0]
    named = error.filename
    if named is None or error.errno not in {
        errno.ENOENT,
        errno.EACCES,
        errno.ENOTDIR,
        errno.ENOEXEC,
    }:
        return error
    if plan.cwd is not None and os.fsdecode(named) == plan.cwd != program:
        return type(error)(error.errno, f"cwd: got {plan.cwd!r}: {error.strerror}")
    where = "" if os.path.dirname(program) else ", looked for in the folders of PATH"
    return type(error)(error.errno, f"command: got {program!r}: {error.strerror}{where}")
