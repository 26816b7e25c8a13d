"""File systems: how full they are."""

from __future__ import annotations

import os
from typing import NamedTuple

__all__ = ["DiskUse", "disk_use", "free_disk"]


class DiskUse(NamedTuple):
    """How full a file system is. Immutable.

    Attributes:
        free: Bytes that this user can still write.
        total: Bytes that this user can have in all.
        share: The used share of the bytes.
        files_share: The used share of the files (inodes); 0 if the file system has no limit.
    """

    free: int
    total: int
    share: float
    files_share: float


def disk_use(path: str) -> DiskUse:
    """Return how full the file system of ``path`` is, as ``df`` shows it.

    Raises:
        OSError: There is no such path, or it cannot be read.
    """
    found = os.statvfs(path)
    used = found.f_blocks - found.f_bfree
    total = used + found.f_bavail  # without what is reserved for root
    files_used = found.f_files - found.f_ffree
    files = files_used + found.f_favail
    return DiskUse(
        found.f_bavail * found.f_frsize,
        total * found.f_frsize,
        used / total if total else 0.0,
        files_used / files if found.f_files and files else 0.0,
    )


def free_disk(path: str) -> int:
    """Return how many bytes this user can still write to the file system of ``path``."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize
