"""`on` and `ignore` take classes, categories, several of both, or a predicate."""

import pytest

import holdfast as hf
from holdfast.categories import register


class OwnError(Exception):
    pass


def attempts_of(error, **settings):
    """Return how often a retry of two attempts calls what raises `error`."""
    calls = []

    def fail():
        calls.append(error)
        raise error

    retry = hf.Retry("r", attempts=2, backoff=hf.Constant(0), **settings)
    with pytest.raises(type(error)):
        retry.call(fail)
    return len(calls)


def test_a_retry_repeats_transient_failures_unless_it_is_told_otherwise():  # ER-04, RT-20
    for error in (ConnectionResetError(), TimeoutError()):
        assert attempts_of(error) == 2
    for error in (ValueError(), OwnError()):
        assert attempts_of(error) == 1


def test_a_class_that_is_registered_is_known_to_policies_that_exist():
    assert attempts_of(OwnError()) == 1
    remove = register(OwnError, "transient")
    assert attempts_of(OwnError()) == 2
    remove()
    assert attempts_of(OwnError()) == 1
