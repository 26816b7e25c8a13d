"""What processes say: read as fast as they say it, cut into lines, and written to the log.

A process never waits for its output to be read, and no amount of it takes more memory: a line that
is too long is cut, lines that come too fast are counted and left out. Elsewhere: who reads when
(``watching``), and the records (``records``).
"""

from __future__ import annotations

import posix
from collections import deque

from holdfast.clock import system_clock
from holdfast.forks import call_in_child
from holdfast.locks import RLock
from holdfast.records import note
from holdfast.supervision.originals import original, start_thread
from holdfast.supervision.watching import watching
from holdfast.waiting.parking import ThreadWaiter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LAST_LINES", "LINES_PER_SECOND", "LINE_BYTES", "Lines", "Stream", "writing"]

LINE_BYTES = 8_192
LINES_PER_SECOND = 1_000
LAST_LINES = 20
_CHUNK = 65_536
_MOST_AT_THE_END = 16 * _CHUNK  # of what a pipe still holds; it holds one or a few
_MOST_WAITING = 2_000  # lines that the log has not taken yet
_SECOND_NS = 1_000_000_000
_FLUSH_NS = 1_000_000_000


class Lines:
    """Lines out of pieces of a stream; pure but for the time that it is told. Not shared."""

    __slots__ = ("_in_second", "_left_out", "_part", "_second_ns", "_too_long")

    def __init__(self) -> None:
        self._part = b""
        self._too_long = 0  # bytes of the last line that were left out
        self._second_ns = -_SECOND_NS
        self._in_second = 0
        self._left_out = 0

    def feed(self, data: bytes, now_ns: int) -> list[str]:
        """Return the lines that end in a piece of the stream, at most so many a second."""
        if now_ns - self._second_ns >= _SECOND_NS:
            self._second_ns, self._in_second = now_ns, 0
        found: list[str] = []
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            if self._in_second >= LINES_PER_SECOND:
                end = data.rfind(b"\n")
                self._left_out += data.count(b"\n", start)
                self._part, self._too_long = b"", 0
                start = end + 1
                break
            if self._left_out:
                found.append(self._count())
            self._in_second += 1
            found.append(self._line(data[start:end]))
            start = end + 1
        self._keep(data[start:])
        return found

    def finish(self) -> list[str]:
        """Return what is left at the end of the stream."""
        found = [self._count()] if self._left_out else []
        if self._part:
            found.append(self._line(b""))
        return found

    def _line(self, rest: bytes) -> str:
        self._keep(rest)
        text = self._part.removesuffix(b"\r").decode("utf-8", "backslashreplace")
        if self._too_long:
            text += f"… ({self._too_long} more bytes)"
        self._part, self._too_long = b"", 0
        return text

    def _keep(self, rest: bytes) -> None:
        room = LINE_BYTES - len(self._part)
        self._too_long += max(0, len(rest) - room)
        self._part += rest[: max(0, room)]

    def _count(self) -> str:
        text = (
            f"… {self._left_out} lines left out, as more than {LINES_PER_SECOND} came in a second"
        )
        self._left_out = 0
        return text


class Stream:
    """One stream of one process. Everything in it belongs to the lock of ``watching``."""

    __slots__ = ("_fd", "_last", "_lines", "_name", "_say")

    def __init__(
        self, fd: int, name: str, say: Callable[[str, str], object], last: deque[str]
    ) -> None:
        """Read a pipe until it ends or is closed.

        Args:
            fd: The end of it to read from, which does not block.
            name: Of the stream: "stdout" or "stderr".
            say: Called with that and each line, with the lock held; it is not to wait.
            last: Where the last lines are kept.
        """
        self._fd = fd
        self._name = name
        self._say = say
        self._last = last
        self._lines = Lines()
        watching.add(fd, self._read)

    def _read(self) -> int:
        """Read a piece, and return how long it was."""
        try:
            data = posix.read(self._fd, _CHUNK)
        except BlockingIOError:
            return 0
        if data:
            self._tell(self._lines.feed(data, system_clock.now_ns()))
        else:
            self._end()
        return len(data)

    def close(self) -> None:
        """Read what is there, and let the pipe go."""
        with watching.lock:
            read = 0
            while self._fd >= 0 and read < _MOST_AT_THE_END and (more := self._read()):
                read += more
            self._end()

    def leave(self) -> None:
        """In a forked child: close the copy of the pipe."""
        if self._fd >= 0:
            posix.close(self._fd)
            self._fd = -1

    def _end(self) -> None:
        if self._fd >= 0:
            self._tell(self._lines.finish())
            watching.remove(self._fd)
            posix.close(self._fd)
            self._fd = -1

    def _tell(self, lines: list[str]) -> None:
        for line in lines:
            self._last.append(line)
            self._say(self._name, line)


class Writing:
    """The one thread that writes lines to the log: it may wait for a handler, and nobody for it.

    It ends when no line is left. Safe to share between threads and greenlets.
    """

    __slots__ = ("_left_out", "_lines", "_lock", "_running", "_waiters")

    def __init__(self) -> None:
        self._lock = RLock(original("_thread", "RLock"))
        self._lines: deque[tuple[str, str, str]] = deque()
        self._left_out: dict[str, int] = {}
        self._running = False
        self._waiters: list[ThreadWaiter] = []

    def put(self, name: str, stream: str, line: str) -> None:
        """Have a line of a component's process written, unless too many wait already."""
        with self._lock:
            if len(self._lines) >= _MOST_WAITING:
                self._left_out[name] = self._left_out.get(name, 0) + 1
                return
            self._lines.append((name, stream, line))
            if not self._running:
                self._running = True
                try:
                    start_thread(self._run, "holdfast-output")
                except RuntimeError:  # the next line tries again
                    self._running = False

    def flush(self) -> None:
        """Wait until every line was written: a second at most."""
        waiter = ThreadWaiter()
        with self._lock:
            if not self._running:
                return
            self._waiters.append(waiter)
        waiter.park(system_clock, _FLUSH_NS)

    def leave(self) -> None:
        """In a forked child: its parent writes the lines."""
        self.__init__()  # type: ignore[misc]

    def _run(self) -> None:
        while (line := self._next()) is not None:
            note("output", "component", line[0], "component %r, %s: %s", *line, stream=line[1])

    def _next(self) -> tuple[str, str, str] | None:
        with self._lock:
            if self._lines:
                return self._lines.popleft()
            if self._left_out:
                name, count = self._left_out.popitem()
                return name, "output", f"… {count} lines left out, as the log was slower"
            self._running = False
            for waiter in self._waiters:
                waiter.wake()
            self._waiters.clear()
            return None


writing = Writing()
call_in_child(writing.leave)
