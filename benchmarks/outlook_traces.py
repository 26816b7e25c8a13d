"""Records traces of the demo's upstream under scripted faults, for ``benchmarks.outlook``.

Run from the project's root: ``python -m benchmarks.outlook_traces tests/health/traces``. It takes
about four minutes. 20 traces end in an outage, 20 do not. Each has one upstream, which
serves real requests over the loopback. A line of a trace is a tenth of a second of real traffic:

    calls,errors,latency,probe[,late]

the calls that ended, the errors among them, the median duration of those that were answered or
timed out, and the duration of one request of a checker; both in tenths of a millisecond. ``-``:
there was no answer. ``late``: this process itself did not run for 50 ms, so the line proves
nothing. The first line of a file names the trace, its half, and the line at which the fault begins.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

from holdfast.demo.process import UpstreamProcess
from holdfast.demo.upstream import HOST, Behaviour

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

LINE_SECONDS = 0.1
CALLS = 4.0  # a line, on average
PATIENCE = 0.35  # seconds that a call waits; an upstream that stalls takes 0.4
LATE = 0.05
TICK = 0.01
AT_ONCE = 8  # traces that are recorded at the same time
BEFORE = 200  # lines before a fault begins
SPEEDS = (40, 80, 160, 320)  # lines from the beginning of a fault to its full size
AFTER = 15  # lines after that
CLEAN = 500  # lines of a trace without a fault
SHORTEST, LONGEST = 0.004, 0.012  # seconds an upstream takes that is well


@dataclass(frozen=True)
class Script:
    """The behaviour of one upstream and the number of its calls, for each line."""

    name: str
    tune: bool
    onset: int | None
    lines: tuple[tuple[Behaviour | None, float], ...]


# ---- the scripts ----


def _usual(line: int, rng_phase: float, swing: float = 0.3, period: float = 170.0) -> float:
    return 1 + swing * math.sin(2 * math.pi * line / period + rng_phase)


def _took(factor: float, failing: float = 0.0, stalling: float = 0.0) -> Behaviour:
    return Behaviour(
        min(0.6, SHORTEST * factor),
        min(0.6, LONGEST * factor),
        min(1.0, failing),
        min(1.0, stalling),
    )


def _slower(x: float, line: int) -> Behaviour | None:
    return _took(16.0 ** min(x, 1.0) * (1.0 if x < 1 else 3.0))


def _errors(x: float, line: int) -> Behaviour | None:
    return _took(1.0, failing=0.5 * x if x < 1 else 1.0)


def _stalls(x: float, line: int) -> Behaviour | None:
    return _took(1.0, stalling=0.5 * x if x < 1 else 1.0)


def _leak(x: float, line: int) -> Behaviour | None:
    if x >= 1:
        return None
    pause = 1 + 6 * x if line % 12 == 0 else 1.0
    return _took((1 + 2 * x * x) * pause)


def _quiet_leak(x: float, line: int) -> Behaviour | None:
    return None if x >= 1 else _took(1 + 0.5 * x, failing=0.04 * x)


FAULTS: dict[str, Callable[[float, int], Behaviour | None]] = {
    "slower": _slower,
    "errors": _errors,
    "stalls": _stalls,
    "leak": _leak,
    "quiet-leak": _quiet_leak,
}


def _scaled(behaviour: Behaviour | None, by: float) -> Behaviour | None:
    if behaviour is None:
        return None
    return behaviour._replace(shortest=behaviour.shortest * by, longest=behaviour.longest * by)


def faulty(kind: str, speed: int, tune: bool) -> Script:
    """Return a script with load that swings, and a fault that grows until nothing works."""
    rng = random.Random(f"{kind} {speed}")
    onset, phase = BEFORE + rng.randrange(30), rng.uniform(0, 6)
    lines: list[tuple[Behaviour | None, float]] = []
    for line in range(onset + speed + AFTER):
        usual = _usual(line, phase)
        x = (line - onset) / speed
        behaviour = _took(1.0) if x < 0 else FAULTS[kind](x, line)
        lines.append((_scaled(behaviour, usual), CALLS * usual))
    return Script(f"{kind}-{speed}", tune, onset, tuple(lines))


def clean(kind: str, variant: int, tune: bool) -> Script:
    """Return a script of everyday trouble that never becomes an outage."""
    rng = random.Random(f"{kind} {variant}")
    phase, period = rng.uniform(0, 6), (120.0, 180.0, 250.0, 400.0)[variant]
    swing = 0.5 if kind == "waves" else 0.15
    lines: list[tuple[Behaviour | None, float]] = []
    burst = blip = 0
    wide, trouble = (SHORTEST, LONGEST), _took(1.0)
    for line in range(CLEAN):
        usual = _usual(line, phase, swing, period)
        behaviour, calls = _scaled(_took(1.0), usual), CALLS * usual
        if kind == "bursts":
            if burst == 0 and line > 60 and rng.random() < 1 / 60:
                burst = rng.randint(3, 8)
            if burst:
                burst, calls = burst - 1, calls * 4
        elif kind == "jitter":
            if line % 5 == 0:
                wide = rng.uniform(0.002, 0.006), rng.uniform(0.008, 0.03)
            slower = 1.3 if variant == 3 and line >= 250 else 1.0  # a release that costs a bit
            behaviour = Behaviour(wide[0] * slower, wide[1] * slower)
        elif kind == "blips":
            if blip == 0 and line > 60 and rng.random() < 1 / 50:
                blip = rng.randint(1, 3)
                trouble = rng.choice(
                    (
                        _took(1.0, failing=0.5),
                        _took(1.0, failing=1.0),
                        _took(1.0, stalling=0.3),
                        _took(6.0),
                    )
                )
            if blip:
                blip, behaviour = blip - 1, trouble
        lines.append((behaviour, calls))
    return Script(f"{kind}-{variant}", tune, None, tuple(lines))


def scripts() -> list[Script]:
    """Return the 40 scripts; of each kind, half is for tuning and half for the report."""
    made = [
        faulty(kind, speed, (at + number) % 2 == 0)
        for at, kind in enumerate(FAULTS)
        for number, speed in enumerate(SPEEDS)
    ]
    kinds = ("steady", "waves", "bursts", "jitter", "blips")
    made += [clean(kind, v, (at + v) % 2 == 0) for at, kind in enumerate(kinds) for v in range(4)]
    return made


# ---- recording ----


@dataclass
class Line:
    """The calls that ended within a tenth of a second."""

    calls: int = 0
    errors: int = 0
    durations: list[float] = field(default_factory=list)
    probe: float | None = None

    def text(self, late: bool) -> str:
        latency = f"{median(self.durations) * 1e4:.0f}" if self.durations else "-"
        probe = "-" if self.probe is None else f"{self.probe * 1e4:.0f}"
        return f"{self.calls},{self.errors},{latency},{probe}" + (",late" if late else "")


class Lateness:
    """How late this process itself was, since the last look."""

    def __init__(self) -> None:
        self._worst = 0.0
        self._seen: dict[str, float] = {}

    async def watch(self) -> None:
        while True:
            began = perf_counter()
            await asyncio.sleep(TICK)
            late = perf_counter() - began - TICK
            for who in self._seen:
                self._seen[who] = max(self._seen[who], late)

    def take(self, who: str) -> float:
        worst = self._seen.get(who, 0.0)
        self._seen[who] = 0.0
        return worst


class Recorder:
    """One trace while it is recorded."""

    def __init__(self, script: Script, port: int) -> None:
        self._script, self._port = script, port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._line = Line()

    async def record(self, upstream: UpstreamProcess, lateness: Lateness) -> str:
        rng = random.Random(self._script.name)
        ended: list[tuple[Line, bool]] = []
        there: Behaviour | None = None
        begin = perf_counter()
        lateness.take(self._script.name)
        for number, (behaviour, calls) in enumerate(self._script.lines):
            if behaviour is None:
                if there is not None:
                    await asyncio.to_thread(upstream.kill)
            elif behaviour != there:
                upstream.behave(behaviour)
            there = behaviour
            start = begin + number * LINE_SECONDS
            self._spawn(self._probe(self._line))
            at = rng.expovariate(calls)
            while at < 1:
                await asyncio.sleep(start + at * LINE_SECONDS - perf_counter())
                self._spawn(self._call())
                at += rng.expovariate(calls)
            await asyncio.sleep(start + LINE_SECONDS - perf_counter())
            line, self._line = self._line, Line()
            ended.append((line, lateness.take(self._script.name) > LATE))
        await asyncio.gather(*self._tasks)
        for _, writer in self._idle:
            writer.close()
        return "\n".join(line.text(late) for line, late in ended) + "\n"

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _call(self) -> None:
        began = perf_counter()
        answered, ok = await self._ask()
        line = self._line
        line.calls += 1
        line.errors += not ok
        if answered:
            line.durations.append(perf_counter() - began)

    async def _probe(self, line: Line) -> None:
        began = perf_counter()
        answered, ok = await self._ask()
        if answered and ok:  # later than its line ends: it belongs to the line that asked
            line.probe = perf_counter() - began

    async def _ask(self) -> tuple[bool, bool]:
        """Make one request; return whether it was answered or timed out, and whether it is good."""
        pair = None
        try:
            async with asyncio.timeout(PATIENCE):
                if self._idle:
                    pair = self._idle.pop()
                else:
                    pair = await asyncio.open_connection(HOST, self._port)
                reader, writer = pair
                writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].split(None, 1)[0]
                await reader.readexactly(int(length))
        except TimeoutError:
            if pair is not None:
                pair[1].close()
            return True, False
        except (OSError, EOFError):
            if pair is not None:
                pair[1].close()
            return False, False
        self._idle.append(pair)
        return True, head.split(None, 2)[1] == b"200"


async def _record(
    script: Script, folder: Path, room: asyncio.Semaphore, lateness: Lateness
) -> None:
    async with room:
        upstream = await asyncio.to_thread(UpstreamProcess)
        try:
            await asyncio.to_thread(upstream.start, _took(1.0))
            text = await Recorder(script, upstream.port).record(upstream, lateness)
        finally:
            await asyncio.to_thread(upstream.close)
    half = "tune" if script.tune else "held-out"
    onset = "-" if script.onset is None else script.onset
    (folder / f"{script.name}.csv").write_text(f"{script.name},{half},{onset}\n{text}")
    print(script.name, flush=True)


async def record(folder: Path, wanted: str) -> None:
    """Record all traces whose name has ``wanted`` in it."""
    room, lateness = asyncio.Semaphore(AT_ONCE), Lateness()
    watching = asyncio.create_task(lateness.watch())
    # The long ones first, so that none is left alone at the end.
    chosen = sorted(scripts(), key=lambda one: -len(one.lines))
    await asyncio.gather(
        *(_record(one, folder, room, lateness) for one in chosen if wanted in one.name)
    )
    watching.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="a part of the names of the traces")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(record(given.folder, given.only))
