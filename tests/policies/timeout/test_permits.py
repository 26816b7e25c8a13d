"""Generators, permits and coroutines under a timeout, some of which outlive it."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

import holdfast as hf
from tests.policies.timeout.timeouts import counts, permit_of, raised


def test_a_generator_has_so_long_for_its_first_item(clock):
    policy = hf.Timeout(1, clock=clock)

    @policy
    def items(first: float) -> Iterator[object]:
        clock.advance(first)
        yield hf.deadline()
        clock.advance(5)
        yield hf.deadline()

    assert list(items(0.5)) == [0.5, None]
    assert counts(policy) == (1, 0, 0, 0)
    assert type(raised(list, items(2))) is hf.DeadlineExceededError
    assert counts(policy) == (1, 1, 1, 0)
    assert hf.deadline() is None


def test_a_generator_whose_first_item_is_late_is_closed(clock):
    closed = []

    @hf.Timeout(1, clock=clock)
    def items() -> Iterator[int]:
        try:
            clock.advance(2)
            yield 1
        finally:
            closed.append(True)

    raised(next, items())
    gc.collect()
    assert closed == [True]


def test_a_permit_that_succeeds_late_says_so(clock):
    policy = hf.Timeout(1, clock=clock)
    assert permit_of(policy).success() is True
    assert counts(policy) == (1, 0, 0, 0)
    permit = permit_of(policy)
    clock.advance(2)
    with pytest.raises(hf.DeadlineExceededError):
        permit.success()
    assert permit.success() is False
    assert counts(policy) == (1, 1, 1, 0)
    for settle in ("failure", "ignore"):
        permit = permit_of(policy)
        clock.advance(2)
        assert getattr(permit, settle)() is True
    assert counts(policy) == (1, 3, 1, 0)
    permit_of(policy)  # and dropped: nothing is proven
    assert counts(policy) == (1, 3, 1, 0)


def test_permits_of_a_pipeline_have_deadlines_that_shrink(clock):  # CB-22
    outer, inner = hf.Timeout(1, clock=clock), hf.Timeout(5, clock=clock)
    breaker = hf.CircuitBreaker("b", clock=clock)
    permit = hf.Pipeline("p", outer, breaker, inner).acquire()
    clock.advance(2)
    with pytest.raises(hf.DeadlineExceededError):
        permit.success()
    assert breaker.snapshot().failed == 1
    assert (counts(outer), counts(inner)) == ((0, 1, 0, 0), (1, 0, 0, 0))


def test_a_permit_may_outlive_the_timeout_it_was_taken_under(clock):
    inner = hf.Timeout(5, clock=clock)
    permit = hf.Timeout(1, clock=clock).call(permit_of, inner)
    gc.collect()
    clock.advance(2)
    with pytest.raises(hf.DeadlineExceededError, match="timed out after 1 s"):
        permit.success()
    assert counts(inner) == (1, 0, 0, 0)
    permit = hf.Timeout(1, clock=clock).call(permit_of, inner)
    gc.collect()
    del permit  # never settled
    assert counts(inner) == (1, 0, 0, 0)


def test_a_coroutine_may_outlive_the_timeout_it_began_under(clock):
    inner = hf.Timeout(5, clock=clock)

    async def body() -> float | None:
        class Suspend:
            def __await__(self) -> Iterator[None]:
                yield

        await Suspend()
        return hf.deadline()

    call = inner.acall(body)
    hf.Timeout(1, clock=clock).call(lambda: call.send(None))
    gc.collect()
    with pytest.raises(StopIteration) as stop:
        call.send(None)
    assert stop.value.value == 1
