"""How long a retry goes on: its own limit of time, and deadlines around it."""

from __future__ import annotations

import gc
from datetime import timedelta
from typing import Any

import pytest

import holdfast as hf
from holdfast import ManualClock
from tests.policies.calls import OutageError
from tests.policies.retry.retries import Flaky, both_ways, every_way, retry_of, why


@every_way
@pytest.mark.parametrize(("most", "attempts"), [(0, 1), (0.999, 1), (1, 2), (1.5, 2), (3, 4)])
def test_the_last_attempt_begins_within_max_time_and_nobody_waits_in_vain(
    make, most, attempts, clock
):
    # trap 42
    clock.advance(1000)
    retry = retry_of(clock, attempts=9, max_time=timedelta(seconds=most))
    flaky = Flaky(clock)
    with pytest.raises(OutageError) as raised:
        make(retry, clock, flaky)
    assert len(flaky.made) == attempts
    assert clock.now() == 1000.0 + attempts - 1
    assert why(retry) == {"out_of_time": 1}
    assert ", no time for another within max_time, policy 'network'" in raised.value.__notes__[0]


@every_way
def test_without_a_number_of_attempts_max_time_ends_them(make, clock):
    retry = retry_of(clock, attempts=None, max_time=60)
    flaky = Flaky(clock)
    with pytest.raises(OutageError) as raised:
        make(retry, clock, flaky)
    assert len(flaky.made) == 61
    assert "61 attempts in 60 s, no time for another within max_time" in raised.value.__notes__[0]
    shown = retry.snapshot()
    assert (shown.attempts, shown.max_retries, why(retry)) == (61, None, {"out_of_time": 1})
    assert "attempts=None" in retry.describe()


def test_without_a_number_of_attempts_there_must_be_max_time():
    with pytest.raises(hf.ConfigError, match=r"got None, .* or None together with max_time"):
        hf.Retry("r", attempts=None)


def test_max_time_of_the_systems_clock_is_finer_than_its_ticks():
    """The coarse clock is behind by a tick or less, which no shorter limit may be charged with.

    On the system clock, at any speed: a call counts only if it ended within the limit.
    """
    clock = hf.SystemClock()
    retry = hf.Retry(
        "quick", attempts=2, max_time=0.003, backoff=hf.Constant(0), on=OutageError, budget=None
    )
    made: list[int] = []

    def flaky() -> None:
        made.append(1)
        if len(made) % 2:
            raise OutageError

    gc.disable()
    try:
        for _ in range(200):
            made.clear()
            began_ns, before = clock.now_ns(), retry.snapshot().recovered
            retry.try_call(flaky)
            if clock.now_ns() - began_ns < 3_000_000:
                assert retry.snapshot().recovered == before + 1
    finally:
        gc.enable()


@both_ways
@pytest.mark.parametrize("left", [0.5, 1.0])
def test_no_pause_ends_at_the_deadline_or_after_it(make, left, clock):
    # D-C-4, trap 42: a deadline of 10 ms, and a back-off of 501 ms
    retry = retry_of(clock)
    flaky = Flaky(clock)
    with pytest.raises(OutageError) as raised:
        make(hf.Pipeline("p", hf.Timeout(left, clock=clock), retry), clock, flaky)
    assert (flaky.made, clock.now()) == ([0.0], 0.0)
    assert raised.value.__notes__ == [
        "1 attempt in 0 s, no time for another before the deadline, policy 'network'"
    ]
    assert why(retry) == {"deadline": 1}


@every_way
def test_the_deadline_may_be_that_of_a_block_around(make, clock):  # GEN-04
    if "async" in make.__name__ or "acall" in make.__name__:
        within = hf.Pipeline("p", hf.Timeout(1.5, clock=clock))
        retry = retry_of(clock)
        with pytest.raises(OutageError):
            make_within(make, within, retry, clock)
    else:
        retry = retry_of(clock)
        with pytest.raises(OutageError), hf.Timeout(1.5, clock=clock):
            make(retry, clock, Flaky(clock))
    assert (clock.now(), why(retry)) == (1.0, {"deadline": 1})


def make_within(make: Any, within: Any, retry: hf.Retry, clock: ManualClock) -> None:
    """Make an asynchronous call in a block of the same task."""
    from tests.policies.retry.retries import in_a_coroutine, run_async

    async def block() -> None:
        call = in_a_coroutine(Flaky(clock))
        async with within:
            if make.__name__ == "by_async_block":
                async for attempt in retry.attempts():
                    with attempt:
                        await call()
            elif make.__name__ == "by_async_guard":
                await retry(call)()
            elif make.__name__ == "by_try_acall":
                (await retry.try_acall(call)).unwrap()
            else:
                await retry.acall(call)

    run_async(clock, block())


@both_ways
def test_no_attempt_begins_once_the_deadline_has_passed(make, clock):
    # GEN-04: cancellation is checked before expensive work
    outer = hf.Timeout(5, clock=clock)
    retry = retry_of(clock)
    flaky = Flaky(clock)

    def late() -> Any:
        clock.advance(5)
        return retry.call(flaky)

    with pytest.raises(hf.DeadlineExceededError):
        make(hf.Pipeline("p", outer), clock, late)
    assert flaky.made == []
    assert retry.snapshot().attempts == 0


@both_ways
def test_an_error_of_an_outer_timeout_is_never_retried_and_of_an_inner_one_it_is(make, clock):
    def slow() -> str:
        made.append(clock.now())
        clock.advance(2 if len(made) < 3 else 0)
        hf.check_deadline()
        return "fine"

    made: list[float] = []
    retry = hf.Retry("network", attempts=4, backoff=hf.Constant(1), clock=clock)
    assert make(hf.Pipeline("p", retry, hf.Timeout(1, clock=clock)), clock, slow) == "fine"
    assert made == [0.0, 3.0, 6.0]
    made = []
    with pytest.raises(hf.DeadlineExceededError):
        make(hf.Pipeline("p", hf.Timeout(1, clock=clock), retry), clock, slow)
    assert len(made) == 1
    assert why(retry) == {"deadline": 1}
