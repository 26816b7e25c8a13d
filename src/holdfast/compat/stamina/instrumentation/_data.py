"""What a hook is told, and what a hook is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from holdfast.compat.stamina._names import guess_name

__all__ = ["RetryDetails", "RetryHook", "RetryHookFactory", "guess_name"]


@dataclass(frozen=True, slots=True)
class RetryDetails:
    """What a hook is told about a retry that is about to be waited for.

    Attributes:
        name: The callable that is repeated; ``<context block>`` for a block.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        retry_num: The number of the retry, from 1.
        wait_for: How long the pause before it is, in seconds.
        waited_so_far: How long the pauses before earlier retries were, in seconds.
        caused_by: What the attempt before it raised.

    Immutable; safe to share between threads and event loops.
    """

    name: str
    args: tuple[object, ...]
    kwargs: dict[str, object]
    retry_num: int
    wait_for: float
    waited_so_far: float
    caused_by: Exception


class RetryHook(Protocol):
    """A callable that is told of each retry, before the pause.

    A context manager that it returns is entered at once, and left when the pause is over. It may
    be called from any thread and any event loop.
    """

    def __call__(self, details: RetryDetails) -> AbstractContextManager[None] | None:
        """Take note of a retry."""


@dataclass(frozen=True)
class RetryHookFactory:
    """Makes a hook at the first retry: for hooks whose imports or connections take time.

    Args:
        hook_factory: Called once, without arguments; returns the hook.

    Immutable; safe to share between threads and event loops.
    """

    hook_factory: Callable[[], RetryHook]
