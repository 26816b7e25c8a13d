"""The policies that a standard pipeline has only if they are asked for: budgets, hedge, chaos."""

from __future__ import annotations

import subprocess
import sys

import pytest

import holdfast as hf
from holdfast import chaos

ASKED = {"error_budget": {"slo": 0.99}, "latency_budget": {"target": 0.2}, "hedge": {"delay": 0.3}}


def kinds(pipe: hf.Pipeline) -> list[str]:
    return [policy.kind for policy in pipe.policies]


def refused(**settings: object) -> tuple[str, ...]:
    with pytest.raises(hf.ConfigError) as caught:
        hf.Pipeline.standard("p", **settings)
    return caught.value.problems


def asked_for(kind: str, **settings: object):
    """Return the policy of a kind in a standard pipeline that has all of them."""
    pipe = hf.Pipeline.standard("p", **{**ASKED, **settings})
    return next(policy for policy in pipe.policies if policy.kind == kind)


def raises(error: Exception) -> None:
    raise error


# ---- places ----


def test_each_is_at_its_place_with_the_name_the_clock_and_the_mode_of_the_pipeline(clock):
    fault = chaos.Latency(0.1, 0.2)
    limiter = hf.AdaptiveRateLimiter("own", rate=50, clock=clock)
    pipe = hf.Pipeline.standard(
        "p", **ASKED, chaos=fault, rate=limiter, fallback=1, clock=clock, mode="observe"
    )
    assert (pipe.policies[7], pipe.policies[-1]) == (limiter, fault)
    assert kinds(pipe) == [
        "error_budget", "latency_budget", "fallback", "timeout", "retry", "hedge",
        "circuit_breaker", "rate_limiter", "bulkhead", "timeout", "fault",
    ]  # fmt: skip
    errors, latency, hedge = pipe.policies[0], pipe.policies[1], pipe.policies[5]
    for made in (errors, latency, hedge):
        assert (made.name, made.mode, made._clock) == ("p", hf.Mode.OBSERVE, clock)
    assert (errors._setting("slo"), latency._setting("target"), hedge.delay) == (0.99, 0.2, 0.3)
    assert pipe.lint() == []


def test_policies_that_are_given_are_in_it_as_they_are():
    given = {
        "latency_budget": hf.LatencyBudget("own", target=1),
        "error_budget": hf.ErrorBudget("own", slo=0.9),
        "hedge": hf.Hedge("own"),
        "chaos": chaos.Error(),
    }
    assert set(given.values()) <= set(hf.Pipeline.standard("p", **given).policies)


