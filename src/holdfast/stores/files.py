"""The directory that workers share (``HOLDFAST_DIR``), and this process's file in it.

The files belong to the owner of the directory. A process may share the directory if it runs as the
owner, or as root: root gives each file it makes to the owner. The owner may replace any file, or
the directory itself, by a link. Every access therefore goes through one open descriptor of the
directory, follows no link and waits for no pipe.

A file is created under another name, allocated on the disk, locked and filled in, and then renamed:
a file with its final name is complete. The lock is released when the process ends, for any reason.
A file belongs to a dead worker if its lock can be acquired; process numbers, which are reused, are
not compared.
"""

from __future__ import annotations

import errno
import os
import stat

from holdfast._native import ledger as native
from holdfast.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any, Self

__all__ = [
    "FEW",
    "PREFIX",
    "VARIABLE",
    "Directory",
    "check_directory",
    "directory",
    "is_locked",
    "is_of_the_process",
    "make_file",
    "open_in",
    "reopen",
]

VARIABLE = "HOLDFAST_DIR"
PREFIX = "worker-"
FIRST_SIZE = 64 << 10  # bytes; a breaker takes one KiB, its latencies nine, and the file grows
FEW = 16  # files: among fewer, dead workers are not looked for before a scrape
LOCK_TRIES = 100  # each is lost only to somebody who happens to tidy up at that very moment

_OWN = (PREFIX, "totals.json", "names.json")
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
# Neither through a link nor waiting for a process at the other end of a pipe.
_CAREFULLY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Errors of the process or the system: they say nothing about the file that was to be opened.
_OF_THE_PROCESS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOLCK}


