"""Functions that the face of stamina has decorated: when they are repeated, and how they end."""

import asyncio
import datetime as dt
import functools
import inspect
import math
import pickle
import random

import pytest

import holdfast as hf
from holdfast.compat import stamina
from holdfast.testing import use_clock


@stamina.retry(on=ConnectionError)
def fetch(key: str, *, default: int = 0) -> int:
    """Return what there is."""
    return default


@stamina.retry(on=ConnectionError)
async def afetch(key: str) -> str:
    return key


def retried(fn, **settings):
    waits = {"wait_initial": 0, "wait_max": 0, "wait_jitter": 0}
    return stamina.retry(**{"on": ConnectionError, **waits, **settings})(fn)


# ---- what is decorated ----


def test_a_decorated_function_looks_like_the_function_and_is_pickled_by_its_name():  # RT-18
    assert inspect.signature(fetch) == inspect.signature(fetch.__wrapped__)
    assert (fetch.__name__, fetch.__doc__) == ("fetch", "Return what there is.")
    assert pickle.loads(pickle.dumps(fetch)) is fetch
    assert inspect.iscoroutinefunction(afetch)
    assert not inspect.iscoroutinefunction(fetch)


def test_generator_functions_stay_generator_functions():
    @stamina.retry(on=ConnectionError)
    def items():
        yield 1

    @stamina.retry(on=ConnectionError)
    async def aitems():
        yield 1

    assert inspect.isgeneratorfunction(items)
    assert inspect.isasyncgenfunction(aitems)


def test_methods_of_all_kinds_are_retried_whichever_decorator_comes_first(flaky):
    wobbly = [flaky(1) for _ in range(5)]

    class Service:
        @retried
        def method(self, answer):
            return wobbly[0](answer)

        @staticmethod
        @retried
        def static_inside(answer):
            return wobbly[1](answer)

        @retried
        @staticmethod
        def static_outside(answer):
            return wobbly[2](answer)

        @classmethod
        @retried
        def of_class_inside(cls, answer):
            return wobbly[3]((cls, answer))

        @retried
        @classmethod
        def of_class_outside(cls, answer):
            return wobbly[4]((cls, answer))

    one = Service()
    assert (one.method(1), one.static_inside(2), one.static_outside(3)) == (1, 2, 3)
    assert one.of_class_inside(4) == (Service, 4)
    assert Service.of_class_outside(5) == (Service, 5)
    assert [each.calls for each in wobbly] == [2] * 5


def test_partials_and_objects_that_can_be_called_are_retried(flaky):
    wobbly = flaky(1)
    assert retried(functools.partial(wobbly, "partial"))() == "partial"
    assert retried(flaky(2))("object") == "object"


async def test_objects_whose_call_is_a_coroutine_function_are_awaited_and_retried(flaky):
    wobbly = flaky(2)

    class Client:
        async def __call__(self, answer):
            return wobbly(answer)

    assert await retried(Client())("async") == "async"
    assert wobbly.calls == 3


# ---- which errors ----


@pytest.mark.parametrize(
    "on",
    [
        ConnectionError,
        (KeyError, ConnectionError),
        (KeyError, (OSError, ValueError)),
        lambda error: isinstance(error, ConnectionError),
        lambda _: 0.0,
        lambda _: dt.timedelta(0),
    ],
    ids=["class", "tuple", "nested", "predicate", "seconds", "timedelta"],
)
def test_errors_that_on_names_are_retried_and_arguments_are_passed_again(flaky, on):
    wobbly = flaky(2, ConnectionResetError)
    assert retried(wobbly, on=on)("answer") == "answer"
    assert wobbly.calls == 3


@pytest.mark.parametrize("on", [KeyError, (), lambda _: False], ids=["class", "none", "predicate"])
def test_other_errors_are_raised_at_once(flaky, on):
    wobbly = flaky(1)
    with pytest.raises(ConnectionError):
        retried(wobbly, on=on)()
    assert wobbly.calls == 1


def test_the_last_error_is_raised_itself_and_has_no_earlier_one_as_its_context():
    errors = [ConnectionError(number) for number in range(3)]
    left = iter(errors)

    @functools.partial(retried, attempts=3)
    def fails():
        raise next(left)

    with pytest.raises(ConnectionError) as caught:
        fails()
    assert caught.value is errors[2]
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


def test_a_failed_call_leaves_no_cycle_with_its_error():
    import gc
    import weakref

    class Load:
        pass

    def fails(load):
        raise ConnectionError

    gc.disable()
    try:
        load = Load()
        seen = weakref.ref(load)
        with pytest.raises(ConnectionError) as caught:
            retried(fails, attempts=2)(load)
        caught.value.__traceback__ = None
        del caught, load
        assert seen() is None
    finally:
        gc.enable()


