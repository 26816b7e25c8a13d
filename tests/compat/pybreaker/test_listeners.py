"""The face of pybreaker: listeners, subclasses, and methods that are replaced. RT-18."""

import asyncio
import gc
import threading
import weakref
from unittest import mock

import pytest

from holdfast import testing
from holdfast.compat import pybreaker
from holdfast.compat.pybreaker import CircuitBreaker, CircuitBreakerError, CircuitBreakerListener
from tests.compat.pybreaker.parts import (
    Changes,
    DictStorage,
    DownError,
    Recorder,
    afail,
    fail,
    fails,
    quietly,
)

STORAGES = pytest.mark.parametrize("kept", [None, DictStorage], ids=["memory", "own"])


@pytest.fixture(autouse=True)
def clock():
    """The time of all breakers of a test."""
    with testing.use_clock() as manual:
        yield manual


def made(kept, **settings):
    return CircuitBreaker(state_storage=kept and kept(), **settings)


@STORAGES
def test_listeners_hear_of_calls_and_changes_in_the_order_of_pybreaker(kept):
    heard = Recorder()
    breaker = made(kept, fail_max=2, reset_timeout=0, listeners=[heard])
    breaker.call(int, "7", base=8)
    assert heard.heard == [("before", "int", ("7",), {"base": 8}), "success"]
    quietly(lambda: breaker.call(fail), times=2)
    assert heard.words[2:] == [
        "before",
        "failure down",
        "before",
        "failure down",
        "closed->open",
    ]
    assert heard.counters == [1, 2]
    breaker.call(int)
    assert heard.words[-4:] == ["open->half-open", "before", "half-open->closed", "success"]


@STORAGES
def test_a_refused_call_is_heard_of_by_nobody(kept):
    heard = Recorder()
    breaker = made(kept, listeners=[heard])
    breaker.open()
    fails(lambda: breaker.call(int), error=CircuitBreakerError)
    assert heard.words == ["closed->open"]


@STORAGES
def test_an_excluded_exception_is_heard_of_as_a_success(kept):
    heard = Recorder()
    breaker = made(kept, exclude=[DownError], listeners=[heard])
    fails(lambda: breaker.call(fail))
    assert heard.words == ["before", "success"]


@STORAGES
@pytest.mark.parametrize("throws", [True, False])
def test_the_failure_that_opens_is_told_once(kept, throws):
    heard = Recorder()
    breaker = made(kept, fail_max=1, throw_new_error_on_trip=throws, listeners=[heard])
    quietly(lambda: breaker.call(fail))
    assert heard.words == ["before", "failure down", "closed->open"]
    breaker.close()
    quietly(lambda: breaker.call(fail))
    assert heard.words[3:] == ["open->closed", "before", "failure down", "closed->open"]


@STORAGES
def test_the_failure_that_opens_is_told_while_the_circuit_is_still_shown_as_closed(kept):
    seen = []

    class Looking(CircuitBreakerListener):
        def failure(self, cb, exc):
            seen.append((cb.current_state, cb.state.name, cb.fail_counter))

    breaker = made(kept, fail_max=2, reset_timeout=0, listeners=[Looking()])
    quietly(lambda: breaker.call(fail), times=3)
    assert seen == [("closed", "closed", 1), ("closed", "closed", 2), ("half-open",) * 2 + (3,)]
    assert breaker.current_state == breaker.state.name == "open"


def test_nobody_keeps_the_failure_that_opens():
    class OnlySuccesses(CircuitBreakerListener):
        def success(self, cb):
            """Hear of it."""

    breaker = made(None, fail_max=1, listeners=[OnlySuccesses()], throw_new_error_on_trip=False)
    with pytest.raises(DownError) as caught:
        breaker.call(fail)
    error = weakref.ref(caught.value)
    del caught
    gc.collect()
    assert error() is None


def test_a_listener_may_close_the_circuit_as_it_hears_of_a_failure():
    class Closing(Recorder):
        def failure(self, cb, exc):
            super().failure(cb, exc)
            cb.close()

    heard = Closing()
    breaker = CircuitBreaker(fail_max=1, listeners=[heard])
    quietly(lambda: breaker.call(fail))
    assert breaker.current_state == breaker.state.name == "closed"
    assert breaker.policy.peek()
    assert breaker.call(int) == 0


