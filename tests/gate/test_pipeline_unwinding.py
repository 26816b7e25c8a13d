"""A pipeline enters its policies from the first to the last, leaves in reverse, or not at all."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from holdfast import (
    Bulkhead,
    CircuitBreaker,
    ConfigError,
    Event,
    ManualClock,
    Pipeline,
    Rejected,
    State,
)
from tests.gate.parts import fates, half_open, pipe, places, tokens, tripping


class Logged(Bulkhead):
    """A bulkhead that says when it lets in the one who waits: as soon as it is left."""

    def __init__(self, log: list[str], name: str) -> None:
        super().__init__(name, max_concurrent=1, max_waiting=1, max_wait=None)
        self.log = log

    def _admit(self) -> None:
        self.log.append(self.name)
        self._kernel.unqueue()


def ways(policy: Any) -> dict[str, Callable[[Callable[[], Any]], Any]]:
    """Every way to run a function under a policy."""

    def block(fn: Callable[[], Any]) -> Any:
        with policy:
            return fn()

    def permit(fn: Callable[[], Any]) -> Any:
        with policy._permit():
            return fn()

    def awaited(fn: Callable[[], Any]) -> Any:
        async def work() -> Any:
            return fn()

        return asyncio.run(policy.acall(work))

    def ablock(fn: Callable[[], Any]) -> Any:
        async def work() -> Any:
            async with policy:
                return fn()

        return asyncio.run(work())

    def stream(fn: Callable[[], Any]) -> Any:
        @policy
        def items() -> Any:
            yield fn()

        return next(items())

    def astream(fn: Callable[[], Any]) -> Any:
        @policy
        async def items() -> Any:
            yield fn()

        async def first() -> Any:
            stream = items()
            try:
                return await anext(stream)
            finally:
                await stream.aclose()

        return asyncio.run(first())

    return {
        "call": policy.call,
        "guard": lambda fn: policy(fn)(),
        "try_call": lambda fn: policy.try_call(fn).unwrap(),
        "with": block,
        "permit": permit,
        "acall": awaited,
        "async with": ablock,
        "generator": stream,
        "async generator": astream,
    }


WAYS = list(ways(places()))


@pytest.mark.parametrize("way", WAYS)
def test_policies_are_left_in_reverse(way: str) -> None:
    def queue() -> None:
        for bulkhead in bulkheads:
            bulkhead._kernel.enter_or_queue()

    log: list[str] = []
    bulkheads = [Logged(log, name) for name in "abc"]
    ways(pipe(bulkheads[0], pipe(bulkheads[1], bulkheads[2])))[way](queue)
    assert log == ["c", "b", "a"]
    assert [bulkhead.in_flight for bulkhead in bulkheads] == [0, 0, 0]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "order", list(itertools.permutations(["breaker", "limiter", "bulkhead"])), ids="-".join
)
@pytest.mark.parametrize("refusing", ["breaker", "limiter", "bulkhead"])
def test_a_refusal_gives_back_what_the_outer_policies_gave(
    refusing: str, order: tuple[str, ...], way: str
) -> None:  # trap 6
    """The probe, the place and the tokens are as if the call had never been asked for."""
    breaker, limiter, bulkhead = half_open(), tokens(1), places(1)
    named = {"breaker": breaker, "limiter": limiter, "bulkhead": bulkhead}
    {"breaker": breaker.force_open, "limiter": limiter.acquire, "bulkhead": bulkhead.enter}[
        refusing
    ]()
    pipeline = pipe(*(named[name] for name in order))
    for _ in range(3):
        with pytest.raises(Rejected) as caught:
            ways(pipeline)[way](pytest.fail)
        assert caught.value.policy is named[refusing]
    if refusing == "bulkhead":
        bulkhead.leave()
    assert fates(breaker) == {}
    assert (breaker.snapshot().admitted, breaker.in_flight, breaker.snapshot().probes) == (0, 0, 0)
    assert (bulkhead.in_flight, bulkhead.snapshot().completed) == (0, refusing == "bulkhead")
    assert limiter.available == (refusing != "limiter")


@pytest.mark.parametrize("way", WAYS)
def test_an_admitted_call_is_held_by_every_policy_at_once(way: str) -> None:
    breaker, limiter, bulkhead = half_open(), tokens(1), places(1)

    def look() -> tuple[int, int, int]:
        return breaker.in_flight, bulkhead.in_flight, limiter.available

    assert ways(pipe(limiter, bulkhead, breaker))[way](look) == (1, 1, 0)
    assert look() == (0, 0, 0)
    generator = way.endswith("generator")
    assert breaker.state is (State.HALF_OPEN if generator else State.CLOSED)


@pytest.mark.parametrize("way", WAYS)
def test_a_failure_inside_is_judged_by_each_breaker_for_itself(way: str) -> None:
    strict, lenient = CircuitBreaker("s"), CircuitBreaker("l", on=OSError)
    ignorant = CircuitBreaker("i", ignore=KeyError)
    error = KeyError("key")

    def fail() -> None:
        raise error

    with pytest.raises(KeyError) as caught:
        ways(pipe(strict, lenient, ignorant))[way](fail)
    assert caught.value is error
    assert fates(strict) == {"failed": 1}
    assert fates(lenient) == {"succeeded": 1}
    assert fates(ignorant) == {"ignored": 1}


def test_an_inner_breaker_that_trips_is_told_before_the_outer_one() -> None:
    told: list[str] = []
    outer, inner = tripping(), tripping()
    for name, breaker in (("outer", outer), ("inner", inner)):
        breaker.on_event(lambda event, name=name: told.append(f"{name} {event.new.value}"))
    pipe(outer, inner).try_call(divmod, 1, 0)
    assert told == ["inner open", "outer open"]


def test_a_refusal_of_ones_own_pipeline_is_no_failure_but_that_of_another_call_may_be() -> None:
    inner = tripping()
    inner.force_open()
    plain = CircuitBreaker("plain")
    strict = CircuitBreaker("strict", on=(Exception, Rejected), failure_threshold=1)
    with pytest.raises(Rejected):
        pipe(strict, inner).call(int)
    assert (fates(strict), strict.state) == ({}, State.CLOSED)
    for breaker in (plain, strict):
        with pytest.raises(Rejected):
            breaker.call(inner.call, int)
    assert fates(plain) == {"ignored": 1}
    assert (fates(strict), strict.state) == ({"failed": 1}, State.OPEN)


def test_one_policy_may_stand_twice_and_takes_twice() -> None:
    bulkhead, limiter = places(2), tokens(2)
    pipeline = pipe(bulkhead, limiter, pipe(bulkhead, limiter))
    assert pipeline.call(lambda: (bulkhead.in_flight, limiter.available)) == (2, 0)
    assert bulkhead.in_flight == 0
    bulkhead.enter()
    with pytest.raises(Rejected):
        pipeline.call(int)
    assert bulkhead.in_flight == 1


def test_sixteen_policies_are_the_most_however_they_are_nested() -> None:
    bulkheads = [places() for _ in range(16)]
    pipeline = pipe(*bulkheads[:5], pipe(*bulkheads[5:9], pipe(*bulkheads[9:])))
    assert pipeline.call(lambda: [b.in_flight for b in bulkheads]) == [1] * 16
    assert [b.in_flight for b in bulkheads] == [0] * 16
    with pytest.raises(ConfigError, match=r"17 policies.*at most 16"):
        pipe(pipeline, places())


def test_each_policy_reads_its_own_clock() -> None:
    slow, fast = ManualClock(), ManualClock()
    outer = CircuitBreaker("outer", clock=slow, latency=True, reset_timeout=10)
    inner = CircuitBreaker("inner", clock=fast, latency=True, reset_timeout=10)
    limiter = tokens(1, fast)
    pipeline = pipe(outer, limiter, inner)

    def work() -> None:
        slow.advance(1)
        fast.advance(100)

    pipeline.call(work)
    assert outer.snapshot().latency.total == 1
    assert inner.snapshot().latency.total == 100
    outer.trip()
    inner.trip()
    fast.advance(10)
    with pytest.raises(Rejected) as caught:
        pipeline.call(work)
    assert caught.value.policy is outer
    slow.advance(10)
    pipeline.call(work)
    assert (outer.state, inner.state) == (State.HALF_OPEN, State.HALF_OPEN)


def test_a_breaker_that_is_timed_from_the_middle_of_a_call_on_is_not_timed_for_it() -> None:
    clock = ManualClock()
    breaker, limiter = CircuitBreaker("b", clock=clock), tokens(9, clock)
    loose = Pipeline("loose", limiter, CircuitBreaker("other"))

    def put_into_a_pipeline() -> None:
        clock.advance(5)
        Pipeline("late", breaker)

    for policy in (breaker, loose):
        policy.call(put_into_a_pipeline)
    assert breaker.snapshot().latency.count == 0
    breaker.call(clock.advance, 3)
    assert (breaker.snapshot().latency.count, breaker.snapshot().latency.total) == (1, 3)


def test_observed_and_switched_off_policies_refuse_nothing_in_a_pipeline() -> None:
    observed = [
        tripping(mode="observe"),
        tokens(1, mode="observe"),
        places(1, mode="observe"),
        tokens(1, mode="observe", max_wait=9.0),
    ]
    off = [tripping(mode="off"), tokens(1, mode="off"), places(1, mode="off")]
    observed[0].force_open()
    pipeline = pipe(*off, *observed)
    with pipeline, pipeline, pipeline:
        assert observed[2].in_flight == 3
    assert observed[2].in_flight == 0
    assert [policy.snapshot().observed for policy in observed] == [3, 2, 2, 2]
    assert off[2].snapshot().admitted == off[0].snapshot().admitted == 0
    inner = places(1)
    inner.enter()
    with pytest.raises(Rejected):
        pipe(*observed, inner).call(int)
    assert observed[2].in_flight == 0
    assert observed[0].snapshot().observed == 3


def test_a_listener_of_a_pipeline_hears_each_policy_once() -> None:
    told: list[Event] = []
    breaker, limiter = tripping(), tokens(1)
    pipeline = pipe(breaker, pipe(limiter))
    unsubscribe = pipeline.on_event(told.append)
    for _ in range(2):
        pipeline.try_call(int)
    pipeline.try_call(int)
    breaker.trip()
    pipeline.try_call(int)
    assert [(event.policy, event.reason) for event in told] == [
        (limiter, "rate"),
        (limiter, "rate"),
        (breaker, "manual"),
        (breaker, "open"),
    ]
    unsubscribe()
    pipeline.try_call(int)
    assert len(told) == 4
