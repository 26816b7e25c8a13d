"""The face of backoff: functions that are called again while they raise."""

import asyncio
import contextlib
import datetime
import gc
import inspect
import itertools
import pickle
import threading
import weakref

import pytest

import holdfast as hf
from holdfast import mode
from holdfast.compat import backoff
from holdfast.testing import chaos_enabled, retries_off, use_clock
from tests.compat.backoff.failing import failing


@backoff.on_exception(backoff.constant, KeyError, interval=0)
def at_the_top(key):
    """Say what it is for."""
    return {1: "one"}[key]


def test_it_has_the_names_of_the_library():  # RT-18
    assert backoff.__version__ == "2.2.1"
    assert sorted(backoff.__all__) == [
        "constant", "expo", "fibo", "full_jitter",
        "on_exception", "on_predicate", "random_jitter", "runtime",
    ]  # fmt: skip
    taken = inspect.signature(backoff.on_exception).parameters
    assert [*taken] == [
        "wait_gen", "exception", "max_tries", "max_time", "jitter", "giveup", "on_success",
        "on_backoff", "on_giveup", "raise_on_giveup", "logger", "backoff_log_level",
        "giveup_log_level", "wait_gen_kwargs",
    ]  # fmt: skip
    assert taken["max_tries"].kind is inspect.Parameter.KEYWORD_ONLY
    assert (taken["jitter"].default, taken["logger"].default) == (backoff.full_jitter, "backoff")


def test_a_function_is_called_again_until_it_succeeds(slept):
    fetch, calls = failing(3)
    again = backoff.on_exception(backoff.expo, ConnectionError, jitter=None)(fetch)
    assert again("a", b=1) == "ok"
    assert calls == [(("a",), {"b": 1})] * 4
    assert slept == [1, 2, 4]


@pytest.mark.parametrize("several", [(KeyError, ValueError), [KeyError, ValueError]])
def test_several_classes_may_be_named(slept, several):
    errors = iter([KeyError("a"), ValueError("b"), OSError("c")])

    @backoff.on_exception(backoff.expo, several)
    def fetch():
        raise next(errors)

    with pytest.raises(OSError, match="c"):
        fetch()
    assert len(slept) == 2


@pytest.mark.parametrize("limit", [3, lambda: 3, 3.0])
def test_after_so_many_tries_the_exception_is_raised(slept, limit):
    fetch, calls = failing(10)
    again = backoff.on_exception(backoff.expo, ConnectionError, max_tries=limit)(fetch)
    with pytest.raises(ConnectionError, match="number 3"):
        again()
    assert len(calls) == 3
    assert len(slept) == 2


def test_no_tries_are_one_try():  # theirs never ended
    fetch, calls = failing(10)
    again = backoff.on_exception(backoff.expo, ConnectionError, max_tries=lambda: 0)(fetch)
    with pytest.raises(ConnectionError):
        again()
    assert len(calls) == 1


def test_the_time_of_an_attempt_counts_for_max_time():  # their pull request 130
    with use_clock() as clock:

        @backoff.on_exception(backoff.constant, ConnectionError, max_time=10, jitter=None)
        def slow():
            clock.advance(60)
            raise ConnectionError

        with pytest.raises(ConnectionError):
            slow()
        assert clock.now() == 60


def test_the_last_pause_is_what_is_left_of_max_time():
    with use_clock() as clock:
        told = []

        @backoff.on_exception(
            backoff.constant, ConnectionError, interval=4, max_time=lambda: 10, jitter=None,
            on_backoff=told.append,
        )  # fmt: skip
        def fetch():
            raise ConnectionError

        with pytest.raises(ConnectionError):
            fetch()
        assert [details["wait"] for details in told] == [4, 4, 2]
        assert [details["elapsed"] for details in told] == [0, 4, 8]
        assert clock.now() == 10


