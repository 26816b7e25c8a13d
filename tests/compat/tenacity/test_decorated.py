"""The face of tenacity on functions: what is tried again, what is raised, what users read."""

import functools
import inspect
import pickle
import sys
import threading
import time
import warnings
from unittest import mock

import pytest

from holdfast.compat import tenacity
from holdfast.compat.tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    TryAgain,
    retry,
    retry_always,
    retry_if_exception_type,
    retry_if_not_result,
    retry_if_result,
    stop_after_attempt,
    wait_fixed,
    wait_none,
)


def nothing(_seconds: float) -> None:
    """Wait no time at all."""


class Flaky:
    """Fails a number of times, then returns 42."""

    def __init__(self, failures: int, error: type[BaseException] = ConnectionError) -> None:
        self.failures = failures
        self.error = error
        self.calls = 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error(f"failure {self.calls}")
        return args, kwargs


def test_a_failure_is_tried_again_until_it_succeeds():  # RT-18
    flaky = Flaky(3)
    assert retry(sleep=nothing)(flaky)(1, two=2) == ((1,), {"two": 2})
    assert flaky.calls == 4


def test_a_decorator_needs_no_parentheses():
    @retry
    def answer() -> int:
        return 42

    assert answer() == 42


def test_a_call_that_is_given_up_raises_an_error_from_the_last():
    flaky = Flaky(9)
    with pytest.raises(RetryError) as caught:
        retry(stop=stop_after_attempt(3), sleep=nothing)(flaky)()
    assert flaky.calls == 3
    last = caught.value.last_attempt
    assert (last.attempt_number, last.failed) == (3, True)
    assert isinstance(last.exception(), ConnectionError)
    assert caught.value.__cause__ is last.exception()
    assert caught.value.__context__ is None or caught.value.__context__ is last.exception()
    assert str(caught.value).startswith("RetryError[<Future at 0x")
    assert "raised ConnectionError" in str(caught.value)


def test_the_last_error_itself_is_raised_where_that_is_asked_for():
    with pytest.raises(ConnectionError, match="failure 2") as caught:
        retry(stop=stop_after_attempt(2), reraise=True)(Flaky(9))()
    assert caught.value.__context__ is None


def test_an_error_that_is_not_named_is_raised_as_it_is():
    flaky = Flaky(9, KeyError)
    with pytest.raises(KeyError, match="failure 1") as caught:
        retry(retry=retry_if_exception_type(ConnectionError))(flaky)()
    assert flaky.calls == 1
    assert caught.value.__context__ is None


@pytest.mark.parametrize("condition", [retry_if_result(bool), retry_if_not_result(lambda r: not r)])
def test_a_result_may_be_tried_again(condition):
    results = iter([1, 2, 0, 3])
    assert retry(retry=condition, sleep=nothing)(lambda: next(results))() == 0


def test_a_result_that_is_given_up_is_in_the_error():
    with pytest.raises(RetryError) as caught:
        retry(retry=retry_always, stop=stop_after_attempt(2))(lambda: "no")()
    assert caught.value.last_attempt.result() == "no"
    assert caught.value.__cause__ is None
    with pytest.raises(RetryError):
        retry(retry=retry_always, stop=stop_after_attempt(2), reraise=True)(lambda: "no")()


def test_a_function_may_ask_to_be_tried_again():
    asked = []

    @retry(retry=tenacity.retry_never)
    def work() -> int:
        asked.append(None)
        if len(asked) < 3:
            raise TryAgain
        return len(asked)

    assert work() == 3


def test_what_was_to_be_tried_again_for_is_raised_at_last():
    @retry(stop=stop_after_attempt(2), reraise=True)
    def work() -> None:
        try:
            raise ConnectionError
        except ConnectionError:
            raise TryAgain  # noqa: B904

    with pytest.raises(ConnectionError) as caught:
        work()
    assert caught.value.__suppress_context__


