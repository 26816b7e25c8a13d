"""The face of pybreaker: calls, failures, states, and what guards them. RT-18."""

import asyncio
import concurrent.futures
import contextlib
import copy
import inspect
import os
import pickle
import select
import threading
import traceback

import pytest

import holdfast as hf
from holdfast import testing
from holdfast.compat import pybreaker
from holdfast.compat.pybreaker import (
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerOpenError,
    CircuitMemoryStorage,
)
from tests.compat.pybreaker.parts import (
    Changes,
    DictStorage,
    DownError,
    afail,
    fail,
    fails,
    quietly,
)


@pytest.fixture(autouse=True)
def clock():
    """The time of all breakers of a test."""
    with testing.use_clock() as manual:
        yield manual


def opened(**settings):
    breaker = CircuitBreaker(fail_max=1, **settings)
    quietly(lambda: breaker.call(fail))
    assert breaker.current_state == "open"
    return breaker


MODULE_BREAKER = CircuitBreaker(name="of the module")


@MODULE_BREAKER
def pickled(value):
    """Have a docstring."""
    return value


def test_failures_in_a_row_open_the_circuit_and_calls_are_refused():  # RT-18
    breaker = CircuitBreaker(fail_max=3)
    fails(lambda: breaker.call(fail), times=2)
    assert (breaker.fail_counter, breaker.current_state) == (2, "closed")
    fails(lambda: breaker.call(fail), error=CircuitBreakerError)
    assert (breaker.fail_counter, breaker.current_state) == (3, "open")
    with pytest.raises(CircuitBreakerOpenError, match=r"^Timeout not elapsed yet, circuit breaker"):
        breaker.call(int)
    assert breaker.fail_counter == 3
    assert breaker.policy.snapshot().rejected == 1


def test_a_success_ends_a_run_of_failures():
    breaker = CircuitBreaker(fail_max=3)
    for _ in range(5):
        quietly(lambda: breaker.call(fail), times=2)
        assert breaker.call(int) == 0
        assert breaker.fail_counter == 0
    assert breaker.current_state == "closed"


def test_the_error_that_opens_shows_the_failure_as_its_context():
    breaker = CircuitBreaker(fail_max=1)
    with pytest.raises(CircuitBreakerError) as raised:
        breaker.call(fail)
    assert str(raised.value) == "Failures threshold reached, circuit breaker opened"
    assert type(raised.value) is CircuitBreakerError  # the call ran: it is no rejection
    assert not isinstance(raised.value, hf.Rejected)
    assert isinstance(raised.value.__context__, DownError)
    assert "DownError" in "".join(traceback.format_exception(raised.value))


def test_with_throw_new_error_on_trip_false_the_failure_itself_is_raised():
    breaker = CircuitBreaker(fail_max=1, throw_new_error_on_trip=False)
    fails(lambda: breaker.call(fail))
    assert breaker.current_state == "open"
    fails(lambda: breaker.call(fail), error=CircuitBreakerError)
    assert breaker.open() is False
    assert CircuitBreaker().open() is True


def test_a_refusal_is_caught_as_either_librarys_error_and_says_when_to_come_back(clock):
    breaker = opened(name="payments", reset_timeout=30)
    clock.advance(10)
    with pytest.raises(hf.CircuitOpenError) as raised:
        breaker.call(int)
    error = raised.value
    assert isinstance(error, CircuitBreakerError)
    assert (error.name, error.reason, error.retry_after) == ("payments", "open", 20)
    assert error.trip.error_type.endswith("DownError")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert error.args[0] == "Timeout not elapsed yet, circuit breaker still open"


def test_an_error_of_the_users_own_keeps_its_message():
    error = CircuitBreakerError("mine", 7)
    assert (str(error), error.args) == ("('mine', 7)", ("mine", 7))
    assert pickle.loads(pickle.dumps(CircuitBreakerError("mine"))).args == ("mine",)
    assert issubclass(CircuitBreakerError, Exception)