def test_the_time_of_a_test_that_replaces_datetime_is_followed(slept, monkeypatch):
    start = datetime.datetime(2018, 1, 1, 12)
    moments = [start + datetime.timedelta(seconds=s) for s in (10.000005, 9, 1, 0)]

    class Frozen:
        @staticmethod
        def now():
            return moments.pop()

    ended = []
    fetch, calls = failing(10)
    again = backoff.on_exception(
        backoff.expo, ConnectionError, jitter=None, max_time=10, on_giveup=ended.append
    )(fetch)
    monkeypatch.setattr("datetime.datetime", Frozen)
    with pytest.raises(ConnectionError):
        again()
    assert (ended[0]["tries"], ended[0]["elapsed"], len(calls)) == (3, 10.000005, 3)


def test_the_time_may_be_one_that_a_test_has_frozen(monkeypatch):
    times = [100]
    monkeypatch.setattr("time.monotonic", lambda: times[-1])
    monkeypatch.setattr("time.sleep", lambda seconds: times.append(times[-1] + seconds))
    fetch, calls = failing(60)
    again = backoff.on_exception(
        backoff.constant, ConnectionError, interval=4, max_time=10, jitter=None
    )
    with pytest.raises(ConnectionError):
        again(fetch)()
    assert (len(calls), times) == (4, [100, 104, 108, 110])


def test_the_time_of_day_that_is_set_back_prolongs_nothing():  # trap 20, their pull request 185
    with use_clock() as clock:
        fetch, calls = failing(100)
        again = backoff.on_exception(
            backoff.constant, ConnectionError, interval=1, jitter=None, max_time=5
        )(fetch)
        with pytest.raises(ConnectionError):
            again()
    assert len(calls) == 6
    assert clock.now() == 5


def test_a_wait_generator_that_ends_gives_the_call_up(slept):
    fetch, _ = failing(10)
    told = [], [], []
    again = backoff.on_exception(
        backoff.constant, ConnectionError, interval=(1, 2, 3), jitter=None,
        on_backoff=told[0].append, on_giveup=told[1].append, on_success=told[2].append,
    )(fetch)  # fmt: skip
    with pytest.raises(ConnectionError, match="number 4"):
        again()
    assert slept == [1, 2, 3]
    assert [*map(len, told)] == [3, 1, 0]


@pytest.mark.parametrize("limits", [{"max_tries": 2, "interval": 0}, {"interval": [0]}])
def test_an_exception_that_is_given_up_may_be_left_unraised(limits):  # also where waits end
    fetch, calls = failing(10)
    again = backoff.on_exception(
        backoff.constant, ConnectionError, raise_on_giveup=False, **limits
    )(fetch)
    assert again() is None
    assert len(calls) == 2


def test_giveup_says_which_exceptions_are_not_tried_again(slept):
    fetch, _ = failing(10)
    ended = []
    again = backoff.on_exception(
        backoff.constant, ConnectionError, giveup=lambda e: "2" in str(e), on_giveup=ended.append
    )(fetch)
    with pytest.raises(ConnectionError, match="number 2"):
        again()
    assert again.policy.snapshot().gave_up["not_retryable"] == 1
    assert [details["tries"] for details in ended] == [2]


def test_a_pause_can_depend_on_the_exception(slept):
    fetch, _ = failing(2)
    again = backoff.on_exception(
        backoff.runtime, ConnectionError, value=lambda e: int(str(e)[-1]) * 10, jitter=None
    )(fetch)
    assert again() == "ok"
    assert slept == [10, 20]


def test_arguments_of_the_wait_generator_may_be_callables(slept):
    def waits(first=None, step=None):
        assert (first, step) == (5, 2)
        for number in itertools.count():
            yield first + step * number

    fetch, _ = failing(2)
    again = backoff.on_exception(waits, ConnectionError, jitter=None, first=lambda: 5, step=2)(
        fetch
    )
    again()
    assert slept == [7, 9]  # the first value is asked for with nothing to judge


def test_a_type_error_within_a_callable_is_not_hidden():  # theirs took the callable for a number
    def broken(*args):
        return len(3)

    for settings in ({"max_tries": broken}, {"interval": broken}, {"jitter": broken}):
        again = backoff.on_exception(backoff.constant, ConnectionError, **settings)(failing(9)[0])
        with pytest.raises(TypeError, match="has no len"):
            again()