def test_a_standard_pipeline_without_them_imports_none_of_their_modules():
    code = """
import sys, holdfast as hf
hf.Pipeline.standard("p", rate=5, fallback=None, breaker={"reset_timeout": 3})
print([name for name in sys.modules if "_budget" in name or "hedge" in name or "chaos" in name])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- what they have in common with the retry ----


def test_hedges_and_retries_share_a_budget_unless_another_one_is_given():
    own = hf.RetryBudget()
    pipe = hf.Pipeline.standard("p", hedge={"delay": 0.1})
    retry, hedge = (next(p for p in pipe.policies if p.kind == k) for k in ("retry", "hedge"))
    assert hedge.budget is retry.budget is not None
    assert asked_for("hedge", hedge={"delay": 0.1, "budget": own}).budget is own
    assert asked_for("hedge", budget=own).budget is own
    assert asked_for("hedge", attempts=1).budget is not None
    assert asked_for("hedge", budget=None).budget is None


def test_an_answer_that_would_not_be_retried_is_not_hedged_either():
    hedge = asked_for("hedge", on=LookupError, ignore=KeyError, on_result="http")
    assert hedge._setting("on") == (LookupError, hf.DeadlineExceededError)
    assert (hedge._setting("ignore"), hedge._setting("on_result")) == (
        (KeyError,),
        "http",
    )


def test_an_error_budget_counts_what_the_caller_gets_in_the_end(clock):
    settings = {"on_result": lambda result: result == "bad", "ignore": KeyError, "attempts": 2}
    pipe = hf.Pipeline.standard(
        "p", **settings, on=OSError, error_budget={"slo": 0.9}, backoff=0, clock=clock
    )
    answers = iter([OSError(), "good", "bad", "bad", ValueError(), KeyError()])

    def answer():
        one = next(answers)
        return raises(one) if isinstance(one, Exception) else one

    for _ in range(4):
        pipe.try_call(answer)
    shown = pipe.policies[0].snapshot()
    # Recovered, a bad result in the end, an error that is not retried; the ignored one is nothing.
    assert (shown.total_requests, shown.failed_requests) == (3, 2)


# ---- bad input ----


def test_what_is_wrong_with_their_settings_is_named_with_all_the_rest():
    problems = refused(
        error_budget={"slo": 99.9, "slo_target": 1},
        latency_budget={"percentile": 0.95},
        hedge={"delay": -1, "delays": 1},
        attempts=0,
    )
    assert [problem.split(", allowed")[0] for problem in problems] == [
        "attempts: got 0",
        "error_budget['slo_target']: got 1",
        "slo: got 99.9",
        "percentile: got 0.95",
        "hedge['delays']: got 1",
        "delay: got -1",
    ]


@pytest.mark.parametrize(
    ("argument", "value", "allowed"),
    [
        ("error_budget", 0.999, "an ErrorBudget, or a dict of its settings, or None"),
        ("latency_budget", hf.Bulkhead, "a LatencyBudget, or a dict of its settings, or None"),
        ("chaos", {"probability": 1}, "a fault of holdfast.chaos, or None"),
        ("hedge", hf.Timeout(1), "a Hedge, or a dict of its settings, or None"),
    ],
)
def test_other_values_are_refused_with_what_is_allowed(argument, value, allowed):
    (problem,) = refused(**{argument: value})
    assert problem.startswith(f"{argument}: got ")
    assert f"allowed {allowed}" in problem


# ---- with_options ----


@pytest.mark.parametrize(
    ("option", "make"),
    [
        ("error_budget", lambda: hf.ErrorBudget("o")),
        ("latency_budget", lambda: hf.LatencyBudget("o")),
        ("hedge", lambda: hf.Hedge("o")),
        ("chaos", lambda: chaos.Latency(0.1, 0.2)),
        ("limiter", lambda: hf.AdaptiveRateLimiter("o", rate=1)),
    ],
)
def test_each_is_put_in_replaced_and_removed_by_its_name(option, make):
    full = hf.Pipeline.standard("p", **ASKED, rate=5, chaos=chaos.Error())
    there, other = make(), make()
    replaced = full.with_options(**{option: there})
    assert kinds(replaced) == kinds(full)
    assert there in replaced.policies
    without = replaced.with_options(**{option: None})
    assert len(without.policies) == len(full.policies) - 1
    again = without.with_options(**{option: other})
    assert kinds(again) == kinds(full)
    assert other in again.policies


def test_a_timeout_inside_of_a_hedge_times_an_attempt():
    pipe = hf.Pipeline("p", hf.Timeout(9), hf.Hedge("h"), hf.Timeout(3))
    other = pipe.with_options(total_timeout=8, attempt_timeout=2)
    assert [policy.duration for policy in (other.policies[0], other.policies[2])] == [8, 2]
    alone = hf.Pipeline("p", hf.Hedge("h")).with_options(total_timeout=5, attempt_timeout=1)
    assert kinds(alone) == ["timeout", "hedge", "timeout"]


def test_a_block_cannot_be_hedged_but_its_pipeline_has_attempts_without_the_hedge(clock):
    pipe = hf.Pipeline.standard("p", hedge={"delay": 0.1}, clock=clock)
    with pytest.raises(TypeError, match=r"a hedge, which cannot run a block twice.*hedge=None"):
        pipe.attempts()
    numbers = []
    for attempt in pipe.with_options(hedge=None).attempts():
        with attempt:
            numbers.append(attempt.number)
    assert numbers == [1]
    assert hf.Pipeline.standard("p", hedge={"mode": "off"}).attempts()


def test_a_setting_of_a_budget_is_that_of_a_new_one():
    with pytest.raises(hf.ConfigError, match=r"error_budget=ErrorBudget\('p', slo=0.9\)"):
        hf.Pipeline.standard("p").with_options(slo=0.9)
