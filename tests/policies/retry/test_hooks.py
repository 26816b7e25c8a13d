"""What a retry tells: hooks and events, what they see, what becomes of calls when they raise."""

from __future__ import annotations

from typing import Any

import pytest

import holdfast as hf
from tests.policies.calls import OutageError, fine, raising
from tests.policies.retry.retries import WAYS, Flaky, budget_of, every_way, retry_of, run_async, why

sync_ways = pytest.mark.parametrize("make", WAYS[:4], ids=lambda way: way.__name__)


# ---- what they see ----


@every_way
def test_before_each_pause_it_is_told_where_the_call_stands(make, clock):
    told: list[Any] = []
    errors = [OutageError("first"), OutageError("second"), OutageError("third")]
    retry = retry_of(
        clock,
        backoff=hf.Linear(0.5, 1, jitter=False),
        before_sleep=lambda state: told.append((clock.now(), state)),
        on_exhausted=lambda state: told.append((clock.now(), state)),
    )
    with pytest.raises(OutageError):
        make(retry, clock, Flaky(clock, 3, errors))
    assert [now for now, _ in told] == [0.0, 0.5, 2.0]
    states = [state for _, state in told]
    assert [state.attempts for state in states] == [1, 2, 3]
    assert [state.error for state in states] == errors
    assert [state.delay for state in states] == [0.5, 1.5, 0.0]
    assert [state.elapsed for state in states] == [0.0, 0.5, 2.0]
    assert {state.name for state in states} == {"network"}
    assert {state.result for state in states} == {None}
    with pytest.raises(AttributeError):
        states[0].attempts = 5


@every_way
def test_of_a_result_they_see_the_result(make, clock):
    told: list[Any] = []
    retry = retry_of(
        clock,
        attempts=2,
        on_result=lambda result: result == 503,
        before_sleep=told.append,
        on_exhausted=told.append,
    )
    assert make(retry, clock, lambda: 503) == 503
    assert [(state.error, state.result, state.attempts) for state in told] == [
        (None, 503, 1),
        (None, 503, 2),
    ]


@every_way
def test_no_hook_is_called_for_a_call_that_succeeds_or_is_not_to_be_retried(make, clock):
    told: list[Any] = []
    retry = retry_of(clock, before_sleep=told.append, on_exhausted=told.append)
    retry.on_event(told.append)
    assert make(retry, clock, fine) == "fine"
    with pytest.raises(ValueError, match="mine"):
        make(retry, clock, raising(ValueError("mine")))
    assert [event.kind for event in told] == ["not_retried"]  # to the listener, and no hook


@pytest.mark.parametrize(
    ("settings", "reason"), [({}, "exhausted"), ({"max_time": 0.5}, "out_of_time")]
)
@every_way
def test_on_exhausted_is_called_for_every_reason_to_give_up(make, settings, reason, clock):
    told: list[Any] = []
    retry = retry_of(clock, on_exhausted=told.append, **settings)
    with pytest.raises(OutageError):
        make(retry, clock, Flaky(clock))
    assert len(told) == 1
    assert why(retry) == {reason: 1}


@every_way
def test_without_a_token_it_gives_up_and_says_so(make, clock):  # trap 44
    told: list[Any] = []
    retry = retry_of(
        clock, budget=budget_of(clock, 1), on_exhausted=told.append, before_sleep=told.append
    )
    with pytest.raises(OutageError) as raised:
        make(retry, clock, Flaky(clock))
    assert raised.value.__notes__ == ["2 attempts in 1 s, no budget for another, policy 'network'"]
    assert [state.attempts for state in told] == [1, 2]
    assert why(retry) == {"no_budget": 1}


# ---- events ----