@STORAGES
def test_coroutines_generators_and_blocks_are_heard_of(kept):
    heard = Recorder()
    breaker = made(kept, listeners=[heard])

    @breaker
    def stream():
        yield 1

    assert list(stream()) == [1]
    with breaker.calling():
        pass
    with pytest.raises(DownError):
        asyncio.run(breaker(afail)())
    with pytest.raises(DownError):
        asyncio.run(acalled(breaker))
    assert heard.words == ["before", "success"] * 2 + ["before", "failure down"] * 2


async def acalled(breaker):
    await breaker.acall(afail)


def test_a_listener_hears_of_functions_that_were_decorated_before_it_came():
    breaker, heard = CircuitBreaker(), Recorder()
    guarded = breaker(int)
    guarded()
    breaker.add_listeners(heard, CircuitBreakerListener())
    guarded("7")
    assert heard.heard == [("before", "int", ("7",), {}), "success"]
    breaker.remove_listener(heard)
    guarded()
    assert len(heard.heard) == 2
    assert len(breaker.listeners) == 1
    assert breaker.policy.snapshot().succeeded == 3


def test_listeners_that_hear_of_no_call_leave_calls_native():
    breaker = CircuitBreaker(listeners=[Changes(), CircuitBreakerListener()])
    breaker(int)
    assert breaker._gate is breaker.policy
    breaker.add_listener(Recorder())
    assert breaker._gate is None


@STORAGES
def test_what_a_listener_raises_changes_nothing_and_is_logged(kept, caplog):  # trap 13
    class Broken(CircuitBreakerListener):
        def before_call(self, cb, func, *args, **kwargs):
            raise LookupError("before")

        def success(self, cb):
            raise LookupError("success")

        def state_change(self, cb, old_state, new_state):
            raise LookupError("change")

    heard = Recorder()
    breaker = made(kept, fail_max=1, listeners=[Broken(), heard])
    assert breaker.call(int) == 0
    fails(lambda: breaker.call(fail), error=CircuitBreakerError)
    assert breaker.current_state == "open"
    assert heard.words == ["before", "success", "before", "failure down", "closed->open"]
    records = [record for record in caplog.records if record.name == "pybreaker"]
    assert len(records) == 4
    assert records[0].exc_info[1].args == ("before",)


@STORAGES
def test_a_listener_may_use_the_breaker(kept):  # trap 13
    class Closing(CircuitBreakerListener):
        def state_change(self, cb, old_state, new_state):
            if new_state.name == "open":
                cb.close()

    breaker = made(kept, fail_max=1, listeners=[Closing()])
    quietly(lambda: breaker.call(fail))
    assert breaker.current_state == "closed"
    assert breaker.call(int) == 0


def test_any_object_may_listen():
    listener = mock.Mock()
    breaker = CircuitBreaker(fail_max=1, listeners=[listener, object()])
    breaker.call(int)
    listener.before_call.assert_called_once_with(breaker, int)
    listener.success.assert_called_once_with(breaker)
    quietly(lambda: breaker.call(fail))
    assert listener.failure.call_args.args[0] is breaker
    assert listener.state_change.call_count == 1


