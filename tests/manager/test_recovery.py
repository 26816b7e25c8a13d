"""Calls with recovery: what is tried, what stands in, and what the outcome tells."""

# TS-10
from __future__ import annotations

import asyncio
import logging
import threading

import pytest

import holdfast as hf
from holdfast.degradation import DegradationMode
from holdfast.manager.aggregate import AggregatedError
from holdfast.manager.error_recovery import MOST_DEFAULTED
from tests.policies.calls import OutageError
from tests.waiting.parties import Party


@pytest.fixture
def rm(clock):
    """A manager with a breaker that opens at the second failure, and two retries."""
    rm = hf.ResilienceManager("collector", clock=clock)
    rm.register_circuit_breaker("fetch", max_failures=2, reset_timeout=60)
    rm.register_retry_policy("fetch", max_retries=2, initial_delay=1, jitter=False)
    return rm


@pytest.fixture
def recovery(rm):
    return hf.ErrorRecoveryManager("collector", manager=rm)


class Failing:
    """A function that fails so many times, and counts its calls."""

    def __init__(self, times, error=OutageError):
        self.left = times
        self.error = error
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error("down")
        return "done"


def as_coroutine(fn):
    async def run():
        return fn()

    return run


def recovering(faces, where, name, fn, fallback=None):
    """Call with recovery, in a thread or in a task."""
    if where == "thread":
        return faces.execute_with_recovery(name, fn, fallback)
    clock = getattr(faces, "manager", faces)._clock
    return in_task(clock, faces.aexecute_with_recovery(name, as_coroutine(fn), fallback))


def in_task(clock, coroutine):
    """Run a coroutine, and move the clock whenever it waits for that."""

    async def main():
        task = asyncio.ensure_future(coroutine)
        while not task.done():
            for _ in range(5):
                await asyncio.sleep(0)
            if not task.done() and (due_ns := clock.next_due_ns()) is not None:
                clock.advance_ns(max(0, due_ns - clock.now_ns()))
        return task.result()

    return asyncio.run(main())


@pytest.fixture(params=["thread", "task"])
def where(request):
    return request.param


@pytest.fixture(params=["manager", "recovery manager"])
def faces(request, rm, recovery):
    return rm if request.param == "manager" else recovery


def test_a_call_that_succeeds_has_its_value(faces, where):
    # ER-01
    outcome = recovering(faces, where, "fetch", Failing(0), fallback="cached")
    assert outcome == hf.RecoveryOutcome(
        success=True, data="done", error=None, attempts=1, duration=0, recovered=False,
        fallback_used=False, operation="fetch",
    )  # fmt: skip
    assert outcome
    assert outcome.unwrap() == "done"
    assert outcome.category is None


def test_a_call_that_a_retry_has_saved_is_recovered(faces, clock):
    # ER-01, RT-23
    outcome = faces.execute_with_recovery("fetch", Failing(1), fallback="cached")
    assert (outcome.success, outcome.data, outcome.attempts) == (True, "done", 2)
    assert (outcome.recovered, outcome.fallback_used, outcome.error) == (True, False, None)
    assert outcome.duration == 1


def test_a_fallback_stands_in_after_the_last_attempt(rm, recovery):
    # ER-02
    rm.register_circuit_breaker("fetch", max_failures=10)
    work = Failing(9)
    outcome = recovery.execute_with_recovery("fetch", work, lambda: "cached")
    assert (outcome.success, outcome.data, outcome.attempts) == (True, "cached", 3)
    assert (outcome.recovered, outcome.fallback_used) == (False, True)
    assert isinstance(outcome.error, OutageError)
    assert outcome.duration == 3
    assert work.calls == 3


def test_while_the_breaker_is_open_nothing_is_called_but_the_fallback(faces, where, rm):
    # ER-02, D-C-3: the original called the function four more times, past the open breaker
    rm.circuit_breaker("fetch").trip()
    work = Failing(9)
    outcome = recovering(faces, where, "fetch", work, "cached")
    assert work.calls == 0
    assert (outcome.data, outcome.attempts, outcome.fallback_used) == ("cached", 0, True)
    assert isinstance(outcome.error, hf.CircuitOpenError)
    assert not recovering(faces, where, "fetch", work)
    assert work.calls == 0


