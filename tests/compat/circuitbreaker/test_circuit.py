"""The face of circuitbreaker: its names and behaviour, decided by the breaker of holdfast."""

import asyncio
import gc
import pickle
import threading
from datetime import UTC, datetime, timedelta

import pytest

import holdfast as hf
from holdfast.compat import circuitbreaker as face
from holdfast.compat.circuitbreaker import (
    STATE_CLOSED,
    STATE_HALF_OPEN,
    STATE_OPEN,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerMonitor,
    circuit,
)
from tests.compat.circuitbreaker.parts import OutageError, Told, fail, guarded

# ---- states, RT-18 ----


def test_a_circuit_opens_after_failures_in_a_row_and_closes_after_one_test_call(clock):
    errors = [OutageError()]
    breaker = CircuitBreaker(failure_threshold=3, recovery_timeout=10, name="payments")
    call = guarded(breaker, errors)
    fail(call, 2)
    assert (breaker.state, breaker.failure_count) == (STATE_CLOSED, 2)
    fail(call)
    assert (breaker.state, breaker.opened, breaker.closed) == (STATE_OPEN, True, False)
    assert breaker.failure_count == 3
    assert breaker.open_remaining == 10
    fail(call, error=CircuitBreakerError)
    clock.advance(10)
    assert (breaker.state, breaker.opened, breaker.closed) == (STATE_HALF_OPEN, False, False)
    fail(call)
    assert (breaker.state, breaker.failure_count) == (STATE_OPEN, 4)
    clock.advance(12)
    assert breaker.open_remaining == -2
    errors.clear()
    assert call("paid") == "paid"
    assert (breaker.state, breaker.failure_count, breaker.last_failure) == (STATE_CLOSED, 0, None)


def test_a_success_ends_a_run_of_failures(clock):
    errors = [OutageError()]
    breaker = CircuitBreaker(failure_threshold=2, name="payments")
    call = guarded(breaker, errors)
    fail(call)
    errors.clear()
    call()
    assert (breaker.failure_count, breaker.last_failure) == (0, None)
    errors.append(OutageError())
    fail(call)
    assert breaker.closed


def test_the_last_failure_is_kept_while_the_circuit_is_open(clock):
    outage = OutageError("down")
    breaker = CircuitBreaker(failure_threshold=1, name="payments")
    call = guarded(breaker, [outage])
    fail(call)
    assert breaker.last_failure is outage
    with pytest.raises(CircuitBreakerError) as refused:
        call()
    assert str(refused.value).startswith('Circuit "payments" OPEN until ')
    assert str(refused.value).endswith(
        "(1 failures, 30 sec remaining) (last_failure: OutageError('down'))"
    )


def test_a_half_open_circuit_admits_one_test_call_at_a_time(clock):  # trap 7
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=5, name="payments")
    fail(guarded(breaker, [OutageError()]))
    clock.advance(5)
    inside, go_on = threading.Event(), threading.Event()

    @breaker
    def slow():
        inside.set()
        assert go_on.wait(30)

    probing = threading.Thread(target=slow)
    probing.start()
    assert inside.wait(30)
    assert breaker.state == STATE_HALF_OPEN
    fail(guarded(breaker, []), error=CircuitBreakerError)
    go_on.set()
    probing.join()
    assert breaker.closed


def test_a_test_call_that_never_ends_makes_room_for_another(clock):  # trap 4
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=5, name="payments")
    call = guarded(breaker, [])
    fail(guarded(breaker, [OutageError()]))
    clock.advance(5)
    lost = breaker.policy.acquire()
    fail(call, error=CircuitBreakerError)
    clock.advance(5)
    call()
    assert breaker.closed
    lost.ignore()


def test_a_late_success_does_not_close_an_open_circuit(clock):  # trap 2
    breaker = CircuitBreaker(failure_threshold=1, name="payments")
    late = breaker.policy.acquire()
    fail(guarded(breaker, [OutageError()]))
    late.success()
    assert breaker.opened


async def test_a_cancelled_test_call_does_not_close_the_circuit(clock):  # trap 5
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=5, name="payments")

    @breaker
    async def hang():
        await asyncio.Event().wait()

    fail(guarded(breaker, [OutageError()]))
    clock.advance(5)
    probing = asyncio.ensure_future(hang())
    await asyncio.sleep(0)
    probing.cancel()
    await asyncio.gather(probing, return_exceptions=True)
    assert breaker.state == STATE_HALF_OPEN


# ---- what is a failure ----


@pytest.mark.parametrize(
    "expected",
    [
        OutageError,
        (OutageError, LookupError),
        [OutageError],
        lambda cls, error: cls is OutageError and error.args != ("ours",),
    ],
)
def test_only_expected_exceptions_are_failures_and_others_end_the_run(clock, expected):
    errors = [OutageError()]
    breaker = CircuitBreaker(2, 10, expected, "payments")
    call = guarded(breaker, errors)
    fail(call)
    assert breaker.failure_count == 1
    errors[0] = ValueError()
    fail(call, error=ValueError)
    assert breaker.failure_count == 0
    assert breaker.closed


