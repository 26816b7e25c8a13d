"""Records that repeat are written a few times in ten seconds, and then counted."""

import logging
import sys
import threading

import pytest

import holdfast as hf
from holdfast import repeats
from tests.apart import run_apart
from tests.policies.calls import breaker_of, fail, raising


@pytest.fixture
def shop(caplog):
    """What the logger "shop" has logged, and the others."""
    caplog.set_level(logging.DEBUG)
    return caplog


@pytest.fixture
def log():
    """Begin logs that end with the test."""
    ends = []

    def begin(*args, **settings):
        ends.append(hf.log_events(*args, **settings))
        return ends[-1]

    yield begin
    for end in ends:
        end()


def texts(caplog):
    return [record.getMessage() for record in caplog.records]


def shut(clock, name="payments", **settings):
    """Return a breaker that rejects everything for an hour."""
    breaker = hf.CircuitBreaker(name, reset_timeout=3600, clock=clock, **settings)
    breaker.trip()
    return breaker


def test_further_rejections_are_counted_and_told_of_after_ten_seconds(shop, log, clock):  # GEN-05
    breaker = shut(clock)
    log("shop", most=2)
    for _ in range(43):
        breaker.try_call(len, "")
    said = "circuit breaker 'payments' rejected a call (open)"
    assert texts(shop)[1:] == [f"{said}; retry in 3600.000 s"] * 2
    clock.advance(9.999)
    assert len(shop.records) == 3
    clock.advance(0.001)
    last = shop.records[-1]
    assert last.getMessage() == f"{said} … and 41 more in 10 s"
    assert (last.name, last.levelname, last.holdfast_repeated) == ("shop", "DEBUG", 41)
    assert last.holdfast_event == "rejection"


def test_after_ten_seconds_the_next_one_is_written_again(shop, log, clock):
    log("shop", most=1)
    breaker = shut(clock)
    shop.clear()
    for _ in range(3):
        breaker.try_call(len, "")
        breaker.try_call(len, "")
        clock.advance(10)
    ends = [text.split("(open)")[1].split(" in ")[0] for text in texts(shop)]
    assert ends == ["; retry", " … and 1 more"] * 3
    assert clock.next_due_ns() is None  # nothing looks any more


def test_each_event_of_each_policy_is_counted_apart(shop, log, clock):
    log("shop", most=1)
    one, other = shut(clock, "one"), shut(clock, "other")
    shop.clear()
    one.try_call(len, "")
    other.try_call(len, "")
    one.reset()
    assert [text.split("'")[1] for text in texts(shop)] == ["one", "other", "one"]


def test_all_are_written_if_there_is_no_limit(shop, log, clock):
    log("shop", most=None)
    breaker = shut(clock)
    for _ in range(50):
        breaker.try_call(len, "")
    assert len(shop.records) == 51


def test_what_was_counted_is_told_when_the_log_ends_or_has_another_limit(shop, log, clock):
    end = log("shop", most=1)
    breaker = shut(clock)
    for most in (2, None):
        for _ in range(8):
            breaker.try_call(len, "")
        clock.advance(2.5)
        shop.clear()
        end() if most is None else log("shop", most=most)
        [text] = texts(shop)
        assert text.endswith(f"… and {7 if most else 6} more in 2.5 s")


def test_the_log_that_nobody_asked_for_is_limited_as_well(shop, clock):
    breaker = breaker_of(clock)
    for _ in range(20):
        breaker.trip()
        breaker.reset()
    assert len(shop.records) == 10
    clock.advance(10)
    assert texts(shop)[-2:] == [
        "circuit breaker 'payments' opened: by hand … and 15 more in 10 s",
        "circuit breaker 'payments' closed by hand … and 15 more in 10 s",
    ]


def test_no_record_is_lost_from_the_count_when_threads_log_at_once(shop, log, clock):
    log("shop", most=5)
    breaker = shut(clock)
    shop.clear()
    barrier = threading.Barrier(8)

    def run():
        barrier.wait()
        for _ in range(200):
            breaker.try_call(len, "")

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(shop.records) == 5
    clock.advance(10)
    assert texts(shop)[-1].endswith("… and 1595 more in 10 s")


def test_many_names_take_bounded_memory_and_lose_no_count(shop, log, clock, monkeypatch):
    monkeypatch.setattr(repeats, "MOST_KEYS", 10)
    log("shop", most=1, levels={"opened": None})
    for number in range(50):
        shut(clock, f"n{number}").try_call(len, "")
    assert len(shop.records) == 11
    clock.advance(10)
    assert texts(shop)[-1].endswith("… and 39 more in 10 s")
    shop.clear()
    clock.advance(10)
    shut(clock, "late").try_call(len, "")  # those that are over have made room
    shut(clock, "later").try_call(len, "")
    assert len(shop.records) == 2


def test_clocks_that_nobody_moves_any_more_are_forgotten(shop, log, monkeypatch):
    monkeypatch.setattr(repeats, "MOST_CLOCKS", 2)
    log("shop", most=1, levels={"opened": None})
    clocks = [hf.ManualClock() for _ in range(3)]
    for clock in clocks:
        breaker = shut(clock)
        breaker.try_call(len, "")
        breaker.try_call(len, "")
    assert texts(shop)[-2].endswith("… and 1 more in 0 s")  # of the first clock
    before = sys.getrefcount(clocks[0])
    assert before < sys.getrefcount(clocks[2])


def test_what_was_counted_is_told_at_the_end_of_the_process_and_not_in_a_forked_child():
    first, in_child, last = run_apart("""
        import logging, os, sys
        import holdfast as hf
        logging.basicConfig(stream=sys.stdout, format="%(message)s", level="DEBUG")
        hf.log_events(most=1, levels={"opened": None})
        limiter = hf.RateLimiter("api", rate=1, per=3600)
        for _ in range(4):
            limiter.try_call(len, "")
        sys.stdout.flush()
        if os.fork() == 0:
            limiter.try_call(len, "")
            sys.stdout.flush()
            os._exit(0)
        os.wait()
    """).splitlines()
    said = "rate limiter 'api' rejected a call (rate)"
    assert first.startswith(f"{said}; retry in")
    assert in_child.startswith(f"{said}; retry in")
    assert last.startswith(f"{said} … and 2 more in")


def test_a_call_is_not_changed_by_a_log_that_has_no_thread(shop, log, monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(repeats.Periodic, "start", refuse)
    log("shop", most=1)
    breaker = hf.CircuitBreaker("b", failure_threshold=1)
    fail(breaker)
    for _ in range(3):
        with pytest.raises(hf.CircuitOpenError):
            breaker.call(raising(ValueError()))
