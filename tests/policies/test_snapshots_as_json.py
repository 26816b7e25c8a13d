"""A snapshot is plain data: a service may answer with it, a log line may contain it."""

import json
import typing
from dataclasses import asdict, fields

import pytest

import holdfast as hf


def policies(clock):
    budget = hf.RetryBudget(clock=clock)
    return {
        "breaker": hf.CircuitBreaker("b", failure_rate=0.5, latency=True, clock=clock),
        "tripped": hf.CircuitBreaker("t", failure_threshold=1, clock=clock),
        "limiter": hf.RateLimiter("l", limits="10/second;100/minute", clock=clock),
        "bulkhead": hf.Bulkhead("k", max_concurrent=2, clock=clock),
        "retry": hf.Retry("r", on=OSError, backoff=hf.Constant(90), budget=budget, clock=clock),
        "timeout": hf.Timeout(3, clock=clock),
        "adaptive": hf.AdaptiveTimeout(3, name="a", clock=clock),
        "fallback": hf.Fallback(None, clock=clock),
        "latency": hf.LatencyBudget("y", target=0.1, min_samples=1, clock=clock),
        "pipeline": hf.Pipeline(
            "p", hf.Retry("r", on=OSError, clock=clock), hf.CircuitBreaker("b", clock=clock)
        ),
    }


def as_loaded(data):
    """Turn tuples into lists, as JSON does."""
    if isinstance(data, dict):
        return {key: as_loaded(value) for key, value in data.items()}
    return [as_loaded(one) for one in data] if isinstance(data, tuple | list) else data


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("which", list(policies(hf.ManualClock())))
def test_a_snapshot_is_written_as_json_and_read_back(which, used):
    clock = hf.ManualClock()
    policy = policies(clock)[which]
    if used:
        for error in (OSError("reset"), ValueError("wrong")):
            policy.try_call(lambda error=error: (_ for _ in ()).throw(error))
            policy.try_call(len, "a")
    data = asdict(policy.snapshot())
    assert json.loads(json.dumps(data, allow_nan=False)) == as_loaded(data)
    assert (data["kind"], data["name"]) == (policy.kind, policy.name)


def test_the_snapshot_of_a_pool_and_of_a_budget_are_json_too():
    pool = hf.PoolBulkhead("workers", workers=1)
    pool.submit(len, "a").result()
    pool.stop()
    for snapshot in (pool.snapshot(), hf.RetryBudget().snapshot()):
        assert json.loads(json.dumps(asdict(snapshot), allow_nan=False)) == asdict(snapshot)


def test_the_parts_of_a_pipeline_tell_their_kind_and_name():
    parts = asdict(policies(hf.ManualClock())["pipeline"].snapshot())["policies"]
    assert [(p["kind"], p["name"]) for p in parts] == [("retry", "r"), ("circuit_breaker", "b")]


def test_transitions_and_pauses_are_counted_by_words():
    clock = hf.ManualClock()
    shop = policies(clock)
    shop["breaker"].trip()
    shop["retry"].try_call(open, "/no/such/file")
    shop["breaker"].disable()
    changes = shop["breaker"].snapshot().state_changes
    assert {change: n for change, n in changes.items() if n} == {
        "closed->open": 1,
        "open->disabled": 1,
    }
    assert len(changes) == 6 + 1, "the transitions, and the override that happened"
    assert shop["retry"].snapshot().delays["+Inf"] == 3


@pytest.mark.parametrize("word", [*hf.State, *hf.Mode])
def test_states_and_modes_are_strings(word):
    assert f"{word}" == str(word) == word.value == word
    assert f"{word:>15}" == f"{word.value:>15}"
    assert json.dumps({word: word}) == json.dumps({word.value: word.value})
    assert {word.value: 1}[word] == 1
    assert type(word)(word.value) is word
    assert repr(word) == f"<{type(word).__name__}.{word.name}: {word.value!r}>"


@pytest.mark.parametrize("which", list(policies(hf.ManualClock())))
def test_the_types_of_a_snapshot_can_be_read_as_serializers_do(which):
    snapshot = policies(hf.ManualClock())[which].snapshot()
    hints = typing.get_type_hints(type(snapshot))
    assert list(hints) == [field.name for field in fields(snapshot)]


def test_the_types_of_what_hooks_and_events_get_can_be_read_too():
    states, trips = [], []
    retry = hf.Retry("r", on=OSError, attempts=2, backoff=0, before_sleep=states.append)
    breaker = hf.CircuitBreaker("b", failure_threshold=1)
    breaker.on_event(lambda event: trips.append(event.trip))
    for policy in (retry, breaker):
        policy.try_call(lambda: (_ for _ in ()).throw(OSError()))
    for one in (*states, *trips):
        assert list(typing.get_type_hints(type(one))) == [field.name for field in fields(one)]