def test_a_breaker_that_opens_between_attempts_ends_them(faces):
    # D-C-3
    work = Failing(9)
    outcome = faces.execute_with_recovery("fetch", work, "cached")
    assert work.calls == outcome.attempts == 2
    assert faces.execute_with_recovery("fetch", work, "cached").attempts == 0


def test_a_fallback_stands_in_after_a_failure_that_is_not_repeated(rm, recovery):
    # ER-02
    rm.register_retry_policy("fetch", max_retries=2, on=(ConnectionError,))
    outcome = recovery.execute_with_recovery("fetch", Failing(9), "cached")
    assert (outcome.data, outcome.attempts) == ("cached", 1)


def test_without_a_fallback_the_outcome_has_the_error(faces, where):
    # ER-01, GEN-06
    outcome = recovering(faces, where, "fetch", Failing(9, ConnectionResetError))
    assert not outcome
    assert (outcome.success, outcome.data, outcome.fallback_used) == (False, None, False)
    assert outcome.category == "transient"
    with pytest.raises(type(outcome.error)):
        outcome.unwrap()


def test_an_error_tells_of_which_operation_it_is_and_keeps_its_cause(rm, recovery):
    # GEN-06
    cause = KeyError("socket")
    error = ConnectionError("refused")

    def fail():
        raise error from cause

    rm.register_circuit_breaker("fetch", max_failures=10)
    for _ in range(2):
        assert recovery.execute_with_recovery("fetch", fail).error is not None
    own = [note for note in error.__notes__ if "operation" in note]
    assert own == ["3 attempts in 3 s, operation 'fetch' of 'collector'"]
    assert error.__cause__ is cause


def test_a_fallback_that_fails_is_the_error_and_the_first_its_cause(faces, where):
    # GEN-06
    def fall_back():
        raise LookupError("no cache")

    outcome = recovering(faces, where, "fetch", Failing(9), fall_back)
    assert (outcome.success, outcome.fallback_used) == (False, False)
    assert isinstance(outcome.error, LookupError)
    assert isinstance(outcome.error.__cause__, (OutageError, hf.CircuitOpenError))


def test_a_fallback_may_take_the_error_and_in_a_task_be_awaited(faces, clock):
    assert faces.execute_with_recovery("fetch", Failing(9), lambda error: type(error)).data in (
        OutageError,
        hf.CircuitOpenError,
    )

    async def cached():
        await asyncio.sleep(0)
        return "cached"

    outcome = in_task(
        clock, faces.aexecute_with_recovery("fetch", as_coroutine(Failing(9)), cached)
    )
    assert outcome.data == "cached"
    with pytest.raises(TypeError, match="use aexecute_with_recovery"):
        faces.execute_with_recovery("fetch", Failing(0), cached)
    with pytest.raises(TypeError):
        faces.execute_with_recovery("fetch", as_coroutine(Failing(0)))


def test_no_fallback_runs_after_an_enclosing_deadline(faces, clock):
    # D-C-4: the original's back-off slept past the caller's deadline
    outcome = []
    began = clock.now()
    with pytest.raises(hf.DeadlineExceededError):
        hf.Timeout(0.5, clock=clock).call(late, faces, clock, outcome)
    assert outcome[0].fallback_used is False
    assert clock.now() - began == 0.5


def late(faces, clock, outcome):
    def work():
        clock.advance(0.5)
        raise OutageError

    outcome.append(faces.execute_with_recovery("fetch", work, "cached"))


def test_a_pause_between_attempts_ends_with_the_callers_deadline(rm, clock):
    # D-C-4: a deadline of 10 ms, and 501 ms asleep
    rm.register_retry_policy("fetch", max_retries=2, initial_delay=0.5, jitter=False)
    began = clock.now()
    outcome = hf.Timeout(0.01, clock=clock).try_call(rm.execute_with_recovery, "fetch", Failing(9))
    assert clock.now() - began <= 0.01
    assert not (outcome.ok and outcome.value.success)


