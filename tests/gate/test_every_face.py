"""What holds through every face: which policies refuse, and that ``try_call`` never raises."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import holdfast as hf
from tests.policies.drivers import ACALLS, BLOCKS, CALLS, STREAMS, drive

# Faces: drivers, and methods of single policies. Each raises if it was refused.

RERUNNABLE = CALLS | ACALLS | STREAMS
ONCE = BLOCKS
LIMITER = {
    "acquire": lambda policy, work: policy.acquire(),
    "try_acquire": lambda policy, work: true(policy.try_acquire()),
    "aacquire": lambda policy, work: policy.aacquire(),
    "acquire(timeout)": lambda policy, work: policy.acquire(timeout=0.1),
    "test": lambda policy, work: true(policy.test()),
}
RESERVE = {"reserve": lambda policy, work: true(policy.reserve() == 0)}
BULKHEAD = {
    "enter": lambda policy, work: policy.enter(),
    "try_enter": lambda policy, work: true(policy.try_enter()),
    "aenter": lambda policy, work: policy.aenter(),
}
BREAKER = {"acquire": lambda policy, work: policy.acquire().success()}


class Refused(Exception):  # noqa: N818 - an answer, not an error
    """A face answered False."""


def true(answer: object) -> None:
    if not answer:
        raise Refused


# ---- policies that would refuse the next call ----


class Scene:
    """A policy that refuses whatever comes, where it enforces."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.clock = hf.ManualClock(auto=False)
        self.common: dict[str, Any] = {"clock": self.clock, "mode": mode}
        self.work: Callable[[], Any] = int

    def open_breaker(self, order: str = "trip") -> hf.Policy:
        breaker = hf.CircuitBreaker("b", half_open_max_calls=1, **self.common)
        getattr(breaker, order)()
        if order == "half_open":
            self.kept = breaker.acquire()
        return breaker

    def limiter(self, **settings: Any) -> hf.Policy:
        limiter = hf.RateLimiter("l", **settings, **self.common)
        limiter.acquire()
        return limiter

    def adaptive_limiter(self) -> hf.Policy:
        limiter = hf.AdaptiveRateLimiter("l", rate=0.01, burst=1, **self.common)
        limiter.acquire()
        return limiter

    def shedding_budget(self) -> hf.Policy:
        budget = hf.ErrorBudget("e", slo=0.99, on_exhausted="shed", **self.common)
        budget.record(ok=False, n=1000)
        budget.try_call(int)  # a tenth is admitted, beginning with the first
        return budget

    def bulkhead(self, **settings: Any) -> hf.Policy:
        bulkhead = hf.Bulkhead("h", max_concurrent=1, **settings, **self.common)
        bulkhead.enter()
        return bulkhead

    def timeout(self) -> hf.Policy:
        self.work = lambda: self.clock.advance(2)
        return hf.Timeout(1, name="t", **self.common)

    def retry(self) -> hf.Policy:
        return hf.Retry("r", **self.common)

    def pipeline(self) -> hf.Policy:
        parts = (self.open_breaker(), self.limiter(rate=1, per=60), self.bulkhead(), self.timeout())
        return hf.Pipeline("p", *parts)

    def nested(self) -> hf.Policy:
        return hf.Pipeline("outer", hf.Retry("r"), self.pipeline())


HOUR = {"rate": 1, "per": 3600}
SCENES: dict[str, tuple[Callable[[Scene], Any], dict[str, Any]]] = {
    "open breaker": (Scene.open_breaker, ONCE | BREAKER),
    "forced-open breaker": (lambda scene: scene.open_breaker("force_open"), ONCE | BREAKER),
    "breaker without a free probe": (lambda scene: scene.open_breaker("half_open"), ONCE | BREAKER),
    "empty bucket": (lambda scene: scene.limiter(**HOUR), ONCE | LIMITER | RESERVE),
    "full window": (lambda scene: scene.limiter(**HOUR, window="sliding"), ONCE | LIMITER),
    "empty limits": (lambda scene: scene.limiter(limits="1/hour;2/day"), ONCE | LIMITER | RESERVE),
    "bucket to be waited for": (lambda scene: scene.limiter(**HOUR, max_wait=9), ONCE | LIMITER),
    "empty adaptive limiter": (Scene.adaptive_limiter, ONCE | LIMITER),
    "shedding budget": (Scene.shedding_budget, ONCE),
    "full bulkhead": (Scene.bulkhead, ONCE | BULKHEAD),
    "timeout": (Scene.timeout, ONCE),
    "pipeline": (Scene.pipeline, ONCE),
    "pipeline in a retry": (Scene.nested, {}),
}
CASES = [
    pytest.param(make, face, id=f"{scene}-{name}")
    for scene, (make, more) in SCENES.items()
    for name, face in (RERUNNABLE | more).items()
]


@pytest.mark.parametrize(("make", "face"), CASES)
@pytest.mark.parametrize("mode", ["enforce", "observe", "off"])
def test_only_a_policy_that_enforces_refuses(make, face, mode):
    scene = Scene(mode)
    policy = make(scene)
    ran: list[int] = []

    def work() -> None:
        ran.append(1)
        scene.work()

    before = scene.clock.now()
    if mode == "enforce":
        with pytest.raises((hf.Rejected, hf.DeadlineExceededError, Refused)):
            drive(face, policy, work)
        assert len(ran) == (make is Scene.timeout)  # which drops what comes late
    else:
        drive(face, policy, work)
        assert len(ran) == (face in (RERUNNABLE | ONCE).values())
        assert scene.clock.now() in (before, before + 2)  # nothing was waited for


