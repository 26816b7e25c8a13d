"""Deadlines under the libraries that switch greenlets or run loops in loops."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import Any

import pytest

import holdfast as hf
from tests.apart import run_apart

pytestmark = pytest.mark.usefixtures("nothing_stays_open")


def need(*names: str) -> Any:
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@need("sqlalchemy", "aiosqlite", "greenlet")
def test_what_sqlalchemy_runs_in_a_greenlet_is_in_the_flow_of_its_task(tmp_path, clock):
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import create_async_engine

    seen: dict[str, list[object]] = {}

    def work(connection: Any, name: str) -> None:
        def query() -> None:
            seen[name].append(hf.deadline())
            connection.execute(text("select 1"))
            seen[name].append(hf.deadline())

        query()
        hf.Timeout(9, clock=clock).call(query)
        hf.Timeout(90, clock=clock).call(query)
        with hf.Timeout(5, clock=clock):
            query()
        query()

    async def one(engine: Any, name: str, seconds: float) -> None:
        seen[name] = []

        async def body() -> None:
            async with engine.connect() as connection:
                await connection.run_sync(work, name)
            seen[name].append(hf.deadline())

        await hf.Timeout(seconds, clock=clock).acall(body)
        assert hf.deadline() is None

    async def main() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/data")
        await asyncio.gather(*(one(engine, f"{s}", s) for s in (60, 40, 20)))
        async with engine.connect() as connection:
            seen["0"] = []
            await connection.run_sync(work, "0")
        await engine.dispose()

    asyncio.run(main())
    for name, log in seen.items():
        own = int(name) or None
        assert log[:10] == [own, own, 9, 9, own or 90, own or 90, 5, 5, own, own], name


@need("sqlalchemy", "greenlet")
async def test_a_task_has_nothing_of_what_another_waits_in_on_a_greenlet(clock):
    from sqlalchemy.util import await_only, greenlet_spawn

    inside, held = asyncio.Event(), asyncio.Event()
    seen: list[object] = []

    def wait() -> None:
        inside.set()
        await_only(held.wait())

    async def other() -> None:
        await inside.wait()
        seen.append(hf.deadline())
        await hf.Timeout(60, clock=clock).acall(asyncio.sleep, 0)
        seen.append(hf.deadline())
        held.set()

    task = asyncio.create_task(other())
    await hf.Timeout(40, clock=clock).acall(greenlet_spawn, hf.Timeout(9, clock=clock).call, wait)
    await task
    assert seen == [None, None]


@need("nest_asyncio")
def test_a_loop_that_is_run_in_a_task_gives_its_tasks_deadlines_of_their_own():
    run_apart(
        """
    import warnings
    warnings.simplefilter("ignore")
    import asyncio, nest_asyncio
    nest_asyncio.apply()
    import holdfast as hf
    seen, clock = [], hf.ManualClock()
    async def look(name):
        await asyncio.sleep(0)
        seen.append((name, hf.deadline()))
    async def beside():
        await look("beside")
        await hf.Timeout(50, clock=clock).acall(look, "own")
    async def body():
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(beside())
        loop.call_soon(lambda: seen.append(("callback", hf.deadline())))
        hf.Timeout(10, clock=clock).call(loop.run_until_complete, look("nested"))
        seen.append(("body", hf.deadline()))
        await task
    async def main():
        await hf.Timeout(30, clock=clock).acall(body)
        assert hf.deadline() is None
    asyncio.run(main())
    assert sorted(map(str, seen)) == sorted(map(str, [
        ("callback", None), ("beside", None), ("nested", None), ("body", 30.0), ("own", 50.0)
    ])), seen
    """
    )
