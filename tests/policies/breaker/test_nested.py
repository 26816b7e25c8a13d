"""A breaker within itself: a call made inside of one's own probe belongs to that probe."""

import asyncio
import contextlib
import contextvars
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import copy_context
from typing import Any

import pytest

import holdfast as hf
from holdfast import State
from tests.policies.calls import OutageError, breaker_of, fail, fine, outage, rejection


@pytest.fixture
def breaker(clock: hf.ManualClock) -> hf.CircuitBreaker:
    """A breaker whose one probe may begin, and is all it takes to close it."""
    breaker = breaker_of(clock, half_open_max_calls=1, success_threshold=1)
    breaker.trip()
    clock.advance(60)
    return breaker


def in_a_block(breaker: hf.CircuitBreaker, fn: Callable[[], Any]) -> Any:
    with breaker:
        return fn()


def in_a_permit(breaker: hf.CircuitBreaker, fn: Callable[[], Any]) -> Any:
    with breaker.acquire():
        return fn()


def in_an_exit_stack(breaker: hf.CircuitBreaker, fn: Callable[[], Any]) -> Any:
    with contextlib.ExitStack() as stack:
        stack.enter_context(breaker)
        return fn()


def in_an_async_block(breaker: hf.CircuitBreaker, fn: Callable[[], Any]) -> Any:
    async def main() -> Any:
        async with breaker:
            await asyncio.sleep(0)
            return fn()

    return asyncio.run(main())


def in_a_coroutine(breaker: hf.CircuitBreaker, fn: Callable[[], Any]) -> Any:
    @breaker
    async def main() -> Any:
        await asyncio.sleep(0)
        return fn()

    return asyncio.run(main())


def in_a_generator(breaker: hf.CircuitBreaker, fn: Callable[[], Any]) -> Any:
    @breaker
    def items() -> Iterator[Any]:
        yield 0
        yield fn()

    return list(items())[1]


def in_an_async_generator(breaker: hf.CircuitBreaker, fn: Callable[[], Any]) -> Any:
    @breaker
    async def items() -> AsyncIterator[Any]:
        yield 0
        await asyncio.sleep(0)
        yield fn()

    async def main() -> list[Any]:
        return [item async for item in items()]

    return asyncio.run(main())[1]


def in_a_manager(breaker: hf.CircuitBreaker, fn: Callable[[], Any]) -> Any:
    @breaker
    @contextlib.contextmanager
    def session() -> Iterator[Any]:
        fn()
        yield

    with session():
        return fn()


def in_a_retried_manager(breaker: hf.CircuitBreaker, fn: Callable[[], Any]) -> Any:
    @hf.Pipeline("p", hf.Retry("r"), breaker)
    @contextlib.contextmanager
    def session() -> Iterator[Any]:
        yield fn()

    with session():
        return fn()


def in_an_async_manager(breaker: hf.CircuitBreaker, fn: Callable[[], Any]) -> Any:
    @breaker
    @contextlib.asynccontextmanager
    async def session() -> AsyncIterator[Any]:
        await asyncio.sleep(0)
        yield

    async def main() -> Any:
        async with session():
            return fn()

    return asyncio.run(main())


WAYS: list[Callable[[hf.CircuitBreaker, Callable[[], Any]], Any]] = [
    lambda breaker, fn: breaker(fn)(),
    lambda breaker, fn: breaker.call(fn),
    lambda breaker, fn: breaker.try_call(fn).unwrap(),
    lambda breaker, fn: breaker.call_with_stats(fn)[0].unwrap(),
    in_a_block,
    in_a_permit,
    in_an_exit_stack,
    in_an_async_block,
    in_a_coroutine,
    in_a_generator,
    in_an_async_generator,
    in_a_manager,
    in_a_retried_manager,
    in_an_async_manager,
]
NAMES = (
    "guard call try_call stats with permit stack async_with coroutine stream async_stream"
    " manager retried_manager async_manager"
)
every_way = pytest.mark.parametrize("way", WAYS, ids=NAMES.split())
plain_ways = pytest.mark.parametrize("inner", WAYS[:7], ids=NAMES.split()[:7])


@every_way
@plain_ways
def test_a_call_inside_of_its_own_probe_is_admitted_however_both_are_made(breaker, way, inner):
    assert way(breaker, lambda: inner(breaker, fine)) == "fine"
    snapshot = breaker.snapshot()
    assert breaker.state is State.CLOSED
    assert (snapshot.rejected, snapshot.in_flight, snapshot.probes) == (0, 0, 0)
    assert snapshot.admitted == snapshot.succeeded >= 2


