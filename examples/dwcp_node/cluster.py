"""The cluster: etcd and three nodes, each a process, under one supervisor; proxies between them.

Not here: one node (``node``), and what is done to them (``scenarios``).
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import holdfast as hf
from examples.dwcp_node import etcd
from examples.dwcp_node.config import NodeConfig
from examples.dwcp_node.control import HOST, Control, ControlError, ask
from examples.dwcp_node.happenings import Hub
from examples.dwcp_node.proxy import FaultProxy
from holdfast.health import Check, HttpCheck
from holdfast.supervision import ProcessComponent, Supervisor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.events import Event

ROOT = Path(__file__).resolve().parents[2]
NODES = ("a", "b", "c")
ETCD = "etcd"
#: A node that does not answer for about this long is restarted. It is longer than a lease, so
#: that a stopped leader is deposed before it is restarted.
SILENT_AFTER = 5.0
# The scenarios kill more often than a service dies by itself: a process that has worked for a
# second begins with its first attempt again, and does not cool down for a minute.
_OFTEN_KILLED: dict[str, Any] = {
    "backoff": hf.Exponential(0.5, factor=2, max=4.0),
    "first_delay": 0,
    "attempts": 10,
    "healthy_after": 1.0,
}


class NodeCheck(Check):
    """Whether a node answers, and whether its components work or are being recovered."""

    def __init__(self, name: str, port: int) -> None:
        super().__init__(name, interval=0.5, timeout=1.0, failures=int(SILENT_AFTER / 1.25))
        self._port = port

    def probe(self) -> bool:
        """Ask it."""
        return bool(ask(self._port, "healthy", within=self.time_left()))


class Ports:
    """Ports of the loopback that nobody else is given while they are held.

    Each is bound and not listened on; Linux lets another process that sets SO_REUSEADDR listen.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def take(self) -> int:
        """Hold one more."""
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((HOST, 0))
        self._held.append(held)
        port: int = held.getsockname()[1]
        return port

    def close(self) -> None:
        """Give all back."""
        for held in self._held:
            held.close()
        self._held.clear()


