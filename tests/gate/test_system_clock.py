"""Times of the gate on the system clock, which is partly read coarsely.

The bounds hold at any speed of the machine, and nothing sleeps.
"""

from __future__ import annotations

import pytest

import holdfast as hf

TICK = 0.01  # how far the coarse clock may lag, where the kernel ticks slowest
CLOCK = hf.SystemClock()


def spin(seconds: float) -> float:
    """Return once so much time has passed; say how much it was."""
    began = now = CLOCK.now_ns()
    while now < began + seconds * 1e9:
        now = CLOCK.now_ns()
    return (now - began) / 1e9


def outlast_the_deadline() -> str:
    while hf.deadline() > 0:
        continue
    return "late"


@pytest.mark.parametrize("pipe", [False, True], ids=["alone", "in a pipeline"])
def test_a_value_that_comes_just_after_the_deadline_is_late(pipe):  # TO-01, TO-09, CB-22
    timeout = hf.Timeout(0.001, name="t")
    policy = hf.Pipeline("p", hf.Bulkhead("h"), timeout) if pipe else timeout
    for _ in range(5):  # whatever part of a tick of the coarse clock is over
        with pytest.raises(hf.DeadlineExceededError):
            policy.call(outlast_the_deadline)
    with pytest.raises(hf.DeadlineExceededError), timeout:
        outlast_the_deadline()
    assert hf.Timeout(60).call(spin, 0.001) >= 0.001
    assert timeout.snapshot().expired == 6


@pytest.mark.parametrize("pipe", [False, True], ids=["alone", "in a pipeline"])
def test_the_average_time_in_a_bulkhead_is_that_of_its_calls(pipe):  # BH-07
    bulkhead = hf.Bulkhead("h")
    policy = hf.Pipeline("p", hf.Timeout(60), bulkhead) if pipe else bulkhead
    began = CLOCK.now_ns()
    least = policy.call(spin, 1.5 * TICK)
    most = (CLOCK.now_ns() - began) / 1e9
    assert least - TICK <= bulkhead.snapshot().average_execution_time <= most + TICK
    bulkhead.call(int)
    both = (CLOCK.now_ns() - began) / 1e9
    assert bulkhead.snapshot().average_execution_time <= both / 2 + TICK


@pytest.mark.parametrize("pipe", [False, True], ids=["alone", "in a pipeline"])
def test_the_duration_of_a_call_is_measured_exactly(pipe):  # CB-27
    breaker = hf.CircuitBreaker(
        "b", slow_call_rate=1.0, slow_call_duration=0.001, window=hf.CountWindow(1), min_calls=1
    )
    policy = hf.Pipeline("p", breaker) if pipe else breaker
    for _ in range(20):
        began = CLOCK.now_ns()
        policy.call(int)
        if CLOCK.now_ns() - began < 1_000_000:  # what held up the machine is part of a call
            assert breaker.state is hf.State.CLOSED
        breaker.reset()
        policy.call(spin, 0.001)
        assert breaker.state is hf.State.OPEN
        breaker.reset()
