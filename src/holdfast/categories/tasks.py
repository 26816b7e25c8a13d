"""Errors of anyio and trio, whose streams have classes of their own for what an OSError says."""

from __future__ import annotations

from holdfast.categories.rules import LOGIC, TRANSIENT, each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.categories.rules import Rule

__all__ = ["RULES"]

_STREAMS: dict[str, Rule] = {
    **each(TRANSIENT, "BrokenResourceError EndOfChannel EndOfStream IncompleteRead TooSlowError"),
    **each(TRANSIENT, "WouldBlock"),
    **each(LOGIC, "BusyResourceError ClosedResourceError DelimiterNotFound"),
}

RULES: dict[str, dict[str, Rule]] = dict.fromkeys(
    ("anyio", "anyio._core._exceptions", "trio"), _STREAMS
)
