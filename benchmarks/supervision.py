"""What it costs to supervise components: processor time, memory, and the time of a start.

Run from the project's root: ``python -m benchmarks.supervision``. Each line is measured in a
process of its own. The components do nothing, and their checks, asked once a second, pass at once:
what is left is the supervisor's. It prints a table for docs/restarts.md, and fails nothing.
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

from holdfast.supervision import Component, Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.supervision.status import SupervisorSnapshot

ROOT = Path(__file__).resolve().parent.parent
Figures = dict[str, float]


class Nothing(Component):
    """Begins and ends no work."""

    def __init__(self, name: str) -> None:
        self.name = name

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


class Checked(Nothing):
    """Works, whenever it is asked."""

    def check(self) -> bool:
        return True


def memory() -> int:
    """Return the bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def made(n: int, interval: float | None) -> Supervisor:
    """Return a supervisor of so many components; None: they have no checks."""
    supervisor = Supervisor("bench", interval=interval or 1, max_restarts=None)
    kind = Checked if interval else Nothing
    for at in range(n):
        supervisor.add(kind(f"component {at}"))
    return supervisor


def checks_of(shown: SupervisorSnapshot) -> int:
    return sum(one.check.check_count for one in shown.components.values() if one.check)


class Course:
    """The figures of one supervisor, from its beginning to its end."""

    def __init__(self, n: int, interval: float | None) -> None:
        self._n = n
        self._before, began = memory(), monotonic()
        self.supervisor = made(n, interval)
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


def in_threads(n: int, seconds: float, interval: float | None = 1) -> Figures:
    """Supervise with ``start``."""
    course = Course(n, interval)
    supervisor = course.supervisor
    supervisor.start()
    if not supervisor.wait_until_running(300):
        raise TimeoutError(str(supervisor))
    course.started()
    sleep(2 + (interval or 0))
    course.begin()
    sleep(seconds)
    course.end()
    began = monotonic()
    supervisor.stop(timeout=120)
    return course.stopped(began)


def in_a_loop(n: int, seconds: float) -> Figures:
    """Supervise with ``astart``."""

    async def run() -> Figures:
        course = Course(n, 1)
        supervisor = course.supervisor
        await supervisor.astart()
        if not await supervisor.await_until_running(300):
            raise TimeoutError(str(supervisor))
        course.started()
        await asyncio.sleep(3)
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
    "20,000, each 10 s": lambda seconds: in_threads(20_000, seconds, 10),
    "20,000 without checks": lambda seconds: in_threads(20_000, seconds, None),
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
