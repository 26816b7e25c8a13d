"""What a test may switch for as long as a block lasts: the clock, the registry, retries."""

from __future__ import annotations

from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING

from holdfast._native.gate import _set_retrying
from holdfast.clock import ManualClock, replace_default_clock
from holdfast.registry import registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.clock import Clock
    from holdfast.registry import Registry

__all__ = ["isolated_registry", "retries_off", "use_clock"]

_lock = RLock()
_off = 0


@contextmanager
def use_clock(clock: Clock | None = None) -> Iterator[Clock]:
    """Have policies that are made in the block without ``clock=`` read this clock, also later.

    Args:
        clock: None for a ``ManualClock()`` of its own.

    One block at a time in a process; policies made in any thread meanwhile are concerned.
    """
    chosen = ManualClock() if clock is None else clock
    before = replace_default_clock(chosen)
    try:
        yield chosen
    finally:
        replace_default_clock(before)


@contextmanager
def isolated_registry() -> Iterator[Registry]:
    """Have ``holdfast.registry`` begin empty, and be as it was before when the block ends.

    So ``shared=True`` finds no policy of another test. Policies made before go on as they are.
    One block at a time in a process.
    """
    bring_back = registry.set_aside()
    try:
        yield registry
    finally:
        bring_back()


@contextmanager
def retries_off() -> Iterator[None]:
    """Have no call tried again while the block lasts: each retry makes one attempt and no pause.

    Of policies made before as well as in the block, in decorated functions, pipelines, blocks of
    attempts, threads and tasks. What a retry would have tried again it gives up as exhausted.
    Blocks may be nested and overlap in threads; it is a switch of the whole process.
    """
    _count(1)
    try:
        yield
    finally:
        _count(-1)


def _count(blocks: int) -> None:
    global _off  # noqa: PLW0603 - a switch of the process, as the docstring says
    with _lock:
        _off += blocks
        _set_retrying(_off == 0)
