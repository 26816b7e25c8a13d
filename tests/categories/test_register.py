"""What users register: for a class or a name, over what is known, until it is removed."""

import errno
import sys
import types
import urllib.error

import pytest

from holdfast import ConfigError
from holdfast.categories import Category, classify, register


class DeclinedError(Exception):
    code = 0


class TwiceDeclinedError(DeclinedError):
    pass


@pytest.fixture
def registered():
    """Registers for the length of a test."""
    removals = []

    def add(*arguments):
        removals.append(register(*arguments))
        return removals[-1]

    yield add
    for remove in removals:
        remove()


@pytest.fixture
def library(monkeypatch):
    """A library whose errors are defined in one module and imported from another."""

    def load():
        for name in ("shoplib", "shoplib._errors"):
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        cls = type("Declined", (Exception,), {"__module__": "shoplib._errors"})
        sys.modules["shoplib._errors"].Declined = sys.modules["shoplib"].Declined = cls
        return cls

    return load


@pytest.mark.parametrize("category", [Category.PERMANENT, "permanent"])
def test_a_class_and_what_derives_from_it_get_a_category(registered, category):
    remove = registered(DeclinedError, category)
    assert classify(DeclinedError()) is classify(TwiceDeclinedError()) is Category.PERMANENT
    remove()
    assert classify(DeclinedError()) is None


def test_the_most_derived_class_decides(registered):
    registered(TwiceDeclinedError, "resource")
    registered(DeclinedError, "permanent")
    assert classify(TwiceDeclinedError()) is Category.RESOURCE


def test_the_latest_registration_of_a_class_decides_until_it_is_removed(registered):
    registered(DeclinedError, "permanent")
    later = registered(DeclinedError, "transient")
    assert classify(DeclinedError()) is Category.TRANSIENT
    later()
    later()
    assert classify(DeclinedError()) is Category.PERMANENT


def test_a_registration_has_precedence_over_what_is_known(registered):
    registered(TimeoutError, "permanent")
    registered("builtins.KeyError", lambda error: "transient")
    assert classify(TimeoutError()) is Category.PERMANENT
    assert classify(KeyError()) is Category.TRANSIENT


def test_a_function_looks_at_the_error_or_leaves_it_to_the_next_class(registered):
    registered(DeclinedError, "permanent")
    registered(TwiceDeclinedError, lambda error: "transient" if error.args else None)
    assert classify(TwiceDeclinedError(1)) is Category.TRANSIENT
    assert classify(TwiceDeclinedError()) is Category.PERMANENT


@pytest.mark.parametrize("name", ["shoplib.Declined", "shoplib._errors.Declined"])
def test_a_name_means_a_class_that_is_imported_later(registered, library, name):
    registered(name, "permanent")
    assert classify(library()()) is Category.PERMANENT


def test_a_module_may_register_a_class_that_it_defines_below(registered, library):
    library()
    sys.modules["shoplib"].__spec__ = types.SimpleNamespace(_initializing=True)
    registered("shoplib.Below", "permanent")


def test_a_function_with_another_answer_is_named(registered):
    registered(DeclinedError, lambda error: "permanentt")
    with pytest.raises(TypeError, match=r"Declined.*'permanentt'.*did you mean 'permanent'"):
        classify(DeclinedError())


@pytest.mark.parametrize(("error_class", "category", "said"), [
    (DeclinedError, "transiant", "category: got 'transiant'.* did you mean 'transient'"),
    (DeclinedError, None, "got None, allowed 'transient', 'permanent', 'resource' or 'logic'"),
    (DeclinedError, lambda: None, "category: .*takes the error"),
    (KeyboardInterrupt, "logic", "error_class: .*subclass of Exception"),
    (DeclinedError(), "logic", "error_class: .*subclass of Exception"),
    ("TimeoutError", "logic", "did you mean 'builtins.TimeoutError'"),
    ("not a name.X", "logic", "error_class: "),
    ("shoplib.Declnied", "logic", "exception class of shoplib; did you mean 'Declined'"),
    ("sys.modules", "logic", "error_class: .*subclass of Exception"),
])  # fmt: skip
def test_an_invalid_argument_is_refused_with_what_is_allowed(library, error_class, category, said):
    library()
    with pytest.raises(ConfigError, match=said):
        register(error_class, category)


def test_all_problems_are_told_at_once():
    with pytest.raises(ConfigError) as raised:
        register(1, 2)
    assert len(raised.value.problems) == 2


def test_a_registration_counts_for_errors_inside_others_that_were_asked_before(registered):
    error = urllib.error.URLError(DeclinedError("x"))
    assert classify(error) is None
    remove = registered(DeclinedError, "permanent")
    assert classify(error) is Category.PERMANENT
    remove()
    assert classify(error) is None


def test_a_function_that_does_not_know_leaves_the_rest_as_it_was(registered):
    registered(OSError, "logic")
    registered(OSError, lambda error: "resource" if error.errno == 99 else None)
    assert classify(OSError(99, "x")) is Category.RESOURCE
    assert classify(OSError(98, "x")) is classify(FutureError()) is Category.LOGIC


class FutureError(OSError):
    """Something that derives from it."""


def test_what_is_known_of_a_class_counts_where_its_function_does_not_know(registered):
    registered("builtins.OSError", lambda error: "resource" if error.errno == 99 else None)
    assert classify(OSError(errno.EHOSTUNREACH, "x")) is Category.TRANSIENT
