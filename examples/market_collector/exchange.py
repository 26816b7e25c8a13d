"""An exchange on the loopback: its process is started, harmed, and asked what it has served.

Elsewhere: what runs in the process (``exchange_server``), and the faults (``faults``).
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from examples.market_collector.exchange_server import TOKEN
from examples.market_collector.faults import Fault
from examples.market_collector.market import MINUTE, MOST_SYMBOLS
from examples.market_collector.processes import HOST, Handle, ListeningProcess, hold_port
from holdfast.validation import Problems

if TYPE_CHECKING:
    import socket

    from holdfast.supervision import Supervisor

__all__ = ["ExchangeHandle", "start_exchange"]

_ROOT = Path(__file__).resolve().parents[2]
_CONTROL_SECONDS = 10.0


class ExchangeHandle(Handle):
    """An exchange, which a supervisor runs; ``start_exchange`` makes one.

    Attributes:
        name: Its name.
        url: Where it answers; the same after a restart.
        minute: Seconds of a minute of its market.

    ``stop`` takes it down until ``start``; ``kill`` ends its process, and the supervisor starts
    another one, without the fault and with new counts; ``freeze`` and ``thaw`` stop it and let it
    go on.

    Safe to share between threads.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        process: ListeningProcess,
        held: socket.socket,
        *,
        token: str,
        minute: float,
    ) -> None:
        self.url = f"http://{HOST}:{process.port}"
        self.minute = minute
        self._port = process.port
        self._token = token
        super().__init__(supervisor, process, held)

    def set_fault(self, kind: str, **options: Any) -> None:
        """Have something go wrong with the requests from here on, instead of an earlier fault.

        Args:
            kind: "slow", "busy", "error", "reset", "garbage", "hang" or "drip"; see ``Fault``.
            options: Those of ``Fault``.

        Raises:
            ConfigError: The kind or an option is invalid.
            OSError: The exchange does not answer.
        """
        Fault(kind, **options)  # here, so that the error is raised to who has made it
        self._control("PUT", "fault", {"kind": kind, **options})

    def clear(self) -> None:
        """End the fault. Requests that hang already are not answered any more.

        Raises:
            OSError: The exchange does not answer.
        """
        self._control("DELETE", "fault")

    def counts(self) -> dict[str, Any]:
        """Return what the exchange has done since its process runs.

        Returns:
            "requests": how many it was asked; "served": how many it has answered rightly, by
            resource; "suffered": how many were answered badly, by fault; "connections": how many
            were opened; "open": how many are, with the one of this question; "fault": its kind.

        Raises:
            OSError: The exchange does not answer.
        """
        counts: dict[str, Any] = self._control("GET", "counts")
        return counts

    def _control(self, method: str, path: str, body: object = None) -> Any:
        link = http.client.HTTPConnection(HOST, self._port, timeout=_CONTROL_SECONDS)
        try:
            link.request(
                method,
                f"/control/{path}",
                body=None if body is None else json.dumps(body),
                headers={"X-Token": self._token},
            )
            response = link.getresponse()
            answer = json.loads(response.read())
        except http.client.HTTPException as error:
            raise ConnectionError(f"{self.name}: {error!r}") from error
        finally:
            link.close()
        if response.status != 200:
            raise ValueError(f"{self.name}: {answer['error']}")
        return answer


def start_exchange(
    supervisor: Supervisor, name: str, *, symbols: int = 8, minute: float = MINUTE
) -> ExchangeHandle:
    """Have a supervisor run an exchange; if it runs already, wait until the exchange answers.

    Args:
        supervisor: The supervisor. It stops the exchange when it stops.
        name: The name of the exchange, and of the component.
        symbols: How many symbols it has, 1 to 1000.
        minute: Seconds of a minute of its market, 0.01 to 3600.

    Raises:
        ConfigError: An argument is invalid, or the supervisor has a component of this name.
        TimeoutError: The exchange does not run.
    """
    problems = Problems("start_exchange", name)
    problems.name(name)
    problems.integer("symbols", symbols, least=1, most=MOST_SYMBOLS)
    seconds = problems.number("minute", minute, least=0.01, most=3600.0)
    problems.done()
    held = hold_port()
    port = held.getsockname()[1]
    token = secrets.token_urlsafe(16)
    command = [
        sys.executable,
        "-m",
        "examples.market_collector.exchange_server",
        name,
        f"--port={port}",
        f"--symbols={symbols}",
        f"--minute={seconds!r}",
    ]
    process = ListeningProcess(
        name, command, port=port, env={**os.environ, TOKEN: token}, cwd=_ROOT
    )
    try:
        return ExchangeHandle(supervisor, process, held, token=token, minute=seconds)
    except BaseException:
        held.close()
        raise
