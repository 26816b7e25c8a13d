"""The version of limits whose face this is."""

from __future__ import annotations

__all__ = [
    "__commit_id__",
    "__version__",
    "__version_tuple__",
    "commit_id",
    "version",
    "version_tuple",
]

version = "5.8.0"
version_tuple: tuple[int | str, ...] = (5, 8, 0)
commit_id: str | None = None
__version__ = version
__version_tuple__ = version_tuple
__commit_id__ = commit_id
