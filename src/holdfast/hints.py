"""What other libraries call what holdfast has: for the messages about a name that does not exist.

Imported by such a message only. Elsewhere: arguments that do not exist (``arguments``).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["missing_name", "nearest"]

# Names of tenacity, stamina, backoff, pybreaker, circuitbreaker, aiobreaker, limits, aiolimiter,
# pyrate-limiter, resilience4j, Polly, failsafe and anyio, without underscores and in lower case.
# What to use is an expression after "holdfast.", or a sentence.
_ELSEWHERE = {
    name: use
    for use, names in {
        # retries
        "Retry": "retrying retrypolicy retryconfig retrystrategy retrystrategyoptions retries "
        "asyncretrying retryingcaller asyncretryingcaller retryregistry onexception",
        "Retry(…).attempts()": "retrycontext attempt attempts",
        "Retry(…, on=…)": "retryif retryifexception retryifexceptiontype retryonexception",
        "Retry(…, ignore=…)": "retryifnotexceptiontype retryunlessexceptiontype giveup",
        "Retry(…, on_result=…)": "retryifresult retryifnotresult onpredicate tryagain",
        "Retry(…, attempts=…)": "stopafterattempt stopnever maxattempts maxtries maxretries",
        "Retry(…, max_time=…)": "stopafterdelay stopbeforedelay maxtime",
        "Retry(…, before_sleep=…)": "beforesleep beforesleeplog beforelog afterlog",
        "RetryExhaustedError": "retryerror maxretriesexceeded retriesexhausted maxretryerror",
        # back-offs
        "Exponential": "waitexponential waitexponentialjitter exponentialbackoff expo",
        'Exponential(…, jitter_mode="full")': "waitrandomexponential fulljitter waitrandom jitter",
        "Constant": "waitfixed constantbackoff fixedbackoff fixed fixeddelay waitnone interval",
        "Linear": "waitincrementing linearbackoff incremental",
        "Fibonacci": "fibo fibonaccibackoff",
        "Decorrelated": "decorrelatedjitter decorrelatedjitterbackoff",
        "chain": "waitchain",
        # circuit breakers
        "CircuitBreaker": "breaker circuit circuitbreakerpolicy circuitbreakerconfig "
        "circuitbreakerfactory circuitbreakerstrategyoptions advancedcircuitbreaker",
        "CircuitOpenError": "circuitbreakererror circuitbreakeropenerror circuitbreakeropen "
        "circuiterror brokencircuitexception brokencircuiterror callnotpermittedexception "
        "callnotpermittederror circuitopen circuitopenexception isolatedcircuitexception",
        "State": "circuitstate breakerstate circuitbreakerstate",
        "State.OPEN": "stateopen open",
        "State.CLOSED": "stateclosed closed",
        "State.HALF_OPEN": "statehalfopen halfopen",
        "CountWindow or holdfast.TimeWindow": "window slidingwindow countbasedwindow",
        "registry": "circuitbreakermonitor circuitbreakerregistry",
        # rates
        "RateLimiter": "limiter ratelimit tokenbucket leakybucket asynclimiter ratelimiterpolicy "
        "throttle throttler throttling gcra fixedwindowratelimiter ratelimits ratelimiterconfig",
        'RateLimiter(…, window="sliding")': "movingwindowratelimiter slidingwindowratelimiter "
        "slidingwindowcounterratelimiter slidingwindowcounter",
        'RateLimiter(…, limits="10/minute")': "ratelimititem ratelimititempersecond parse "
        "parsemany ratelimititemperminute duration rate limits",
        "RateLimitedError": "ratelimitexceeded ratelimitexception ratelimiterror "
        "requestnotpermitted ratelimiterrejectedexception bucketfullexception "
        "toomanyrequests ratelimitexceedederror",
        # places, time, the rest
        "Bulkhead": "semaphore boundedsemaphore capacitylimiter concurrencylimiter "
        "concurrencylimit bulkheadpolicy bulkheadconfig maxconcurrency semaphorebulkhead",
        "PoolBulkhead": "threadpool threadpoolbulkhead threadpoolexecutor pool",
        "BulkheadFullError": "bulkheadfullexception bulkheadrejectedexception bulkheaderror",
        "Timeout": "timeoutafter failafter moveonafter timelimiter timeoutpolicy withtimeout "
        "timeoutat timelimit",
        "DeadlineExceededError": "timeouterror timeoutexception timeoutrejectedexception "
        "timeoutexceeded timeoutexpired deadlineexceeded",
        "Rejected": "rejection rejectederror rejectedexception executionrejectedexception",
        "Fallback": "fallbackpolicy fallbackto",
        "Pipeline": "policywrap wrap compose resiliencepipeline decorators "
        "resiliencepipelinebuilder combine policygroup failsafe",
        "Pipeline.standard": "standard standardpipeline default addstandardresiliencehandler",
        "ManualClock": "fakeclock testclock mockclock virtualclock faketimeprovider",
        "Mode": "observe enforce off",
    }.items()
    for name in names.split()
}

# Public, and in a module that has to be imported.
_IN_MODULES = {
    "Collector": "holdfast.telemetry.prometheus",
    "isolated_registry": "holdfast.testing",
    "recorded": "holdfast.testing",
    "retries_off": "holdfast.testing",
    "Script": "holdfast.testing",
    "serve_metrics": "holdfast.telemetry.prometheus",
    "asgi_app": "holdfast.telemetry.prometheus",
    "wsgi_app": "holdfast.telemetry.prometheus",
    "use_clock": "holdfast.testing",
}


def missing_name(name: str, public: Iterable[str]) -> AttributeError:
    """Return the error for a name that the package does not have, with the one to use instead."""
    text = f"module 'holdfast' has no attribute {name!r}"
    use = _instead_of(name, tuple(public))
    if use is None:
        return AttributeError(text)
    # With a name of its own, or the interpreter would add a second suggestion.
    return AttributeError(f"{text}: {use}", name=name)


def nearest(name: str, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return which of the names was probably meant; None if none is similar."""
    from difflib import get_close_matches

    known = tuple(names)
    plain = {_plain(one): one for one in known}
    if (same := plain.get(_plain(name))) is not None:
        return same
    close = get_close_matches(name, known, 1, cutoff)
    return close[0] if close else None


def _instead_of(name: str, public: tuple[str, ...]) -> str | None:
    plain = _plain(name)
    for one in public:
        if _plain(one) == plain:
            return f"use holdfast.{one}"
    if (module := _IN_MODULES.get(name)) is not None:
        return f"use `from {module} import {name}`"
    if (use := _ELSEWHERE.get(plain)) is not None:
        return f"use holdfast.{use}"
    if _is_module(name):
        return f"it is a module, use `import holdfast.{name}`"
    close = nearest(name, public, 0.7)
    return None if close is None else f"did you mean {close!r}?"


def _plain(name: str) -> str:
    """Return a name as it is compared: circuit_breaker and CircuitBreaker are the same."""
    return name.replace("_", "").lower()


def _is_module(name: str) -> bool:
    from importlib.util import find_spec

    try:
        return name.isidentifier() and find_spec(f"holdfast.{name}") is not None
    except (ImportError, ValueError):
        return False