def test_a_callback_answers_for_a_call_that_is_given_up():
    seen: list[RetryCallState] = []
    work = retry(stop=stop_after_attempt(2), retry_error_callback=seen.append)(Flaky(9))
    assert work("x") is None
    assert (seen[0].args, seen[0].attempt_number) == (("x",), 2)


def test_a_class_of_errors_of_the_users_own_is_raised():
    class GoneError(RetryError):
        def reraise(self):
            raise LookupError("gone") from self

    with pytest.raises(GoneError):
        retry(stop=stop_after_attempt(1), retry_error_cls=GoneError)(Flaky(9))()
    with pytest.raises(LookupError):
        retry(stop=stop_after_attempt(1), retry_error_cls=GoneError, reraise=True)(Flaky(9))()


def test_hooks_see_each_attempt_in_order():
    seen = []

    def hook(name):
        def note(state: RetryCallState) -> None:
            outcome = None if state.outcome is None else state.outcome.failed
            sleep = None if state.next_action is None else state.next_action.sleep
            seen.append((name, state.attempt_number, outcome, sleep, state.idle_for))

        return note

    slept = []
    retry(
        before=hook("before"),
        after=hook("after"),
        before_sleep=hook("sleep"),
        wait=wait_fixed(2),
        sleep=slept.append,
    )(Flaky(1))()
    assert seen == [
        ("before", 1, None, None, 0.0),
        ("after", 1, True, None, 0.0),
        ("sleep", 1, True, 2.0, 2.0),
        ("before", 2, None, None, 2.0),
    ]
    assert slept == [2.0]


def test_hooks_may_be_none():
    work = retry(before=None, after=None, wait=None, stop=stop_after_attempt(2))(Flaky(1))
    assert work() == ((), {})


def test_a_hook_that_raises_ends_the_call():
    def burst(_state: RetryCallState) -> None:
        raise LookupError("burst")

    flaky = Flaky(9)
    with pytest.raises(LookupError, match="burst"):
        retry(before_sleep=burst)(flaky)()
    assert flaky.calls == 1


def test_statistics_are_those_of_the_last_call():
    flaky = Flaky(2)
    work = retry(wait=wait_fixed(0.5), sleep=nothing)(flaky)
    assert work.statistics == {}
    work()
    assert work.statistics["attempt_number"] == 3
    assert work.statistics["idle_for"] == 1.0
    assert work.statistics["delay_since_first_attempt"] > 0
    assert work.retry.statistics is work.statistics
    work()
    assert work.statistics["attempt_number"] == 1
    assert (work.statistics["idle_for"], work.statistics["delay_since_first_attempt"]) == (0, 0)
    assert set(work.statistics) == {
        "start_time",
        "attempt_number",
        "idle_for",
        "delay_since_first_attempt",
    }


def test_statistics_are_there_during_the_first_attempt_already():
    @retry
    def work() -> int:
        return work.statistics["attempt_number"]

    work.statistics["of the user"] = 1
    assert work() == 1
    assert len(work.statistics) == 4


def test_statistics_of_a_controller_are_those_of_the_thread():
    work = retry(Flaky(0))
    work()
    there = []
    thread = threading.Thread(target=lambda: there.append(dict(work.retry.statistics)))
    thread.start()
    thread.join()
    assert there == [{}]


def test_other_decorators_see_the_statistics_of_each_call():
    def other(fn):
        @functools.wraps(fn)
        def call(*args):
            return fn(*args)

        return call

    work = other(retry(sleep=nothing)(Flaky(1)))
    work()
    assert work.statistics["attempt_number"] == 2


def test_a_decorated_function_can_be_had_with_other_arguments():
    work = retry(stop=stop_after_attempt(9))(Flaky(99))
    flaky = Flaky(99)
    once = retry(stop=stop_after_attempt(9), sleep=nothing)(flaky).retry_with(
        stop=stop_after_attempt(2)
    )
    with pytest.raises(RetryError):
        once()
    assert flaky.calls == 2
    assert work.retry.stop.max_attempt_number == 9


