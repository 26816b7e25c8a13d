"""What it costs to supervise components: processor time, memory, and the time of a start.

Run from the project's root: ``python -m benchmarks.supervision``. Each line is measured in a
process of its own. The components do nothing, and their checks, asked once a second, pass at once:
what is left is the supervisor's. It prints a table for docs/supervision.md, and fails nothing.
``--short`` takes a tenth of the time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic, process_time, sleep

from holdfast.supervision import CallableComponent, Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.supervision.status import SupervisorSnapshot

ROOT = Path(__file__).resolve().parent.parent
Figures = dict[str, float]


def nothing() -> None:
    """Begin or end no work."""


def works() -> bool:
    """Check nothing, successfully."""
    return True


def memory() -> int:
    """Return the bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def made(n: int, *, checked: bool = True) -> Supervisor:
    """Return a supervisor of so many components."""
    supervisor = Supervisor("bench", interval=1, max_restarts=None)
    check = works if checked else None
    for at in range(n):
        supervisor.add(CallableComponent(f"component {at}", nothing, nothing, check=check))
    return supervisor


def checks_of(shown: SupervisorSnapshot) -> int:
    return sum(one.check.check_count for one in shown.components.values() if one.check)


class Course:
    """The figures of one supervisor, from its beginning to its end."""

    def __init__(self, n: int, *, checked: bool = True) -> None:
        self._n = n
        self._before, began = memory(), monotonic()
        self.supervisor = made(n, checked=checked)
        self.figures: Figures = {"added in s": monotonic() - began}
        self._began, self._used = monotonic(), process_time()
        self._checks = 0

    def started(self) -> None:
        self.figures["started in s"] = monotonic() - self._began
        self.figures["CPU of a start µs"] = (process_time() - self._used) / self._n * 1e6
        self.figures["KiB each"] = (memory() - self._before) / self._n / 1024

    def begin(self) -> None:
        """Begin to measure: the first round of checks is over."""
        self._checks = checks_of(self.supervisor.snapshot())
        self._began, self._used = monotonic(), process_time()

    def end(self) -> None:
        used, passed = process_time() - self._used, monotonic() - self._began
        number = checks_of(self.supervisor.snapshot()) - self._checks
        self.figures |= {
            "percent of a core": used / passed * 100,
            "checks a second": number / passed,
            "µs a check": used / number * 1e6 if number else 0,
            "threads": threading.active_count(),
        }

    def stopped(self, began: float) -> Figures:
        return self.figures | {"stopped in s": monotonic() - began}


def in_threads(n: int, seconds: float, *, checked: bool = True) -> Figures:
    """Supervise with ``start``."""
    course = Course(n, checked=checked)
    supervisor = course.supervisor
    supervisor.start()
    while not supervisor.snapshot().healthy:
        sleep(0.05)
    course.started()
    sleep(2)
    course.begin()
    sleep(seconds)
    course.end()
    began = monotonic()
    supervisor.stop(timeout=120)
    return course.stopped(began)


def in_a_loop(n: int, seconds: float) -> Figures:
    """Supervise with ``astart``."""

    async def run() -> Figures:
        course = Course(n)
        supervisor = course.supervisor
        await supervisor.astart()
        while not supervisor.snapshot().healthy:  # noqa: ASYNC110 - a benchmark may ask again
            await asyncio.sleep(0.05)
        course.started()
        await asyncio.sleep(2)
        course.begin()
        await asyncio.sleep(seconds)
        course.end()
        began = monotonic()
        await supervisor.astop(timeout=120)
        return course.stopped(began)

    return asyncio.run(run())


LINES: dict[str, Callable[[float], Figures]] = {
    "10": lambda seconds: in_threads(10, seconds),
    "200": lambda seconds: in_threads(200, seconds),
    "1,000": lambda seconds: in_threads(1_000, seconds),
    "20,000": lambda seconds: in_threads(20_000, seconds),
    "20,000 without checks": lambda seconds: in_threads(20_000, seconds, checked=False),
    "200 in an event loop": lambda seconds: in_a_loop(200, seconds),
    "1,000 in an event loop": lambda seconds: in_a_loop(1_000, seconds),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("-k", default="", help="only lines with this in their name")
    parser.add_argument("--line", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.line is not None:
        print(json.dumps(LINES[given.line](2 if given.short else 20)))
        return
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, load {load:.1f}")
    for name in [name for name in LINES if given.k in name]:
        command = [sys.executable, "-m", "benchmarks.supervision", "--line", name]
        command += ["--short"] * given.short
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(done.stderr)
        figures = json.loads(done.stdout)
        print(f"{name}: " + ", ".join(f"{key} {value:.4g}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
