"""What a newcomer types, and what the message must contain. One row a mistake.

The words of other libraries are those of tenacity, pybreaker, circuitbreaker, limits, aiolimiter,
resilience4j and Polly.
"""

import copy
import functools
import itertools
import pickle
import pydoc
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from unittest.mock import AsyncMock, Mock, create_autospec

import pytest

import holdfast as hf
from holdfast import chaos, hints, testing
from holdfast.policies import base
from holdfast.telemetry.prometheus import Collector, serve_metrics, wsgi_app

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
    "Latency": "use holdfast.chaos.Latency",
    "Slo": "use holdfast.ErrorBudget",
    "is_transient": 'use holdfast.Retry(…, on="transient")',
    "logger": "use holdfast.log_events",
    "metrics": "use `from holdfast.telemetry.prometheus import Collector`",
    "Category": "use `from holdfast.categories import Category`",
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
    for use in hints._ELSEWHERE.values():
        owner, *rest = use.partition("(")[0].partition(" or ")[0].split(".")
        assert not rest or hasattr(getattr(hf, owner), rest[0]), use
        assert owner in hf.__all__
    for name, module in hints._IN_MODULES.items():
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


# ---- the first attempts of a new user, in the order in which they were made ----


def standard(**settings: Any) -> Any:
    return hf.Pipeline.standard("p", **settings)


def raises_at_once() -> None:
    """Fail."""
    raise ConnectionError("refused")


def full() -> None:
    bulkhead = hf.Bulkhead("k", max_concurrent=1)
    with bulkhead:
        bulkhead.call(len, "x")


def opened() -> None:
    prices = hf.CircuitBreaker("prices", failure_threshold=1)
    prices.try_call(raises_at_once)
    prices.call(len, "x")


TYPED: list[tuple[Callable[[], object], str]] = [
    (lambda: hf.CircuitBreaker("b", failure_treshold=5), "did you mean 'failure_threshold'?"),
    (lambda: hf.CircuitBreaker("b", fail_max=5), "did you mean 'failure_threshold'?"),
    (lambda: hf.CircuitBreaker("b", exclude=KeyError), "did you mean 'ignore'?"),
    (lambda: hf.Retry("r", max_attempts=3), "did you mean 'attempts'?; it takes name, attempts,"),
    (lambda: standard(timeout=5), "did you mean 'total_timeout'?"),
    (lambda: standard(retries=3), "did you mean 'attempts'?"),
    (lambda: hf.Timeout(seconds=5), "did you mean 'duration'?"),
    (lambda: hf.Fallback(fallback=3), "did you mean 'value'?"),
    (lambda: standard(total_timeout=5, attempt_timeout=10), "at most total_timeout, 5 s"),
    (lambda: hf.RateLimiter("l", rate="10/minute"), "a text is for RateLimiter(limits=…)"),
    (lambda: hf.Retry("r", backoff="exponential"), "write Exponential(0.1)"),
    (lambda: hf.Exponential(0.1, jitter="full"), "write jitter_mode='full'"),
    (lambda: hf.Timeout("api", 5), "Timeout(5, name='api')"),
    (lambda: hf.Bulkhead("k", 10), "allowed by name only: max_concurrent=10"),
    (lambda: hf.CircuitBreaker("b", 5, 30), "failure_threshold=5; reset_timeout: got 30"),
    (lambda: hf.Pipeline(hf.Timeout(3)), "the name comes first, then the policies"),
    (lambda: hf.Pipeline("p", [hf.Timeout(3)]), "unpack it, as in Pipeline(name, *policies)"),
    (lambda: hf.Pipeline("p", hf.Timeout), "not its class: write Timeout(…)"),
    (lambda: hf.Retry("r", on=lambda: 1), "on: got <lambda>(), allowed a callable that takes one"),
    (lambda: hf.Retry("r", on_result=lambda: 1), "on_result: got <lambda>()"),
    (lambda: hf.Retry("r", retry_after=lambda: 1), "retry_after: got <lambda>()"),
    (lambda: hf.Retry("r", before_sleep=lambda: 1), "before_sleep: got <lambda>()"),
    (lambda: hf.CircuitBreaker("b", is_failure=lambda: 1), "is_failure: got <lambda>()"),
    (lambda: standard().with_options(retries=5), "did you mean 'attempts'?"),
    (lambda: hf.CircuitBreaker("b")(), "write @policy, without parentheses"),
    (lambda: hf.Retry("r").__enter__(), "or write 'for attempt in retry.attempts():'"),
    (lambda: hf.registry.get("breaker", "b"), "did you mean 'circuit_breaker'?"),
    (full, "1 of 1 inside"),
    (opened, "circuit breaker 'prices' is open: 1 failure, last ConnectionError: refused; retry"),
    (lambda: hf.CircuitBreaker("b").open(), "use trip()"),
    (lambda: hf.CircuitBreaker("b").close(), "use reset()"),
    (lambda: standard().breaker, "use policies"),
]


