"""Settings under a name that is not theirs: the error says which there are, and which was meant."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import holdfast as hf

MISNAMED: list[tuple[Callable[..., Any], dict[str, Any], str, str]] = [
    (hf.CircuitBreaker, {"failure_treshold": 5}, "failure_treshold", "failure_threshold"),
    (hf.CircuitBreaker, {"fail_max": 5}, "fail_max", "failure_threshold"),
    (hf.CircuitBreaker, {"exclude": KeyError}, "exclude", "ignore"),
    (hf.CircuitBreaker, {"recovery_timeout": 5}, "recovery_timeout", "reset_timeout"),
    (hf.Retry, {"max_attempts": 3}, "max_attempts", "attempts"),
    (hf.RateLimiter, {"bursts": 3}, "bursts", "burst"),
    (hf.Bulkhead, {"max_calls": 3}, "max_calls", "max_concurrent"),
    (hf.Pipeline.standard, {"timeout": 5}, "timeout", "total_timeout"),
    (hf.Pipeline.standard, {"retries": 3}, "retries", "attempts"),
]


@pytest.mark.parametrize(("make", "settings", "given", "meant"), MISNAMED)
def test_a_name_that_is_none_is_answered_with_the_one_that_was_meant(make, settings, given, meant):
    with pytest.raises(TypeError) as caught:
        make("p", **settings)
    text = str(caught.value)
    assert f"got an unexpected keyword argument '{given}': did you mean '{meant}'?" in text
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_all_names_are_told():
    all_names = "'xyz'; it takes value, on, name, clock, mode, shared"
    with pytest.raises(TypeError, match=all_names) as caught:
        hf.Fallback(1, xyz=2)
    assert "did you mean" not in str(caught.value)
    with pytest.raises(TypeError, match="did you mean 'duration'"):
        hf.Timeout(seconds=5)


def test_settings_without_a_name_are_asked_for_by_name():
    with pytest.raises(TypeError, match=r"Timeout\(\) takes duration and .*, got 2 .*: give name="):
        hf.Timeout("api", 5)
    with pytest.raises(TypeError, match=r"all else by name, got 3 positional .*failure_threshold="):
        hf.CircuitBreaker("b", 5, 30)
    with pytest.raises(TypeError, match=r"Pipeline.standard\(\) takes name and"):
        hf.Pipeline.standard("p", 5)


def test_what_is_missing_is_told_as_python_does():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'value'"):
        hf.Fallback()
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'name'"):
        hf.Pipeline.standard(attempts=2)


def test_a_subclass_names_its_own_settings():
    class Ours(hf.CircuitBreaker):
        def __init__(self, name: str, *, patience: float) -> None:
            super().__init__(name, reset_timeout=patience)

    class Handing(hf.CircuitBreaker):
        def __init__(self, name: str, **settings: Any) -> None:
            super().__init__(name, **settings)

    with pytest.raises(TypeError, match=r"'patiense': did you mean 'patience'\?; it takes name, p"):
        Ours("b", patiense=1)
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'fail_max'"):
        Handing("b", fail_max=1)


def test_the_standard_pipeline_still_shows_its_signature():
    assert list(inspect.signature(hf.Pipeline.standard).parameters)[:2] == ["name", "total_timeout"]


def test_a_text_is_no_rate_but_says_where_it_belongs():
    with pytest.raises(hf.ConfigError, match=r"a text is for RateLimiter\(limits=…\)"):
        hf.RateLimiter("l", rate="10/minute")


def test_a_list_of_policies_is_to_be_unpacked():
    with pytest.raises(hf.ConfigError, match=r"Pipeline\(name, \*policies\)"):
        hf.Pipeline("p", [hf.Timeout(3)])
    with pytest.raises(hf.ConfigError, match="a policy or a pipeline, not its class"):
        hf.Pipeline("p", hf.Timeout)
