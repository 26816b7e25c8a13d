"""Databases as checks: any connection is asked, judged by its answer, closed or given back."""

import asyncio
import sqlite3
from typing import ClassVar

import pytest

import holdfast as hf
from holdfast.health import DatabaseCheck
from holdfast.health import database as module
from tests.health.connections import (
    AsyncBlock,
    AsyncConnection,
    AwaitableBlock,
    Block,
    Connection,
    FetchingConnection,
)

USED = ["cursor", "SELECT 1", "fetchone", "close cursor", "rollback"]
MEMORY = ":memory:"


def run_in_loop(check, timeout=None):
    async def main():
        return await check.arun(timeout)

    return asyncio.run(main())


# ---- a real library ----


class Sqlite(sqlite3.Connection):
    """A connection that is known after it was closed."""

    opened: ClassVar = []

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.opened.append(self)


def connect_to(path):
    return lambda: sqlite3.connect(path, factory=Sqlite)


def is_closed(connection):
    try:
        connection.execute("SELECT 1")
    except sqlite3.ProgrammingError as error:
        return "closed" in str(error)
    return False


@pytest.mark.parametrize(
    ("query", "verdict"), [("SELECT 1", "passed"), ("SELECT x FROM gone", "failed")]
)
def test_a_database_is_asked_and_the_connection_closed_in_any_case(query, verdict):  # HC-16
    result = DatabaseCheck("database", connect_to(MEMORY), query).run()
    assert result.verdict == verdict
    assert is_closed(Sqlite.opened.pop())
    if verdict == "failed":
        assert result.message == "sqlite3.OperationalError: no such table: gone"
    else:
        assert result.details["seconds"] >= 0


def test_a_database_that_cannot_be_reached_fails_the_check(tmp_path):  # HC-11
    result = DatabaseCheck("database", connect_to(tmp_path / "no" / "folder")).run()
    assert result.message == "sqlite3.OperationalError: unable to open database file"


def test_the_check_leaves_no_transaction_open(tmp_path):
    connection = sqlite3.connect(tmp_path / "data")
    connection.execute("CREATE TABLE seen (at REAL)")
    kept = []
    check = DatabaseCheck(
        "database", lambda: connection, "INSERT INTO seen VALUES (1)", give_back=kept.append
    )
    assert check.run().verdict == "passed"
    assert kept == [connection]
    assert not connection.in_transaction
    assert connection.execute("SELECT count(*) FROM seen").fetchone() == (0,)
    connection.close()


# ---- what is closed, and in which order ----


def test_a_connection_is_closed_after_its_cursor_and_the_rollback():
    connection = Connection()
    assert DatabaseCheck("database", lambda: connection).run().verdict == "passed"
    assert connection.done == [*USED, "close"]


def test_a_query_without_rows_is_not_asked_for_them():
    connection = Connection(rows=False)
    assert DatabaseCheck("database", lambda: connection, "VACUUM").run().verdict == "passed"
    assert "fetchone" not in connection.done


@pytest.mark.parametrize("name", ["cursor", *USED[1:], "close"])
def test_whatever_fails_fails_the_check_and_all_else_is_closed(name):
    connection = Connection({name: OSError(f"in {name}")})
    result = DatabaseCheck("database", lambda: connection).run()
    assert (result.verdict, result.message) == ("failed", f"OSError: in {name}")
    assert connection.done[-2:] == ["rollback", "close"]
    assert ("close cursor" in connection.done) is (name != "cursor")


def test_of_several_errors_the_first_is_the_one_that_is_shown():
    names = ("SELECT 1", "close cursor", "rollback", "close")
    connection = Connection({name: OSError(f"in {name}") for name in names})
    result = DatabaseCheck("database", lambda: connection).run()
    assert result.message == "OSError: in SELECT 1"
    assert connection.done[-3:] == ["close cursor", "rollback", "close"]


