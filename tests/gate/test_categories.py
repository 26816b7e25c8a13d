"""The gate asks once per class for a category, and keeps the answer until classes are forgotten."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import holdfast as hf
from holdfast import categories
from holdfast._native.gate import _forget_classes
from holdfast.categories import register
from tests.interpreters import classes_can_die
from tests.policies.test_end_of_stack import at_the_end

Classifier = Callable[[type[BaseException]], Any]


class OwnError(Exception):
    pass


def verdict(error: BaseException, breaker: hf.CircuitBreaker | None = None) -> str:
    """Return how a breaker counts an error that counts as a failure if it is transient."""
    breaker = breaker or hf.CircuitBreaker("b", failure_threshold=1000, on="transient")
    breaker.acquire().failure(error)
    counted = breaker.snapshot()
    return "failed" if counted.failed else "succeeded" if counted.succeeded else "ignored"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Classifier], list[type]]]:
    """Have another classifier; return the classes that it is asked about."""

    def use(classifier: Classifier) -> list[type]:
        asked: list[type] = []

        def of_class(cls: type[BaseException]) -> Any:
            asked.append(cls)
            return classifier(cls)

        monkeypatch.setattr(categories, "_of_class", of_class)
        _forget_classes()
        return asked

    yield use
    _forget_classes()


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was reported of errors that nobody could be given."""
    reported: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", lambda seen: reported.append(type(seen.exc_value)))
    return reported


@pytest.mark.parametrize("known", [None, "transient", "logic", lambda error: "transient"])
def test_a_class_is_asked_about_once(answers, known):
    asked = answers(lambda cls: known)
    expected = "failed" if known == "transient" or callable(known) else "succeeded"
    assert [verdict(OwnError()) for _ in range(3)] == [expected] * 3
    assert asked == [OwnError]
    _forget_classes()
    assert verdict(OwnError()) == expected
    assert asked == [OwnError] * 2


def test_a_function_looks_at_each_error_of_its_class(answers):
    answers(lambda cls: lambda error: error.args[0])
    given = ("transient", None, "logic", "transient")
    counted = [verdict(OwnError(category)) for category in given]
    assert counted == ["failed", "succeeded", "succeeded", "failed"]


def test_nobody_is_asked_where_the_class_itself_is_named(answers):
    asked = answers(lambda cls: "transient")
    both = hf.CircuitBreaker("b", on=(OwnError, "logic"))
    neither = hf.CircuitBreaker("b", on=OSError, ignore=(OwnError, "transient"))
    assert (verdict(OwnError(), both), verdict(OwnError(), neither)) == ("failed", "ignored")
    assert hf.CircuitBreaker("b").call(int) == hf.Retry("r").call(int) == 0
    assert asked == []


def test_an_answer_that_may_be_out_of_date_is_not_kept(answers):
    def forgets(cls: type[BaseException]) -> str:
        if len(asked) == 1:
            _forget_classes()  # as where another thread registers meanwhile
        return "transient"

    asked = answers(forgets)
    assert [verdict(OwnError()) for _ in range(3)] == ["failed"] * 3
    assert len(asked) == 2


def test_more_classes_than_there_is_room_for_are_all_known(answers):
    classes = [type(f"E{n}", (Exception,), {"n": n}) for n in range(1000)]

    def known(cls: Any) -> Any:
        return (None, "transient", "logic", lambda error: error.args[0])[cls.n % 4]

    answers(known)
    for _ in range(2):
        for cls in classes:
            expected = "failed" if cls.n % 4 == 1 or cls.n % 8 == 3 else "succeeded"
            assert verdict(cls("transient" if cls.n % 8 == 3 else None)) == expected


@classes_can_die
def test_a_class_is_kept_no_longer_than_it_is_known(answers):
    asked = answers(lambda cls: lambda error: "transient")
    cls = type("Own", (Exception,), {})
    assert verdict(cls()) == "failed"
    asked.clear()
    alive = weakref.ref(cls)
    del cls
    _forget_classes()
    gc.collect()
    assert alive() is None


