"""Whole calls against a loop in plain Python, in every way to make them: the same decisions."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import holdfast as hf
from tests.models import retried as model
from tests.policies.retry.retries import WAYS, budget_of

pytestmark = pytest.mark.stress

THREADED = [way for way in WAYS[:4] if way.__name__ != "by_block"]
machines = settings.get_profile("holdfast")
scale = int(os.environ.get("STRESS_SCALE", "1"))


class FaultError(Exception):
    """May be tried again."""


class OtherError(Exception):
    """May not."""


class Delays(hf.Backoff):
    """Says what a list says, and its last for all that follows."""

    def __init__(self, delays: list[int]) -> None:
        self._delays = delays

    def delay(self, attempt: int, previous: Any = None) -> float:
        return float(self._delays[min(attempt, len(self._delays) - 1)])


class RefusedError(hf.Rejected):
    """A refusal by somebody else's policy."""

    retry_after: Any = None


ERRORS: dict[str, type[Exception]] = {
    model.FAULT: FaultError,
    model.OTHER: OtherError,
    model.REJECTED: RefusedError,
}


def play(script: list[model.Attempt], clock: hf.ManualClock, made: list[float]) -> Any:
    """Return a function whose attempts end as a script says."""

    def call() -> str:
        attempt = script[min(len(made), len(script) - 1)]
        made.append(clock.now())
        clock.advance(attempt.takes)
        if attempt.ends not in ERRORS:
            return attempt.ends
        error: Any = ERRORS[attempt.ends]("none")
        error.retry_after = attempt.retry_after
        raise error

    return call


RAISED = {kind: ends for ends, kind in ERRORS.items()} | {
    hf.RetryExhaustedError: "wrapped",
    hf.DeadlineExceededError: "late",
}

attempts = st.builds(
    model.Attempt,
    takes=st.sampled_from([0, 0, 1, 3]),
    ends=st.sampled_from([model.FAULT] * 4 + [model.GOOD, model.OTHER, model.REJECTED, model.BAD]),
    retry_after=st.sampled_from([None, None, 0, 2, 9]),
)
settings_of = st.builds(
    model.Settings,
    attempts=st.integers(1, 6),
    delays=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    max_time=st.one_of(st.none(), st.integers(0, 12)),
    deadline=st.one_of(st.none(), st.integers(1, 12)),
    retries_rejections=st.booleans(),
    retries_results=st.booleans(),
    wraps=st.booleans(),
    max_retry_after=st.integers(0, 5),
)
scripts = st.lists(st.lists(attempts, min_size=1, max_size=6), min_size=1, max_size=3)


@settings(machines, max_examples=40 * scale)
@pytest.mark.parametrize("make", WAYS, ids=lambda way: way.__name__)
@given(of=settings_of, scripts=scripts, tokens=st.one_of(st.none(), st.integers(1, 6)))
def test_a_retry_decides_as_a_loop_in_plain_python(make, of, scripts, tokens):
    # RT-02, RT-06, RT-21, RT-22, RT-23, D-RT-4, D-C-4
    clock = hf.ManualClock()
    if make not in THREADED:
        of.deadline = None  # what is late is dropped by threads only: see the tests of timeouts
    retry = hf.Retry(
        "model",
        attempts=of.attempts,
        backoff=Delays(of.delays),
        on=(FaultError, hf.Rejected) if of.retries_rejections else (FaultError,),
        on_result=(lambda result: result == model.BAD) if of.retries_results else None,
        max_time=of.max_time,
        budget=None if tokens is None else budget_of(clock, tokens),
        max_retry_after=of.max_retry_after,
        wrap=of.wraps,
        clock=clock,
    )
    policy: Any = retry
    if of.deadline is not None:
        policy = hf.Pipeline("p", hf.Timeout(of.deadline, clock=clock), retry)
    calls: list[model.Call] = []
    for script in scripts:
        expected = model.Call(of, script, tokens, now=round(clock.now())).run()
        tokens = expected.tokens
        calls.append(expected)
        made: list[float] = []
        value = raised = None
        try:
            value = make(policy, clock, play(script, clock, made))
        except tuple(RAISED) as error:
            raised = RAISED[type(error)]
        assert (made, value, raised) == (expected.made, expected.value, expected.raises)
        assert clock.now() == expected.now
        if retry.budget is not None:
            assert retry.budget.balance == tokens
    snapshot, counted = retry.snapshot(), model.counts(calls)
    assert {name: getattr(snapshot, name) for name in counted if name != "gave_up"} == {
        name: n for name, n in counted.items() if name != "gave_up"
    }
    assert {why: n for why, n in snapshot.gave_up.items() if n} == counted["gave_up"]
