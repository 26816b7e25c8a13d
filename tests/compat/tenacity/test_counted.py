"""What holdfast counts, limits and switches of calls through the face of tenacity."""

import asyncio
import functools
import gc
import subprocess
import sys
import threading
import tracemalloc
import weakref

import pytest

import holdfast as hf
from holdfast.compat.tenacity import (
    AsyncRetrying,
    RetryError,
    Retrying,
    retry,
    retry_always,
    retry_if_exception_type,
    retry_if_not_exception_type,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    wait_fixed,
)
from holdfast.testing import chaos_enabled, retries_off, use_clock
from tests.telemetry.scraped import Scrape


def nothing(_seconds: float) -> None:
    """Wait no time at all."""


def fail_first(failures: int, error: type[BaseException] = ConnectionError):
    calls = []

    def work():
        calls.append(None)
        if len(calls) <= failures:
            raise error
        return len(calls)

    return work


def gave_up(policy: hf.Retry) -> dict[str, int]:
    return {why: n for why, n in policy.snapshot().gave_up.items() if n}


def test_each_call_is_counted_by_how_it_ended():  # RT-18
    retrying = functools.partial(retry, name="counted", sleep=nothing, stop=stop_after_attempt(3))
    first = retrying()(fail_first(0))
    policy = first.policy
    first()
    first()
    retrying(wait=wait_fixed(0.5))(fail_first(2))()
    with pytest.raises(RetryError):
        retrying()(fail_first(9))()
    with pytest.raises(KeyError):
        retrying(retry=retry_if_exception_type(OSError))(fail_first(1, KeyError))()
    shot = policy.snapshot()
    assert (shot.succeeded, shot.recovered, shot.failed) == (3, 1, 2)
    assert shot.retries[:2] == (2, 2)
    assert shot.delay == 1.0
    assert gave_up(policy) == {"exhausted": 1, "not_retryable": 1}
    assert shot.attempts == 2 + 3 + 3 + 1


def test_a_decorated_function_gives_its_policy_its_name():  # RT-18
    @retry
    def fetch() -> None: ...

    name = f"{__name__}.test_a_decorated_function_gives_its_policy_its_name.<locals>.fetch"
    assert fetch.policy.name == fetch.retry.policy.name == name
    assert hf.registry.get("retry", name) is fetch.policy
    assert Retrying(name="payments").policy.name == "payments"
    assert Retrying().policy.name == AsyncRetrying().copy().policy.name == __name__
    retrying = Retrying()
    retrying(fetch.__wrapped__)
    assert fetch.policy.snapshot().succeeded == 1
    assert retrying.policy.snapshot().succeeded == 0


class Own(Retrying):
    def __init__(self):
        super().__init__(stop=stop_after_attempt(2))


def test_controllers_without_a_name_share_the_one_of_their_module():  # RT-18, trap 67
    made = [Retrying() for _ in range(1_000)] + [Own()]
    assert {one.policy.name for one in made} == {__name__}
    assert len(hf.registry.all("retry")) == 1