def test_a_rejection_by_another_circuit_is_a_failure_like_any_exception(clock):
    inner = CircuitBreaker(failure_threshold=1, name="inner")
    call = guarded(inner, [OutageError()])
    fail(call)
    outer = CircuitBreaker(failure_threshold=1, name="outer")
    fail(lambda: outer.call(call), error=CircuitBreakerError)
    assert outer.opened
    assert isinstance(outer.last_failure, CircuitBreakerError)


def test_a_predicate_may_be_replaced_later(clock):
    breaker = CircuitBreaker(failure_threshold=1, name="payments")
    breaker.is_failure = lambda cls, error: False
    fail(guarded(breaker, [OutageError()]))
    assert breaker.closed


def test_what_a_predicate_raises_comes_to_the_caller_and_proves_nothing(clock):
    def ask(cls, error):
        raise ZeroDivisionError

    breaker = CircuitBreaker(1, expected_exception=ask, name="payments")
    fail(guarded(breaker, [OutageError()]), error=ZeroDivisionError)
    assert breaker.closed


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ("payments", "cannot be a string"),
        (b"payments", "cannot be a string"),
        (int, "does not look like a predicate"),
        (5, "does not look like a predicate"),
    ],
)
def test_what_is_no_exception_is_refused(expected, said):
    with pytest.raises(ValueError, match=said):
        circuit(10, 20, expected)


# ---- settings ----


def test_a_subclass_sets_defaults(clock):
    class Ours(CircuitBreaker):
        FAILURE_THRESHOLD = 1
        RECOVERY_TIMEOUT = 7
        EXPECTED_EXCEPTION = OutageError
        FALLBACK_FUNCTION = None

    breaker = Ours(name="ours")
    fail(guarded(breaker, [ValueError()]), error=ValueError)
    assert breaker.closed
    fail(guarded(breaker, [OutageError()]))
    assert (breaker.opened, breaker.open_remaining) == (True, 7)


def test_a_function_as_the_expected_exception_of_a_subclass_is_not_bound(clock):
    class Ours(CircuitBreaker):
        FAILURE_THRESHOLD = 1

        def EXPECTED_EXCEPTION(cls, error):  # noqa: N805 - as the library asks for it
            return error.args == ("down",)

    @circuit(cls=Ours)
    def remote(why):
        raise OutageError(why)

    breaker = CircuitBreakerMonitor.get(remote.__qualname__)
    fail(lambda: remote("up"))
    assert breaker.closed
    fail(lambda: remote("down"))
    assert breaker.opened


@pytest.mark.parametrize("threshold", [0.5, -3, float("nan"), 1e30, 2.5])
def test_any_number_is_a_threshold_as_a_count_is_compared_with_it(clock, threshold):
    breaker = CircuitBreaker(failure_threshold=threshold, name="payments")
    call = guarded(breaker, [OutageError()])
    fail(call, 2 if threshold == 2.5 else 0)
    fail(call)
    assert breaker.opened is (threshold < 3)


@pytest.mark.parametrize("timeout", [0.25, timedelta(seconds=0.25)])
def test_a_recovery_timeout_is_seconds_or_a_timedelta(clock, timeout):
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=timeout, name="payments")
    fail(guarded(breaker, [OutageError()]))
    assert (breaker.open_remaining, breaker.state) == (1, STATE_OPEN)
    clock.advance(0.25)
    assert breaker.state == STATE_HALF_OPEN


@pytest.mark.parametrize("timeout", [-5, float("nan"), 1e300])
def test_any_number_is_a_recovery_timeout(clock, timeout):
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=timeout, name="payments")
    fail(guarded(breaker, [OutageError()]))
    clock.advance(1e-6)
    assert breaker.state == (STATE_OPEN if timeout == 1e300 else STATE_HALF_OPEN)


def test_a_circuit_tells_when_it_will_try_to_recover(clock):
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=60, name="payments")
    fail(guarded(breaker, [OutageError()]))
    left = breaker.open_until - datetime.now(UTC)
    assert timedelta(seconds=55) < left <= timedelta(seconds=60)


def test_a_circuit_is_named_after_the_first_function_that_it_guards():
    breaker = CircuitBreaker()
    assert (breaker.name, str(breaker)) == (None, "unnamed_CircuitBreaker")

    @breaker
    def first(): ...

    breaker(len)
    assert breaker.name.endswith("<locals>.first")
    assert breaker.policy.name == f"{__name__}.{breaker.name}"
    assert str(breaker) == breaker.name


def test_a_circuit_without_name_and_function_is_known_by_the_module_that_made_it():
    breaker = CircuitBreaker()
    breaker.call(len, "ab")
    assert breaker.policy.name == __name__
    assert breaker.name is None