def test_a_cancelled_call_has_no_outcome_and_no_fallback(faces):
    ran = []

    async def main():
        task = asyncio.create_task(
            faces.aexecute_with_recovery("fetch", lambda: asyncio.sleep(1000), ran.append)
        )
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ran == []
    with pytest.raises(KeyboardInterrupt):
        faces.execute_with_recovery("fetch", Failing(1, KeyboardInterrupt), ran.append)
    assert ran == []


def test_operations_of_any_name_have_their_own_policies(recovery):
    # ER-06
    for name, failures in {"redis": 1, "market_data": 2, "symbol_fetch": 3}.items():
        recovery.register_circuit_breaker(name, failure_threshold=failures, max_requests=3)
        recovery.register_retry_policy(name, max_retries=9, base_delay=0.01)
        work = Failing(99)
        assert not recovery.execute_with_recovery(name, work)
        assert work.calls == failures


def test_a_call_raises_what_fails_where_no_outcome_is_asked_for(recovery, rm):
    # ER-01
    rm.register_circuit_breaker("fetch", max_failures=10)
    assert recovery.execute_with_retry("fetch", "{}-{b}".format, 1, b=2) == "1-2"
    work = Failing(9)
    with pytest.raises(OutageError):
        recovery.execute_with_retry("fetch", work)
    assert work.calls == 3
    assert asyncio.run(recovery.aexecute_with_retry("fetch", asyncio.sleep, 0, "done")) == "done"
    rm.circuit_breaker("fetch").trip()
    with pytest.raises(hf.CircuitOpenError):
        recovery.execute_with_retry("fetch", work)
    assert work.calls == 3


# ---- names that nothing is registered for ----


def test_an_operation_without_policies_has_the_default_and_that_is_said_once(recovery, caplog):
    # RT-13, D-C-13: the original was silent about it
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            work = Failing(9)
            outcome = recovery.execute_with_recovery("worker_collection", work, "cached")
            assert (work.calls, outcome.data) == (4, "cached")
    assert len(caplog.messages) == 1
    assert caplog.messages[0] == (
        "operation 'worker_collection' has the default retry policy, as nothing is registered for "
        "it"
    )
    assert recovery.defaulted == ("worker_collection",)
    settings = recovery.manager.retry("worker_collection").describe()
    assert "attempts=4" in settings
    assert "Exponential(0.1, factor=2, max=5, jitter=0.25, jitter_mode='around')" in settings


def test_a_name_that_was_nearly_right_is_named(recovery, caplog):
    # D-C-13
    recovery.execute_with_recovery("fetsh", Failing(0))
    assert "did you mean 'fetch'?" in caplog.messages[0]


def test_without_a_default_a_name_that_is_not_known_is_an_error(rm, faces):
    # D-C-13, D-RM-2
    strict = hf.ErrorRecoveryManager(manager=rm, default=None)
    work = Failing(0)
    for name in ("worker_collection", "fetsh"):
        with pytest.raises(hf.UnprotectedError):
            strict.execute_with_recovery(name, work)
    with pytest.raises(hf.UnprotectedError, match="did you mean 'fetch'"):
        rm.execute_with_recovery("fetsh", work)
    assert work.calls == 0


def test_an_operation_that_names_a_missing_policy_is_an_error_and_not_the_default(recovery, rm):
    rm.register_operation("backfill", circuit_breaker="exchange")
    with pytest.raises(hf.UnprotectedError, match="no circuit breaker 'exchange'"):
        recovery.execute_with_recovery("backfill", Failing(0))
    assert recovery.defaulted == ()


def test_names_from_outside_do_not_take_memory_without_end(recovery):
    for n in range(MOST_DEFAULTED):
        recovery.execute_with_retry(f"operation {n}", len, "")
    with pytest.raises(hf.UnprotectedError):
        recovery.execute_with_retry("one more", len, "")


def test_a_policy_that_is_registered_later_takes_the_place_of_the_default(recovery):
    recovery.execute_with_recovery("backfill", Failing(0))
    recovery.register_retry_policy("backfill", max_retries=1, base_delay=0.001)
    work = Failing(9)
    recovery.execute_with_recovery("backfill", work)
    assert work.calls == 2
    assert recovery.defaulted == ()


