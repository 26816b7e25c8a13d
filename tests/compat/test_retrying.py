"""What the retrying faces share: a policy for each name, and calls that it counts and limits."""

import asyncio
import concurrent.futures
import io
import multiprocessing
import pickle
import sys
import threading
import tracemalloc
from collections.abc import Callable
from functools import partial
from types import FunctionType

import pytest

import holdfast as hf
from holdfast.compat import backoff, stamina, tenacity
from holdfast.compat._retrying import Course, aio_sleep, is_final, name_of, policy_of, to_ns
from holdfast.testing import chaos_enabled, isolated_registry, retries_off, use_clock
from holdfast.validation import MAX_NS


@pytest.fixture(autouse=True)
def _apart():
    with isolated_registry():
        yield


def nothing(_seconds: float) -> None:
    """Wait no time at all."""


def test_all_who_ask_for_a_name_share_its_policy_which_the_registry_has():  # RT-18
    policy = policy_of("payments")
    assert policy_of("payments") is policy
    assert policy_of("refunds") is not policy
    assert hf.registry.get("retry", "payments") is policy


def test_many_faces_of_one_name_cost_the_registry_one_entry():  # RT-18, trap 67
    policies = {id(policy_of("in a loop")) for _ in range(20_000)}
    assert len(policies) == 1
    assert len(hf.registry.all("retry")) == 1


def test_names_without_end_are_not_kept_without_end():  # trap 67
    for number in range(4_200):
        policy_of(f"job {number}")
    assert len(hf.registry.all("retry")) <= 4_096


def test_a_policy_made_under_a_tests_clock_is_of_that_clock():
    before = policy_of("payments")
    with use_clock() as clock:
        course = Course(policy_of("payments"))
        assert course.policy is not before
        assert course.again(3_600)
        course.pause(3_600, pytest.fail, replaceable=True)
        assert clock.now() == 3_600
        course.succeed()
    assert policy_of("payments") is before


def test_threads_that_ask_at_once_get_one_policy():
    barrier = threading.Barrier(4)

    def ask(_: int) -> int:
        barrier.wait()
        return id(policy_of("asked for at once"))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ask, range(4)))) == 1


@pytest.mark.parametrize(
    ("given", "shown"),
    [("", "unnamed"), ("a\nb", "a?b"), ("x" * 300, "x" * 200), ("zahlung €", "zahlung €")],
)
def test_any_text_may_be_a_name(given, shown):
    assert policy_of(given).name == shown
    assert policy_of(given) is policy_of(given)


class Called:
    def __call__(self) -> None: ...

    def method(self) -> None: ...


@pytest.mark.parametrize(
    ("fn", "name"),
    [
        (nothing, f"{__name__}.nothing"),
        (partial(nothing, 1), f"{__name__}.nothing"),
        (Called(), f"{__name__}.Called"),
        (Called().method, f"{__name__}.Called.method"),
        (len, "builtins.len"),
    ],
)
def test_a_function_is_named_by_its_module_and_qualified_name(fn, name):
    assert name_of(fn) == name


@pytest.mark.parametrize(
    ("seconds", "ns"),
    [
        (0, 0),
        (-1, 0),
        (float("nan"), 0),
        (1.5, 1_500_000_000),
        (float("inf"), MAX_NS),
        (10**20, MAX_NS),
    ],
)
def test_any_number_is_a_pause(seconds, ns):  # trap 49
    assert to_ns(seconds) == ns


def ended(course: Course) -> dict[str, int]:
    """Return how often a course's policy has given up, without the zeros."""
    return {why: n for why, n in course.policy.snapshot().gave_up.items() if n}


