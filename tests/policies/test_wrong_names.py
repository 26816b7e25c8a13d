"""Settings under a name that is not theirs: the error says which there are, and which was meant."""

import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import holdfast as hf
from holdfast import chaos, health, hints
from holdfast.degradation import DegradationManager
from holdfast.telemetry.prometheus import Collector

MISNAMED: list[tuple[Callable[..., Any], dict[str, Any], str, str]] = [
    (hf.CircuitBreaker, {"failure_treshold": 5}, "failure_treshold", "failure_threshold"),
    (hf.CircuitBreaker, {"fail_max": 5}, "fail_max", "failure_threshold"),
    (hf.CircuitBreaker, {"exclude": KeyError}, "exclude", "ignore"),
    (hf.CircuitBreaker, {"recovery_timeout": 5}, "recovery_timeout", "reset_timeout"),
    (hf.Retry, {"max_attempts": 3}, "max_attempts", "attempts"),
    (hf.RateLimiter, {"bursts": 3}, "bursts", "burst"),
    (hf.Bulkhead, {"max_calls": 3}, "max_calls", "max_concurrent"),
    (hf.Pipeline.standard, {"timeout": 5}, "timeout", "total_timeout"),
    (hf.ErrorBudget, {"target": 0.9}, "target", "slo"),
    (hf.ErrorBudget, {"objective": 0.9}, "objective", "slo"),
    (hf.ErrorBudget, {"min_calls": 9}, "min_calls", "min_requests"),
    (hf.ErrorBudget, {"window_seconds": 9}, "window_seconds", "window"),
    (hf.LatencyBudget, {"target_latency": 1}, "target_latency", "target"),
    (hf.LatencyBudget, {"quantile": 0.9}, "quantile", "percentile"),
    (hf.AdaptiveRateLimiter, {"target": 1}, "target", "target_latency"),
    (hf.AdaptiveRateLimiter, {"min": 1}, "min", "min_rate"),
    (hf.AdaptiveRateLimiter, {"initial_rate": 9}, "initial_rate", "rate"),
    (hf.Hedge, {"after": 1}, "after", "delay"),
    (hf.Pipeline.standard, {"retries": 3}, "retries", "attempts"),
]


@pytest.mark.parametrize(("make", "settings", "given", "meant"), MISNAMED)
def test_a_name_that_is_none_is_answered_with_the_one_that_was_meant(make, settings, given, meant):
    with pytest.raises(TypeError) as caught:
        make("p", **settings)
    text = str(caught.value)
    assert f"{given}: got {settings[given]!r}, an unexpected keyword argument" in text
    assert f"did you mean {meant!r}?" in text
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_all_names_are_told():
    with pytest.raises(TypeError, match=r"it takes value, on, .*, shared$") as caught:
        hf.Fallback(1, xyz=2)
    assert "did you mean" not in str(caught.value)
    with pytest.raises(TypeError, match="did you mean 'duration'"):
        hf.Timeout(seconds=5)


def test_wrong_names_and_wrong_values_are_in_one_error_that_is_a_config_error():
    with pytest.raises(hf.ConfigError) as caught:
        hf.CircuitBreaker("b", 5, exclude=KeyError, reset_timeout=-1, mode="x")
    assert isinstance(caught.value, TypeError)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "exclude",
        "failure_threshold",
        "reset_timeout",
        "mode",
    ]
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.problems) == (str(caught.value), caught.value.problems)


def test_a_value_under_a_wrong_name_is_checked_as_the_one_that_was_meant():
    with pytest.raises(hf.ConfigError) as caught:
        hf.CircuitBreaker("b", failureRateThreshold=50)
    assert "did you mean 'failure_rate'?" in caught.value.problems[0]
    assert caught.value.problems[1].startswith("failure_rate: got 50, allowed a number above 0")


def test_only_a_name_that_is_certain_has_its_value_checked():
    with pytest.raises(hf.ConfigError) as caught:
        hf.Retry("r", retry=ValueError, callback=len, on_retries_over=len)
    exceptions, callback, event = caught.value.problems
    assert exceptions.endswith(": did you mean 'on'?")
    assert callback.endswith("an unexpected keyword argument")
    assert event.endswith(": add a listener with on_event()")


