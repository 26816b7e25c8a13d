"""Policies that control calls, each beside its model; made twice, for threads and for tasks."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

import holdfast as hf
from tests.models import backoff as backoffs
from tests.models.budget import Budget
from tests.models.control import Deadline, End, Raised, Time
from tests.models.control_steps import (
    AdaptiveDelay,
    FallbackStep,
    PickyError,
    RetryStep,
    TimeoutStep,
)
from tests.models.pipeline import Verdicts
from tests.pipeline.composed import MAKERS, MS, BoredError, OtherError, Policy, is_bad
from tests.policies.calls import OutageError

if TYPE_CHECKING:
    from tests.pipeline.worlds import World

US = 1000
NEVER_NS = 10**18
lengths = st.sampled_from([MS, 0, 2 * MS, 500 * US, 3 * MS, 7 * MS])
modes = st.sampled_from([*["enforce"] * 6, "observe", "off"])


class BusyError(Exception):
    """What a server raises that says when to come back."""

    def __init__(self, retry_after: object) -> None:
        super().__init__("busy")
        self.retry_after = retry_after


class StandInError(Exception):
    """What a fallback raises."""


def errors() -> dict[str, BaseException]:
    """The exceptions that one call may meet: the same object again is the same key."""
    return {
        "outage": OutageError(),
        "another outage": OutageError(),
        "bored": BoredError(),
        "other": OtherError(),
        "busy": BusyError(0.0015),
        "very busy": BusyError(3600.0),
        "busy, it says": BusyError("soon"),
        "late": TimeoutError("of its own"),
        "interrupt": KeyboardInterrupt(),
        "cancelled": CancelledError(),  # by whoever it waited for
        "no stand-in": StandInError(),
    }


ENDS = [
    *["outage"] * 7, *["fine"] * 9, "another outage", "another outage", "busy", "busy", "bad",
    "very busy", "busy, it says", "bored", "other", "late", "interrupt", "cancelled",
]  # fmt: skip


def is_picky(error: Exception) -> bool:
    if isinstance(error, OtherError):
        raise PickyError
    return is_bad(error) or isinstance(error, hf.DeadlineExceededError)


def soon(about: object) -> float | None:
    return 0.0005 if isinstance(about, OutageError) else None


class Replayed:
    """Draws once, and gives the same again."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self.draw = draw
        self.drawn: list[Any] = []
        self.at: int | None = None

    def __call__(self, strategy: Any) -> Any:
        if self.at is None:
            self.drawn.append(self.draw(strategy))
            return self.drawn[-1]
        self.at += 1
        return self.drawn[self.at - 1]

    def rewind(self) -> None:
        self.at = 0


def timeout_of(draw: Any, name: str, world: World) -> Policy:
    ns = draw(st.sampled_from([2 * MS, MS, 3 * MS, 5 * MS, 10 * MS]))
    mode = draw(modes)
    real = hf.Timeout(ns / 1e9, name=name, clock=world.clock, mode=mode)
    return Policy.alone(real, TimeoutStep(name, mode, world.tell, ns))  # type: ignore[arg-type]


def fallback_of(draw: Any, name: str, world: World) -> Policy:
    on = draw(
        st.sampled_from(
            [
                (Exception,),
                (hf.Rejected,),
                (OutageError, hf.DeadlineExceededError),
                (hf.RateLimitedError, hf.RetryExhaustedError, PickyError),
                ("transient", hf.Rejected),
                ("logic", OutageError),
            ]
        )
    )
    how = draw(st.sampled_from(["value", "plain", "function", "raises it", "raises", "function"]))
    mode, busy_ns, wait_ns = draw(modes), draw(lengths), draw(lengths)

    def finish(error: object) -> str:
        if how == "raises it":
            raise error  # type: ignore[misc]
        if how == "raises":
            raise world.errors["no stand-in"]
        return f"for {type(error).__name__}"

    def plain(error: object) -> str:
        world.left.append(hf.deadline())
        world.clock.advance_ns(busy_ns)
        if how != "plain":
            world.clock.advance_ns(wait_ns)
        return finish(error)

    async def awaited(error: object) -> str:
        world.left.append(hf.deadline())
        world.clock.advance_ns(busy_ns)
        await world.asleep(wait_ns)
        return finish(error)

    def stand_in(first: Raised, time: Time, deadline: Deadline | None) -> End:
        if how == "value":
            return End(ran=True, value="for all")
        world.expect_left(deadline)
        raised = time.busy(busy_ns)
        if raised is None and how == "plain" and time.awaits:
            pass  # a plain function that does not wait
        elif raised is None and how != "plain":
            raised = time.wait(wait_ns, deadline)
        if raised is None and how == "raises it":
            raised = first
        if raised is None and how == "raises":
            raised = world.raised("no stand-in")
        if raised is not None:
            return End(ran=True, raised=raised)
        return End(ran=True, value=f"for {type(first.error).__name__}")

    value: Any = plain if how == "plain" or not world.awaits else awaited
    real = hf.Fallback(
        "for all" if how == "value" else value, on=on, name=name, clock=world.clock, mode=mode
    )
    step = FallbackStep(name, mode, world.tell, on, stand_in)
    return Policy.alone(real, step)  # type: ignore[arg-type]


