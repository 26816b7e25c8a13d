"""The types of what the decorators take, for annotations."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import Any, TypeAlias, TypedDict, TypeVar

__all__ = [
    "CallableT",
    "Details",
    "Handler",
    "Jitterer",
    "MaybeCallable",
    "MaybeLogger",
    "MaybeSequence",
    "Predicate",
    "WaitGenerator",
]


class _Details(TypedDict):
    target: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    tries: int
    elapsed: float


class Details(_Details, total=False):
    """What a handler is called with.

    Attributes:
        target, args, kwargs: The function, and how it is called.
        tries: How often it was called so far.
        elapsed: Seconds since the first call began.
        wait: Seconds until the next call; for ``on_backoff``.
        value: What the function returned; with ``on_predicate``.
        exception: What it raised; with ``on_exception``, for ``on_backoff`` and ``on_giveup``.
    """

    wait: float
    value: Any
    exception: Exception


T = TypeVar("T")

CallableT = TypeVar("CallableT", bound=Callable[..., Any])
Handler: TypeAlias = Callable[[Details], None] | Callable[[Details], Coroutine[Any, Any, None]]
Jitterer: TypeAlias = Callable[[float], float]
MaybeCallable: TypeAlias = T | Callable[[], T]
MaybeLogger: TypeAlias = str | logging.Logger | None
MaybeSequence: TypeAlias = T | Sequence[T]
Predicate: TypeAlias = Callable[[T], bool]
WaitGenerator: TypeAlias = Callable[..., Generator[float, None, None]]

# Under the names that backoff has for them.
_CallableT = TypeVar("_CallableT", bound=Callable[..., Any])
_Handler: TypeAlias = Handler
_Jitterer: TypeAlias = Jitterer
_MaybeCallable: TypeAlias = MaybeCallable[T]
_MaybeLogger: TypeAlias = MaybeLogger
_MaybeSequence: TypeAlias = MaybeSequence[T]
_Predicate: TypeAlias = Predicate[T]
_WaitGenerator: TypeAlias = WaitGenerator
