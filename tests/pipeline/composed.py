"""Policies and pipelines as a user makes them, each beside its model; ways to go through them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, ExitStack
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

import holdfast as hf
from tests.models import breaker, bucket, bulkhead
from tests.models.breaker import LEASE_TICK_NS
from tests.models.pipeline import BreakerStep, BulkheadStep, LimiterStep, Pipeline, Step, Verdicts
from tests.policies.calls import OutageError

MS = 10**6
SLICES = 10  # of a TimeWindow


class BoredError(ValueError):
    """What a breaker may be told to ignore; of the category "logic"."""


class OtherError(ConnectionError):
    """What no breaker is told of by class; of the category "transient"."""


def is_bad(end: object) -> bool:
    return end == "bad" or isinstance(end, OutageError)


ENDS: list[BaseException | str] = [
    "fine", "fine", "fine", "bad", OutageError(), OutageError(), BoredError(), OtherError(),
    KeyboardInterrupt(),
]  # fmt: skip
BLOCKING = {
    "acall": "call",
    "try_acall": "try_call",
    "async guard": "guard",
    "async with": "with",
    "async stack": "stack",
}
modes = st.sampled_from(["enforce", "enforce", "enforce", "observe", "off"])
pauses = st.sampled_from([0, 0, 1, MS - 1, MS, 2 * MS, 5 * MS, 20 * MS, 3600 * 10**9])
verdicts = st.builds(
    Verdicts,
    on=st.sampled_from(
        [
            (Exception,),
            (OutageError,),
            (OutageError, hf.Rejected),
            (hf.RateLimitedError,),
            ("transient", OutageError),
            ("transient", "logic"),
        ]
    ),
    ignore=st.sampled_from([(), (BoredError,), (hf.BulkheadFullError,), ("logic",)]),
    is_failure=st.sampled_from([None, None, is_bad]),
)


class Policy:
    """A policy or pipeline, and what it is to do."""

    def __init__(self, real: Any, model: Pipeline, steps: list[Any], reals: list[Any]) -> None:
        self.real = real
        self.reals = reals  # the policies that it is made of
        self.model = model
        self.steps = steps  # those that are off too
        self.has_permits = isinstance(real, hf.Pipeline | hf.CircuitBreaker)

    def way(self, wanted: str) -> str:
        """A way that it has: no permits but of breakers and pipelines, no wait without a loop."""
        wanted = "call" if wanted == "permit" and not self.has_permits else wanted
        waits = any(isinstance(step, LimiterStep) and step.max_wait_ns for step in self.steps)
        return BLOCKING.get(wanted, wanted) if waits else wanted

    @classmethod
    def alone(cls, real: Any, step: Step) -> Policy:
        return cls(real, Pipeline([step]), [step], [real])

    @classmethod
    def of(cls, name: str, parts: list[Policy]) -> Policy:
        steps = [step for part in parts for step in part.steps]
        reals = [real for part in parts for real in part.reals]
        real = hf.Pipeline(name, *(part.real for part in parts))
        return cls(real, Pipeline(steps), steps, reals)


def breaker_of(draw: st.DrawFn, name: str, clock: hf.ManualClock, tell: Any) -> Policy:
    rule = draw(st.sampled_from(["run", "run", "count", "time"]))
    threshold = draw(st.sampled_from([1, 2] if rule == "run" else [None, 3]))
    slow = rule != "run" and draw(st.booleans())
    rate, least = draw(st.sampled_from([0.5, 1.0])), draw(st.integers(1, 3))
    places, needed = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    reset_ns, grows = draw(st.sampled_from([MS, MS + 3])), draw(st.booleans())
    forget_ns = draw(st.sampled_from([None, None, 2 * MS]))
    judged, latency, mode = draw(verdicts), draw(st.sampled_from([None, None, False])), draw(modes)
    size = draw(st.sampled_from([3, 6]))
    window = hf.TimeWindow(0.01) if rule == "time" else hf.CountWindow(size)
    probe_ns = draw(st.sampled_from([None, LEASE_TICK_NS, 2 * MS]))
    real = hf.CircuitBreaker(
        name,
        failure_threshold=threshold,
        failure_rate=None if rule == "run" else rate,
        window=window,
        min_calls=least,
        slow_call_duration=0.001 if slow else None,
        slow_call_rate=0.5 if slow else None,
        half_open_max_calls=places,
        success_threshold=needed,
        reset_timeout=reset_ns / 1e9,
        reset_backoff=(2, 0.005, 0.0) if grows else None,
        failure_reset=forget_ns and forget_ns / 1e9,
        probe_timeout=None if probe_ns is None else probe_ns / 1e9,
        on=judged.on,
        ignore=judged.ignore,
        is_failure=judged.is_failure,
        latency=latency,
        clock=clock,
        mode=mode,
    )
    model = breaker.Breaker(
        breaker.Config(
            failure_threshold=threshold or 0,
            failure_rate_ppb=0 if rule == "run" else int(rate * 10**9),
            slow_rate_ppb=10**9 // 2 if slow else 0,
            slow_ns=MS if slow else 0,
            min_calls=least,
            half_open_max=places,
            success_threshold=needed,
            reset_ns=reset_ns,
            reset_max_ns=5 * MS if grows else reset_ns,
            reset_factor=2.0 if grows else 1.0,
            failure_reset_ns=forget_ns or 0,
            probe_ns=-1 if probe_ns is None else probe_ns,
            window_kind=("run", "count", "time").index(rule),
            window_n=SLICES if rule == "time" else size if rule == "count" else 0,
            slice_ns=MS if rule == "time" else 0,
        )
    )
    return Policy.alone(real, BreakerStep(name, mode, tell, model, judged, latency is None))


def exact(rate: float, per_ns: int) -> tuple[int, int]:
    return Fraction(rate / Fraction(per_ns)).as_integer_ratio()


def limiter_of(draw: st.DrawFn, name: str, clock: hf.ManualClock, tell: Any) -> Policy:
    rate, burst, mode = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(modes)
    wait_ns = draw(st.sampled_from([0, 0, 4 * MS]))
    real = hf.RateLimiter(
        name, rate=rate, per=0.007, burst=burst, max_wait=wait_ns / 1e9, clock=clock, mode=mode
    )
    model = bucket.TokenBucket(*exact(rate, 7 * MS), burst, clock.now_ns())
    return Policy.alone(real, LimiterStep(name, mode, tell, model, wait_ns))


def bulkhead_of(draw: st.DrawFn, name: str, clock: hf.ManualClock, tell: Any) -> Policy:
    places, mode = draw(st.integers(1, 3)), draw(modes)
    real = hf.Bulkhead(name, max_concurrent=places, clock=clock, mode=mode)
    return Policy.alone(real, BulkheadStep(name, mode, tell, bulkhead.Bulkhead(places, 0)))


MAKERS = {"breaker": breaker_of, "limiter": limiter_of, "bulkhead": bulkhead_of}


# ---- ways through a policy, in one go ----


class Pause:
    """Gives control back to whoever drives the coroutine."""

    def __await__(self) -> Generator[None, None, None]:
        yield


def driven(coroutine: Any) -> Any:
    """Run it without an event loop."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as stop:
        return stop.value


