"""The directory that workers share (``HOLDFAST_DIR``), and this process's file in it.

A file is made under another name, given its length on the disk, locked and filled in, and only then
renamed: whoever sees it sees it whole. The lock goes with the process, whatever ends it, so a file
whose lock can be had is a dead worker's; process numbers, which come again, are never asked.
"""

from __future__ import annotations

import os
import stat

from holdfast._native import ledger as native
from holdfast.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

__all__ = [
    "CAREFULLY",
    "PREFIX",
    "VARIABLE",
    "check_directory",
    "directory",
    "is_locked",
    "make_file",
    "open_in",
    "read_file",
    "reopen",
    "replace_file",
    "size_of",
]

VARIABLE = "HOLDFAST_DIR"
PREFIX = "worker-"
FIRST_SIZE = 1 << 20  # bytes; a breaker with its latencies takes 10 KiB
LOCK_TRIES = 100  # each is lost only to somebody who happens to tidy up at that very moment
# Neither through a link nor waiting for somebody at the other end of a pipe.
CAREFULLY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def directory() -> Path | None:
    """Return the directory that ``HOLDFAST_DIR`` names now, wherever the process goes later.

    Returns:
        None where it names none.

    Raises:
        ConfigError: It is relative to a directory that is gone.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    from pathlib import Path  # a tenth of the import of everything

    try:
        return Path(text).absolute()
    except OSError as error:
        raise _refused(Path(text), error.strerror or str(error)) from error


def open_in(path: Path) -> tuple[int, str]:
    """Have the kernels made from here on stand in a file of a directory, made if it is missing.

    Returns:
        The file's descriptor, to be kept open, and its name.

    Raises:
        ConfigError: It is no directory, belongs to somebody else, or others may write to it; or
            files cannot be made in it.
    """
    check_directory(path)
    try:
        return make_file(path, FIRST_SIZE, lambda fd: native.open_own(fd, FIRST_SIZE))
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from error


def check_directory(path: Path, *, make: bool = True) -> None:
    """Make the directory if it is missing, and refuse one that files cannot be shared in.

    Args:
        path: The directory.
        make: Whether to make it; without, one that could be made passes.

    Raises:
        ConfigError: It is no directory, belongs to somebody else, or others may write to it.
    """
    try:
        if not (make or path.exists()):
            path.parent.stat()
            if not os.access(path.parent, os.W_OK | os.X_OK) or not path.parent.is_dir():
                raise _refused(path, "it cannot be created")
            return
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.stat()
        if found.st_uid != os.geteuid():
            raise _refused(path, f"it belongs to user {found.st_uid}")
        if found.st_mode & _OTHERS_MAY_WRITE:
            raise _refused(
                path, f"other users may write to it (mode {stat.S_IMODE(found.st_mode):04o})"
            )
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            raise _refused(path, "it cannot be written to")
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from error


def make_file(path: Path, size: int, fill: Callable[[int], Any]) -> tuple[int, str]:
    """Make a locked file of ``size`` bytes of disk, and have ``fill(fd)`` make it whole.

    Returns:
        Its descriptor, whose lock lasts as long as the process has it open; and its name.

    Raises:
        OSError: The disk is full, or the directory cannot be written to. Nothing is left behind.
    """
    for _ in range(LOCK_TRIES):
        name = f"{PREFIX}{os.getpid()}-{os.urandom(8).hex()}"
        fresh = path / f".{name}"
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if not _lock(fd):  # somebody takes it for a dead one's, and removes it
                os.close(fd)
                continue
            native.allocate(fd, 0, size)
            fill(fd)
            fresh.rename(path / name)
        except BaseException:
            native.leave()
            os.close(fd)
            fresh.unlink(missing_ok=True)
            raise
        return fd, name
    raise BlockingIOError(f"{path}: new files were locked by another process, repeatedly")


def reopen(path: Path) -> int:
    """Open this process's file again, after somebody has closed its descriptor.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is not there any more: another file has its name.
    """
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        native.grow_through(fd)
        _lock(fd)  # in Linux the mapping has kept the lock of the one that was closed
    except BaseException:
        os.close(fd)
        raise
    return fd


def _lock(fd: int) -> bool:
    """Lock a file for as long as the process lives; return whether it is locked and there."""
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(fd).st_nlink > 0


def is_locked(fd: int) -> bool:
    """Return whether the process that made a file is alive."""
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def size_of(fd: int) -> int:
    """Return how many bytes a file of this user has.

    Raises:
        ValueError: It is no regular file, or belongs to another user.
    """
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        raise ValueError("it does not belong to this user")
    return found.st_size


def read_file(path: Path, bytes_most: int) -> bytes:
    """Return what a file of this user contains.

    Raises:
        OSError: It cannot be opened or read.
        ValueError: It is not this user's, or has more bytes than ``bytes_most``.
    """
    fd = os.open(path, os.O_RDONLY | CAREFULLY)
    with open(fd, "rb") as file:
        size = size_of(fd)
        if size > bytes_most:
            raise ValueError(f"it has {size} bytes")
        return file.read()


def replace_file(path: Path, text: str) -> None:
    """Replace a file as a whole. The caller holds the lock that all its writers hold.

    Raises:
        OSError: It cannot be written; the file is as it was, and nothing else is left behind.
    """
    fresh = path.with_name(f".{path.name}")
    fresh.unlink(missing_ok=True)  # of one that died at it: who writes holds the lock
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | CAREFULLY, 0o600)
    try:
        with open(fd, "w", encoding="utf-8") as file:
            file.write(text)
        fresh.rename(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def _refused(path: Path, why: str) -> ConfigError:
    problem = (
        f"{VARIABLE}: got {str(path)!r}, allowed a directory of this user that nobody else "
        f"may write to; {why}"
    )
    return ConfigError(problem, [problem])
