"""Leaders that are stopped, cut off or lose their lease, again and again (see ``handovers``).

A hundred of them are wanted in ten minutes, and no effect of a deposed leader in any.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path

from examples.dwcp_node import etcd
from examples.dwcp_node.handovers import KINDS, HandOver, hand_overs
from tools.soak.census import census, settled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LEASE = 2.0
_BATCH = 10  # of each kind, with an etcd and stores of their own
_WANTED, _WANTED_IN = 100, 600.0


def run(seconds: float, _seed: int, say: Callable[[str], object]) -> list[str]:
    """Depose leaders for so long; return what went wrong, a line each."""
    if etcd.installed() is None:
        say("there is no etcd on this machine: left out")
        return []
    before = census()
    overs: list[HandOver] = []
    wrong: list[str] = []
    until = time.monotonic() + seconds
    batch = min(_BATCH, max(1, int(seconds / 10)))
    while time.monotonic() < until and not wrong:
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            try:
                overs += asyncio.run(hand_overs(Path(folder), batch, lease=LEASE))
            except (AssertionError, TimeoutError, OSError, ExceptionGroup) as error:
                wrong += reasons(error)
        say(_line(overs))
    if seconds >= _WANTED_IN and len(overs) < _WANTED:
        wrong.append(f"only {len(overs)} hand-overs, not {_WANTED}")
    gone = settled(before)
    say(f"stopped, and left behind: {gone or 'nothing'}")
    return wrong + [f"left behind: {what}" for what in gone]


def reasons(error: BaseException) -> list[str]:
    """Return what went wrong; each of the errors of a group says it for itself."""
    if isinstance(error, BaseExceptionGroup):
        return [reason for each in error.exceptions for reason in reasons(each)]
    return [f"{type(error).__name__}: {error}"]


def _line(overs: list[HandOver]) -> str:
    if not overs:
        return "no hand-over yet"
    each = Counter(over.kind for over in overs)
    counted = ", ".join(f"{each[kind]} × {kind}" for kind in KINDS)
    longest = max(over.seconds for over in overs)
    return (
        f"{len(overs)} hand-overs ({counted}), no effect of a deposed leader accepted, "
        f"a new leader within {longest:.2f} s (lease {LEASE:g} s)"
    )
