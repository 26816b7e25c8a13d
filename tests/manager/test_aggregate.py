"""The errors of many operations as one."""

from __future__ import annotations

import asyncio
import pickle

import pytest

import holdfast as hf
from holdfast.manager.aggregate import OTHERS, AggregatedError, ErrorAggregate
from tests.waiting.parties import Party


@pytest.fixture
def errors():
    return ErrorAggregate("backfill")


def test_all_errors_are_collected_and_counted_by_category_and_operation(errors):
    # ER-03, ER-04
    errors.add("fetch")
    errors.add("fetch", ConnectionResetError("reset"))
    errors.add("fetch", ConnectionRefusedError("refused"))
    errors.add("login", PermissionError(13, "denied"))
    errors.add("store", MemoryError())
    errors.add("parse", ValueError("bad"))
    errors.add("parse", Exception("odd"))
    assert (errors.total, errors.failed) == (7, 6)
    assert errors.by_category == {
        "transient": 2, "permanent": 1, "resource": 1, "logic": 1, "unknown": 1,
    }  # fmt: skip
    assert errors.by_operation == {"fetch": 2, "login": 1, "store": 1, "parse": 2}
    group = errors.error()
    assert str(group) == (
        "backfill: 6 of 7 operations failed (2 transient, 1 permanent, 1 resource, 1 logic,"
        " 1 unknown; 2 fetch, 2 parse, 1 login, 1 store); first fetch: ConnectionResetError: reset"
        " (6 sub-exceptions)"
    )
    assert [type(one) for one in group.exceptions] == [
        ConnectionResetError, ConnectionRefusedError, PermissionError, MemoryError, ValueError,
        Exception,
    ]  # fmt: skip
    assert (group.total, group.failed) == (7, 6)
    assert (group.by_category, group.by_operation) == (errors.by_category, errors.by_operation)


def test_each_error_has_the_name_of_its_operation_and_its_cause(errors):
    # GEN-06
    cause, error = KeyError("socket"), ConnectionError("refused")
    error.__cause__ = cause
    errors.add("fetch", error)
    for _ in range(3):
        (one,) = errors.error().exceptions
        assert one is error
    assert error.__notes__ == ["operation 'fetch'"]
    assert error.__cause__ is cause


def test_an_aggregate_is_caught_by_the_kinds_of_its_errors(errors):
    errors.add("fetch", ConnectionResetError())
    errors.add("parse", ValueError())
    caught = []
    try:
        errors.raise_if_failed()
    except* ConnectionError as group:
        caught.append([type(one) for one in group.exceptions])
    except* ValueError as group:
        caught.append([type(one) for one in group.exceptions])
    assert caught == [[ConnectionResetError], [ValueError]]


def test_without_errors_there_is_none_to_raise(errors):
    errors.add("fetch")
    assert errors.error() is None
    errors.raise_if_failed()


def test_enough_successes_make_up_for_errors(errors):
    # ER-07
    for _ in range(3):
        errors.add("fetch")
    errors.add("fetch", OSError())
    errors.raise_if_failed(min_successes=3)
    with pytest.raises(AggregatedError, match="1 of 4 operations failed"):
        errors.raise_if_failed(min_successes=4)
    with pytest.raises(AggregatedError):
        errors.raise_if_failed()


def test_a_block_is_one_operation_and_its_error_is_collected(errors):
    # ER-03
    for symbol in ("BTC", "ETH", None):
        with errors.collecting("fetch"):
            if symbol is not None:
                raise ConnectionError(symbol)
    assert (errors.total, errors.failed) == (3, 2)
    assert [str(error) for _, error in errors.errors] == ["BTC", "ETH"]


async def test_cancellations_and_interrupts_are_no_errors(errors):
    for cls in (asyncio.CancelledError, KeyboardInterrupt):
        with pytest.raises(cls), errors.collecting("fetch"):
            raise cls
    assert (errors.total, errors.failed) == (0, 0)


def test_outcomes_of_recovery_are_counted_and_a_fallback_is_no_failure(errors, clock):
    # ER-01, ER-03
    recovery = hf.ErrorRecoveryManager("collector", clock=clock)

    def fail():
        raise ConnectionResetError

    errors.add_outcome(recovery.execute_with_recovery("fetch", fail))
    errors.add_outcome(recovery.execute_with_recovery("fetch", fail, "cached"))
    errors.add_outcome(recovery.execute_with_recovery("login", lambda: 1))
    assert (errors.total, errors.failed) == (3, 1)
    assert errors.by_operation == {"fetch": 1}


def test_errors_of_sixteen_threads_are_all_counted(errors):
    # ER-03, GEN-03
    def work(n):
        for i in range(200):
            with errors.collecting(f"op {n}"):
                if i % 2:
                    raise ConnectionResetError

    for party in [Party(work, n) for n in range(16)]:
        party.result()
    assert (errors.total, errors.failed) == (3200, 1600)
    assert errors.by_operation == {f"op {n}": 100 for n in range(16)}


def test_memory_is_bounded_and_the_counts_are_exact():
    errors = ErrorAggregate("backfill", keep=10)
    for n in range(1500):
        errors.add(f"op {n}", ConnectionResetError())
    assert len(errors.errors) == 10
    assert errors.failed == 1500
    assert errors.by_operation[OTHERS] == 500
    group = errors.error()
    assert len(group.exceptions) == 10
    assert (group.failed, group.by_category) == (1500, {"transient": 1500})
    assert "1490 further errors were not kept" in str(group)


def test_a_message_shows_no_secret(errors):
    errors.add("fetch", ConnectionError("postgres://me:hunter2@db"))
    assert "hunter2" not in str(errors.error())


def test_an_aggregate_survives_pickling(errors):
    errors.add("fetch", ConnectionResetError("reset"))
    error = pickle.loads(pickle.dumps(errors.error()))
    assert str(error) == str(errors.error())
    assert (error.total, error.by_category) == (1, {"transient": 1})


def test_a_part_of_an_aggregate_is_a_plain_group(errors):
    errors.add("fetch", ConnectionResetError())
    errors.add("parse", ValueError())
    part, rest = errors.error().split(ValueError)
    assert type(part) is type(rest) is ExceptionGroup


def test_what_is_no_name_or_no_error_is_refused(errors):
    with pytest.raises(hf.ConfigError) as caught:
        errors.add("", "reset")
    assert [line.split(":")[0] for line in caught.value.problems] == ["operation", "error"]
    with pytest.raises(hf.ConfigError, match="keep"):
        ErrorAggregate("x", keep=0)
    assert errors.total == 0
