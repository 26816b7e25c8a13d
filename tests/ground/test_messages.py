"""What a newcomer types, and what the message must contain. One row a mistake.

The words of other libraries are those of tenacity, pybreaker, circuitbreaker, limits, aiolimiter,
resilience4j and Polly.
"""

import copy
import pickle
import subprocess
import sys

import pytest

import holdfast as hf

# ---- names that the package does not have ----

NAMES = {
    "retry": "use holdfast.Retry",
    "circuit_breaker": "use holdfast.CircuitBreaker",
    "Circuitbreaker": "use holdfast.CircuitBreaker",
    "Breaker": "use holdfast.CircuitBreaker",
    "RetryPolicy": "use holdfast.Retry",
    "TokenBucket": "use holdfast.RateLimiter",
    "stop_after_attempt": "use holdfast.Retry(…, attempts=…)",
    "wait_exponential": "use holdfast.Exponential",
    "wait_random_exponential": 'use holdfast.Exponential(…, jitter_mode="full")',
    "retry_if_exception_type": "use holdfast.Retry(…, on=…)",
    "CircuitBreakerError": "use holdfast.CircuitOpenError",
    "CallNotPermittedException": "use holdfast.CircuitOpenError",
    "RateLimitExceeded": "use holdfast.RateLimitedError",
    "ResiliencePipeline": "use holdfast.Pipeline",
    "Semaphore": "use holdfast.Bulkhead",
    "Collector": "use `from holdfast.telemetry.prometheus import Collector`",
    "agent": "it is a module, use `import holdfast.agent`",
    "Bulkhed": "did you mean 'Bulkhead'?",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_the_package_does_not_have_is_answered_with_one_it_has(name, monkeypatch):
    monkeypatch.delattr(hf, "agent", raising=False)  # another test may have imported it
    with pytest.raises(AttributeError) as caught:
        getattr(hf, name)
    assert str(caught.value) == f"module 'holdfast' has no attribute {name!r}: {NAMES[name]}"


def test_every_word_of_other_libraries_leads_to_something_that_exists():
    from holdfast.hints import _ELSEWHERE, _IN_MODULES

    for use in _ELSEWHERE.values():
        owner, *rest = use.partition("(")[0].partition(" or ")[0].split(".")
        assert not rest or hasattr(getattr(hf, owner), rest[0]), use
        assert owner in hf.__all__
    for name, module in _IN_MODULES.items():
        assert name in sys.modules.get(module, __import__(module, fromlist=["_"])).__all__


def test_a_name_unlike_all_others_gets_the_plain_message():
    with pytest.raises(AttributeError) as caught:
        hf.zzz  # noqa: B018
    assert str(caught.value) == "module 'holdfast' has no attribute 'zzz'"
    assert not hasattr(hf, "retry")
    assert not hasattr(hf, "__wrapped__")
    with pytest.raises(ImportError, match="cannot import name 'breaker'"):
        from holdfast import breaker  # noqa: F401


def test_the_interpreter_adds_no_second_suggestion():
    code = "import holdfast as hf; hf.Bulkhed"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.count("Bulkhead") == 1


def test_the_package_lists_its_names_and_is_pickled_by_name():
    assert set(hf.__all__) <= set(dir(hf))
    assert pickle.loads(pickle.dumps(hf.Retry)) is hf.Retry
    assert copy.copy(hf.Mode.OFF) is hf.Mode.OFF
