"""TcpCheck: whether a port accepts connections."""

from __future__ import annotations

from holdfast.clock import system_clock
from holdfast.health.check import Check, in_thread
from holdfast.health.connecting import (
    aconnect,
    addresses_of,
    check_host,
    check_port,
    connect,
    literal_address,
    of_own_fault,
    told,
)
from holdfast.health.result import PASSED, CheckResult, judge_duration
from holdfast.validation import explains_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

    from holdfast.health.connecting import Address
    from holdfast.validation import Problems

__all__ = ["TcpCheck"]


class TcpCheck(Check):
    """Connects to a port, and closes the connection.

    The check passes if one of the host's addresses accepts the connection. It sends nothing, so it
    does not find out whether the process behind the port still works. It proves nothing if this
    process has no file descriptors or memory left, or this machine no port for its own end.

    MySQL and MariaDB count a connection without a login as an error, and refuse a host after 100 of
    them in a row: use a ``DatabaseCheck`` for these.

    An address is connected to within the timeout, as a task if there is an event loop. A host name
    is looked up in each run, in a thread, and the system's resolver cannot be interrupted: if the
    resolver hangs, the run takes longer than the timeout, and a monitor abandons it.

    Args:
        name: For messages and metrics, 1 to 200 characters.
        host: A host name, or an address of IPv4 or IPv6.
        port: The port, 1 to 65535.
        degraded_after: The check is degraded if it takes longer than this many seconds; None for
            no limit.
        interval: Seconds from one run to the next; None: that of the monitor.
        timeout: How many seconds one run may take; None: that of the monitor.
        failures: How many failed runs in a row make the check unhealthy.
        successes: How many passed runs in a row make it healthy again.
        start_period: Seconds after the start during which failed runs do not count before the
            first pass.
        jitter: The share of the interval by which a run may be delayed; None: that of the monitor.
        critical: Whether the service cannot work without this dependency.
        liveness: Whether a restart of this process would help if the check is unhealthy.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Immutable and without state, so safe to share between threads, event loops and monitors.

    >>> TcpCheck("peer", "127.0.0.1", 7000, timeout=1).is_async
    True
    """

    __slots__ = ("_address", "_degraded_after_ns", "_host", "_port", "_where")

    @explains_names
    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        *,
        degraded_after: float | timedelta | None = None,
        interval: float | timedelta | None = None,
        timeout: float | timedelta | None = None,
        failures: int = 3,
        successes: int = 1,
        start_period: float | timedelta = 0.0,
        jitter: float | None = None,
        critical: bool = True,
        liveness: bool = False,
    ) -> None:
        self._host: str = host
        self._port: int = port
        self._degraded_after_ns: Any = degraded_after
        self._address: Address | None = None
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
        self._is_async = self._address is not None

    def _checked(self, problems: Problems) -> None:
        self._host = check_host(problems, self._host)
        self._port = check_port(problems, self._port)
        self._degraded_after_ns = problems.duration(
            "degraded_after", self._degraded_after_ns, least_ns=1, none=True
        )
        self._address = literal_address(self._host, self._port)

    @property
    def host(self) -> str:
        """The host name or address."""
        return self._host

    @property
    def port(self) -> int:
        """The port."""
        return self._port

    def probe(self) -> CheckResult:
        """Connect in this thread."""
        began_ns = system_clock.now_ns()
        allowance = self._allowance()
        try:
            known = self._address
            addresses = [known] if known else addresses_of(self._host, self._port)
            connect(addresses, allowance).close()
        except TimeoutError:
            return self._failed(f"took longer than {allowance.limit_ns / 1e9:.3g} s")
        except OSError as error:
            own = of_own_fault(error)
            return self._failed(told(error)) if own is None else own
        return self._passed(began_ns)

    async def aprobe(self) -> CheckResult:
        """Connect in this task."""
        began_ns = system_clock.now_ns()
        if self._address is None:
            return await in_thread(self.probe)
        family, address = self._address
        try:
            (await aconnect(family, address)).close()
        except OSError as error:
            own = of_own_fault(error)
            return self._failed(told(error)) if own is None else own
        return self._passed(began_ns)

    def _passed(self, began_ns: int) -> CheckResult:
        if (most_ns := self._degraded_after_ns) is None:
            return PASSED
        return judge_duration(system_clock.now_ns() - began_ns, most_ns)

    def _failed(self, why: str) -> CheckResult:
        where = f"[{self._host}]" if ":" in self._host else self._host
        return CheckResult.failed(f"cannot connect to {where}:{self._port}: {why}")
