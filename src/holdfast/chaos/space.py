"""Memory and room on a disk, taken for a limited time.

The system itself gives both back if the process is killed: the memory belongs to the process, and
the file has no name. So a fault leaves nothing behind that a later process would have to remove.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from mmap import MAP_PRIVATE, mmap

from holdfast.chaos.effect import Effect
from holdfast.machine.disk import free_disk
from holdfast.machine.memory import free_memory

try:
    from mmap import MAP_ANONYMOUS
except ImportError:  # macOS before CPython 3.13
    from mmap import MAP_ANON as MAP_ANONYMOUS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.chaos.effect import Run
    from holdfast.clock import Clock

__all__ = ["DiskEffect", "MemoryEffect", "SpaceEffect"]

# Taken in one step, in bytes. Between two steps it is seen whether the effect has ended.
STEP = 8 << 20

# Linux gives a forked child empty pages in place of these.
_MADV_WIPEONFORK = 18

# What a file system that has no room left answers with.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class SpaceEffect(Effect):
    """Takes bytes step by step, in a thread of its own.

    Args:
        size: How many bytes it takes; None: as many as ``share`` allows.
        share: The largest share that it takes of the bytes that are free at its start. It also
            stops as soon as others have taken so much that less than the rest is free.
        clock: Its source of time.

    Attributes:
        held: How many bytes it holds.
    """

    __slots__ = ("_share", "_size", "held")

    def __init__(self, size: int | None, share: float, clock: Clock) -> None:
        super().__init__(clock)
        self._size = size
        self._share = share
        self.held = 0

    def _free(self) -> int:
        """Return how many bytes are free."""
        raise NotImplementedError

    def _take(self, size: int) -> int:
        """Take up to ``size`` bytes more, and return how many; 0: no more can be had."""
        raise NotImplementedError

    def _work(self, run: Run) -> None:
        free = self._free()
        most = int(free * self._share)
        reserve = free - most
        size = most if self._size is None else min(most, self._size)
        while self.held < size:
            with self._lock:
                step = min(STEP, size - self.held, self._free() - reserve)
                if step <= 0 or not run.goes_on():
                    return
                taken = self._take(step)
                self.held += taken
            if not taken:
                return


class MemoryEffect(SpaceEffect):
    """Takes memory of this process."""

    __slots__ = ("_pages", "_zeros")

    def __init__(self, size: int | None, share: float, clock: Clock) -> None:
        super().__init__(size, share, clock)
        self._pages: list[mmap] = []
        self._zeros = -1

    def _free(self) -> int:
        return free_memory()

    def _begin(self) -> None:
        self._zeros = os.open("/dev/zero", os.O_RDONLY | os.O_CLOEXEC)

    def _take(self, size: int) -> int:
        try:
            pages = mmap(-1, size, MAP_PRIVATE | MAP_ANONYMOUS)
        except OSError as error:
            if error.errno != errno.ENOMEM:  # as under `ulimit -v`
                raise
            return 0
        self._pages.append(pages)
        if sys.platform == "linux":  # elsewhere, the child gives them back
            with suppress(OSError):
                pages.madvise(_MADV_WIPEONFORK)
        # The system gives a page its memory when it is written to. A read from a file writes to
        # all of them, and other threads of Python run meanwhile.
        done = 0
        with memoryview(pages) as whole:
            while done < size:
                with whole[done:] as rest:
                    done += os.readv(self._zeros, [rest])
        return size

    def _give_back(self) -> None:
        for pages in self._pages:
            with suppress(BufferError):  # the process was forked during a step
                pages.close()
        self._pages = []
        self.held = 0
        if self._zeros >= 0:
            os.close(self._zeros)
            self._zeros = -1


class DiskEffect(SpaceEffect):
    """Takes room on the file system of a folder, with a file that has no name."""

    __slots__ = ("_file", "_folder")

    def __init__(self, folder: str, size: int | None, share: float, clock: Clock) -> None:
        super().__init__(size, share, clock)
        self._folder = folder
        self._file = -1

    def _free(self) -> int:
        return free_disk(self._folder)

    def _begin(self) -> None:
        self._file = _file_without_name(self._folder)

    def _take(self, size: int) -> int:
        while size >= 512:
            try:
                return _extend(self._file, self.held, size)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
            size //= 2  # the file system may have room for less
        return 0

    def _give_back(self) -> None:
        self.held = 0
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _file_without_name(folder: str) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC
    if hasattr(os, "O_TMPFILE"):
        try:
            return os.open(folder, flags | os.O_TMPFILE, 0o600)
        except OSError as error:
            if error.errno not in {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL}:
                raise
    from tempfile import mkstemp

    # The file is empty while it has a name. So nothing is lost if the process is killed here.
    file, path = mkstemp(prefix=".holdfast-chaos-", dir=folder)
    os.unlink(path)
    return file


def _extend(file: int, start: int, size: int) -> int:
    """Give a file ``size`` bytes more, and return how many it has got."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file, start, size)
        except OSError as error:
            if error.errno in _FULL:
                raise
        else:
            # Some file systems compress zeros to nothing.
            if os.fstat(file).st_blocks * 512 >= start + size:
                return size
    return os.pwrite(file, os.urandom(size), start)
