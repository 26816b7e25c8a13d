"""The face of backoff: handlers and the log."""

import itertools
import logging
import sys
from functools import partial

import pytest

from holdfast.compat import backoff
from tests.compat.backoff.failing import failing


def test_handlers_are_told_what_happened():
    fetch, _ = failing(2)
    backoffs, successes, giveups = [], [], []
    again = backoff.on_exception(
        backoff.constant, Exception, interval=0, jitter=None,
        on_backoff=(one.append for one in [backoffs]), on_success=[successes.append],
        on_giveup=giveups.append,
    )(fetch)  # fmt: skip
    again(1, foo=2)
    common = {"target": fetch, "args": (1,), "kwargs": {"foo": 2}}
    assert all(isinstance(told.pop("elapsed"), float) for told in [*backoffs, *successes])
    assert [str(told.pop("exception")) for told in backoffs] == ["number 1", "number 2"]
    assert backoffs == [{**common, "tries": tries, "wait": 0} for tries in (1, 2)]
    assert successes == [{**common, "tries": 3}]
    assert giveups == []


def test_handlers_find_the_exception_that_is_handled(slept):
    seen = []
    fetch, _ = failing(1)
    again = backoff.on_exception(
        backoff.expo, ConnectionError, on_backoff=lambda _: seen.append(sys.exc_info()[1])
    )(fetch)
    again()
    assert str(seen[0]) == "number 1"


def test_what_a_handler_raises_ends_the_call_and_is_counted(slept):
    fetch, calls = failing(10)

    def broken(details):
        raise LookupError("no such handler")

    again = backoff.on_exception(backoff.expo, ConnectionError, on_backoff=broken)(fetch)
    with pytest.raises(LookupError):
        again()
    assert len(calls) == 1
    shown = again.policy.snapshot()
    assert (shown.failed, shown.attempts) == (1, 1)


def test_one_decorator_for_two_functions_tells_of_each_once(slept, caplog):  # theirs told twice
    told = []
    decorator = backoff.on_exception(
        backoff.expo, ConnectionError, max_tries=2, on_giveup=(one for one in [told.append])
    )
    for _ in range(2):
        with caplog.at_level(logging.INFO), pytest.raises(ConnectionError):
            decorator(failing(10)[0])()
    assert len(told) == 2
    assert len(caplog.records) == 4


@pytest.mark.parametrize(
    ("logger", "name"),
    [("backoff", "backoff"), ("mine", "mine"), (logging.getLogger("own"), "own"), (None, None)],
)
def test_pauses_and_ends_are_logged(slept, caplog, logger, name):
    fetch, _ = failing(10)
    again = backoff.on_exception(
        backoff.constant, ConnectionError, jitter=None, max_tries=3, logger=logger
    )(fetch)
    with caplog.at_level(logging.INFO), pytest.raises(ConnectionError):
        again()
    assert caplog.record_tuples == [
        (name, logging.INFO, "Backing off fetch(...) for 1.0s (ConnectionError: number 1)"),
        (name, logging.INFO, "Backing off fetch(...) for 1.0s (ConnectionError: number 2)"),
        (name, logging.ERROR, "Giving up fetch(...) after 3 tries (ConnectionError: number 3)"),
    ] * (name is not None)  # fmt: skip


LEVELS = (logging.DEBUG, logging.WARNING, logging.CRITICAL)


@pytest.mark.parametrize(("pause", "end"), [*itertools.product(LEVELS, repeat=2)])
def test_the_levels_of_the_log_may_be_chosen(slept, caplog, pause, end):
    again = backoff.on_exception(
        backoff.expo, ConnectionError, max_tries=2, backoff_log_level=pause, giveup_log_level=end
    )(failing(10)[0])
    with caplog.at_level(logging.DEBUG, logger="backoff"), pytest.raises(ConnectionError):
        again()
    assert [level for _, level, _ in caplog.record_tuples] == [pause, end]


def test_what_has_no_name_of_its_own_is_logged_all_the_same(slept, caplog):
    class Client:
        def __call__(self, times):
            raise ConnectionError

    for target in (partial(failing(9)[0], 1), partial(Client(), 1)):
        again = backoff.on_exception(backoff.expo, ConnectionError, max_tries=1)(target)
        with pytest.raises(ConnectionError):
            again()
    assert [text.split("(")[0] for _, _, text in caplog.record_tuples] == [
        "Giving up fetch",
        "Giving up Client",
    ]