def test_a_trial_call_closes_the_circuit_or_opens_it_again(clock):
    breaker = CircuitBreaker(fail_max=3, reset_timeout=10)
    quietly(lambda: breaker.call(fail), times=3)
    clock.advance(9.9)
    fails(lambda: breaker.call(int), error=CircuitBreakerOpenError)
    clock.advance(0.1)
    with pytest.raises(CircuitBreakerError, match=r"^Trial call failed, circuit breaker opened$"):
        breaker.call(fail)
    assert (breaker.fail_counter, breaker.current_state) == (4, "open")
    clock.advance(10)
    assert breaker.call(int) == 0
    assert (breaker.fail_counter, breaker.current_state) == (0, "closed")


def test_success_threshold_trial_calls_close_the_circuit(clock):
    breaker = opened(success_threshold=3, reset_timeout=10)
    clock.advance(10)
    for successes in (1, 2):
        breaker.call(int)
        assert (breaker.success_counter, breaker.current_state) == (successes, "half-open")
        assert breaker.fail_counter == 0
    breaker.call(int)
    assert (breaker.success_counter, breaker.current_state) == (0, "closed")


def test_a_failed_trial_call_after_a_successful_one_is_the_first_failure(clock):
    breaker = CircuitBreaker(fail_max=2, success_threshold=3, reset_timeout=10)
    quietly(lambda: breaker.call(fail), times=2)
    clock.advance(10)
    breaker.call(int)
    fails(lambda: breaker.call(fail), error=CircuitBreakerError)
    assert (breaker.success_counter, breaker.fail_counter) == (0, 1)


def test_one_trial_call_runs_at_a_time_and_others_are_refused(clock):
    breaker = opened(reset_timeout=1)
    clock.advance(1)
    started, goes_on = threading.Event(), threading.Event()

    def trial():
        started.set()
        assert goes_on.wait(10)

    thread = threading.Thread(target=breaker.call, args=(trial,))
    thread.start()
    assert started.wait(10)
    with pytest.raises(CircuitBreakerError, match="Trial call still running"):
        breaker.call(int)
    goes_on.set()
    thread.join(10)
    assert breaker.current_state == "closed"


def test_a_lost_trial_call_does_not_keep_the_circuit_half_open_for_ever(clock):  # trap 4
    breaker = opened(reset_timeout=1)
    clock.advance(1)
    lost = breaker.policy.acquire()
    fails(lambda: breaker.call(int), error=CircuitBreakerError)
    clock.advance(30.1)
    assert breaker.call(int) == 0
    assert breaker.current_state == "closed"
    assert lost.success()


def test_a_late_success_closes_nothing(clock):  # trap 2
    breaker = CircuitBreaker(fail_max=1, reset_timeout=1)
    early = breaker.policy.acquire()
    quietly(lambda: breaker.call(fail))
    clock.advance(1)
    trial = breaker.policy.acquire()
    early.success()
    assert breaker.current_state == "half-open"
    trial.success()
    assert breaker.current_state == "closed"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("storage", [None, DictStorage()])
def test_interrupts_pass_through_and_count_as_nothing(error, storage):  # trap 5
    breaker = CircuitBreaker(fail_max=1, state_storage=storage)

    def interrupted():
        raise error

    with pytest.raises(error):
        breaker.call(interrupted)
    assert (breaker.current_state, breaker.fail_counter) == ("closed", 0)


async def test_a_cancelled_call_counts_as_nothing():  # trap 5
    breaker = CircuitBreaker(fail_max=1)
    task = asyncio.create_task(breaker(asyncio.sleep)(60))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert breaker.current_state == "closed"
    assert breaker.policy.snapshot().failed == 0


@pytest.mark.parametrize("fail_max", [1, 0, -3, 0.5])
def test_below_one_the_first_failure_opens(fail_max):
    breaker = CircuitBreaker(fail_max=fail_max)
    quietly(lambda: breaker.call(fail))
    assert (breaker.fail_max, breaker.current_state) == (fail_max, "open")