def test_a_controller_can_be_changed_after_it_has_decorated():
    flaky = Flaky(9)
    work = retry(flaky)
    work.retry.stop = stop_after_attempt(2)
    work.retry.sleep = nothing
    with pytest.raises(RetryError):
        work()
    work.retry.enabled = False
    with pytest.raises(ConnectionError, match="failure 3"):
        work()
    work.retry.enabled = True
    work.retry.retry = retry_if_exception_type(KeyError)
    with pytest.raises(ConnectionError, match="failure 4"):
        work()
    work.retry.retry = retry_if_result(lambda result: result == ((), {}))
    flaky.failures = 0
    with pytest.raises(RetryError):
        work()
    befores = []
    work.retry.retry = retry_if_exception_type()
    work.retry.before = befores.append
    work()
    assert len(befores) == 1


def test_what_is_disabled_is_called_once():
    flaky = Flaky(1)
    with pytest.raises(ConnectionError):
        retry(enabled=False)(flaky)()
    with pytest.raises(KeyError):
        Retrying(enabled=False)(Flaky(1, KeyError))
    for attempt in Retrying(enabled=False):
        with attempt:
            flaky()
    assert flaky.calls == 2


def test_a_call_within_a_call_of_the_same_function_has_attempts_of_its_own():
    calls = []

    @retry(stop=stop_after_attempt(3), sleep=nothing)
    def work(depth: int) -> int:
        calls.append(depth)
        if depth:
            work(depth - 1)
        if calls.count(depth) < 2:
            raise ConnectionError
        return depth

    assert work(2) == 2
    assert [calls.count(depth) for depth in (2, 1, 0)] == [2, 3, 4]


class Service:
    """Methods of each kind."""

    name = "service"

    @retry
    def method(self, x: int, *, y: int = 1) -> tuple[str, int, int]:
        """Answer."""
        return self.name, x, y

    @classmethod
    @retry
    def of_class(cls, x: int) -> tuple[str, int]:
        return cls.name, x

    @staticmethod
    @retry
    def static(x: int) -> int:
        return x


def test_methods_of_each_kind_are_bound_as_ever():
    assert Service().method(1, y=2) == ("service", 1, 2)
    assert Service.of_class(1) == ("service", 1)
    assert Service.static(1) == Service().static(1) == 1


def test_a_decorated_function_keeps_its_face():
    assert Service.method.__name__ == "method"
    assert Service.method.__doc__ == "Answer."
    assert Service.method.__kwdefaults__ == {"y": 1}
    assert list(inspect.signature(Service.method).parameters) == ["self", "x", "y"]
    assert pickle.loads(pickle.dumps(Service.method)) is Service.method
    assert pickle.loads(pickle.dumps(module_function)) is module_function


@retry
def module_function() -> None:
    """Be found by its name."""


def test_the_parts_of_a_decorated_function_can_be_pickled():
    closure = inspect.getclosurevars(Service.method)
    for part in closure.nonlocals.values():
        if not inspect.isfunction(part):
            pickle.dumps(part)
    policy = retry(Flaky(0)).policy
    assert pickle.loads(pickle.dumps(policy)) is policy


def test_a_controller_can_be_pickled_and_copied():
    controller = Retrying(stop=stop_after_attempt(3), wait=wait_none(), name="payments")
    controller(lambda: None)
    there = pickle.loads(pickle.dumps(controller))
    assert there.stop.max_attempt_number == 3
    assert there.statistics == {}
    assert there.policy is controller.policy
    assert there.copy(stop=stop_after_attempt(9)).stop.max_attempt_number == 9


def test_an_error_of_a_call_that_was_given_up_can_be_pickled():
    with pytest.raises(RetryError) as caught:
        retry(stop=stop_after_attempt(2))(Flaky(9))()
    there = pickle.loads(pickle.dumps(caught.value))
    assert there.last_attempt.attempt_number == 2
    assert isinstance(there.last_attempt.exception(), ConnectionError)


def test_a_generator_function_is_called_and_not_run():
    @retry
    def numbers():
        yield 1
        yield 2

    assert list(numbers()) == [1, 2]