def test_listeners_hear_of_retries_and_ends():
    heard = []
    work = retry(stop=stop_after_attempt(2), sleep=nothing, wait=wait_fixed(3))(fail_first(3))
    work.policy.on_event(lambda event: heard.append((event.kind, event.reason)))
    with pytest.raises(RetryError):
        work()
    assert work() == 4
    assert heard == [
        ("retry", "ConnectionError"),
        ("gave_up", "exhausted"),
        ("retry", "ConnectionError"),
        ("recovered", ""),
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize(
    "condition", [retry_always, retry_if_not_exception_type(OSError), lambda state: True]
)
def test_what_ends_the_process_is_never_tried_again(condition, error):  # trap 50
    work = fail_first(1, error)
    guarded = retry(retry=condition, stop=stop_after_attempt(3))(work)
    with pytest.raises(error):
        guarded()
    assert gave_up(guarded.policy)["cancelled"] >= 1


def test_a_users_own_base_exception_may_be_tried_again():
    class Odd(BaseException): ...

    assert retry(retry=retry_if_exception_type(Odd))(fail_first(1, Odd))() == 2


def test_a_rejection_is_tried_again_as_any_error_that_is_named():
    bulkhead = hf.Bulkhead("one place", max_concurrent=1)
    guarded = bulkhead(lambda: 42)
    bulkhead.enter()
    left = []

    def leave(_seconds: float) -> None:
        left.append(None)
        bulkhead.leave()

    assert retry(retry=retry_if_exception_type(hf.Rejected), sleep=leave)(guarded)() == 42
    bulkhead.enter()
    named = retry(retry=retry_if_exception_type(ValueError))(guarded)
    with pytest.raises(hf.Rejected):
        named()
    assert gave_up(named.policy)["rejected"] == 1
    bulkhead.leave()


def test_no_pause_outlasts_an_enclosing_timeout():  # RT-18
    with use_clock() as clock:
        work = retry(wait=wait_fixed(20), name="under a timeout")(fail_first(9))
        with pytest.raises(RetryError):
            hf.Timeout(30).call(work)
        assert clock.now() == 20
    assert gave_up(work.policy) == {"deadline": 1}


def test_pauses_and_limits_are_on_the_clock_of_a_test():
    with use_clock() as clock:
        slow = fail_first(9)

        def work():
            clock.advance(5)
            return slow()

        guarded = retry(stop=stop_after_delay(60), wait=wait_fixed(10))(work)
        with pytest.raises(RetryError) as caught:
            guarded()
        assert clock.now() == 65
        assert caught.value.last_attempt.attempt_number == 5


def test_mode_observe_makes_no_retry_and_counts_it(monkeypatch):  # RT-18
    monkeypatch.setattr("holdfast.mode._of_process", hf.Mode.OBSERVE)
    work = retry(name="observed", sleep=pytest.fail)(fail_first(1))
    with pytest.raises(RetryError):
        work()
    assert work() == 2
    assert work.policy.snapshot().observed == 1


def test_mode_off_calls_as_if_there_were_no_face(monkeypatch):  # RT-18
    monkeypatch.setattr("holdfast.mode._of_process", hf.Mode.OFF)
    work = retry(name="off")(fail_first(1))
    with pytest.raises(ConnectionError):
        work()
    with pytest.raises(ConnectionError):
        Retrying(name="off")(fail_first(1))
    for attempt in Retrying(name="off"):
        with attempt:
            work()
    assert work() == 3
    assert work.policy.snapshot().attempts == 0


async def test_mode_off_calls_tasks_as_if_there_were_no_face(monkeypatch):
    monkeypatch.setattr("holdfast.mode._of_process", hf.Mode.OFF)

    async def work():
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await retry(name="off")(work)()
    with pytest.raises(ConnectionError):
        await AsyncRetrying(name="off")(work)
    async for attempt in AsyncRetrying(name="off"):
        with attempt:
            await asyncio.sleep(0)
    assert hf.registry.get("retry", "off").snapshot().attempts == 0


def test_the_off_switch_of_tests_makes_no_retry_and_no_pause():
    work = retry(sleep=pytest.fail)(fail_first(1))
    with retries_off(), pytest.raises(RetryError):
        work()
    assert gave_up(work.policy) == {"exhausted": 1}


def test_chaos_strikes_the_attempts_of_a_decorated_function():
    @retry(stop=stop_after_attempt(3), sleep=nothing)
    def fetch() -> int:
        return fetch.statistics["attempt_number"]

    with chaos_enabled() as chaos:
        chaos(fetch.policy).fail(ConnectionResetError, times=2)
        assert fetch() == 3
    assert fetch() == 1


def test_threads_count_each_call_once():
    work = retry(stop=stop_after_attempt(2), sleep=nothing, name="threads")(
        lambda failures: failures and failures.pop()()
    )
    barrier = threading.Barrier(4)

    def fail() -> None:
        raise ConnectionError

    def run() -> None:
        barrier.wait()
        for _ in range(250):
            work([])
            work([fail])

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shot = work.policy.snapshot()
    assert (shot.succeeded, shot.recovered, shot.failed) == (2_000, 1_000, 0)


def test_an_error_that_is_raised_holds_no_circle():
    class HeldError(ConnectionError): ...

    work = retry(stop=stop_after_attempt(2), reraise=True)(fail_first(9, HeldError))
    named = retry(retry=retry_if_exception_type(KeyError))(fail_first(9, HeldError))
    hooked = retry(before=lambda _state: None, stop=stop_after_attempt(1), reraise=True)
    gc.disable()
    try:
        for call in (
            work,
            named,
            retry(stop=stop_after_attempt(1))(fail_first(1, HeldError)),
            hooked(fail_first(1, HeldError)),
        ):
            seen = None
            try:
                call()
            except Exception as error:
                seen = weakref.ref(error.__cause__ or error)
            assert seen is not None
            assert seen() is None, call
    finally:
        gc.enable()


class Held:
    """What an attempt has in its hands: a connection, many rows."""


@pytest.mark.parametrize("kind", ["decorated", "called", "task", "called in a task"])
def test_a_failed_attempt_lets_go_of_what_it_held_before_the_next(kind):
    held: list[weakref.ref[Held]] = []

    def attempt() -> None:
        assert [seen for seen in held if seen() is not None] == []
        mine = Held()
        held.append(weakref.ref(mine))
        if len(held) < 4:
            raise ConnectionError

    async def attempt_in_task() -> None:
        attempt()

    async def no_pause(_seconds: float) -> None: ...

    gc.disable()
    try:
        if kind == "decorated":
            retry(sleep=nothing, stop=stop_after_attempt(4), reraise=True)(attempt)()
        elif kind == "called":
            Retrying(sleep=nothing, stop=stop_after_attempt(4), reraise=True)(attempt)
        elif kind == "task":
            decorated = retry(sleep=no_pause, stop=stop_after_attempt(4), reraise=True)
            asyncio.run(decorated(attempt_in_task)())
        else:
            controller = AsyncRetrying(sleep=no_pause, stop=stop_after_attempt(4), reraise=True)
            asyncio.run(controller(attempt_in_task))
    finally:
        gc.enable()
    assert len(held) == 4


def test_a_call_leaves_no_memory_behind():  # trap 67
    work = retry(retry=retry_if_result(lambda result: result < 2), sleep=nothing)

    def run() -> None:
        work(fail_first(0))()
        for attempt in Retrying(sleep=nothing):
            with attempt:
                if attempt.retry_state.attempt_number < 2:
                    raise ConnectionError

    def grown() -> int:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(300):
            run()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before

    run()
    tracemalloc.start()
    try:  # without the GIL some of what is freed is given back later
        assert any(grown() < 10_000 for _ in range(8))
    finally:
        tracemalloc.stop()


def test_the_face_imports_nothing_heavy_before_it_is_needed():
    program = (
        "import sys, holdfast.compat.tenacity as t\n"
        "t.retry(lambda: None)()\n"
        "heavy = {'asyncio', 'tornado', 'trio', 'tenacity'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout == "[]\n"


def test_metrics_and_the_snapshot_show_a_decorated_function():  # RT-18
    work = retry(name="shown", sleep=nothing)(fail_first(1))
    work()
    (shown,) = (one for one in hf.snapshot().policies if one.name == "shown")
    assert (shown.kind, shown.recovered) == ("retry", 1)
    scraped = Scrape()
    assert scraped("retry_attempts_total", policy="shown", attempt="1") == 1
    assert scraped("retry_success_total", policy="shown") == 1
