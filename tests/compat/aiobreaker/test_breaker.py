"""The face of aiobreaker: its names and behaviour, decided by the breaker of holdfast."""

import asyncio
import copy
import pickle
import threading
from datetime import UTC, datetime, timedelta

import pytest

import holdfast as hf
from holdfast.compat.aiobreaker import (
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerState,
)
from holdfast.compat.aiobreaker import version as version_of_aiobreaker
from holdfast.compat.aiobreaker.state import (
    CircuitBreakerOpenError,
    CircuitClosedState,
    CircuitOpenState,
)
from holdfast.compat.aiobreaker.storage.base import CircuitBreakerStorage
from holdfast.compat.aiobreaker.storage.memory import CircuitMemoryStorage
from tests.apart import in_child
from tests.compat.aiobreaker.parts import (
    CLOSED,
    HALF_OPEN,
    OPEN,
    SHORT,
    Told,
    afail,
    asucceed,
    elapse,
    fail,
    fails,
    succeed,
)
from tests.compat.aiobreaker.storages import OutageError

# ---- states, RT-18 ----


def test_a_circuit_opens_by_the_failure_that_is_too_many_and_says_so(clock, storage):
    breaker = CircuitBreaker(fail_max=3, timeout_duration=SHORT, state_storage=storage)
    fails(breaker, 2)
    assert (breaker.current_state, breaker.fail_counter) == (CLOSED, 2)
    tripped = fails(breaker, error=CircuitBreakerError)
    assert tripped.message == "Failures threshold reached, circuit breaker opened."
    assert isinstance(tripped.__cause__, OutageError)
    assert type(tripped) is CircuitBreakerError
    assert timedelta(seconds=4) < tripped.time_remaining <= SHORT
    assert (breaker.current_state, breaker.fail_counter) == (OPEN, 3)
    assert isinstance(breaker.state, CircuitOpenState)


def test_an_open_circuit_refuses_and_says_how_long(clock, storage):
    breaker = CircuitBreaker(timeout_duration=SHORT, state_storage=storage, name="payments")
    breaker.open()
    with pytest.raises(CircuitBreakerError) as refused:
        breaker.call(succeed)
    error = refused.value
    assert error.message == "Timeout not elapsed yet, circuit breaker still open"
    assert timedelta(seconds=4) < error.time_remaining <= SHORT
    assert error.args == (error.message, error.reopen_time)
    assert str(error) == str(error.args)
    assert isinstance(error, hf.CircuitOpenError)
    assert (error.name, error.policy) == ("payments", breaker.policy)
    assert 4 < error.retry_after <= 5
    assert timedelta(seconds=4) < breaker.time_until_open <= SHORT
    assert breaker.opens_at - datetime.now() <= SHORT


def test_the_failure_of_a_trial_call_opens_the_circuit_again(clock, storage):
    breaker = CircuitBreaker(fail_max=1, timeout_duration=SHORT, state_storage=storage)
    fails(breaker, error=CircuitBreakerError)
    elapse(breaker, clock)
    assert breaker.current_state is OPEN
    tripped = fails(breaker, error=CircuitBreakerError)
    assert tripped.message == "Trial call failed, circuit breaker opened."
    assert (breaker.current_state, breaker.fail_counter) == (OPEN, 2)


def test_the_success_of_a_trial_call_closes_the_circuit(clock, storage):
    breaker = CircuitBreaker(fail_max=1, timeout_duration=SHORT, state_storage=storage)
    fails(breaker, error=CircuitBreakerError)
    elapse(breaker, clock)
    assert breaker.call(succeed, 1) == (1,)
    assert (breaker.current_state, breaker.fail_counter) == (CLOSED, 0)
    assert isinstance(breaker.state, CircuitClosedState)


def test_a_success_forgets_the_failures(clock, storage):
    breaker = CircuitBreaker(fail_max=3, state_storage=storage)
    fails(breaker, 2)
    breaker.call(succeed)
    assert breaker.fail_counter == 0


