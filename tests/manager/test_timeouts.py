"""Timeouts by the type of operation: how long each may take, and which are active."""

# TS-10
from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading

import pytest

import holdfast as hf
from holdfast.errors import OperationCancelledError
from holdfast.manager.timeouts import MOST_TYPES, OPERATION_TIMEOUTS, OTHERS, TimeoutManager
from tests.policies.calls import OutageError, outage
from tests.waiting.parties import Party


@pytest.fixture
def timeouts(clock):
    return TimeoutManager("collector", OPERATION_TIMEOUTS, clock=clock)


def taking(clock, seconds, value="done"):
    """Return a function that takes so many seconds."""

    def work():
        clock.advance(seconds)
        return value

    return work


def seen(manager):
    """Return what the operations of a manager are, by their identifiers."""
    return {one.id: one for one in manager.active()}


def test_each_type_has_its_timeout_and_all_others_have_the_default(timeouts):
    # TO-02, TO-03
    assert {kind: timeouts.timeout_for(kind) for kind in OPERATION_TIMEOUTS} == {
        "api_call": 10, "database_query": 5, "redis_operation": 2, "concurrent_op": 15,
        "health_check": 3, "backfill": 60, "symbol_fetch": 20, "market_data": 8,
    }  # fmt: skip
    assert timeouts.timeout_for("worker_collection") == 30


@pytest.mark.parametrize(("kind", "allowed"), [*OPERATION_TIMEOUTS.items(), ("other", 30.0)])
def test_an_operation_that_takes_longer_than_its_type_may_has_no_value(
    timeouts, clock, kind, allowed
):
    # TO-03, TO-05
    assert timeouts.execute(kind, taking(clock, allowed - 0.001)) == "done"
    with pytest.raises(hf.DeadlineExceededError, match=f"timed out after {allowed:g} s") as caught:
        timeouts.execute(kind, taking(clock, allowed))
    assert caught.value.name == kind


def test_arguments_go_to_the_function_and_its_errors_come_back(timeouts):
    assert timeouts.execute("api_call", "{}-{b}".format, 1, b=2) == "1-2"
    with pytest.raises(OutageError):
        timeouts.execute("api_call", outage)
    assert timeouts.active_count == 0


async def test_in_a_task_an_operation_is_cut_short_at_its_deadline(loop):
    # TO-05, D-C-5
    timeouts = TimeoutManager(timeouts={"api_call": 10}, clock=loop.clock)
    assert await timeouts.aexecute("api_call", asyncio.sleep, 9, "done") == "done"
    with pytest.raises(hf.DeadlineExceededError):
        await timeouts.aexecute("api_call", asyncio.sleep, 11)
    assert loop.time() == 19
    assert timeouts.active_count == 0
    assert len(asyncio.all_tasks()) == 1


def test_no_thread_is_left_behind_by_operations_that_expire(timeouts, clock):
    # D-C-5: the original left 100 of 100 behind
    before = set(threading.enumerate())
    for _ in range(100):
        with pytest.raises(hf.DeadlineExceededError):
            timeouts.execute("redis_operation", taking(clock, 2))
    assert set(threading.enumerate()) <= before
    assert timeouts.snapshot().types["redis_operation"].expired == 100


def test_with_threads_the_caller_goes_on_at_the_deadline(clock):
    # TO-05
    clock = hf.ManualClock(auto=False)
    timeouts = TimeoutManager(timeouts={"api_call": 1}, thread=True, clock=clock)
    begun, release = threading.Event(), threading.Event()
    party = Party(timeouts.execute, "api_call", lambda: begun.set() or release.wait(20))
    assert begun.wait(20)
    clock.advance(1)
    with pytest.raises(hf.DeadlineExceededError):
        party.result()
    release.set()


@pytest.mark.parametrize("takes", [1, 3])
def test_an_operation_may_have_a_timeout_of_its_own(timeouts, clock, takes):
    # TO-04
    operation = timeouts.operation("redis_operation", timeout=takes + 0.5)
    assert operation.call(taking(clock, takes)) == "done"
    with pytest.raises(hf.DeadlineExceededError):
        timeouts.operation("redis_operation", timeout=takes).call(taking(clock, takes))
    assert timeouts.timeout_for("redis_operation") == 2
    shown = timeouts.snapshot().types["redis_operation"]
    assert (shown.in_time, shown.expired, shown.timeout_rate) == (1, 1, 0.5)