class Cluster:
    """Three nodes and, unless one writer is declared, an etcd; with a proxy for each link.

    Args:
        folder: For the state of the nodes and of etcd, and for what they write to their logs.
        has_etcd: Whether the nodes elect their leader by etcd.
        writer: The node that makes effects where there is no etcd.
        lease: Seconds after which a leader that says nothing is none any more.
        hub: Where everything that happens is gathered.

    Used by one event loop.
    """

    def __init__(
        self,
        folder: Path,
        *,
        hub: Hub,
        has_etcd: bool = True,
        writer: str = "a",
        lease: float = 3.0,
        names: Sequence[str] = NODES,
    ) -> None:
        self.folder = folder
        self.hub = hub
        self.names = tuple(names)
        self.lease = lease
        self.has_etcd = has_etcd
        self._writer = None if has_etcd else writer
        self._ports = Ports()
        self._listen = {name: self._ports.take() for name in self.names}
        self._control = {name: self._ports.take() for name in self.names}
        self.controls = {name: Control(port) for name, port in self._control.items()}
        self.links: dict[tuple[str, str], FaultProxy] = {}
        self.etcd_links: dict[str, FaultProxy] = {}
        self.processes: dict[str, ProcessComponent] = {}
        self.supervisor = Supervisor("cluster", max_restarts=None, interval=1.0)
        self._following: list[asyncio.Task[None]] = []

    # ---- its life ----

    async def start(self) -> None:
        """Start everything; returns when all nodes answer and work."""
        for one in self.names:
            for other in self.names:
                if one != other:
                    await self._link((one, other), self._listen[other])
        depends_on: tuple[str, ...] = ()
        if self.has_etcd:
            depends_on = (await self._add_etcd(),)
        for name in self.names:
            self._add_node(name, depends_on)
        self.supervisor.on_event(self._heard)
        self._following = [
            asyncio.create_task(self.hub.follow(Control(port))) for port in self._control.values()
        ]
        await asyncio.to_thread(self.supervisor.start)
        async with asyncio.timeout(60):
            await asyncio.gather(*(self.until_healthy(name) for name in self.names))

    async def stop(self) -> None:
        """Stop everything; nothing of it is left."""
        for name in self.names:
            self.go_on(name)
        await asyncio.to_thread(self.supervisor.stop, 20.0)
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)
        for control in self.controls.values():
            await control.close()
        for proxy in [*self.links.values(), *self.etcd_links.values()]:
            await proxy.close()
        self._ports.close()

    async def __aenter__(self) -> Cluster:
        """Start everything."""
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop everything."""
        await self.stop()

    # ---- what is asked ----

    async def ask(self, name: str, do: str, *, within: float = 10.0, **arguments: object) -> Any:
        """Have a node do a command; see ``Control.ask``."""
        return await self.controls[name].ask(do, within=within, **arguments)

    async def until_healthy(self, name: str) -> None:
        """Wait until a node answers and all its components work."""
        while True:
            with suppress(ControlError, OSError):
                if not (await self.ask(name, "status", within=2.0))["unhealthy"]:
                    return
            await asyncio.sleep(0.05)

    async def until_linked(self, within: float = 60.0) -> None:
        """Wait until each node is connected to each other: only then can a link be lost.

        Raises:
            TimeoutError: Some are not.
        """
        left: dict[str, Any] = {}
        try:
            async with asyncio.timeout(within):
                for name in self.names:
                    left = {name: "no answer"}
                    while left[name]:
                        with suppress(ControlError, OSError):
                            left[name] = (await self.ask(name, "status", within=2.0))["unlinked"]
                        await asyncio.sleep(0.05 if left[name] else 0.0)
        except TimeoutError:
            raise TimeoutError(f"not all nodes are connected within {within:g} s: {left}") from None

    async def leader(self) -> str | None:
        """Return which node says that it makes effects; None if none does."""
        for name in self.names:
            with suppress(ControlError, OSError):
                if (await self.ask(name, "status", within=1.0))["revision"] is not None:
                    return name
        return None

    async def until_leader(self, *, but: str | None = None, within: float = 20.0) -> str:
        """Wait until a node, other than ``but``, makes effects, and return which."""
        async with asyncio.timeout(within):
            while True:
                name = await self.leader()
                if name is not None and name != but:
                    return name
                await asyncio.sleep(0.02)

    # ---- harm ----

    def pid(self, name: str) -> int:
        """Return the process of a node or of etcd at this moment.

        Raises:
            ProcessLookupError: There is none.
        """
        pid = self.processes[name].pid
        if pid is None:
            raise ProcessLookupError(f"{name} has no process at this moment")
        return pid

    def kill(self, name: str) -> int:
        """Kill the process of a node or of etcd with SIGKILL, and return which it was."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def stall(self, name: str) -> int:
        """Stop the process of a node with SIGSTOP, and return which it is."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGSTOP)
        return pid

    def go_on(self, name: str) -> None:
        """Let a stopped process go on; harmless if it is gone."""
        with suppress(ProcessLookupError, KeyError):
            os.kill(self.pid(name), signal.SIGCONT)

    def links_of(self, name: str) -> list[FaultProxy]:
        """Return all links to and from a node, without the one to etcd."""
        return [proxy for pair, proxy in self.links.items() if name in pair]

    def heal(self) -> None:
        """End the harm that is done to links."""
        for proxy in [*self.links.values(), *self.etcd_links.values()]:
            proxy.heal()

    # ---- making it ----

    async def _link(self, pair: tuple[str, str], port: int) -> None:
        proxy = self.links[pair] = FaultProxy(port, name=f"{pair[0]} to {pair[1]}")
        await proxy.start()

    async def _add_etcd(self) -> str:
        """Add one member of etcd, and return its name. Each node has a proxy to it."""
        [member] = etcd.plan(self.folder / "etcd", name=ETCD)
        process = self.processes[ETCD] = etcd.component(member)
        self.supervisor.add(
            process,
            check=HttpCheck(member.name, f"{member.client_url}/health", interval=1.0, timeout=2.0),
            **_OFTEN_KILLED,
        )
        port = int(member.client_url.rpartition(":")[2])
        for name in self.names:
            proxy = self.etcd_links[name] = FaultProxy(port, name=f"{name} to etcd")
            await proxy.start()
        return member.name

    def _add_node(self, name: str, depends_on: tuple[str, ...]) -> None:
        folder = self.folder / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        config = NodeConfig(
            name=name,
            folder=str(folder),
            listen=self._listen[name],
            control=self._control[name],
            peers={other: self.links[name, other].port for other in self.names if other != name},
            etcd=[f"http://{HOST}:{self.etcd_links[name].port}"] if self.has_etcd else [],
            writer=self._writer,
            lease=self.lease,
        )
        path = folder / "config.json"
        config.write(path)
        process = self.processes[name] = ProcessComponent(
            f"node {name}",
            [sys.executable, "-m", "examples.dwcp_node", "node", str(path)],
            cwd=ROOT,
        )
        self.supervisor.add(
            process,
            check=NodeCheck(f"node {name}", self._control[name]),
            depends_on=depends_on,
            **_OFTEN_KILLED,
        )

    def _heard(self, event: Event) -> None:
        reason = event.reason.replace("_", " ") if event.reason else ""
        self.hub.add_from_thread(event.name or "", event.kind, reason)