def _backoff_of(draw: Any) -> tuple[hf.Backoff, Any]:
    """A back-off, and its model."""
    kind = draw(st.sampled_from(["none", "constant", "linear", "exponential", "adaptive", "drawn"]))
    fixed: dict[str, Any] = {"increment_ns": 0, "factor": 1.0, "mode": 0, "jitter": 0.0, "seed": 1}
    base_ns = 0 if kind == "none" else draw(st.sampled_from([500 * US, MS, 4 * MS]))
    base = base_ns / 1e9
    constant = backoffs.Backoff(backoffs.CONSTANT, base_ns, NEVER_NS, **fixed)
    if kind == "linear":
        linear = backoffs.Backoff(
            backoffs.LINEAR, base_ns, 6 * MS, **{**fixed, "increment_ns": 2 * MS}
        )
        return hf.Linear(base, 0.002, 0.006, jitter=False), linear
    if kind == "exponential":
        seed = draw(st.integers(0, 2**64 - 1))
        mode = draw(st.sampled_from(["add", "around", "full", "equal"]))
        at = ("add", "around", "full", "equal").index(mode)
        more = {**fixed, "factor": 2.0, "mode": at, "jitter": 0.25, "seed": seed}
        model = backoffs.Backoff(backoffs.EXPONENTIAL, base_ns, 8 * MS, **more)
        real = hf.Exponential(base, 2, 0.008, jitter=0.25, jitter_mode=mode, seed=seed)
        return real, model
    if kind == "drawn":
        seed = draw(st.integers(0, 2**64 - 1))
        drawn = backoffs.Backoff(backoffs.DECORRELATED, base_ns, 9 * MS, **{**fixed, "seed": seed})
        return hf.Decorrelated(base, 0.009, seed=seed), drawn
    if kind == "adaptive":
        return hf.AdaptiveBackoff(hf.Constant(base)), AdaptiveDelay(constant, 4.0, 60 * 10**9)
    return hf.Constant(base), constant


def _budget_of(draw: Any, world: World) -> tuple[hf.RetryBudget, Budget] | None:
    """One of its own, one that is shared, or none."""
    kind = draw(st.sampled_from(["none", "own", "shared", "shared"]))
    if kind == "none":
        return None
    if kind == "shared" and world.budgets:
        return world.budgets[0]
    ratio, rate, burst = (
        draw(st.sampled_from([0, 250, 1000])),
        draw(st.sampled_from([0, 0, 100])),
        draw(st.integers(1, 4)),
    )
    real = hf.RetryBudget(ratio=ratio / 1000, min_per_second=rate, burst=burst, clock=world.clock)
    model = Budget(ratio * 1000, rate * 10**6, burst, world.clock.now_ns())
    world.budgets.append((real, model))
    return real, model


def retry_of(draw: Any, name: str, world: World) -> Policy:
    attempts = draw(st.sampled_from([3, 4, 3, 4, 2, 1]))
    on = draw(
        st.sampled_from(
            [
                (Exception, hf.Rejected),
                (OutageError,),
                (Exception,),
                (OutageError, hf.DeadlineExceededError, hf.RateLimitedError),
                (TimeoutError, BusyError, hf.CircuitOpenError, hf.BulkheadFullError),
                ("transient", BusyError),
                ("transient", "logic", hf.Rejected),
                is_picky,
            ]
        )
    )
    ignore = draw(
        st.sampled_from([(), (BoredError,), (hf.BulkheadFullError, BusyError), ("logic",)])
    )
    on_result = draw(st.sampled_from([None, is_bad]))
    max_time_ns = draw(st.sampled_from([None, None, None, 0, 2 * MS, 8 * MS]))
    max_after_ns = draw(st.sampled_from([MS, 60 * 10**9]))
    hook, hears = draw(st.sampled_from([None, None, soon])), draw(st.booleans())
    wraps, mode = draw(st.sampled_from([False, False, True])), draw(modes)
    backoff, delays = _backoff_of(draw)
    budget = _budget_of(draw, world)
    wants = on if callable(on) else None
    step = RetryStep(
        name,
        mode,
        world.tell,
        attempts=attempts,
        judge=Verdicts((Exception,) if wants else on, ignore),
        wants=wants,
        on_result=on_result,
        backoff=delays,
        max_time_ns=max_time_ns,
        max_retry_after_ns=max_after_ns,
        budget=budget and budget[1],
        hook=hook,
        wraps=wraps,
        hears=hears,
    )
    heard: list[hf.RetryState] = []
    world.heard.append((heard, step))
    real = hf.Retry(
        name,
        attempts=attempts,
        backoff=backoff,
        on=on,
        ignore=ignore,
        on_result=on_result,
        max_time=None if max_time_ns is None else max_time_ns / 1e9,
        budget=budget and budget[0],
        retry_after=hook,
        max_retry_after=max_after_ns / 1e9,
        before_sleep=heard.append if hears else None,
        on_exhausted=heard.append if hears else None,
        wrap=wraps,
        clock=world.clock,
        mode=mode,
    )
    return Policy.alone(real, step)  # type: ignore[arg-type]


def part_of(draw: Any, at: int, world: World) -> Policy:
    kinds = ["timeout", "timeout", *MAKERS]
    if not world.plan.is_for_blocks:
        kinds = ["retry", "retry", "fallback", *kinds]
    kind = draw(st.sampled_from(kinds))
    name = f"{kind} {at}"
    control = {"retry": retry_of, "timeout": timeout_of, "fallback": fallback_of}
    if kind in control:
        return control[kind](draw, name, world)
    return MAKERS[kind](draw, name, world.clock, world.tell)
