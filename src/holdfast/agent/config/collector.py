"""The settings of a market-data collector: ``error_recovery`` in its file, and its variables.

What neither sets remains that of the preset ``collector``, where each breaker, retry and timeout
has numbers of its own.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from holdfast.agent.config.settings import Contradiction, Env, Seconds, Settings
from holdfast.manager.presets.collector import COLLECTOR, WORKERS, for_workers
from holdfast.policies.backoff.formulas import MAX_FACTOR
from holdfast.policies.breaker.rules import MAX_PROBES, MAX_THRESHOLD
from holdfast.policies.retry.retry import MAX_ATTEMPTS
from holdfast.policies.timeout.timeout import LEAST_NS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from holdfast.manager.presets import Preset

__all__ = ["CollectorSettings"]

# The retries of the preset that have no numbers of their own: those of calls of an exchange, and
# of any other call. A database and Redis have their own.
GENERAL_RETRIES = ("api_call", "default")

_Threshold = Field(ge=1, le=MAX_THRESHOLD)


class BreakerSettings(Settings):
    """What every circuit breaker of the collector has."""

    failure_threshold: Annotated[
        int | None,
        _Threshold,
        Env("CIRCUIT_BREAKER_FAILURE_THRESHOLD"),
        Field(description="failures in a row that open a breaker"),
    ] = None
    success_threshold: Annotated[
        int | None,
        _Threshold,
        Env("CIRCUIT_BREAKER_SUCCESS_THRESHOLD"),
        Field(description="successful probes that close it"),
    ] = None
    timeout: Annotated[
        float | None,
        Seconds(least_ns=1),
        Env("CIRCUIT_BREAKER_TIMEOUT"),
        Field(description="how long it stays open"),
    ] = None
    max_requests: Annotated[
        int | None,
        Field(ge=1, le=MAX_PROBES),
        Field(description="probes at the same time while it is half-open"),
    ] = None
    reset_timeout: Annotated[
        float | None,
        Seconds(least_ns=1),
        Field(description="after so long without a failure, failures are forgotten"),
    ] = None


class RetrySettings(Settings):
    """What the general retry of the collector has."""

    max_retries: Annotated[
        int | None,
        Field(ge=0, le=MAX_ATTEMPTS - 1),
        Field(description="attempts after the first one"),
    ] = None
    max_attempts: Annotated[
        int | None,
        Field(ge=1, le=MAX_ATTEMPTS),
        Env("RETRY_MAX_ATTEMPTS", replaces=("max_retries",)),
        Field(description="all attempts: one more than `max_retries`"),
    ] = None
    base_delay: Annotated[
        float | None,
        Seconds(),
        Env("RETRY_BASE_DELAY"),
        Field(description="the pause before the first retry"),
    ] = None
    max_delay: Annotated[
        float | None,
        Seconds(),
        Env("RETRY_MAX_DELAY"),
        Field(description="the longest pause"),
    ] = None
    backoff_factor: Annotated[
        float | None,
        Field(ge=1, le=MAX_FACTOR),
        Field(description="the ratio of a pause to the one before"),
    ] = None
    jitter: Annotated[
        bool | None,
        Field(description="whether pauses are up to a quarter longer or shorter"),
    ] = None

    def contradictions(self) -> Iterable[Contradiction]:
        """Yield what contradicts another setting, or what the preset has."""
        if (
            self.max_retries is not None
            and self.max_attempts is not None
            and self.max_attempts != self.max_retries + 1
        ):
            allowed = f"{self.max_retries + 1}, one more than max_retries, or only one of the two"
            yield Contradiction("max_attempts", allowed, "max_retries")
        for name in GENERAL_RETRIES:
            preset = COLLECTOR.retry_policies[name]
            first = preset["base_delay"] if self.base_delay is None else self.base_delay
            longest = preset["max_delay"] if self.max_delay is None else self.max_delay
            if longest < first:
                if self.max_delay is not None:
                    allowed = f"at least base_delay, {first:g} seconds"
                    yield Contradiction("max_delay", allowed, "base_delay")
                else:
                    allowed = f"at most max_delay, {longest:g} seconds"
                    yield Contradiction("base_delay", allowed, "max_delay")
                return

    def changes(self) -> dict[str, Any]:
        """Return what is set, in the words of a preset."""
        changes = self.model_dump(exclude_none=True, exclude={"max_attempts", "jitter"})
        if self.max_attempts is not None:
            changes["max_retries"] = self.max_attempts - 1
        if self.jitter is False:
            changes["jitter"] = False
        return changes


class TimeoutSettings(Settings):
    """How long operations of the collector may take."""

    api_call: Annotated[
        float | None,
        Seconds(least_ns=LEAST_NS),
        Env("API_CALL_TIMEOUT"),
        Field(description="a call of an exchange"),
    ] = None
    database_query: Annotated[
        float | None,
        Seconds(least_ns=LEAST_NS),
        Env("DATABASE_QUERY_TIMEOUT"),
        Field(description="a query"),
    ] = None
    redis_operation: Annotated[
        float | None,
        Seconds(least_ns=LEAST_NS),
        Env("REDIS_OPERATION_TIMEOUT"),
        Field(description="an operation of Redis"),
    ] = None
    concurrent_op: Annotated[
        float | None,
        Seconds(least_ns=LEAST_NS),
        Field(description="one of several operations at the same time"),
    ] = None


class ErrorRecovery(Settings):
    """Breakers, retry and timeouts."""

    circuit_breaker: BreakerSettings = BreakerSettings()
    retry: RetrySettings = RetrySettings()
    timeouts: TimeoutSettings = TimeoutSettings()


class CollectorSettings(Settings):
    """The settings of a market-data collector. A field that is None is that of the preset.

    >>> from holdfast.agent.config import load
    >>> settings = load(CollectorSettings, environ={"API_CALL_TIMEOUT": "2500ms"})
    >>> settings.origin("error_recovery.timeouts.api_call")
    'environment variable API_CALL_TIMEOUT'
    >>> settings.preset().timeouts["api_call"]["duration"]
    2.5
    """

    error_recovery: ErrorRecovery = ErrorRecovery()

    def preset(self, workers: int = WORKERS) -> Preset:
        """Return the preset ``collector`` with what is set.

        Breakers: all of them. Retry: ``api_call`` and ``default``, the general ones; a database
        and Redis keep their own. Timeouts: those of the name.

        Args:
            workers: The number of workers, 1 to 1,000,000 (see ``collector.for_workers``).

        Raises:
            ConfigError: The number of workers is out of range.
        """
        recovery = self.error_recovery
        preset = for_workers(workers)
        breaker = recovery.circuit_breaker.model_dump(exclude_none=True)
        return preset.but(
            circuit_breakers=dict.fromkeys(preset.circuit_breakers, breaker),
            retry_policies=dict.fromkeys(GENERAL_RETRIES, recovery.retry.changes()),
            timeouts=recovery.timeouts.model_dump(exclude_none=True),
        )
