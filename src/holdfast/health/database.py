"""DatabaseCheck: whether a database answers a query, and how fast.

Elsewhere: the shapes of connections of the libraries (``connections``).
"""

from __future__ import annotations

from holdfast.clock import system_clock
from holdfast.health.check import Check
from holdfast.health.connections import ask, ask_in_task
from holdfast.health.loop_lag import read_limits
from holdfast.health.ping import check_function
from holdfast.health.result import CheckResult
from holdfast.validation import answers_at_once, explains_names, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any

    from holdfast.validation import Problems

__all__ = ["DatabaseCheck"]

_MOST_QUERY = 10_000


class DatabaseCheck(Check):
    """Opens a connection to a database, and has it answer a query.

    The connection is one of DB-API 2.0 (sqlite3, psycopg, psycopg2, PyMySQL …), of SQLAlchemy, of
    asyncpg, or of an asynchronous library shaped like DB-API (aiosqlite, psycopg). ``connect`` may
    also return a context manager that gives a connection, as pools have them. The check closes
    what it has opened, also if the query fails. It rolls back, so it leaves no transaction open.

    ============================  =============================================================
    ``connect``                   what happens to the connection at the end
    ============================  =============================================================
    ``lambda: sqlite3.connect()`` it is closed
    ``pool.connection``           psycopg: its context manager gives it back
    ``pool.getconn``              psycopg2: give ``give_back=pool.putconn``
    ``engine.raw_connection``     SQLAlchemy: closing gives it back
    ============================  =============================================================

    Args:
        name: For messages and metrics, 1 to 200 characters.
        connect: A function or coroutine function without arguments.
        query: The query that the database answers.
        degraded_after: Seconds; if connecting and the query take longer, the check is degraded.
        failed_after: Seconds; if they take longer, the check fails.
        use: A function or coroutine function that returns how many connections are in use, and how
            many there can be; None for no such limit.
        degraded_percent: If more than this percentage of the connections is in use, the check is
            degraded, above 0 to 100.
        give_back: A function or coroutine function with one argument, which is called with the
            connection instead of closing it.
        is_async: Whether ``connect`` returns something to await or for ``async with``; None:
            whether it is a coroutine function.
        interval: Seconds from one run to the next; None: that of the monitor.
        timeout: How many seconds one run may take; None: that of the monitor.
        failures: How many failed runs in a row make the check unhealthy.
        successes: How many passed runs in a row make it healthy again.
        start_period: Seconds after the start during which failed runs do not count before the
            first pass.
        jitter: The share of the interval by which a run may be delayed; None: that of the monitor.
        critical: Whether the service cannot work without what is checked.
        liveness: Whether a restart of this process would help if the check is unhealthy.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Immutable and without state, so safe to share between threads, event loops and monitors.

    >>> import sqlite3
    >>> DatabaseCheck("database", lambda: sqlite3.connect(":memory:")).run().verdict
    'passed'
    """

    __slots__ = (
        "_connect",
        "_degraded_ns",
        "_degraded_percent",
        "_failed_ns",
        "_give_back",
        "_given",
        "_query",
        "_use",
    )

    @explains_names
    def __init__(
        self,
        name: str,
        connect: Callable[[], object],
        query: str = "SELECT 1",
        *,
        degraded_after: float | timedelta = 1.0,
        failed_after: float | timedelta = 5.0,
        use: Callable[[], object] | None = None,
        degraded_percent: float = 80.0,
        give_back: Callable[[Any], object] | None = None,
        is_async: bool | None = None,
        interval: float | timedelta | None = None,
        timeout: float | timedelta | None = None,
        failures: int = 3,
        successes: int = 1,
        start_period: float | timedelta = 0.0,
        jitter: float | None = None,
        critical: bool = True,
        liveness: bool = False,
    ) -> None:
        self._connect: Any = connect
        self._query = query
        self._use: Any = use
        self._degraded_percent = degraded_percent
        self._give_back: Any = give_back
        self._given: tuple[Any, Any, Any] = (degraded_after, failed_after, is_async)
        super().__init__(
            name,
            interval=interval,
            timeout=timeout,
            failures=failures,
            successes=successes,
            start_period=start_period,
            jitter=jitter,
            critical=critical,
            liveness=liveness,
        )
        in_task = not answers_at_once(connect) if is_async is None else is_async
        self._is_async = self._needs_loop = in_task

    def _checked(self, problems: Problems) -> None:
        degraded_after, failed_after, is_async = self._given
        if hasattr(self._connect, "cursor") and hasattr(self._connect, "commit"):
            allowed = "a function that returns a connection: write lambda: connection"
            problems.refuse("connect", self._connect, allowed)
        else:
            check_function(problems, "connect", self._connect)
        given: Any = self._query
        if not isinstance(given, str) or not 0 < len(given) <= _MOST_QUERY:
            problems.refuse("query", given, f"a string of 1 to {_MOST_QUERY} characters")
        self._degraded_ns, self._failed_ns = read_limits(problems, degraded_after, failed_after)
        if self._use is not None:
            check_function(problems, "use", self._use)
        self._degraded_percent = problems.number(
            "degraded_percent", self._degraded_percent, above=0.0, most=100.0
        )
        if self._give_back is not None and not callable(self._give_back):
            problems.refuse("give_back", self._give_back, "a callable that takes one argument")
        if is_async is not None:
            problems.flag("is_async", is_async)
        in_task = is_async if is_async is not None else not answers_at_once(self._connect)
        for field, fn in (
            ("connect", self._connect),
            ("use", self._use),
            ("give_back", self._give_back),
        ):
            if not in_task and fn is not None and not answers_at_once(fn):
                problems.refuse(field, fn, "no coroutine function, since is_async is not True")

    @property
    def query(self) -> str:
        """The query that the database answers."""
        return self._query

    @property
    def degraded_after(self) -> float:
        """Seconds; if the answer takes longer, the check is degraded."""
        return self._degraded_ns / 1e9

    @property
    def failed_after(self) -> float:
        """Seconds; if the answer takes longer, the check fails."""
        return self._failed_ns / 1e9

    def probe(self) -> CheckResult:
        """Connect, ask, and close."""
        began_ns = system_clock.now_ns()
        ask(self._connect, self._query, self._give_back)
        took_ns = system_clock.now_ns() - began_ns
        return self._judge(took_ns, None if self._use is None else self._use())

    async def aprobe(self) -> CheckResult:
        """Connect, ask, and close."""
        began_ns = system_clock.now_ns()
        await ask_in_task(self._connect, self._query, self._give_back)
        took_ns = system_clock.now_ns() - began_ns
        use: Any = None if self._use is None else self._use()
        return self._judge(took_ns, (await use) if hasattr(use, "__await__") else use)

    def _judge(self, took_ns: int, use: Any) -> CheckResult:
        details: dict[str, object] = {"seconds": took_ns / 1e9}
        text = ""
        if self._use is not None:
            used, most = read_use(use)
            details |= {"connections": used, "most_connections": most}
            if used * 100.0 > self._degraded_percent * most:
                text = (
                    f"{used:g} of {most:g} connections in use, more than"
                    f" {self._degraded_percent:g} %"
                )
        if took_ns > self._failed_ns:
            late = f"answered after {took_ns / 1e9:.3f} s, more than {self.failed_after:g} s"
            return CheckResult("failed", late, details)
        if took_ns > self._degraded_ns:
            text = f"answered after {took_ns / 1e9:.3f} s, more than {self.degraded_after:g} s"
        return CheckResult("degraded" if text else "passed", text, details)


def read_use(use: Any) -> tuple[float, float]:
    """Return the two numbers that say how many connections are in use, and how many there can be.

    Raises:
        ValueError: It is something else.
    """
    try:
        used, most = (float(number) for number in use)
    except (TypeError, ValueError):
        used, most = -1.0, 0.0
    if not (used >= 0 and 0 < most < float("inf")):
        raise ValueError(f"use() gave {shown(use)}, not two numbers: in use, and at most")
    return used, most
