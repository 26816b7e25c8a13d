"""Estimating the bandwidth and the latency of one link from what transfers have taken.

Pure: no clock, no transport. A transfer takes a fixed time, which the shortest messages show, and
then as long as its bytes need. Elsewhere: where samples come from, and whether the estimates are
right (``prediction``).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import exp
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LARGE", "SMALL", "Base", "Estimate", "Estimator", "rate_of"]

#: Messages of at most SMALL bytes show the fixed time, those of at least LARGE the bandwidth.
SMALL, LARGE = 4 * 1024, 16 * 1024
#: How old a sample may be at most, in seconds, and after how many more it weighs 1/e.
WINDOW, DECAY = 60.0, 32.0
_MOST_SAMPLES = 128
_MOST_TIMES = 64
#: A transfer shows the bandwidth if it takes longer than the fixed time by this share of it.
_LEAST_SHARE = 0.25
_LEAST_SECONDS = 50e-6
#: So many transfers in a row that show about the same, and not what is estimated: a new link.
CHANGE_AFTER = 5
#: The share of the bytes, of the slowest and of the fastest transfers, that is left out.
TRIMMED = 0.25
SAME, CHANGE = 2.0, 1.3


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a link can do.

    Attributes:
        bandwidth: Bytes a second; None: not known.
        latency: Seconds until the answer to a ping; None: not known.
        fixed: Seconds that the shortest message takes until it is acknowledged.
        samples: How many transfers the bandwidth was estimated from.
    """

    bandwidth: float | None
    latency: float | None
    fixed: float
    samples: int

    def seconds(self, size: int) -> float | None:
        """Return how long so many bytes take until they are acknowledged; None: not known."""
        if self.bandwidth is None:
            return self.fixed if size <= SMALL else None
        return self.fixed + size / self.bandwidth


class Base:
    """The fixed time of transfers on one link, from pings and short messages."""

    def __init__(self) -> None:
        self._pings: deque[tuple[float, float]] = deque(maxlen=_MOST_TIMES)
        self._short: deque[tuple[float, float, int]] = deque(maxlen=_MOST_TIMES)

    def add(self, at: float, size: int, seconds: float, rtt: float | None, *, busy: bool) -> None:
        """Take a sample, as ``Prediction.observe`` does."""
        if rtt is not None and rtt > 0:
            self._pings.append((at, rtt))
        if 0 < size <= SMALL and not busy:
            self._short.append((at, seconds, size))

    def latency(self, at: float) -> float | None:
        """Return the time of a ping; None: there was none."""
        return _low(self._pings, at)

    def fixed(self, at: float, bandwidth: float | None = None) -> float:
        """Return the time of a short message, or else of a ping; 0.0 if nothing is known.

        Args:
            at: The time.
            bandwidth: That of the link, if it is known: then what the bytes need is left out.
        """
        each = 0.0 if bandwidth is None else 1 / bandwidth
        times = ((then, max(0.0, seconds - size * each)) for then, seconds, size in self._short)
        short = _low(times, at)
        return (self.latency(at) or 0.0) if short is None else short


def rate_of(size: int, seconds: float, fixed: float, *, busy: bool) -> float | None:
    """Return the bandwidth that a transfer shows, in bytes a second; None: it shows none.

    Args:
        size: Bytes transferred.
        seconds: How long it took until the acknowledgement.
        fixed: The fixed time of transfers on the link.
        busy: Whether another transfer was on its way before: then no fixed time is in it.
    """
    moving = seconds if busy else seconds - fixed
    if size < LARGE or moving < _LEAST_SECONDS or (not busy and moving < _LEAST_SHARE * fixed):
        return None
    return size / moving


class Estimator:
    """Estimates the bandwidth of one link. Not shared between threads.

    It is the bytes of recent transfers divided by their seconds, where more recent ones weigh more,
    without the slowest and the fastest ones, by a share of the bytes. So one transfer through a
    stall says nothing. If several in a row show about the
    same, and something else than the estimate, the link has changed, and earlier ones are
    forgotten.

    Attributes:
        count: How many samples it has taken.
    """

    def __init__(self) -> None:
        self.count = 0
        self._rates: deque[tuple[float, float, int]] = deque(maxlen=_MOST_SAMPLES)
        self._known: float | None = None

    def add(self, at: float, rate: float, size: int) -> None:
        """Take what a transfer of so many bytes has shown, at a time that never goes back."""
        self.count += 1
        while self._rates and at - self._rates[0][0] > WINDOW:
            self._rates.popleft()
        self._rates.append((at, rate, size))
        known = self._estimate()
        if self._has_changed(known):
            while len(self._rates) > CHANGE_AFTER:
                self._rates.popleft()
            known = self._estimate()
        self._known = known

    @property
    def bandwidth(self) -> float | None:
        """Bytes a second; None: not known. It stays as it is while the link is quiet."""
        return self._known

    @property
    def samples(self) -> int:
        """How many transfers the estimate rests on."""
        return len(self._rates)

    def _has_changed(self, known: float) -> bool:
        last = [rate for _, rate, _ in [*self._rates][-CHANGE_AFTER:]]
        if len(last) < CHANGE_AFTER or max(last) > SAME * min(last):
            return False
        return min(last) > known * CHANGE or max(last) < known / CHANGE

    def _estimate(self) -> float:
        last = len(self._rates) - 1
        weighted = sorted(
            (rate, size * exp((number - last) / DECAY))
            for number, (_, rate, size) in enumerate(self._rates)
        )
        total = sum(weight for _, weight in weighted)
        low, high = TRIMMED * total, (1 - TRIMMED) * total
        below = kept = seconds = 0.0
        for rate, weight in weighted:
            part = min(high, below + weight) - max(low, below)  # of it, what is not trimmed
            below += weight
            if part > 0:
                kept += part
                seconds += part / rate
        return kept / seconds


def _low(given: Iterable[tuple[float, float]], at: float) -> float | None:
    """Return the lower quartile of recent times: what one takes longer than others is chance."""
    times = [*given]
    recent = [seconds for then, seconds in times if at - then <= WINDOW]
    recent = recent or [seconds for _, seconds in times]
    return sorted(recent)[len(recent) // 4] if recent else None