@every_way
def test_events_tell_of_retries_and_ends(make, clock):  # RT-23, RT-25
    events: list[hf.Event] = []
    retry = retry_of(clock)
    stop = retry.on_event(events.append)
    make(retry, clock, Flaky(clock, 1))
    with pytest.raises(OutageError):
        make(retry, clock, Flaky(clock))
    assert [(event.kind, event.old, event.new, event.reason, event.at) for event in events] == [
        ("retry", 1, 2, "OutageError", 0.0),
        ("recovered", 2, None, "", 1.0),
        ("retry", 1, 2, "OutageError", 1.0),
        ("retry", 2, 3, "OutageError", 2.0),
        ("gave_up", 3, None, "exhausted", 3.0),
    ]
    assert {event.policy for event in events} == {retry}
    assert {event.name for event in events} == {"network"}
    assert [event.retry_after for event in events if event.kind == "retry"] == [1.0] * 3
    stop()
    make(retry, clock, Flaky(clock, 1))
    assert len(events) == 5


@every_way
def test_a_retry_because_of_a_result_says_so(make, clock):
    events: list[hf.Event] = []
    retry = retry_of(clock, on_result=lambda result: result is None, attempts=2)
    retry.on_event(events.append)
    assert make(retry, clock, lambda: None) is None
    assert [(event.kind, event.reason) for event in events] == [
        ("retry", "result"),
        ("gave_up", "exhausted"),
    ]


@every_way
def test_a_listener_that_raises_changes_nothing(make, clock):  # trap 13
    def crash(event: hf.Event) -> None:
        raise ZeroDivisionError

    retry = retry_of(clock)
    retry.on_event(crash)
    assert make(retry, clock, Flaky(clock, 2)) == "fine"
    with pytest.raises(OutageError):
        make(retry, clock, Flaky(clock))
    assert retry._listeners.raised == 6


@sync_ways
def test_a_listener_that_interrupts_ends_the_call_and_its_token_comes_back(make, clock):
    def interrupt(event: hf.Event) -> None:
        raise KeyboardInterrupt

    budget = budget_of(clock, 5)
    retry = retry_of(clock, budget=budget)
    retry.on_event(interrupt)
    with pytest.raises(KeyboardInterrupt):
        make(retry, clock, Flaky(clock))
    assert (budget.balance, why(retry)) == (5.0, {"cancelled": 1})


def test_the_listener_of_a_rescued_call_may_interrupt_it(clock):
    def interrupt(event: hf.Event) -> None:
        if event.kind == "recovered":
            raise KeyboardInterrupt

    retry = retry_of(clock)
    retry.on_event(interrupt)
    with pytest.raises(KeyboardInterrupt):
        retry.call(Flaky(clock, 1))
    assert (retry.snapshot().succeeded, retry.snapshot().failed) == (1, 0)


def test_a_hook_may_call_through_the_same_retry(clock):  # trap 13, trap 56
    inner = []

    def hook(state: Any) -> None:
        if not inner:
            inner.append(retry.call(Flaky(clock, 0)))
            retry.snapshot()

    retry = retry_of(clock, before_sleep=hook)
    assert retry.call(Flaky(clock, 2)) == "fine"
    assert inner == ["fine"]
    assert (retry.snapshot().succeeded, retry.snapshot().attempts) == (2, 4)


# ---- what raises ----


HOOKS: list[tuple[str, str]] = [
    ("before_sleep", "not_retryable"),
    ("on_exhausted", "exhausted"),
    ("retry_after", "not_retryable"),
    ("on", "not_retryable"),
]


@every_way
@pytest.mark.parametrize(("hook", "end"), HOOKS)
def test_what_a_hook_raises_goes_to_the_caller_with_the_calls_own_as_context(
    make, hook, end, clock
):
    def crash(state: Any) -> None:
        raise ZeroDivisionError

    error = OutageError()
    budget = budget_of(clock, 5)
    flaky = Flaky(clock, error=error)
    retry = retry_of(clock, budget=budget, **{hook: crash})
    with pytest.raises(ZeroDivisionError) as raised:
        make(retry, clock, flaky)
    assert raised.value.__context__ is error
    assert len(flaky.made) == (3 if hook == "on_exhausted" else 1)
    assert budget.balance == 5.0 - (len(flaky.made) - 1)
    assert why(retry) == {end: 1}
    assert sum(retry.snapshot().delays.values()) == len(flaky.made) - 1