def directory() -> Path | None:
    """Return the directory that ``HOLDFAST_DIR`` names now, wherever the process goes later.

    Returns:
        None if the variable is not set.

    Raises:
        ConfigError: The path is relative, and the current directory is gone.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    from pathlib import Path  # a tenth of the import of everything

    try:
        return Path(text).absolute()
    except OSError as error:
        why = f"the current directory is gone ({error.strerror}): use an absolute path"
        raise _refused(Path(text), why) from error


class Directory:
    """The directory, open. A context manager; used by one thread at a time.

    Args:
        path: The directory.
        make: Whether to create it if it is missing.

    Raises:
        ConfigError: It is not a directory that this process may share. The message says what to do.
        OSError: The process or the system has no descriptor or no memory left.
    """

    __slots__ = ("fd", "owner", "path")

    def __init__(self, path: Path, *, make: bool = False) -> None:
        self.path = path
        self.fd = -1
        try:
            if make:
                _make(path)
            # The owner of a directory may own the one above it, and replace the directory by a
            # link. Root must not follow this link.
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            self.fd = os.open(path, flags | (os.O_NOFOLLOW if os.geteuid() == 0 else 0))
            found = os.fstat(self.fd)
            self.owner = found.st_uid
            _check(path, self.fd, found)
            os.stat(".", dir_fd=self.fd)  # fails without the right to open a file in it
        except OSError as error:
            self.close()
            if is_of_the_process(error):
                raise
            raise _refused(path, _reason(path, error)) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close it. Repeated calls have no effect."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, name: str, flags: int = os.O_RDONLY) -> int:
        """Open a file in it, through no link and without waiting.

        Raises:
            OSError: It cannot be opened.
        """
        return os.open(name, flags | _CAREFULLY, dir_fd=self.fd)

    def create(self, name: str, flags: int = os.O_RDWR) -> int:
        """Create a file for the owner of the directory and for no other user.

        Raises:
            FileExistsError: There is one already.
            OSError: It cannot be created, or not be given to the owner.
        """
        how = flags | os.O_CREAT | os.O_EXCL | _CAREFULLY
        fd = os.open(name, how, 0o600, dir_fd=self.fd)
        try:
            if self.owner != os.geteuid():
                _give(fd, self.owner)
        except BaseException:
            os.close(fd)
            self.remove(name)
            raise
        return fd

    def size_of(self, fd: int) -> int:
        """Return the length of one of the files.

        Raises:
            ValueError: It is no regular file, or does not belong to the owner of the directory.
        """
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != self.owner:
            raise ValueError("it does not belong to the owner of the directory")
        return found.st_size

    def read(self, name: str, bytes_most: int) -> bytes:
        """Return what a file in it contains.

        Raises:
            OSError: It cannot be opened or read.
            ValueError: It does not belong to the owner, or has more bytes than ``bytes_most``.
        """
        fd = self.open(name)
        try:
            size = self.size_of(fd)
            if size > bytes_most:
                raise ValueError(f"it has {size} bytes")
            with open(fd, "rb", closefd=False) as file:
                return file.read()
        finally:
            os.close(fd)  # of a directory as well, which cannot be opened as a file

    def replace(self, name: str, text: str) -> None:
        """Replace a file as a whole. The caller holds the lock that all its writers hold.

        Raises:
            OSError: It cannot be written; the file is as it was, and no other file remains.
        """
        fresh = f".{name}"
        self.remove(fresh)  # left by a writer that died
        fd = self.create(fresh)
        try:
            with open(fd, "w", encoding="utf-8") as file:
                file.write(text)
            self.rename(fresh, name)
        except BaseException:
            self.remove(fresh)
            raise

    def names(self) -> list[str]:
        """Return the names of all that is in it."""
        return os.listdir(self.fd)

    def status(self, name: str) -> os.stat_result | None:
        """Return what ``lstat`` says of a file; None if there is none."""
        try:
            return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def rename(self, name: str, to: str) -> None:
        """Rename a file, and replace the one that has the name."""
        os.rename(name, to, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        try:
            os.unlink(name, dir_fd=self.fd)
        except FileNotFoundError:
            return


def is_of_the_process(error: OSError) -> bool:
    """Return whether an error says nothing about a file, but that the process can open none."""
    return error.errno in _OF_THE_PROCESS


def open_in(path: Path) -> tuple[int, str]:
    """Have all kernels made from now on stored in a file of a directory, created if it is missing.

    Returns:
        The file's descriptor, to be kept open, and its name.

    Raises:
        ConfigError: This process may not share the directory, or cannot create files in it. The
            message says what to do.
    """
    try:
        return make_file(path, FIRST_SIZE, lambda fd: native.open_own(fd, FIRST_SIZE), make=True)
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from error


def check_directory(path: Path) -> None:
    """Refuse a directory that a worker could not share. Nothing is created.

    Args:
        path: The directory. It may be missing if it can be created.

    Raises:
        ConfigError: A worker could not share it. The message says what to do.
    """
    try:
        if not os.path.lexists(path):
            if not os.access(path.parent, os.W_OK | os.X_OK):
                raise _refused(path, _cannot_be_created(path))
            return
        with Directory(path):
            if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
                raise _refused(path, "it cannot be written to")
    except OSError as error:
        raise _refused(path, _reason(path, error)) from error


def make_file(
    path: Path, size: int, fill: Callable[[int], Any], *, make: bool = False
) -> tuple[int, str]:
    """Make a locked file of ``size`` bytes of disk, and have ``fill(fd)`` complete it.

    Args:
        path: The directory.
        size: The length of the file, in bytes.
        fill: Called with its descriptor before it gets its final name.
        make: Whether to create the directory if it is missing.

    Returns:
        Its descriptor, whose lock lasts as long as the process has it open; and its name.

    Raises:
        ConfigError: This process may not share the directory.
        OSError: The disk is full, or the directory cannot be written to. No file remains.
    """
    with Directory(path, make=make) as shared:
        for _ in range(LOCK_TRIES):
            name = f"{PREFIX}{os.getpid()}-{os.urandom(8).hex()}"
            fd = shared.create(f".{name}")
            try:
                if not _lock(fd):  # another worker looks whether it is a dead one's
                    os.close(fd)
                    shared.remove(f".{name}")
                    continue
                native.allocate(fd, 0, size)
                fill(fd)
                shared.rename(f".{name}", name)
            except BaseException:
                native.leave()
                os.close(fd)
                shared.remove(f".{name}")
                raise
            return fd, name
    raise BlockingIOError(f"{path}: new files were locked by another process, repeatedly")


def reopen(path: Path) -> int:
    """Open this process's file again, after its descriptor was closed.

    Raises:
        ConfigError: This process may not share the directory any more.
        OSError: It cannot be opened.
        ValueError: It is not there any more: another file has its name.
    """
    with Directory(path.parent) as shared:
        fd = shared.open(path.name, os.O_RDWR)
    try:
        native.grow_through(fd)
        _lock(fd)  # in Linux the mapping has kept the lock of the one that was closed
    except BaseException:
        os.close(fd)
        raise
    return fd


def _give(fd: int, owner: int) -> None:
    try:
        os.fchown(fd, owner, -1)
    except OSError as error:
        why = f"{_user(os.geteuid())} may not give files to {_user(owner)}: {error.strerror}"
        raise OSError(error.errno, why) from error


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


# ---- what is refused, and what to do about it ----


def _make(path: Path) -> None:
    """Create the directory for this user alone, if it is missing."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    except OSError as error:
        if not os.path.lexists(path) and not is_of_the_process(error):
            raise _refused(path, _cannot_be_created(path, error.strerror or str(error))) from error


