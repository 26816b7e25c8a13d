"""Dataclasses and models that have policies are copied and validated as others are."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

import holdfast as hf


def policies() -> list[Any]:
    retry = hf.Retry("r", budget=hf.RetryBudget(), backoff=hf.AdaptiveBackoff(hf.Constant(1)))
    return [
        retry,
        hf.CircuitBreaker("b", clock=hf.ManualClock()),
        hf.RateLimiter("l", rate=1),
        hf.Bulkhead("k", max_concurrent=1),
        hf.PoolBulkhead("p", workers=1),
        hf.Timeout(1),
        hf.Fallback(None),
        hf.Pipeline("p", retry),
        hf.ManualClock(),
        hf.RetryBudget(),
        hf.AdaptiveBackoff(hf.Constant(1)),
    ]


@dataclasses.dataclass
class Client:
    policy: Any
    send: Callable[..., Any]


class Model(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    breaker: hf.CircuitBreaker
    retry: hf.Retry = hf.Retry("shared")


@pytest.mark.parametrize("policy", policies(), ids=lambda policy: type(policy).__name__)
def test_the_copy_of_a_dataclass_goes_by_the_same_policy(policy: Any) -> None:
    client = Client(policy, hf.CircuitBreaker("b")(len))
    again = copy.deepcopy(client)
    assert again == client
    assert again.policy is policy
    assert dataclasses.asdict(client) == {"policy": policy, "send": client.send}
    assert dataclasses.replace(client, send=len).policy is policy


def test_the_copy_of_a_model_goes_by_the_same_policy() -> None:
    breaker = hf.CircuitBreaker("b")
    model = Model(breaker=breaker)
    assert model.model_copy(deep=True).breaker is breaker
    assert model.retry is Model(breaker=breaker).retry
    assert model.model_dump() == {"breaker": breaker, "retry": model.retry}
    with pytest.raises(ValidationError, match="instance of CircuitBreaker"):
        Model(breaker=3)  # type: ignore[arg-type]
