"""Durations as people write them in a file: "100ms", "60s", "1m30s", or plain seconds.

The units are those of Go's durations, and ``d`` for days. Elsewhere: which durations a setting
allows (``types``).
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

from holdfast.validation import MAX_NS, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["is_too_long", "parse_duration", "suggestion"]

_UNITS = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),  # the micro sign
    "μs": Decimal("1e-6"),  # the Greek letter
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86_400),
}
_ORDER = ("d", "h", "m", "s", "ms", "us", "ns")
_MOST_LETTERS = 40
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_PART = re.compile(rf"({_NUMBER})(ns|us|µs|μs|ms|s|m|h|d)")
_PLAIN = re.compile(_NUMBER)
_LOOSE = re.compile(rf"({_NUMBER}|\.[0-9]+)\s*([a-zµμ]*)\.?", re.IGNORECASE)
_WORDS = {
    "ms": r"ms(ecs?)?|millis?|milliseconds?",
    "us": r"us(ecs?)?|micros?|microseconds?",
    "s": r"s|secs?|seconds?",
    "m": r"m|mins?|minutes?",
    "h": r"h|hrs?|hours?",
    "d": r"d|days?",
}


def parse_duration(text: str) -> float:
    """Return the seconds of a duration that is written as text.

    Args:
        text: A number and a unit, or several from the largest unit to the smallest: "100ms",
            "60s", "1h30m". The units are ns, us (µs), ms, s, m, h and d. Without a unit: seconds.

    Returns:
        Seconds, from 0 to a hundred years.

    Raises:
        ValueError: The text is no such duration.

    >>> parse_duration("100ms"), parse_duration("1m30s"), parse_duration("2.5")
    (0.1, 90.0, 2.5)
    """
    seconds = _seconds(text.strip()) if len(text) <= _MOST_LETTERS else None
    if seconds is None or seconds > MAX_NS // 10**9:
        raise ValueError(f"no duration: {shown(text)}")
    return float(seconds)


def is_too_long(value: Any) -> bool:
    """Return whether a text or a number is a duration, but one of more than a hundred years.

    >>> is_too_long("40000d"), is_too_long(4e9), is_too_long("100d"), is_too_long("soon")
    (True, True, False, False)
    """
    seconds = value
    if isinstance(value, str):
        seconds = _seconds(value.strip()) if len(value) <= _MOST_LETTERS else None
    return isinstance(seconds, (int, float, Decimal)) and MAX_NS // 10**9 < seconds < math.inf


def suggestion(text: str) -> str | None:
    """Return how a duration is written that was probably meant; None if that is not known.

    >>> suggestion("5 min"), suggestion("soon")
    ('5m', None)
    """
    found = _LOOSE.fullmatch(text.strip()) if len(text) <= _MOST_LETTERS else None
    if found is None or found[2] == "M":  # minutes, or a million
        return None
    word = found[2].lower()
    unit = next((unit for unit, words in _WORDS.items() if re.fullmatch(words, word)), None)
    if unit is None:
        return None
    meant = f"{'0' if found[1].startswith('.') else ''}{found[1]}{unit}"
    try:
        parse_duration(meant)
    except ValueError:  # it is too long
        return None
    return meant


def _seconds(text: str) -> Decimal | None:
    if _PLAIN.fullmatch(text):
        return Decimal(text)
    total, at, last = Decimal(0), 0, -1
    while part := _PART.match(text, at):
        unit = part[2].replace("µ", "u").replace("μ", "u")
        if _ORDER.index(unit) <= last:  # "5s5s", "5s1m": a slip rather than a sum
            return None
        total += Decimal(part[1]) * _UNITS[unit]
        at, last = part.end(), _ORDER.index(unit)
    return total if 0 < at == len(text) else None
