"""The face of aiobreaker: what listeners hear, and when."""

import contextlib
import gc
import threading
import weakref

import pytest

from holdfast.compat.aiobreaker import (
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerListener,
)
from tests.compat.aiobreaker.parts import (
    CLOSED,
    HALF_OPEN,
    OPEN,
    SHORT,
    Told,
    asucceed,
    elapse,
    fail,
    fails,
    succeed,
)
from tests.compat.aiobreaker.storages import OutageError


def test_listeners_hear_of_calls_ends_and_changes_in_this_order(clock, storage):
    told = Told()
    breaker = CircuitBreaker(
        fail_max=2, timeout_duration=SHORT, listeners=[told], state_storage=storage
    )
    breaker.call(succeed, 1)
    fails(breaker)
    fails(breaker, error=CircuitBreakerError)
    assert told.heard == [
        ("call", (1,), {}),
        "success",
        ("call", (), {}),
        "OutageError",
        ("call", (), {}),
        "OutageError",
        ("CLOSED", "OPEN"),
    ]
    told.heard.clear()
    with pytest.raises(CircuitBreakerError):
        breaker.call(succeed)
    assert told.heard == []
    elapse(breaker, clock)
    breaker.call(succeed)
    assert told.heard == [
        ("OPEN", "HALF_OPEN"),
        ("call", (), {}),
        ("HALF_OPEN", "CLOSED"),
        "success",
    ]
    told.heard.clear()
    breaker.remove_listener(told)
    breaker.call(succeed)
    assert (told.heard, breaker.listeners) == ([], ())


async def test_listeners_hear_of_asynchronous_calls(storage):
    told = Told()
    breaker = CircuitBreaker(listeners=[told], state_storage=storage)
    guarded = breaker(asucceed)
    await guarded(1)
    assert told.heard == [("call", (1,), {}), "success"]


@pytest.mark.parametrize("hook", ["before_call", "success", "failure", "state_change"])
def test_what_a_listener_raises_is_logged_and_changes_nothing(hook, clock, storage, caplog):
    # trap 13
    class Broken(CircuitBreakerListener):
        pass

    def broken(*_args, **_kwargs):
        raise ZeroDivisionError

    setattr(Broken, hook, broken)
    breaker = CircuitBreaker(fail_max=2, listeners=[Broken()], state_storage=storage)
    assert breaker.call(succeed) == ()
    fails(breaker)
    fails(breaker, error=CircuitBreakerError)
    assert breaker.current_state is OPEN
    assert {r.name for r in caplog.records if f"{hook}()" in r.getMessage()} == {"aiobreaker"}


def test_listeners_see_how_many_failures_there_are_when_the_circuit_moves(clock, storage):
    counted = []

    class Counts(CircuitBreakerListener):
        def failure(self, breaker, exception):
            counted.append(breaker.fail_counter)

        def state_change(self, breaker, old, new):
            counted.append((new.state, breaker.fail_counter))

    breaker = CircuitBreaker(fail_max=2, listeners=[Counts()], state_storage=storage)
    fails(breaker)
    breaker.half_open()
    breaker.close()
    fails(breaker)
    fails(breaker, error=CircuitBreakerError)
    assert counted == [1, (HALF_OPEN, 1), (CLOSED, 0), 1, 2, (OPEN, 2)]


def test_nobody_keeps_the_failure_that_opens(clock):
    told = Told()
    breaker = CircuitBreaker(fail_max=1, listeners=[told])
    with pytest.raises(CircuitBreakerError) as caught:
        breaker.policy.call(fail)
    error = weakref.ref(caught.value.__cause__)
    assert type(error()) is OutageError
    del caught
    told.heard.clear()
    gc.collect()
    assert error() is None


def test_a_state_can_be_assigned(clock):
    told = Told()
    breaker = CircuitBreaker(listeners=[told])
    for state in (OPEN, HALF_OPEN, CLOSED):
        breaker.state = state
        assert (breaker.state.state, breaker.current_state) == (state, state)
        assert breaker.policy.peek() is (state is not OPEN)
    with pytest.raises(ValueError, match="Unknown state 'open'"):
        breaker.state = "open"
    assert breaker.state.state is CLOSED


def test_a_listener_may_close_the_circuit_as_it_hears_of_a_failure(clock):  # trap 13
    class Closes(Told):
        def failure(self, breaker, exception):
            super().failure(breaker, exception)
            breaker.close()

    told = Closes()
    breaker = CircuitBreaker(fail_max=1, listeners=[told])
    fails(breaker, error=CircuitBreakerError)
    assert (breaker.current_state, breaker.state.state) == (CLOSED, CLOSED)
    assert breaker.call(succeed) == ()


def test_a_listener_may_use_the_breaker(clock, storage):  # trap 13
    class Closes(CircuitBreakerListener):
        def state_change(self, breaker, old, new):
            if new.state is OPEN:
                breaker.close()

    breaker = CircuitBreaker(fail_max=1, listeners=[Closes()], state_storage=storage)
    fails(breaker, error=CircuitBreakerError)
    assert (breaker.current_state, breaker.state.state) == (CLOSED, CLOSED)
    assert breaker.call(succeed) == ()


def test_a_listener_may_wait_for_another_thread_that_uses_the_breaker(clock, storage):
    # trap 13
    class Waits(CircuitBreakerListener):
        def state_change(self, breaker, old, new):
            used = threading.Thread(target=lambda: (breaker.fail_counter, breaker.half_open()))
            if new.state is OPEN:
                used.start()
                used.join(20)
                assert not used.is_alive()

    breaker = CircuitBreaker(fail_max=1, listeners=[Waits()], state_storage=storage)
    fails(breaker, error=CircuitBreakerError)
    assert breaker.state.state is HALF_OPEN


def test_of_many_threads_that_come_to_an_open_circuit_in_time_one_half_opens_it(clock, storage):
    # trap 7
    told = Told()
    breaker = CircuitBreaker(timeout_duration=SHORT, state_storage=storage, listeners=[told])
    breaker.open()
    elapse(breaker, clock)
    together, inside = threading.Barrier(8), []

    def come():
        together.wait(30)
        with contextlib.suppress(CircuitBreakerError):
            breaker.call(lambda: (inside.append(1), together.wait(0.2)))

    threads = [threading.Thread(target=come) for _ in range(8)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "excepthook", lambda _: None)  # the barrier that breaks
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(inside) == 1
    assert told.heard.count(("OPEN", "HALF_OPEN")) == 1
