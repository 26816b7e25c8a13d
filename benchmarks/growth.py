"""How the cost of one more grows with what is there: policies, waiters, blocks, listeners, files.

Run from the project's root: ``python -m benchmarks.growth``. Each point is measured in a process of
its own, so none disturbs another; a point that takes too long is left out. It writes
benchmarks/growth.json, and fails nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import perf_counter, process_time

import holdfast as hf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "growth.json"
SIZES = (10, 100, 1_000, 5_000, 20_000)
FEWER, FEW = SIZES[:-1], SIZES[:3]  # of what takes up to a millisecond each, or several
PATIENCE = 40  # seconds for one point
AT_LEAST = 0.02  # seconds that small numbers are repeated for
RATE = 100  # tokens a second of the limiters that tasks wait at

Figures = dict[str, float]


def least_us(
    n: int, *steps: Callable[[], object], clock: Callable[[], float] = process_time
) -> list[float]:
    """Return the least microseconds for one of ``n`` of each step; the steps are done in turn.

    They are of CPU time: others use the machine as well. That of a child is not in it.
    """
    least, began, passes = [float("inf")] * len(steps), perf_counter(), 0
    while True:
        passes += 1
        for at, step in enumerate(steps):
            start = clock()
            step()
            least[at] = min(least[at], (clock() - start) / n * 1e6)
        if passes > 1 and perf_counter() - began > AT_LEAST:
            return least


def collected(kept: list[Any]) -> None:
    """Let go of everything, and of what only the collector finds."""
    kept.clear()
    gc.collect()


# ---- what is measured: functions of how many, in a process of their own ----


def policies(name: Callable[[int], str], n: int) -> Figures:
    """Make breakers, and let go of them."""
    kept: list[hf.Policy] = []

    def make() -> None:
        kept.extend(hf.CircuitBreaker(name(at)) for at in range(n))

    make()
    collected(kept)
    made, let_go = least_us(n, make, partial(collected, kept))
    return {"made": made, "let go": let_go}


def pipelines_of(n: int) -> list[hf.Pipeline]:
    return [hf.Pipeline.standard(f"pipeline {at}", on=OSError) for at in range(n)]


def pipelines(n: int) -> Figures:
    """Make standard pipelines, and fork with them."""

    def fork() -> None:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

    pipelines_of(1)
    (before,) = least_us(1, fork, clock=perf_counter)
    began = process_time()
    kept = pipelines_of(n)
    made = (process_time() - began) / n * 1e6
    (with_them,) = least_us(1, fork, clock=perf_counter)
    return {"made": made, "fork": max(0.0, with_them - before) / len(kept)}


def scrapes(n: int) -> Figures:
    """Scrape standard pipelines that have had a call each."""
    kept = pipelines_of(n)
    for pipeline in kept:
        pipeline.call(int)
    scrape = scrape_here()
    scrape()
    (us,) = least_us(n, scrape)
    return {"scrape": us}


def scrape_here() -> Callable[[], object]:
    from prometheus_client import CollectorRegistry, generate_latest

    from holdfast.telemetry.prometheus import Collector

    registry = CollectorRegistry()
    registry.register(Collector())
    return partial(generate_latest, registry)


def refusals(n: int) -> Figures:
    """Ask for a slot where ``n`` tasks wait, as many as may."""

    async def main() -> float:
        bulkhead = hf.Bulkhead("full", max_concurrent=1, max_waiting=n, max_wait=3600)
        await bulkhead.aenter()
        waiting = [asyncio.ensure_future(bulkhead.aenter()) for _ in range(n)]
        await asyncio.sleep(0.1)

        def refused() -> None:
            for _ in range(100):
                try:
                    bulkhead.enter()
                except hf.BulkheadFullError:
                    continue
                raise AssertionError("was let in")

        (us,) = least_us(100, refused)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        return us

    return {"refused": asyncio.run(main())}


def waiters(acquire_of: Callable[[], Callable[[], Any]], n: int) -> Figures:
    """Have tasks come to a limiter, wait for a second, and leave it."""
    pauses = [0.0]

    def beat(loop: asyncio.AbstractEventLoop, expected: float) -> None:
        now = perf_counter()
        pauses.append(now - expected)
        loop.call_later(0.002, beat, loop, now + 0.002)

    async def main() -> float:
        loop = asyncio.get_running_loop()
        beat(loop, perf_counter())
        await asyncio.sleep(0.1)
        acquire, tasks = acquire_of(), []
        began = process_time()
        await asyncio.sleep(1)
        idle, began = process_time() - began, process_time()
        for at in range(n):
            tasks.append(asyncio.ensure_future(acquire()))
            if at % 20 == 0:
                await asyncio.sleep(0)  # they come by and by, not in one round of the loop
        pauses[:] = [0.0]
        await asyncio.sleep(1)
        longest = max(pauses)
        if sum(task.done() for task in tasks) > 4 * RATE:
            raise AssertionError("they did not wait")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        figures["pause"] = longest * 1e3
        return max(0.0, process_time() - began - idle) / n * 1e6

    figures: Figures = {}
    figures["cpu"] = asyncio.run(main())
    return figures


def at_holdfast() -> Callable[[], Any]:
    limiter = hf.RateLimiter("l", rate=RATE, window="sliding", max_wait=None)
    return limiter.aacquire


def at_aiolimiter() -> Callable[[], Any]:
    from aiolimiter import AsyncLimiter

    return AsyncLimiter(RATE, 1).acquire


def blocks(make: Callable[[], Any], n: int) -> Figures:
    """Have so many blocks of one policy open in a thread, and leave them."""
    policy = make()

    def enter_and_leave() -> None:
        with ExitStack() as stack:
            for _ in range(n):
                stack.enter_context(policy)

    (us,) = least_us(n, enter_and_leave)
    return {"entered and left": us}


def listeners(n: int) -> Figures:
    """Add so many listeners to one policy, tell them of two events, and remove them."""
    breaker = hf.CircuitBreaker("b")
    ends: list[Callable[[], None]] = []

    def come() -> None:
        ends.extend(breaker.on_event(lambda _: None) for _ in range(n))

    def tell() -> None:
        breaker.trip()
        breaker.reset()

    def go() -> None:
        for end in ends:
            end()
        ends.clear()

    came, told, gone = least_us(n, come, tell, go)
    return {"come and go": came + gone, "told": told / 2}


def dead_workers(n: int) -> Figures:
    """Scrape where so many workers have died with a call each, and see what is left of them."""
    breaker = hf.CircuitBreaker("b")
    breaker.call(int)
    scrape = scrape_here()
    scrape()
    for _ in range(n):
        child = os.fork()
        if child == 0:
            breaker.call(int)
            os._exit(0)
        os.waitpid(child, 0)
    where = Path(os.environ["HOLDFAST_DIR"])
    left = sum(file.stat().st_blocks * 512 for file in where.rglob("*") if file.is_file())
    began = process_time()
    scrape()
    return {"kB": left / n / 1e3, "scrape": (process_time() - began) / n * 1e6}


# ---- the curves ----

WORK: dict[str, Callable[[int], Figures]] = {
    "own names": partial(policies, "policy {}".format),
    "one name": partial(policies, lambda _: "policy"),
    "pipelines": pipelines,
    "scrapes": scrapes,
    "refusals": refusals,
    "holdfast": partial(waiters, at_holdfast),
    "aiolimiter": partial(waiters, at_aiolimiter),
    "breaker": partial(blocks, lambda: hf.CircuitBreaker("b")),
    "timeout": partial(blocks, lambda: hf.Timeout(3600)),
    "listeners": listeners,
    "dead workers": dead_workers,
}

# What is drawn together: title, unit, and of each line its label, work, figure and whether it has
# a HOLDFAST_DIR.
ALONE, WITH_DIR = "alone", "with HOLDFAST_DIR"
Line = tuple[str, str, str, bool]


def both(work: str, figure: str) -> list[Line]:
    return [(ALONE, work, figure, False), (WITH_DIR, work, figure, True)]


PANELS: list[tuple[str, str, list[Line]]] = [
    ("policies made, own names", "µs each", both("own names", "made")),
    ("policies made, one name", "µs each", both("one name", "made")),
    ("policies let go, own names", "µs each", both("own names", "let go")),
    ("policies let go, one name", "µs each", both("one name", "let go")),
    ("standard pipelines made", "µs each", both("pipelines", "made")),
    ("fork with pipelines", "µs each", both("pipelines", "fork")),
    ("scrape of pipelines", "µs each", both("scrapes", "scrape")),
    ("refusal by a full queue", "µs", [(ALONE, "refusals", "refused", False)]),
    (
        "tasks waiting at a limiter",
        "µs of CPU each",
        [(name, name, "cpu", False) for name in ("holdfast", "aiolimiter")],
    ),
    (
        "… longest pause of the loop",
        "ms",
        [(name, name, "pause", False) for name in ("holdfast", "aiolimiter")],
    ),
    (
        "open blocks",
        "µs each",
        [(name, name, "entered and left", False) for name in ("breaker", "timeout")],
    ),
    (
        "listeners",
        "µs each",
        [(name, "listeners", name, False) for name in ("come and go", "told")],
    ),
    ("scrape after workers died", "µs a worker", [(WITH_DIR, "dead workers", "scrape", True)]),
    ("disk that dead workers leave", "kB a worker", [(WITH_DIR, "dead workers", "kB", True)]),
]

SIZES_OF = {
    "pipelines": FEWER,
    "scrapes": FEW,
    "dead workers": FEW,
    "holdfast": SIZES[1:],  # of fewer, the loop itself costs more
    "aiolimiter": SIZES[1:],
}


def measure_apart(work: str, n: int, with_dir: bool) -> Figures:
    """Measure one point in a process of its own; no figures where that fails or takes too long."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
    command = [sys.executable, "-m", "benchmarks.growth", "--point", work, "--n", str(n)]
    with tempfile.TemporaryDirectory(prefix="holdfast-growth-") as directory:
        if with_dir:
            environment["HOLDFAST_DIR"] = directory
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=environment, check=True, timeout=PATIENCE,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return {}
    found: Figures = json.loads(done.stdout)
    return found