@sync_ways
@pytest.mark.parametrize("hook", ["before_sleep", "retry_after", "on"])
def test_an_interrupt_in_a_hook_is_a_call_that_was_cancelled(make, hook, clock):
    def interrupt(state: Any) -> None:
        raise KeyboardInterrupt

    budget = budget_of(clock, 5)
    retry = retry_of(clock, budget=budget, **{hook: interrupt})
    with pytest.raises(KeyboardInterrupt):
        make(retry, clock, Flaky(clock))
    assert (budget.balance, why(retry)) == (5.0, {"cancelled": 1})


@every_way
def test_a_predicate_on_results_that_raises_ends_the_call(make, clock):
    def crash(result: Any) -> None:
        raise ZeroDivisionError

    retry = retry_of(clock, on=Exception, on_result=crash)
    with pytest.raises(ZeroDivisionError):
        make(retry, clock, fine)
    assert (clock.now(), why(retry)) == (0.0, {"not_retryable": 1})


class Undecided:
    def __bool__(self) -> bool:
        raise ZeroDivisionError


@every_way
@pytest.mark.parametrize("asked", ["on", "on_result"])
def test_an_answer_that_is_neither_true_nor_false_ends_the_call(make, asked, clock):
    retry = retry_of(clock, **{asked: lambda about: Undecided()})
    with pytest.raises(ZeroDivisionError):
        make(retry, clock, Flaky(clock) if asked == "on" else fine)
    assert why(retry) == {"not_retryable": 1}


@pytest.mark.parametrize("make", [way for way in WAYS if "block" not in way.__name__])
def test_outside_of_a_hook_that_raises_a_breaker_sees_a_failure(make, clock):
    def crash(state: Any) -> None:
        raise ZeroDivisionError

    breaker = hf.CircuitBreaker("b", clock=clock)
    with pytest.raises(ZeroDivisionError):
        make(hf.Pipeline("p", breaker, retry_of(clock, before_sleep=crash)), clock, Flaky(clock))
    assert (breaker.snapshot().failed, breaker.snapshot().in_flight) == (1, 0)


def test_hooks_run_before_the_pause_in_a_task_as_well(clock):
    order: list[str] = []

    async def call() -> None:
        order.append("call")
        raise OutageError

    retry = retry_of(clock, attempts=2, before_sleep=lambda state: order.append("before"))
    retry.on_event(lambda event: order.append(event.kind))
    with pytest.raises(OutageError):
        run_async(clock, retry.acall(call))
    assert order == ["call", "before", "retry", "call", "gave_up"]


def test_an_error_that_is_not_repeated_is_told_to_those_who_listen(clock):  # LG-04
    retry = hf.Retry("net", attempts=3, backoff=hf.Constant(1), on=ConnectionError, clock=clock)
    events = []
    stop = retry.on_event(events.append)
    errors = iter([ConnectionError("a"), KeyError("b"), KeyboardInterrupt()])

    def call():
        raise next(errors)

    with pytest.raises(KeyError, match="b"):
        retry.call(call)
    with pytest.raises(KeyboardInterrupt):  # no error of the call
        retry.call(call)
    stop()
    assert [(event.kind, event.old, event.reason) for event in events] == [
        ("retry", 1, "ConnectionError"),
        ("not_retried", 2, "KeyError"),
    ]


def test_what_listeners_raise_of_an_error_that_is_not_repeated_leaves_the_error(clock):
    retry = hf.Retry("net", attempts=3, on=ConnectionError, clock=clock)

    def raise_(error):
        raise error

    stop = retry.on_event(lambda event: raise_(ValueError("of a listener")))
    with pytest.raises(KeyError, match="mine") as caught:
        retry.call(raise_, KeyError("mine"))
    assert caught.value.__context__ is None
    stop()
    retry.on_event(lambda event: raise_(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt) as interrupted:
        retry.call(raise_, KeyError("mine"))
    assert isinstance(interrupted.value.__context__, KeyError)


async def test_a_task_is_told_of_an_error_that_is_not_repeated(clock):
    retry = hf.Retry("net", attempts=3, on=ConnectionError, clock=clock)
    events = []
    retry.on_event(events.append)

    async def call():
        raise KeyError("b")

    with pytest.raises(KeyError):
        await retry.acall(call)
    assert [event.kind for event in events] == ["not_retried"]
