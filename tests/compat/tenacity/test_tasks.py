"""The face of tenacity on coroutine functions, of asyncio, trio and tornado."""

import asyncio
import inspect
import pickle

import pytest

import holdfast as hf
from holdfast.compat import tenacity
from holdfast.compat.tenacity import (
    AsyncRetrying,
    RetryError,
    TryAgain,
    retry,
    retry_if_exception_type,
    retry_if_not_exception_type,
    retry_if_result,
    retry_unless_exception_type,
    stop_after_attempt,
    wait_fixed,
)
from holdfast.compat.tenacity import asyncio as tasyncio
from holdfast.compat.tenacity.asyncio import retry as conditions


def flaky(failures: int, error: type[BaseException] = ConnectionError):
    """Return a coroutine function that fails a number of times, and its calls."""
    calls = []

    async def work(*args):
        calls.append(args)
        await asyncio.sleep(0)
        if len(calls) <= failures:
            raise error(f"failure {len(calls)}")
        return args

    return work, calls


async def test_a_failure_of_a_task_is_tried_again():  # RT-18
    work, calls = flaky(2)
    started = asyncio.get_running_loop().time()
    assert await retry(wait=wait_fixed(5))(work)(1) == (1,)
    assert len(calls) == 3
    assert asyncio.get_running_loop().time() - started == pytest.approx(10)


@retry
async def module_coroutine(x: int, *, y: int = 2) -> int:
    """Answer."""
    return x + y


async def test_a_decorated_coroutine_function_stays_one():
    assert inspect.iscoroutinefunction(module_coroutine)
    assert list(inspect.signature(module_coroutine).parameters) == ["x", "y"]
    assert (module_coroutine.__doc__, module_coroutine.__kwdefaults__) == ("Answer.", {"y": 2})
    assert pickle.loads(pickle.dumps(module_coroutine)) is module_coroutine
    assert await module_coroutine(1) == 3
    assert module_coroutine.statistics["attempt_number"] == 1


class Service:
    @retry
    async def method(self, x: int) -> tuple["Service", int]:
        return self, x


async def test_a_method_is_bound():
    service = Service()
    assert await service.method(1) == (service, 1)


async def test_a_call_of_a_task_that_is_given_up_raises():
    work, calls = flaky(9)
    with pytest.raises(RetryError) as caught:
        await retry(stop=stop_after_attempt(3))(work)()
    assert len(calls) == 3
    assert caught.value.__cause__.args == ("failure 3",)
    work, _ = flaky(9)
    with pytest.raises(ConnectionError, match="failure 2") as caught:
        await retry(stop=stop_after_attempt(2), reraise=True)(work)()
    assert caught.value.__context__ is None


async def test_conditions_and_hooks_may_be_coroutine_functions():
    seen = []

    def hook(name):
        async def note(state):
            await asyncio.sleep(0)
            seen.append((name, state.attempt_number))

        return note

    async def wait(_state):
        return 7

    async def stop(state):
        return state.attempt_number == 3

    async def condition(state):
        return state.outcome.failed

    work, _ = flaky(9)
    callback = hook("given up")
    guarded = retry(
        retry=condition,
        wait=wait,
        stop=stop,
        before=hook("before"),
        after=hook("after"),
        before_sleep=hook("sleep"),
        retry_error_callback=callback,
    )(work)
    assert await guarded() is None
    assert seen == [
        ("before", 1),
        ("after", 1),
        ("sleep", 1),
        ("before", 2),
        ("after", 2),
        ("sleep", 2),
        ("before", 3),
        ("after", 3),
        ("given up", 3),
    ]
    assert guarded.statistics["idle_for"] == 14


async def test_what_a_plain_hook_returns_to_be_awaited_is_awaited():
    seen = []

    async def note(state):
        seen.append(state.attempt_number)

    work, _ = flaky(1)
    await retry(before_sleep=lambda state: note(state))(work)()
    assert seen == [1]


async def is_connection(error: BaseException) -> bool:
    return isinstance(error, ConnectionError)


async def is_nothing(result: object) -> bool:
    return result is None


def answers(*outcomes):
    left = iter(outcomes)

    async def answer():
        outcome = next(left)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return answer


