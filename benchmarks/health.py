"""What a health monitor costs, and how soon it knows that a dependency is dead.

Run from the project's root: ``python -m benchmarks.health``. Each line is measured in a process of
its own, and the servers that are checked are in another one. It prints a table for
docs/health.md, and fails nothing. ``--short`` takes a tenth of the time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic, process_time, sleep

from holdfast.health import HealthMonitor, PingCheck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
# Opens ports, and closes one when it is told to, for two seconds.
SERVERS = """
import selectors, socket, sys, threading, time
servers = [socket.create_server(("127.0.0.1", 0), backlog=16) for _ in range(int(sys.argv[1]))]
print(*[server.getsockname()[1] for server in servers], flush=True)
waiting = selectors.DefaultSelector()
for server in servers:
    server.setblocking(False)
    waiting.register(server, selectors.EVENT_READ)
def open_again(address):
    server = socket.create_server(address, backlog=16)
    server.setblocking(False)
    waiting.register(server, selectors.EVENT_READ)
def take_orders():
    for line in sys.stdin:
        server = servers[int(line)]
        address = server.getsockname()
        waiting.unregister(server)
        server.close()
        print(time.monotonic(), flush=True)
        threading.Timer(2, open_again, (address,)).start()
threading.Thread(target=take_orders, daemon=True).start()
while True:
    for key, _ in waiting.select(0.01):
        try:
            key.fileobj.accept()[0].close()
        except OSError:
            pass
"""

Figures = dict[str, float]


class Servers:
    """Ports that accept connections in another process, until they are closed."""

    def __init__(self, n: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVERS, str(n)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ports = [int(port) for port in self._line().split()]

    def close(self, at: int) -> float:
        """Close a port; return when it was closed, which all processes call by the same time."""
        assert self._process.stdin is not None
        print(at, file=self._process.stdin, flush=True)
        return float(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


def nothing() -> None:
    """Check nothing, successfully."""


def share(monitor: HealthMonitor, seconds: float) -> Figures:
    """Return how much of a processor a monitor takes, and what one check of it costs."""

    def checks() -> int:
        return sum(one.check_count for one in monitor.status().values())

    with monitor:
        while not monitor.is_healthy:
            sleep(0.05)
        sleep(1)  # the first round is over
        before, began, used = checks(), monotonic(), process_time()
        sleep(seconds)
        used, passed = process_time() - used, monotonic() - began
        number = checks() - before
        threads = threading.active_count()
    return {
        "percent of a core": used / passed * 100,
        "checks a second": number / passed,
        "µs a check": used / number * 1e6,
        "threads": threads,
    }


def pings(n: int, interval: float, seconds: float) -> Figures:
    """Run checks that do nothing."""
    monitor = HealthMonitor("bench", interval=interval)
    for at in range(n):
        monitor.add(PingCheck(f"ping {at}", nothing))
    return share(monitor, seconds)


def tcp(n: int, interval: float, seconds: float) -> Figures:
    """Connect to ports that answer."""
    from holdfast.health import TcpCheck

    servers = Servers(n)
    monitor = HealthMonitor("bench", interval=interval, timeout=1)
    for at, port in enumerate(servers.ports):
        monitor.add(TcpCheck(f"tcp {at}", "127.0.0.1", port))
    try:
        return share(monitor, seconds)
    finally:
        servers.end()


def detection(n: int, interval: float, failures: int, seconds: float) -> Figures:
    """Close one port after the other, at random moments, and note when each is known as dead."""
    from holdfast.health import TcpCheck

    servers = Servers(n)
    known: dict[str, float] = {}
    monitor = HealthMonitor(
        "bench",
        interval=interval,
        timeout=1,
        on_unhealthy=lambda name, _: known.setdefault(name, monotonic()),
    )
    for at, port in enumerate(servers.ports):
        monitor.add(TcpCheck(str(at), "127.0.0.1", port, failures=failures))
    closed: dict[str, float] = {}
    dice = random.Random(1)
    order = dice.sample(range(n), n)
    with monitor:
        while not monitor.is_healthy:
            sleep(0.05)
        sleep(2)
        until = monotonic() + seconds
        used, began = process_time(), monotonic()
        for at in order:
            if monotonic() > until:
                break
            sleep(dice.uniform(0, 2 * seconds / n))
            closed[str(at)] = servers.close(at)
        used = (process_time() - used) / (monotonic() - began)
        sleep(2)
        unproven = sum(one.unproven_count for one in monitor.status().values())
    servers.end()
    took = sorted(known[name] - at for name, at in closed.items())
    return {
        "closed": len(took),
        "p50 s": took[len(took) // 2],
        "p99 s": took[len(took) * 99 // 100],
        "longest s": took[-1],
        "percent of a core": used * 100,
        "unproven": unproven,
    }


LINES: dict[str, Callable[[float], Figures]] = {
    "10 pings at 1 s": lambda seconds: pings(10, 1, seconds),
    "1,000 pings at 1 s": lambda seconds: pings(1_000, 1, seconds),
    "20,000 pings at 10 s": lambda seconds: pings(20_000, 10, 2 * seconds),
    "200 TCP at 1 s": lambda seconds: tcp(200, 1, seconds),
    "200 TCP at 0.45 s": lambda seconds: tcp(200, 0.45, seconds),
    "dead, 200 TCP at 0.45 s, failures=1": lambda seconds: detection(200, 0.45, 1, 2 * seconds),
    "dead, 200 TCP at 0.25 s, failures=3": lambda seconds: detection(200, 0.25, 3, 2 * seconds),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("-k", default="", help="only lines with this in their name")
    parser.add_argument("--line", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.line is not None:
        print(json.dumps(LINES[given.line](1 if given.short else 10)))
        return
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors")
    for name in [name for name in LINES if given.k in name]:
        command = [sys.executable, "-m", "benchmarks.health", "--line", name]
        command += ["--short"] * given.short
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        figures = json.loads(done.stdout)
        print(f"{name}: " + ", ".join(f"{key} {value:.4g}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
