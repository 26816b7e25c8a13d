"""A control chart: how one signal of a component is lately, against its own history.

Owns the arithmetic. A chart reads no clock and consists of a dozen numbers. Elsewhere: the
signals, and the conclusions from them (``outlook``).

The chart is an exponentially weighted moving average (Roberts 1959; its limits as in Lucas and
Saccucci, "Exponentially weighted moving average control schemes", Technometrics 32, 1990), with
weights that depend on the time between samples. With x a sample, a, b and c the weights of the
history, of the present and of the longer present, and f the care of learning, 0 to 1:

    usual      m <- m + a f (h - m)                 h: x, at most CLIP deviations from m
    deviation  s <- s + a f (1.2533 |h - m| - s)    the mean distance, as a standard deviation
    excess     z <- z + b (r - z)                   r: (x - m) / s, from -CLIP to z + CLIP
    its noise  v <- (1 - b)^2 v + b^2               the variance of z if samples are independent
    recent     p <- p + b (k - p)                   k: x, at most CLIP deviations from p
    longer     q <- q + c (p - q)

``excess / sqrt(v)`` is the distance from the usual in standard errors; 3 is the limit of the
textbook. If x grows at a constant rate, p lags by its time constant and q by the sum of
both, so (p - q) over the constant of q is the slope. Distant samples are drawn in (Huber's
function): the effect of one wild sample is that of one at CLIP deviations.
"""

from __future__ import annotations

from math import log, sqrt

__all__ = ["Chart", "Weights"]

CLIP = 4.0  # deviations: a sample that is farther off counts as this far
FROM_MEAN_DISTANCE = 1.2533  # sqrt(pi / 2): a mean absolute deviation as a standard deviation
LONGER = 3  # the longer present, in half-lives of the present


class Weights:
    """The weights of a sample, by the time since the sample before.

    Args:
        recent: The half-life of the present, in seconds.
        half_life: The half-life of the history, in seconds.
    """

    __slots__ = ("_half_life", "history", "longer", "present", "recent")

    def __init__(self, recent: float, half_life: float) -> None:
        self.recent = recent
        self._half_life = half_life
        self.history = self.present = self.longer = 0.0

    def after(self, seconds: float) -> None:
        """Set the weights for a sample that comes ``seconds`` after the one before it.

        A gap counts as one half-life of the present at most: silence is no reason to forget.
        """
        seconds = min(seconds, self.recent)
        self.present = 1 - 0.5 ** (seconds / self.recent)
        self.longer = 1 - 0.5 ** (seconds / (self.recent * LONGER))
        self.history = 1 - 0.5 ** (seconds / self._half_life)


class Chart:
    """One signal; see the module for the formulas. Not shared between threads.

    Attributes:
        samples: The number of samples.
        at_ns: When the last one came; the caller sets it.
        usual: m.
        deviation: s, as it was used for the last sample.
        recent: p.
    """

    __slots__ = (
        "_excess",
        "_longer",
        "_noise",
        "_spread",
        "at_ns",
        "deviation",
        "recent",
        "samples",
        "usual",
    )

    def __init__(self) -> None:
        self.samples = self.at_ns = 0
        self.usual = self.deviation = self.recent = 0.0
        self._spread = self._excess = self._noise = self._longer = 0.0

    def add(self, x: float, floor: float, weights: Weights, care: float) -> None:
        """Take a sample.

        Args:
            x: The sample.
            floor: The least deviation: that of chance, or one too small to matter.
            weights: Its weights.
            care: How much of it is learned as usual, 0 to 1.
        """
        self.samples += 1
        if self.samples == 1:
            self.usual = self.recent = self._longer = x
            self.deviation = floor
            return
        b, c = weights.present, weights.longer
        # The first samples are averaged, until the weights are those of the half-life.
        a = max(weights.history, 1 / self.samples)
        s = self.deviation = max(self._spread, floor)
        off = (x - self.usual) / s
        z = self._excess
        self._excess = z + b * (max(-CLIP, min(off, z + CLIP)) - z)
        self._noise = (1 - b) * (1 - b) * self._noise + b * b
        p = self.recent
        self.recent = p = p + b * (max(p - CLIP * s, min(x, p + CLIP * s)) - p)
        self._longer += c * (p - self._longer)
        drawn_in = s * max(-CLIP, min(off, CLIP))
        self.usual += a * care * drawn_in
        self._spread += a * care * (FROM_MEAN_DISTANCE * abs(drawn_in) - self._spread)

    @property
    def excess(self) -> float:
        """How far the present is above the usual, in standard errors of the present."""
        return self._excess / sqrt(self._noise) if self._noise else 0.0

    def slope(self, recent: float) -> tuple[float, float]:
        """Return the change in a second, and how many standard errors of the present it is."""
        if not self._noise or not self.deviation:
            return 0.0, 0.0
        lag = self.recent - self._longer
        return lag / (LONGER * recent / log(2)), lag / (self.deviation * sqrt(self._noise))
