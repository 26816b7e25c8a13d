"""What may be switched for the process, and what holdfast knows of the face of stamina."""

import os
import subprocess
import sys
import threading

import pytest

import holdfast as hf
from holdfast.compat import stamina
from holdfast.compat.stamina.instrumentation import (
    RetryHookFactory,
    get_on_retry_hooks,
    set_on_retry_hooks,
)
from holdfast.testing import chaos_enabled, recorded, retries_off, use_clock


def retried(fn, **settings):
    waits = {"wait_initial": 0, "wait_max": 0, "wait_jitter": 0}
    return stamina.retry(**{"on": ConnectionError, **waits, **settings})(fn)


# ---- off, and test mode ----


def test_inactive_each_call_is_made_once(flaky):  # RT-18
    stamina.set_active(False)
    assert not stamina.is_active()
    wobbly = flaky(1)
    with pytest.raises(ConnectionError):
        retried(wobbly)()
    made = []

    def block():
        for attempt in stamina.retry_context(on=ConnectionError):
            made.append(attempt)
            with attempt:
                flaky(1)()

    with pytest.raises(ConnectionError):
        block()
    assert [attempt.next_wait for attempt in made] == [0]
    assert wobbly.calls == 1
    stamina.set_active(True)
    assert retried(wobbly)("again") == "again"


def test_what_is_switched_off_while_a_call_is_retried_retries_no_more(flaky):
    wobbly = flaky(99)

    def fails():
        if wobbly.calls == 2:
            stamina.set_active(False)
        wobbly()

    with pytest.raises(ConnectionError):
        retried(fails)()
    assert wobbly.calls == 3


@pytest.mark.parametrize(
    ("mode", "asked", "calls"),
    [
        ({}, 10, 1),
        ({"attempts": 3}, 10, 3),
        ({"attempts": 3}, 2, 3),
        ({"attempts": 3, "cap": True}, 2, 2),
        ({"attempts": 3, "cap": True}, None, 3),
    ],
)
def test_in_test_mode_so_many_attempts_are_made_without_pauses(flaky, mode, asked, calls):
    wobbly = flaky(99)
    with use_clock() as clock, stamina.set_testing(True, **mode):
        assert stamina.is_testing()
        with pytest.raises(ConnectionError):
            stamina.retry(on=ConnectionError, attempts=asked, timeout=1)(wobbly)()
        assert clock.now() == 0
    assert not stamina.is_testing()
    assert wobbly.calls == calls


def test_in_test_mode_pauses_that_a_hook_asks_for_are_not_made(flaky):
    with use_clock() as clock, stamina.set_testing(True, attempts=3):
        retried(flaky(2), on=lambda _: 60.0)()
        assert clock.now() == 0


def test_test_modes_can_be_nested_and_set_without_a_block():
    with stamina.set_testing(True, attempts=3):
        with stamina.set_testing(False):
            assert not stamina.is_testing()
        assert stamina.is_testing()
    stamina.set_testing(True)
    assert stamina.is_testing()
    stamina.set_testing(False)
    assert not stamina.is_testing()


# ---- what holdfast knows ----


def test_a_decorated_function_has_its_policy_in_the_registry(flaky):  # RT-18
    @stamina.retry(on=ConnectionError)
    def charge():
        return 42

    charge()
    policy = hf.registry.get("retry", f"{__name__}.{charge.__qualname__}")
    assert policy is charge.policy
    assert policy.snapshot().succeeded == 1


def test_blocks_and_callers_of_a_module_share_the_policy_of_its_name():
    policy = hf.registry.get("retry", __name__)
    assert policy is None
    context = stamina.retry_context(on=KeyError)
    assert context.policy is stamina.RetryingCaller().policy
    assert context.policy is stamina.AsyncRetryingCaller().on(KeyError).policy
    assert context.policy is hf.registry.get("retry", __name__)
    assert len({stamina.retry_context(on=KeyError).policy for _ in range(20_000)}) == 1
    assert len(hf.registry.all("retry")) == 1