def test_a_half_open_circuit_admits_one_trial_call_at_a_time(clock, storage):  # trap 7
    breaker = CircuitBreaker(fail_max=1, timeout_duration=SHORT, state_storage=storage)
    fails(breaker, error=CircuitBreakerError)
    elapse(breaker, clock)
    inside, go_on = threading.Event(), threading.Event()

    def slow():
        inside.set()
        assert go_on.wait(30)

    trial = threading.Thread(target=breaker.call, args=(slow,))
    trial.start()
    assert inside.wait(30)
    with pytest.raises(CircuitBreakerError, match="half-open"):
        breaker.call(succeed)
    go_on.set()
    trial.join()
    assert breaker.current_state is CLOSED


def test_a_lost_trial_call_makes_room_for_another(clock):  # trap 4
    breaker = CircuitBreaker(fail_max=1, timeout_duration=SHORT)
    fails(breaker, error=CircuitBreakerError)
    clock.advance(5)
    lost = breaker.policy.acquire()
    with pytest.raises(CircuitBreakerError):
        breaker.call(succeed)
    clock.advance(5)
    breaker.call(succeed)
    assert breaker.current_state is CLOSED
    lost.ignore()


async def test_a_cancelled_trial_call_leaves_the_circuit_half_open(clock, storage):  # trap 5
    breaker = CircuitBreaker(fail_max=1, timeout_duration=SHORT, state_storage=storage)
    fails(breaker, error=CircuitBreakerError)
    elapse(breaker, clock)
    trial = asyncio.ensure_future(breaker.call_async(asyncio.Event().wait))
    await asyncio.sleep(0)
    trial.cancel()
    await asyncio.gather(trial, return_exceptions=True)
    assert breaker.current_state is HALF_OPEN
    assert await breaker.call_async(asucceed) == ()
    assert breaker.current_state is CLOSED


def test_a_late_result_moves_nothing(clock, storage):  # trap 2, trap 3
    breaker = CircuitBreaker(fail_max=1, timeout_duration=SHORT, state_storage=storage)
    told = Told()
    breaker.add_listener(told)
    inside, go_on = threading.Event(), threading.Event()

    def slow():
        inside.set()
        assert go_on.wait(30)
        raise OutageError

    def late():
        with pytest.raises(OutageError):
            breaker.call(slow)

    calling = threading.Thread(target=late)
    calling.start()
    assert inside.wait(30)
    breaker.open()
    go_on.set()
    calling.join()
    assert told.heard.count(("CLOSED", "OPEN")) == 1
    assert ("OPEN", "OPEN") not in told.heard


def test_orders_put_the_circuit_into_a_state(clock, storage):
    breaker = CircuitBreaker(state_storage=storage)
    told = Told()
    breaker.add_listeners(told)
    breaker.open()
    breaker.half_open()
    assert fails(breaker, error=CircuitBreakerError).message.startswith("Trial call failed")
    assert breaker.fail_counter == 1
    breaker.close()
    assert breaker.fail_counter == 0
    changes = [heard for heard in told.heard if heard[0] in {"CLOSED", "OPEN", "HALF_OPEN"}]
    assert changes == [
        ("CLOSED", "OPEN"),
        ("OPEN", "HALF_OPEN"),
        ("HALF_OPEN", "OPEN"),
        ("OPEN", "CLOSED"),
    ]


@pytest.mark.parametrize("state", list(CircuitBreakerState))
def test_a_breaker_begins_where_its_storage_is(state, clock):
    storage = CircuitMemoryStorage(state)
    moment = storage.opened_at = datetime.now(UTC).replace(tzinfo=None)
    storage.increment_counter()
    breaker = CircuitBreaker(timeout_duration=SHORT, state_storage=storage, name="payments")
    assert (breaker.state.state, breaker.current_state) == (state, state)
    assert (storage.opened_at, breaker.fail_counter) == (moment, 1)
    assert breaker.policy.native_state is state
    if state is OPEN:
        assert 4 < breaker.policy.retry_after <= 5


def test_times_are_right_in_every_zone(clock, storage, monkeypatch):
    breaker = CircuitBreaker(timeout_duration=SHORT, state_storage=storage)
    assert (breaker.opens_at, breaker.time_until_open) == (None, None)
    breaker.open()
    assert timedelta(seconds=4) < breaker.opens_at - datetime.now() <= SHORT
    storage.opened_at = datetime.now(UTC) - timedelta(seconds=2)  # with a zone
    assert timedelta(seconds=2) < breaker.time_until_open <= timedelta(seconds=3)
    storage.opened_at = datetime(2020, 1, 1)
    assert (breaker.opens_at, breaker.time_until_open) == (None, None)
    assert breaker.call(succeed) == ()


