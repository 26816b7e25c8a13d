"""Stopping several parts within one time, the last started first."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["astop_all", "stop_all"]


def stop_all(parts: list[Any], timeout_ns: int | None) -> bool:
    """Stop all parts, whatever any of them raises; return whether nothing runs any more.

    Raises:
        ExceptionGroup: What they raised, after all were stopped.
    """
    left = _left(timeout_ns)
    errors: list[Exception] = []
    ended = True
    for part in parts:
        try:
            ended = part.stop(left()) and ended
        except Exception as error:  # noqa: BLE001 - raised below, once all had their turn
            errors.append(error)
    _raise(errors)
    return ended


async def astop_all(parts: list[Any], timeout_ns: int | None) -> bool:
    """Stop all parts as ``stop_all`` does, without blocking the event loop."""
    left = _left(timeout_ns)
    errors: list[Exception] = []
    ended = True
    for part in parts:
        try:
            ended = await part.astop(left()) and ended
        except Exception as error:  # noqa: BLE001 - raised below, once all had their turn
            errors.append(error)
    _raise(errors)
    return ended


def _left(timeout_ns: int | None) -> Callable[[], float]:
    if timeout_ns is None:
        return lambda: float("inf")
    until_ns = monotonic_ns() + timeout_ns
    return lambda: max(0, until_ns - monotonic_ns()) / 1e9


def _raise(errors: list[Exception]) -> None:
    if errors:
        raise ExceptionGroup("stopping a manager", errors)