def test_numbers_that_no_run_reaches_never_open():
    breaker = CircuitBreaker(fail_max=float("inf"))
    quietly(lambda: breaker.call(fail), times=20)
    assert (breaker.fail_counter, breaker.current_state) == (20, "closed")


def test_settings_can_be_changed_at_any_time(clock):
    breaker = CircuitBreaker()
    quietly(lambda: breaker.call(fail), times=2)
    breaker.fail_max = 3
    quietly(lambda: breaker.call(fail))
    assert breaker.current_state == "open"
    clock.advance(20)
    breaker.reset_timeout = 30  # of the present opening too, as it is asked for at each call
    assert breaker.policy.retry_after == 10
    breaker.reset_timeout, breaker.success_threshold = 20, 2
    assert breaker.call(int) == 0
    assert (breaker.success_counter, breaker.current_state) == (1, "half-open")
    breaker.success_threshold = 1
    assert (breaker.fail_max, breaker.reset_timeout, breaker.success_threshold) == (3, 20, 1)
    breaker.call(int)
    assert breaker.current_state == "closed"
    assert "failure_threshold=3" in breaker.policy.describe()


@pytest.mark.parametrize("field", ["fail_max", "reset_timeout", "success_threshold"])
@pytest.mark.parametrize("value", ["5", None, float("nan"), object()])
def test_what_is_no_number_is_refused_and_nothing_changes(field, value):
    with pytest.raises(hf.ConfigError, match=f"{field}.*a number"):
        CircuitBreaker(**{field: value})
    breaker = CircuitBreaker(name="kept")
    before = breaker.policy.describe()
    with pytest.raises(hf.ConfigError, match=f"{field}.*a number"):
        setattr(breaker, field, value)
    assert getattr(breaker, field) in (5, 60, 1)
    assert breaker.policy.describe() == before


def test_a_reset_timeout_of_zero_lets_the_next_call_try():
    breaker = opened(reset_timeout=0)
    assert breaker.call(int) == 0


def test_excluded_exceptions_are_successes():
    breaker = CircuitBreaker(fail_max=2, exclude=[LookupError, lambda e: e.args == ("fine",)])

    def raising(error):
        raise error

    quietly(lambda: breaker.call(fail))
    for error in (LookupError(), KeyError(), ValueError("fine")):
        with pytest.raises(type(error)):
            breaker.call(raising, error)
        assert breaker.fail_counter == 0
        quietly(lambda: breaker.call(fail))
    assert breaker.is_system_error(ValueError("bad"))
    breaker.add_excluded_exceptions(DownError, OSError)
    fails(lambda: breaker.call(fail), times=5)
    breaker.remove_excluded_exception(DownError)
    assert breaker.excluded_exceptions[-1] is OSError
    fails(lambda: breaker.call(fail))
    with pytest.raises(ValueError, match="not in list"):
        breaker.remove_excluded_exception(KeyError)


def test_an_abstract_class_excludes_its_exceptions_and_no_others():
    from abc import ABCMeta

    class Business(Exception, metaclass=ABCMeta):  # noqa: N818
        pass

    breaker = CircuitBreaker(fail_max=1, exclude=[Business])
    assert not breaker.is_system_error(Business())
    assert breaker.is_system_error(DownError())


def test_what_an_exclusion_raises_reaches_the_caller_and_counts_as_nothing():
    def broken(error):
        raise LookupError("exclusion")

    breaker = CircuitBreaker(fail_max=1, exclude=[broken])
    with pytest.raises(LookupError, match="exclusion"):
        breaker.call(fail)
    assert breaker.current_state == "closed"