def _with(gate: Any, work: Callable[[], str]) -> str:
    with gate:
        return work()


def _permit(gate: Any, work: Callable[[], str]) -> str:
    with gate.acquire():
        return work()


async def _async_with(gate: Any, work: Callable[[], str]) -> str:
    async with gate:
        await Pause()
        return work()


def _awaited(work: Callable[[], str]) -> Callable[[], Any]:
    async def main() -> str:
        await Pause()
        return work()

    return main


# Whether what the call returns is judged: a block has no result.
WAYS: dict[str, tuple[bool, Callable[[Any, Callable[[], str]], Any]]] = {
    "call": (True, lambda gate, work: gate.call(work)),
    "try_call": (True, lambda gate, work: gate.try_call(work)),
    "guard": (True, lambda gate, work: gate(work)()),
    "with": (False, _with),
    "permit": (False, _permit),
    "acall": (True, lambda gate, work: driven(gate.acall(_awaited(work)))),
    "try_acall": (True, lambda gate, work: driven(gate.try_acall(_awaited(work)))),
    "async guard": (True, lambda gate, work: driven(gate(_awaited(work))())),
    "async with": (False, lambda gate, work: driven(_async_with(gate, work))),
}


def went(go: Any, gate: Any, work: Callable[[], str]) -> tuple[Any, BaseException | None]:
    """Return what came of a call: its answer and None, or what it raised or was refused by."""
    try:
        answer = go(gate, work)
    except BaseException as error:
        return None, error
    if not isinstance(answer, hf.Outcome):
        return answer, None
    error = answer.error or answer.rejection
    assert bool(answer) is (error is None)
    assert error is None or isinstance(error, Exception)
    return (answer.value if answer else None), error


# ---- nests that stay open: each is driven by send, throw and close ----


def with_nest(gates: list[Any]) -> Generator[str, None, None]:
    if not gates:
        yield "inside"
        return
    with gates[0]:
        yield from with_nest(gates[1:])


def stack_nest(gates: list[Any]) -> Generator[str, None, None]:
    with ExitStack() as stack:
        for gate in gates:
            stack.enter_context(gate)
        yield "inside"


async def async_stack_nest(gates: list[Any]) -> None:
    async with AsyncExitStack() as stack:
        for gate in gates:
            await stack.enter_async_context(gate)
        await Pause()


def stream_nest(gates: list[Any]) -> Generator[str, None, None]:
    if not gates:
        yield "inside"
        return
    yield from gates[0](stream_nest)(gates[1:])


async def async_with_nest(gates: list[Any]) -> None:
    if not gates:
        await Pause()
        return
    async with gates[0]:
        await async_with_nest(gates[1:])


async def acall_nest(gates: list[Any]) -> None:
    if not gates:
        await Pause()
        return
    await gates[0].acall(acall_nest, gates[1:])


NESTS: dict[str, Callable[[list[Any]], Any]] = {
    "with": with_nest,
    "stack": stack_nest,
    "async stack": async_stack_nest,
    "stream": stream_nest,
    "async with": async_with_nest,
    "acall": acall_nest,
}


def nest_way(policies: list[Policy], wanted: str) -> str:
    """A way that all of them have."""
    for policy in policies:
        wanted = policy.way(wanted)
    return "with" if wanted == "call" else wanted  # an awaitable that would have to wait