def _check(path: Path, fd: int, found: os.stat_result) -> None:
    if os.geteuid() not in {0, found.st_uid}:
        why = _of_another_user(path, found.st_uid)
        if os.access(path, os.W_OK | os.X_OK):  # such as a volume of Kubernetes
            why = f"{why.partition(':')[0]}: {_inside(path)}"
        raise _refused(path, why)
    if not found.st_mode & _OTHERS_MAY_WRITE:
        return
    mode = stat.S_IMODE(found.st_mode)
    if not mode & stat.S_IWOTH and _has_only_own_files(fd):
        # Kubernetes gives all that is in a volume to the group of the pod (fsGroup), with the right
        # to write, each time it sets the volume up. The directory was private.
        try:
            os.fchmod(fd, mode & ~0o077)
        except OSError:
            return  # a read-only mount, through which it makes no difference
        return
    raise _refused(path, f"other users may write to it (mode {mode:04o}): {_inside(path)}")


def _inside(path: Path) -> str:
    return (
        f"use a directory inside it, such as {path / 'holdfast'}, which holdfast creates with "
        "mode 0700"
    )


def _has_only_own_files(fd: int) -> bool:
    """Return whether holdfast has written all that is in a directory; False if it is empty."""
    names = os.listdir(fd)
    return bool(names) and all(
        name == "lock" or name.removeprefix(".").startswith(_OWN) for name in names
    )


def _reason(path: Path, error: OSError) -> str:
    """Return why the directory could not be opened, and what to do."""
    why = error.strerror or str(error)
    if isinstance(error, PermissionError):
        try:
            owner = path.stat().st_uid
        except OSError:
            return f"{why} for {_user(os.geteuid())}, who may not enter {path.parent} either"
        if owner != os.geteuid():
            return _of_another_user(path, owner)
        return f"{why} for {_user(os.geteuid())}: chmod 700 {path}"
    if isinstance(error, FileNotFoundError):
        return f"{why}: {_to_create(path, os.geteuid())}"
    if isinstance(error, NotADirectoryError) or error.errno == errno.ELOOP:
        if path.is_symlink() and path.is_dir():
            return f"it is a link, which root does not follow: use {path.resolve()}"
        return f"it is not a directory ({why}): use {path.parent / 'holdfast'}, or remove the file"
    return why


def _of_another_user(path: Path, owner: int) -> str:
    this = os.geteuid()
    run = f"run it as {_user(owner)}, or " if owner != 0 else ""
    return (
        f"it belongs to {_user(owner)}, but this process runs as {_user(this)}: "
        f"{run}{_to_create(path, this)}"
    )


def _cannot_be_created(path: Path, reason: str = "Permission denied") -> str:
    if (home := _after_tilde(path)) is not None:
        return f"~ is not expanded in an environment variable: write {home}"
    why = f"{reason} for {_user(os.geteuid())} in {path.parent}"
    try:
        if not stat.S_ISDIR(path.parent.stat().st_mode):
            return f"{path.parent} is not a directory"
    except FileNotFoundError:
        why = f"{path.parent} does not exist, and holdfast creates one directory, not its parents"
    except OSError as error:
        why = f"{path.parent}: {error.strerror or error}"
    return f"it cannot be created ({why}): {_to_create(path, os.geteuid())}"


def _after_tilde(path: Path) -> str | None:
    """Return what a path with a ~ was meant to be; None for one without, or without a home."""
    at = next((at for at, part in enumerate(path.parts) if part.startswith("~")), None)
    if at is None:
        return None
    meant = os.path.expanduser(os.path.join(*path.parts[at:]))
    return None if meant.startswith("~") else meant


def _to_create(path: Path, user: int) -> str:
    name = _name_of(user)
    return (
        f"create it for the user of the workers before the start, for example "
        f"`install -d -m 700 -o {name or user} {_quoted(path)}`"
    )


def _quoted(path: Path) -> str:
    """Quote for a shell: a process that has changed its user may be unable to import shlex."""
    text = str(path)
    if all(one.isalnum() or one in "/._-" for one in text):
        return text
    return "'" + text.replace("'", "'\"'\"'") + "'"


def _user(uid: int) -> str:
    name = _name_of(uid)
    return f"user {uid}" if name is None else f"{name} (user {uid})"


def _name_of(uid: int) -> str | None:
    try:
        import pwd

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError, OSError):
        return None


def _refused(path: Path, why: str) -> ConfigError:
    problem = (
        f"{VARIABLE}: got {str(path)!r}, allowed a directory of this user that no other user "
        f"may write to; {why}"
    )
    return ConfigError(problem, [problem])
