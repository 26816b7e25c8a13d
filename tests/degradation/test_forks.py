"""A forked child of a process in which components are degraded."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

import holdfast as hf
from holdfast.degradation import Component, DegradationManager, Level
from holdfast.degradation.driving import Following
from tests.waiting.parties import until

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def breaker_of(component: Component) -> Following:
    breaker = hf.CircuitBreaker("payments", failure_threshold=1, reset_timeout=1.0)
    following = component.follow(breaker)
    breaker.trip()
    return following


def budget_of(component: Component) -> Following:
    budget = hf.ErrorBudget("send", slo=0.9, window=3600, min_requests=1)
    following = component.follow(budget)
    budget.record(ok=False)
    return following


@pytest.mark.parametrize("degrade", [breaker_of, budget_of])
def test_a_component_that_is_called_gets_better_in_a_child_as_well(
    degrade: Callable[[Component], Following],
):
    component = DegradationManager("shop", stable_time=0).component("payments")
    following = degrade(component)
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            before = component.level
            until(lambda: component.execute(lambda: component.level is Level.NORMAL))
            os.write(writing, f"{before:d} {component.level:d}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        assert answer.read() == "1 0"
    os.waitpid(pid, 0)
    following()
    component.recover()