def test_a_call_that_is_refused_for_its_names_makes_no_policy():
    made: list[hf.Policy] = []
    end = hf.registry.watch(made.append)
    breaker = hf.CircuitBreaker("refused")
    made.clear()
    with pytest.raises(TypeError):
        hf.Pipeline.standard("refused", breaker=breaker, retries=3)
    with pytest.raises(TypeError):
        hf.Pipeline("refused", breaker, timeout=3)
    with pytest.raises(TypeError):
        hf.Timeout(3, seconds=5)
    end()
    assert made == []
    assert hf.registry.get("pipeline", "refused") is None
    assert breaker.snapshot().latency is None, "a pipeline has it record durations"


@pytest.mark.parametrize(
    ("make", "written"),
    [
        (lambda: hf.Timeout("api", 5), "Timeout(5, name='api')"),
        (lambda: hf.Timeout(5, "api"), "name='api'"),
        (lambda: hf.Fallback("f", 3), "Fallback(3, name='f')"),
        (lambda: hf.Fallback(3, ValueError), "on=ValueError"),
        (lambda: hf.Bulkhead("k", 10), "max_concurrent=10"),
        (lambda: hf.CircuitBreaker("b", 5, 30), "reset_timeout=30"),
        (lambda: hf.Retry("r", 3, (OSError, KeyError)), "on=(OSError, KeyError)"),
        (lambda: hf.Retry("r", hf.Constant(1)), "backoff=Constant(1)"),
        (lambda: hf.RateLimiter("l", "10/minute"), "limits='10/minute'"),
        (lambda: hf.RateLimiter("l", 10, 60), "per=60"),
        (lambda: hf.Pipeline.standard("p", 5), "total_timeout=5"),
        (lambda: hf.RetryBudget(0.2), "ratio=0.2"),
    ],
)
def test_an_argument_by_position_is_shown_as_it_is_given_by_name(make, written):
    with pytest.raises(TypeError) as caught:
        make()
    assert f"by position, allowed by name only: {written}" in str(caught.value)


def test_what_is_missing_is_told_with_all_else():
    with pytest.raises(TypeError, match=r"^Fallback: value: missing, a required argument$"):
        hf.Fallback()
    with pytest.raises(
        TypeError, match=r'name: missing, .* as in Retry\("payments", …\); mode: got'
    ):
        hf.Retry(mode="x")
    with pytest.raises(TypeError, match="'value'"):
        hf.Fallback(fallback=3)
    with pytest.raises(TypeError, match="name: missing"):
        hf.Pipeline.standard(attempts=2)
    with pytest.raises(TypeError, match="name: got 'b' by position and 'c' by name, allowed once"):
        hf.Bulkhead("b", name="c")


@pytest.mark.parametrize(
    ("make", "meant"),
    [
        (lambda: hf.Exponential(initial=0.1), "base"),
        (lambda: hf.Constant(wait=1), "delay"),
        (lambda: hf.Linear(1, 1, max_delay=3), "max"),
        (lambda: hf.RetryBudget(percent=0.2), "ratio"),
        (lambda: hf.CountWindow(size=10), "n"),
        (lambda: hf.ManualClock(now=10), "start"),
        (lambda: hf.Quantile(percentile=0.9), "quantile"),
        (lambda: hf.Quantile(0.9, inital=1), "initial"),
        (lambda: chaos.Latency(delay=0.1), "min"),
        (lambda: chaos.Timeout(seconds=2), "after"),
        (lambda: chaos.Error(exception=OSError), "errors"),
        (lambda: chaos.Error(rate=0.1), "probability"),
        (lambda: chaos.Error(times=1), "limit"),
        (lambda: chaos.Cpu(cores=2), "processors"),
        (lambda: chaos.Memory(mb=2), "size"),
        (lambda: chaos.Disk(path="/tmp", size=1), "folder"),
    ],
)
def test_what_is_no_policy_explains_its_names_as_well(make, meant):
    with pytest.raises(hf.ConfigError, match=f"did you mean {meant!r}") as caught:
        make()
    assert isinstance(caught.value, TypeError)


