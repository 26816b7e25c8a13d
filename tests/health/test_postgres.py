"""A real PostgreSQL server as seen by the check, through each library and its pool."""

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from holdfast.health import DatabaseCheck
from tests.ports import held_port

psycopg = pytest.importorskip("psycopg")
psycopg_pool = pytest.importorskip("psycopg_pool")
asyncpg = pytest.importorskip("asyncpg")
pool_of_psycopg2 = pytest.importorskip("psycopg2.pool")

QUERIES = ("SELECT 1", "SELECT x FROM gone", "SELECT 1")
VERDICTS = ["passed", "failed", "passed"]


def other_user():
    """Return settings for a process of another user if this is root: the server refuses root."""
    if os.getuid() != 0:
        return {}
    found = pwd.getpwnam("postgres")
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}


@pytest.fixture(scope="module")
def server():
    """The address of a server that runs for these tests, as a URL."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        said = "there is no PostgreSQL server"
        (pytest.fail if os.environ.get("REQUIRE_REAL") == "1" else pytest.skip)(said)
    user = other_user()
    home = Path(tempfile.mkdtemp(prefix="pg"))  # a short path, for its socket
    if user:
        os.chown(home, user["user"], user["group"])

    def run(program, *arguments):
        command = [folders[-1] / program, "-D", home / "data", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=home, **user)

    try:
        run("initdb", "-U", "app", "-A", "trust", "--no-sync")
        with held_port() as port:
            options = f"-h 127.0.0.1 -p {port} -c unix_socket_directories={home} -c fsync=off"
            run("pg_ctl", "-w", "-l", home / "log", "-o", options, "start")
            try:
                yield f"postgresql://app@127.0.0.1:{port}/postgres"
            finally:
                run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home)


def states_of_sessions(server):
    """Return what the other sessions of the server do."""
    rows = (
        "SELECT state FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    with psycopg.connect(server) as connection:
        return [state for (state,) in connection.execute(rows)]


def test_connections_of_psycopg_are_closed(server):  # HC-16
    opened = []

    def connect():
        opened.append(psycopg.connect(server))
        return opened[-1]

    found = [DatabaseCheck("d", connect, query).run().verdict for query in QUERIES]
    assert found == VERDICTS
    assert [connection.closed for connection in opened] == [True] * 3


def test_a_pool_of_psycopg_gets_its_connection_back_without_a_transaction(server):
    with psycopg_pool.ConnectionPool(server, min_size=1, max_size=1, timeout=30) as pool:
        found = [DatabaseCheck("d", pool.connection, query).run().verdict for query in QUERIES]
        assert found == VERDICTS
        assert states_of_sessions(server).count("idle") == 1
        assert states_of_sessions(server).count("idle in transaction") == 0
        assert pool.get_stats()["pool_available"] == 1


def test_a_pool_of_psycopg2_gets_its_connection_back_without_a_transaction(server):
    pool = pool_of_psycopg2.SimpleConnectionPool(1, 1, server)
    checks = [DatabaseCheck("d", pool.getconn, query, give_back=pool.putconn) for query in QUERIES]
    assert [check.run().verdict for check in checks] == VERDICTS
    assert "idle in transaction" not in states_of_sessions(server)
    pool.closeall()


def test_asynchronous_connections_are_closed_and_those_of_pools_given_back(server):
    async def verdicts(connect):
        checks = [DatabaseCheck("d", connect, query, is_async=True) for query in QUERIES]
        return [(await check.arun()).verdict for check in checks]

    async def main():
        opened = []

        async def connect():
            opened.append(await psycopg.AsyncConnection.connect(server))
            return opened[-1]

        assert await verdicts(connect) == VERDICTS
        assert [connection.closed for connection in opened] == [True] * 3
        assert await verdicts(lambda: asyncpg.connect(server)) == VERDICTS

        pool = psycopg_pool.AsyncConnectionPool(server, min_size=1, max_size=1, open=False)
        async with pool:
            await pool.wait()
            assert await verdicts(pool.connection) == VERDICTS
            assert "idle in transaction" not in states_of_sessions(server)
        async with asyncpg.create_pool(server, min_size=1, max_size=1) as pool:
            assert await verdicts(pool.acquire) == VERDICTS
            assert pool.get_idle_size() == 1

    asyncio.run(main())


@pytest.mark.parametrize("library", [psycopg.AsyncConnection, asyncpg])
def test_a_query_that_is_given_up_leaves_no_connection_open(server, library):  # D-HC-1
    opened = []

    async def connect():
        opened.append(await library.connect(server))
        return opened[-1]

    async def main():
        check = DatabaseCheck("d", connect, "SELECT pg_sleep(600)", timeout=600)
        task = asyncio.create_task(check.arun())
        while "active" not in states_of_sessions(server):
            await asyncio.wait([task], timeout=0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return opened[0].is_closed() if library is asyncpg else opened[0].closed

    assert asyncio.run(main())