async def test_who_waits_until_the_circuit_opens_gets_a_trial_call():
    breaker = CircuitBreaker(fail_max=1, timeout_duration=timedelta(seconds=0.05))
    with pytest.raises(CircuitBreakerError) as tripped:
        await breaker.call_async(afail)
    breaker.policy.open_as_of(None)
    await tripped.value.sleep_until_open()
    await breaker.sleep_until_open()
    assert await breaker.call_async(asucceed) == ()


# ---- settings ----


def test_the_defaults_are_those_of_aiobreaker():
    breaker = CircuitBreaker()
    assert (breaker.fail_max, breaker.timeout_duration) == (5, timedelta(minutes=1))
    assert (breaker.excluded_exceptions, breaker.listeners, breaker.name) == ((), (), None)
    assert (breaker.fail_counter, breaker.current_state) == (0, CLOSED)
    assert isinstance(breaker._state_storage, CircuitMemoryStorage)
    assert version_of_aiobreaker.__version__ == "1.2.0"


def test_the_number_of_failures_may_be_changed_later(clock, storage):
    breaker = CircuitBreaker(fail_max=5, state_storage=storage)
    fails(breaker, 2)
    breaker.fail_max = 3
    fails(breaker, error=CircuitBreakerError)
    assert breaker.current_state is OPEN


def test_a_timeout_that_is_changed_later_counts_from_the_opening(clock):
    breaker = CircuitBreaker(fail_max=1, timeout_duration=SHORT)
    fails(breaker, error=CircuitBreakerError)
    breaker.timeout_duration = timedelta(seconds=20)
    clock.advance(15)
    with pytest.raises(CircuitBreakerError):
        breaker.call(succeed)
    breaker.timeout_duration = timedelta(seconds=10)
    assert breaker.call(succeed) == ()


def test_excluded_exceptions_are_successes(clock, storage):
    class Meta(type):
        pass

    class ByMetaError(Exception, metaclass=Meta):
        pass

    breaker = CircuitBreaker(
        exclude=[LookupError, ByMetaError, lambda error: error.args == ("ours",)],
        state_storage=storage,
    )
    fails(breaker)

    def raises(error):
        raise error

    for error in (KeyError(), OutageError("ours"), ByMetaError()):
        fails(breaker)
        with pytest.raises(type(error)):
            breaker.call(raises, error)
        assert breaker.fail_counter == 0
    breaker.remove_excluded_exception(LookupError)
    with pytest.raises(KeyError):
        breaker.call(raises, KeyError())
    assert breaker.fail_counter == 1
    breaker.add_excluded_exceptions(ValueError, OutageError)
    assert breaker.excluded_exceptions[-2:] == (ValueError, OutageError)
    fails(breaker)
    assert breaker.fail_counter == 0


def test_a_breaker_is_named_after_its_first_function_or_its_module():
    breaker, other = CircuitBreaker(), CircuitBreaker()

    @breaker
    def charge(): ...

    assert breaker.policy.name == f"{__name__}.{charge.__qualname__}"
    assert breaker.name is None
    breaker.name = "payments"
    assert breaker.name == "payments"
    other.call(succeed)
    assert other.policy.name == __name__


# ---- holdfast, subclasses, copies ----


def test_the_policy_counts_refuses_and_is_in_the_registry(clock, storage):
    breaker = CircuitBreaker(fail_max=2, state_storage=storage, name="payments")
    breaker.call(succeed)
    fails(breaker)
    fails(breaker, error=CircuitBreakerError)
    with pytest.raises(CircuitBreakerError):
        breaker.call(succeed)
    told = breaker.policy.snapshot()
    assert (told.succeeded, told.failed, told.rejected) == (1, 2, 1)
    assert told.state is hf.State.OPEN
    assert hf.registry.get("circuit_breaker", "payments") is breaker.policy


