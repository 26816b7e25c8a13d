"""Etcd on the loopback: one member or three, as commands and as components of a supervisor.

Owns the members' names, ports, folders and arguments. Elsewhere: starting and stopping a process
(``holdfast.supervision``), and asking etcd (``gateway``).
"""

from __future__ import annotations

import os
import platform
import random
import shutil
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from holdfast.supervision import ProcessComponent
from holdfast.validation import Problems

HOST = "127.0.0.1"
# Below the ports that the kernel gives to connections: a member gets its own back.
_PORTS = range(20_000, 32_000)


@dataclass(frozen=True, slots=True)
class Member:
    """One etcd process: what starts it, and where it answers.

    Attributes:
        name: Its name within the cluster.
        folder: Where it keeps its data. Started again with it, it is the same member; without it,
            the others do not take it back.
        client_url: Where it answers clients.
        command: The program and its arguments.
        environment: All environment variables that it gets.
    """

    name: str
    folder: Path
    client_url: str
    command: tuple[str, ...]
    environment: dict[str, str]


def installed() -> str | None:
    """Return the path of the etcd program, or None: Debian has it as ``etcd-server``."""
    return shutil.which("etcd")


def plan(
    folder: Path, *, count: int = 1, heartbeat: float = 0.1, name: str = "etcd"
) -> list[Member]:
    """Return the members of a new etcd with free ports; nothing is started.

    Args:
        folder: Where the members keep their data; it is made, and only its owner may look in.
        count: 1, 3 or 5. One fewer than half of them may fail.
        heartbeat: Seconds between the heartbeats of the members, 0.01 to 1. A leader of etcd that
            is gone is replaced after ten of them; no lease is shorter than fifteen.
        name: Begins the members' names.

    Raises:
        ConfigError: An argument is invalid.
        FileNotFoundError: Etcd is not installed.
    """
    problems = Problems("etcd.plan", name)
    problems.choice("count", count, (1, 3, 5))
    beat = problems.number("heartbeat", heartbeat, least=0.01, most=1)
    problems.name(name)
    problems.done()
    program = installed()
    if program is None:
        raise FileNotFoundError("no etcd on this machine: apt-get install etcd-server")
    ports = _free_ports(2 * count)
    names = [f"{name}-{number}" for number in range(1, count + 1)]
    peers = [f"http://{HOST}:{port}" for port in ports[count:]]
    cluster = ",".join(f"{each}={url}" for each, url in zip(names, peers, strict=True))
    milliseconds = round(beat * 1000)
    members: list[Member] = []
    for each, port, peer in zip(names, ports, peers, strict=False):
        home = Path(folder) / each
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        url = f"http://{HOST}:{port}"
        options = {
            "name": each,
            "data-dir": f"{home}",
            "listen-client-urls": url,
            "advertise-client-urls": url,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": cluster,
            # Its members refuse those of another etcd that had these ports before.
            "initial-cluster-token": f"{name}-{'-'.join(map(str, ports))}",
            "initial-cluster-state": "new",
            "heartbeat-interval": str(milliseconds),
            "election-timeout": str(10 * milliseconds),
            "auto-compaction-mode": "revision",
            "auto-compaction-retention": "1000",
            "logger": "zap",
            "log-outputs": "stderr",
            "log-level": "warn",
        }
        command = (program, *(f"--{option}={value}" for option, value in options.items()))
        members.append(Member(each, home, url, command, _environment()))
    return members


def component(member: Member) -> ProcessComponent:
    """Return what starts and stops a member, for a supervisor or without one."""
    return ProcessComponent(member.name, member.command, env=member.environment)


def _environment() -> dict[str, str]:
    # Etcd ends at once if a variable says again what an argument has said.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
    machine = platform.machine()
    if machine == "aarch64":
        kept["ETCD_UNSUPPORTED_ARCH"] = "arm64"
    return kept


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on. Another program may take one meanwhile; etcd says so."""
    found: list[int] = []
    with ExitStack() as held:
        for port in random.sample(_PORTS, len(_PORTS)):
            link = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            try:
                link.bind((HOST, port))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"fewer than {count} free ports on {HOST}")
