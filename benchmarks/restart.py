"""How soon a process that was killed is back: holdfast's supervisor beside others.

Run from the project's root: ``python -m benchmarks.restart``. Each supervisor runs the same
program, a static one of a few lines in C that writes down when it began. It is killed again and
again, in all of them during the same time; what counts is the time from the kill to the first
instruction of the next process. Needs a C compiler; supervisord (Debian's ``supervisor``) and
circus (extra ``compare``) are left out where they are missing. It prints a table for
docs/restarts.md, and fails nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from select import select
from time import monotonic, monotonic_ns, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    # What runs the program, of a folder for its own files and the program's command.
    CommandOf = Callable[[Path, list[str]], list[str]]

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0  # seconds for the first start, and for each restart

# Writes its number and the time, and waits to be killed.
PROGRAM = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
int main(int argc, char *argv[])
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    (void)argc;
    int fd = open(argv[1], O_WRONLY | O_CLOEXEC);
    dprintf(fd, "%d %lld\\n", getpid(), now.tv_sec * 1000000000LL + now.tv_nsec);
    for (;;)
        pause();
}
"""

HOLDFAST = """
import signal, sys
from holdfast import Supervisor
from holdfast.supervision import ProcessComponent

supervisor = Supervisor("bench", max_restarts=None)
supervisor.add(
    ProcessComponent("killed", sys.argv[2:]),
    backoff=float(sys.argv[1]),
    attempts=1_000_000,
    healthy_after=0,
)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
with supervisor:
    signal.sigwait({signal.SIGTERM})
"""

SUPERVISORD = """
[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile={folder}/supervisord.pid

[program:killed]
command={command}
autorestart=true
startsecs=0
stdout_logfile=/dev/null
stderr_logfile=/dev/null
"""

CIRCUS = """
[circus]
endpoint=ipc://{folder}/control
pubsub_endpoint=ipc://{folder}/events
loglevel=CRITICAL
check_delay={delay}

[watcher:killed]
cmd={command}
warmup_delay=0
max_retry=-1
"""


class MissingError(Exception):
    """A contender is not on this machine."""


def holdfast(delay: float) -> CommandOf:
    return lambda folder, program: [sys.executable, "-c", HOLDFAST, str(delay), *program]


def supervisord(folder: Path, program: list[str]) -> list[str]:
    return configured("supervisord", SUPERVISORD, "-c", folder, program)


def circus(delay: float) -> CommandOf:
    settings = CIRCUS.replace("{delay}", str(delay))
    return lambda folder, program: configured("circusd", settings, "", folder, program)


def configured(
    name: str, template: str, option: str, folder: Path, program: list[str]
) -> list[str]:
    """Write a file of settings; return the command that reads it."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise MissingError(name)
    settings = folder / "settings.ini"
    settings.write_text(template.format(folder=folder, command=" ".join(program)))
    return [found, *([option] if option else []), str(settings)]


def shell(folder: Path, program: list[str]) -> list[str]:
    del folder
    return ["/bin/sh", "-c", 'while :; do "$@"; done 2>/dev/null', "sh", *program]


CONTENDERS: dict[str, CommandOf] = {
    "holdfast": holdfast(0),
    "holdfast, back-off of 50 ms": holdfast(0.05),
    "supervisord": supervisord,
    "circus": circus(5),
    "circus, check_delay of 0.1 s": circus(0.1),
    "shell loop": shell,
}


def compiled(folder: Path) -> Path:
    """Return the program, static so that no loader runs before it."""
    compiler = os.environ.get("CC") or shutil.which("cc")
    if compiler is None:
        raise SystemExit("no C compiler is found")
    source = folder / "program.c"
    source.write_text(PROGRAM)
    made = folder / "program"
    subprocess.run([compiler, "-O1", "-static", "-o", made, source], check=True)
    return made


class Births:
    """What the processes write down: their number and when they began."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDWR)  # for writing too: no end of file between two of them
        self._rest = b""

    def next(self, patience: float = PATIENCE) -> tuple[int, int]:
        """Return the next process, and the nanosecond at which it began."""
        until = monotonic() + patience
        while b"\n" not in self._rest:
            if not select([self._fd], [], [], max(0, until - monotonic()))[0]:
                raise TimeoutError(f"no process has begun within {patience:g} s")
            self._rest += os.read(self._fd, 4096)
        line, _, self._rest = self._rest.partition(b"\n")
        pid, began = line.split()
        return int(pid), int(began)

    def are_none(self) -> bool:
        """Whether nobody has begun that was not asked for."""
        return not self._rest and not select([self._fd], [], [], 0)[0]

    def close(self) -> None:
        os.close(self._fd)


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a supervisor, and end it."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def restarts(command_of: CommandOf, kills: int, seconds: float) -> list[float]:
    """Kill the program again and again; return how long it took each time, in seconds.

    Args:
        command_of: Gives the command of the supervisor.
        kills: How often to kill it,
        seconds: but not for longer.
    """
    dice = random.Random(1)
    took: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = compiled(folder)
        births = Births(folder / "births")
        command = command_of(folder, [str(program), str(folder / "births")])
        pid = 0
        try:
            with running(command, folder):
                pid, _ = births.next()
                until = monotonic() + seconds
                while len(took) < kills and monotonic() < until:
                    sleep(dice.uniform(0.02, 0.06))  # where the supervisor may be in its loop
                    if not births.are_none():
                        raise RuntimeError("two processes ran at once")
                    killed = monotonic_ns()
                    os.kill(pid, signal.SIGKILL)
                    pid, began = births.next()
                    took.append((began - killed) / 1e9)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {(folder / 'log').read_text()[-2000:]}") from None
        finally:
            births.close()
            if pid:
                end(pid)
    return took


def end(pid: int) -> None:
    """End the last process, which a shell loop that was ended leaves behind."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", default="", help="only contenders with this in their name")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=300, help="the most for each contender")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, load {load:.1f}")
    print("| supervisor | kills | p50 | p99 | longest |")
    print("|---|---:|---:|---:|---:|")
    names = [name for name in CONTENDERS if given.k in name]
    with ThreadPoolExecutor(len(names)) as threads:  # all at once: under one load
        running = [
            threads.submit(restarts, CONTENDERS[name], given.kills, given.seconds) for name in names
        ]
    for name, one in zip(names, running, strict=True):
        try:
            took = sorted(one.result())
        except MissingError as missing:
            print(f"| {name} | | {missing} is not installed | | |")
            continue
        p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
        figures = " | ".join(f"{seconds * 1e3:.1f} ms" for seconds in (p50, p99, took[-1]))
        print(f"| {name} | {len(took)} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
