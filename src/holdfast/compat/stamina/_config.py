"""The settings of the process: whether calls are retried, test mode, hooks.

Elsewhere: which hooks there are by default, and how factories make them (``instrumentation``).
"""

from __future__ import annotations

from holdfast.forks import call_in_child
from holdfast.locks import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import TypeAlias

    from holdfast.compat.stamina.instrumentation._data import RetryHook, RetryHookFactory

    Given: TypeAlias = tuple[RetryHook | RetryHookFactory, ...] | None

__all__ = ["CONFIG", "is_active", "is_testing", "set_active", "set_testing"]


class _Testing:
    """The test mode: no pauses, and so many attempts, or at most so many (``cap``)."""

    __slots__ = ("attempts", "cap")

    def __init__(self, attempts: int, cap: bool) -> None:
        self.attempts = attempts
        self.cap = cap

    def get_attempts(self, non_testing_attempts: int | None) -> int:
        """Return how many attempts there are where the code asks for so many (None: no limit)."""
        if self.cap and non_testing_attempts:
            return min(self.attempts, non_testing_attempts)
        return self.attempts


class _Config:
    """The settings. One object: reading an attribute is all that a call does with it.

    Attributes:
        make_hooks: Makes the hooks of those and those factories that were set, or of None, the
            default; ``instrumentation`` brings it along.

    Safe to use from any thread.
    """

    __slots__ = (
        "_get_on_retry",
        "_is_initialising",
        "_on_retry",
        "is_active",
        "lock",
        "make_hooks",
        "testing",
    )

    make_hooks: Callable[[Given], tuple[RetryHook, ...]]

    def __init__(self, lock: AbstractContextManager[object]) -> None:
        self.lock = lock
        self.is_active = True
        self.testing: _Testing | None = None
        self._on_retry: Given = None
        self._is_initialising = False
        self._get_on_retry: Callable[[], tuple[RetryHook, ...]] = self._init_on_first_retry

    @property
    def on_retry(self) -> tuple[RetryHook, ...]:
        """The hooks; factories are called at the first look."""
        return self._get_on_retry()

    @on_retry.setter
    def on_retry(self, value: Given) -> None:
        with self.lock:
            self._on_retry = value
            self._get_on_retry = self._init_on_first_retry

    def _init_on_first_retry(self) -> tuple[RetryHook, ...]:
        with self.lock:
            if self._get_on_retry != self._init_on_first_retry:  # another thread was faster
                return self._get_on_retry_made()
            if self._is_initialising:  # a factory retries something itself: nobody is told
                return ()
            self._is_initialising = True
            given = self._on_retry
            try:
                hooks = self.make_hooks(given)
            finally:
                self._is_initialising = False
            if self._on_retry is given:  # or a factory has set others
                self._on_retry = hooks
                self._get_on_retry = self._get_on_retry_made
            return hooks

    def _get_on_retry_made(self) -> tuple[RetryHook, ...]:
        return self._on_retry  # type: ignore[return-value]  # they are made

    def _after_fork(self) -> None:
        """Take a lock that no thread holds; the one that held the other is not in this process."""
        self.lock = RLock()
        self._is_initialising = False


CONFIG = _Config(RLock())
call_in_child(CONFIG._after_fork)


def is_active() -> bool:
    """Return whether calls are retried."""
    return CONFIG.is_active


def set_active(active: bool) -> None:
    """Turn retries on or off, in the whole process.

    Args:
        active: Off, each call is made once. May be set at any time, from any thread.
    """
    CONFIG.is_active = bool(active)


def is_testing() -> bool:
    """Return whether test mode is on."""
    return CONFIG.testing is not None


class _RestoreTestingCM:
    """Sets test mode back at the end of the block."""

    def __init__(self, old: _Testing | None) -> None:
        self.old = old

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        CONFIG.testing = self.old


def set_testing(testing: bool, *, attempts: int = 1, cap: bool = False) -> _RestoreTestingCM:
    """Turn test mode on or off, in the whole process: no pauses, few attempts.

    Args:
        testing: Whether it is on.
        attempts: How many attempts each call makes.
        cap: Whether code that asks for fewer attempts makes only those.

    Returns:
        A context manager that brings back the mode of before; use it with ``with`` or not at all.
    """
    old = CONFIG.testing
    CONFIG.testing = _Testing(attempts, cap) if testing else None
    return _RestoreTestingCM(old)