def test_what_is_an_argument_of_something_else_says_of_what():
    with pytest.raises(TypeError, match=r"jitter: got 1, .*: a back-off has it, as in backoff="):
        hf.Retry("r", jitter=1)
    with pytest.raises(TypeError, match=r"listeners: .*: add a listener with on_event\(\)"):
        hf.CircuitBreaker("b", listeners=[])
    with pytest.raises(
        TypeError, match=r"by position, as in Pipeline\(name, \*policies\)"
    ) as caught:
        hf.Pipeline("p", policies=[hf.Timeout(3)])
    assert len(caught.value.problems) == 1


def test_a_subclass_names_its_own_settings():
    class Ours(hf.CircuitBreaker):
        def __init__(self, name: str, *, patience: float) -> None:
            super().__init__(name, reset_timeout=patience)

    class Handing(hf.CircuitBreaker):
        def __init__(self, name: str, **settings: Any) -> None:
            super().__init__(name, **settings)

    with pytest.raises(TypeError, match=r"did you mean 'patience'\?; it takes name, patience"):
        Ours("b", patiense=1)
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'patience'"):
        Ours("b")
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'fail_max'") as caught:
        Handing("b", fail_max=1)
    (note,) = caught.value.__notes__
    assert note.startswith("fail_max: did you mean 'failure_threshold'? CircuitBreaker takes name,")


def test_a_type_error_of_the_body_of_an_own_init_is_raised_as_it_is():
    class Ours(hf.CircuitBreaker):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            raise TypeError("its own")

    with pytest.raises(TypeError, match=r"^its own$"):
        Ours("b")


def test_the_standard_pipeline_still_shows_its_signature():
    assert list(inspect.signature(hf.Pipeline.standard).parameters)[:2] == ["name", "total_timeout"]


def test_a_text_is_no_rate_but_says_where_it_belongs():
    with pytest.raises(hf.ConfigError, match=r"a text is for RateLimiter\(limits=…\)"):
        hf.RateLimiter("l", rate="10/minute")


def test_a_list_of_policies_is_to_be_unpacked():
    with pytest.raises(hf.ConfigError, match=r"Pipeline\(name, \*policies\)"):
        hf.Pipeline("p", [hf.Timeout(3)])
    with pytest.raises(hf.ConfigError, match=r"Pipeline\(name, \*policies\)"):
        hf.Pipeline("p", (hf.Timeout(3) for _ in range(2)))
    with pytest.raises(hf.ConfigError, match="a policy or a pipeline, not its class"):
        hf.Pipeline("p", hf.Timeout)


def test_every_word_of_other_libraries_leads_to_an_argument_that_exists():
    makes = (
        hf.CircuitBreaker, hf.RateLimiter, hf.Bulkhead, hf.PoolBulkhead, hf.Retry, hf.RetryBudget,
        hf.Timeout, hf.AdaptiveTimeout, hf.Fallback, hf.Pipeline.standard, hf.CountWindow,
        hf.Hedge, hf.Quantile, hf.ErrorBudget, hf.LatencyBudget, hf.AdaptiveRateLimiter,
        hf.TimeWindow, hf.Exponential, hf.Linear, hf.Constant, hf.ManualClock, Collector,
        hf.PingCheck, hf.ThresholdCheck, hf.HttpCheck, health.DatabaseCheck, DegradationManager,
    )  # fmt: skip
    known = {name for make in makes for name in inspect.signature(make).parameters}
    meant = {name for names in hints._ARGUMENTS.values() for name in names}
    assert meant <= known
    faults = (chaos.Latency, chaos.Timeout, chaos.Error, chaos.Raise, chaos.Cpu, chaos.Disk)
    known = {name for make in faults for name in inspect.signature(make).parameters}
    assert {name for names in hints._OF_FAULTS.values() for name in names} <= known
    assert not [name for name in hints._ARGUMENTS if "_" in name or name != name.lower()]
    for kind, names in hints._NO_ARGUMENT.items():
        make = hf
        for part in kind.split("."):
            make = getattr(make, part)
        taken = {
            name.replace("_", "")
            for name, parameter in inspect.signature(make).parameters.items()
            if parameter.kind is not parameter.VAR_POSITIONAL
        }
        assert not taken & set(names), f"{kind} has this argument"


def test_what_tools_look_for_does_not_load_the_hints():
    code = (
        "import holdfast as hf, sys\n"
        "for one in (hf.registry, hf.ManualClock(), hf.RetryBudget()):\n"
        "    assert not hasattr(one, '__wrapped__')\n"
        "print('holdfast.hints' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