def test_a_call_is_counted_with_its_retries_pauses_and_end():  # RT-18
    told = []
    policy = policy_of("payments")
    policy.on_event(told.append)
    course = Course(policy)
    for _ in range(2):
        assert course.again(0.5, ConnectionError("refused"))
        course.pause(0.5, nothing)
    course.succeed()
    shot = policy.snapshot()
    assert (shot.attempts, shot.succeeded, shot.recovered, shot.delay) == (3, 1, 1, 1.0)
    assert shot.retries[:2] == (1, 1)
    assert [event.kind for event in told] == ["retry", "retry", "recovered"]
    assert (told[0].reason, told[0].retry_after) == ("ConnectionError", 0.5)


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (lambda course: course.give_up(), "exhausted"),
        (lambda course: course.give_up("out_of_time"), "out_of_time"),
        (lambda course: course.refuse(KeyError()), "not_retryable"),
        (lambda course: course.refuse(asyncio.CancelledError()), "cancelled"),
        (lambda course: course.refuse(hf.Rejected("full", hf.Retry("r"))), "rejected"),
        (lambda course: course.stop(KeyError()), "not_retryable"),
        (lambda course: course.stop(KeyboardInterrupt()), "cancelled"),
    ],
)
def test_a_failure_is_counted_once_by_its_reason(end: Callable[[Course], None], why):
    course = Course(policy_of("payments"))
    end(course)
    course.succeed()
    course.give_up()
    assert ended(course) == {why: 1}
    assert course.policy.snapshot().succeeded == 0


def test_a_call_that_is_dropped_in_its_pause_counts_as_cancelled():
    course = Course(policy_of("payments"))
    course.again(1)
    policy = course.policy
    del course
    assert policy.snapshot().gave_up["cancelled"] == 1


def test_an_interrupted_pause_is_no_retry():
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    course = Course(policy_of("payments"))
    course.again(1)
    with pytest.raises(KeyboardInterrupt):
        course.pause(1, interrupt)
    assert ended(course) == {"cancelled": 1}
    assert course.policy.snapshot().retries[0] == 0


async def test_a_task_cancelled_in_a_pause_ends_at_once():  # trap 50
    course = Course(policy_of("payments"))
    course.again(3_600)
    task = asyncio.ensure_future(course.apause(3_600))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended(course) == {"cancelled": 1}


async def test_a_task_waits_until_its_manual_clock_is_moved():
    with use_clock() as clock:
        policy = policy_of("payments")
    task = asyncio.ensure_future(aio_sleep(policy, 60))
    await asyncio.sleep(0)
    assert not task.done()
    clock.advance(60)
    await task


class Own(BaseException):
    """A user's own, who may have it tried again."""


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (asyncio.CancelledError(), True),
        (KeyboardInterrupt(), True),
        (SystemExit(), True),
        (GeneratorExit(), True),
        (BaseExceptionGroup("", [ValueError(), asyncio.CancelledError()]), True),
        (BaseExceptionGroup("", [BaseExceptionGroup("", [KeyboardInterrupt()])]), True),
        (ExceptionGroup("", [ValueError()]), False),
        (ConnectionError(), False),
        (hf.Rejected("full", hf.Retry("r")), False),
        (Own(), False),
        (BaseExceptionGroup("", [Own()]), False),
    ],
)
def test_only_who_gave_up_or_ends_the_process_is_never_tried_again(error, final):  # trap 50
    assert is_final(error) is final


def test_a_cancellation_of_trio_is_never_tried_again(monkeypatch):  # trap 50
    class Cancelled(BaseException): ...

    trio = type(sys)("trio")
    trio.Cancelled = Cancelled
    monkeypatch.setitem(sys.modules, "trio", trio)
    assert is_final(Cancelled())


def test_no_pause_outlasts_an_enclosing_timeout():  # RT-18
    def call() -> tuple[bool, bool]:
        return Course(policy).again(1), Course(policy).again(60)

    with use_clock():
        policy = policy_of("payments")
        assert hf.Timeout(30).call(call) == (True, False)
    assert policy.snapshot().gave_up["deadline"] == 1


def test_no_retry_is_made_where_a_test_has_them_off():
    told = []
    course = Course(policy_of("payments"))
    course.policy.on_event(told.append)
    with retries_off():
        assert not course.again(1)
    assert ended(course) == {"exhausted": 1}
    assert [event.kind for event in told] == ["gave_up"]


