"""What a node may conclude from etcd's answers: how long it leads, and whether etcd went back.

Pure: no clock, no network. Elsewhere: asking etcd (``gateway``), and what a node does
(``consensus``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from examples.dwcp_node.gateway import EtcdError

if TYPE_CHECKING:
    from examples.dwcp_node.gateway import Holder, View

# Of a lease, how much its holder uses: clocks may differ in speed by a tenth.
USABLE = 0.9
# Etcd looks for expired leases once in so many seconds.
LOOK_ROUND = 0.5


class WentBack(EtcdError):  # noqa: N818 - a state of etcd, not a fault of the request
    """Etcd contradicts what was seen of it: it was restored from a backup, or is another one."""


@dataclass(frozen=True, slots=True)
class Term:
    """The time during which this node leads.

    Attributes:
        revision: The fencing token: higher than that of all leaders before.
        until: When it ends unless the lease is renewed, on the clock of this node.
    """

    revision: int
    until: float


def usable_until(sent: float, seconds: int) -> float:
    """Return until when the holder of a lease relies on it.

    Args:
        sent: When the renewal was *sent*: etcd counts from a later moment, whenever it answers.
        seconds: The lease's time.
    """
    return sent + USABLE * seconds


def seconds_of(lease: float) -> int:
    """Return the lease to ask etcd for, so that it has ended ``lease`` seconds after a renewal."""
    return max(1, int(lease - LOOK_ROUND))


class Witness:
    """Remembers where etcd stood, and refuses an etcd that has gone back.

    Revisions are fencing tokens only as long as they grow. An etcd that was restored from a
    backup hands out the same ones again.
    """

    def __init__(self) -> None:
        self.cluster: int | None = None
        self.revision = 0
        self.leader: Holder | None = None

    def look(self, view: View, floor: int) -> None:
        """Take note of an answer.

        Args:
            view: The answer.
            floor: The highest revision that the store had seen *before* etcd was asked.

        Raises:
            WentBack: The answer contradicts an earlier one, or the store; nothing is noted.
        """
        header, leader = view.header, view.leader
        if self.cluster not in (None, header.cluster):
            raise WentBack(
                f"etcd is cluster {header.cluster:x}, and this node has used {self.cluster:x}: "
                "restart the node if all nodes are to use this one"
            )
        seen = max(self.revision, floor)
        if header.revision < seen:
            raise WentBack(f"etcd stands at revision {header.revision}, {_restored(seen)}")
        if leader is not None:
            past = self.leader
            least = max(floor, 0 if past is None else past.revision)
            if leader.revision < least:
                raise WentBack(f"etcd's leader has revision {leader.revision}, {_restored(least)}")
            if past is not None and past.revision == leader.revision and past.key != leader.key:
                raise WentBack(
                    f"etcd has given revision {leader.revision} to two leaders: "
                    "it was restored from a backup"
                )
            self.leader = leader
        self.cluster, self.revision = header.cluster, header.revision

    @staticmethod
    def need_above(revision: int, floor: int) -> None:
        """Refuse to lead with a revision that is not higher than all that were seen before.

        Raises:
            WentBack: It is not.
        """
        if revision <= floor:
            raise WentBack(
                f"etcd has elected this node with revision {revision}, {_restored(floor)}"
            )


def _restored(seen: int) -> str:
    return (
        f"and this node has seen {seen}: it was restored from a backup, or is another one. "
        f"Nobody leads until its revision is above {seen}"
    )
