"""How long the other side wants to be left alone, in whatever form it says so.

A server's ``Retry-After`` is text, seconds or a date; libraries make numbers of many kinds of it.
Elsewhere: who is asked, and how much of it is granted (``retry``).
"""

from __future__ import annotations

from time import time

from holdfast.validation import MAX_NS, duration_to_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

__all__ = ["read_delay_ns"]


def read_delay_ns(asked: object) -> int | None:
    """Return a delay in nanoseconds, a hundred years at most.

    Args:
        asked: Seconds as a number of any kind, a timedelta, a date and time (without a zone it is
            local), or, in text or bytes, seconds, an HTTP date or one of ISO 8601 (without a zone
            it is UTC).

    Returns:
        -1 for a date that has passed; None for what cannot be understood, NaN and negative
        numbers included.
    """
    if isinstance(asked, float) and asked > MAX_NS:
        return MAX_NS
    ns = duration_to_ns(asked)
    if ns is None:
        try:
            ns = _read(asked)
        except Exception:  # noqa: BLE001 - the caller's object; it is not understood
            return None
        return None if ns is None else min(ns, MAX_NS)
    return min(ns, MAX_NS) if ns >= 0 else None


def _read(asked: Any) -> int | None:
    from datetime import datetime, timedelta

    if type(asked).__module__.partition(".")[0] == "numpy":
        asked = asked.item()
        if isinstance(asked, (float, int, timedelta)):
            return read_delay_ns(asked)
    if isinstance(asked, (bytes, bytearray)):
        asked = asked.decode("ascii")
    if isinstance(asked, str):
        return _read_text(asked.strip())
    if isinstance(asked, datetime):
        return _until(asked)
    return None if isinstance(asked, (bool, float)) else _read_number(asked)


def _read_text(text: str) -> int | None:
    from datetime import UTC, datetime

    if text.isascii() and text.replace(".", "", 1).isdigit():
        return _read_number(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        from email.utils import parsedate_to_datetime

        moment = parsedate_to_datetime(text)
    return _until(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _read_number(number: Any) -> int | None:
    try:
        seconds = float(number)
    except OverflowError:
        return MAX_NS if number > 0 else None
    return read_delay_ns(seconds) if seconds >= 0 else None


def _until(moment: datetime) -> int:
    """Return the time until a moment, which is the wall clock's: no policy's knows dates."""
    seconds = moment.timestamp() - time()
    return round(seconds * 1e9) if seconds > 0 else -1
