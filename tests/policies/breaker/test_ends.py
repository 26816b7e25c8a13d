"""A breaker whose ends are logged tells of each call once, whichever way it was made."""

import asyncio
import logging

import pytest

import holdfast as hf
from tests.policies.calls import OutageError, fine, raising

outage = raising(OutageError())


@pytest.fixture
def ends(caplog):
    """Log the ends of calls, and return what was logged of them since it was asked last."""
    caplog.set_level(logging.DEBUG, "holdfast")
    end = hf.log_events(words="collector", most=None)

    def news():
        told = [
            {"call_failed": "failed", "call_succeeded": "ok"}[record.holdfast_event]
            for record in caplog.records
            if record.holdfast_event.startswith("call_")
        ]
        caplog.clear()
        return told

    yield news
    end()


@pytest.fixture
def breaker(clock, ends):  # made while calls are logged
    return hf.CircuitBreaker("api", failure_threshold=100, clock=clock, ignore=KeyError)


def test_each_way_to_make_a_call_is_told_once(breaker, ends):  # LG-13
    @breaker
    def guarded(fn):
        return fn()

    guarded(fine)
    breaker.call(fine)
    breaker.try_call(outage)
    with pytest.raises(OutageError), breaker:
        outage()
    with breaker:
        pass
    breaker.acquire().success()
    breaker.acquire().failure(OutageError())
    hf.Pipeline("all", hf.Timeout(9), breaker).try_call(outage)
    assert ends() == ["ok", "ok", "failed", "failed", "ok", "ok", "failed", "failed"]


async def test_calls_of_tasks_are_told_as_well(breaker, ends):
    async def down():
        await asyncio.sleep(0)
        raise OutageError

    @breaker
    async def guarded():
        await asyncio.sleep(0)

    await guarded()
    await breaker.try_acall(down)
    async with breaker:
        pass
    assert ends() == ["ok", "failed", "ok"]


def test_what_proves_nothing_is_not_told(breaker, ends):
    with pytest.raises(KeyError):
        breaker.call(raising(KeyError()))
    breaker.acquire().ignore()
    with pytest.raises(KeyboardInterrupt):
        breaker.call(raising(KeyboardInterrupt()))
    assert ends() == []


def test_a_result_that_is_a_failure_is_told_as_one(clock, ends):
    breaker = hf.CircuitBreaker("api", is_failure=lambda answer: answer == 503, clock=clock)
    assert [breaker.call(int, status) for status in (503, 200)] == [503, 200]
    assert ends() == ["failed", "ok"]


def test_the_exception_and_the_count_are_those_of_a_call_that_is_not_told(breaker, ends, clock):
    with pytest.raises(OutageError) as caught:
        breaker.call(outage)
    assert caught.value.__context__ is None
    assert breaker.snapshot().failed == 1
    assert ends() == ["failed"]
    breaker.trip()
    assert not breaker.try_call(fine)
    clock.advance(60)
    assert breaker.try_call(fine)
    assert ends() == ["ok"]


def test_a_handler_that_raises_ends_no_call_and_an_interrupt_does(breaker, monkeypatch, capsys):
    class Handler(logging.Handler):
        error = ValueError("no")

        def emit(self, record):
            if record.holdfast_event.startswith("call_"):
                raise self.error

    handler = Handler()
    logging.getLogger("holdfast").addHandler(handler)
    try:
        assert breaker.call(fine) == "fine"
        assert "ValueError: no" in capsys.readouterr().err
        Handler.error = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            breaker.call(fine)
        with pytest.raises(KeyboardInterrupt) as caught:
            breaker.call(outage)
        assert isinstance(caught.value.__context__, OutageError)
    finally:
        logging.getLogger("holdfast").removeHandler(handler)
    assert breaker.snapshot().in_flight == 0


def test_only_a_breaker_can_tell_and_only_of_what_there_is():
    breaker = hf.CircuitBreaker("api")
    for wrong in (4, -1):
        with pytest.raises(ValueError, match="0 to 3"):
            breaker._tells = wrong
    with pytest.raises(TypeError):
        breaker._tells = None
    with pytest.raises(ValueError, match="0 to 3"):
        del breaker._tells
    assert breaker._tells == 0
    with pytest.raises(TypeError, match="circuit breaker"):
        hf.Timeout(1)._tells = 1
