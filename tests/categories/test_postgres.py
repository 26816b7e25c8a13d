"""Errors of psycopg 2 and 3 and of asyncpg, as a server that speaks their protocol causes them."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from holdfast.categories import Category, classify
from tests.categories.libraries import real_library
from tests.categories.postgres import postgres
from tests.categories.servers import Server, close, refused_port, reset


def through_psycopg(port: int) -> None:
    psycopg = real_library("psycopg")
    with psycopg.connect(
        f"postgresql://me:x@127.0.0.1:{port}/x?sslmode=disable", connect_timeout=2, autocommit=True
    ) as connection:
        connection.execute("select 1")


def through_psycopg2(port: int) -> None:
    psycopg2 = real_library("psycopg2")
    with contextlib.closing(
        psycopg2.connect(f"postgresql://me:x@127.0.0.1:{port}/x?sslmode=disable")
    ) as connection:
        connection.autocommit = True
        connection.cursor().execute("select 1")


def through_asyncpg(port: int) -> None:
    asyncpg = real_library("asyncpg")

    async def query() -> None:
        connection = await asyncpg.connect(
            f"postgresql://me:x@127.0.0.1:{port}/x", ssl=False, timeout=5
        )
        try:
            await connection.execute("select 1")
        finally:
            connection.terminate()

    asyncio.run(query())


def error_of(query: Callable[[int], None], port: int) -> Exception:
    try:
        query(port)
    except Exception as error:
        return error
    raise AssertionError("the query did not fail")


each_driver = pytest.mark.parametrize("query", [through_psycopg, through_psycopg2, through_asyncpg])


@each_driver
@pytest.mark.parametrize(("said", "category"), [
    ('28P01 password authentication failed for user "me"', Category.PERMANENT),
    ('3D000 database "x" does not exist', Category.PERMANENT),
    ("53300 sorry, too many clients already", Category.TRANSIENT),
    ("57P03 the database system is starting up", Category.TRANSIENT),
])  # fmt: skip
def test_a_refused_login_has_the_category_of_its_reason(query, said, category):  # ER-04, RT-20
    with Server(postgres(login=said)) as server:
        assert classify(error_of(query, server.port)) is category


@each_driver
@pytest.mark.parametrize(("state", "category"), [
    ("40001", Category.TRANSIENT), ("40P01", Category.TRANSIENT), ("55P03", Category.TRANSIENT),
    ("57014", Category.PERMANENT), ("23505", Category.PERMANENT), ("42601", Category.PERMANENT),
    ("53100", Category.RESOURCE), ("53200", Category.RESOURCE), ("XX001", Category.LOGIC),
    ("25P02", Category.LOGIC), ("25006", Category.TRANSIENT),
])  # fmt: skip
def test_a_failed_query_has_the_category_of_its_state(query, state, category):  # ER-04
    with Server(postgres(query=f"{state} failed")) as server:
        assert classify(error_of(query, server.port)) is category


@each_driver
@pytest.mark.parametrize("behaviour", [close, reset, postgres(query="57P01 bye", then_close=True)])
def test_a_lost_connection_is_transient(query, behaviour):  # RT-20
    with Server(behaviour) as server:
        assert classify(error_of(query, server.port)) is Category.TRANSIENT


@each_driver
def test_a_server_that_is_not_there_is_transient(query):  # RT-20
    with refused_port() as port:
        assert classify(error_of(query, port)) is Category.TRANSIENT


def test_an_exhausted_pool_is_transient_and_a_closed_one_is_logic():  # RT-20
    psycopg_pool = real_library("psycopg_pool")
    pool = psycopg_pool.ConnectionPool(
        "postgresql://me:x@127.0.0.1/x", min_size=0, max_size=1, open=False
    )
    with pytest.raises(psycopg_pool.PoolClosed) as closed:
        pool.getconn()
    with Server(postgres()) as server:
        address = f"postgresql://me:x@127.0.0.1:{server.port}/x?sslmode=disable"
        with (
            psycopg_pool.ConnectionPool(address, min_size=0, max_size=1) as pool,
            pool.connection(),
            pytest.raises(psycopg_pool.PoolTimeout) as raised,
        ):
            pool.getconn(timeout=0.01)
    assert classify(raised.value) is Category.TRANSIENT
    assert classify(closed.value) is Category.LOGIC