def test_a_jitter_without_argument_is_still_added(slept):
    fetch, _ = failing(1)
    again = backoff.on_exception(backoff.constant, ConnectionError, interval=2, jitter=lambda: 0.5)(
        fetch
    )
    with pytest.deprecated_call(match="Nullary jitter"):
        again()
    assert slept == [2.5]


def test_a_jitter_below_nothing_is_no_pause(slept):  # trap 49
    fetch, _ = failing(1)
    backoff.on_exception(backoff.constant, ConnectionError, jitter=lambda s: s - 9)(fetch)()
    assert slept == [0]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"exception": "ConnectionError"}, "exception: got 'C', allowed a class of exceptions"),
        ({"exception": 3}, "exception: got 3, allowed a class of exceptions"),
        ({"max_tries": "3"}, "max_tries: got '3', allowed a number"),
        ({"max_time": datetime.timedelta(1)}, "max_time: got datetime.timedelta"),
        ({"on_giveup": 3}, "a handler: got 3, allowed a callable"),
    ],
)
def test_settings_that_are_none_are_refused_when_the_function_is_decorated(settings, text):
    with pytest.raises(TypeError, match=text):
        backoff.on_exception(backoff.expo, **{"exception": OSError, **settings})


@pytest.mark.parametrize("final", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interruption_is_never_tried_again(final):  # trap 50
    fetch, _ = failing(1, final)
    again = backoff.on_exception(backoff.expo, BaseException)(fetch)
    with pytest.raises(final):
        again()
    assert again.policy.snapshot().gave_up["cancelled"] == 1


def test_an_interruption_of_a_pause_ends_the_call(monkeypatch):  # trap 50
    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupted)
    fetch, calls = failing(9)
    again = backoff.on_exception(backoff.expo, Exception)(fetch)
    with pytest.raises(KeyboardInterrupt):
        again()
    assert len(calls) == 1
    assert again.policy.snapshot().gave_up["cancelled"] == 1


def test_no_pause_outlasts_an_enclosing_timeout():  # RT-18
    with use_clock() as clock:
        fetch, calls = failing(9)
        ended = []
        again = backoff.on_exception(
            backoff.constant, ConnectionError, interval=60, jitter=None, on_giveup=ended.append
        )(fetch)
        with pytest.raises(ConnectionError):
            hf.Timeout(30).call(again)
        assert clock.now() == 0
    assert (len(calls), len(ended)) == (1, 1)
    assert again.policy.snapshot().gave_up["deadline"] == 1


def test_a_rejection_of_ours_is_tried_again_if_it_is_named(slept):
    limiter = hf.RateLimiter("api", rate=1, per=3600)
    for named, tries in ((hf.Rejected, 3), (ValueError, 1)):
        fetch, calls = failing(9)
        again = backoff.on_exception(backoff.expo, named, max_tries=3)(limiter(fetch))
        limiter.try_acquire()
        slept.clear()
        with pytest.raises(hf.RateLimitedError):
            again()
        assert (len(slept), calls) == (tries - 1, [])


def test_the_policy_counts_under_the_name_of_the_function(slept):  # RT-18
    fetch, _ = failing(2)
    told = []
    again = backoff.on_exception(backoff.expo, ConnectionError, jitter=None)(fetch)
    again.policy.on_event(lambda event: told.append(event.kind))
    again()
    again()
    shown = again.policy.snapshot()
    assert shown.name == f"{failing.__module__}.failing.<locals>.fetch"
    assert (shown.succeeded, shown.recovered, sum(shown.retries)) == (2, 1, 2)
    assert shown.delay == 3
    assert told == ["retry", "retry", "recovered"]
    assert hf.registry.get("retry", shown.name) is again.policy


def test_many_decorated_functions_of_one_name_share_a_policy():  # trap 67
    decorator = backoff.on_exception(backoff.expo, OSError)
    assert len({id(decorator(failing(0)[0]).policy) for _ in range(1000)}) == 1


