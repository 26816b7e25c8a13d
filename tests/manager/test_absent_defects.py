"""What the original's manager did wrong, and this one does not."""

from __future__ import annotations

import asyncio
import threading

import pytest

import holdfast as hf


@pytest.fixture
def rm(clock):
    return hf.ResilienceManager("m", clock=clock)


def down():
    raise ConnectionError("down")


@pytest.mark.parametrize("order", ["recommended", "classic"])
def test_no_failure_of_full_protection_comes_back_as_a_success(clock, order):  # D-RM-1
    rm = hf.ResilienceManager("m", clock=clock, order=order)
    rm.register_bulkhead("send", 1)
    rm.register_circuit_breaker("send", max_failures=2, timeout=5)
    rm.register_retry_policy("send", max_retries=0)
    rm.register_rate_limiter("send", rate=1, burst=5)
    raised = []
    for _ in range(6):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is asserted below
            rm.execute("send", down)
        raised.append(caught.type)
    assert raised[:2] == [ConnectionError] * 2
    assert set(raised[2:]) <= {hf.CircuitOpenError, hf.RateLimitedError}
    assert len(raised) == 6


def test_the_original_example_with_different_names_is_refused_until_they_are_joined(rm):  # D-RM-2
    rm.register_circuit_breaker("network-send", max_failures=5, timeout=30, reset_timeout=60)
    rm.register_retry_policy("network-retry", max_retries=3, initial_delay=0.1)
    sent = []
    with pytest.raises(hf.UnprotectedError):
        rm.execute("send-message", sent.append, 1)
    assert sent == []
    rm.register_operation("send-message", circuit_breaker="network-send", retry="network-retry")
    rm.execute("send-message", sent.append, 1)
    assert sent == [1]


def test_a_deadline_of_the_caller_ends_the_pauses_of_a_retry(rm, clock):  # D-RM-4, GEN-04
    rm.register_retry_policy("send", max_retries=5, initial_delay=1.0, max_delay=1.0, jitter=False)
    began = clock.now()
    calls = []

    def fail():
        calls.append(clock.now() - began)
        down()

    with pytest.raises((ConnectionError, hf.DeadlineExceededError)):
        hf.Timeout(1.5, clock=clock).call(rm.execute, "send", fail)
    assert calls == [0.0, 1.0]
    assert clock.now() - began <= 1.5


async def test_a_call_that_is_cancelled_before_it_starts_neither_runs_nor_waits(rm):  # D-RM-4
    rm.register_retry_policy("send", max_retries=5, initial_delay=1.0)
    rm.register_circuit_breaker("send", max_failures=1)
    rm.register_bulkhead("send", 1)
    ran = []

    async def send():
        ran.append(1)

    task = asyncio.ensure_future(rm.aexecute("send", send))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ran == []
    assert rm.bulkhead("send").snapshot().active == 0
    assert rm.circuit_breaker("send").snapshot().failed == 0


def test_every_budget_and_every_check_of_the_preset_is_fed(clock):  # D-RM-6
    rm = hf.ResilienceManager("dwcp", presets="dwcp", clock=clock)
    for name in ("send", "receive", "sync", "consensus"):
        rm.execute(name, int)
    assert rm.error_budget("system").snapshot().total_requests == 4
    for _ in range(20):
        rm.operation("send").try_call(down)
        clock.advance(1)
    for _ in range(3):  # as many failures in a row as make a check unhealthy
        rm.health.check_now()
    status = {name: str(one.state) for name, one in rm.health.status().items()}
    assert status["system-error-rate"] != "healthy"
    assert status["transport"] != "healthy"
    assert rm.stop()


def test_a_result_that_comes_after_the_timeout_reaches_nobody():  # D-RM-7
    rm = hf.ResilienceManager("late")
    late = hf.Timeout(0.05, thread=True, name="receive")
    rm.register_operation("receive", timeout=late)
    go_on, written = threading.Event(), []

    def receive():
        go_on.wait(30)
        written.append("late")
        return "late"

    outcome = rm.operation("receive").try_call(receive)
    assert isinstance(outcome.error, hf.DeadlineExceededError)
    assert written == []
    go_on.set()
    assert outcome.value is None
