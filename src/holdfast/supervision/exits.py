"""How processes end: noticed at once, by a pidfd or a thread that waits, never by asking again.

A child that has ended stays a zombie until ``reap``: so long no other process, and no other group,
gets its number. Elsewhere: the thread (``watching``), and the groups (``groups``).
"""

from __future__ import annotations

import errno
import posix
from contextlib import suppress
from struct import pack_into, unpack_from

from holdfast.supervision.component import Exit
from holdfast.supervision.originals import start_thread
from holdfast.supervision.watching import watching

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["ChildExit", "open_pidfd"]

_GONE = -1
# ioctl(pidfd, PIDFD_GET_INFO): a struct of 64 bytes, at whose end Linux 6.15 has the exit status.
_GET_INFO = 3 << 30 | 64 << 16 | 0xFF << 8 | 11
_INFO_BYTES = 64
_INFO_EXIT = 1 << 3
_EXIT_AT = 60


class ChildExit:
    """The end of one child, which is watched from the making of this object on.

    Attributes:
        pid: Of the child.
        exit: How it has ended; None while it runs.
        is_reaped: Whether its number may be that of another process soon: it was reaped here, or
            by somebody else, such as a handler of SIGCHLD, or the system ignores SIGCHLD.

    Everything in it belongs to the lock of ``watching``.
    """

    __slots__ = ("_ended", "_fd", "exit", "is_reaped", "pid")

    def __init__(self, pid: int, ended: Callable[[ChildExit], object]) -> None:
        """Watch a child.

        Args:
            pid: A child of this process.
            ended: Called once with this object, with the lock held, in any thread.

        Raises:
            OSError: No descriptor is left.
            RuntimeError: No thread can be started.
        """
        self.pid = pid
        self.exit: Exit | None = None
        self.is_reaped = False
        self._ended = ended
        self._fd = open_pidfd(pid)
        try:
            if self._fd is None:
                start_thread(self._wait, f"holdfast-process-{pid}")
            elif self._fd != _GONE:
                watching.add(self._fd, self._look)
            else:  # it has ended already, and somebody has reaped it
                with watching.lock:
                    self._end(_unknown(), True)
        except BaseException:
            self.close()
            raise

    def reap(self) -> None:
        """Let the number of a child go that has ended."""
        with watching.lock:
            if self.exit is None or self.is_reaped:
                return
            self.is_reaped = True
            with suppress(ChildProcessError):  # somebody else was faster
                posix.waitpid(self.pid, posix.WNOHANG)

    def has_number(self) -> bool:
        """Return whether its number, and that of its group, can be that of no other process."""
        if self.exit is None:
            return True
        if self.is_reaped:
            return not _is_process(self.pid)  # who is in the group was started by it
        try:
            if hasattr(posix, "waitid"):
                posix.waitid(posix.P_PID, self.pid, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
        except ChildProcessError:  # somebody has reaped it since
            self.is_reaped = True
            return not _is_process(self.pid)
        return True

    def close(self) -> None:
        """Watch it no more, and let the descriptor go."""
        with watching.lock:
            fd, self._fd = self._fd, _GONE
            if fd is not None and fd != _GONE:
                watching.remove(fd)
                posix.close(fd)

    def leave(self) -> None:
        """In a forked child: close the copy of the descriptor."""
        if self._fd is not None and self._fd != _GONE:
            posix.close(self._fd)
            self._fd = _GONE

    def _look(self) -> None:
        """In the thread of all, with the lock held: look whether it has ended."""
        try:
            found = posix.waitid(
                posix.P_PID, self.pid, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT
            )
        except ChildProcessError:
            self._end(_read_info(self._fd) or _unknown(), True)
            return
        if found is not None:
            self._end(_read(found), False)

    def _wait(self) -> None:
        """In a thread of its own, where there is no pidfd."""
        reaps = not hasattr(posix, "waitid")  # macOS before Python 3.13
        try:
            if reaps:
                found = _read_status(posix.waitpid(self.pid, 0)[1])
            else:
                seen = posix.waitid(posix.P_PID, self.pid, posix.WEXITED | posix.WNOWAIT)
                found = _unknown() if seen is None else _read(seen)
        except ChildProcessError:
            found, reaps = _unknown(), True
        with watching.lock:
            self._end(found, reaps)

    def _end(self, found: Exit, is_reaped: bool) -> None:
        if self._fd is not None and self._fd != _GONE:
            watching.remove(self._fd)
        if self.exit is None:
            self.exit = found
            self.is_reaped = is_reaped
            self._ended(self)


def open_pidfd(pid: int) -> int | None:
    """Return a descriptor that can be read once a process has ended.

    Returns:
        The descriptor; -1 if there is no such process; None where the system has none.

    Raises:
        OSError: No descriptor is left.
    """
    try:
        return posix.pidfd_open(pid)
    except AttributeError:  # not on Linux
        return None
    except OSError as error:
        if error.errno == errno.ESRCH:
            return _GONE
        if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM}:
            raise
        return None  # an old kernel, or a sandbox that does not know of it


def _is_process(pid: int) -> bool:
    try:
        posix.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read(found: Any) -> Exit:
    if found.si_code == posix.CLD_EXITED:
        return Exit(code=found.si_status)
    return Exit(signal=found.si_status)


def _read_status(status: int) -> Exit:
    code = posix.waitstatus_to_exitcode(status)
    return Exit(code=code) if code >= 0 else Exit(signal=-code)


def _read_info(pidfd: int | None) -> Exit | None:
    """Ask a kernel from Linux 6.15 on how a process has ended that somebody else has reaped."""
    from fcntl import ioctl

    info = bytearray(_INFO_BYTES)
    pack_into("=Q", info, 0, _INFO_EXIT)
    try:
        ioctl(pidfd or 0, _GET_INFO, info)
    except OSError:
        return None
    (known,) = unpack_from("=Q", info)
    (status,) = unpack_from("=i", info, _EXIT_AT)
    return _read_status(status) if known & _INFO_EXIT else None


def _unknown() -> Exit:
    return Exit(
        error=ChildProcessError(
            errno.ECHILD,
            "the process has ended, and something else in this program has taken its exit code:"
            " a handler of SIGCHLD, or SIGCHLD is ignored",
        )
    )