def test_a_rejection_is_judged_as_any_error():
    limiter = hf.RateLimiter("outbound", rate=1, per=3600)
    assert limiter.try_acquire()
    calls = []

    def send():
        calls.append(1)
        limiter.call(len, "")

    with pytest.raises(hf.RateLimitedError):
        retried(send, on=hf.RateLimitedError, attempts=3)()
    assert len(calls) == 3


@pytest.mark.parametrize("final", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
@pytest.mark.parametrize("on", [BaseException, lambda _: True], ids=["class", "predicate"])
def test_what_ends_the_program_or_the_task_is_never_retried(flaky, final, on):  # trap 50
    wobbly = flaky(5, final)
    with pytest.raises(final):
        retried(wobbly, on=on)()
    assert wobbly.calls == 1


def test_a_base_exception_that_on_names_is_retried(flaky):
    class Stop(BaseException):
        pass

    assert retried(flaky(2, Stop), on=Stop)("done") == "done"


def test_a_hook_that_returns_none_warns_and_means_no(flaky):
    wobbly = flaky(1)
    with pytest.warns(UserWarning, match="returned None"), pytest.raises(ConnectionError):
        retried(wobbly, on=lambda _: None)()
    assert wobbly.calls == 1


def test_a_hook_that_returns_no_answer_is_refused_by_name(flaky):
    def answers_nonsense(error):
        return object()

    with pytest.raises(TypeError, match=r"answers_nonsense.*allowed a bool, seconds"):
        retried(flaky(1), on=answers_nonsense)()


def test_what_a_hook_raises_ends_the_call(flaky):
    def broken(error):
        raise LookupError("in the hook")

    wobbly = flaky(1)
    with pytest.raises(LookupError, match="in the hook"):
        retried(wobbly, on=broken)()
    assert wobbly.calls == 1


# ---- how often ----


@pytest.mark.parametrize(("attempts", "calls"), [(4, 4), (1, 1), (0, 1), (-1, 1), (2.5, 3)])
def test_so_many_attempts_are_made_but_one_at_least(flaky, attempts, calls):
    wobbly = flaky(99)
    with pytest.raises(ConnectionError):
        retried(wobbly, attempts=attempts)()
    assert wobbly.calls == calls


def test_without_limits_a_call_is_repeated_until_it_succeeds(flaky):
    assert retried(flaky(1_500), attempts=None, timeout=None)("at last") == "at last"


def test_a_timeout_is_by_the_time_that_a_test_has_frozen(flaky, monkeypatch):
    times = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: times[-1])
    monkeypatch.setattr("time.sleep", lambda seconds: times.append(times[-1] + seconds))
    failing = flaky(60)
    again = stamina.retry(
        on=ConnectionError, attempts=None, timeout=10, wait_initial=4, wait_jitter=0
    )(failing)
    with pytest.raises(ConnectionError):
        again()
    assert (failing.calls, times) == (4, [100, 104, 109, 114])


def test_no_attempt_follows_a_failure_after_the_timeout():
    with use_clock() as clock:
        calls = []

        @stamina.retry(
            on=ConnectionError, timeout=dt.timedelta(seconds=10), wait_initial=3, wait_jitter=0
        )
        def fails():
            calls.append(clock.now())
            raise ConnectionError

        with pytest.raises(ConnectionError):
            fails()
    assert calls == [0, 3, 8, 13]


# ---- how long ----


def pauses_of(told):
    return [details.wait_for for details in told]


def test_pauses_grow_by_the_base_up_to_the_longest(flaky, told):
    with use_clock() as clock:
        wobbly = flaky(5)
        stamina.retry(
            on=ConnectionError,
            timeout=None,
            wait_initial=dt.timedelta(seconds=0.5),
            wait_jitter=0,
            wait_exp_base=3,
            wait_max=10,
        )(wobbly)()
        assert clock.now() == 0.5 + 1.5 + 4.5 + 10 + 10
    assert pauses_of(told) == [0.5, 1.5, 4.5, 10, 10]
    assert [details.waited_so_far for details in told] == [0, 0.5, 2, 6.5, 16.5]


def test_jitter_is_added_and_never_exceeds_the_longest_pause(flaky, told):  # trap 49
    with use_clock():
        random.seed(7)
        stamina.retry(on=ConnectionError, attempts=None, timeout=None)(flaky(60))()
    first, *_ = pauses_of(told)
    assert 0.1 <= first <= 1.1
    assert len(set(pauses_of(told)[:5])) == 5
    assert max(pauses_of(told)) == 5.0


def test_the_jitter_is_drawn_where_tests_replace_it(flaky, told, monkeypatch):
    monkeypatch.setattr("random.uniform", lambda least, most: most)
    with use_clock():
        stamina.retry(on=ConnectionError, wait_initial=1, wait_jitter=3)(flaky(1))()
    assert pauses_of(told) == [4]