def test_tests_can_switch_retries_off(slept):
    fetch, calls = failing(1)
    again = backoff.on_exception(backoff.expo, ConnectionError)(fetch)
    with retries_off(), pytest.raises(ConnectionError):
        again()
    assert (len(calls), slept) == (1, [])


def test_faults_strike_each_attempt(slept):
    fetch, calls = failing(0)
    again = backoff.on_exception(backoff.expo, ConnectionError)(fetch)
    with chaos_enabled() as chaos:
        chaos(again.policy.name).fail(ConnectionError, times=2)
        assert again() == "ok"
    assert (len(slept), len(calls)) == (2, 1)


@pytest.mark.parametrize("word", [mode.Mode.OBSERVE, mode.Mode.OFF])
def test_a_mode_that_enforces_nothing_makes_no_retry(monkeypatch, slept, word):
    monkeypatch.setattr(mode, "_of_process", word)
    fetch, calls = failing(1)
    again = backoff.on_exception(backoff.expo, ConnectionError)(fetch)
    with pytest.raises(ConnectionError):
        again()
    assert (len(calls), slept) == (1, [])
    assert again.policy.snapshot().observed == (word is mode.Mode.OBSERVE)


def test_a_decorated_function_keeps_what_it_is():
    assert (at_the_top.__name__, at_the_top.__doc__) == ("at_the_top", "Say what it is for.")
    assert str(inspect.signature(at_the_top)) == "(key)"
    assert pickle.loads(pickle.dumps(at_the_top)) is at_the_top
    assert at_the_top(1) == "one"


def test_methods_of_all_kinds_can_be_decorated(slept):
    again = backoff.on_exception(backoff.expo, ConnectionError, max_tries=2)

    class Client:
        calls = 0

        @again
        def of_object(self, n):
            Client.calls += 1
            if Client.calls % 2:
                raise ConnectionError
            return self, n

        @again
        @classmethod
        def of_class(cls, n):
            return cls, n

        @again
        @staticmethod
        def of_none(n):
            return n

    client = Client()
    assert client.of_object(1) == (client, 1)
    assert (client.of_class(2), Client.of_none(3), client.of_none(4)) == ((Client, 2), 3, 4)
    assert len(slept) == 1


def test_decorators_can_be_combined(slept):
    errors = iter([KeyError(), ValueError(), KeyError()])

    @backoff.on_predicate(backoff.constant, max_tries=5)
    @backoff.on_exception(backoff.constant, KeyError)
    @backoff.on_exception(backoff.constant, ValueError)
    def fetch():
        for error in errors:
            raise error
        return "ok"

    assert fetch() == "ok"
    assert len(slept) == 3


def test_threads_call_one_function_at_a_time_of_their_own(slept):
    waits = []

    @backoff.on_exception(backoff.expo, ConnectionError, jitter=None, max_tries=4)
    def fetch(log):
        log.append(None)
        if len(log) < 4:
            raise ConnectionError

    def work():
        log = []
        fetch(log)
        waits.append(len(log))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert waits == [4] * 8
    assert sorted(slept) == [1] * 8 + [2] * 8 + [4] * 8


def test_a_plain_function_needs_no_event_loop(slept):
    asyncio.set_event_loop(None)
    fetch, _ = failing(1)
    assert backoff.on_exception(backoff.expo, ConnectionError)(fetch)() == "ok"


@pytest.mark.parametrize("raises", [True, False])
def test_a_call_that_was_given_up_keeps_nothing_alive(slept, raises):  # trap 14
    class BrokenError(Exception):
        def __init__(self):
            kept.append(weakref.ref(self))

    class Argument:
        pass

    @backoff.on_exception(
        backoff.expo, BrokenError, max_tries=3, raise_on_giveup=raises, logger=None
    )
    def fetch(argument):
        kept.append(weakref.ref(argument))
        raise BrokenError

    kept = []
    gc.disable()
    try:
        with contextlib.suppress(BrokenError):
            fetch(Argument())
        assert [one() for one in kept] == [None] * 6
    finally:
        gc.enable()
