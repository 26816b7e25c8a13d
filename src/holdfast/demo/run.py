"""One run of the demo: the upstream, the lanes, the display, the summary.

Imported by the ``demo`` command only, once it is known that the extra is there.
"""

from __future__ import annotations

import signal
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from holdfast.demo import client, guard, lines, report
from holdfast.demo.chronicle import Chronicle
from holdfast.demo.director import Director
from holdfast.demo.process import PortError, UpstreamProcess
from holdfast.demo.scene import Scene, Trail
from holdfast.demo.schedule import NS, PHASES, Schedule
from holdfast.demo.tally import LANES, Face, Side, Tally
from holdfast.demo.traffic import Arrivals, Orders, RealPace, TaskTraffic, ThreadTraffic
from holdfast.records import Log, add_log, remove_log
from holdfast.telemetry.prometheus import MetricsServer, serve_metrics

_SILENCE = Log(None, {}, None)

if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Self

    from holdfast.demo.tally import Lane
    from holdfast.demo.traffic import Traffic

#: To each side; both together keep a third of one core busy.
CALLS_PER_SECOND = 120
#: Enough to send what is due in time also when every call waits for its timeout.
WORKERS_PER_LANE = 40
#: Longer than the last calls take: the client's timeout for each queued behind the other.
DRAIN_SECONDS = 3.0


class RunError(RuntimeError):
    """The run broke off: something beside the upstream's scripted troubles went wrong."""


class Display(Protocol):
    """Shows scenes, one each ``interval_seconds``."""

    interval_seconds: float

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def show(self, scene: Scene) -> None:
        """Show a scene."""