def test_the_counts_of_many_timeouts_of_their_own_add_up(timeouts, clock):
    # TO-10
    for n in range(100):
        timeouts.operation("api_call", timeout=1 + n).call(len, "")
    gc.collect()
    assert timeouts.snapshot().types["api_call"].in_time == 100
    assert len(hf.registry.all()) < 30  # and are not kept


def test_the_rate_of_timeouts_is_known_for_each_type(timeouts, clock):
    # TO-10
    for takes in (1, 3, 1, 1):
        hf.Fallback(None, on=TimeoutError).call(
            timeouts.execute, "redis_operation", taking(clock, takes)
        )
    timeouts.execute("api_call", taking(clock, 1))
    types = timeouts.snapshot().types
    assert types["redis_operation"].timeout_rate == 0.25
    assert types["api_call"].timeout_rate == 0.0
    policy = hf.registry.get("timeout", "collector/redis_operation")
    assert policy.snapshot().timeout_rate == 0.25  # which metrics show


def test_a_fallback_stands_in_for_what_takes_too_long_and_for_nothing_else(timeouts, clock):
    # TO-05
    late = taking(clock, 3)
    assert timeouts.execute_with_fallback("redis_operation", late, lambda: "cached") == "cached"
    assert timeouts.execute_with_fallback("redis_operation", lambda: 1, lambda: 2) == 1
    with pytest.raises(OutageError):
        timeouts.execute_with_fallback("redis_operation", outage, lambda: "cached")


def test_no_fallback_runs_when_there_is_no_time_left_for_it(timeouts, clock):
    ran = []
    with pytest.raises(hf.DeadlineExceededError):
        timeouts.operation("api_call", timeout=2).call(
            timeouts.execute_with_fallback, "api_call", taking(clock, 11), lambda: ran.append(1)
        )
    assert ran == []


async def test_a_fallback_may_be_awaited(loop):
    timeouts = TimeoutManager(timeouts={"api_call": 10}, clock=loop.clock)

    async def cached():
        return "cached"

    work = asyncio.sleep
    assert await timeouts.aexecute_with_fallback("api_call", lambda: work(11), cached) == "cached"
    assert await timeouts.aexecute_with_fallback("api_call", lambda: work(1, 2), cached) == 2


def test_active_operations_are_listed_with_what_they_have_left(timeouts, clock):
    # TO-06
    with timeouts.operation("backfill", "outer") as outer:
        clock.advance(10)
        with timeouts.operation("api_call", "inner"):
            clock.advance(2)
            shown = seen(timeouts)
            assert list(shown) == ["outer", "inner"]
            assert (shown["outer"].elapsed, shown["outer"].remaining) == (12, 48)
            assert (shown["inner"].kind, shown["inner"].timeout) == ("api_call", 10)
            assert (shown["inner"].elapsed, shown["inner"].remaining) == (2, 8)
            assert shown["inner"].parent == "outer"
            assert timeouts.is_active("inner")
            assert timeouts.active_count == 2
            assert timeouts.get("outer") is outer
        assert not timeouts.is_active("inner")
    assert timeouts.snapshot().operations == ()
    assert (timeouts.snapshot().most_active, timeouts.snapshot().started) == (2, 2)


def test_an_operation_ends_no_later_than_the_one_it_is_a_part_of(timeouts, clock):
    # TO-04, D-C-5: the original knew no parent
    outer = timeouts.begin("redis_operation")
    part = timeouts.operation("backfill", parent=outer)
    assert Party(part.call, taking(clock, 1.5, "in time")).result() == "in time"
    late = timeouts.operation("backfill", parent=outer)
    with pytest.raises(hf.DeadlineExceededError):
        Party(late.call, taking(clock, 0.5)).result()
    expired = timeouts.operation("backfill", parent=outer)
    with pytest.raises(hf.DeadlineExceededError):
        Party(expired.call, pytest.fail).result()
    assert outer.remaining == 0


