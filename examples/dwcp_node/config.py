"""What a node is told at its start: a file that the cluster writes and the node reads."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class NodeConfig:
    """The settings of a node.

    Attributes:
        name: The node.
        folder: Where it keeps its state.
        listen: The port at which its peers reach it.
        control: The port at which it is told what to do.
        peers: The port of the loopback at which it reaches each peer.
        etcd: The URLs at which it reaches etcd; none: the ``writer`` makes all effects.
        writer: The one node that makes effects where there is no etcd.
        lease: Seconds after which a leader that says nothing is none any more.
        interval: Seconds from one check of its components to the next.
    """

    name: str
    folder: str
    listen: int
    control: int
    peers: dict[str, int]
    etcd: list[str] = field(default_factory=list[str])
    writer: str | None = None
    lease: float = 3.0
    interval: float = 0.5

    def write(self, path: Path) -> None:
        """Write the file."""
        path.write_text(json.dumps(asdict(self), indent=2))

    @classmethod
    def read(cls, path: Path) -> NodeConfig:
        """Read the file.

        Raises:
            OSError: It cannot be read.
            ValueError: It is no JSON.
            TypeError: A setting is missing, or there is no such setting.
        """
        return cls(**json.loads(path.read_text()))