def test_no_retry_is_made_in_mode_observe_and_nobody_is_told(monkeypatch):  # RT-18
    monkeypatch.setattr("holdfast.mode._of_process", hf.Mode.OBSERVE)
    course = Course(policy_of("payments"))
    course.policy.on_event(pytest.fail)
    assert not course.again(1)
    assert course.policy.snapshot().observed == 1
    assert ended(course) == {"exhausted": 1}


def test_a_fault_that_is_attached_to_the_name_strikes_each_attempt():
    policy = policy_of("payments")
    with chaos_enabled() as chaos:
        chaos("payments").fail(ConnectionError, times=1)
        with pytest.raises(ConnectionError):
            policy.run(len, ("ok",), {})
        assert policy.run(len, ("ok",), {}) == 2
    assert policy.faults is None


async def test_a_fault_strikes_attempts_of_tasks():
    async def answer() -> int:
        return 42

    policy = policy_of("payments")
    with chaos_enabled() as chaos:
        chaos("payments").fail(ConnectionError, times=1)
        with pytest.raises(ConnectionError):
            await policy.arun(answer, (), {})
        assert await policy.arun(answer, (), {}) == 42
    assert await policy.arun(answer, (), {}) == 42


def test_the_policy_of_a_face_retries_nothing_by_itself():
    with pytest.raises(ConnectionError):
        policy_of("payments").call(_refuse)


def _refuse() -> None:
    raise ConnectionError


def _count_in_child(sent) -> None:
    policy = policy_of("payments")
    before = policy.snapshot().succeeded
    course = Course(policy)
    course.again(0)
    course.pause(0, nothing)
    course.succeed()
    sent.send((before, policy.snapshot().succeeded, policy_of("new").name))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_counts_from_zero():
    policy = policy_of("payments")
    policy.count_success(0)
    context = multiprocessing.get_context("fork")
    there, here = context.Pipe()
    child = context.Process(target=_count_in_child, args=(here,))
    child.start()
    assert there.recv() == (0, 1, "new")
    child.join()
    assert policy.snapshot().succeeded == 1


def test_a_thousand_failures_leave_nothing_behind():  # trap 67
    policy = policy_of("payments")

    def fail() -> None:
        course = Course(policy)
        course.again(0, ValueError())
        course.pause(0, nothing)
        course.give_up()

    fail()
    tracemalloc.start()
    try:
        for _ in range(1_000):
            fail()
        assert tracemalloc.get_traced_memory()[0] < 20_000
    finally:
        tracemalloc.stop()


class ByValue(pickle.Pickler):
    """Pickles functions that nobody can import by what they hold, as Ray, Dask and Spark do."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())
        self.seen: set[int] = set()

    def reducer_override(self, obj):
        if not isinstance(obj, FunctionType) or "<" not in obj.__qualname__:
            return NotImplemented
        if id(obj) in self.seen:
            return list, ()
        self.seen.add(id(obj))
        cells = [cell.cell_contents for cell in obj.__closure__ or ()]
        return list, ([cells, obj.__defaults__, obj.__kwdefaults__, obj.__dict__],)


@pytest.mark.parametrize(
    "decorate",
    [
        tenacity.retry,
        tenacity.retry(before=tenacity.before_nothing, stop=tenacity.stop_after_attempt(2)),
        stamina.retry(on=OSError),
        stamina.retry(on=lambda error: True, timeout=None),
        backoff.on_exception(backoff.expo, OSError, max_tries=3),
        backoff.on_predicate(backoff.fibo),
    ],
)
def test_what_is_decorated_can_be_sent_to_another_process_by_value(decorate):
    def plain():
        return 42

    async def in_task():
        return 42

    for fn in (plain, in_task):
        pickler = ByValue()
        pickler.dump(decorate(fn))
        assert id(fn) in pickler.seen
