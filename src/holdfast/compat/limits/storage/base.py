"""What a storage has to have, for threads."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, cast

from holdfast.compat.limits._storage_scheme import StorageRegistry
from holdfast.compat.limits._wrapping import is_of_original, wrap_methods
from holdfast.compat.limits.errors import StorageError
from holdfast.compat.limits.util import LazyDependency

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from holdfast.compat.limits.typing import P, R

__all__ = [
    "MovingWindowSupport",
    "SlidingWindowCounterSupport",
    "Storage",
    "TimestampedSlidingWindow",
]


def _wrap_errors(fn: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(fn)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        storage = cast("Storage", args[0])
        try:
            return fn(*args, **kwargs)
        except storage.base_exceptions as error:
            if storage.wrap_exceptions:
                raise StorageError(error) from error
            raise

    return inner


class Storage(LazyDependency, metaclass=StorageRegistry):
    """The base class of storages. One of limits itself counts as a subclass.

    Args:
        uri: Where it is.
        wrap_exceptions: Whether exceptions of the storage are raised as ``StorageError``.
        options: What else a storage takes.
    """

    STORAGE_SCHEME: list[str] | None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Have the methods of a storage raise its exceptions as they were asked for."""
        names = ("incr", "get", "get_expiry", "check", "reset", "clear")
        wrap_methods(cls, names, _wrap_errors)
        super().__init_subclass__(**kwargs)

    def __init__(
        self,
        uri: str | None = None,  # noqa: ARG002 - for subclasses
        wrap_exceptions: bool = False,
        **options: float | str | bool,  # noqa: ARG002 - for subclasses
    ) -> None:
        super().__init__()
        self.wrap_exceptions = wrap_exceptions

    @classmethod
    def __subclasshook__(cls, other: type) -> bool:
        found: bool = is_of_original(cls, other, Storage, "limits.storage.base")
        return found

    @property
    @abstractmethod
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """The exceptions of the storage."""
        raise NotImplementedError

    @abstractmethod
    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add to a counter, and return it.

        Args:
            key: The key.
            expiry: Seconds until a new counter expires.
            amount: What to add.
        """
        raise NotImplementedError

    @abstractmethod
    def get(self, key: str) -> int:
        """Return the counter of a key."""
        raise NotImplementedError

    @abstractmethod
    def get_expiry(self, key: str) -> float:
        """Return when the counter of a key expires, in seconds since 1970."""
        raise NotImplementedError

    @abstractmethod
    def check(self) -> bool:
        """Return whether the storage can be used."""
        raise NotImplementedError

    @abstractmethod
    def reset(self) -> int | None:
        """Remove everything, and return how much that was."""
        raise NotImplementedError

    @abstractmethod
    def clear(self, key: str) -> None:
        """Remove what a key has."""
        raise NotImplementedError


class MovingWindowSupport(ABC):
    """What a storage has to have for moving windows."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Have the methods of a storage raise its exceptions as they were asked for."""
        wrap_methods(cls, ("acquire_entry", "get_moving_window"), _wrap_errors)
        super().__init_subclass__(**kwargs)

    @classmethod
    def __subclasshook__(cls, other: type) -> bool:
        found: bool = is_of_original(cls, other, MovingWindowSupport, "limits.storage.base")
        return found

    @abstractmethod
    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Add hits if the last ``expiry`` seconds have room for them, and return whether.

        Args:
            key: The key.
            limit: Hits at most.
            expiry: Seconds for which a hit counts.
            amount: Hits.
        """
        raise NotImplementedError

    @abstractmethod
    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return when the oldest hit was that counts, and how many count.

        Args:
            key: The key.
            limit: Hits at most.
            expiry: Seconds for which a hit counts.
        """
        raise NotImplementedError


class SlidingWindowCounterSupport(ABC):
    """What a storage has to have for counters of sliding windows."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Have the methods of a storage raise its exceptions as they were asked for."""
        names = ("acquire_sliding_window_entry", "get_sliding_window", "clear_sliding_window")
        wrap_methods(cls, names, _wrap_errors)
        super().__init_subclass__(**kwargs)

    @classmethod
    def __subclasshook__(cls, other: type) -> bool:
        found: bool = is_of_original(cls, other, SlidingWindowCounterSupport, "limits.storage.base")
        return found

    @abstractmethod
    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Add hits if the weighted sum of two windows has room for them, and return whether.

        Args:
            key: The key.
            limit: Hits at most.
            expiry: Seconds of a window.
            amount: Hits.
        """
        raise NotImplementedError

    @abstractmethod
    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Return count and seconds to live of the window before, and of this one.

        Args:
            key: The key.
            expiry: Seconds of a window.
        """
        raise NotImplementedError

    @abstractmethod
    def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Remove both windows of a key.

        Args:
            key: The key.
            expiry: Seconds of a window.
        """
        ...


class TimestampedSlidingWindow:
    """For storages whose windows have keys of their own, made of the time."""

    @classmethod
    def sliding_window_keys(cls, key: str, expiry: int, at: float) -> tuple[str, str]:
        """Return the keys of the window before and of the one at ``at``, in seconds since 1970."""
        return f"{key}/{int((at - expiry) / expiry)}", f"{key}/{int(at / expiry)}"
