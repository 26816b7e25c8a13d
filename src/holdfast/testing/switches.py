"""What a test may switch for as long as a block lasts: the clock, the registry, retries."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, overload

from holdfast._native.gate import _set_retrying
from holdfast.clock import ManualClock, read_clock, replace_default_clock
from holdfast.locks import RLock
from holdfast.registry import registry
from holdfast.validation import Problems

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from typing import Any, TypeVar

    from holdfast.clock import Clock
    from holdfast.registry import Registry

    _Clock = TypeVar("_Clock", bound=Clock)

__all__ = ["isolated_registry", "retries_off", "use_clock"]

_lock = RLock()
_off = 0


@overload
def use_clock(clock: None = None) -> AbstractContextManager[ManualClock]: ...
@overload
def use_clock(clock: _Clock) -> AbstractContextManager[_Clock]: ...
@contextmanager
def use_clock(clock: Clock | None = None) -> Iterator[Any]:
    """Set the clock of policies that are created in the block without ``clock``.

    These policies continue to use it after the block.

    Args:
        clock: The clock; None creates a ``ManualClock``.

    Only one such block may be open in a process. It applies to policies created in any thread.
    """
    problems = Problems("use_clock")
    chosen = ManualClock() if clock is None else read_clock(problems, clock)
    problems.done()
    before = replace_default_clock(chosen)
    try:
        yield chosen
    finally:
        replace_default_clock(before)


@contextmanager
def isolated_registry() -> Iterator[Registry]:
    """Replace ``holdfast.registry`` with an empty registry, and restore it when the block ends.

    ``shared=True`` then finds no policy of another test. Existing policies continue to work. Only
    one such block may be open in a process.
    """
    bring_back = registry.set_aside()
    try:
        yield registry
    finally:
        bring_back()


@contextmanager
def retries_off() -> Iterator[None]:
    """Disable retries in a block: each retry makes one attempt and no pause.

    This applies to all policies of the process, including those created before the block, in
    decorated functions, pipelines, attempts at blocks, threads and tasks. A call that would have
    been retried is given up as exhausted. Blocks may be nested and may overlap between threads.
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
