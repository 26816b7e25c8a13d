"""``repr()`` shows the state of a policy, costs little and never raises."""

import pytest

import holdfast as hf
from holdfast.validation import titled


def test_a_breaker_shows_its_state_and_when_to_come_back(clock):
    breaker = hf.CircuitBreaker("payments", clock=clock)
    assert repr(breaker) == "<CircuitBreaker 'payments' closed>"
    breaker.trip()
    clock.advance(47.7)
    assert repr(breaker) == "<CircuitBreaker 'payments' open, retry in 12.3 s>"
    clock.advance(20)
    assert repr(breaker) == "<CircuitBreaker 'payments' open>"
    breaker.force_open()
    assert repr(breaker) == "<CircuitBreaker 'payments' forced-open>"


def test_a_limiter_shows_its_limits_and_its_tokens(clock):
    limiter = hf.RateLimiter("api", rate=10, burst=4, clock=clock)
    limiter.acquire(4)
    clock.advance(0.32)
    assert repr(limiter) == "<RateLimiter 'api' 10/second, 3 tokens>"
    several = hf.RateLimiter("api", limits="5/30s;100/day", window="sliding", clock=clock)
    assert repr(several) == "<RateLimiter 'api' 5/30s;100/day, 5 tokens>"


def test_a_bulkhead_shows_who_is_inside(clock):
    bulkhead = hf.Bulkhead("db", max_concurrent=8)
    for _ in range(3):
        bulkhead.enter()
    assert repr(bulkhead) == "<Bulkhead 'db' 3 of 8 inside>"
    pool = hf.PoolBulkhead("work", workers=2)
    pool.stop()
    assert repr(pool) == "<PoolBulkhead 'work' 0 of 2 running, stopped>"


def test_other_policies_show_what_they_allow():
    def cached(error):
        """Stand in."""

    assert [repr(policy) for policy in (
        hf.Timeout(2.5), hf.Timeout(2, name="t"), hf.AdaptiveTimeout(3),
        hf.Retry("net", attempts=3), hf.Retry("net", attempts=None, max_time=9),
        hf.Fallback(3, name="f"), hf.Fallback(cached),
    )] == [
        "<Timeout 2.5 s>", "<Timeout 't' 2 s>", "<AdaptiveTimeout 3 s>",
        "<Retry 'net' 3 attempts>", "<Retry 'net' any number of attempts in 9 s>",
        "<Fallback 'f'>", f"<Fallback calls {cached.__qualname__}>",
    ]  # fmt: skip


def test_a_pipeline_shows_the_names_of_its_policies():
    inner = hf.Pipeline("inner", hf.Timeout(1))
    pipe = hf.Pipeline("outer", hf.Retry("net"), inner, hf.Bulkhead("db"))
    assert repr(pipe) == "<Pipeline 'outer': Retry 'net', Pipeline 'inner', Bulkhead 'db'>"


@pytest.mark.parametrize("mode", ["observe", "off"])
def test_a_policy_that_does_not_enforce_shows_its_mode(mode):
    assert repr(hf.CircuitBreaker("b", mode=mode)) == f"<CircuitBreaker 'b' closed, {mode}>"
    assert repr(hf.Fallback(3, mode=mode)) == f"<Fallback {mode}>"


@pytest.mark.parametrize(
    "cls", [hf.CircuitBreaker, hf.RateLimiter, hf.Bulkhead, hf.PoolBulkhead, hf.Retry, hf.Timeout]
)
def test_a_policy_that_is_half_made_has_a_repr(cls):
    class Half(cls):
        def __init__(self):
            """Forget to call super()."""

    for one in (Half(), Half.__new__(Half), cls.__new__(cls)):
        assert repr(one) == f"<{type(one).__name__}>"
    assert repr(hf.Pipeline.__new__(hf.Pipeline)) == "<Pipeline None>"


def test_a_message_names_a_policy_without_its_state():
    breaker = hf.CircuitBreaker("b")
    assert titled(breaker) == "<CircuitBreaker 'b'>"
    with pytest.raises(TypeError, match=r"^<CircuitBreaker 'b'> guards callables, not int"):
        breaker(3)  # type: ignore[call-overload]