def test_what_is_made_in_an_operation_is_a_part_of_it_wherever_it_runs(timeouts, clock):
    with timeouts.operation("redis_operation") as outer:
        part = timeouts.operation("backfill")
        assert part.parent is outer
        assert Party(part.call, lambda: part.remaining).result() == 2


async def test_a_task_of_an_operation_ends_no_later_than_that(loop):
    # TO-04
    timeouts = TimeoutManager(timeouts={"api_call": 10, "backfill": 60}, clock=loop.clock)
    with pytest.raises(hf.DeadlineExceededError):
        async with timeouts.operation("api_call"), asyncio.TaskGroup() as group:
            part = group.create_task(timeouts.aexecute("backfill", asyncio.sleep, 50))
    assert part.done()
    assert loop.time() == 10


def test_an_operation_of_another_thread_is_no_part_of_this_ones(timeouts):
    with timeouts.operation("api_call", "mine"):
        assert Party(lambda: [one.parent for one in timeouts.active()]).result() == [None]


def test_a_block_that_ends_too_late_raises_and_one_in_time_does_not(timeouts, clock):
    with timeouts.operation("redis_operation"):
        assert hf.deadline() == 2
        clock.advance(1)
    with pytest.raises(hf.DeadlineExceededError), timeouts.operation("redis_operation"):
        clock.advance(3)
    with pytest.raises(OutageError), timeouts.operation("redis_operation"):
        outage()
    assert timeouts.active_count == 0


def test_an_operation_may_be_begun_and_completed_by_hand(timeouts, clock):
    # TO-04
    begun = timeouts.begin("redis_operation", "job-7")
    assert timeouts.is_active("job-7")
    assert (begun.remaining, begun.elapsed) == (2, 0)
    clock.advance(1)
    begun.check()
    assert Party(timeouts.complete, "job-7").result() is True
    assert timeouts.complete("job-7") is False
    late = timeouts.begin("redis_operation", "job-8")
    clock.advance(2)
    with pytest.raises(hf.DeadlineExceededError):
        late.check()
    assert timeouts.complete("job-8") is False
    assert late.elapsed == 2
    shown = timeouts.snapshot().types["redis_operation"]
    assert (shown.in_time, shown.expired, shown.active) == (1, 1, 0)


def test_an_operation_that_nobody_completes_is_forgotten_at_its_deadline(timeouts, clock):
    # D-C-5
    timeouts.begin("redis_operation", "lost")
    clock.advance(1.999)
    assert seen(timeouts).keys() == {"lost"}
    clock.advance(0.001)
    assert timeouts.active() == ()
    assert timeouts.snapshot().types["redis_operation"].expired == 1


def test_an_identifier_is_refused_while_an_operation_has_it(timeouts):
    # D-C-5: the original lost what cancels the first
    with timeouts.operation("api_call", "one"):
        second = "an identifier that no active operation has"
        with pytest.raises(hf.ConfigError, match=f"operation_id: got 'one', allowed {second}"):
            timeouts.begin("api_call", "one")
        assert timeouts.cancel("one")
    early = [timeouts.operation("api_call", "two") for _ in range(2)]
    early[0].begin()
    with pytest.raises(hf.ConfigError, match=second):
        early[1].call(len, "")
    early[0].complete()
    assert early[1].call(len, "") == 0


def test_an_operation_is_used_once(timeouts):
    operation = timeouts.operation("api_call")
    operation.call(len, "")
    with pytest.raises(RuntimeError, match="make another one"):
        operation.call(len, "")
    with pytest.raises(RuntimeError, match="not begun by hand"):
        operation.complete()


def test_a_coroutine_function_is_refused_in_a_thread(timeouts):
    with pytest.raises(TypeError):
        timeouts.execute("api_call", asyncio.sleep, 1)
    assert timeouts.active_count == 0


# ---- settings ----


def test_timeouts_change_for_operations_that_begin_later(timeouts, clock):
    # TO-07, D-C-12
    timeouts.execute("other", len, "")
    with timeouts.operation("api_call", "old"):
        timeouts.update({"api_call": 4, "new": 1}, default=7, warn_above=3)
        clock.advance(5)
        assert seen(timeouts)["old"].remaining == 5
    assert [timeouts.timeout_for(kind) for kind in ("api_call", "new", "other", "x")] == [
        4,
        1,
        7,
        7,
    ]
    assert timeouts.timeout_for("backfill") == 60
    with pytest.raises(hf.DeadlineExceededError):
        timeouts.execute("api_call", taking(clock, 4))
    assert timeouts.snapshot().warn_above == 3


