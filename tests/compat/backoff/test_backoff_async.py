"""The face of backoff: coroutine functions."""

import asyncio
import inspect
from functools import partial
from unittest import mock

import pytest

import holdfast as hf
from holdfast import mode
from holdfast.compat import backoff
from holdfast.testing import chaos_enabled


def now():
    return asyncio.get_running_loop().time()


def failing(times, error=ConnectionError):
    """Return a coroutine function that raises so many times, and its calls."""
    calls = []

    async def fetch(*args, **kwargs):
        calls.append((args, kwargs))
        if len(calls) <= times:
            raise error(f"number {len(calls)}")
        return "ok"

    return fetch, calls


async def test_a_coroutine_function_is_awaited_again_until_it_succeeds():  # RT-18
    fetch, calls = failing(3)
    again = backoff.on_exception(backoff.expo, ConnectionError, jitter=None)(fetch)
    assert inspect.iscoroutinefunction(again)
    began = now()
    assert await again("a", b=1) == "ok"
    assert calls == [(("a",), {"b": 1})] * 4
    assert now() - began == pytest.approx(7)


@pytest.mark.parametrize("place", ["asyncio", "holdfast.compat.backoff._async.asyncio"])
async def test_the_sleep_of_asyncio_may_be_replaced(place, monkeypatch):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(f"{place}.sleep", sleep)
    again = backoff.on_exception(backoff.constant, ConnectionError, interval=5, jitter=None)(
        failing(2)[0]
    )
    assert await again() == "ok"
    assert slept == [5, 5]


@pytest.mark.parametrize("raises", [True, False])
async def test_after_so_many_tries_it_is_given_up(raises):
    fetch, calls = failing(10)
    told = []
    again = backoff.on_exception(
        backoff.constant, ConnectionError, max_tries=lambda: 3, raise_on_giveup=raises,
        on_giveup=told.append,
    )(fetch)  # fmt: skip
    if raises:
        with pytest.raises(ConnectionError, match="number 3"):
            await again()
    else:
        assert await again() is None
    assert (len(calls), told[0]["tries"]) == (3, 3)


async def test_handlers_and_conditions_may_be_coroutine_functions():
    told = []

    async def tell(event, details):
        await asyncio.sleep(0)
        told.append((event, details["tries"]))

    async def is_fatal(error):
        return "3" in str(error)

    fetch, _ = failing(10)
    again = backoff.on_exception(
        backoff.constant, ConnectionError, giveup=is_fatal, on_backoff=partial(tell, "backoff"),
        on_giveup=[partial(tell, "giveup"), lambda details: told.append("plain")],
    )(fetch)  # fmt: skip
    with pytest.raises(ConnectionError):
        await again()
    assert told == [("backoff", 1), ("backoff", 2), ("giveup", 3), "plain"]

    async def is_late(result):
        return result < 2

    results = iter([0, 1, 2])

    @backoff.on_predicate(backoff.constant, is_late, on_success=partial(tell, "success"))
    async def poll():
        return next(results)

    assert await poll() == 2
    assert told[-1] == ("success", 3)


async def test_results_are_tried_again():
    results = iter([None, [], "mail"])
    backoffs, successes = [], []

    @backoff.on_predicate(
        backoff.constant, interval=2, jitter=None, on_backoff=backoffs.append,
        on_success=successes.append,
    )  # fmt: skip
    async def poll():
        return next(results)

    assert await poll() == "mail"
    assert [(told["value"], told["wait"], told["tries"]) for told in backoffs] == [
        (None, 2, 1),
        ([], 2, 2),
    ]
    assert successes[0]["value"] == "mail"


async def test_waits_that_end_give_the_call_up():
    told = []

    @backoff.on_predicate(backoff.constant, interval=(1, 2), on_giveup=told.append)
    async def poll():
        return False

    assert await poll() is False
    assert (told[0]["value"], told[0]["tries"]) == (False, 3)