def test_the_refusal_of_an_inner_breaker_is_a_failure_of_the_outer_one():
    inner, outer = opened(), CircuitBreaker(fail_max=2)
    fails(lambda: outer.call(inner.call, int), error=CircuitBreakerOpenError)
    assert outer.fail_counter == 1
    fails(lambda: outer.call(inner.call, int), error=CircuitBreakerError)
    assert outer.current_state == "open"


# ---- what is guarded ----


def test_a_decorated_function_keeps_its_face_and_is_pickled_by_name():
    assert (pickled.__name__, pickled.__doc__) == ("pickled", "Have a docstring.")
    assert list(inspect.signature(pickled).parameters) == ["value"]
    assert pickle.loads(pickle.dumps(pickled)) is pickled
    assert pickled(7) == 7


def test_methods_of_every_kind_are_guarded():
    breaker = CircuitBreaker(fail_max=1)

    class Client:
        @breaker
        def method(self, value):
            return self, value

        @breaker
        @classmethod
        def of_class(cls, value):
            return cls, value

        @staticmethod
        @breaker()
        def static(value):
            return value

    client = Client()
    assert client.method(1) == (client, 1)
    assert Client.of_class(2) == (Client, 2)
    assert client.static(3) == 3
    breaker.open()
    for method in (client.method, Client.of_class, client.static):
        fails(lambda method=method: method(1), error=CircuitBreakerError)


@pytest.mark.parametrize("storage", [None, DictStorage()])
async def test_a_coroutine_function_is_guarded_until_it_ends(storage):
    breaker = CircuitBreaker(fail_max=2, state_storage=storage)
    guarded = breaker(afail)
    assert inspect.iscoroutinefunction(guarded)
    for call in (guarded, lambda: breaker.call(afail)):
        with contextlib.suppress(DownError, CircuitBreakerError):
            await call()
    assert (breaker.fail_counter, breaker.current_state) == (2, "open")
    for call in (guarded, lambda: breaker.call(afail), lambda: breaker.acall(afail)):
        with pytest.raises(CircuitBreakerError, match="still open"):
            await call()


@pytest.mark.parametrize("storage", [None, DictStorage()])
def test_a_generator_counts_when_it_ends(storage):
    breaker = CircuitBreaker(fail_max=5, state_storage=storage)

    @breaker
    def numbers(last):
        got = yield 1
        yield got
        if last:
            raise DownError(last)

    stream = numbers("end")
    assert next(stream) == 1
    assert stream.send("sent") == "sent"
    with pytest.raises(DownError):
        next(stream)
    assert breaker.fail_counter == 1
    assert list(numbers(None)) == [1, None]
    assert breaker.fail_counter == 0
    assert inspect.isgeneratorfunction(inspect.unwrap(numbers))


@pytest.mark.parametrize("storage", [None, DictStorage()])
def test_calling_guards_a_block(storage):
    breaker = CircuitBreaker(fail_max=2, state_storage=storage)

    def block(error=None):
        with breaker.calling() as nothing:
            assert nothing is None
            if error:
                raise error

    block()
    fails(lambda: block(DownError()))
    block()
    assert breaker.fail_counter == 0
    fails(lambda: block(DownError()))
    fails(lambda: block(DownError()), error=CircuitBreakerError)
    fails(block, error=CircuitBreakerOpenError)

    @breaker.calling()
    def decorated():
        return 7

    fails(decorated, error=CircuitBreakerOpenError)
    breaker.close()
    assert decorated() == 7


def test_a_context_manager_of_a_guarded_generator_ends_as_its_block_does():
    breaker = CircuitBreaker(fail_max=5)

    @contextlib.contextmanager
    @breaker
    def translating():
        try:
            yield
        except DownError as error:
            raise ValueError from error

    with pytest.raises(ValueError), translating():  # noqa: PT011
        fail()
    assert breaker.fail_counter == 1


def test_a_call_that_gives_a_future_settles_when_that_is_done():
    breaker = CircuitBreaker()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = breaker.call(pool.submit, fail)
        assert isinstance(future.exception(10), DownError)
    assert breaker.fail_counter == 1