def test_seeding_the_module_random_repeats_the_pauses(flaky, told):
    with use_clock():
        for _ in range(2):
            random.seed(7)
            stamina.retry(on=ConnectionError)(flaky(4))()
    assert pauses_of(told)[:4] == pauses_of(told)[4:]


@pytest.mark.parametrize(
    ("asked", "pause"),
    [
        (7.5, 7.5),
        (dt.timedelta(minutes=2), 120.0),
        (0, 0.0),
        (-3, 0.0),
        (dt.timedelta(seconds=-1), 0.0),
        (math.nan, 0.0),
    ],
)
def test_a_pause_that_a_hook_asks_for_is_waited_whatever_the_longest(flaky, told, asked, pause):
    with use_clock() as clock:  # trap 49
        stamina.retry(on=lambda _: asked)(flaky(1))()
        assert clock.now() == pause
    assert pauses_of(told) == [pause]


def test_powers_that_overflow_are_the_longest_pause():  # trap 49
    for base in (2, 2.0, 10**300):
        context = stamina.retry_context(on=ValueError, wait_exp_base=base, wait_max=7)
        assert context._backoff_for_attempt_number(1_000_000_000) == 7


def test_pauses_are_made_by_whatever_sleep_there_is(flaky, monkeypatch):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    stamina.retry(on=ConnectionError, wait_initial=3, wait_max=4, wait_jitter=0)(flaky(2))()
    retried(flaky(1))()
    assert slept == [3, 4, 0]


async def test_a_coroutine_function_pauses_without_blocking_its_loop(flaky, loop):
    wobbly = flaky(2)

    @stamina.retry(on=ConnectionError, wait_initial=3, wait_jitter=0)
    async def fails(answer):
        return wobbly(answer)

    async def tick():
        await asyncio.sleep(1)
        return loop.time()

    before = loop.time()
    ticks = asyncio.ensure_future(tick())
    assert await fails("answer") == "answer"
    assert loop.time() - before == pytest.approx(8)
    assert await ticks - before == pytest.approx(1)


async def test_a_cancelled_pause_ends_at_once_and_nothing_is_tried_again(flaky):  # trap 50
    wobbly = flaky(99)

    @stamina.retry(on=BaseException, wait_initial=5)
    async def fails():
        wobbly()

    task = asyncio.ensure_future(fails())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert wobbly.calls == 1


async def test_a_cancelled_attempt_is_not_retried_though_on_names_everything():  # trap 50
    calls = []

    @stamina.retry(on=BaseException, wait_initial=0, wait_max=0)
    async def hangs():
        calls.append(1)
        await asyncio.sleep(3_600)

    task = asyncio.ensure_future(hangs())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert calls == [1]


# ---- bad input ----


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"on": "ConnectionError"}, "on: got 'ConnectionError', allowed an exception class"),
        ({"on": [ConnectionError]}, "on: got .*, allowed an exception class, a tuple of them"),
        ({"on": (ConnectionError, 7)}, "on: got"),
        ({"attempts": "3"}, "attempts: got '3', allowed a number"),
        ({"timeout": "5s"}, "timeout: got '5s', allowed seconds or a timedelta"),
        ({"wait_max": math.nan}, "wait_max: got nan"),
        ({"wait_jitter": None}, "wait_jitter: got None"),
        ({"wait_exp_base": 1j}, "wait_exp_base: got 1j"),
    ],
)
def test_wrong_arguments_are_refused_where_they_are_written(settings, problem):
    with pytest.raises(hf.ConfigError, match=problem):
        stamina.retry(**{"on": ConnectionError, **settings})
    with pytest.raises(hf.ConfigError, match=problem):
        stamina.retry_context(**{"on": ConnectionError, **settings})


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(hf.ConfigError, match=r"attempts: .*; timeout: .*; wait_max: "):
        stamina.RetryingCaller(attempts="a", timeout="b", wait_max="c")


def test_on_is_needed_and_by_name():
    with pytest.raises(TypeError, match="on"):
        stamina.retry()
    with pytest.raises(TypeError):
        stamina.retry(ConnectionError)


@pytest.mark.parametrize("timeout", [0, 0.0, dt.timedelta(0)])
def test_a_timeout_of_zero_warns_where_it_is_written(timeout):
    for make in (
        lambda: stamina.retry(on=ValueError, timeout=timeout),
        lambda: stamina.retry_context(on=ValueError, timeout=timeout),
        lambda: stamina.RetryingCaller(timeout=timeout),
    ):
        with pytest.warns(UserWarning, match="timeout=0 means no retries") as warned:
            make()
        assert warned.pop().filename == __file__