@pytest.mark.parametrize("name", ["two\nlines", "x" * 999, 5, ""])
def test_whatever_is_a_name_for_the_library_is_one(name):
    breaker = CircuitBreaker(name=name)
    assert breaker.name == name
    assert breaker.call(len, "ab") == 2
    assert breaker.policy.name


# ---- the error, the monitor, holdfast ----


def test_the_error_is_caught_by_either_name_and_knows_the_circuit(clock):
    breaker = CircuitBreaker(failure_threshold=1, name="payments")
    call = guarded(breaker, [OutageError()])
    fail(call)
    with pytest.raises(hf.CircuitOpenError) as refused:
        call()
    error = refused.value
    assert type(error) is CircuitBreakerError
    assert (error._circuit_breaker, error.policy) == (breaker, breaker.policy)
    assert (error.name, error.retry_after, error.reason) == ("payments", 30.0, "open")


def test_the_error_can_be_made_by_hand_and_pickled(clock):
    breaker = CircuitBreaker(name="payments")
    error = CircuitBreakerError(breaker)
    assert str(error).endswith("(0 failures, 30 sec remaining) (last_failure: None)")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is CircuitBreakerError
    assert (again.name, again._circuit_breaker) == ("payments", None)
    assert "payments" in str(again)


def test_the_error_made_anew_of_its_arguments_says_the_same(clock):
    """As Celery sends exceptions: their class and arguments."""
    breaker = CircuitBreaker(failure_threshold=1, name="payments")

    @breaker
    def charge():
        raise OutageError

    fail(charge)
    with pytest.raises(CircuitBreakerError) as caught:
        charge()
    again = CircuitBreakerError(*caught.value.args)
    assert str(again).startswith('Circuit "payments" OPEN until ')
    assert (again.name, again.reason) == ("payments", "open")
    assert again.retry_after == caught.value.retry_after
    assert str(CircuitBreakerError("by hand")) == "by hand"


def test_the_monitor_knows_circuits_that_guard_a_function(clock):
    broken, well = CircuitBreaker(1, name="broken"), CircuitBreaker(name="well")
    assert list(CircuitBreakerMonitor.get_circuits()) == []
    fail(guarded(broken, [OutageError()]))
    guarded(well, [])
    assert set(CircuitBreakerMonitor.get_circuits()) == {broken, well}
    assert list(CircuitBreakerMonitor.get_open()) == [broken]
    assert list(CircuitBreakerMonitor.get_closed()) == [well]
    assert CircuitBreakerMonitor.get("well") is well
    assert CircuitBreakerMonitor.get("unheard of") is None
    assert not CircuitBreakerMonitor.all_closed()
    broken.reset()
    assert CircuitBreakerMonitor.all_closed()


def test_circuit_takes_a_function_or_settings():
    @circuit
    def bare():
        return 1

    @circuit(failure_threshold=2, cls=Told)
    def told():
        return 2

    assert (bare(), told()) == (1, 2)
    assert isinstance(CircuitBreakerMonitor.get(told.__qualname__), Told)


def test_the_registry_and_snapshots_know_the_breaker_behind_the_face(clock):
    breaker = CircuitBreaker(failure_threshold=1, name="payments")
    fail(guarded(breaker, [OutageError()]))
    assert hf.registry.get("circuit_breaker", "payments") is breaker.policy
    events = []
    breaker.policy.on_event(events.append)
    breaker.reset()
    assert [(event.kind, event.new) for event in events] == [("transition", hf.State.CLOSED)]


@pytest.mark.parametrize("cls", [CircuitBreaker, Told])
def test_a_circuit_that_observes_rejects_nothing(cls, clock, monkeypatch):
    monkeypatch.setattr("holdfast.mode._of_process", hf.Mode.OBSERVE)
    breaker = cls(failure_threshold=1, name="payments", fallback_function=len)
    errors = [OutageError()]
    call = guarded(breaker, errors)
    fail(call)
    assert breaker.opened
    errors.clear()
    assert call("ran") == "ran"


def test_circuits_that_nobody_holds_are_collected():
    class Mine(CircuitBreaker):
        pass

    for number in range(20):
        Mine(name=f"circuit {number}").call(len, "")
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one) is Mine]


def test_failures_of_many_threads_are_all_counted():
    breaker = CircuitBreaker(failure_threshold=10_000, name="payments")
    call = guarded(breaker, [OutageError()])
    threads = [threading.Thread(target=fail, args=(call, 100)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert breaker.failure_count == 800


def test_the_names_of_the_original_are_there():
    predicate = face.in_exception_list(KeyError, ValueError)
    assert predicate(KeyError, None)
    assert not predicate(TypeError, None)
    assert face.build_failure_predicate(predicate) is predicate
    assert (bytes, str) == face.STRING_TYPES