async def test_acall_takes_what_gives_something_to_await_and_no_streams():
    breaker = CircuitBreaker()
    assert await breaker.acall(asyncio.sleep, 1, result=7) == 7
    assert await breaker.acall(lambda: asyncio.sleep(1, 8)) == 8

    def stream():
        yield

    async def astream():
        yield

    with pytest.raises(TypeError, match="acall does not support generators"):
        await breaker.acall(stream)
    with pytest.raises(TypeError, match="async generators"):
        await breaker.acall(astream)


def test_tornado_coroutines_are_called_asynchronously(require_real):
    try:
        from tornado import gen, ioloop
    except ImportError:
        require_real("tornado is not installed")
    breaker = CircuitBreaker(fail_max=2)

    @breaker(__pybreaker_call_async=True)
    @gen.coroutine
    def remote(value):
        yield gen.moment
        if value is None:
            raise DownError
        return value

    loop = ioloop.IOLoop(make_current=False)
    try:
        assert loop.run_sync(lambda: remote(7)) == 7
        assert loop.run_sync(lambda: breaker.call_async(afail_or, 8)) == 8
        fails(lambda: loop.run_sync(lambda: remote(None)))
        fails(lambda: loop.run_sync(lambda: remote(None)), error=CircuitBreakerError)
        fails(lambda: loop.run_sync(lambda: remote(1)), error=CircuitBreakerOpenError)
    finally:
        loop.close()


async def afail_or(value):
    return value


def test_without_tornado_an_asynchronous_decorator_is_refused(monkeypatch):
    monkeypatch.setattr(pybreaker, "HAS_TORNADO_SUPPORT", False)
    with pytest.raises(ImportError, match="No module named tornado"):
        CircuitBreaker()(int, __pybreaker_call_async=True)


# ---- orders, names, and what stands behind ----


def test_orders_put_the_circuit_into_each_state():
    heard = Changes()
    breaker = CircuitBreaker(listeners=[heard])
    breaker.open()
    fails(lambda: breaker.call(int), error=CircuitBreakerError)
    breaker.half_open()
    breaker.close()
    breaker.state = "open"
    assert breaker.state.name == breaker.current_state == "open"
    assert heard.heard == [
        "closed->open",
        "open->half-open",
        "half-open->closed",
        "closed->open",
    ]
    with pytest.raises(ValueError, match="Unknown state 'ajar', valid states: closed, open, half"):
        breaker.state = "ajar"


def test_opening_an_open_circuit_starts_its_open_time_again(clock):
    breaker = opened(reset_timeout=10)
    first = breaker._state_storage.opened_at
    clock.advance(9)
    breaker.open()
    assert breaker.policy.retry_after == 10
    assert breaker._state_storage.opened_at >= first


def test_state_objects_are_kept_and_have_the_name_of_the_state():
    breaker = CircuitBreaker()
    assert breaker.state is breaker.state
    assert isinstance(breaker.state, pybreaker.CircuitClosedState)
    breaker.half_open()
    assert isinstance(breaker.state, pybreaker.CircuitHalfOpenState)
    assert breaker.state.call(int) == 0
    breaker.open()
    with pytest.raises(CircuitBreakerError, match="still open"):
        breaker.state.before_call(int)


def test_the_policy_is_seen_in_the_registry_and_counts_what_happens():
    breaker = CircuitBreaker(name="seen", fail_max=1)
    assert hf.registry.get("circuit_breaker", "seen") is breaker.policy
    quietly(lambda: breaker.call(fail))
    snapshot = breaker.policy.snapshot()
    assert (snapshot.failed, snapshot.state) == (1, hf.State.OPEN)


def test_a_breaker_without_a_name_has_that_of_its_first_function_or_of_its_module():
    breaker = CircuitBreaker()
    breaker(fail)
    breaker(afail)
    assert breaker.name is None
    assert breaker.policy.name == "tests.compat.pybreaker.parts.fail"
    other = CircuitBreaker()
    other.call(int)
    assert other.policy.name == __name__


