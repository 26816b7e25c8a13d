"""``holdfast supervise``: one command under a supervisor, in the foreground.

Owns the signals and the exit code. Elsewhere: the arguments (``cli``), and what supervision does
(``holdfast.supervision``).
"""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING

from holdfast.health.check import Check
from holdfast.health.result import CheckResult
from holdfast.supervision.guard import guard
from holdfast.supervision.process import ProcessComponent
from holdfast.supervision.spawn import Plan, require_program
from holdfast.supervision.supervisor import Supervisor
from holdfast.validation import Problems

if TYPE_CHECKING:
    from types import FrameType

    from holdfast.events import Event as SupervisorEvent
    from holdfast.supervision.settings import Restart

__all__ = ["CANNOT_RUN", "NOT_FOUND", "CommandCheck", "Settings", "read_check", "run_supervised"]

BROKE = 1
CANNOT_RUN = 126
NOT_FOUND = 127
_SIGNALLED = 128

# What ends it, with the command; a second one kills the command. All others are passed on.
_STOPS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}
_PASSED_ON = {signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGALRM}
_ENDS = {"finished", "gave_up", "stopped"}
_LOOK_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What is supervised, and how. Immutable.

    Attributes:
        command: The program and its arguments.
        name: For messages.
        check: What tells whether it works; None: that it runs.
        restart: As of ``Supervisor.add``.
        attempts: How many attempts there are to restart it.
        first_delay: Seconds before the first of them; None: a second.
        cool_down: Seconds before more attempts; None: it ends when they are spent.
        interval: Seconds from one check to the next.
        timeout: How many seconds one check may take.
        start_timeout: How many seconds a start may take until the check passes.
        kill_after: Seconds from the signal that asks the command to end to SIGKILL.
    """

    command: tuple[str, ...]
    name: str
    check: Check | None = None
    restart: Restart = "transient"
    attempts: int = 3
    first_delay: float | None = None
    cool_down: float | None = None
    interval: float = 10.0
    timeout: float = 5.0
    start_timeout: float = 30.0
    kill_after: float = 5.0


class CommandCheck(Check):
    """Runs a command: the check passes if it ends with exit code 0 in time.

    Args:
        name: For messages and metrics, 1 to 200 characters.
        command: The program and its arguments, without a shell.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Immutable, so safe to share between threads and monitors.
    """

    __slots__ = ("_command",)

    def __init__(self, name: str, command: list[str]) -> None:
        self._command = command
        ProcessComponent(name, command)  # which refuses what is no command
        super().__init__(name)

    def probe(self) -> CheckResult:
        """Run the command, and leave none of its processes behind."""
        ended = Event()
        one = ProcessComponent(self.name, self._command, kill_after=0)
        one.watch(lambda _: ended.set())
        one.start()
        try:
            in_time = ended.wait(self.time_left() * 0.9)
        finally:
            one.stop()
        said = one.last_lines[-1] if one.last_lines else ""
        if not in_time:
            return CheckResult("failed", f"the command of the check has not ended {said}".strip())
        if one.exit is not None and one.exit.is_clean:
            return CheckResult("passed", "")
        return CheckResult("failed", f"the command of the check: {one.exit} {said}".strip())


def read_check(tcp: str | None, http: str | None, command: str | None) -> Check | None:
    """Return the check that the options ask for, if they do.

    Raises:
        ConfigError: It cannot be made of what was given; the message says why.
    """
    problems = Problems()
    if tcp is not None:
        host, _, port = tcp.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        is_number = port.isascii() and port.isdecimal() and len(port) <= 5
        if not host or not is_number or not 1 <= int(port) <= 65535:
            problems.refuse("--tcp", tcp, "a host and a port, such as 127.0.0.1:8000")
            problems.done()
        from holdfast.health.tcp import TcpCheck

        return TcpCheck("check", host, int(port))
    if http is not None:
        from holdfast.health.http import HttpCheck

        return HttpCheck("check", http)
    if command is not None:
        from shlex import split

        try:
            words = split(command)
        except ValueError as error:
            problems.refuse("--check", command, f"a command; {error}")
            problems.done()
            raise
        if not words:
            problems.refuse("--check", command, "a command")
        problems.done()
        return CommandCheck("check", words)
    return None


def run_supervised(settings: Settings) -> int:
    """Run a command until it is to run no more, and return the exit code.

    It is called in the main thread, whose signals it takes until then.

    Returns:
        The exit code of the command; 128 and the number of the signal that has ended it; 1 if the
        attempts to restart it are spent although it ended with 0 or still ran.

    Raises:
        FileNotFoundError: The program does not exist.
        PermissionError: It must not be run.
        ConfigError: A setting is invalid; the message lists all that are.
    """
    component = ProcessComponent(
        settings.name,
        settings.command,
        output="inherit",
        stdin="inherit",
        kill_after=settings.kill_after,
    )
    require_program(Plan(settings.command))
    supervisor = Supervisor(
        settings.name,
        max_restarts=None,
        cool_down=settings.cool_down,
        interval=settings.interval,
        timeout=settings.timeout,
    )
    supervisor.add(
        component,
        check=settings.check,
        restart=settings.restart,
        attempts=settings.attempts,
        first_delay=settings.first_delay,
        start_timeout=settings.start_timeout,
        stop_timeout=settings.kill_after + 10.0,
    )
    return _Foreground(component, supervisor).run()


class _Foreground:
    """The main thread, which waits for signals and for the end."""

    def __init__(self, component: ProcessComponent, supervisor: Supervisor) -> None:
        self._component = component
        self._supervisor = supervisor
        self._inbox: SimpleQueue[int | str] = SimpleQueue()
        self._is_stopping = False
        self._orphans = _Orphans(component) if os.getpid() == 1 else None

    def run(self) -> int:
        """Run until the command is to run no more."""
        with ExitStack() as restored:
            for number in [*_STOPS, *_PASSED_ON, *([signal.SIGCHLD] if self._orphans else [])]:
                if signal.getsignal(number) is signal.SIG_IGN and number != signal.SIGCHLD:
                    continue  # as nohup has it: the command ignores it as well
                before = signal.signal(number, self._note)
                restored.callback(signal.signal, number, before)
            self._supervisor.on_event(self._see)
            self._supervisor.start()
            end = self._wait_for_end()
            self._supervisor.stop(self._component.kill_after + 20.0)
        return self._exit_code(end)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._inbox.put(number)  # nothing else: it may interrupt anything

    def _see(self, event: SupervisorEvent) -> None:
        if event.kind in _ENDS:
            self._inbox.put(event.kind)

    def _wait_for_end(self) -> str:
        while True:
            look_again = self._orphans is not None and self._orphans.seen
            try:
                news = self._inbox.get(timeout=_LOOK_AGAIN_SECONDS if look_again else None)
            except Empty:
                news = int(signal.SIGCHLD)
            if isinstance(news, str):
                return news
            if news == signal.SIGCHLD:
                if self._orphans is not None:
                    self._orphans.reap()
            elif news not in _STOPS:
                self._component.signal(news)
            elif self._is_stopping:
                self._component.signal(signal.SIGKILL)
            else:
                self._is_stopping = True
                self._component.stop_signal = news
                self._supervisor.stop(timeout=0)

    def _exit_code(self, end: str) -> int:
        ended = self._component.exit
        if ended is None or ended.error is not None:
            return BROKE
        if ended.signal is not None:
            return _SIGNALLED + ended.signal
        return ended.code or (BROKE if end == "gave_up" else 0)


class _Orphans:
    """Processes whose parents have ended, and which are ours in a container where we are pid 1.

    One that stays a zombie for a second is nobody's, and is reaped.
    """

    def __init__(self, component: ProcessComponent) -> None:
        self.seen: dict[int, float] = {}
        self._component = component

    def reap(self) -> None:
        """Reap those that have been zombies for a while."""
        ours = {self._component.group, guard.pid}
        zombies = [pid for pid in _zombies_of(os.getpid()) if pid not in ours]
        now = monotonic()
        self.seen = {pid: self.seen.get(pid, now) for pid in zombies}
        for pid, since in list(self.seen.items()):
            if now - since >= _LOOK_AGAIN_SECONDS:
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
                del self.seen[pid]


def _zombies_of(parent: int) -> list[int]:
    found: list[int] = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                columns = file.read().rpartition(b")")[2].split(None, 2)
                if columns[0] == b"Z" and int(columns[1]) == parent:
                    found.append(int(name))
    return found