@pytest.mark.parametrize(("typed", "part"), TYPED, ids=[part for _, part in TYPED])
def test_what_a_new_user_types_first_is_answered_with_what_to_type(typed, part):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - each of its kind
        typed()
    assert part in str(caught.value)


def test_what_a_new_user_types_first_is_taken_where_its_meaning_is_clear():
    assert standard(total_timeout=5).policies[0].duration == 5
    assert standard(attempt_timeout=40).policies[-1].duration == 40
    assert standard(rate="100/s").policies[-3].kind == "rate_limiter"
    assert hf.Retry("r", backoff=0.5).backoff == hf.Constant(0.5)
    assert standard().with_options(attempts=5).policies[1].snapshot().max_retries == 4


# ---- values ----


def breaker() -> Any:
    return hf.CircuitBreaker("b")


def answers(a: object, b: object) -> None:
    """Take two arguments."""


async def later(error: object) -> None:
    """Have to be awaited."""


VALUES: list[tuple[Callable[[], object], str]] = [
    # durations
    (lambda: hf.Timeout("5s"), "write 5"),
    (lambda: hf.Timeout("250ms"), "write 0.25"),
    (lambda: hf.CircuitBreaker("b", reset_timeout="1.5 min"), "write 90"),
    (lambda: hf.RateLimiter("l", rate=10, per="minute"), "write 60"),
    (lambda: hf.ManualClock().advance("2h"), "write 7200"),
    (lambda: hf.Timeout(datetime(2026, 1, 1)), "a duration, not a moment"),
    (lambda: hf.Timeout(Decimal("1.5")), "write float(…)"),
    # numbers
    (lambda: hf.Retry("r", attempts="3"), "write 3, without quotes"),
    (lambda: hf.Bulkhead("k", max_concurrent=10.0), "write 10"),
    (lambda: hf.CircuitBreaker("b", failure_rate=50), "write 0.5 for 50 %"),
    (lambda: hf.AdaptiveTimeout(5, quantile=95), "write 0.95 for 95 %"),
    (lambda: hf.RetryBudget(ratio="20%"), "write 0.2"),
    (lambda: hf.RateLimiter("l", limits=10), "write rate=10"),
    (lambda: hf.RateLimiter("l", limits=["1/s", "9/m"]), "write '1/s;9/m'"),
    (lambda: hf.LatencyBudget("l", percentile="95%"), "write 95"),
    (lambda: hf.LatencyBudget("l").record("1s"), "LatencyBudget 'l': seconds: got '1s'"),
    (lambda: hf.AdaptiveRateLimiter("l", rate="100/s"), "write 100"),
    (lambda: hf.AdaptiveRateLimiter("l", rate=(120, 60)), "write 2, the rate per second"),
    (lambda: hf.AdaptiveRateLimiter("l", rate=1).record("1s"), "AdaptiveRateLimiter 'l': latency"),
    (
        lambda: hf.AdaptiveRateLimiter("l", rate=1, on_throttle=OSError),
        "write lambda answer: isinstance(answer, OSError)",
    ),
    (lambda: chaos.Error(OSError, KeyError), "errors=(OSError, KeyError)"),
    (lambda: chaos.Latency("payments"), "write name='payments'; a fault needs no name"),
    (lambda: chaos.Error("OSError"), "write the class OSError, without quotes"),
    (lambda: hf.Pipeline.standard("p", hedge=0.05), "in {'delay': 0.05}"),
    (lambda: hf.Pipeline.standard("p", hedge=hf.Quantile(0.9)), "{'delay': Quantile(0.9)}"),
    (lambda: hf.Pipeline.standard("p", error_budget=0.99), "in {'slo': 0.99}"),
    (lambda: hf.Pipeline.standard("p", latency_budget=0.1), "in {'target': 0.1}"),
    (lambda: hf.Hedge("h", budget={"ratio": 0.1}), "write RetryBudget(ratio=0.1)"),
    (lambda: hf.SloTracker([hf.ErrorBudget("e")]), "as in SloTracker(*budgets)"),
    # one of a few words
    (lambda: hf.priority("low"), "did you mean 'sheddable'?"),
    (lambda: hf.Retry("r", mode="obsrve"), "did you mean 'observe'?"),
    (lambda: hf.RateLimiter("l", rate=1, window="slidng"), "did you mean 'sliding'?"),
    (lambda: hf.Exponential(0.1, jitter_mode="Full"), "did you mean 'full'?"),
    (lambda: hf.Retry("r", on="transiet"), "did you mean 'transient'?"),
    # objects
    (lambda: hf.Retry("r", backoff=hf.Exponential), "write Exponential(…), not the class"),
    (lambda: hf.Retry("r", budget=0.2), "write RetryBudget(ratio=0.2)"),
    (lambda: hf.CircuitBreaker("b", window=100), "write CountWindow(100) for calls"),
    (lambda: hf.CircuitBreaker("b", window=30.0), "write TimeWindow(30.0)"),
    (lambda: hf.RateLimiter("l", rate=1, window=60), 'write per=60, window="sliding"'),
    (lambda: hf.ErrorBudget("e", slo=99.9), "write 0.999 for 99.9 %"),
    (lambda: hf.ErrorBudget("e", slo=0), "an objective of 0 allows every request to fail"),
    (lambda: hf.LatencyBudget("l", target=0.1, percentile=0.95), "write 95"),
    (lambda: hf.CircuitBreaker("b", reset_backoff=2.0), "for example (2.0, 300, 0.1)"),
    (lambda: hf.Retry("r", clock=time.monotonic), "a clock object, not a function"),
    (lambda: hf.Retry("r", on=ValueError("x")), "write ValueError, its class"),
    (lambda: hf.Retry("r", on="KeyError"), "write the class KeyError, without quotes"),
    (lambda: hf.Fallback(ValueError), "exception classes are for on="),
    (lambda: hf.chain([hf.Constant(1)]), "unpack it, as in chain(*backoffs)"),
    (lambda: hf.Pipeline("p", answers), "as in pipe.call(function)"),
    (lambda: hf.Pipeline.standard("p", rate=hf.RateLimiter), "RateLimiter(…), not the class"),
    (lambda: hf.Retry(answers), 'as in policy = Retry("name"), then write @policy'),
    (lambda: hf.CircuitBreaker(5), "the name comes first, the settings follow by name"),
    (lambda: hf.Bulkhead("k", max_wait=5), "give max_waiting= for calls that wait"),
    # what belongs somewhere else
    (lambda: hf.CircuitBreaker("b", failure_threshold=0.5), "write failure_rate=0.5 for a share"),
    (lambda: hf.Retry("r", on="http"), 'write on_result="http"'),
    (lambda: hf.Retry("r", on_result=[500, 503]), 'write "http" for status 408, 429 and 5xx'),
    (lambda: hf.Retry("r", retry_after=5), "write backoff=5 for pauses of this length"),
    (lambda: hf.Retry("r", backoff="fixed"), "write Constant(1)"),
    (lambda: hf.Retry("r", backoff=[1, 2, 3]), "write chain(1, 2, 3)"),
    (lambda: hf.RateLimiter("l", rate=(10, 60)), "write rate=10, per=60"),
    (lambda: hf.RateLimiter("l", limits="10/week"), "write 7 days"),
    (lambda: hf.Timeout(float("inf")), "a call without a limit needs no Timeout"),
    (
        lambda: standard(attempt_timeout=hf.Timeout(2, thread=True)),
        "write standard(…).with_options(attempt_timeout=Timeout(…))",
    ),
    (lambda: hf.Decorrelated(0.1, jitter=0.1), "its delays are random already"),
    (lambda: hf.Pipeline("p", hf.PoolBulkhead("k")), "write pool.submit(pipe.call, function, …)"),
    (lambda: standard().with_options(bulkhead=10), "write Bulkhead(name, max_concurrent=10)"),
    (lambda: standard().with_options(retry=5), "write attempts=5"),
    (
        lambda: hf.CircuitBreaker("b", window=hf.CountWindow(5), min_calls=10),
        "the window has room for 5 calls",
    ),
    # metrics and tests
    (lambda: Collector(prefix="x"), "did you mean 'namespace'?"),
    (lambda: Collector([breaker()]), "unpack it, as in Collector(*policies)"),
    (lambda: Collector(hf.Timeout(1)), "give the policy a name="),
    (lambda: serve_metrics("9464"), "write 9464, without quotes"),
    (lambda: wsgi_app(hf.registry), "write None, its default, for all policies"),
    (lambda: testing.use_clock(time.monotonic).__enter__(), "a clock object, not a function"),
    (
        lambda: hf.registry.watch(lambda: 1),
        "made: got <lambda>(), allowed a callable that takes one",
    ),
    (lambda: hf.AdaptiveTimeout(5, min=1), "did you mean 'floor'?"),
    (lambda: hf.AdaptiveTimeout(5, percentile=95), "did you mean 'quantile'?"),
    (lambda: hf.Retry(ConnectionError), "the name comes first; exceptions follow as on="),
    (lambda: hf.Pipeline([hf.Timeout(1)]), "as in Pipeline(name, *policies)"),
    (lambda: testing.Recorder().watch([breaker()]), "unpack it, as in *policies"),
    (lambda: testing.Script(1, 2), "add results with returns() and fails()"),
    (lambda: testing.Script().fails("late"), "error: got 'late', allowed an exception"),
    # functions that are called later
    (lambda: hf.Retry("r", on=lambda: 1), "<lambda>(), allowed a callable that takes one argument"),
    (lambda: hf.Retry("r", on_result=answers), "on_result: got answers(a"),
    (lambda: hf.Retry("r", on_result=answers), "it is called with the result"),
    (lambda: hf.Retry("r", retry_after=answers), "with the exception or the result"),
    (lambda: hf.Retry("r", before_sleep=answers), "it is called with a RetryState"),
    (lambda: hf.Retry("r", on_exhausted=answers), "it is called with a RetryState"),
    (lambda: hf.ErrorBudget("e", on_exhausted=lambda: 1), "it is called with the event"),
    (lambda: hf.ErrorBudget("e", on_recovered=answers), "it is called with the event"),
    (
        lambda: hf.AdaptiveRateLimiter("l", rate=1, on_throttle=answers),
        "it is called with each result, and each exception",
    ),
    (lambda: hf.CircuitBreaker("b", is_failure=answers), "it is called with each result"),
    (lambda: hf.Fallback(answers), "a function of one argument, the exception"),
    (lambda: hf.Retry("r", on_result=ValueError), "exception classes belong in on= or ignore="),
    (lambda: hf.Retry("r", before_sleep=later), "that is not a coroutine or generator function"),
    (lambda: hf.Timeout(5).on_event(lambda: 1), "it is called with the event"),
]