@every_way
def test_a_peek_inside_of_its_own_probe_says_yes(breaker, way):
    assert way(breaker, breaker.peek)
    assert (breaker.state, breaker.snapshot().admitted) == (State.CLOSED, 1)


def test_a_peek_inside_says_no_where_a_call_would_be_refused(breaker, clock):
    def peeks() -> tuple[bool, bool]:
        in_new_context = contextvars.Context().run(breaker.peek)
        breaker.trip()
        return in_new_context, breaker.peek()

    assert breaker.call(peeks) == (False, False)
    clock.advance(60)
    held = breaker.acquire()
    assert not breaker.peek()  # that one is beside what runs here
    held.ignore()


def test_calls_may_be_within_each_other_at_any_depth(breaker):
    call: Callable[[], str] = fine
    for _ in range(50):
        call = breaker(call)
    assert call() == "fine"
    assert (breaker.state, breaker.snapshot().succeeded) == (State.CLOSED, 50)


def test_a_stream_within_a_probe_belongs_to_it(breaker):
    @breaker
    def items() -> Iterator[str]:
        yield breaker.call(fine)

    assert breaker.call(lambda: list(items())) == ["fine"]
    assert breaker.state is State.CLOSED


def test_a_breaker_at_two_levels_of_pipelines_recovers(clock):
    breaker = breaker_of(clock, half_open_max_calls=1, success_threshold=1)
    retry = hf.Retry("r", attempts=2, backoff=hf.Constant(0), on=OutageError)
    twice = hf.Pipeline("twice", breaker, hf.Pipeline("inner", retry, breaker))
    breaker.trip()
    clock.advance(60)
    assert twice.call(lambda: twice.call(fine)) == "fine"
    assert breaker.state is State.CLOSED


def test_the_standard_pipeline_within_itself_recovers(clock):
    breaker = breaker_of(clock, half_open_max_calls=1, success_threshold=1)
    pipeline = hf.Pipeline.standard("api", breaker=breaker)

    @pipeline
    async def token() -> str:
        return "token"

    @pipeline
    async def request() -> str:
        return (await asyncio.gather(token(), token()))[1]

    breaker.trip()
    clock.advance(60)
    assert asyncio.run(request()) == "token"
    assert breaker.state is State.CLOSED


# --- what the calls inside prove -----------------------------------------------------------------


def test_one_request_counts_as_one_success_whatever_it_calls(clock):
    breaker = breaker_of(clock, half_open_max_calls=3, success_threshold=3)
    breaker.half_open()
    for _ in range(2):
        breaker.call(lambda: [breaker.call(fine) for _ in range(5)])
        assert breaker.state is State.HALF_OPEN
    breaker.call(lambda: [breaker.call(fine) for _ in range(5)])
    assert (breaker.state, breaker.snapshot().succeeded) == (State.CLOSED, 18)


def test_a_failure_inside_of_a_probe_opens_it_at_once(breaker):  # CB-06
    def request() -> str:
        with pytest.raises(OutageError):
            breaker.call(outage)
        assert breaker.state is State.OPEN
        assert rejection(breaker) is not None
        return "cached"

    assert breaker.call(request) == "cached"
    assert (breaker.state, breaker.snapshot().late) == (State.OPEN, 1)


def test_an_inner_call_without_a_verdict_leaves_it_to_the_outer(breaker):
    def request() -> str:
        breaker.acquire().ignore()
        breaker.acquire()  # and lost
        return "fine"

    assert breaker.call(request) == "fine"
    assert breaker.state is State.CLOSED
    assert (breaker.snapshot().ignored, breaker.snapshot().abandoned) == (1, 1)


def test_observing_it_is_the_same(clock):
    breaker = breaker_of(clock, half_open_max_calls=1, success_threshold=1, mode="observe")
    breaker.half_open()
    assert breaker.call(breaker.call, fine) == "fine"
    assert (breaker.state, breaker.snapshot().observed) == (State.CLOSED, 0)


# --- who is inside -------------------------------------------------------------------------------


def test_only_its_own_probe_lets_a_call_in(breaker):
    other = hf.CircuitBreaker("other", half_open_max_calls=1)
    other.half_open()
    held = breaker.acquire()
    assert other.call(rejection, breaker) is not None
    held.ignore()
    assert breaker.call(other.call, lambda: breaker.call(fine)) == "fine"


