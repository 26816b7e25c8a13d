"""Calls that are retried, cut short and stood in for, in threads and in tasks: as the model has it.

The same policies and the same calls are made twice, each time beside the model, so both drivers are
held to the same decisions.
"""

from __future__ import annotations

import os
import random
from dataclasses import astuple
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, note, seed, settings
from hypothesis import strategies as st

from tests.models.control import UnclearError
from tests.models.control_steps import FallbackStep, RetryStep, TimeoutStep
from tests.pipeline.composed import MS
from tests.pipeline.controlled import ENDS, US, Replayed, lengths
from tests.pipeline.shown import check_shown
from tests.pipeline.worlds import HOLDS, WAYS, Attempt, Plan, Script, World, same

pytestmark = pytest.mark.stress

picks = st.integers(0, 20)
pauses = st.sampled_from([0, 0, 0, MS, 3 * MS, 20 * MS, 3600 * 10**9])
plans = st.builds(
    Plan,
    parts=st.integers(2, 5),
    pipelines=st.lists(st.lists(picks, min_size=2, max_size=5), min_size=1, max_size=2),
    is_for_blocks=st.sampled_from([False, False, False, True]),
)
interrupts = st.none() | st.none() | st.none() | st.integers(0, 16).map(lambda n: n * 500 * US + 13)


def scripts(depth: int) -> st.SearchStrategy[Script]:
    """A call of which each attempt may make another one."""
    inner = scripts(depth - 1) if depth else st.none()
    attempt = st.builds(
        Attempt,
        parts=st.lists(
            st.tuples(st.sampled_from(["busy", "wait"]), lengths), min_size=1, max_size=2
        ),
        inner=st.none() | st.none() | st.none() | inner,
        forgives=st.booleans(),
        after_ns=st.sampled_from([0, 0, MS, 3 * MS]),
        stubborn=st.sampled_from([False, False, True]),
        end=st.sampled_from(ENDS),
    )
    return st.builds(
        Script,
        at=st.sampled_from([-1, -1, -2, -2, -3, 0, 1, 2, 3]),  # the pipelines are the last
        way=st.sampled_from([*WAYS, *HOLDS, *HOLDS]),
        attempts=st.lists(attempt, min_size=2 if depth == 2 else 1, max_size=4),
        interrupt_ns=interrupts if depth == 2 else st.none(),
    )


calls = st.lists(st.tuples(pauses, scripts(2)), min_size=4, max_size=8)


def check(part: Any, world: World) -> None:
    step = part.steps[0]
    if isinstance(step, RetryStep):
        check_retry(part.real, step)
    elif isinstance(step, TimeoutStep):
        assert astuple(part.real.snapshot())[3:] == (
            step.in_time,
            step.expired,
            step.expired / max(1, step.expired + step.in_time),
            step.late,
            step.refused,
            0,
            0,
            step.observed,
        )
    elif isinstance(step, FallbackStep):
        counts = step.passed, step.used, step.failed, step.observed
        assert astuple(part.real.snapshot())[2:] == counts
    else:
        check_shown(part, world.time.now_ns)


def check_retry(real: Any, step: RetryStep) -> None:
    s = real.snapshot()
    assert (s.succeeded, s.recovered, s.observed) == (step.succeeded, step.recovered, step.observed)
    assert s.gave_up == {why: step.gave_up[why] for why in s.gave_up}
    assert sum(s.gave_up.values()) == step.gave_up.total() == s.failed
    assert list(s.retries) == step.retries
    assert s.delays == {bound: step.delays[bound] for bound in s.delays}
    assert s.delay == step.slept_ns / 1e9
    assert s.attempts == s.succeeded + s.failed + sum(step.retries)
    if step.budget is not None:
        check_budget(real.budget, step.budget)


def check_budget(real: Any, model: Any) -> None:
    s = real.snapshot()
    assert (s.withdrawn, s.refused, s.given_back, s.successes) == model.counters()


def check_all(world: World) -> None:
    for part in world.parts:
        check(part, world)
    for real, model in world.budgets:
        model.pass_time(world.time.now_ns - model.now_ns)
        assert abs(Fraction(real.balance) - model.tokens) < Fraction(3, 1000)
    for heard, step in world.heard:
        assert len(heard) == len(step.heard)
        for told, (why, made, delay_ns, elapsed_ns, raised, result) in zip(
            heard, step.heard, strict=True
        ):
            assert told.name == step.name
            assert (told.attempts, told.delay, told.elapsed) == (
                made,
                delay_ns / 1e9,
                elapsed_ns / 1e9,
            ), why
            assert told.result == result
            assert same(told.error, raised)
        heard.clear()
        step.heard.clear()


def live(world: World, made: list[tuple[int, Script]]) -> None:
    for part in world.policies:
        note(part.real.describe())
    try:
        for pause_ns, script in made:
            world.pass_time(pause_ns)
            world.compare(script)
            check_all(world)
    except UnclearError:
        event("unclear")
    finally:
        world.close()


# From its tenth example on, Hypothesis makes five variations of each that it makes up: short runs
# from seeds of their own have more examples without anything in common than a long one has.
# The same ones in every quick run, more and random ones in `make stress`.
scale = int(os.environ.get("STRESS_SCALE", "1"))
RUNS = 4 + 10 * scale


@settings(
    max_examples=11,
    derandomize=scale == 1,
    suppress_health_check=[HealthCheck.too_slow],
    deadline=None,
)
@given(plan=plans, data=st.data(), made=calls)
def live_twice(plan: Plan, data: st.DataObject, made: list[tuple[int, Script]]) -> None:
    draw = Replayed(data.draw)
    live(World(plan, draw, awaits=False), made)
    draw.rewind()
    live(World(plan, draw, awaits=True), made)


@pytest.mark.parametrize("run", range(RUNS))
def test_both_drivers_decide_as_the_model_does(run):
    # RT-07, RT-08, TO-01, D-TO-3, trap 44, trap 50, trap 51, trap 56
    seed(run if scale == 1 else random.getrandbits(64))(live_twice)()