def test_one_thread_at_a_time_tells_the_listeners_of_a_breaker():
    class Counting(CircuitBreakerListener):
        inside = most = 0

        def success(self, cb):
            self.inside += 1
            self.most = max(self.most, self.inside)
            threading.Event().wait(0.0005)
            self.inside -= 1

    listener = Counting()
    guarded = CircuitBreaker(listeners=[listener])(int)
    threads = [threading.Thread(target=lambda: [guarded() for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert listener.most == 1


def test_listeners_come_and_go_while_threads_call():
    breaker, heard = CircuitBreaker(fail_max=float("inf")), Recorder()
    guarded, raised = breaker(int), []

    def calls():
        try:
            for _ in range(500):
                assert guarded("7") == breaker.call(int, "7") == 7
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=calls) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        breaker.add_listener(heard)
        breaker.remove_listener(heard)
    for thread in threads:
        thread.join(30)
    assert raised == []
    assert breaker.policy.snapshot().succeeded == 3000


# ---- subclasses, and what is replaced ----


def test_a_subclass_that_overrides_call_is_asked_by_decorated_functions_too():
    class Logged(CircuitBreaker):
        def call(self, func, *args, **kwargs):
            self.calls = [*getattr(self, "calls", ()), func]
            return super().call(func, *args, **kwargs)

    breaker = Logged(fail_max=1)
    guarded = breaker(int)
    assert guarded("7") == 7
    assert breaker.calls == [int]
    quietly(lambda: breaker.call(fail))
    fails(guarded, error=CircuitBreakerError)
    assert breaker.policy.snapshot().rejected == 1


def test_a_subclass_may_decide_what_is_a_failure():
    class Lenient(CircuitBreaker):
        def is_system_error(self, exception):
            return not isinstance(exception, DownError)

    breaker = Lenient(fail_max=1)
    fails(lambda: breaker.call(fail), times=3)
    assert breaker.policy.snapshot().failed == 0
    assert breaker.current_state == "closed"


def test_a_subclass_that_overrides_open_is_asked_when_failures_open():
    class Alerting(CircuitBreaker):
        alerts = 0

        def open(self):
            self.alerts += 1
            return super().open()

    breaker = Alerting(fail_max=2, reset_timeout=0)
    fails(lambda: breaker.call(fail))
    fails(lambda: breaker.call(fail), error=CircuitBreakerError)
    assert (breaker.alerts, breaker.current_state, breaker.fail_counter) == (1, "open", 2)
    fails(lambda: breaker.call(fail), error=CircuitBreakerError)
    assert breaker.alerts == 2
    assert breaker.policy.snapshot().failed == 3


def test_a_method_replaced_on_a_breaker_that_is_in_use_is_asked():
    breaker = CircuitBreaker(fail_max=3)
    guarded = breaker(fail)
    quietly(guarded)
    with mock.patch.object(breaker, "_inc_counter") as counted:
        quietly(guarded)
    assert counted.call_count == 1
    assert breaker.fail_counter == 1
    quietly(guarded, times=2)
    assert (breaker.fail_counter, breaker.current_state) == (3, "open")
    fails(guarded, error=CircuitBreakerError)


def test_call_can_be_mocked_and_given_back():
    breaker = CircuitBreaker()
    guarded = breaker(int)
    with mock.patch.object(breaker, "call", return_value=7) as called:
        assert guarded("3") == 7
        called.assert_called_once_with(int, "3")
    assert guarded("3") == 3
    assert breaker.call(int, "4") == 4


def test_call_can_be_mocked_on_the_class_and_specified_by_it():
    breaker = CircuitBreaker()
    with mock.patch.object(CircuitBreaker, "call", return_value=7) as called:
        assert breaker.call(int, "3") == 7
        called.assert_called_once_with(int, "3")
    assert breaker.call(int, "4") == 4
    double = mock.create_autospec(CircuitBreaker, instance=True)
    double.call.return_value = 8
    assert double.call(int, "3") == 8


def test_a_mock_may_wrap_the_call_that_it_replaces():
    breaker = CircuitBreaker()
    guarded = breaker(int)
    with mock.patch.object(breaker, "call", wraps=breaker.call) as called:
        assert (guarded("3"), breaker.call(int, "4")) == (3, 4)
    assert called.call_count == 2
    assert breaker.policy.snapshot().succeeded == 2


def test_call_can_be_set_on_an_instance_before_it_is_made_and_taken_away():
    class Own(CircuitBreaker):
        def __init__(self):
            self.call = lambda func, *args: "own"
            super().__init__()

    breaker = Own()
    guarded = breaker(int)
    assert guarded("3") == breaker.call(int, "3") == "own"
    del breaker.call
    assert guarded("3") == breaker.call(int, "3") == 3


def test_state_classes_can_be_replaced_in_the_module(monkeypatch):
    class Noted(pybreaker.CircuitOpenState):
        made = 0

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            Noted.made += 1

    monkeypatch.setattr(pybreaker, "CircuitOpenState", Noted)
    breaker = CircuitBreaker(fail_max=1)
    quietly(lambda: breaker.call(fail))
    assert Noted.made == 1
    assert type(breaker.state) is Noted


def test_a_state_that_a_subclass_makes_is_told_of_calls_and_failures():
    class Strict(pybreaker.CircuitClosedState):
        def before_call(self, func, *args, **kwargs):
            self._breaker.seen.append(func)

        def on_failure(self, exc):
            self._breaker.seen.append(exc)
            super().on_failure(exc)

    class Own(CircuitBreaker):
        def _create_new_state(self, new_state, prev_state=None, notify=False):
            if new_state == "closed":
                return Strict(self, prev_state, notify)
            return super()._create_new_state(new_state, prev_state, notify)

    breaker = Own(fail_max=2)
    breaker.seen = []
    quietly(lambda: breaker.call(fail), times=2)
    assert breaker.seen[::2] == [fail, fail]
    assert breaker.current_state == "open"