@pytest.mark.parametrize(
    "condition",
    [
        conditions.retry_if_exception(is_connection) | conditions.retry_if_result(is_nothing),
        retry_if_exception_type(ConnectionError) | conditions.retry_if_result(is_nothing),
        conditions.retry_if_exception(is_connection) | retry_if_result(lambda r: r is None),
        conditions.retry_any(
            conditions.retry_if_exception(is_connection),
            lambda state: not state.outcome.failed and state.outcome.result() is None,
        ),
    ],
)
async def test_awaited_conditions_combine_with_others(condition):
    assert isinstance(condition, tasyncio.retry_any)
    work = retry(retry=condition)(answers(ConnectionError(), None, 42))
    assert await work() == 42
    with pytest.raises(KeyError):
        await retry(retry=condition)(answers(KeyError()))()


@pytest.mark.parametrize(
    "condition",
    [
        conditions.retry_if_exception(is_connection) & retry_if_exception_type(OSError),
        retry_if_exception_type(OSError) & conditions.retry_if_exception(is_connection),
        tasyncio.retry_all(retry_if_exception_type(OSError))
        & conditions.retry_if_exception(is_connection),
    ],
)
async def test_all_of_several_conditions_may_be_needed(condition):
    assert isinstance(condition, tasyncio.retry_all)
    assert await retry(retry=condition)(answers(ConnectionError(), 42))() == 42
    with pytest.raises(TimeoutError):
        await retry(retry=condition)(answers(TimeoutError(), 42))()


async def test_an_awaited_condition_needs_an_outcome():
    state = tenacity.RetryCallState(None, None, (), {})
    for condition in (conditions.retry_if_exception(is_connection), tasyncio.retry_if_result(bool)):
        with pytest.raises(RuntimeError, match="before outcome"):
            await condition(state)


async def test_a_plain_function_may_be_tried_again_in_a_task():
    calls = []

    def plain(x: int) -> int:
        calls.append(x)
        if len(calls) < 2:
            raise TryAgain
        return x

    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    guarded = retry(sleep=sleep, wait=wait_fixed(2))(plain)
    assert inspect.iscoroutinefunction(guarded)
    assert await guarded(1) == 1
    assert slept == [2]
    guarded.retry.enabled = False
    assert await guarded(2) == 2
    assert await AsyncRetrying()(plain, 3) == 3


async def test_a_sleep_that_is_no_coroutine_is_called():
    slept = []
    work, _ = flaky(1)
    await AsyncRetrying(sleep=slept.append, wait=wait_fixed(2))(work)
    assert slept == [2]


@pytest.mark.parametrize(
    "condition",
    [
        retry_if_not_exception_type(ValueError),
        retry_unless_exception_type(ValueError),
        retry_if_exception_type(BaseException),
        tenacity.retry_always,
        conditions.retry_if_exception(is_nothing),
    ],
)
async def test_a_cancelled_call_is_never_tried_again(condition):  # trap 50, jd/tenacity#529
    calls = []

    @retry(retry=condition)
    async def work() -> None:
        calls.append(None)
        await asyncio.sleep(3_600)

    task = asyncio.ensure_future(work())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(calls) == 1
    assert work.policy.snapshot().gave_up["cancelled"] == 1


async def test_a_call_that_is_cancelled_in_its_pause_ends_at_once():  # trap 50
    work, calls = flaky(9)
    guarded = retry(wait=wait_fixed(3_600))(work)
    task = asyncio.ensure_future(guarded())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(calls) == 1
    assert guarded.policy.snapshot().gave_up["cancelled"] == 1


async def test_a_limit_of_time_ends_a_call_that_would_be_tried_again():  # jd/tenacity#529
    work = retry(retry=retry_if_not_exception_type(ValueError))(lambda: asyncio.sleep(3_600))

    @retry(retry=retry_if_not_exception_type(ValueError))
    async def slow() -> None:
        await asyncio.sleep(3_600)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(slow(), 1)
    assert slow.statistics["attempt_number"] == 1
    assert not inspect.iscoroutinefunction(work)


async def test_no_pause_of_a_task_outlasts_an_enclosing_timeout():  # RT-18
    work, calls = flaky(9)
    guarded = retry(wait=wait_fixed(60))(work)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(RetryError):
        await hf.Timeout(30).acall(guarded)
    assert loop.time() == began
    assert len(calls) == 1
    assert guarded.policy.snapshot().gave_up["deadline"] == 1


async def test_calls_at_once_have_attempts_of_their_own():
    @retry(stop=stop_after_attempt(3), wait=wait_fixed(1))
    async def work(failures: list) -> int:
        await asyncio.sleep(0.1)
        if failures:
            raise failures.pop()
        return work.statistics["attempt_number"]

    await asyncio.gather(*(work([ConnectionError()] * 2) for _ in range(5)))
    assert work.policy.snapshot().recovered == 5
    retrying = AsyncRetrying(stop=stop_after_attempt(3), wait=wait_fixed(1))
    made = [flaky(2) for _ in range(5)]
    await asyncio.gather(*(retrying(work) for work, _ in made))
    assert [len(calls) for _, calls in made] == [3] * 5


