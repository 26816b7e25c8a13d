"""Numbers as people read them: three significant figures, and a unit."""

from __future__ import annotations

import math

NOTHING = "–"


def duration(ns: float | None) -> str:
    """Return a time span with the unit that suits it.

    >>> duration(52_340_000), duration(1_310_000_000), duration(None)
    ('52.3 ms', '1.31 s', '–')
    """
    if ns is None:
        return NOTHING
    for unit, size in (("µs", 1e3), ("ms", 1e6)):
        if ns / size < 999.5:
            return f"{_three_figures(ns / size)} {unit}"
    return f"{_three_figures(ns / 1e9)} s"


def rate(n: int, span_ns: int) -> str:
    """Return ``n`` in ``span_ns`` as a number a second.

    >>> rate(612, 10_000_000_000), rate(3, 0)
    ('61.2/s', '–')
    """
    return f"{_three_figures(n * 1e9 / span_ns)}/s" if span_ns > 0 else NOTHING


def pace(n: int, span_ns: int) -> str:
    """Return ``n`` in about a second as a whole number a second, the unit left to the heading.

    >>> pace(119, 1_010_000_000)
    '118'
    """
    return f"{n * 1e9 / span_ns:,.0f}" if span_ns > 0 else NOTHING


def number(n: int) -> str:
    """Return a count with its thousands apart.

    >>> number(1204)
    '1,204'
    """
    return f"{n:,}"


def budget(balance: float, burst: int) -> str:
    """Return what is left of a retry budget, to the tenth, and never more than there is.

    >>> budget(12.38, 20)
    '12.3 of 20'
    """
    return f"{math.floor(balance * 10) / 10:,.1f} of {burst:,}"


def seconds(ns: int) -> str:
    """Return a point of the run, to the hundredth.

    >>> seconds(4_312_000_000)
    '4.31 s'
    """
    return f"{ns / 1e9:.2f} s"


def _three_figures(value: float) -> str:
    if value < 10:
        return f"{value:.2f}" if value else "0"
    return f"{value:.1f}" if round(value, 1) < 100 else f"{value:,.0f}"
