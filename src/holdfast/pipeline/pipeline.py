"""Several policies as one: compiled into a native gate that is entered and left in one pass."""

from __future__ import annotations

from holdfast._native.gate import MAX_STEPS, Gate
from holdfast.events import Listeners
from holdfast.policies.base import Policy
from holdfast.policies.breaker import CircuitBreaker
from holdfast.validation import Problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from holdfast.events import Listener
    from holdfast.pipeline.snapshots import PipelineSnapshot

__all__ = ["Pipeline"]


class Pipeline(Policy):
    """Policies around the same call, the first outermost.

    Entered from the first to the last and left in reverse. Where an inner policy refuses, the
    outer ones take back what they gave, as if the call had never been asked for: a probe, a
    place, tokens. A pipeline may be part of another.

    Args:
        name: For messages, metrics and the registry.
        *policies: Circuit breakers, rate limiters, bulkheads and pipelines, at most 16 policies
            in all.

    Raises:
        ConfigError: A part is no policy, or there are none or too many.

    Safe to share between threads and event loops. Circuit breakers in it record durations unless
    they were made with ``latency=False``.

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
        problems = Problems("Pipeline", name)
        name = problems.name(name)
        for at, policy in enumerate(policies):
            problems.instance(f"policies[{at}]", policy, Policy, "a policy or a pipeline")
            if getattr(policy, "kind", None) == "pool_bulkhead":  # it has threads of its own
                problems.refuse(
                    f"policies[{at}]", policy, "a policy that runs calls where they are"
                )
        if not policies:
            problems.refuse("policies", policies, "at least one policy")
        problems.done()
        steps = _flat(policies)
        if len(steps) > MAX_STEPS:
            problems.refuse("policies", f"{len(steps)} policies", f"at most {MAX_STEPS}")
            problems.done()
        for step in steps:
            if isinstance(step, CircuitBreaker):
                step._record_in_pipeline()
        self._listeners = Listeners()
        self._settings = ()
        self._compose(name, policies)
        self._keep_rest(steps)

    def _keep_rest(self, steps: list[Policy]) -> None:
        """Keep what is to run in a thread of a timeout's as a gate of its own."""
        inside = steps[self._threaded_at + 1 :] if self._threaded_at >= 0 else []
        if inside:
            rest = Gate()
            rest._compose(self.name, tuple(inside))
            self._rest = rest

    @property
    def policies(self) -> tuple[Policy, ...]:
        """What it is made of, outermost first."""
        parts: tuple[Any, ...] = self._parts
        return parts

    acquire = Gate._permit

    def describe(self) -> str:
        """Return its policies in order, with their settings, a line each."""
        lines = [f"Pipeline {self.name!r}, outermost first:"]
        for number, policy in enumerate(self.policies, 1):
            inner = policy.describe().splitlines()
            lines.append(f"  {number}. {inner[0]}")
            lines.extend(f"     {line}" for line in inner[1:])
        return "\n".join(lines)

    def on_event(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener(event)`` for the events of each policy in it; see ``Policy.on_event``."""
        steps = dict.fromkeys(_flat(self.policies))  # each once, however often it is passed
        removers = [step.on_event(listener) for step in steps]

        def unsubscribe() -> None:
            for remove in removers:
                remove()

        return unsubscribe

    def reset(self) -> None:
        """Reset every policy in it."""
        for policy in self.policies:
            policy.reset()

    def snapshot(self) -> PipelineSnapshot:
        """Return the snapshots of its policies, outermost first."""
        from holdfast.pipeline.snapshots import PipelineSnapshot

        return PipelineSnapshot(self.name, tuple(part.snapshot() for part in self.policies))


def _flat(policies: tuple[Policy, ...]) -> list[Policy]:
    steps: list[Policy] = []
    for policy in policies:
        steps.extend(_flat(policy.policies) if isinstance(policy, Pipeline) else (policy,))
    return steps
