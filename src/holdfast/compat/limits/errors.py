"""The exceptions of limits."""

from __future__ import annotations

__all__ = ["ConcurrentUpdateError", "ConfigurationError", "StorageError"]


class ConfigurationError(Exception):
    """A storage is unknown, or cannot be made as it was asked for."""


class ConcurrentUpdateError(Exception):
    """A limit could not be updated, because others updated it meanwhile.

    Args:
        key: The key of the limit.
        attempts: How often it was tried.
    """

    def __init__(self, key: str, attempts: int) -> None:
        super().__init__(f"Unable to update {key} after {attempts} retries")


class StorageError(Exception):
    """A storage with ``wrap_exceptions`` raised an exception.

    Args:
        storage_error: That exception.

    Attributes:
        storage_error: That exception.
    """

    def __init__(self, storage_error: Exception) -> None:
        self.storage_error = storage_error
