"""When an error budget pages: the pairs of windows, and the evidence that a page needs.

A burn rate is the share of requests that failed, divided by the share that the objective allows. A
rate of 1 uses up the budget of a window in exactly that window. The pairs and their rates are those
of Google's SRE workbook, chapter 5: the long window says that much of the budget is gone, the short
one that this goes on.

The rule, which exported alert rules repeat word for word (``csrc/holdfast/hf_burn.h``)::

    limit   = min(rate * allowed, (1 + allowed) / 2)
    page    = failed_long >= 10  and  failed_long / total_long > limit
              and  lower_bound(total_short, failed_short) > limit

    lower_bound(n, k), with p = k / n and z = 1.6448536269 (Wilson's interval, one-sided, 95 %):
        (p + z**2 / (2 * n) - z * sqrt(p * (1 - p) / n + z**2 / (4 * n**2))) / (1 + z**2 / n)
"""

from __future__ import annotations

from holdfast._native.error_budget import PAGE_FAST, PAGE_SLOW, lower_bound, pages

__all__ = ["MIN_FAILURES", "PAIRS", "Pair", "lower_bound", "pages"]

#: Failures in the long window without which nobody is paged.
MIN_FAILURES = 10


class Pair:
    """Two windows and the burn rate above which they page.

    Attributes:
        word: "5m/1h" or "30m/6h".
        short, long: The numbers of the windows in the kernel.
        short_seconds, long_seconds: Their lengths.
        rate: The burn rate.
        bit: Its bit in the state of a budget.
    """

    __slots__ = ("bit", "long", "long_seconds", "rate", "short", "short_seconds", "word")

    def __init__(
        self, word: str, rate: float, bit: int, short: tuple[int, int], long: tuple[int, int]
    ) -> None:
        self.word, self.rate, self.bit = word, rate, bit
        self.short, self.short_seconds = short
        self.long, self.long_seconds = long


PAIRS = (
    Pair("5m/1h", 14.4, PAGE_FAST, (1, 300), (2, 3600)),
    Pair("30m/6h", 6.0, PAGE_SLOW, (3, 1800), (4, 21600)),
)