@pytest.mark.parametrize(("typed", "part"), VALUES, ids=[part for _, part in VALUES])
def test_a_wrong_value_is_answered_with_what_to_write(typed, part):
    with pytest.raises((hf.ConfigError, TypeError)) as caught:
        typed()
    text = str(caught.value)
    assert part in text
    assert ": got " in text
    assert ", allowed " in text or "an unexpected keyword argument" in text
    assert text.isprintable()


def test_a_number_is_not_taken_for_the_ratio_of_another_kind_of_budget():
    with pytest.raises(hf.ConfigError) as caught:
        hf.SloTracker(5)
    assert str(caught.value).endswith("allowed an ErrorBudget or a LatencyBudget")


class Callback:
    """An object that is called, with as many arguments as the method takes."""

    def __call__(self, state: object) -> None:
        """Take one."""

    def none(self) -> None:
        """Take none."""

    @classmethod
    def of_class(cls, state: object) -> None:
        """Take one."""


def one(state: object) -> None:
    """Take one argument."""


@pytest.mark.parametrize(
    "callback",
    [
        one,
        print,
        [].append,
        Callback(),
        Callback().__call__,
        Callback.of_class,
        functools.partial(answers, 1),
        functools.lru_cache(one),
        functools.wraps(answers)(lambda *args: None),
        hf.Timeout(5)(one),
        Mock(),
        create_autospec(one),
        bool,
    ],
    ids=itertools.count(),
)
def test_what_takes_one_argument_is_taken_as_a_callback(callback):
    hf.Retry("r", before_sleep=callback)
    hf.Timeout(5).on_event(callback)()


