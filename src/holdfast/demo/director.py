"""Makes the upstream do what the schedule says, in a thread of its own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.demo.chronicle import Chronicle
    from holdfast.demo.process import UpstreamProcess
    from holdfast.demo.schedule import Moment, Schedule
    from holdfast.demo.tally import Tally
    from holdfast.demo.traffic import Pace


class Director:
    """Changes, kills and restarts the upstream until the schedule or the run ends.

    While it runs, nobody else starts, tells or kills the process. What goes wrong is left in
    ``error``.
    """

    def __init__(
        self,
        process: UpstreamProcess,
        schedule: Schedule,
        pace: Pace,
        tally: Tally,
        chronicle: Chronicle,
    ) -> None:
        self.error: Exception | None = None
        self.kills = 0
        self._process = process
        self._schedule = schedule
        self._pace = pace
        self._tally = tally
        self._chronicle = chronicle
        self._thread = threading.Thread(target=self.run, name="director", daemon=True)

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    def join(self) -> None:
        """Wait until it has let go of the process."""
        self._thread.join()

    def run(self) -> None:
        """Follow the schedule; what goes wrong is left in ``error``."""
        try:
            for moment in self._schedule.moments():
                if not self._pace.until(moment.starts_ns):
                    return
                self._enter(moment)
        except Exception as error:  # noqa: BLE001 - reported by whoever watches the run
            self.error = error

    def _enter(self, moment: Moment) -> None:
        phase = moment.phase
        self._note("phase", f"{phase.name}: {phase.description}")
        if phase.behaviour is None:
            pid = self._process.pid
            self._process.kill()
            self.kills += 1
            self._note("upstream", f"pid {pid} killed with SIGKILL")
        elif self._process.pid is None:
            self._process.start(phase.behaviour)
            self._tally.upstream_is_back(self._pace.now_ns())
            self._note("upstream", f"pid {self._process.pid} started")
        else:
            self._process.behave(phase.behaviour)

    def _note(self, subject: str, text: str) -> None:
        self._chronicle.note(self._pace.now_ns(), subject, text)