def test_an_update_with_one_wrong_value_changes_nothing(timeouts):
    with pytest.raises(hf.ConfigError) as caught:
        timeouts.update({"api_call": 4, "backfill": -1}, default="soon", warn_above=0)
    assert [line.split(":")[0] for line in caught.value.problems] == [
        "timeouts['backfill']", "default", "warn_above",
    ]  # fmt: skip
    assert timeouts.timeout_for("api_call") == 10


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"timeouts": {"api_call": "10"}}, "timeouts['api_call']"),
        ({"timeouts": {"": 1}}, "timeouts"),
        ({"timeouts": 3}, "timeouts"),
        ({"timeouts": {f"t{n}": 1 for n in range(MOST_TYPES + 1)}}, "timeouts"),
        ({"default": 0}, "default"),
        ({"warn_above": 1.5}, "warn_above"),
        ({"interval": 0}, "interval"),
        ({"thread": 1}, "thread"),
        ({"name": "\n"}, "name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_setting_is_named(settings, field):
    with pytest.raises(hf.ConfigError) as caught:
        TimeoutManager(**settings)
    assert [line.split(":")[0] for line in caught.value.problems] == [field]


def test_a_wrong_argument_of_an_operation_is_named(timeouts):
    with pytest.raises(hf.ConfigError) as caught:
        timeouts.operation("", "", timeout=-1, parent="job-7")
    assert [line.split(":")[0] for line in caught.value.problems] == [
        "kind", "timeout", "operation_id", "parent",
    ]  # fmt: skip


def test_types_beyond_the_most_are_counted_together(clock):
    # what names a type may come from outside: memory is bounded
    timeouts = TimeoutManager(clock=clock)
    for n in range(MOST_TYPES + 50):
        timeouts.execute(f"type {n}", len, "")
    with timeouts.operation("one more"):
        types = timeouts.snapshot().types
    assert len(types) == MOST_TYPES + 1
    assert (types[OTHERS].in_time, types[OTHERS].active) == (50, 1)


# ---- how many there are ----

TOO_MANY = (
    "collector: High number of active operations detected: 4, more than 3 "
    "(3 backfill, 1 api_call); the oldest since 60 s"
)


def test_a_warning_tells_when_too_many_operations_are_active(timeouts, clock, caplog):
    # TO-06
    timeouts.update(warn_above=3)
    begun = [timeouts.begin("backfill", f"b{n}", timeout=1000) for n in range(3)]
    with caplog.at_level(logging.WARNING), timeouts:
        assert timeouts.running
        clock.advance(30)
        assert caplog.messages == []
        begun.append(timeouts.begin("api_call", timeout=1000))
        clock.advance(30)
        assert caplog.messages == [TOO_MANY]
        begun[0].complete()
        clock.advance(30)
    assert caplog.records[0].name == "holdfast.timeout"
    assert len(caplog.messages) == 1


def test_the_loop_that_looks_can_be_stopped_and_started_again(timeouts, clock):
    # D-C-5: the original's could not
    for _ in range(2):
        timeouts.start()
        timeouts.start()
        assert timeouts.running
        assert timeouts.stop()
        assert timeouts.stop()
        assert not timeouts.running
    assert clock.next_due_ns() is None


async def test_the_loop_that_looks_runs_in_a_task_too(loop, caplog):
    timeouts = TimeoutManager(warn_above=1, clock=loop.clock)
    async with timeouts:
        await asyncio.sleep(1)
        for n in range(2):
            timeouts.begin("api_call", f"b{n}", timeout=100)
        await asyncio.sleep(31)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert timeouts.active_count == 0
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_no_active_operations_and_ends_its_own(timeouts):
    with timeouts.operation("api_call"):
        timeouts.begin("backfill")
        pid = os.fork()
        if pid == 0:
            ok = timeouts.active_count == 0 and timeouts.execute("api_call", len, "") == 0
            os._exit(0 if ok and timeouts.active_count == 0 else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert timeouts.active_count == 2


def test_sixteen_threads_begin_and_end_operations_and_none_is_lost(clock):
    # D-C-5, GEN-03
    timeouts = TimeoutManager(timeouts={"a": 10})

    def work(n):
        for i in range(200):
            timeouts.execute("a" if i % 2 else f"t{n}", len, "")
            timeouts.operation("a", timeout=1 + i % 30).call(len, "")
            timeouts.begin("a", f"{n}-{i}")
            assert timeouts.complete(f"{n}-{i}")

    for party in [Party(work, n) for n in range(16)]:
        party.result()
    shown = timeouts.snapshot()
    assert (shown.active, shown.started) == (0, 16 * 600)
    assert sum(one.in_time for one in shown.types.values()) == 16 * 600


def test_an_error_that_an_operation_was_cancelled_survives_pickling():
    import pickle

    error = pickle.loads(pickle.dumps(OperationCancelledError("api_call", "a-1", 1.5)))
    assert str(error) == "operation 'api_call' was cancelled: 'a-1' after 1.5 s"
    assert (error.operation, error.operation_id, error.elapsed) == ("api_call", "a-1", 1.5)
    assert str(OperationCancelledError()) == "operation cancelled"


# ---- as a part of a manager ----


def test_a_manager_has_one_whose_types_are_its_timeouts(clock):
    # RM-01, TO-01, TO-02, TO-03
    rm = hf.ResilienceManager("collector", presets="collector", clock=clock)
    timeouts = rm.timeouts
    assert rm.timeouts is timeouts
    assert {kind: timeouts.timeout_for(kind) for kind in OPERATION_TIMEOUTS} == OPERATION_TIMEOUTS
    assert timeouts.timeout_for("worker_collection") == 30
    rm.register_timeout("backfill", 90)
    assert timeouts.timeout_for("backfill") == 90
    with pytest.raises(hf.DeadlineExceededError):
        timeouts.execute("redis_operation", taking(clock, 2))


def test_the_timeouts_of_a_manager_start_and_stop_with_it(clock, caplog):
    # TO-06, TO-07
    rm = hf.ResilienceManager("node", default_timeout=500, clock=clock)
    rm.start()
    rm.timeouts.update(warn_above=1)
    operations = [rm.timeouts.begin("send") for _ in range(2)]
    clock.advance(30)
    assert len(caplog.messages) == 1
    assert rm.snapshot().timeouts.active == 2
    assert rm.stop()
    assert [one.cancelled for one in operations] == [True, True]
    assert not rm.timeouts.running
    rm.start()
    assert rm.timeouts.running
    rm.stop()


def test_the_types_of_a_manager_are_as_many_as_its_timeouts(clock):  # TO-03, TO-07
    rm = hf.ResilienceManager("many", clock=clock)
    for n in range(300):
        rm.register_timeout(f"before-{n}", 1 + n)
    timeouts = rm.timeouts
    for n in range(300):
        rm.register_timeout(f"after-{n}", 1 + n)
    rm.register(hf.Timeout(7, name="ready", clock=clock))

    assert timeouts.timeout_for("before-299") == timeouts.timeout_for("after-299") == 300
    assert timeouts.timeout_for("ready") == 7
    assert timeouts.operation("after-299").timeout == 300
    rm.unregister("timeout", "before-1")
    rm.unregister("timeout", "after-299")
    assert timeouts.timeout_for("before-1") == timeouts.timeout_for("after-299") == 30


def test_whoever_asks_an_operation_that_nobody_completes_ends_at_its_deadline(
    clock,
):  # TO-04, TO-06
    timeouts = TimeoutManager(clock=clock)
    timeouts.begin("backup", "one", timeout=1)
    clock.advance(2)

    assert timeouts.active_count == 0
    timeouts.begin("backup", "one", timeout=1)
    clock.advance(2)
    assert not timeouts.is_active("one")
    timeouts.begin("backup", "one", timeout=1)
    clock.advance(2)
    timeouts.begin("backup", "one", timeout=1)  # the identifier is free
    clock.advance(2)

    for _ in range(2000):  # nobody looks
        timeouts.begin("backup", timeout=1)
        clock.advance(0.1)
    assert len(timeouts._active) <= 201
    assert timeouts.snapshot().types["backup"].expired > 1900