class Interrupts:
    """Turns SIGINT and SIGTERM into a flag while it is entered.

    A flag and nothing more: a handler runs in the middle of anything, an Event's own lock
    included. Handlers belong to the main thread; entered elsewhere this changes nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _request(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True


class Stage:
    """Everything that moves in a run, from entering it to leaving it. Used by one thread."""

    def __init__(self, process: UpstreamProcess, schedule: Schedule, metrics_url: str) -> None:
        self._process = process
        self._metrics_url = metrics_url
        self._schedule = schedule
        self._pace = RealPace()
        self._tally = Tally(schedule)
        self._chronicle = Chronicle()
        self._trail = Trail()
        self._guard = guard.build_guard(schedule, CALLS_PER_SECOND)
        self._guard.on_transition(
            lambda old, new: self._chronicle.transition(self._pace.now_ns(), old, new)
        )
        self._director = Director(process, schedule, self._pace, self._tally, self._chronicle)
        self._lanes = [self._traffic(lane) for lane in LANES]

    def __enter__(self) -> Stage:
        add_log(_SILENCE)  # the chronicle shows it
        where = f"pid {self._process.pid} at {self._process.url}"
        self._chronicle.note(self._pace.now_ns(), "upstream", where)
        self._chronicle.note(self._pace.now_ns(), "metrics", f"at {self._metrics_url}")
        self._guard.manager.start()
        self._director.start()
        for lane in self._lanes:
            lane.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        remove_log(_SILENCE)
        self._pace.stop()
        self._director.join()  # it is starting the upstream, perhaps; leave none behind
        self._drain()
        self._guard.manager.stop()

    def is_over(self) -> bool:
        """Return whether the schedule is at its end; never so when it has none.

        Raises:
            UpstreamError: the upstream did not come back, or went away unasked.
            RunError: a lane has given up.
        """
        self._check()
        length = self._schedule.length_ns
        return length is not None and self._pace.now_ns() >= length

    def finish(self) -> report.Results:
        """Let the calls that were due be made, and return what there is to report.

        Raises:
            UpstreamError: the upstream did not come back, or went away unasked.
            RunError: a lane has given up.
        """
        elapsed_ns = self._pace.now_ns()
        if self.is_over():
            elapsed_ns = self._schedule.length_ns or elapsed_ns
        else:
            self._pace.stop()
        self._drain()
        self._check()
        return report.Results(
            elapsed_ns=elapsed_ns,
            schedule=self._schedule,
            per_second=CALLS_PER_SECOND,
            timeout_seconds=client.CALL_TIMEOUT_SECONDS,
            kills=self._director.kills,
            tally=self._tally,
            chronicle=self._chronicle,
            guard=self._guard.standing(),
        )

    def scene(self) -> Scene:
        """Return what there is to see."""
        elapsed_ns = self._pace.now_ns()
        lanes = {lane: self._tally.lane(lane) for lane in LANES}
        return Scene(
            elapsed_ns=elapsed_ns,
            schedule=self._schedule,
            moment=self._schedule.at(elapsed_ns),
            url=self._process.url,
            pid=self._process.pid,
            lanes=lanes,
            sides={side: self._tally.side(side) for side in Side},
            recent=self._trail.add(elapsed_ns, lanes),
            guard=self._guard.standing(),
            reasons=self._tally.reasons(),
            entries=tuple(self._chronicle.since(0)),
        )

    def _check(self) -> None:
        if self._director.error is not None:
            raise self._director.error
        for lane in self._lanes:
            if lane.error is not None:
                raise RunError(f"{' '.join(lane.orders.lane)}: {lane.error!r}") from lane.error

    def _drain(self) -> None:
        deadline = time.monotonic() + DRAIN_SECONDS
        for lane in self._lanes:
            lane.join(max(0.0, deadline - time.monotonic()))

    def _traffic(self, lane: Lane) -> Traffic:
        # The lanes of a side take turns; both sides have a call due at the same times.
        turn_ns = NS // CALLS_PER_SECOND * list(Face).index(lane.face)
        guarded = lane.side is Side.GUARDED
        orders = Orders(
            lane,
            Arrivals(CALLS_PER_SECOND // len(Face), turn_ns, self._schedule.length_ns),
            self._pace,
            guard.judge if guarded else client.judge,
            self._tally.record,
            WORKERS_PER_LANE,
        )
        protect = self._guard.operation if guarded else lambda call: call
        opening = (f"{self._process.url}{lane.side}", WORKERS_PER_LANE, protect)
        if lane.face is Face.THREADS:
            return ThreadTraffic(orders, partial(client.thread_calls, *opening))
        return TaskTraffic(orders, partial(client.task_calls, *opening))


def run_demo(
    seconds: float | None,
    port: int | None,
    plain: bool,
    out: TextIO,
    metrics_port: int | None = None,
) -> None:
    """Run the demo until its end, SIGINT or SIGTERM, then write the summary.

    Args:
        seconds: How long, 10 or more; None until interrupted.
        port: The upstream's port on the loopback; None for a free one.
        plain: Lines of text even on a terminal.
        out: Where to show it.
        metrics_port: Where its metrics are served on the loopback; None for a free port.

    Raises:
        PortError: a port cannot be had.
        UpstreamError: the upstream did not start or come back, or went away unasked.
        RunError: the traffic broke off.
    """
    schedule = Schedule.fit(seconds)
    healthy = PHASES[0].behaviour
    assert healthy is not None
    with Interrupts() as interrupts:
        with UpstreamProcess(port) as process, _metrics(metrics_port) as metrics:
            process.start(healthy)
            client.first_calls(process.url)
            with Stage(process, schedule, metrics.url) as stage:
                with _display(plain, out) as display:
                    while not (interrupts.requested or stage.is_over()):
                        display.show(stage.scene())
                        time.sleep(display.interval_seconds)
                results = stage.finish()
        lines.write(out, "\n" + report.summary(results))


def _metrics(port: int | None) -> MetricsServer:
    try:
        return serve_metrics(port or 0)
    except OSError as error:
        raise PortError(f"--metrics-port: {port} is not available: {error.strerror}") from error


def _display(plain: bool, out: TextIO) -> Display:
    if plain or not out.isatty() or not lines.has_signs(out):
        return lines.LineDisplay(out)
    try:
        from rich.console import Console

        from holdfast.demo.table import LiveDisplay
    except ImportError:
        return lines.LineDisplay(out)
    console = Console(file=out, markup=False, highlight=False)
    return lines.LineDisplay(out) if console.is_dumb_terminal else LiveDisplay(console)
