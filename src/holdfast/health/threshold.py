"""ThresholdCheck: whether a figure is within its limits."""

from __future__ import annotations

from itertools import pairwise
from math import inf

from holdfast.health.check import Check
from holdfast.health.ping import check_function
from holdfast.health.result import CheckResult
from holdfast.validation import answers_at_once, explains_names, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any

    from holdfast.validation import Problems

__all__ = ["ThresholdCheck", "judge_value"]

_MOST = 1e300


class ThresholdCheck(Check):
    """Asks a function for a figure, and compares it with limits, which are inclusive.

    Outside of ``min`` and ``max`` the check fails, and outside of ``degraded_min`` and
    ``degraded_max`` it is degraded. It also fails if the function raises, or returns something
    that is no finite number.

    Args:
        name: For messages and metrics, 1 to 200 characters.
        metric: A function or coroutine function without arguments that returns a number.
        min: The least value that passes; None for no limit.
        max: The greatest value that passes; None for no limit.
        degraded_min: Below this value the check is degraded; None for no limit.
        degraded_max: Above this value the check is degraded; None for no limit.
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

    >>> ThresholdCheck("error-rate", lambda: 0.25, max=0.01).run().message
    'value 0.25 exceeds maximum threshold 0.01'
    """

    __slots__ = ("_degraded_max", "_degraded_min", "_max", "_metric", "_min")

    @explains_names
    def __init__(
        self,
        name: str,
        metric: Callable[[], object],
        min: float | None = None,  # noqa: A002 - the usual word for it
        max: float | None = None,  # noqa: A002
        *,
        degraded_min: float | None = None,
        degraded_max: float | None = None,
        interval: float | timedelta | None = None,
        timeout: float | timedelta | None = None,
        failures: int = 3,
        successes: int = 1,
        start_period: float | timedelta = 0.0,
        jitter: float | None = None,
        critical: bool = True,
        liveness: bool = False,
    ) -> None:
        self._metric: Any = metric
        self._min = min
        self._max = max
        self._degraded_min = degraded_min
        self._degraded_max = degraded_max
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
        self._is_async = self._needs_loop = not answers_at_once(metric)

    def _checked(self, problems: Problems) -> None:
        check_function(problems, "metric", self._metric)
        given: dict[str, float] = {}
        for field in ("min", "degraded_min", "degraded_max", "max"):
            value = getattr(self, f"_{field}")
            number = problems.number(field, value, least=-_MOST, most=_MOST, none=True)
            setattr(self, f"_{field}", number)
            if number is not None:
                given[field] = number
        if not given:
            problems.refuse("min", None, "a number, if max and both degraded limits are None")
        fields = list(given)
        for lower, upper in pairwise(fields):
            if given[lower] > given[upper]:
                problems.refuse(lower, given[lower], f"at most {upper}, which is {given[upper]:g}")

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest value that do not fail."""
        return (
            -inf if self._min is None else self._min,
            inf if self._max is None else self._max,
        )

    def probe(self) -> CheckResult:
        """Ask the function, and compare."""
        return self._judge(self._metric())

    async def aprobe(self) -> CheckResult:
        """Await the coroutine function, and compare."""
        return self._judge(await self._metric())

    def _judge(self, value: Any) -> CheckResult:
        number = _finite(value)
        if number is None:
            if hasattr(value, "close") and hasattr(value, "__await__"):
                value.close()  # a coroutine that nobody awaits would warn
            return CheckResult("failed", f"value {shown(value)} is no finite number")
        return judge_value(number, self._min, self._max, self._degraded_min, self._degraded_max)


def judge_value(
    value: float,
    least: float | None,
    most: float | None,
    degraded_least: float | None = None,
    degraded_most: float | None = None,
    **details: object,
) -> CheckResult:
    """Return what a value shows that has limits, which are inclusive."""
    details = {"value": value, **details}
    if wrong := _outside(value, least, most):
        return CheckResult("failed", wrong, details)
    if wrong := _outside(value, degraded_least, degraded_most):
        return CheckResult("degraded", wrong, details)
    return CheckResult("passed", "", details)


def _outside(value: float, least: float | None, most: float | None) -> str:
    if least is not None and value < least:
        return "value {} below minimum threshold {}".format(*_differing(value, least))
    if most is not None and value > most:
        return "value {} exceeds maximum threshold {}".format(*_differing(value, most))
    return ""


def _differing(value: float, limit: float) -> tuple[str, str]:
    """Return two numbers with two decimals, or with as many as it takes to tell them apart."""
    for digits in (2, 4, 6, 9):
        texts = f"{value:.{digits}f}", f"{limit:.{digits}f}"
        if texts[0] != texts[1] and len(texts[0]) < 20 and float(texts[1]) == limit:
            return texts
    return repr(value), repr(limit)


def _finite(value: Any) -> float | None:
    """Return a number of any kind (also Decimal and numpy's) as a float; None for all else."""
    if isinstance(value, (str, bytes, bytearray)) or not hasattr(value, "__float__"):
        return None
    number = float(value)
    return number if -inf < number < inf else None
