"""``log_events`` logs what all policies do, in one place, and holds none of them."""

import gc
import logging
import weakref

import pytest

import holdfast as hf
from holdfast.records import note
from tests.policies.calls import breaker_of, fail, outage, succeed


@pytest.fixture
def shop(caplog):
    """What the logger "shop.resilience" has logged, and the others."""
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


def said(caplog):
    return [(record.name, record.levelname, record.getMessage()) for record in caplog.records]


def test_policies_that_exist_and_those_made_later_are_logged(shop, log, clock):
    early = breaker_of(clock, failure_threshold=1, success_threshold=1)
    log("shop.resilience")
    fail(early)
    early.try_call(len, "")
    clock.advance(60)
    succeed(early)
    limiter = hf.RateLimiter("api", rate=1, clock=clock)
    limiter.acquire()
    limiter.try_call(len, "")
    why = "1 failure, last tests.policies.calls.OutageError"
    name = "shop.resilience"
    assert said(shop) == [
        (name, "WARNING", f"circuit breaker 'payments' opened: {why}; retry in 60.000 s"),
        (name, "DEBUG", "circuit breaker 'payments' rejected a call (open); retry in 60.000 s"),
        (name, "INFO", "circuit breaker 'payments' is half-open: reset timeout"),
        (name, "INFO", "circuit breaker 'payments' closed: probes succeeded"),
        (name, "DEBUG", "rate limiter 'api' rejected a call (rate); retry in 1.000 s"),
    ]


def test_retries_and_timeouts_are_logged_with_and_without_a_name(shop, log, clock):
    nameless = hf.Timeout(1, clock=clock)
    log(logging.getLogger("shop"))
    retry = hf.Retry("net", attempts=2, backoff=hf.Constant(3), clock=clock, on=Exception)
    hf.Pipeline("p", retry, nameless).try_call(clock.advance, 2)
    calls = iter([outage, int])
    retry.call(lambda: next(calls)())
    error = "holdfast.errors.DeadlineExceededError"
    assert [text.replace(error, "DeadlineExceededError") for _, _, text in said(shop)] == [
        "timeout expired",
        "retry 'net' starts attempt 2 in 3.000 s, after DeadlineExceededError",
        "timeout expired",
        "retry 'net' gave up after 2 attempts (exhausted)",
        "retry 'net' starts attempt 2 in 3.000 s, after OutageError",
        "retry 'net' recovered after 2 attempts",
    ]


def test_openings_are_logged_once_whichever_logger_it_is(shop, log, clock):
    breaker = breaker_of(clock)
    for name in ("shop.resilience", None, "holdfast.deeper"):
        end = log(name)
        shop.clear()
        breaker.trip()
        breaker.reset()
        assert [name for name, *_ in said(shop)] == [name or "holdfast.breaker"] * 2
        end()
    shop.clear()
    breaker.trip()
    assert [name for name, *_ in said(shop)] == ["holdfast.breaker"]


def test_levels_are_chosen_by_event(shop, log, clock):
    log("shop", levels={"opened": None, "closed": "error", "rejection": 35})
    breaker = breaker_of(clock)
    breaker.trip()
    breaker.try_call(len, "")
    breaker.reset()
    assert [(r.levelno, r.holdfast_event) for r in shop.records] == [
        (35, "rejection"),
        (logging.ERROR, "transition"),
    ]


def test_a_second_call_for_a_logger_logs_nothing_twice_and_changes_the_levels(shop, log, clock):
    log("shop")
    end = log("shop", levels={"opened": "ERROR"})
    breaker_of(clock).trip()
    assert [level for _, level, _ in said(shop)] == ["ERROR"]
    end()
    end()
    breaker_of(clock).trip()
    assert [name for name, *_ in said(shop)] == ["shop", "holdfast.breaker"]


def test_it_keeps_no_policy_alive_and_leaves_no_listener(shop, log, clock):
    end = log("shop")
    breaker, other = breaker_of(clock), hf.Timeout(3)
    assert breaker._listening
    kept = weakref.ref(other)
    del other
    gc.collect()
    assert kept() is None
    end()
    assert not breaker._listening
    assert len(breaker._listeners) == 0


def test_nothing_is_logged_of_a_policy_that_is_off(shop, log, clock):
    log("shop")
    breaker_of(clock, mode="off").trip()
    breaker_of(clock, mode="observe").trip()
    assert [text for *_, text in said(shop)] == [
        "circuit breaker 'payments' would open: by hand; retry in 60.000 s"
    ]


def test_a_logger_and_its_levels_are_checked():
    with pytest.raises(hf.ConfigError) as caught:
        hf.log_events(3, levels={"opend": 1, "closed": "loud", "retry": True})
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "logger", "levels", "levels['closed']", "levels['retry']",
    ]  # fmt: skip
    with pytest.raises(hf.ConfigError, match="allowed a dict of levels by event"):
        hf.log_events(levels=3)


