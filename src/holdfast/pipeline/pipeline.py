"""Several policies as one: compiled into a native gate that is entered and left in one pass."""

from __future__ import annotations

from holdfast._native.gate import MAX_STEPS, Gate
from holdfast.mode import Mode
from holdfast.pipeline.standard import (
    ATTEMPT_SECONDS,
    NOT_GIVEN,
    TOTAL_SECONDS,
    DefaultSeconds,
    NotGiven,
    standard_policies,
)
from holdfast.pipeline.steps import flat
from holdfast.policies.base import Policy, made_within, scope_of
from holdfast.policies.breaker import CircuitBreaker
from holdfast.policies.retry.retry import TRANSIENT
from holdfast.validation import Problems, explains_names, titled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any, Literal, Self, Unpack

    from holdfast._native.gate import Permit
    from holdfast.chaos import Fault
    from holdfast.clock import Clock
    from holdfast.events import Listener
    from holdfast.pipeline.lint import Finding
    from holdfast.pipeline.options import Options
    from holdfast.pipeline.snapshot import PipelineSnapshot
    from holdfast.policies.backoff import Backoff
    from holdfast.policies.base import On, OnResult
    from holdfast.policies.breaker.settings import BreakerOptions
    from holdfast.policies.error_budget import ErrorBudget
    from holdfast.policies.error_budget.settings import ErrorBudgetSettings
    from holdfast.policies.hedge import Hedge
    from holdfast.policies.hedge.settings import HedgeSettings
    from holdfast.policies.latency_budget import LatencyBudget
    from holdfast.policies.latency_budget.settings import LatencyBudgetSettings
    from holdfast.policies.limiter import RateLimiter
    from holdfast.policies.retry import RetryBudget
    from holdfast.policies.retry.retry import Attempts

__all__ = ["Pipeline"]