def test_sixteen_threads_that_ask_for_a_new_name_get_one_policy(recovery, caplog):
    # D-RM-3
    barrier = threading.Barrier(16)

    def work():
        barrier.wait()
        return recovery.execute_with_retry("new", len, "")

    assert [party.result() for party in [Party(work) for _ in range(16)]] == [0] * 16
    assert recovery.manager.retry("new").snapshot().succeeded == 16
    assert len(caplog.messages) == 1


# ---- settings ----


def test_the_preset_of_a_collector_is_in_force(clock):
    # ER-06, RT-11
    recovery = hf.ErrorRecoveryManager("market", presets="collector", clock=clock)
    work = Failing(99, ConnectionError)
    assert not recovery.execute_with_recovery("redis_operation", work)
    assert work.calls == 4


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        ({"name": ""}, ["name"]),
        ({"manager": "collector"}, ["manager"]),
        ({"default": {"max_retires": 3}}, ["default"]),
        ({"default": {"max_retries": -1}}, ["default"]),
        ({"default": 3}, ["default"]),
        ({"mode": True}, ["mode"]),
    ],
    ids=str,
)
def test_a_wrong_setting_is_named(settings, fields):
    with pytest.raises(hf.ConfigError) as caught:
        hf.ErrorRecoveryManager(**settings)
    assert [line.split(":")[0] for line in caught.value.problems] == fields


def test_a_manager_that_is_given_keeps_its_own_presets_and_clock(rm, clock):
    with pytest.raises(hf.ConfigError) as caught:
        hf.ErrorRecoveryManager(manager=rm, presets="collector", clock=clock)
    assert [line.split(":")[0] for line in caught.value.problems] == ["presets", "clock"]


def test_the_status_of_all_breakers_is_shown(recovery, rm, clock):
    # ER-05
    recovery.register_circuit_breaker("redis", failure_threshold=5, timeout=15)
    recovery.execute_with_recovery("fetch", Failing(9))
    clock.advance(5)
    status = recovery.status()
    assert set(status) == {"fetch", "redis"}
    assert (status["fetch"].state, status["fetch"].failures) == (hf.State.OPEN, 2)
    assert (status["fetch"].last_failure, status["fetch"].retry_after) == (7, 53)
    assert (status["redis"].state, status["redis"].failures) == (hf.State.CLOSED, 0)
    assert (status["redis"].last_failure, status["redis"].retry_after) == (None, 0)


def test_fallbacks_can_be_switched_off(rm):
    # DG-09
    mode = DegradationMode(fallback=False)
    recovery = hf.ErrorRecoveryManager(manager=rm, mode=mode)
    assert not recovery.execute_with_recovery("fetch", Failing(9), "cached")
    recovery.mode.enable_fallback()
    assert recovery.execute_with_recovery("fetch", Failing(9), "cached").data == "cached"


# ---- calls that belong together ----


def test_calls_run_together_each_under_the_policies_of_the_operation(recovery, rm):
    # ER-07
    rm.register_circuit_breaker("fetch", max_failures=100)
    works = [Failing(1), Failing(0), Failing(2)]
    report = recovery.execute_together("fetch", works, max_concurrent=2)
    assert report.values == ["done"] * 3
    assert [work.calls for work in works] == [2, 1, 3]
    assert report.switched is None


def test_calls_that_fail_together_run_one_by_one_and_an_open_breaker_lets_none_pass(recovery):
    # ER-07, D-C-3
    works = [Failing(99, ConnectionError) for _ in range(10)]
    with pytest.raises(AggregatedError) as caught:
        recovery.execute_together("fetch", works, max_concurrent=1)
    assert sum(work.calls for work in works) == 2  # then the breaker was open
    assert (caught.value.total, caught.value.failed) == (10, 10)
    assert caught.value.by_operation == {"fetch": 10}


async def test_calls_run_together_in_tasks(loop):
    # ER-07
    recovery = hf.ErrorRecoveryManager("tasks", clock=loop.clock)
    works = [as_coroutine(Failing(n % 2)) for n in range(6)]
    report = await recovery.aexecute_together("fetch", works, max_concurrent=3)
    assert report.values == ["done"] * 6
    with pytest.raises(AggregatedError, match="tasks: 2 of 2 operations failed"):
        await recovery.aexecute_together("fetch", [as_coroutine(Failing(99)) for _ in range(2)])
    assert len(asyncio.all_tasks()) == 1
