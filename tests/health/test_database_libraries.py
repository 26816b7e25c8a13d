"""Libraries for SQLite, synchronous and asynchronous, as the check of a database uses them."""

import asyncio

import pytest

from holdfast.health import DatabaseCheck

aiosqlite = pytest.importorskip("aiosqlite")
sqlalchemy = pytest.importorskip("sqlalchemy")
create_async_engine = pytest.importorskip("sqlalchemy.ext.asyncio").create_async_engine


def test_a_connection_of_aiosqlite_is_asked_in_a_task():
    check = DatabaseCheck("database", lambda: aiosqlite.connect(":memory:"), is_async=True)
    assert check.is_async
    assert asyncio.run(check.arun()).verdict == "passed"
    assert check.run().verdict == "passed"  # in a loop of its own

    opened = []

    async def connect():
        opened.append(await aiosqlite.connect(":memory:"))
        return opened[0]

    async def main():
        result = await DatabaseCheck("database", connect).arun()
        with pytest.raises(ValueError, match=r"no active connection|closed"):
            await opened[0].execute("SELECT 1")
        return result

    assert asyncio.run(main()).verdict == "passed"


@pytest.mark.parametrize("way", ["connect", "raw_connection"])
def test_connections_go_back_into_the_pool_of_sqlalchemy(way):
    engine = sqlalchemy.create_engine(
        "sqlite://", poolclass=sqlalchemy.pool.QueuePool, pool_size=1, max_overflow=0
    )
    check = DatabaseCheck("database", getattr(engine, way))
    bad = DatabaseCheck("database", getattr(engine, way), "SELECT x FROM gone")
    assert [check.run().verdict, bad.run().verdict, check.run().verdict] == [
        "passed",
        "failed",
        "passed",
    ]
    assert engine.pool.checkedout() == 0
    assert engine.pool.checkedin() == 1
    engine.dispose()


def test_an_asynchronous_engine_of_sqlalchemy_is_asked_in_a_task():
    async def main():
        engine = create_async_engine("sqlite+aiosqlite://")
        check = DatabaseCheck("database", engine.connect, is_async=True)
        bad = DatabaseCheck("database", engine.connect, "SELECT x FROM gone", is_async=True)
        found = [(await one.arun()).verdict for one in (check, bad, check)]
        await engine.dispose()
        return found

    assert asyncio.run(main()) == ["passed", "failed", "passed"]