def test_a_condition_in_place_of_a_function_is_warned_of():
    with pytest.warns(UserWarning, match="did you mean retry=retry_if_exception_type"):
        retry(retry_if_exception_type())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        retry(retry=retry_if_exception_type())


def test_a_controllers_name_is_its_text():
    assert str(Retrying()) == "<unknown>"
    assert str(Retrying(name="payments")) == "payments"
    text = repr(Retrying(name="payments"))
    assert text.startswith("<Retrying object at 0x")
    assert text.endswith("name='payments')>")


class Sleepy(Retrying):
    """Overrides what users override."""

    begins = 0
    iters = 0

    def begin(self):
        Sleepy.begins += 1
        super().begin()

    def iter(self, retry_state):
        Sleepy.iters += 1
        return super().iter(retry_state)


def test_a_subclass_of_a_controller_is_asked_at_each_step():
    work = Sleepy(sleep=nothing).wraps(Flaky(1))
    work()
    work()
    assert Sleepy.begins == 2
    assert Sleepy.iters == 6  # before each of three attempts, and after it
    assert isinstance(work.retry, Sleepy)


def test_a_subclass_may_drive_the_steps_itself():
    class Own(tenacity.BaseRetrying):
        def __call__(self, fn, *args, **kwargs):
            self.begin()
            state = RetryCallState(retry_object=self, fn=fn, args=args, kwargs=kwargs)
            while True:
                do = self.iter(retry_state=state)
                if isinstance(do, tenacity.DoAttempt):
                    try:
                        state.set_result(fn(*args, **kwargs))
                    except Exception as error:
                        state.set_exception((type(error), error, error.__traceback__))
                elif isinstance(do, tenacity.DoSleep):
                    state.prepare_for_next_attempt()
                    self.sleep(do)
                else:
                    return do

    own = Own(name="of its own", wait=wait_fixed(1), sleep=nothing)
    before = own.policy.snapshot()
    assert own(Flaky(2), 1) == ((1,), {})
    shot = own.policy.snapshot()
    assert shot.recovered - before.recovered == 1
    assert shot.attempts - before.attempts == 3
    assert shot.delay - before.delay == 2.0


def test_the_state_of_a_call_is_told_in_words():
    state = RetryCallState(None, None, (), {})
    assert repr(state).endswith("attempt #1; slept for 0.0; last result: none yet>")
    state.set_result("found")
    assert repr(state).endswith("last result: returned found>")
    state.set_exception((KeyError, KeyError("x"), None))
    assert repr(state).endswith("last result: failed (KeyError 'x')>")
    state.outcome = tenacity.Future.construct(1, ValueError("y"), True)
    assert repr(state).endswith("last result: failed (ValueError y)>")
    assert repr(tenacity.RetryAction(2)) == str(tenacity.RetryAction(2)) == "RetryAction(sleep=2.0)"


def test_the_face_has_every_public_name():
    assert all(hasattr(tenacity, name) for name in tenacity.__all__)
    with pytest.raises(AttributeError, match="no attribute 'retries'"):
        tenacity.retries  # noqa: B018


def test_a_controller_calls_a_function_with_attempts_and_statistics_of_its_own():
    retrying = Retrying(stop=stop_after_attempt(3), wait=wait_fixed(1), sleep=nothing)
    assert retrying(Flaky(2), 1, two=2) == ((1,), {"two": 2})
    assert retrying.statistics["attempt_number"] == 3
    with pytest.raises(RetryError) as caught:
        retrying(Flaky(9))
    assert caught.value.__context__ in {None, caught.value.__cause__}
    assert retrying(Flaky(0)) == ((), {})
    assert retrying.statistics["attempt_number"] == 1
    with pytest.raises(ConnectionError) as raised:
        retrying.copy(retry=retry_if_exception_type(KeyError), reraise=True)(Flaky(9))
    assert raised.value.__context__ is None


