"""Transitions of breakers are logged once, and no handler can harm a call."""

import logging

import pytest

import holdfast as hf
from tests.apart import run_apart
from tests.policies.calls import OutageError, breaker_of, fail, outage, succeed


@pytest.fixture
def log(caplog):
    """What "holdfast" has logged, at any level."""
    caplog.set_level(logging.DEBUG, "holdfast")
    return caplog


def said(log):
    return [(record.levelname, record.getMessage()) for record in log.records]


def test_an_opening_is_a_warning_and_a_closing_an_information(clock, log):  # LG-03
    breaker = breaker_of(clock, failure_threshold=2, success_threshold=1, reset_timeout=30)
    fail(breaker, 2)
    breaker.try_call(len, "")
    clock.advance(30)
    succeed(breaker)
    why = "2 failures in a row, last tests.policies.calls.OutageError"
    assert said(log) == [
        ("WARNING", f"circuit breaker 'payments' opened: {why}; retry in 30.000 s"),
        ("INFO", "circuit breaker 'payments' is half-open: reset timeout"),
        ("INFO", "circuit breaker 'payments' closed: probes succeeded"),
    ]
    assert {record.name for record in log.records} == {"holdfast.breaker"}


def test_a_record_has_its_figures_beside_the_message(clock, log):
    breaker = breaker_of(clock, failure_threshold=1)
    fail(breaker)
    fields = {
        key: value for key, value in vars(log.records[0]).items() if key.startswith("holdfast_")
    }
    assert fields == {
        "holdfast_event": "transition",
        "holdfast_kind": "circuit_breaker",
        "holdfast_policy": "payments",
        "holdfast_old": "closed",
        "holdfast_new": "open",
        "holdfast_reason": "consecutive_failures",
        "holdfast_retry_after": 60.0,
        "holdfast_trip": breaker.snapshot().trip.to_dict(),
    }


def test_orders_are_logged_as_made_by_hand(clock, log):
    breaker = breaker_of(clock)
    for order in ("trip", "half_open", "force_open", "disable", "metrics_only", "reset", "reset"):
        getattr(breaker, order)()
    assert said(log) == [
        ("WARNING", "circuit breaker 'payments' opened: by hand; retry in 60.000 s"),
        ("INFO", "circuit breaker 'payments' is half-open by hand"),
        ("WARNING", "circuit breaker 'payments' was forced open: by hand"),
        ("INFO", "circuit breaker 'payments' was disabled by hand"),
        ("INFO", "circuit breaker 'payments' counts only by hand"),
        ("INFO", "circuit breaker 'payments' closed by hand"),
    ]


def test_an_observing_breaker_says_what_it_would_do_and_one_that_is_off_says_nothing(clock, log):
    for mode in ("observe", "off"):
        breaker = breaker_of(clock, failure_threshold=1, mode=mode)
        fail(breaker)
        breaker.trip()
    assert [level for level, _ in said(log)] == ["WARNING"]
    assert said(log)[0][1].startswith("circuit breaker 'payments' would open: 1 failure")


def test_it_is_off_by_one_line(clock, caplog):
    for off in ("setLevel", "disabled"):
        logger = logging.getLogger("holdfast")
        try:
            if off == "disabled":
                logger.disabled = True
            else:
                logger.setLevel(logging.CRITICAL)
            breaker_of(clock).trip()
        finally:
            logger.disabled = False
            logger.setLevel(logging.NOTSET)
    assert caplog.records == []


def test_listeners_are_told_before_it_is_logged(clock, caplog):
    breaker = breaker_of(clock, failure_threshold=1)
    seen = []
    breaker.on_event(lambda event: seen.append(len(caplog.records)))
    fail(breaker)
    assert seen == [0]
    assert len(caplog.records) == 1


def test_a_handler_that_raises_changes_no_outcome(clock, capsys):
    class Raising(logging.Handler):
        def emit(self, record):
            raise ValueError("of a handler")

    handler = Raising()
    logging.getLogger("holdfast").addHandler(handler)
    try:
        breaker = breaker_of(clock, failure_threshold=1)
        with pytest.raises(OutageError) as caught:
            breaker.call(outage)
    finally:
        logging.getLogger("holdfast").removeHandler(handler)
    assert caught.value.__context__ is None
    assert capsys.readouterr().err.endswith("ValueError: of a handler\n")
    assert breaker.state is hf.State.OPEN


def test_a_handler_may_use_the_breaker(clock):
    states = []

    class Using(logging.Handler):
        def emit(self, record):
            states.append((breaker.state, breaker.try_call(len, "").rejection is not None))

    handler = Using()
    logging.getLogger("holdfast").addHandler(handler)
    try:
        breaker = breaker_of(clock, failure_threshold=1)
        fail(breaker)
    finally:
        logging.getLogger("holdfast").removeHandler(handler)
    assert states == [(hf.State.OPEN, True)]


def test_without_any_logging_an_opening_is_shown_on_stderr():
    assert (
        run_apart("""
        import contextlib, io, sys
        import holdfast as hf
        assert "logging" not in sys.modules
        said = sys.stderr = io.StringIO()
        breaker = hf.CircuitBreaker("b", clock=hf.ManualClock())
        breaker.trip()
        breaker.reset()
        print(said.getvalue(), end="")
    """)
        == "circuit breaker 'b' opened: by hand; retry in 60.000 s\n"
    )


def test_breakers_that_open_in_a_forked_child_and_at_the_end_of_a_process_are_no_trouble():
    assert run_apart("""
        import logging, os, sys
        import holdfast as hf
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        breaker = hf.CircuitBreaker("b", clock=hf.ManualClock())

        class AtTheEnd:
            def __del__(self):
                breaker.trip()

        if os.fork() == 0:
            breaker.trip()
            sys.stdout.flush()
            os._exit(0)
        os.wait()
        sys.modules["kept"] = AtTheEnd()
        at_the_end = AtTheEnd()
    """).startswith("circuit breaker 'b' opened: by hand; retry in 60.000 s\n")
