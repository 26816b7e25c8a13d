"""A supervisor with processes, threads and tasks, which are killed, stopped and broken at random.

After each harm everything has to run again. At the end the supervisor is stopped, and nothing of it
may be left: no thread, task, open file or process; and no component ever had two instances.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import holdfast as hf
from holdfast.health import Check
from holdfast.supervision import (
    CallableComponent,
    ComponentState,
    ProcessComponent,
    Supervisor,
    TaskComponent,
    ThreadComponent,
)
from tools.soak.census import Memory, census, settled
from tools.soak.child import MANNERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CHILD = Path(__file__).with_name("child.py")
RECOVERS_WITHIN = 60.0
UP = (ComponentState.RUNNING, ComponentState.FINISHED)


class BeatCheck(Check):
    """Whether a process has touched its file within the last second."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name, interval=0.25, timeout=1.0, failures=4)
        self._file = folder / f"{name}.beat"

    def probe(self) -> bool:
        """Look at the file."""
        with suppress(FileNotFoundError):
            return time.time() - self._file.stat().st_mtime < 1.0
        return False


class Worker:
    """What a thread or a task of the soak does: it beats, and does what harm it is told."""

    def __init__(self) -> None:
        self.beats = 0
        self.harm = ""

    def beat(self) -> bool:
        """Go on once more; return whether to end."""
        self.beats += 1
        harm, self.harm = self.harm, ""
        if harm == "raise":
            raise RuntimeError("told to fail")
        return harm == "return"

    def in_thread(self, stopping: threading.Event) -> None:
        """Beat until it is to stop."""
        while not stopping.wait(0.05):
            if self.beat():
                return

    async def in_task(self) -> None:
        """Beat until it is cancelled."""
        while True:
            await asyncio.sleep(0.05)
            if self.beat():
                return


class Switch:
    """A component made of functions, whose start, check and stop fail as they are told."""

    def __init__(self) -> None:
        self.on = False
        self.failing_starts = 0
        self.is_ill = False

    def start(self) -> None:
        """Be on, or fail."""
        if self.failing_starts:
            self.failing_starts -= 1
            raise RuntimeError("told not to start")
        self.on, self.is_ill = True, False

    def stop(self) -> None:
        """Be off."""
        self.on = False

    def check(self) -> bool:
        """Whether it is on and well."""
        return self.on and not self.is_ill


