"""Fallback: its modes and counts, what it is known by, and what it cannot be made of."""

from __future__ import annotations

import gc
import threading
import weakref
from functools import partial

import pytest

import holdfast as hf
from holdfast.policies.fallback.snapshot import FallbackSnapshot
from tests.policies.fallback.fallbacks import Store, counts, fail


def test_observed_it_counts_what_it_would_have_done(call):
    def never(error: Exception) -> None:
        pytest.fail("asked")

    fallback = hf.Fallback(never, on=ConnectionError, mode="observe")
    with pytest.raises(ConnectionError):
        call(fallback, fail)
    with pytest.raises(KeyError):
        call(fallback, partial(fail, KeyError))
    assert call(fallback, lambda: 1) == 1
    assert counts(fallback) == (2, 0, 0, 1)


def test_off_it_is_not_there(call):
    fallback = hf.Fallback("cached", mode="off")
    with pytest.raises(ConnectionError):
        call(fallback, fail)
    assert counts(fallback) == (0, 0, 0, 0)


def test_its_snapshot_names_it_and_reset_leaves_the_counts():
    fallback = hf.Fallback("cached", name="prices", on=OSError)
    fallback.call(fail)
    fallback.reset()
    assert fallback.snapshot() == FallbackSnapshot("prices", 0, 1, 0, 0)
    assert hf.Fallback(1).snapshot().name is None
    assert fallback.describe().startswith("Fallback 'prices': value='cached', on=(OSError), ")


def test_only_a_named_one_is_registered():
    named, nameless = hf.Fallback(1, name="prices"), hf.Fallback(1)
    assert hf.registry.all("fallback") == [named]
    assert repr(nameless) == "<Fallback>"


def test_a_shared_one_is_the_living_one_if_it_has_the_same_settings():
    one = hf.Fallback("cached", name="prices", shared=True)
    assert hf.Fallback("cached", name="prices", shared=True) is one
    with pytest.raises(hf.ConfigError, match="value: got 'other'"):
        hf.Fallback("other", name="prices", shared=True)


def test_counts_of_many_threads_add_up():  # GEN-03
    fallback = hf.Fallback(lambda error: str(error))
    barrier = threading.Barrier(4)
    wrong: list[object] = []

    def run(number: int) -> None:
        barrier.wait()
        for at in range(100):
            word = f"{number}/{at}"
            if fallback.call(fail, ConnectionError(word)) != word:
                wrong.append(word)
            fallback.call(len, "ab")

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert counts(fallback) == (400, 400, 0, 0)


def test_what_it_stood_in_for_is_let_go(clock):
    class Heavy:
        """Something that an exception may hold."""

    seen: list[weakref.ref[Heavy]] = []

    def raise_heavy() -> None:
        heavy = Heavy()
        seen.append(weakref.ref(heavy))
        raise ConnectionError(heavy)

    fallback = hf.Fallback("cached")
    for _ in range(3):
        assert fallback.call(raise_heavy) == "cached"
    gc.collect()
    assert [heavy() for heavy in seen] == [None] * 3


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"on": ()}, "on: got (), allowed at least one of subclasses of Exception"),
        ({"on": 3}, "on: got 3, allowed subclasses of Exception"),
        ({"on": KeyboardInterrupt}, "on: got <class 'KeyboardInterrupt'>"),
        ({"name": ""}, "name: got ''"),
        ({"clock": 3}, "clock: got 3"),
        ({"mode": "maybe"}, "mode: got 'maybe'"),
        ({"shared": True}, "shared: got True, allowed False for a policy without a name"),
        ({"shared": 1, "name": "n"}, "shared: got 1"),
    ],
)
def test_a_bad_setting_is_named(settings, problem):
    with pytest.raises(hf.ConfigError) as caught:
        hf.Fallback("cached", **settings)
    (found,) = caught.value.problems
    assert found.startswith(problem)


def test_all_bad_settings_are_named_at_once():
    with pytest.raises(hf.ConfigError) as caught:
        hf.Fallback(list, on=3, name="", mode=1)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    "value",
    [lambda: 1, lambda error, more: 1, lambda *, error: 1, Store().none, lambda error, *, by: 1],
)
def test_a_function_that_cannot_take_the_exception_alone_is_refused(value):
    with pytest.raises(hf.ConfigError, match="a function of one argument, the exception"):
        hf.Fallback(value)