@pytest.mark.parametrize(
    "callback",
    [
        answers,
        later,
        threading.Event().set,
        Callback().none,
        functools.partial(answers),
        functools.partial(one, 1),
        functools.lru_cache(answers),
        hf.Timeout(5)(answers),
        AsyncMock(),
        lambda *, state: None,
    ],
    ids=itertools.count(),
)
def test_what_does_not_take_one_argument_is_refused_when_it_is_given(callback):
    with pytest.raises(hf.ConfigError, match="before_sleep: got"):
        hf.Retry("r", before_sleep=callback)
    with pytest.raises(TypeError, match="listener: got"):
        hf.Timeout(5).on_event(callback)


# ---- attributes that policies do not have ----

ATTRIBUTES: list[tuple[Callable[[], object], str]] = [
    (lambda: breaker().open(), "no attribute 'open': use trip()"),
    (lambda: breaker().close(), "use reset()"),
    (lambda: breaker().current_state, "use state, as in breaker.state is State.OPEN"),
    (lambda: breaker().is_open, "use state"),
    (lambda: breaker().fail_counter, "use snapshot().consecutive_failures"),
    (lambda: breaker().failure_threshold, "use describe()"),
    (lambda: breaker().add_listener(print), "use on_event(listener)"),
    (lambda: breaker().calling(), "write `with breaker:`"),
    (lambda: breaker().call_async(len), "use acall(function, …)"),
    (lambda: hf.Pipeline("p", hf.Timeout(1)).breaker, "use policies, the tuple"),
    (lambda: hf.Pipeline("p", hf.Timeout(1)).add(1), "it cannot change; use with_options()"),
    (lambda: hf.RateLimiter("l", rate=1).hit(), "use try_acquire()"),
    (lambda: hf.RateLimiter("l", rate=1).has_capacity(), "use test()"),
    (lambda: hf.Bulkhead("k").acquire(), "use enter(), or `with bulkhead:`"),
    (lambda: hf.Bulkhead("k").release(), "use leave()"),
    (lambda: hf.PoolBulkhead("k").shutdown(), "use stop()"),
    (lambda: hf.Retry("r").statistics, "use snapshot()"),
    (lambda: hf.Retry("r").wraps(len), "write @policy above the function"),
    (lambda: hf.Timeout(1).seconds, "use duration"),
    (lambda: breaker()(answers).call(), "'call': use policy.call(function.__wrapped__, …)"),
    (lambda: breaker()(answers).state, "'state': use policy.state"),
    (lambda: hf.Retry("r")(answers).retry_with(), "use with_options()"),
    (lambda: hf.Fallback(1).execute(len), "use call(function, …)"),
    (lambda: hf.ManualClock().tick(5), "use advance(seconds)"),
    (lambda: hf.RetryBudget().withdraw(), "use try_withdraw()"),
    (lambda: hf.registry.clear(), "use reset_all()"),
    (lambda: hf.registry.breaker, "'Registry' object has no attribute 'breaker': use get(kind"),
    (lambda: hf.CircuitBreaker.open, "type object 'CircuitBreaker' has no attribute 'open'"),
]


