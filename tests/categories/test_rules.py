"""Rules that are data: the number of an error, and the chain of errors inside it."""

import http
import sys

import pytest

from holdfast._native.gate import _look
from holdfast.categories import Category, classify, register
from holdfast.categories.rules import LOGIC, PERMANENT, RESOURCE, TRANSIENT, Numbers, Wrapper
from holdfast.categories.texts import of_text


class OwnError(Exception):
    """Nothing is known of it."""


class AskedError(OwnError):
    """Raises what it is given when its number is read."""

    @property
    def number(self):
        raise self.args[0]


def caused_by(cause, *arguments):
    error = OwnError(*arguments)
    error.__cause__ = cause
    return error


# ---- numbers ----


@pytest.mark.parametrize(
    ("number", "category"),
    [
        (1, TRANSIENT),
        (0x101, TRANSIENT),
        (2, None),
        (http.HTTPStatus.OK, LOGIC),
        (True, RESOURCE),
        ("1", RESOURCE),
        (None, RESOURCE),
    ],
)
def test_the_number_of_an_error_has_a_category_and_anything_else_another_rule(number, category):
    error = OwnError()
    error.number = number
    table = {1: TRANSIENT, 200: LOGIC}
    assert (
        _look(Numbers("number", table, mask=0xFF, otherwise=lambda e: RESOURCE), error) == category
    )
    expected = None if number == 0x101 or category is RESOURCE else category
    assert _look(Numbers("number", table), error) == expected


def test_an_attribute_that_raises_is_no_number_but_an_interruption_goes_on():
    rule = Numbers("number", {1: TRANSIENT}, otherwise=lambda error: LOGIC)
    assert _look(rule, AskedError(ZeroDivisionError())) is LOGIC
    for each in (rule, Wrapper(None, "number"), Wrapper(None, first=rule)):
        with pytest.raises(KeyboardInterrupt):
            _look(each, AskedError(KeyboardInterrupt()))


# ---- chains ----


@pytest.mark.parametrize(
    ("rule", "error", "category"),
    [
        (Wrapper(PERMANENT), OwnError(), PERMANENT),
        (Wrapper(None), OwnError(), None),
        (Wrapper(PERMANENT), caused_by(TimeoutError()), TRANSIENT),
        (Wrapper(PERMANENT), caused_by(caused_by(TimeoutError())), TRANSIENT),
        (Wrapper(PERMANENT), caused_by(ExceptionGroup("", [TimeoutError()])), TRANSIENT),
        (Wrapper(PERMANENT, "args"), OwnError(1, TimeoutError(), ValueError()), TRANSIENT),
        (Wrapper(PERMANENT, "args"), caused_by(TimeoutError(), 1), TRANSIENT),
        (Wrapper(PERMANENT, lambda error: error.args[0]), OwnError(TimeoutError()), TRANSIENT),
        (Wrapper(PERMANENT, lambda error: TimeoutError), OwnError(), PERMANENT),
        (Wrapper(None, first=lambda error: LOGIC), caused_by(TimeoutError()), LOGIC),
        (Wrapper(None, first=lambda error: None), caused_by(TimeoutError()), TRANSIENT),
    ],
)
def test_the_first_error_of_a_chain_of_which_a_category_is_known_decides(rule, error, category):
    assert _look(rule, error) == category


def test_the_default_of_the_outermost_wrapper_counts_if_nothing_else_is_known():
    wrapper = type("ConnectionError", (Exception,), {"__module__": "redis.exceptions"})
    assert classify(wrapper()) is TRANSIENT
    assert _look(Wrapper(LOGIC), caused_by(wrapper())) is LOGIC
    assert _look(Wrapper(None), caused_by(wrapper())) is TRANSIENT


def test_a_function_that_raises_inside_a_chain_is_heard():
    def fails(error):
        raise ZeroDivisionError

    remove = register(AskedError, fails)
    for rule in (
        Wrapper(LOGIC),
        Wrapper(LOGIC, fails),
        Wrapper(LOGIC, first=fails),
    ):
        with pytest.raises(ZeroDivisionError):
            _look(rule, caused_by(AskedError()))
    remove()
    assert _look(Wrapper(LOGIC), caused_by(AskedError())) is LOGIC


def test_what_is_registered_counts_for_an_error_inside_another_one():
    error = caused_by(OwnError())
    assert _look(Wrapper(None), error) is None
    remove = register(f"{__name__}.OwnError", "resource")
    assert _look(Wrapper(None), error) is RESOURCE
    remove()
    assert _look(Wrapper(None), error) is None


def test_a_look_keeps_nothing():
    last = OwnError()
    errors = [caused_by(last, 1), caused_by(last, last), AskedError(1), AskedError(ValueError())]
    table = {1: TRANSIENT}
    default = str.__new__(str, "lo") + "gic"  # an object of its own
    rules = [
        Wrapper(default),  # type: ignore[arg-type]
        Wrapper(default, "args", Numbers("number", table)),  # type: ignore[arg-type]
        Wrapper(None, lambda error: 1 / 0),
        Numbers("number", table, mask=7, otherwise=lambda error: default),  # type: ignore[arg-type]
    ]

    def look() -> None:
        for error in errors:
            for rule in rules:
                try:
                    _look(rule, error)
                except (ZeroDivisionError, TypeError):
                    error.__traceback__ = None
            classify(error)

    kept = [default, table, last, *errors, *rules, OwnError, AskedError, None, *Category]
    look()
    before = [sys.getrefcount(one) for one in kept]
    for _ in range(100):
        look()
    after = [sys.getrefcount(one) for one in kept]
    assert [b - a for a, b in zip(before, after, strict=True) if abs(b - a) > 20] == []


# ---- texts ----


def test_errors_of_one_class_are_told_apart_by_their_texts_however_often_they_occur():
    texts = {
        "Connection REFUSED": TRANSIENT,
        "No such table: x": PERMANENT,
        "x" * 600 + "DEADLOCK": TRANSIENT,
        "x" * 3000 + "deadlock": None,
    }
    for text, category in texts.items():
        assert [of_text(OwnError(text)) for _ in range(2)] == [category] * 2
