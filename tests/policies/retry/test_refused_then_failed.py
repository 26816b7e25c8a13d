"""What an attempt was refused for is forgotten when the next one runs: its end is the call's."""

from __future__ import annotations

import pytest

import holdfast as hf
from tests.policies.calls import OutageError, outage


def refused_once(clock: hf.ManualClock, *inside: hf.Policy) -> hf.Pipeline:
    """Return a pipeline that is full at the first attempt, and not at the second."""
    full = hf.Bulkhead("full", max_concurrent=1)
    retry = hf.Retry(
        "again",
        attempts=2,
        on=(OutageError, hf.BulkheadFullError),
        backoff=hf.Constant(0),
        before_sleep=lambda _: full.leave(),
        budget=None,
        clock=clock,
    )
    full.enter()
    return hf.Pipeline("p", retry, *inside, full)


@pytest.mark.parametrize("thread", [False, True])
def test_in_a_thread(clock, thread):
    pipe = refused_once(clock, hf.Timeout(30, thread=thread, clock=clock))
    outcome = pipe.try_call(outage)
    assert isinstance(outcome.error, OutageError)
    assert outcome.rejection is None
