"""Prediction: how long a message to a peer will take, from what earlier ones have taken.

The check compares each estimate with what the last transfers have shown, so it notices an estimator
that no longer follows its samples. Elsewhere: the estimates (``estimator``), and the samples
(``transport``).
"""

from __future__ import annotations

import time
from collections import deque
from math import isfinite
from typing import TYPE_CHECKING, Protocol

from examples.dwcp_node.estimator import SAME, Base, Estimate, Estimator, rate_of
from holdfast.health import CheckResult
from holdfast.supervision import Component
from holdfast.validation import Problems

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Prediction", "Sample", "Source"]

#: Transfers that the check looks at. If they show about the same, the estimate has to be near.
_RECENT, _ENOUGH = 16, 8
_WRONG = 2.0
_MOST_PEERS = 1_000


class Sample(Protocol):
    """What one acknowledgement shows about a link."""

    @property
    def peer(self) -> str:
        """The name of the peer."""
        ...

    @property
    def bytes(self) -> int:
        """Bytes transferred; 0: the answer to a ping."""
        ...

    @property
    def seconds(self) -> float:
        """How long that took."""
        ...

    @property
    def rtt(self) -> float | None:
        """The latest time of a ping on the idle link, in seconds, or None."""
        ...

    @property
    def busy(self) -> bool:
        """Whether other messages were on their way before: there is no latency in it."""
        ...


class Source(Protocol):
    """What is needed of a transport."""

    samples: list[Callable[[Sample], object]]


class Link:
    """What is known of the link to one peer."""

    def __init__(self) -> None:
        self.base = Base()
        self.estimator = Estimator()
        self.shown: deque[float] = deque(maxlen=_RECENT)  # the bandwidth that each has shown
        self.count = 0  # of all that have shown any
        self.at = 0.0


class Prediction(Component):
    """Predicts what transfers to each peer take.

    Args:
        transport: Returns the present transport, which has a list ``samples`` of listeners; it is
            another one after a recovery. None: samples come by ``observe`` alone.
        now: Seconds that never go back.

    Raises:
        ConfigError: An argument is invalid.

    Samples come in one thread, that of the event loop; reading is safe from any.
    """

    def __init__(
        self,
        transport: Callable[[], Source] | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("prediction")
        problems = Problems("Prediction")
        problems.callable("transport", transport)
        problems.callable("now", now, none=False)
        problems.done()
        self._transport = transport
        self._now = now
        #: What is known of each peer, since the start.
        self.links: dict[str, Link] = {}
        self._listens_on: Source | None = None
        self._runs = False
        #: How many samples were no samples.
        self.refused = 0

    # ---- Component ----

    async def start(self) -> None:
        """Begin anew: what was learned before the start is not used."""
        if not self._runs:
            self.links = {}
            self._runs = True
            self._listen()

    async def stop(self) -> None:
        """Take no more samples."""
        self._runs = False
        listens_on, self._listens_on = self._listens_on, None
        if listens_on is not None and self.take in listens_on.samples:
            listens_on.samples.remove(self.take)

    async def check(self) -> CheckResult:
        """Look whether the predictions were right."""
        if not self._runs:
            return CheckResult.failed("is not running")
        if self._transport is not None and not self._is_subscribed():
            self._listen()
            return CheckResult.degraded("was not told of samples; it is again")
        for peer, link in sorted(self.links.items()):
            if fault := _fault(link):
                return CheckResult.failed(f"{peer}: {fault}")
        known = {peer: one.bandwidth for peer, one in self.estimates().items()}
        details = {peer: round(one) for peer, one in known.items() if one is not None}
        return CheckResult("passed", "", details)

    # ---- samples ----

    def take(self, sample: Sample) -> None:
        """Take a sample of the transport."""
        self.observe(sample.peer, sample.bytes, sample.seconds, sample.rtt, busy=sample.busy)

    def observe(
        self, peer: str, size: int, seconds: float, rtt: float | None = None, *, busy: bool = False
    ) -> None:
        """Take what a transfer has taken.

        Args:
            peer: The name of the peer.
            size: Bytes transferred; 0: only ``rtt`` counts.
            seconds: How long it took, until it was acknowledged.
            rtt: The time of a ping on the idle link, or None.
            busy: Whether another transfer was on its way before.
        """
        if not self._runs:
            return
        if not (size >= 0 and _is_time(seconds) and (rtt is None or _is_time(rtt))):
            self.refused += 1
            return
        link = self.links.get(peer)
        if link is None:
            if len(self.links) >= _MOST_PEERS:
                oldest = min(self.links, key=lambda one: self.links[one].at)
                del self.links[oldest]
            link = self.links[peer] = Link()
        link.at = now = self._now()
        link.base.add(now, size, seconds, rtt, busy=busy)
        fixed = link.base.fixed(now, link.estimator.bandwidth or None)
        rate = rate_of(size, seconds, fixed, busy=busy)
        if rate is not None:
            link.shown.append(rate)
            link.count += 1
            link.estimator.add(now, rate, size)

    # ---- predictions ----

    def estimate(self, peer: str) -> Estimate | None:
        """Return what the link to a peer can do; None if nothing is known."""
        link = self.links.get(peer)
        if link is None:
            return None
        now = self._now()
        estimator, base = link.estimator, link.base
        bandwidth = estimator.bandwidth or None
        return Estimate(bandwidth, base.latency(now), base.fixed(now, bandwidth), estimator.samples)

    def estimates(self) -> dict[str, Estimate]:
        """Return what each link can do, as far as something is known."""
        found = {peer: self.estimate(peer) for peer in list(self.links)}
        return {peer: one for peer, one in found.items() if one is not None}

    def bandwidth(self, peer: str) -> float | None:
        """Return the bandwidth to a peer, in bytes a second; None if it is not known."""
        known = self.estimate(peer)
        return None if known is None else known.bandwidth

    def latency(self, peer: str) -> float | None:
        """Return the latency to a peer and back, in seconds; None if it is not known."""
        known = self.estimate(peer)
        return None if known is None else known.latency

    def seconds(self, peer: str, size: int) -> float | None:
        """Return how long a message of so many bytes will take; None if nothing is known."""
        known = self.estimate(peer)
        return None if known is None else known.seconds(size)

    # ---- within ----

    def _listen(self) -> None:
        """Have the present transport tell of its samples."""
        if self._transport is None:
            return
        transport = self._transport()
        if self.take not in transport.samples:
            transport.samples.append(self.take)
        self._listens_on = transport

    def _is_subscribed(self) -> bool:
        if self._transport is None:
            return True
        transport = self._transport()
        return transport is self._listens_on and self.take in transport.samples


def _fault(link: Link) -> str:
    """Return why an estimate does not follow its samples; "" if it does."""
    estimator, shown = link.estimator, link.shown
    if estimator.count != link.count:
        return f"{link.count - estimator.count} of {link.count} samples are not in the estimate"
    if len(shown) < _ENOUGH:
        return ""
    known = estimator.bandwidth
    if known is None or not isfinite(known) or known <= 0:
        return f"the estimate is {known} in spite of {link.count} samples"
    low, high = min(shown), max(shown)
    if high > SAME * low:
        return ""  # the link is different each time: there is nothing to follow
    if known < low / _WRONG or known > high * _WRONG:
        return (
            f"the estimate is {known:.3g} bytes a second, and the last {len(shown)} transfers have"
            f" shown {low:.3g} to {high:.3g}"
        )
    return ""


def _is_time(seconds: float) -> bool:
    return isfinite(seconds) and 0 <= seconds < 86_400