@pytest.mark.parametrize(("typed", "part"), ATTRIBUTES, ids=[part for _, part in ATTRIBUTES])
def test_an_attribute_of_another_library_is_answered_with_what_to_use(typed, part):
    with pytest.raises(AttributeError) as caught:
        typed()
    assert part in str(caught.value)


def test_a_guarded_function_may_have_an_attribute_that_its_policy_has_too():
    def counted():
        pass

    counted.call = counted.statistics = 3
    guarded = breaker()(counted)
    assert (guarded.call, guarded.statistics) == (3, 3)
    guarded.state = 5
    assert guarded.state == 5
    assert not hasattr(hf.Timeout(1)(answers), "state")


def test_the_hint_about_a_window_of_a_limiter_is_not_given_about_other_windows():
    with pytest.raises(hf.ConfigError) as caught:
        hf.ErrorBudget("e", slo=0.9, window=0)

    assert str(caught.value).endswith("allowed seconds or a timedelta from 1 to 3153600000")


def test_the_policies_know_every_attribute_that_has_a_hint():
    known = sorted({name for names in hints.ATTRIBUTES.values() for name in names})
    assert known == sorted(base._ELSEWHERE.split())
    for kind, names in hints.ATTRIBUTES.items():
        cls = {one.kind: one for one in CLASSES}.get(kind)
        assert not [name for name in names if cls is not None and hasattr(cls, name)]