class Stage:
    """The supervisor, its components, and what can be done to each of them.

    Args:
        folder: For the files of the processes.
        seed: Makes the choices.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.harms: Counter[str] = Counter()
        self._folder = folder
        self._heard: Counter[str] = Counter()
        self.supervisor = self._supervisor("soak")
        self.nested = self._supervisor("nested")
        self._processes = [self._add_process(manner) for manner in MANNERS]
        self._workers: dict[str, Worker] = {}
        for number in range(3):
            self._add_worker(self.supervisor, f"thread {number}")
            self._add_worker(self.supervisor, f"task {number}")
        self._add_worker(self.nested, "inner thread")
        self._add_worker(self.nested, "inner task")
        self.supervisor.add(self.nested, **_quick())
        self._switch = Switch()
        self._add_switch()
        self.supervisor.on_event(lambda event: self._heard.update([event.kind]))

    @property
    def events(self) -> Counter[str]:
        """How often each kind of event was told."""
        return self._heard

    def is_up(self) -> bool:
        """Whether everything runs."""
        return all(
            each.state in UP
            for supervisor in (self.supervisor, self.nested)
            for each in supervisor.status().values()
        )

    async def until_up(self) -> None:
        """Wait until everything runs.

        Raises:
            TimeoutError: Something does not come back.
        """
        until = time.monotonic() + RECOVERS_WITHIN
        while not self.is_up():
            if time.monotonic() > until:
                raise TimeoutError(f"not all runs: {self.supervisor.status()}")
            await asyncio.sleep(0.02)

    def twice(self) -> list[str]:
        """Return which processes found another instance of themselves."""
        with suppress(FileNotFoundError):
            return (self._folder / "twice").read_text().splitlines()
        return []

    # ---- harm ----

    def harm(self) -> str:
        """Do one harm, chosen at random, and return which."""
        name, do = self.random.choice(
            [
                ("kill -9 of a process", lambda: self._signal(signal.SIGKILL)),
                ("SIGTERM to a process", lambda: self._signal(signal.SIGTERM)),
                ("SIGSTOP to a process", lambda: self._signal(signal.SIGSTOP)),
                ("error in a thread or a task", lambda: self._tell_worker("raise")),
                ("early end of a thread or a task", lambda: self._tell_worker("return")),
                ("check that fails", self._fall_ill),
                ("starts that fail", self._fail_to_start),
                ("restart asked for", self._restart),
                ("component removed and added", self._replace),
                ("many harms at once", self._many),
            ]
        )
        self.harms[name] += 1
        do()
        return name

    def _signal(self, number: int) -> None:
        process = self.random.choice(self._processes)
        pid = process.pid
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _tell_worker(self, harm: str) -> None:
        self._workers[self.random.choice(sorted(self._workers))].harm = harm

    def _fall_ill(self) -> None:
        self._switch.is_ill = True

    def _fail_to_start(self) -> None:
        self._switch.failing_starts = self.random.randint(1, 2)
        self._switch.is_ill = True

    def _restart(self) -> None:
        self.supervisor.restart(self.random.choice(sorted(self.supervisor.status())))

    def _replace(self) -> None:
        self.supervisor.remove("switch")
        self._add_switch()

    def _many(self) -> None:
        for process in self._processes:
            if process.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
        for worker in self._workers.values():
            worker.harm = "raise"
        self._switch.is_ill = True

    # ---- making it ----

    def _supervisor(self, name: str) -> Supervisor:
        return Supervisor(name, max_restarts=None, interval=0.25, timeout=1.0, cool_down=1.0)

    def _add_process(self, manner: str) -> ProcessComponent:
        process = ProcessComponent(
            manner,
            [sys.executable, "-I", CHILD, self._folder, manner, manner],
            output="discard" if manner == "plain" else "log",
            kill_after=0.3,
        )
        self.supervisor.add(
            process,
            check=BeatCheck(manner, self._folder),
            on_exit={3: "restart_now"},
            **_quick(),
        )
        return process

    def _add_worker(self, supervisor: Supervisor, name: str) -> None:
        worker = self._workers[name] = Worker()
        if "thread" in name:
            supervisor.add(ThreadComponent(name, worker.in_thread), **_quick())
        else:
            supervisor.add(TaskComponent(name, worker.in_task), **_quick())

    def _add_switch(self) -> None:
        its = self._switch
        self.supervisor.add(
            CallableComponent("switch", start=its.start, stop=its.stop, check=its.check),
            depends_on=("thread 0",),
            **_quick(),
        )


def _quick() -> dict[str, object]:
    """How components come back here: soon, and as often as it takes."""
    return {
        "backoff": hf.Exponential(0.05, factor=2, max=0.5),
        "attempts": 5,
        "healthy_after": 1.0,
        "cool_down": 1.0,
    }


class Readers:
    """Threads that ask the supervisor how it is, again and again, while it is harmed."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._read, name="reader") for _ in range(2)]
        self.readings = 0
        self.errors: list[BaseException] = []

    def __enter__(self) -> Readers:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ask no more."""
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        try:
            while not self._ends.wait(0.05):
                self._supervisor.snapshot()
                self._supervisor.status()
                hf.snapshot()
                self.readings += 1
        except BaseException as error:
            self.errors.append(error)
            raise


def run(seconds: float, seed: int, say: Callable[[str], object]) -> list[str]:
    """Do harm for so long; return what went wrong, a line each."""
    before = census()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        wrong = asyncio.run(_harm(Path(folder), seconds, seed, say))
    gone = settled(before)
    wrong += [f"left behind: {what}" for what in gone]
    say(f"stopped, and left behind: {gone or 'nothing'}")
    return wrong


async def _harm(folder: Path, seconds: float, seed: int, say: Callable[[str], object]) -> list[str]:
    stage = Stage(folder, seed)
    began = time.monotonic()
    wrong: list[str] = []
    memory = Memory(seconds)
    longest = 0.0
    async with stage.supervisor:
        with Readers(stage.supervisor) as readers:
            await stage.until_up()
            told = began
            while time.monotonic() - began < seconds:
                harm = await asyncio.to_thread(stage.harm)
                at = time.monotonic()
                try:
                    await stage.until_up()
                except TimeoutError as error:
                    wrong.append(f"after {harm}: {error}")
                    break
                longest = max(longest, time.monotonic() - at)
                await asyncio.sleep(stage.random.uniform(0.0, 0.2))
                memory.look()
                if time.monotonic() - told > 10:
                    told = time.monotonic()
                    say(
                        f"{stage.harms.total()} harms, {stage.events['recovered']} recoveries, "
                        f"all up again within {longest:.1f} s; {memory}"
                    )
    wrong += [f"a task is left: {task}" for task in asyncio.all_tasks() - {asyncio.current_task()}]
    wrong += [f"a reader has failed: {error!r}" for error in readers.errors]
    wrong += [f"a second instance: {line}" for line in stage.twice()]
    wrong += memory.judge()
    for harm, count in sorted(stage.harms.items()):
        say(f"{count:5} × {harm}")
    say(
        f"{stage.events['recovered']} recoveries, {readers.readings} snapshots meanwhile, "
        f"second instances: {len(stage.twice())}; {memory}"
    )
    return wrong