def test_a_new_name_keeps_what_the_circuit_knows(clock):
    breaker = CircuitBreaker(fail_max=3, name="old")
    guarded = breaker(fail)
    quietly(guarded, times=2)
    breaker.name = "new"
    assert (breaker.name, breaker.policy.name, breaker.fail_counter) == ("new", "new", 2)
    fails(guarded, error=CircuitBreakerError)
    assert breaker.policy.name == "new"
    clock.advance(20)
    breaker.name = "newer"
    assert breaker.current_state == "open"
    assert 39 < breaker.policy.retry_after <= 60


def test_in_observe_mode_nothing_is_refused_and_no_error_is_another(monkeypatch):
    from holdfast import mode

    monkeypatch.setattr(mode, "_of_process", hf.Mode.OBSERVE)
    breaker = CircuitBreaker(fail_max=1)
    fails(lambda: breaker.call(fail))
    assert breaker.call(int) == 0


def test_a_copy_shares_the_circuit():
    breaker = CircuitBreaker()
    assert copy.copy(breaker) is copy.deepcopy(breaker) is breaker


def test_a_dropped_breaker_lives_as_long_as_what_it_decorates():
    import gc

    guarded = CircuitBreaker(fail_max=1, name="dropped")(fail)
    gc.collect()
    fails(guarded, error=CircuitBreakerError)
    fails(guarded, error=CircuitBreakerOpenError)
    told = hf.registry.get("circuit_breaker", "dropped").snapshot()
    assert (told.failed, told.rejected) == (1, 1)


def test_threads_that_fail_at_once_open_the_circuit_once():
    heard = Changes()
    breaker = CircuitBreaker(fail_max=50, listeners=[heard])
    guarded = breaker(fail)
    threads = [threading.Thread(target=quietly, args=(guarded, 100)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert heard.heard == ["closed->open"]
    assert breaker.fail_counter == 50


def test_a_forked_child_has_a_lock_of_its_own():
    """Another thread of the parent may have held it, and is not there to let go."""
    breaker = CircuitBreaker(fail_max=2, listeners=[Changes()])
    quietly(lambda: breaker.call(fail))
    read, write = os.pipe()
    held, over = threading.Event(), threading.Event()

    def hold():
        with breaker._lock:
            held.set()
            over.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    child = os.fork()
    if child == 0:
        quietly(lambda: breaker.call(fail))
        os.write(write, breaker.current_state.encode())
        os._exit(0)
    over.set()
    thread.join(10)
    assert select.select([read], [], [], 10)[0], "the child waits for ever"
    assert os.read(read, 100) == b"open"
    os.waitpid(child, 0)
    os.close(read)
    os.close(write)


def test_types_that_pybreaker_has_are_there():
    from types import UnionType

    assert isinstance(pybreaker.CBStateType, UnionType)
    assert pybreaker.CBListenerType.__bound__ is pybreaker.CircuitBreakerListener
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = pybreaker.Nothing


def test_the_public_names_are_those_of_pybreaker():
    assert set(pybreaker.__all__) == {
        "STATE_CLOSED",
        "STATE_HALF_OPEN",
        "STATE_OPEN",
        "CircuitBreaker",
        "CircuitBreakerError",
        "CircuitBreakerListener",
        "CircuitMemoryStorage",
        "CircuitRedisStorage",
    }
    parameters = list(inspect.signature(CircuitBreaker).parameters.values())
    assert [(p.name, p.default) for p in parameters] == [
        ("fail_max", 5),
        ("reset_timeout", 60),
        ("success_threshold", 1),
        ("exclude", None),
        ("listeners", None),
        ("state_storage", None),
        ("name", None),
        ("throw_new_error_on_trip", True),
    ]
    assert CircuitMemoryStorage("closed").name == "memory"