def test_all_ends_of_calls_are_counted_by_why(flaky):
    with use_clock():
        stamina_retried = retried(flaky(0), attempts=3)
        policy = stamina_retried.policy
        stamina_retried()
        retried(flaky(2), attempts=3)()
        for times, settings, error in [
            (9, {"attempts": 3}, ConnectionError),
            (9, {"on": KeyError}, ConnectionError),
            (9, {"timeout": 5, "wait_initial": 3, "wait_max": 3}, ConnectionError),
        ]:
            with pytest.raises(error):
                retried(flaky(times), **settings)()
        with pytest.raises(KeyboardInterrupt):
            retried(flaky(1, KeyboardInterrupt))()
        with pytest.raises(hf.CircuitOpenError):
            retried(flaky(1, hf.CircuitOpenError))()
    snapshot = policy.snapshot()
    assert (snapshot.succeeded, snapshot.recovered, snapshot.failed) == (2, 1, 5)
    counted = {why: count for why, count in snapshot.gave_up.items() if count}
    assert counted == {
        "exhausted": 1,
        "not_retryable": 1,
        "out_of_time": 1,
        "cancelled": 1,
        "rejected": 1,
    }
    assert sum(snapshot.retries) == 2 + 2 + 2
    assert snapshot.delay == 6


def test_listeners_of_the_policy_are_told(flaky):
    wobbly = flaky(1)
    function = retried(wobbly, attempts=2)
    with recorded(function.policy) as events:
        function()
        wobbly.calls, wobbly.times = 0, 9
        with pytest.raises(ConnectionError):
            function()
    assert [event.kind for event in events] == ["retry", "recovered", "retry", "gave_up"]


def test_no_pause_goes_past_the_deadline_of_an_enclosing_timeout(flaky):
    with use_clock() as clock:
        wobbly = flaky(99)
        function = stamina.retry(on=ConnectionError, wait_initial=4, wait_jitter=0)(wobbly)
        with pytest.raises(ConnectionError):
            hf.Timeout(10).call(function)
        assert clock.now() == 9
    assert wobbly.calls == 3
    assert function.policy.snapshot().gave_up["deadline"] == 1


def test_the_switch_of_the_testing_kit_turns_retries_off(flaky):
    wobbly = flaky(1)
    with retries_off(), pytest.raises(ConnectionError):
        retried(wobbly)()
    assert wobbly.calls == 1


async def test_faults_strike_attempts_and_are_retried():
    calls = []

    def work():
        calls.append(1)
        return "answer"

    async def awork():
        return work()

    def items():
        yield work()

    async def aitems():
        yield work()

    with chaos_enabled() as chaos:
        function, afunction = retried(work), retried(awork)
        generator, agenerator = retried(items), retried(aitems)
        for one in (function, afunction, generator, agenerator):
            chaos(one.policy.name).fail(ConnectionError, times=2)
        assert function() == "answer"
        assert await afunction() == "answer"
        assert list(generator()) == ["answer"]
        assert [item async for item in agenerator()] == ["answer"]
        chaos(stamina.retry_context(on=KeyError).policy.name).fail(ConnectionError, times=2)
        numbers = []
        for attempt in stamina.retry_context(ConnectionError, wait_initial=0, wait_jitter=0):
            with attempt:
                numbers.append(attempt.num)
    assert numbers == [3]
    assert len(calls) == 4
    assert function.policy.snapshot().recovered == 1


_MODE = """
import sys
from holdfast.compat import stamina
stamina.instrumentation.set_on_retry_hooks([])
calls = []

@stamina.retry(on=ConnectionError, wait_initial=0, wait_jitter=0)
def work():
    calls.append(1)
    raise ConnectionError

@stamina.retry(on=ConnectionError, wait_initial=0, wait_jitter=0)
def items():
    yield 1
    work()

for run in (work, lambda: list(items())):
    try:
        run()
    except ConnectionError:
        pass
snapshot = work.policy.snapshot()
print(len(calls), snapshot.failed, snapshot.observed)
"""


@pytest.mark.parametrize(("mode", "printed"), [("observe", "2 2 2"), ("off", "2 0 0")])
def test_the_mode_of_the_process_holds(mode, printed):
    done = subprocess.run(
        [sys.executable, "-c", _MODE],
        env={**os.environ, "HOLDFAST_MODE": mode},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == (printed, "")


def test_a_child_that_is_forked_while_hooks_are_made_retries_and_tells(flaky):
    if not hasattr(os, "fork"):
        pytest.skip("there is no fork here")
    begun, end, told = threading.Event(), threading.Event(), []

    def slow():
        begun.set()
        end.wait(30)
        return told.append

    set_on_retry_hooks([RetryHookFactory(slow)])
    maker = threading.Thread(target=get_on_retry_hooks)
    maker.start()
    begun.wait(30)
    pid = os.fork()
    if pid == 0:  # the thread that holds the lock is not in this process
        status = 1
        try:
            set_on_retry_hooks([told.append])
            retried(flaky(1))()
            status = 0 if len(told) == 1 else 2
        finally:
            os._exit(status)
    end.set()
    maker.join()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
