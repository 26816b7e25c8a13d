"""HOLDFAST_MODE for a process, mode= for a policy, and shared policies."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import holdfast as hf

SCRIPT = """
import holdfast as hf
breaker = hf.CircuitBreaker("b", failure_threshold=1)
breaker.trip()
limiter = hf.RateLimiter("l", rate=1)
own = hf.Bulkhead("own", max_concurrent=1, mode="enforce")
passed = [bool(p.try_call(lambda: 1)) for p in (breaker, limiter, limiter)]
with own:
    passed.append(bool(own.try_call(lambda: 1)))
print(breaker.mode.value, passed, breaker.snapshot().observed, limiter.snapshot().observed)
"""


def run_in(mode: str | None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "HOLDFAST_MODE"}
    if mode is not None:
        environment["HOLDFAST_MODE"] = mode
    return subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (None, "enforce [False, True, False, False] 0 0"),
        ("OBSERVE", "observe [True, True, True, False] 1 1"),
        ("off", "off [True, True, True, False] 0 0"),
    ],
)
def test_the_process_has_one_mode_and_a_policy_may_have_its_own(mode, said):
    done = run_in(mode)
    assert done.stdout.strip() == said, done.stderr


def test_a_bad_mode_of_the_process_is_named():
    done = run_in("loud")
    assert done.returncode == 1
    assert "HOLDFAST_MODE: got 'loud', allowed one of enforce, observe, off" in done.stderr


def test_a_shared_policy_is_the_one_that_lives():
    first = hf.RateLimiter("l", rate=5, shared=True)
    assert hf.RateLimiter("l", rate=5, shared=True) is first
    assert hf.RateLimiter("l", rate=5) is not first
    with pytest.raises(
        hf.ConfigError, match=r"rate: got 6, allowed 5, as in the existing shared policy"
    ):
        hf.RateLimiter("l", rate=6, shared=True)
    assert hf.registry.find_shared("rate_limiter", "l") is first
    del first
    assert hf.RateLimiter("l", rate=6, shared=True).snapshot().rate == 6


def test_what_a_bulkhead_was_resized_to_is_among_its_settings():
    bulkhead = hf.Bulkhead("b", max_concurrent=2, shared=True)
    bulkhead.resize(3)
    assert bulkhead.describe().startswith("Bulkhead 'b': max_concurrent=3, ")
    assert hf.Bulkhead("b", max_concurrent=3, shared=True) is bulkhead
    with pytest.raises(
        hf.ConfigError, match="max_concurrent: got 2, allowed 3, as in the existing"
    ):
        hf.Bulkhead("b", max_concurrent=2, shared=True)


def test_a_shared_policy_is_of_the_class_that_was_asked_for():
    class Own(hf.Bulkhead):
        pass

    shared = hf.Bulkhead("b", shared=True)
    with pytest.raises(
        hf.ConfigError, match=r"Own 'b': shared: got True, allowed .* <Bulkhead 'b'>"
    ):
        Own("b", shared=True)
    assert type(Own("b")) is Own
    assert hf.Bulkhead("b", shared=True) is shared


def test_several_policies_may_bear_one_name_and_none_is_kept_alive():  # trap 67
    for _ in range(100):
        hf.CircuitBreaker("same")
        hf.Bulkhead("same")
    assert hf.registry.all() == []
    one, two = hf.CircuitBreaker("same"), hf.CircuitBreaker("same")
    assert hf.registry.get("circuit_breaker", "same") is two
    assert hf.registry.all() == [one, two]
    one.trip()
    hf.registry.reset_all()
    assert one.state is hf.State.CLOSED


def test_what_policies_have_in_common_is_no_policy():
    with pytest.raises(TypeError, match="instantiate one of its subclasses"):
        hf.Policy("l")
    assert hf.registry.all() == []