def test_what_is_done_to_the_policy_is_done_to_the_circuit(clock, storage):
    breaker = CircuitBreaker(state_storage=storage, timeout_duration=SHORT, name="payments")
    breaker.policy.trip()
    assert (breaker.current_state, breaker.state.state) == (OPEN, OPEN)
    with pytest.raises(CircuitBreakerError):
        breaker.call(succeed)
    breaker.policy.reset()
    assert breaker.call(succeed) == ()
    breaker.policy.force_open()
    with pytest.raises(CircuitBreakerError):
        breaker.call(succeed)


def test_a_breaker_that_observes_refuses_nothing(clock, storage, monkeypatch):
    monkeypatch.setattr("holdfast.mode._of_process", hf.Mode.OBSERVE)
    breaker = CircuitBreaker(fail_max=1, state_storage=storage, name="payments")
    fails(breaker)
    assert breaker.current_state is OPEN
    assert breaker.call(succeed) == ()


async def test_a_breaker_that_is_off_counts_nothing(clock, storage, monkeypatch):
    monkeypatch.setattr("holdfast.mode._of_process", hf.Mode.OFF)
    breaker = CircuitBreaker(fail_max=1, state_storage=storage, name="payments")

    def items():
        yield fail()

    fails(breaker, 3)
    with pytest.raises(OutageError):
        await breaker.call_async(afail)
    with pytest.raises(OutageError):
        list(breaker.call(items))
    assert (breaker.current_state, breaker.fail_counter) == (CLOSED, 0)


def test_a_subclass_that_changes_how_it_opens_is_asked(clock):
    opened = []

    class Ours(CircuitBreaker):
        def open(self):
            opened.append(self.fail_counter)
            super().open()

    breaker = Ours(fail_max=2)
    fails(breaker)
    fails(breaker, error=CircuitBreakerError)
    assert (opened, breaker.current_state) == ([2], OPEN)
    assert breaker.policy.state is hf.State.OPEN


def test_a_subclass_that_changes_call_is_asked(clock):
    class Twice(CircuitBreaker):
        def call(self, func, *args, **kwargs):
            return [super(Twice, self).call(func, *args, **kwargs) for _ in range(2)]

    assert Twice()(succeed)(1) == [(1,), (1,)]


def test_a_forked_child_waits_for_no_thread_of_its_parent(storage):  # trap 58
    breaker = CircuitBreaker(fail_max=1, state_storage=storage, name="payments")
    fails(breaker, error=CircuitBreakerError)
    held, go_on = threading.Event(), threading.Event()

    def hold():
        with breaker._lock:
            held.set()
            go_on.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(30)

    def check():
        fails(breaker, error=CircuitBreakerOpenError)
        breaker.close()
        assert breaker.call(succeed) == ()

    try:
        in_child(check)
    finally:
        go_on.set()
        holder.join()
    assert breaker.policy.state is hf.State.OPEN


def test_a_copy_is_the_same_circuit_and_errors_are_pickled(clock):
    breaker = CircuitBreaker(fail_max=1, name="payments")
    assert copy.deepcopy([breaker]) == [copy.copy(breaker)] == [breaker]
    tripped = pickle.loads(pickle.dumps(fails(breaker, error=CircuitBreakerError)))
    assert (type(tripped), tripped.message[:8]) == (CircuitBreakerError, "Failures")
    refused = pickle.loads(pickle.dumps(fails(breaker, error=CircuitBreakerError)))
    assert (type(refused), refused.name) == (CircuitBreakerOpenError, "payments")
    assert timedelta(seconds=50) < refused.time_remaining <= timedelta(seconds=60)


def test_an_error_can_be_made_by_hand():
    error = CircuitBreakerError("closed today", None)
    assert (error.message, error.reopen_time, error.time_remaining) == (
        *("closed today", None, timedelta(0)),
    )
    refused = CircuitBreakerOpenError("closed today", datetime(2020, 1, 1))
    assert (refused.message, refused.time_remaining < timedelta(0)) == ("closed today", True)


def test_a_storage_must_say_all_that_a_breaker_asks():
    with pytest.raises(TypeError, match="abstract"):
        CircuitBreakerStorage("mine")
    with pytest.raises(ValueError, match="Unknown state"):
        CircuitBreaker(state_storage=CircuitMemoryStorage("closed"))