def test_what_follows_a_probe_is_outside_of_it(clock):
    breaker = breaker_of(clock, half_open_max_calls=1, success_threshold=100)
    breaker.half_open()
    for way in WAYS:
        way(breaker, fine)
        with contextlib.suppress(KeyboardInterrupt):
            breaker.call(raise_interrupt)
        held = breaker.acquire()
        assert rejection(breaker) is not None
        held.ignore()


def raise_interrupt() -> None:
    raise KeyboardInterrupt


def test_a_permit_by_hand_is_beside_what_runs_and_a_block_of_it_is_around(breaker):
    permit = breaker.acquire()
    assert rejection(breaker) is not None
    with permit:
        assert rejection(breaker) is None
        permit.ignore()
        held = breaker.acquire()
        assert rejection(breaker) is not None
    held.ignore()


def test_who_consumes_a_stream_is_not_inside_of_it(breaker):
    @breaker
    def items() -> Iterator[int]:
        yield from (1, 2, 3)

    for _ in items():
        assert rejection(breaker) is not None
    assert breaker.state is State.CLOSED


async def test_who_consumes_an_asynchronous_stream_is_not_inside_of_it(breaker):
    @hf.Pipeline("p", hf.Retry("r"), breaker)
    async def items() -> AsyncIterator[int]:
        for n in range(3):
            await asyncio.sleep(0)
            yield n

    async for _ in items():
        assert rejection(breaker) is not None
    assert breaker.state is State.CLOSED


def test_tasks_and_threads_that_a_probe_begins_are_inside(clock):
    breaker = breaker_of(clock, half_open_max_calls=1, success_threshold=1)
    pool = hf.PoolBulkhead("pool", workers=1)
    timeout = hf.Timeout(60, thread=True)

    @breaker
    async def token() -> str:
        await asyncio.sleep(0)
        return "token"

    @breaker
    async def request() -> list[str]:
        async with asyncio.TaskGroup() as tasks:
            made = [tasks.create_task(token()), tasks.create_task(token())]
        in_thread = await asyncio.to_thread(breaker.call, fine)
        in_pool = await asyncio.wrap_future(pool.submit(breaker.call, fine))
        with_timeout = await asyncio.to_thread(timeout.call, breaker.call, fine)
        in_context = copy_context().run(breaker.call, fine)
        return [*(task.result() for task in made), in_thread, in_pool, with_timeout, in_context]

    breaker.half_open()
    assert asyncio.run(request()) == ["token"] * 2 + ["fine"] * 4
    assert breaker.state is State.CLOSED
    breaker.half_open()
    held = breaker.acquire()
    with pytest.raises(hf.CircuitOpenError):
        pool.submit(breaker.call, fine).result()  # the pool's thread has forgotten the probe
    held.ignore()
    pool.stop()


@pytest.mark.parametrize("end", ["success", "ignore", "lost", "reopened", "expired"])
def test_a_context_that_outlives_the_probe_lets_nobody_in(clock, end):
    breaker = breaker_of(clock, half_open_max_calls=1, success_threshold=9, probe_timeout=5)
    breaker.half_open()
    permit = breaker.acquire()
    with permit:
        inside = copy_context()
        assert inside.run(rejection, breaker) is None
        if end in ("success", "ignore"):
            getattr(permit, end)()
        elif end == "reopened":
            fail(breaker)
            clock.advance(60)
        elif end == "expired":
            clock.advance(5)
    if end == "lost":
        breaker.half_open()
    held = breaker.acquire()
    assert inside.run(rejection, breaker) is not None
    held.ignore()


def test_a_task_that_outlives_its_probe_is_outside():
    breaker = hf.CircuitBreaker("b", half_open_max_calls=1, success_threshold=9)
    go = asyncio.Event()

    async def background() -> hf.Rejected | None:
        await go.wait()
        return rejection(breaker)

    @breaker
    async def request() -> asyncio.Task[hf.Rejected | None]:
        return asyncio.create_task(background())

    async def main() -> hf.Rejected | None:
        breaker.half_open()
        task = await request()
        with breaker.acquire():
            go.set()
            return await task

    assert asyncio.run(main()) is not None


def test_contexts_do_not_keep_a_breaker_alive():
    breaker = hf.CircuitBreaker("short-lived", half_open_max_calls=1)
    breaker.half_open()
    permit = breaker.acquire()
    with permit:
        inside = copy_context()
    gone = weakref.ref(breaker)
    del breaker, permit
    gc.collect()
    assert gone() is None
    assert inside.run(rejection, hf.CircuitBreaker("another")) is None
