"""Half-open: how many probes at once, how each gives its place back, and what a lost one costs."""

import asyncio
from collections.abc import Generator

import pytest

import holdfast as hf
from holdfast import State
from tests.apart import run_apart
from tests.policies.calls import breaker_of, fine, half_open_breaker, raising, rejection, succeed


def free_places(breaker: hf.CircuitBreaker, most: int) -> int:
    """Return how many probes it would admit now, by taking and leaving the places."""
    permits = []
    for _ in range(most + 1):
        try:
            permits.append(breaker.acquire())
        except hf.CircuitOpenError:
            break
    for permit in permits:
        permit.ignore()
    return len(permits)


@pytest.mark.parametrize("places", [1, 3, 32])
def test_half_open_admits_as_many_probes_at_once_as_there_are_places(clock, places):
    # CB-02, D-CB-2, D-C-2
    breaker = half_open_breaker(clock, half_open_max_calls=places, success_threshold=2)
    probes = [breaker.acquire() for _ in range(places)]
    for _ in range(50):
        refused = rejection(breaker)
        assert refused is not None
        assert (refused.reason, refused.retry_after) == ("half-open", 0.0)
    assert not breaker.peek()
    assert breaker.snapshot().probes == places
    probes[0].success()
    assert breaker.peek()
    assert breaker.snapshot().probes == places - 1


def test_the_first_probe_takes_one_of_the_places(clock):  # D-CB-2, trap 6
    breaker = breaker_of(clock, half_open_max_calls=3, reset_timeout=60)
    breaker.trip()
    clock.advance(60)
    assert breaker.call(lambda: breaker.snapshot().probes) == 1
    probes = [breaker.acquire() for _ in range(3)]
    assert len(probes) == breaker.snapshot().probes == 3
    assert rejection(breaker) is not None


def test_a_call_guarded_by_several_names_of_one_breaker_takes_a_place_for_each_entry(clock):
    # trap 6
    breaker = half_open_breaker(clock, half_open_max_calls=2)
    assert breaker.call(breaker.call, lambda: breaker.snapshot().probes) == 2
    assert breaker.snapshot().probes == 0


@pytest.mark.parametrize(
    "error",
    [asyncio.CancelledError(), GeneratorExit(), KeyboardInterrupt(), SystemExit(1)],
    ids=lambda error: type(error).__name__,
)
def test_a_probe_that_leaves_by_an_interruption_gives_its_place_back(clock, error):
    # trap 5, D-CB-8
    breaker = half_open_breaker(clock, half_open_max_calls=1)
    with pytest.raises(type(error)):
        breaker.call(raising(error))
    with pytest.raises(type(error)), breaker:
        raise error
    with pytest.raises(type(error)), breaker.acquire():
        raise error
    with pytest.raises(type(error)):
        breaker(raising(error))()
    with pytest.raises(type(error)):
        breaker.try_call(raising(error))
    assert breaker.state is State.HALF_OPEN
    assert free_places(breaker, 1) == 1
    assert breaker.snapshot().failed == 0


def guarded_numbers(breaker: hf.CircuitBreaker) -> Generator[int, None, None]:
    @breaker
    def numbers() -> Generator[int, None, None]:
        yield 1
        yield 2

    return numbers()


def test_a_generator_closed_half_way_gives_its_place_back(clock):  # trap 5
    breaker = half_open_breaker(clock, half_open_max_calls=1)
    numbers = guarded_numbers(breaker)
    assert free_places(breaker, 1) == 1
    assert next(numbers) == 1
    assert free_places(breaker, 1) == 0
    numbers.close()
    assert free_places(breaker, 1) == 1
    assert breaker.state is State.HALF_OPEN


def test_a_cancelled_task_gives_its_place_back(clock):  # trap 5, D-CB-8
    breaker = half_open_breaker(clock, half_open_max_calls=1)

    async def cancel_it() -> None:
        begun = asyncio.Event()

        @breaker
        async def wait_for_ever() -> None:
            begun.set()
            await asyncio.get_running_loop().create_future()

        task = asyncio.create_task(wait_for_ever())
        await begun.wait()
        assert free_places(breaker, 1) == 0
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel_it())
    assert free_places(breaker, 1) == 1
    assert breaker.state is State.HALF_OPEN


def test_an_interpreter_that_shuts_down_amid_probes_ends_quietly():  # trap 5
    printed = run_apart("""
        import holdfast as hf
        breaker = hf.CircuitBreaker("payments", half_open_max_calls=4)
        breaker.half_open()

        @breaker
        def numbers():
            yield 1
            yield 2

        class Late:
            def __del__(self, breaker=breaker):
                print(breaker.state.name, breaker.call(len, "abc"))

        permit, half_way = breaker.acquire(), numbers()
        next(half_way)
        entered = breaker.__enter__()
        late = Late()
        """)
    # Three places were taken and one was left, whichever of them have been given back by then.
    assert printed == "HALF_OPEN 3\n"


def test_a_permit_settled_twice_counts_once(clock):  # CB-17
    breaker = half_open_breaker(clock, half_open_max_calls=2, success_threshold=2)
    first, second = breaker.acquire(), breaker.acquire()
    assert first.success()
    third = breaker.acquire()
    assert not first.success()
    assert not first.failure()
    assert not first.ignore()
    assert breaker.state is State.HALF_OPEN
    assert rejection(breaker) is not None, "the second settling freed a place that is another's"
    assert breaker.snapshot().settled_twice == 3
    assert second.success()
    assert breaker.state is State.CLOSED
    assert third.success()


def test_a_probe_that_an_inner_policy_refuses_is_given_back_and_counts_as_nothing(clock):  # trap 6
    breaker = half_open_breaker(clock, half_open_max_calls=1, success_threshold=1)
    limiter = hf.RateLimiter("outbound", rate=1, per=60, clock=clock)
    bulkhead = hf.Bulkhead("connections", max_concurrent=1)
    pipe = hf.Pipeline("payments", breaker, limiter, bulkhead)
    before = breaker.snapshot()
    with bulkhead:
        for _ in range(10):
            with pytest.raises(hf.BulkheadFullError):
                pipe.call(fine)
    assert limiter.try_acquire()
    for _ in range(10):
        with pytest.raises(hf.RateLimitedError):
            pipe.call(fine)
        with pytest.raises(hf.RateLimitedError):
            pipe.acquire()
        assert isinstance(pipe.try_call(fine).rejection, hf.RateLimitedError)
    assert breaker.snapshot() == before
    clock.advance(60)
    succeed(pipe)
    assert breaker.state is State.CLOSED


def test_a_probe_that_never_reports_gives_up_its_place_at_its_deadline(clock):  # trap 4
    breaker = half_open_breaker(clock, half_open_max_calls=1, probe_timeout=30)
    lost = breaker.acquire()
    clock.advance(29.9999)
    assert rejection(breaker) is not None
    clock.advance(0.0001)
    assert breaker.peek()
    assert breaker.snapshot().probes == 0
    found = breaker.acquire()
    assert rejection(breaker) is not None
    assert breaker.state is State.HALF_OPEN
    assert not lost.settled
    assert not found.settled


@pytest.mark.parametrize("shortest", [1e-9, 1e-6, 1e-4])
def test_the_shortest_probe_timeout_still_bounds_the_probes_of_one_moment(clock, shortest):
    # D-CB-2
    breaker = half_open_breaker(clock, half_open_max_calls=2, probe_timeout=shortest)
    assert free_places(breaker, 2) == 2
    clock.advance(0.001)
    assert free_places(breaker, 2) == 2
