"""ProcessComponent: a child process as a component.

Owns its settings, and that there is one process at a time. Elsewhere: the life of one (``child``).
"""

from __future__ import annotations

import os
import signal
from collections import deque

from holdfast.forks import mind
from holdfast.supervision.child import Child
from holdfast.supervision.component import Component
from holdfast.supervision.limits import read_limits
from holdfast.supervision.output import LAST_LINES
from holdfast.supervision.spawn import OUTPUTS, Plan, read_command, read_cwd, read_env
from holdfast.supervision.watching import watching
from holdfast.validation import Problems, explains_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta

    from holdfast.supervision.component import Exit

__all__ = ["ProcessComponent"]

_MOST_SIGNAL = int(max(signal.valid_signals()))


class ProcessComponent(Component):
    """A child process, which is started, watched and stopped with everything that it starts.

    The process leads a new session and process group. Its end is noticed at once, without
    a check. ``stop`` sends SIGTERM to the group, and SIGKILL after ``kill_after`` seconds; it
    returns when no process of the group runs any more, so there are never two instances. A process
    that leaves the group, as a daemon does, is not found. If this process ends without ``stop``,
    also by ``kill -9``, a guard sends SIGKILL to the group.

    Args:
        name: For messages and metrics, 1 to 200 characters.
        command: The program and its arguments, without a shell. The program is looked for in PATH.
        env: The whole environment; None: that of this process.
        cwd: The folder in which it runs; None: that of this process.
        output: "log": each line becomes a record of the logger ``holdfast.supervision``, at most
            1,000 lines a second, each of 8,192 bytes at most. "inherit": it writes to where this
            process writes. "discard": to nowhere.
        stdin: "discard": it has nothing to read. "inherit": it reads what this process would.
        limits: Resource limits by the names of ``resource.RLIMIT_…`` in small letters, such as
            ``{"nofile": 1024, "core": 0}``: one number for both, a tuple of the soft and the hard
            limit, None for no limit. They hold when the program begins. Linux only.
        stop_signal: The signal that ``stop`` sends first.
        kill_after: Seconds after that until SIGKILL, 0 to a hundred years. The ``stop_timeout``
            of the supervisor has to be longer.
        outlives: Whether the process goes on if this process ends without ``stop``.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and greenlets. A forked child has no part of it: there, it does
    not run, and ``stop`` does nothing.

    >>> from holdfast.supervision import ProcessComponent
    >>> peer = ProcessComponent("peer", ["sleep", "60"])
    >>> peer.start(); peer.running
    True
    >>> peer.stop(); peer.running
    False
    """

    @explains_names
    def __init__(
        self,
        name: str,
        command: Sequence[str | os.PathLike[str]],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        output: str = "log",
        stdin: str = "discard",
        limits: Mapping[str, int | tuple[int | None, int | None] | None] | None = None,
        stop_signal: int = signal.SIGTERM,
        kill_after: float | timedelta = 5.0,
        outlives: bool = False,
    ) -> None:
        problems = Problems("ProcessComponent", name)
        self.name = problems.name(name)
        self._plan = Plan(
            read_command(problems, command),
            read_env(problems, env),
            read_cwd(problems, cwd),
            problems.choice("output", output, OUTPUTS),
            problems.choice("stdin", stdin, ("discard", "inherit")) == "inherit",
            read_limits(problems, limits),
            problems.duration("kill_after", kill_after),
            problems.flag("outlives", outlives),
        )
        self._stop_signal = _read_signal(problems, stop_signal)
        problems.done()
        self._told: Callable[[Exit], object] | None = None
        self._run: Child | None = None
        self._exit: Exit | None = None
        self._last: deque[str] = deque(maxlen=LAST_LINES)

    @property
    def command(self) -> tuple[str, ...]:
        """The program and its arguments."""
        return self._plan.command

    @property
    def stop_signal(self) -> int:
        """The signal that ``stop`` sends first; it can be set, also while the process runs."""
        return self._stop_signal

    @stop_signal.setter
    def stop_signal(self, number: int) -> None:
        problems = Problems("ProcessComponent", self.name)
        number = _read_signal(problems, number)
        problems.done()
        self._stop_signal = number

    @property
    def kill_after(self) -> float:
        """Seconds from the first signal of ``stop`` to SIGKILL."""
        return self._plan.kill_after_ns / 1e9

    @property
    def group(self) -> int | None:
        """The process group, from a start until ``stop`` has ended all of it; else None."""
        run = self._run
        return None if run is None else run.pid

    @property
    def pid(self) -> int | None:
        """The process, or None while it does not run."""
        run = self._run
        return None if run is None or run.exit is not None else run.pid

    @property
    def running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self.pid is not None

    @property
    def exit(self) -> Exit | None:
        """How the last process has ended; None before the first has."""
        run = self._run
        return self._exit if run is None or run.exit is None else run.exit

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last 20 lines that the process has written, with ``output="log"``."""
        with watching.lock:
            return tuple(self._last)

    def watch(self, ended: Callable[[Exit], object]) -> None:
        """Have ``ended`` called once, in a new thread, when the next process ends without ``stop``.

        It is not called for a process that ``stop`` ends.
        """
        self._told = ended

    def start(self) -> None:
        """Start the process, and return once its program has begun.

        Raises:
            FileNotFoundError: The program or the folder does not exist.
            OSError: It cannot be started for another reason, such as a limit.
            RuntimeError: It runs already; no thread can be started; or ``stop`` was called
                meanwhile.
        """
        mind(self)
        if self._run is not None and self._run.exit is not None:
            self.stop()  # what the process has left behind that has ended by itself
        with watching.lock:
            if self._run is not None:
                raise RuntimeError(f"{self!r} runs already, with the pid {self._run.pid}")
            told, self._told = self._told, None
            run = self._run = Child(self.name, self._plan, told, self._last)
        try:
            run.start()
        except BaseException:
            self._end(run)
            raise
        if run.is_stopping:
            self._end(run)
            raise RuntimeError(f"{self!r} was stopped while it started")

    def stop(self) -> None:
        """End the process and its group, and return when none of it runs any more.

        It may be called from anywhere, at the same time from several threads, and any number of
        times.

        Raises:
            RuntimeError: A process still runs 5 seconds after SIGKILL, as it may while a disk does
                not answer; or a start has not come to its end. It can be called again.
            PermissionError: The processes belong to another user.
        """
        run = self._run
        if run is not None:
            self._end(run)

    def signal(self, number: int) -> bool:
        """Send the signal ``number`` to the group; return whether there was a process."""
        with watching.lock:
            run = self._run
            return run is not None and run.signal(number)

    def _after_fork(self) -> None:
        """In a forked child: the process is its parent's."""
        if self._run is not None:
            self._run.leave()
        self._run = self._told = None

    def _end(self, run: Child) -> None:
        run.end(self._stop_signal)
        with watching.lock:
            if self._run is run:
                self._run = None
                self._exit = run.exit


def _read_signal(problems: Problems, number: int) -> int:
    return problems.integer("stop_signal", number, least=1, most=_MOST_SIGNAL)