def test_no_code_of_a_metaclass_runs_when_a_class_is_known(answers):
    class Meta(type):
        def __hash__(cls) -> int:
            raise AssertionError

        def __eq__(cls, other: object) -> bool:
            raise AssertionError

    answers(lambda cls: "transient")
    error = Meta("Own", (Exception,), {})()
    assert (verdict(error), verdict(error)) == ("failed", "failed")


# ---- classifiers that fail ----


@pytest.mark.parametrize(
    ("answer", "reported"),
    [
        (lambda: 1 / 0, ZeroDivisionError),
        (lambda: "transiet", TypeError),
        (lambda: 1, TypeError),
    ],
)
def test_of_an_error_whose_classifier_fails_nothing_is_known(answers, unraisable, answer, reported):
    answers(lambda cls: answer())
    assert verdict(OwnError()) == "succeeded"
    answers(lambda cls: lambda error: answer())
    assert verdict(OwnError()) == "succeeded"
    assert unraisable == [reported] * 2
    error = OwnError()
    assert hf.Retry("r").try_call(raising, error).error is error
    assert error.__context__ is None


@pytest.mark.parametrize("shortage", [RecursionError, MemoryError])
def test_a_classifier_without_room_is_not_to_blame(answers, unraisable, shortage):
    def short(about: object) -> None:
        raise shortage

    asked = answers(short)
    assert [verdict(OwnError()), verdict(OwnError())] == ["succeeded"] * 2
    assert asked == [OwnError] * 2  # it may have room the next time
    answers(lambda cls: short)
    assert verdict(OwnError()) == "succeeded"
    assert unraisable == []


@pytest.mark.parametrize("looks", [False, True])
def test_an_interruption_while_a_category_is_asked_for_ends_the_call(answers, looks):
    def interrupted(about: object) -> None:
        raise KeyboardInterrupt

    answers((lambda cls: interrupted) if looks else interrupted)
    breaker = hf.CircuitBreaker("b", failure_threshold=1, on="transient")
    retry = hf.Retry("r")
    for policy in (breaker, retry, hf.Fallback(1, on="transient")):
        others = [ValueError(), ExceptionGroup("", [KeyError()])]  # nobody is asked about them
        for error in (OwnError(), ExceptionGroup("", [OwnError(), *others])):
            with pytest.raises(KeyboardInterrupt) as caught:
                policy.call(raising, error)
            assert caught.value.__context__ is error
    assert (breaker.snapshot().ignored, breaker.state) == (2, hf.State.CLOSED)
    assert retry.snapshot().gave_up["cancelled"] == 2


@pytest.mark.parametrize("category", ["transient", "logic"])
def test_at_the_end_of_the_stack_an_error_may_have_no_category(category):
    _forget_classes()
    breaker = hf.CircuitBreaker("b", failure_threshold=10**6, on="transient", ignore=category)
    with pytest.raises(RecursionError):
        at_the_end(breaker)()
    assert breaker.snapshot().admitted > 100


def raising(error: BaseException) -> None:
    raise error


# ---- threads ----


def test_threads_that_register_and_judge_at_once_agree_in_the_end():
    classes = [type(f"E{n}", (Exception,), {}) for n in range(300)]
    breaker = hf.CircuitBreaker("b", failure_threshold=10**6, on="transient")
    start = threading.Barrier(4)

    def judge() -> None:
        start.wait()
        for _ in range(5):
            for cls in classes:
                breaker.acquire().failure(cls())

    def change() -> None:
        start.wait()
        removes.extend(register(cls, "transient") for cls in classes)

    removes: list[Callable[[], None]] = []
    threads = [threading.Thread(target=run) for run in (judge, judge, judge, change)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert breaker.snapshot().failed + breaker.snapshot().succeeded == 3 * 5 * len(classes)
    assert [verdict(cls()) for cls in classes] == ["failed"] * len(classes)
    for remove in removes:
        remove()
    assert [verdict(cls()) for cls in classes] == ["succeeded"] * len(classes)