def test_tools_that_group_records_by_their_message_tell_them_apart(shop, log, clock):
    breaker = hf.CircuitBreaker("100 % of %s", clock=clock)
    for ends in (log("shop"), None):  # as a part of all events, and alone
        shop.clear()
        breaker.trip()
        breaker.reset()
        opened, closed = (record.msg for record in shop.records)
        assert "opened" in opened
        assert "closed" in closed
        assert [record.getMessage() for record in shop.records] == [opened, closed]
        if ends:
            ends()


def test_it_takes_an_adapter(shop, log, clock):
    log(logging.LoggerAdapter(logging.getLogger("shop"), {"tenant": "a"}))
    breaker_of(clock).trip()
    assert [name for name, *_ in said(shop)] == ["shop"]


def test_an_adapter_adds_its_fields_to_those_of_the_event(shop, log, clock):
    inner = logging.LoggerAdapter(logging.getLogger("shop"), {"service": "cart", "region": "eu"})
    log(logging.LoggerAdapter(inner, None))
    breaker_of(clock).trip()
    (record,) = shop.records
    assert (record.service, record.region) == ("cart", "eu")
    assert (record.holdfast_event, record.holdfast_policy) == ("transition", "payments")


def test_a_handler_that_raises_changes_no_outcome(log, clock, capsys):
    class Raising(logging.Handler):
        def emit(self, record):
            raise ValueError("of a handler")

    handler = Raising()
    logging.getLogger("shop").addHandler(handler)
    try:
        log("shop")
        breaker = breaker_of(clock, failure_threshold=1)
        fail(breaker)
    finally:
        logging.getLogger("shop").removeHandler(handler)
    assert breaker._listeners.raised == 0
    assert capsys.readouterr().err.endswith("ValueError: of a handler\n")


def test_a_rejection_becomes_no_event_while_no_logger_takes_it(caplog, log, clock):  # GEN-05
    for name in ("shop", "holdfast.limiter", "holdfast.breaker", "holdfast.retry"):
        caplog.set_level(logging.INFO, name)
    limiter = hf.RateLimiter("api", rate=1, clock=clock)
    breaker = breaker_of(clock)
    retry = hf.Retry("net", attempts=2, backoff=hf.Constant(0), clock=clock, on=Exception)
    end = log()
    assert not limiter._listening
    assert not breaker._listening
    assert retry._listening  # a call that was saved is an INFO
    remove = limiter.on_event(lambda event: None)
    assert limiter._listening
    remove()
    assert not limiter._listening
    end()
    log(levels={"rejection": "WARNING", "recovered": None})
    assert limiter._listening
    assert not retry._listening


def test_a_level_that_is_changed_later_is_noticed_with_the_next_event(caplog, log, clock):  # LG-15
    caplog.set_level(logging.INFO, "holdfast.limiter")
    caplog.handler.setLevel(logging.DEBUG)
    limiter = hf.RateLimiter("api", rate=1, clock=clock)
    limiter.acquire()
    log()
    limiter.try_call(len, "")
    logging.getLogger("holdfast.limiter").setLevel(logging.DEBUG)
    limiter.try_call(len, "")
    assert caplog.records == []
    breaker_of(clock).trip()  # any event of any policy
    limiter.try_call(len, "")
    assert said(caplog)[-1][:2] == ("holdfast.limiter", "DEBUG")
    logging.getLogger("holdfast.limiter").setLevel(logging.INFO)
    assert limiter._listening
    limiter.try_call(len, "")
    assert not limiter._listening
    assert len(caplog.records) == 2


def test_each_area_has_its_logger_below_holdfast(caplog, log, clock):  # GEN-05
    caplog.set_level(logging.DEBUG, "holdfast")
    log()
    breaker_of(clock).trip()
    limiter = hf.RateLimiter("api", rate=1, clock=clock)
    limiter.acquire()
    limiter.try_call(len, "")
    bulkhead = hf.Bulkhead("db", max_concurrent=1, max_waiting=0, clock=clock)
    bulkhead.enter()
    bulkhead.try_call(len, "")
    retry = hf.Retry("net", attempts=1, clock=clock, on=Exception)
    fail(retry)
    hf.Timeout(1, clock=clock).try_call(clock.advance, 2)
    budget = hf.LatencyBudget("slo", target=0.1, samples=2, min_samples=1, clock=clock)
    budget.call(clock.advance, 2)
    assert [name for name, *_ in said(caplog)] == [
        f"holdfast.{area}" for area in ("breaker", "limiter", "bulkhead", "retry", "timeout")
    ] + ["holdfast.budget"]


def test_all_areas_are_off_by_one_line(caplog, log, clock):
    caplog.set_level(logging.DEBUG, "holdfast")
    log()
    logging.getLogger("holdfast").disabled = True
    try:
        breaker_of(clock).trip()
    finally:
        logging.getLogger("holdfast").disabled = False
    assert caplog.records == []


def test_a_text_that_would_forge_a_line_cannot(caplog):  # SE-07
    note("check_failed", "health_monitor", "m", "%s", "a\n2026-11-30 ERROR b\x1b[2J\u202e\u2028")
    assert [record.getMessage() for record in caplog.records] == [
        "a\\n2026-11-30 ERROR b\\x1b[2J\\u202e\\u2028"
    ]