CLASSES = (
    hf.CircuitBreaker, hf.RateLimiter, hf.Bulkhead, hf.PoolBulkhead,
    hf.Retry, hf.Timeout, hf.Fallback, hf.Pipeline,
)  # fmt: skip


@pytest.mark.parametrize("cls", CLASSES)
def test_attributes_that_only_have_a_hint_are_nowhere_else(cls):
    mock = Mock(spec=cls)
    for name in base._ELSEWHERE.split():
        if not hasattr(cls, name):
            assert name not in dir(cls)
            assert not hasattr(mock, name)
    assert "snapshot" in dir(cls)
    assert "call" in dir(breaker())
    assert "open" not in dir(breaker())
    assert "fail_max" not in pydoc.plaintext.document(cls)


def test_a_subclass_may_have_each_of_these_attributes():
    class Ours(hf.CircuitBreaker):
        listeners: list[str]

        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.listeners = []

        def open(self) -> str:
            return "opened"

    ours = Ours("b")
    assert (ours.open(), ours.listeners) == ("opened", [])
    assert "open" in dir(ours)
    assert "open" in dir(Ours)


def test_an_attribute_without_a_hint_gets_the_plain_message():
    with pytest.raises(AttributeError) as caught:
        hf.Retry("r").open()  # type: ignore[attr-defined]
    assert str(caught.value) == "'Retry' object has no attribute 'open'"
    for other in (hf.registry, hf.RetryBudget(), hf.ManualClock()):
        assert not hasattr(other, "__fspath__")
        assert copy.copy(other) is other or other is hf.registry


# ---- decorators, calls and blocks ----


async def coroutine_function() -> int:
    return 1


def use(statement: str) -> Callable[[], object]:
    """Return what runs a statement that has a policy of each name."""
    names = {"hf": hf, "breaker": breaker(), "retry": hf.Retry("r"), "fn": one}
    names["pipe"] = hf.Pipeline("p", hf.Retry("r"))
    return lambda: exec(statement, names)


USES: list[tuple[Callable[[], object], str]] = [
    (use("breaker()"), "takes the function: write @policy, without parentheses"),
    (use("breaker(fn, 1)"), "to call it, write policy.call(function, …)"),
    (use("breaker(fn, retries=1)"), "to call it, write policy.call(function, …)"),
    (use("breaker(5)"), "<CircuitBreaker 'b'> guards callables, not int"),
    (use("breaker.call()"), "call() needs the function to call"),
    (use("with retry: pass"), "'for attempt in retry.attempts():'"),
    (use("with pipe: pass"), "'for attempt in pipeline.attempts():'"),
]


@pytest.mark.parametrize(("typed", "part"), USES, ids=[part for _, part in USES])
def test_a_policy_that_is_used_in_the_wrong_way_is_answered_with_the_right_one(typed, part):
    with pytest.raises(TypeError) as caught:
        typed()
    assert part in str(caught.value)


def test_the_result_of_a_call_is_not_taken_for_the_function():
    meant = "not coroutine: give the function and its arguments, not the result of its call"
    for take in (breaker(), breaker().call, breaker().acall, breaker().try_call):
        coroutine = coroutine_function()
        with pytest.raises(TypeError, match=meant):
            take(coroutine)
        coroutine.close()


def test_what_is_meant_is_taken_from_the_names_and_not_from_the_sentence_after_them():
    manager = hf.ResourceManager("m")
    with pytest.raises(hf.ConfigError) as caught:
        manager.count("database")
    assert str(caught.value).endswith("; for another kind call add_kind('database') first")


@pytest.mark.parametrize(
    "make",
    [
        lambda: hf.ResourceManager("m", limits=3),
        lambda: hf.ProcessComponent("p", ["true"], limits=3),
    ],
)
def test_no_rate_is_proposed_for_limits_that_have_names(make):
    with pytest.raises(hf.ConfigError, match=r"limits: got 3, allowed .*such as ") as caught:
        make()
    assert "write rate" not in str(caught.value)