def test_a_task_of_trio_is_tried_again_and_its_cancellation_is_not(require_real):  # trap 50
    try:
        import trio
        import trio.testing
    except ImportError:
        require_real("needs trio")
    calls = []

    @retry(wait=wait_fixed(5), retry=retry_if_exception_type(BaseException))
    async def work() -> int:
        calls.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if len(calls) < 3:
            raise ConnectionError
        await trio.sleep_forever()

    async def main() -> bool:
        with trio.move_on_after(60) as scope:
            await work()
        return scope.cancelled_caught

    assert trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert len(calls) == 3
    assert calls[2] - calls[0] == pytest.approx(10)


def test_a_coroutine_of_tornado_is_tried_again(require_real):
    try:
        from tornado import gen, ioloop
    except ImportError:
        require_real("needs tornado")
    calls = []

    @retry(stop=stop_after_attempt(3))
    @gen.coroutine
    def work(x):
        calls.append(x)
        yield gen.sleep(0)
        if len(calls) < 3:
            raise ConnectionError
        return x

    assert type(work.retry) is tenacity.TornadoRetrying
    before = work.policy.snapshot().recovered
    loop = ioloop.IOLoop(make_current=False)
    try:
        assert loop.run_sync(lambda: work(1)) == 1
        calls.clear()
        work.retry.stop = stop_after_attempt(2)
        with pytest.raises(RetryError):
            loop.run_sync(lambda: work(1))
    finally:
        loop.close(all_fds=True)
    assert work.policy.snapshot().recovered == before + 1
    assert tenacity.tornado is not None


def test_a_function_is_no_coroutine_of_tornado_where_that_is_hidden(monkeypatch):
    gen = pytest.importorskip("tornado.gen")
    monkeypatch.setattr(tenacity, "tornado", None, raising=False)
    assert type(retry(gen.coroutine(lambda: None)).retry) is tenacity.Retrying


async def test_a_controller_calls_a_coroutine_function_with_attempts_of_its_own():
    retrying = AsyncRetrying(stop=stop_after_attempt(3), wait=wait_fixed(1))
    work, calls = flaky(2)
    assert await retrying(work, 1) == (1,)
    assert len(calls) == 3
    assert retrying.statistics["attempt_number"] == 3
    with pytest.raises(RetryError):
        await retrying(flaky(9)[0])
    there = pickle.loads(pickle.dumps(retrying))
    assert await there(flaky(0)[0], 2) == (2,)


async def test_a_subclass_may_drive_the_steps_of_a_task_itself():
    class Own(AsyncRetrying):
        async def __call__(self, fn, *args, **kwargs):
            self.begin()
            state = tenacity.RetryCallState(self, fn, args, kwargs)
            while True:
                do = await self.iter(retry_state=state)
                if isinstance(do, tenacity.DoAttempt):
                    try:
                        state.set_result(await fn(*args, **kwargs))
                    except Exception as error:
                        state.set_exception((type(error), error, None))
                elif isinstance(do, tenacity.DoSleep):
                    state.prepare_for_next_attempt()
                    await self.sleep(do)
                else:
                    return do

    own = Own(wait=wait_fixed(3), name="driven by itself")
    began = asyncio.get_running_loop().time()
    guarded = own.wraps(flaky(2)[0])
    assert await guarded(1) == (1,)
    assert asyncio.get_running_loop().time() - began == pytest.approx(6)
    assert own.policy.snapshot().recovered == 1
    assert own.policy.snapshot().retries[:2] == (1, 1)


async def test_a_call_may_be_answered_for_without_awaiting():
    work, _ = flaky(9)
    guarded = retry(stop=stop_after_attempt(1), retry_error_callback=lambda state: "instead")(work)
    assert await guarded() == "instead"


def test_awaited_conditions_are_flat():
    a, b = conditions.retry_if_exception(is_connection), conditions.retry_if_result(is_nothing)
    assert (a | b).retries == (a & b).retries == (a, b)
    assert tasyncio.retry_any(b).__ror__(tasyncio.retry_any(a)).retries == (a, b)
    assert tasyncio.retry_all(b).__rand__(tasyncio.retry_all(a)).retries == (a, b)