class Pipeline(Policy):
    """Several policies around one call; the first policy is the outermost.

    The policies are entered from first to last and left in reverse order. If an inner policy
    refuses a call, the outer policies roll back what they had granted: probe slot, bulkhead slot,
    tokens. A pipeline may contain other pipelines.

    Args:
        name: For messages, metrics and the registry.
        *policies: Policies and pipelines in any order, at most 16 policies in total. A
            ``PoolBulkhead`` cannot be part of a pipeline, because it runs calls in its own
            threads.

    Raises:
        ConfigError: A part is not a policy, or there are too few or too many parts.

    Safe to share between threads and event loops. Its circuit breakers record durations unless
    they were created with ``latency=False``.

    >>> pipe = Pipeline("payments", CircuitBreaker("payments"))
    >>> pipe.call(len, "ok")
    2
    """

    __slots__ = ()

    kind = "pipeline"

    if TYPE_CHECKING:

        @property
        def name(self) -> str:
            """What the user called it."""

    def __init__(self, name: str, *policies: Policy) -> None:
        nameless = isinstance(
            name, (Policy, list, tuple)
        )  # the name comes first: what follows is one short
        problems = Problems("Pipeline") if nameless else Problems("Pipeline", name)
        name = problems.name(name)
        for at, policy in enumerate(policies):
            problems.instance(f"policies[{at}]", policy, Policy, _instead_of(policy))
            if not getattr(policy, "_is_made", True):
                problems.refuse(
                    f"policies[{at}]", policy, "one whose __init__() called super().__init__()"
                )
            if getattr(policy, "kind", None) == "pool_bulkhead":  # it has threads of its own
                problems.refuse(
                    f"policies[{at}]", policy, "a policy that runs calls in the calling thread"
                )
        if not policies and not nameless:
            problems.refuse("policies", policies, "at least one policy")
        problems.done()
        steps = flat(policies)
        if len(steps) > MAX_STEPS:
            problems.refuse("policies", f"{len(steps)} policies", f"at most {MAX_STEPS}")
            problems.done()
        for step in steps:
            if isinstance(step, CircuitBreaker):
                step._record_in_pipeline()
        self._settings = ()
        self._compose(name, policies)
        _keep_rest(self, [step for step in steps if step.mode is not Mode.OFF])

    @classmethod
    @explains_names
    def standard(
        cls,
        name: str,
        *,
        total_timeout: float | timedelta | None = DefaultSeconds(TOTAL_SECONDS),  # noqa: B008
        attempts: int | None = 4,
        attempt_timeout: float | timedelta | None = DefaultSeconds(ATTEMPT_SECONDS),  # noqa: B008
        max_concurrent: int | None = 1000,
        rate: float | str | RateLimiter | None = None,
        fallback: Any = NOT_GIVEN,
        on: On = TRANSIENT,
        ignore: On = (),
        on_result: OnResult | None = None,
        backoff: Backoff | float | timedelta | None = None,
        budget: RetryBudget | Literal["own"] | None = "own",
        breaker: CircuitBreaker | BreakerOptions | NotGiven | None = NOT_GIVEN,
        hedge: Hedge | HedgeSettings | None = None,
        error_budget: ErrorBudget | ErrorBudgetSettings | None = None,
        latency_budget: LatencyBudget | LatencyBudgetSettings | None = None,
        chaos: Fault | None = None,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
    ) -> Self:
        """Return the pipeline that most calls to another service need.

        Its policies, from the outermost: error budget, latency budget, fallback, total timeout,
        retry with a budget, hedge, circuit breaker, rate limiter, bulkhead, attempt timeout,
        chaos. Each has the name ``name``; those whose default is None are made only if you ask for
        them. Order and defaults follow Microsoft.Extensions.Http.Resilience, except for the base
        delay.

        ``on``, ``ignore`` and ``on_result`` decide for the retry and for the breaker: the errors
        and results that are retried are the failures that open the breaker. For the breaker, any
        other error is a success, because the dependency has answered, and an ignored error is
        neither. An attempt that ends
        at ``attempt_timeout`` is always a failure for the breaker, unless ``ignore`` names it; it
        is retried if ``on`` names ``TimeoutError``, as the default does. The refusal of an open
        breaker is not retried.

        A default adapts to the arguments that are given; ``describe`` shows the result.

        Args:
            name: The name of the pipeline and of its policies.
            total_timeout: Seconds for all attempts and the pauses between them; None for no
                limit. The default is 30, or more if two attempts need more.
            attempts: The number of attempts, including the first, 1 to 1,000,000; None for as
                many as ``total_timeout`` allows.
            attempt_timeout: Seconds for one attempt, at most ``total_timeout`` and half of the
                breaker's ``TimeWindow``; None for no limit. The default is 10, or less: two
                attempts fit into ``total_timeout`` and into the window.
            max_concurrent: Attempts that may run at the same time, 1 to 1,000,000; None for no
                limit.
            rate: Attempts per second, limits such as "10/second;100/minute", a ``RateLimiter`` or
                an ``AdaptiveRateLimiter``; None for no limiter.
            fallback: A replacement for the final error: a value (including None), a function of
                the exception, or a ``Fallback``. By default the exception is raised.
            on: Exceptions that are retried and are failures for the breaker; see ``Retry``.
            ignore: Exceptions that are not retried, and are neither failures nor successes.
            on_result: Results that are retried and are failures for the breaker; see ``Retry``.
            backoff: The pauses between attempts, or seconds; see ``Retry``. The default is
                ``Exponential(0.2, max=10)`` with full jitter, with a smaller base if
                ``total_timeout`` is below 2 seconds.
            budget: The limit on retries over all calls; see ``Retry``.
            breaker: Settings of the breaker that differ from the default, such as
                ``{"reset_timeout": 30}``, or a ``CircuitBreaker``, which keeps its own ``on``,
                ``ignore`` and ``on_result``; None for no breaker. The default opens for 5 seconds
                if 10 % of at least 100 attempts within 30 seconds fail. For an
                ``attempt_timeout`` above 15 seconds, the window is twice as long as that.
            hedge: A ``Hedge``, or a dict of its settings such as ``{"delay": 0.05}``. Unless the
                settings name a budget, hedges and retries share one.
            error_budget: An ``ErrorBudget``, or a dict of its settings such as ``{"slo": 0.999}``.
                It counts each exception that the caller gets, except those that ``ignore`` names,
                and each result that ``on_result`` calls a failure.
            latency_budget: A ``LatencyBudget``, or a dict of its settings such as
                ``{"target": 0.1}``.
            chaos: A fault of ``holdfast.chaos``, for tests.
            clock: The source of time for the policies that are created; use a ``ManualClock`` in
                tests.
            mode: "enforce", "observe" or "off" for these policies; None uses the mode of the
                process.

        Raises:
            ConfigError: One or more arguments are invalid or contradict each other; the message
                lists all of them.

        Safe to share between threads and event loops.

        >>> pipe = Pipeline.standard("payments", total_timeout=10, attempt_timeout=2)
        >>> pipe.call(len, "ok")
        2
        """
        policies = standard_policies(
            name,
            total_timeout=total_timeout,
            attempts=attempts,
            attempt_timeout=attempt_timeout,
            max_concurrent=max_concurrent,
            rate=rate,
            fallback=fallback,
            on=on,
            ignore=ignore,
            on_result=on_result,
            backoff=backoff,
            budget=budget,
            breaker=breaker,
            optional={
                "error_budget": error_budget,
                "latency_budget": latency_budget,
                "hedge": hedge,
                "chaos": chaos,
            },
            clock=clock,
            mode=mode,
        )
        return cls(name, *policies)

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The policies, from the outermost to the innermost."""
        parts: tuple[Any, ...] = self._parts
        return parts

    if TYPE_CHECKING:

        def acquire(self) -> Permit:
            """Admit one call and return a permit.

            Returns:
                A permit. Settle it with success(), failure(exc) or ignore(), or use it as a context
                manager. A permit that is garbage-collected frees its slot without an outcome.

            Raises:
                Rejected: No call is admitted.
            """

    else:
        acquire = Gate._permit

    def with_options(self, **options: Unpack[Options]) -> Self:
        """Return a pipeline with the same name in which some policies are replaced.

        All other policies are shared with this pipeline, including their state and listeners. A
        new kind of policy is inserted at the position that ``standard`` uses. Policies of nested
        pipelines can be replaced.

        Args:
            **options: A policy for ``error_budget``, ``latency_budget``, ``fallback``, ``retry``,
            ``hedge``, ``breaker`` (``circuit_breaker``), ``limiter`` (``rate_limiter``),
            ``bulkhead`` or ``chaos``. A ``Timeout`` or seconds for ``total_timeout`` (outside the
            first retry or hedge), ``attempt_timeout`` (inside it), or ``timeout`` (the only
            timeout). None removes the policy. Settings of the retry, such as ``attempts`` and
            ``on``, change only these settings of the retry; the breaker keeps its own ``on``. See
            ``Retry.with_options``.

        Raises:
            ConfigError: An option is unknown, matches several policies, or has an invalid value.

        >>> pipe = Pipeline.standard("payments")
        >>> pipe.with_options(retry=None, total_timeout=5).policies[0].duration
        5.0
        >>> pipe.with_options(attempts=6).policies[1].snapshot().max_retries
        5
        """
        from holdfast.pipeline.options import other_policies

        scope = scope_of(self)
        policies = other_policies(self.name, self.policies, dict(options), scope)
        return made_within(scope, type(self), self.name, *policies)

    def attempts(self) -> Attempts:
        """Return the attempts at a block of code, for ``for`` and ``async for``.

        The policies outside the retry are entered once, before the first attempt. The policies
        inside it are entered for each attempt. See ``Retry.attempts``.

        Raises:
            TypeError: The pipeline does not have exactly one retry, or it has a fallback or a
                hedge, which cannot replace a block or run it twice.

        >>> for attempt in Pipeline.standard("block").attempts():
        ...     with attempt:
        ...         attempt.number
        1
        """
        steps = flat(self.policies)
        retries = [at for at, step in enumerate(steps) if step.kind == "retry"]
        if len(retries) != 1:
            has = "several retries" if retries else "no retry: write 'with pipeline:'"
            raise TypeError(f"attempts() needs a pipeline with one retry; {titled(self)} has {has}")
        for kind, can_not in (("fallback", "replace a block"), ("hedge", "run a block twice")):
            if any(step.kind == kind and step.mode is not Mode.OFF for step in steps):
                raise TypeError(
                    f"{titled(self)} has a {kind}, which cannot {can_not}: use call(), or "
                    f"with_options({kind}=None).attempts()"
                )
        from holdfast.waiting.guarded_attempts import GuardedAttempts

        at = retries[0]
        inner, outer = Gate(), Gate()
        inner._compose(self.name, tuple(steps[at + 1 :]))
        outer._compose(self.name, tuple(steps[:at]))
        return GuardedAttempts(self, steps[at], outer, inner)

    def describe(self) -> str:
        """Return a line per policy, outermost first, with its settings and the cost of a call."""
        lines = [f"Pipeline {self.name!r}, outermost first:"]
        for number, policy in enumerate(self.policies, 1):
            inner = policy.describe().splitlines()
            costs = ", ".join(policy._costs())
            lines.append(f"  {number}. {inner[0]}" + (f" [{costs}]" if costs else ""))
            lines.extend(f"     {line}" for line in inner[1:])
        return "\n".join(lines)

    def lint(self) -> list[Finding]:
        """Return warnings about settings that are valid but probably unintended.

        Examples are a breaker outside a retry, a timeout that has no effect, attempts that
        multiply, and durations that are probably in milliseconds. Each finding has a ``code``, a
        ``message`` and the ``policies`` concerned. Nested pipelines are included.

        >>> from holdfast import Retry
        >>> pipe = Pipeline("p", Retry("outer"), Retry("inner"))
        >>> [finding.code for finding in pipe.lint()]
        ['nested_retries']
        """
        from holdfast.pipeline.lint import lint

        return lint(self.policies)

    def on_event(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` for the events of each policy; see ``Policy.on_event``."""
        steps = dict.fromkeys(flat(self.policies))  # each once, however often it is passed
        removers = [step.on_event(listener) for step in steps]

        def unsubscribe() -> None:
            for remove in removers:
                remove()

        return unsubscribe

    def _costs(self) -> list[str]:
        return []  # those of its policies

    def _stopwatch(self) -> Clock:
        return self.policies[0]._stopwatch()

    def reset(self) -> None:
        """Reset each policy in the pipeline."""
        for policy in self.policies:
            policy.reset()

    def __repr__(self) -> str:
        try:
            inside = [titled(policy)[1:-1].removesuffix(" None") for policy in self.policies]
        except Exception:  # noqa: BLE001 - half made
            return titled(self)
        return f"{titled(self)[:-1]}: {', '.join(inside)}>"

    def snapshot(self) -> PipelineSnapshot:
        """Return the snapshots of the policies, outermost first."""
        from holdfast.pipeline.snapshot import PipelineSnapshot

        return PipelineSnapshot(self.name, tuple(part.snapshot() for part in self.policies))


def _instead_of(part: object) -> str:
    """Return what is allowed as a part of a pipeline, and how to come by it."""
    if hasattr(type(part), "__iter__") and not isinstance(part, (str, bytes)):
        return "a policy or a pipeline: unpack it, as in Pipeline(name, *policies)"
    if isinstance(part, type) and issubclass(part, Policy):
        return "a policy or a pipeline, not its class"
    return "a policy or a pipeline"


def _keep_rest(gate: Gate, steps: list[Policy]) -> None:
    """Keep what is to run in a timeout's thread as a gate of its own, and so on inside of it."""
    inside = steps[gate._threaded_at + 1 :] if gate._threaded_at >= 0 else []
    if inside:
        gate._rest = rest = Gate()
        rest._compose(gate.name or "", tuple(inside))
        _keep_rest(rest, inside)
