"""Errors of SQLAlchemy, over SQLite and over drivers of servers."""

import sqlite3

import pytest

from holdfast.categories import Category, classify
from tests.categories.libraries import real_library
from tests.categories.postgres import postgres
from tests.categories.servers import Server, refused_port

sqlalchemy = real_library("sqlalchemy")
exc = sqlalchemy.exc


def error_of(url: str, statement: str = "select 1", **settings) -> Exception:
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool, **settings)
    with pytest.raises(exc.SQLAlchemyError) as raised, engine.connect() as connection:
        connection.execute(sqlalchemy.text(statement))
    return raised.value


def test_an_exhausted_pool_is_transient():  # RT-20
    engine = sqlalchemy.create_engine(
        "sqlite://", poolclass=sqlalchemy.QueuePool, pool_size=1, max_overflow=0, pool_timeout=0
    )
    with engine.connect(), pytest.raises(exc.TimeoutError) as raised:
        engine.connect()
    engine.dispose()
    assert classify(raised.value) is Category.TRANSIENT


def test_the_error_of_the_driver_decides(tmp_path):
    url = f"sqlite:///{tmp_path / 'x.db'}"
    holder = sqlite3.connect(tmp_path / "x.db")
    holder.execute("begin exclusive")
    locked = error_of(url, "create table x (y)", connect_args={"timeout": 0})
    holder.close()
    missing = error_of(url, "select * from missing")
    assert type(locked) is type(missing) is exc.OperationalError
    assert classify(locked) is Category.TRANSIENT
    assert classify(missing) is Category.PERMANENT
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection, pytest.raises(exc.StatementError) as raised:
        connection.execute(sqlalchemy.text("select :x"), {})
    engine.dispose()
    assert classify(raised.value) in (Category.LOGIC, Category.PERMANENT)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_server_that_is_not_there_is_transient_and_a_bad_password_permanent(driver):
    real_library(driver)
    with refused_port() as port:
        refused = error_of(f"postgresql+{driver}://me:x@127.0.0.1:{port}/x?sslmode=disable")
    with Server(postgres(login="28P01 password authentication failed")) as server:
        wrong = error_of(f"postgresql+{driver}://me:x@127.0.0.1:{server.port}/x?sslmode=disable")
    assert type(refused) is type(wrong) is exc.OperationalError
    assert classify(refused) is Category.TRANSIENT
    assert classify(wrong) is Category.PERMANENT


class UnknownError(Exception):
    """An error of a driver of which nothing is known."""


@pytest.mark.parametrize(("cls", "category"), [
    ("OperationalError", Category.TRANSIENT), ("InterfaceError", Category.TRANSIENT),
    ("IntegrityError", Category.PERMANENT), ("ProgrammingError", Category.PERMANENT),
])  # fmt: skip
def test_the_class_decides_where_nothing_is_known_of_the_driver(cls, category):  # RT-20
    error = getattr(exc, cls)("select 1", {}, UnknownError("x"))
    assert classify(error) is category
    error.connection_invalidated = True
    assert classify(error) is Category.TRANSIENT


def test_a_lost_connection_is_transient_and_wrong_use_is_logic():  # RT-20
    assert classify(exc.DisconnectionError()) is Category.TRANSIENT
    assert classify(exc.PendingRollbackError()) is Category.LOGIC
    assert classify(exc.ArgumentError()) is Category.LOGIC
    assert classify(exc.NoResultFound()) is Category.PERMANENT
