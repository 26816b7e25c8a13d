"""The pool of the demo's client: no call that is cut short uses it up."""

import asyncio
import contextlib
import random
import time

import httpx
import pytest

from holdfast.demo import client
from holdfast.demo.upstream import Behaviour
from holdfast.policies.timeout import Timeout

CONNECTIONS, CALLS = 6, 180
PATIENT_SECONDS = 20.0


@pytest.fixture(autouse=True)
def _answers_take_a_moment(server):
    server.behaviour = Behaviour(0.0, 0.002)


async def cut_short(start, times: int) -> None:
    """Cancel so many calls of ``start``, each after a few turns of the loop or milliseconds."""
    chance = random.Random(1)

    async def one_after_the_other() -> None:
        for _ in range(times // CONNECTIONS):
            task = asyncio.ensure_future(start())
            for _ in range(chance.randrange(30)):
                await asyncio.sleep(0)
            await asyncio.sleep(chance.choice([0, chance.random() * 0.01]))
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, httpx.HTTPError):
                await task

    await asyncio.gather(*(one_after_the_other() for _ in range(CONNECTIONS)))


async def all_at_once(get) -> list[BaseException | None]:
    return await asyncio.gather(*(get() for _ in range(CONNECTIONS)), return_exceptions=True)


def test_hundreds_of_calls_that_are_cancelled_anywhere_leave_every_connection_usable(url):
    async def main() -> None:
        async with client.TaskClient(CONNECTIONS, PATIENT_SECONDS) as calls:
            await cut_short(lambda: calls.get(url), CALLS)
            assert await all_at_once(lambda: calls.get(url)) == [None] * CONNECTIONS
            assert calls.replaced == 0

    asyncio.run(main())


def test_hundreds_of_calls_that_a_guard_cuts_leave_every_connection_usable(url):  # TO-01
    async def main() -> None:
        async with client.TaskClient(CONNECTIONS, PATIENT_SECONDS) as calls:
            cut = Timeout(0.003)(calls.get)
            for _ in range(CALLS // CONNECTIONS):
                await all_at_once(lambda: cut(url))
            assert await all_at_once(lambda: calls.get(url)) == [None] * CONNECTIONS

    asyncio.run(main())


def test_a_pool_that_has_lost_its_connections_is_replaced(url):
    async def main() -> None:
        async with client.TaskClient(CONNECTIONS, 0.3) as calls:
            before = calls._used.client
            pool = before._transport._pool

            # The defect itself: connections that are taken and that nobody will give back.
            pool._max_connections = 0
            first = await all_at_once(lambda: calls.get(url))
            assert {type(error) for error in first} == {httpx.PoolTimeout}
            assert calls.replaced == 1
            assert before.is_closed
            calls._limit_seconds = PATIENT_SECONDS
            assert await all_at_once(lambda: calls.get(url)) == [None] * CONNECTIONS

    asyncio.run(main())


def test_calls_beyond_the_connections_that_find_no_room_replace_nothing(url):
    async def main() -> None:
        async with client.TaskClient(1, 0.05) as calls:
            answers = await asyncio.gather(
                *(calls.get(url) for _ in range(200)), return_exceptions=True
            )
            assert any(isinstance(error, httpx.PoolTimeout) for error in answers)
            assert calls.replaced <= 1  # the last of them may be alone, and find none in time

    asyncio.run(main())


def test_the_steps_of_a_request_share_its_time(monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    patience = client.Patience(0.3)
    assert patience.get("connect") == pytest.approx(0.3)
    now += 0.2
    assert patience.get("read") == pytest.approx(0.1)
    now += 0.2
    assert patience.get("read") == client.LEAST_TIMEOUT_SECONDS


def test_the_client_gives_up_a_moment_before_its_guard_would_cut_it(url):  # TO-09
    seen = []

    @Timeout(5)
    async def call() -> None:
        seen.append(client._time_left(30))

    asyncio.run(call())
    assert 4 < seen[0] <= 5 - client.MARGIN_SECONDS


def test_leaving_waits_for_the_requests_that_nobody_waits_for(url):
    async def main() -> client.TaskClient:
        async with client.TaskClient(1, PATIENT_SECONDS) as calls:
            task = asyncio.ensure_future(calls.get(url))
            await asyncio.sleep(0)
            task.cancel()
        return calls

    calls = asyncio.run(main())
    assert not calls._under_way
    assert calls._used.client.is_closed