def test_a_state_that_is_made_by_hand_has_the_users_outcome():
    state = RetryCallState(Retrying(name="by hand"), len, ("ab",), {})
    assert state.get_fn_name() == "builtins.len"
    assert RetryCallState(Retrying(name="by hand"), None, (), {}).get_fn_name() == "by hand"
    future = tenacity.Future.construct(1, 42, False)
    state.outcome = future
    assert state.outcome is future
    assert retry_if_result(lambda result: result == 42)(state)
    state.set_result(43)
    assert state.outcome.result() == 43
    assert state.outcome is state.outcome
    state.prepare_for_next_attempt()
    assert (state.outcome, state.seconds_since_start, state.attempt_number) == (None, None, 2)


def test_a_state_may_be_given_an_outcome_that_ends_later():
    state = RetryCallState(Retrying(), None, (), {})
    state.outcome = tenacity.Future(1)
    state.outcome.set_exception(KeyError("key"))
    assert retry_if_exception_type(KeyError)(state)
    assert repr(state).endswith("failed (KeyError 'key')>")


class OnlyOutcome:
    """What a test of a user's may give to a condition."""

    def __init__(self, outcome):
        self.outcome = outcome


@pytest.mark.parametrize(("value", "is_raised"), [(42, False), (KeyError(), True)])
def test_conditions_take_whatever_has_an_outcome(value, is_raised):
    state = OnlyOutcome(tenacity.Future.construct(1, value, is_raised))
    assert retry_if_exception_type()(state) is is_raised
    assert retry_if_result(lambda result: result == 42)(state) is not is_raised
    with pytest.raises(RuntimeError, match="before outcome"):
        retry_if_exception_type()(OnlyOutcome(None))


@pytest.mark.parametrize(("wait", "asked"), [(None, [0.0]), (wait_fixed(0.25), [0.25])])
def test_pauses_are_made_by_the_sleep_that_tests_patch(monkeypatch, wait, asked):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    retry(wait=wait)(Flaky(1))()
    assert slept == asked


def test_no_system_call_is_made_for_a_pause_of_no_time():
    called = []

    def note(_frame, event: str, what: object) -> None:
        if event == "c_call":
            called.append(what)

    sys.setprofile(note)
    try:
        tenacity.sleep(0)
        tenacity.sleep(1e-6)
    finally:
        sys.setprofile(None)
    assert called.count(time.sleep) == 1


def test_statistics_of_a_call_show_nothing_of_the_one_before():
    flaky = Flaky(2)
    work = retry(stop=stop_after_attempt(2), sleep=nothing, wait=wait_fixed(1))(flaky)
    with pytest.raises(RetryError):
        work()
    assert work() == ((), {})
    first = {"attempt_number": 1, "idle_for": 0, "delay_since_first_attempt": 0}
    assert work.statistics == {**first, "start_time": work.statistics["start_time"]}
    work.retry(Flaky(1))  # in this thread its figures are the same
    assert work.statistics["attempt_number"] == 2
    work()
    assert work.statistics == {**first, "start_time": work.statistics["start_time"]}
    work.retry.stop = stop_after_attempt(1)
    flaky.failures = 99
    with pytest.raises(RetryError):
        work()
    assert work.statistics["delay_since_first_attempt"] > 0
    flaky.failures = 0
    work()
    assert work.statistics["delay_since_first_attempt"] == 0
    work.statistics.clear()
    work()
    assert len(work.statistics) == 4


@pytest.mark.parametrize("place", [OnlyOutcome, lambda outcome: state_with(outcome)])
def test_a_users_test_may_put_a_mock_in_the_place_of_an_outcome(place):
    returned = mock.Mock(failed=False, **{"result.return_value": 42})
    raised = mock.Mock(failed=True, **{"exception.return_value": KeyError()})
    assert retry_if_result(lambda result: result == 42)(place(returned))
    assert not retry_if_exception_type()(place(returned))
    assert retry_if_exception_type(KeyError)(place(raised))
    assert place(raised).outcome is raised


def state_with(outcome: object) -> RetryCallState:
    state = RetryCallState(None, None, (), {})
    state.outcome = outcome
    return state
