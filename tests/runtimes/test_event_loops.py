"""uvloop, nest_asyncio, SQLAlchemy's greenlets: policies wait and cut as in asyncio's own loop."""

import asyncio
import importlib.util

import pytest

import holdfast as hf
from tests.apart import run_apart


async def waits_and_cuts():
    """What a loop is asked for: a place in turn, a pause, and a cut."""
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=9, max_wait=None)
    retry = hf.Retry("r", on=ConnectionError, backoff=hf.Constant(0.001), attempts=2)
    came = []

    async def enters(n):
        async with bulkhead:
            came.append(n)
            await asyncio.sleep(0)

    async def fails_once(errors):
        for error in errors:
            raise error
        return "in the end"

    await asyncio.gather(*(enters(n) for n in range(3)))
    errors = iter([ConnectionError()])
    assert await retry.acall(fails_once, errors) == "in the end"
    with pytest.raises(hf.DeadlineExceededError):
        await hf.Timeout(0.001).acall(asyncio.Event().wait)
    with pytest.raises(hf.DeadlineExceededError):
        async with hf.Timeout(0.001):
            await asyncio.Event().wait()
    assert asyncio.current_task().cancelling() == 0
    return came


def test_uvloop_waits_and_cuts(require_real):
    try:
        import uvloop
    except ImportError:
        require_real("uvloop is not installed")
    assert uvloop.run(waits_and_cuts()) == [0, 1, 2]


def test_calls_in_a_loop_inside_of_a_loop_keep_their_deadlines(require_real):
    if importlib.util.find_spec("nest_asyncio") is None:
        require_real("nest_asyncio is not installed")
    source = """
    import asyncio, nest_asyncio, warnings, holdfast as hf
    warnings.simplefilter("ignore", DeprecationWarning)  # nest_asyncio's policies, from 3.14 on
    nest_asyncio.apply()
    short, long = hf.Timeout(60, name="short"), hf.Timeout(3_600, name="long")
    async def inner():
        await asyncio.sleep(0)
        return hf.deadline()
    async def outer():
        found = [asyncio.get_event_loop().run_until_complete(long.acall(inner))]
        await asyncio.sleep(0)
        found.append(hf.deadline())
        return [left < 61 for left in found]
    async def main():
        both = [short.acall(outer), long.acall(outer)]
        print(await asyncio.gather(*both), hf.deadline())
    asyncio.run(main())
    """
    assert run_apart(source) == "[[False, True], [False, False]] None\n"


def test_a_session_of_sqlalchemy_is_guarded_outside_and_inside_of_its_greenlets(
    tmp_path, require_real
):
    for package in "sqlalchemy", "aiosqlite", "greenlet":
        if importlib.util.find_spec(package) is None:
            require_real(f"{package} is not installed")
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import create_async_engine

    breaker = hf.CircuitBreaker("database", failure_threshold=3)
    inside = hf.Pipeline("inside", hf.Timeout(60), hf.CircuitBreaker("inside"))

    def ask(connection, n):
        return inside.call(connection.execute, text(f"select {n}")).scalar()

    async def main():
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/db")

        @hf.Timeout(60)
        @breaker
        async def query(n):
            async with engine.connect() as connection:
                return await connection.run_sync(ask, n)

        try:
            return await asyncio.gather(*map(query, range(10)))
        finally:
            await engine.dispose()

    assert asyncio.run(main()) == list(range(10))
    assert breaker.snapshot().succeeded == 10
    assert hf.deadline() is None