async def test_a_cancellation_is_never_tried_again():  # trap 50
    begun = []

    @backoff.on_exception(backoff.expo, BaseException)
    async def work():
        begun.append(None)
        await asyncio.sleep(1000)

    task = asyncio.create_task(work())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(begun) == 1
    assert work.policy.snapshot().gave_up["cancelled"] == 1


async def test_a_cancellation_ends_a_pause_at_once():  # trap 50
    fetch, calls = failing(9)
    again = backoff.on_exception(backoff.constant, Exception, interval=1000, jitter=None)(fetch)
    task, began = asyncio.create_task(again()), now()
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (now() - began, len(calls)) == (pytest.approx(1), 1)
    assert again.policy.snapshot().gave_up["cancelled"] == 1


async def test_a_coroutine_that_catches_its_cancellation_may_return():
    started = asyncio.Event()

    @backoff.on_predicate(backoff.expo)
    async def work():
        started.set()
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            return True

    task = asyncio.create_task(work())
    await started.wait()
    task.cancel()
    assert await task is True


async def test_no_pause_outlasts_an_enclosing_timeout():  # RT-18
    fetch, calls = failing(9)
    again = backoff.on_exception(backoff.constant, ConnectionError, interval=60, jitter=None)(fetch)
    began = now()
    with pytest.raises(ConnectionError):
        await hf.Timeout(30).acall(again)
    assert (now(), len(calls)) == (began, 1)


async def test_what_a_handler_raises_ends_the_call_and_is_counted():
    async def broken(details):
        raise LookupError

    fetch, calls = failing(9)
    again = backoff.on_exception(backoff.expo, ConnectionError, on_backoff=broken)(fetch)
    with pytest.raises(LookupError):
        await again()
    assert (len(calls), again.policy.snapshot().failed) == (1, 1)


async def test_methods_and_mocks_of_coroutine_functions_are_told():
    class Client:
        tries = 0

        @backoff.on_exception(backoff.expo, ConnectionError)
        async def fetch(self):
            self.tries += 1
            if self.tries < 3:
                raise ConnectionError
            return self.tries

    assert await Client().fetch() == 3
    target = mock.AsyncMock(side_effect=[ConnectionError(), "ok"], __name__="target")
    assert await backoff.on_exception(backoff.expo, ConnectionError)(target)() == "ok"
    bound = backoff.on_exception(backoff.expo, ConnectionError)(partial(failing(1)[0], 1))
    assert await bound() == "ok"


async def test_faults_strike_each_attempt():
    fetch, calls = failing(0)
    again = backoff.on_exception(backoff.expo, ConnectionError)(fetch)
    polled = backoff.on_predicate(backoff.expo)(fetch)
    with chaos_enabled() as chaos:
        chaos(again.policy.name).fail(ConnectionError, times=1)
        assert await again() == "ok"
        assert await polled() == "ok"
    assert len(calls) == 2


@pytest.mark.parametrize("word", [mode.Mode.OBSERVE, mode.Mode.OFF])
async def test_a_mode_that_enforces_nothing_makes_no_retry(monkeypatch, word):
    monkeypatch.setattr(mode, "_of_process", word)
    fetch, calls = failing(1)
    again = backoff.on_exception(backoff.expo, ConnectionError)(fetch)
    with pytest.raises(ConnectionError):
        await again()
    polled = backoff.on_predicate(backoff.expo, lambda result: True)(fetch)
    assert await polled() == "ok"
    assert len(calls) == 2


def test_tasks_of_trio_can_pause_as_well():
    trio = pytest.importorskip("trio")
    from trio.testing import MockClock

    fetch, calls = failing(2)
    again = backoff.on_exception(backoff.constant, ConnectionError, interval=9, jitter=None)(fetch)
    assert trio.run(again, clock=MockClock(autojump_threshold=0)) == "ok"
    assert len(calls) == 3