@pytest.mark.parametrize("mode", ["enforce", "observe"])
@pytest.mark.parametrize(
    ("make", "face"),
    [
        (make, face)
        for make in (Scene.retry, Scene.timeout)
        for face in ("call", "try_call", "call_with_stats", "def", "generator", "with")
        if (make, face) != (Scene.retry, "with")  # a retry is no block
    ],
)
def test_only_a_policy_that_enforces_refuses_past_an_outer_deadline(make, face, mode):
    # RT-07
    scene, ran = Scene(mode), []
    policy = make(scene)

    def past() -> None:
        scene.clock.advance(2)
        (RERUNNABLE | ONCE)[face](policy, lambda: ran.append(1))

    hf.Timeout(1, clock=scene.clock, mode="enforce").try_call(past)
    assert len(ran) == (mode == "observe")


@pytest.mark.parametrize(("mode", "attempts"), [("enforce", 1), ("observe", 2)])
def test_only_the_deadline_of_a_timeout_that_enforces_ends_retries(mode, attempts):  # RT-07
    clock, ran = hf.ManualClock(), []
    pipe = hf.Pipeline(
        "p",
        hf.Timeout(1, name="t", clock=clock, mode=mode),
        hf.Retry("r", attempts=2, backoff=hf.Constant(5), on=LookupError, clock=clock),
    )

    def work() -> None:
        ran.append(1)
        raise LookupError

    assert isinstance(pipe.try_call(work).error, LookupError)
    assert len(ran) == attempts


# ---- try_call ----

ERRORS = [ValueError, OSError, StopIteration, TimeoutError, RuntimeError, MemoryError]
ERRORS += [RecursionError, ExceptionGroup, hf.ConfigError]


def raising(error: type[Exception]) -> Callable[..., Any]:
    def fn(*args: object) -> Any:
        if error is ExceptionGroup:
            raise ExceptionGroup("several", [ValueError()])
        raise error(*(("", []) if error is hf.ConfigError else ()))

    return fn


def breaker_with(fail: Callable[..., Any]) -> hf.Policy:
    breaker = hf.CircuitBreaker("b", is_failure=fail, failure_threshold=1)
    breaker.on_event(fail)
    return breaker


def opening(fail: Callable[..., Any]) -> hf.Policy:
    breaker = hf.CircuitBreaker("b", failure_threshold=1, on=Exception)
    breaker.on_event(fail)
    return breaker


def refusing(fail: Callable[..., Any]) -> hf.Policy:
    breaker = opening(fail)
    breaker.force_open()  # type: ignore[attr-defined]
    return breaker


def retry_with(**asked: Any) -> Callable[..., hf.Policy]:
    def make(fail: Callable[..., Any]) -> hf.Policy:
        settings = {"on": Exception, "backoff": hf.Constant(0), **dict.fromkeys(asked, fail)}
        retry = hf.Retry("r", attempts=2, **settings)
        retry.on_event(fail)
        return retry

    return make


class Failing(hf.Backoff):
    """Raises instead of a delay."""

    def __init__(self, fail: Callable[..., Any]) -> None:
        self.delay = fail

    def delay(self, attempt: int, previous: Any = None) -> float:
        raise NotImplementedError


POLICIES: dict[str, Callable[..., hf.Policy]] = {
    "nothing": lambda fail: hf.Pipeline("p", hf.Bulkhead("h")),
    "is_failure and a listener": breaker_with,
    "a listener told of a transition": opening,
    "a listener told of a rejection": refusing,
    "a fallback": lambda fail: hf.Fallback(fail, on=Exception),
    **{
        f"a retry's {asked}": retry_with(**{asked: 1})
        for asked in ("on", "on_result", "retry_after", "before_sleep", "on_exhausted")
    },
    "a backoff": lambda fail: hf.Retry("r", on=Exception, backoff=Failing(fail)),
    "a timeout in a thread": lambda fail: hf.Timeout(60, name="t", thread=True),
    "all of them": lambda fail: hf.Pipeline(
        "p", hf.Fallback(fail, on=Exception), retry_with(before_sleep=1)(fail), opening(fail)
    ),
}


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_tried_call_never_raises_an_exception(make, error):
    fail = raising(error)

    async def afail() -> None:
        fail()

    async def aone() -> int:
        return 1

    async def main() -> list[Any]:
        policy = make(fail)
        return [await policy.try_acall(fn) for fn in (afail, aone)]

    policy = make(fail)
    outcomes = [policy.try_call(fail), policy.try_call(int), policy.call_with_stats(fail)[0]]
    if not isinstance(policy, hf.Timeout):  # a thread has nothing for a task
        outcomes += asyncio.run(main())
    for outcome in outcomes:
        assert isinstance(outcome, hf.Outcome)
        assert outcome.ok or isinstance(outcome.error or outcome.rejection, Exception)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_the_program_is_no_outcome(error):
    for policy in (hf.Bulkhead("h"), hf.Pipeline("p", hf.Retry("r"), hf.Fallback(1))):
        with pytest.raises(error):
            policy.try_call(raising(error))
