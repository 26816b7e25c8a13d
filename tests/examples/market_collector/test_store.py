"""The store of the collector: what it keeps, which minutes it misses, and how it fails."""

import itertools
import os
import sqlite3
import stat
import threading

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

import holdfast as hf
from examples.market_collector.collector import make_manager
from examples.market_collector.store import Gap, Row, Store
from tests.examples.market_collector.parts import Settings

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A store for many examples, each of which has an exchange of its own."""
    with Store(tmp_path_factory.mktemp("shared") / "p.db", make_manager(Settings())) as store:
        yield store


@pytest.fixture
def rm():
    with make_manager(Settings()) as rm:
        yield rm


@pytest.fixture
def store(tmp_path, rm):
    with Store(tmp_path / "prices.db", rm) as store:
        yield store


def rows(*minutes, symbol="BTC"):
    return [Row(symbol, minute, 1.5, 2.0) for minute in minutes]


def test_what_was_kept_is_there_after_the_file_was_opened_anew(tmp_path, rm):
    path = tmp_path / "prices.db"
    with Store(path, rm) as store:
        store.add("a", rows(1, 2))
    with Store(path, rm) as store:
        assert store.rows("a", "BTC") == rows(1, 2)
        assert store.rows("b", "BTC") == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_collected_twice_is_kept_once_and_the_first_stays(store):
    assert store.add("a", rows(1, 2)) == 2
    assert store.add("a", [Row("BTC", 2, 99.0, 99.0), Row("BTC", 3, 1.5, 2.0)], filled=True) == 1
    assert store.rows("a", "BTC") == rows(1, 2, 3)
    assert store.counts() == {"a": (3, 1)}


def test_a_write_that_fails_has_written_nothing(store):
    with pytest.raises(sqlite3.Error):
        store.add("a", [Row("BTC", 1, 1.0, 1.0), Row("BTC", 2, None, 1.0)])  # NOT NULL
    assert store.rows("a", "BTC") == []
    assert store.add("a", rows(1)) == 1  # and the next one works


def test_minutes_that_were_expected_and_are_not_there_are_gaps(store):
    store.watch("a", ["BTC", "ETH"], 10)
    store.add("a", rows(10, 11, 14, 15))
    store.add("a", rows(12, symbol="ETH"))
    assert store.gaps("a", 0, 16) == [
        Gap("ETH", 10, 11),
        Gap("BTC", 12, 13),
        Gap("ETH", 13, 16),
        Gap("BTC", 16, 16),
    ]
    assert store.gaps("a", 12, 13) == [Gap("BTC", 12, 13), Gap("ETH", 13, 13)]
    assert store.gaps("a", 17, 16) == store.gaps("b", 0, 99) == []


@examples(max_examples=60)
@given(
    first=st.integers(0, 30),
    present=st.sets(st.integers(0, 40)),
    since=st.integers(0, 40),
    until=st.integers(0, 40),
)
def test_gaps_are_exactly_the_minutes_that_are_not_there(shared, first, present, since, until):
    exchange = f"exchange {next(NUMBERS)}"
    shared.watch(exchange, ["BTC"], first)
    shared.add(exchange, rows(*present))
    found = shared.gaps(exchange, since, until)
    minutes = [minute for gap in found for minute in range(gap.first, gap.last + 1)]
    assert minutes == [n for n in range(max(first, since), until + 1) if n not in present]
    for one, after in itertools.pairwise(found):
        assert one.last + 1 < after.first  # as few gaps as possible


def test_a_symbol_that_is_not_traded_any_more_is_not_missed(store):
    store.watch("a", ["BTC", "ETH"], 10)
    store.watch("a", ["BTC"], 12)
    assert store.gaps("a", 0, 12) == [Gap("BTC", 10, 12), Gap("ETH", 10, 11)]
    assert store.symbols("a") == ["BTC"]
    store.watch("a", ["BTC", "ETH"], 20)  # traded again: it may have been left out by mistake
    assert store.gaps("a", 0, 20) == [Gap("BTC", 10, 20), Gap("ETH", 10, 20)]


def test_rows_are_deleted_some_at_a_time(store):
    store.add("a", rows(*range(10)))
    assert [store.delete_before(7, 5) for _ in range(3)] == [5, 2, 0]
    assert store.rows("a", "BTC") == rows(7, 8, 9)
    assert store.newest() == 9


def test_writers_in_many_threads_lose_nothing(store):
    barrier = threading.Barrier(6)

    def write(number):
        barrier.wait()
        for minute in range(20):
            store.add(f"exchange-{number}", rows(minute))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert store.counts() == {f"exchange-{number}": (20, 0) for number in range(6)}


def test_a_statement_ends_at_the_deadline_of_its_caller(tmp_path):
    rm = make_manager(Settings(database_query=0.2))
    with Store(tmp_path / "prices.db", rm) as store:
        count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT * FROM n"
        with pytest.raises((hf.DeadlineExceededError, sqlite3.OperationalError)):
            store._read(count, ())
        assert store.counts() == {}  # the lock is free, and so is the database


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path, rm):
    path = tmp_path / "prices.db"
    path.write_bytes(b"something else" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        Store(path, rm)
    assert path.read_bytes() == b"something else" * 100
    assert not [name for name in os.listdir("/proc/self/fd") if _is(name, path)]


def _is(name, path):
    try:
        return os.readlink(f"/proc/self/fd/{name}") == str(path)
    except OSError:
        return False