@pytest.mark.parametrize("name", ["SELECT 1", "rollback"])
def test_ctrl_c_goes_on_after_the_connection_was_closed(name):
    connection = Connection({"close cursor": OSError(), name: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        DatabaseCheck("database", lambda: connection).run()
    assert connection.done[-1] == "close"


def test_a_connection_of_a_pool_is_given_back_and_not_closed():
    connection = Connection()
    given = []
    DatabaseCheck("database", lambda: connection, give_back=given.append).run()
    assert (given, connection.done) == ([connection], USED)

    connection = Connection()
    assert DatabaseCheck("database", lambda: Block(connection)).run().verdict == "passed"
    assert connection.done == [*USED, "given back"]

    block = Block(Connection({"SELECT 1": OSError("gone")}))
    assert DatabaseCheck("database", lambda: block).run().message == "OSError: gone"
    assert block.left_with == [OSError]  # so that the pool can throw the connection away


def test_connections_of_asynchronous_libraries_are_closed_or_given_back():
    async def connect():
        return AsyncConnection()

    plain, opened = AsyncConnection(), []

    async def known():
        opened.append(AsyncConnection({"SELECT 1": OSError("gone")}))
        return opened[-1]

    async def give_back(connection):
        connection.done.append("given back")

    for make, last in (
        (lambda: plain, "close"),
        (lambda: AsyncBlock(plain), "given back"),
        (lambda: AwaitableBlock(plain), "given back"),
    ):
        plain.done.clear()
        assert run_in_loop(DatabaseCheck("d", make, is_async=True)).verdict == "passed"
        assert plain.done == [*USED, last]
    assert DatabaseCheck("d", connect).is_async
    assert run_in_loop(DatabaseCheck("d", connect)).verdict == "passed"
    assert run_in_loop(DatabaseCheck("d", known)).message == "OSError: gone"
    assert opened[0].done == ["cursor", "SELECT 1", "close cursor", "rollback", "close"]
    assert run_in_loop(DatabaseCheck("d", known, give_back=give_back)).verdict == "failed"
    assert opened[1].done[-2:] == ["rollback", "given back"]


def test_a_connection_shaped_like_asyncpg_is_asked_without_a_transaction():
    connection = FetchingConnection()
    blocks = DatabaseCheck("d", lambda: AwaitableBlock(connection), is_async=True)
    assert run_in_loop(blocks).verdict == "passed"
    assert connection.done == ["SELECT 1", "given back"]

    async def connect():
        return connection

    assert run_in_loop(DatabaseCheck("d", connect)).verdict == "passed"
    assert connection.done[2:] == ["SELECT 1", "close"]


async def test_a_server_that_hangs_is_left_without_a_word():  # D-HC-1
    connection = FetchingConnection(hangs=asyncio.Event())

    async def connect():
        return connection

    result = await DatabaseCheck("d", connect).arun(timeout=2)
    assert (result.verdict, result.message) == ("failed", "took longer than 2 s")
    assert connection.done == ["SELECT 1", "terminate"]
    pooled = FetchingConnection(hangs=asyncio.Event())
    check = DatabaseCheck("d", lambda: AsyncBlock(pooled), is_async=True)
    assert (await check.arun(timeout=2)).verdict == "failed"
    assert pooled.done == ["SELECT 1", "given back"]


def test_a_loop_that_ends_during_a_query_leaves_no_connection_open():
    connection = FetchingConnection(hangs=asyncio.Event())

    async def connect():
        return connection

    coroutine = DatabaseCheck("d", connect).aprobe()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(asyncio.wait([loop.create_task(coroutine)], timeout=0.01))
    [task] = asyncio.all_tasks(loop)
    task._log_destroy_pending = False
    coroutine.close()
    loop.close()
    assert connection.done == ["SELECT 1", "terminate"]


# ---- how fast, and how many connections ----


@pytest.mark.parametrize(
    ("seconds", "verdict", "said"),
    [
        (0.5, "passed", ""),
        (1.0, "passed", ""),
        (1.5, "degraded", "answered after 1.500 s, more than 1 s"),
        (5.0, "degraded", "answered after 5.000 s, more than 1 s"),
        (5.5, "failed", "answered after 5.500 s, more than 5 s"),
    ],
)
def test_a_slow_answer_degrades_and_a_very_slow_one_fails(  # HC-16
    clock, monkeypatch, seconds, verdict, said
):
    monkeypatch.setattr(module, "system_clock", clock)

    def connect():
        clock.advance(seconds)
        return Connection()

    async def aconnect():
        clock.advance(seconds)
        return AsyncConnection()

    result = DatabaseCheck("database", connect).run()
    assert (result.verdict, result.message) == (verdict, said)
    assert result.details["seconds"] == seconds
    assert run_in_loop(DatabaseCheck("database", aconnect)) == result


@pytest.mark.parametrize(
    ("use", "verdict", "said"),
    [
        ((80, 100), "passed", ""),
        ((81, 100), "degraded", "81 of 100 connections in use, more than 80 %"),
        ([5, 5], "degraded", "5 of 5 connections in use, more than 80 %"),
        (0.9, "failed", "ValueError: use() gave 0.9, not two numbers: in use, and at most"),
        ((1, 0), "failed", "ValueError: use() gave (1, 0), not two numbers: in use, and at most"),
        ((-1, 9), "failed", "ValueError: use() gave (-1, 9), not"),
        (("a", "b"), "failed", "ValueError: use() gave ('a', 'b'), not"),
    ],
)
def test_connections_in_use_above_their_limit_degrade(use, verdict, said):  # HC-16, HC-11
    async def connect():
        return AsyncConnection()

    async def ause():
        return use

    result = DatabaseCheck("database", Connection, use=lambda: use).run()
    assert result.verdict == verdict
    assert result.message.startswith(said)
    assert (said == "") is (result.message == "")
    later = run_in_loop(DatabaseCheck("database", connect, use=ause))
    assert (later.verdict, later.message) == (result.verdict, result.message)


# ---- what is no connection ----


def test_an_asynchronous_connection_in_a_plain_check_names_the_setting():
    async def connect():
        return AsyncConnection()

    for make in (
        lambda: connect(),
        lambda: AwaitableBlock(AsyncConnection()),
        lambda: AsyncBlock(AsyncConnection()),
        AsyncConnection,
    ):
        result = DatabaseCheck("database", make).run()
        assert result.verdict == "failed"
        assert result.message.endswith("make the check with is_async=True")


@pytest.mark.parametrize("is_async", [False, True])
def test_what_is_no_connection_fails_the_check(is_async):
    for make in (lambda: 7, lambda: Block(Seven())):
        check = DatabaseCheck("database", make, is_async=is_async)
        result = run_in_loop(check) if is_async else check.run()
        assert result.verdict == "failed"
        assert "not a connection to a database" in result.message


class Seven:
    def __init__(self):
        self.done = []


async def later():
    return 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"connect": None}, "connect: got None"),
        ({"connect": lambda name: name}, "connect: got"),
        ({"query": ""}, "query: got ''"),
        ({"query": b"SELECT 1"}, "query: got b'SELECT 1'"),
        ({"degraded_after": 6}, "degraded_after: got 6, allowed at most failed_after, which is 5"),
        ({"failed_after": -1}, "failed_after: got -1"),
        ({"use": 0.8}, "use: got 0.8"),
        ({"use": later}, "use: got later()"),
        ({"degraded_percent": 0}, "degraded_percent: got 0"),
        ({"give_back": 7}, "give_back: got 7"),
        ({"is_async": 1}, "is_async: got 1"),
        ({"connect": later, "is_async": False}, "connect: got later()"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, said):
    with pytest.raises(hf.ConfigError) as caught:
        DatabaseCheck("database", **({"connect": Connection} | settings))
    assert said in str(caught.value)


def test_a_connection_in_place_of_a_function_is_refused():  # sqlite3's can be called
    with sqlite3.connect(":memory:") as connection, pytest.raises(hf.ConfigError) as caught:
        DatabaseCheck("database", connection)
    connection.close()
    assert "a function that returns a connection: write lambda: connection" in str(caught.value)
