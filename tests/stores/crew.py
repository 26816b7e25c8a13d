"""Real worker processes that share a directory, and scrapes of any of them compared."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdfast.stores.totals import VERSION, WRITTEN

WORKER = Path(__file__).with_name("worker.py")
REQUESTS = "holdfast_circuit_breaker_requests_total"

Scrape = dict[tuple[str, str, tuple[tuple[str, str], ...]], float]


def totals(figures: object = (), merged: object = (), places: object = WRITTEN) -> str:
    """Return the text of totals.json, well-formed or not."""
    return json.dumps({"version": VERSION, "places": places, "merged": merged, "figures": figures})


class Worker:
    """One process. Used by one thread."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "HOLDFAST_DIR": str(directory), "PYTHONPATH": ""},
        )
        assert self._answer() == "ready"

    def __call__(self, command: str, *arguments: object) -> Any:
        self.begin(command, *arguments)
        return self._answer()

    def begin(self, command: str, *arguments: object) -> None:
        assert self.process.stdin is not None
        print(command, *arguments, file=self.process.stdin, flush=True)

    def scrape(self) -> Scrape:
        return self._scrape_of(self("scrape"))

    @staticmethod
    def _scrape_of(samples: Any) -> Scrape:
        return {
            (kind, name, tuple(map(tuple, labels))): value  # type: ignore[misc]
            for kind, name, labels, value in samples
        }

    def scrape_while(self, meanwhile: Callable[[], object]) -> Scrape:
        """Scrape; between what is read of the others and the choice of names do something else."""
        assert self("scrape_meanwhile") == "read"
        meanwhile()
        return self._scrape_of(self("go"))

    def calls(self, name: str, result: str = "success") -> float:
        labels = (("name", name), ("result", result))
        return self.scrape().get(("counter", REQUESTS, labels), -1)

    def gauge(self, metric: str, **labels: str) -> float | None:
        return self.scrape().get(("gauge", f"holdfast_{metric}", tuple(sorted(labels.items()))))

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.end()

    def end(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
        self.process.wait()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the worker is gone: {self.process.wait()}"
        return json.loads(line)


def assert_none_fell(before: Scrape, after: Scrape) -> None:
    """Every counter and histogram that was there is there, and not less."""
    for key, value in before.items():
        if key[0] != "gauge":
            assert after[key] >= value, key