def measure(most: int = SIZES[-1]) -> list[dict[str, Any]]:
    """Return all panels with their lines: figures by how many there were."""
    found: dict[tuple[str, bool], dict[int, Figures]] = {}
    for _, _, lines in PANELS:
        for _, work, _, with_dir in lines:
            if (work, with_dir) not in found:
                sizes = [n for n in SIZES_OF.get(work, SIZES) if n <= most]
                found[work, with_dir] = {n: measure_apart(work, n, with_dir) for n in sizes}
    return [
        {
            "title": title,
            "unit": unit,
            "lines": {
                label: {
                    n: round(figures[figure], 3)
                    for n, figures in found[work, with_dir].items()
                    if figure in figures
                }
                for label, work, figure, with_dir in lines
            },
        }
        for title, unit, lines in PANELS
    ]


def number(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 10 else f"{figure:.2g}"


def table(panels: Iterable[dict[str, Any]]) -> list[str]:
    """Return the figures in Markdown; those that were written to a file have numbers as text."""
    lines = [
        f"| cost of one more, of so many | {' | '.join(f'{n:,}' for n in SIZES)} |",
        f"|---|{'---:|' * len(SIZES)}",
    ]
    for panel in panels:
        for label, points in panel["lines"].items():
            figures = {int(n): figure for n, figure in points.items()}
            shown = [number(figures[n]) if n in figures else "–" for n in SIZES]
            what = f"{panel['title']}, {label}, {panel['unit']}"
            lines.append(f"| {what} | {' | '.join(shown)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how costs grow.")
    parser.add_argument("--most", type=int, default=SIZES[-1], help="the largest number of each")
    parser.add_argument("--point", choices=WORK, help=argparse.SUPPRESS)
    parser.add_argument("--n", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.point:
        gc.collect()
        gc.freeze()  # what was imported costs the collector nothing
        print(json.dumps(WORK[arguments.point](arguments.n)))
        return
    everything = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    version = ".".join(platform.python_version_tuple()[:2])
    everything[version + getattr(sys, "abiflags", "")] = panels = measure(arguments.most)
    RESULTS.write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n")
    print("\n".join(table(panels)))


if __name__ == "__main__":
    main()
