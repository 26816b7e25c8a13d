"""`on` and `ignore` take classes, categories, several of both, or a predicate."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import holdfast as hf
from holdfast.categories import Category, register
from tests.policies.breaker.verdicts import verdict_on
from tests.policies.calls import breaker_of
from tests.policies.fallback.fallbacks import counts, fail, in_task, in_thread
from tests.policies.retry.retries import Flaky, both_ways, every_way, retry_of, why


class TransientError(Exception):
    pass


class PermanentError(Exception):
    pass


class MovedError(Exception):
    """Only what is in it says of which category it is."""


class UnknownError(Exception):
    pass


REFUSED = hf.CircuitOpenError(name="inner", reason="open")
TRANSIENT, PERMANENT, UNKNOWN = TransientError(), PermanentError(), UnknownError()
AWAY, GONE, VAGUE = MovedError("transient"), MovedError("permanent"), MovedError(None)
ERRORS = [TRANSIENT, PERMANENT, UNKNOWN, AWAY, GONE, VAGUE]


def is_moved(error: Exception) -> bool:
    return isinstance(error, MovedError)


# What is given, and what of ERRORS that names.
NAMED: dict[str, tuple[Any, list[Exception]]] = {
    "class": (TransientError, [TRANSIENT]),
    "classes": ((TransientError, UnknownError), [TRANSIENT, UNKNOWN]),
    "category": ("transient", [TRANSIENT, AWAY]),
    "member": (Category.PERMANENT, [PERMANENT, GONE]),
    "category of none": ("resource", []),
    "list of categories": (
        ["transient", Category.PERMANENT],
        [TRANSIENT, PERMANENT, AWAY, GONE],
    ),
    "class and category": ((PermanentError, "transient"), [TRANSIENT, PERMANENT, AWAY]),
    "set": ({MovedError, "logic"}, [AWAY, GONE, VAGUE]),
    "none": ((), []),
    "predicate": (is_moved, [AWAY, GONE, VAGUE]),
}
FORMS = [pytest.param(*pair, id=form) for form, pair in NAMED.items()]
each_setting = pytest.mark.parametrize(("given", "named"), FORMS)
each_name = pytest.mark.parametrize(("given", "named"), [one for one in FORMS if one.id != "none"])


@pytest.fixture(autouse=True)
def _categories() -> Iterator[None]:
    removes = [
        register(TransientError, "transient"),
        register(PermanentError, "permanent"),
        register(MovedError, lambda error: error.args[0]),
    ]
    yield
    for remove in removes:
        remove()


def group(*errors: Exception) -> ExceptionGroup[Exception]:
    return ExceptionGroup("several", list(errors))


# ---- one error ----


@each_setting
def test_a_breaker_counts_as_failures_what_on_names(clock, given, named):
    breaker = breaker_of(clock, failure_threshold=1000, on=given)
    for error in ERRORS:
        expected = "failed" if error in named else "succeeded"
        assert verdict_on(breaker, error) == expected, repr(error)
    assert verdict_on(breaker, REFUSED) == "ignored"


@each_setting
def test_a_breaker_does_not_count_what_ignore_names(clock, given, named):
    for on, otherwise in (((Exception,), "failed"), (OSError, "succeeded")):
        breaker = breaker_of(clock, failure_threshold=1000, on=on, ignore=given)
        for error in ERRORS:
            expected = "ignored" if error in named else otherwise
            assert verdict_on(breaker, error) == expected, repr(error)


@every_way
@each_setting
def test_a_retry_repeats_what_on_names(clock, make, given, named):
    for error in ERRORS:
        flaky = Flaky(clock, error=error)
        with pytest.raises(type(error)):
            make(retry_of(clock, on=given, attempts=2), clock, flaky)
        assert len(flaky.made) == (2 if error in named else 1), repr(error)


@both_ways
@each_setting
def test_a_retry_does_not_repeat_what_ignore_names(clock, make, given, named):
    for error in ERRORS:
        retry = retry_of(clock, on=Exception, ignore=given, attempts=2)
        with pytest.raises(type(error)):
            make(retry, clock, Flaky(clock, error=error))
        assert why(retry) == {"not_retryable" if error in named else "exhausted": 1}, repr(error)


@pytest.mark.parametrize("run", [in_thread, in_task])
@each_name
def test_a_fallback_replaces_what_on_names(run, given, named):
    for error in ERRORS:
        fallback = hf.Fallback("instead", on=given)
        outcome = None
        with contextlib.suppress(type(error)):
            outcome = run(fallback, lambda error=error: fail(error))
        assert (outcome == "instead") == (error in named), repr(error)
        assert counts(fallback) == ((0, 1, 0, 0) if error in named else (1, 0, 0, 0))


@each_setting
def test_a_fallback_does_not_replace_what_ignore_names(given, named):
    for error in ERRORS:
        fallback = hf.Fallback("instead", ignore=given)
        assert fallback.try_call(fail, error).ok == (error not in named), repr(error)


@each_name
def test_a_stream_is_judged_as_a_call_is(clock, given, named):
    for error in ERRORS:
        retry, breaker = retry_of(clock, on=given, attempts=2), breaker_of(clock, on=given)
        flaky = Flaky(clock, error=error)

        def items(flaky: Flaky = flaky) -> Iterator[object]:
            yield flaky()

        with contextlib.suppress(type(error)):
            list(hf.Pipeline("p", hf.Fallback(["one"], on=given), retry, breaker)(items)())
        is_named = error in named
        assert len(flaky.made) == (2 if is_named else 1), repr(error)
        assert breaker.snapshot().failed == (2 if is_named else 0)


@pytest.mark.parametrize("given", ["transient", is_moved])
def test_an_error_from_a_thread_of_a_timeout_is_judged_as_any_other(given):
    breaker = hf.CircuitBreaker("b", on=given)
    retry = hf.Retry("r", attempts=2, backoff=hf.Constant(0), on=given)
    pipe = hf.Pipeline("p", retry, breaker, hf.Timeout(30, thread=True))
    assert pipe.try_call(fail, AWAY).error is AWAY
    assert (breaker.snapshot().failed, why(retry)) == (2, {"exhausted": 1})


# ---- rejections and cancellations ----


def test_a_rejection_has_no_category_and_counts_where_its_class_is_named(clock):
    for category in Category:
        breaker = breaker_of(clock, failure_threshold=1000, on=category)
        assert verdict_on(breaker, REFUSED) == "ignored"
        assert not hf.Fallback(1, on=category).try_call(fail, REFUSED).ok
    both = "transient", hf.CircuitOpenError
    assert verdict_on(breaker_of(clock, failure_threshold=1000, on=both), REFUSED) == "failed"
    assert hf.Fallback(1, on=both).try_call(fail, REFUSED).ok


def test_predicates_of_breakers_and_retries_are_not_asked_about_rejections(clock):
    shown: list[object] = []
    retry = retry_of(clock, on=shown.append, ignore=shown.append)
    with pytest.raises(hf.CircuitOpenError):
        retry.call(fail, REFUSED)
    breaker = breaker_of(clock, on=shown.append, ignore=shown.append)
    assert verdict_on(breaker, REFUSED) == "ignored"
    assert (shown, why(retry)) == ([], {"rejected": 1})


def test_the_predicate_of_a_fallback_is_asked_about_rejections():
    def is_open(error: Exception) -> bool:
        return isinstance(error, hf.CircuitOpenError)

    assert hf.Fallback(1, on=is_open).try_call(fail, REFUSED).ok
    assert not hf.Fallback(1, on=is_open).try_call(fail, UNKNOWN).ok
    assert not hf.Fallback(1, ignore=hf.Rejected).try_call(fail, REFUSED).ok


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), GeneratorExit()])
def test_nobody_asks_about_an_interruption(clock, error):
    def ask(error: object) -> bool:
        raise AssertionError(error)

    for settings in ({"on": ask}, {"ignore": ask}, {"on": "transient", "ignore": "logic"}):
        breaker = breaker_of(clock, failure_threshold=1, **settings)
        assert verdict_on(breaker, error) == "ignored"
        with pytest.raises(type(error)):
            retry_of(clock, **settings).call(fail, error)
        with pytest.raises(type(error)):
            hf.Fallback(1, **settings).call(fail, error)


# ---- groups ----


@pytest.mark.parametrize(
    ("errors", "breaker_counts", "all_named"),
    [
        ([TRANSIENT, AWAY], "failed", True),
        ([TRANSIENT, group(AWAY, group(TRANSIENT))], "failed", True),
        ([TRANSIENT, UNKNOWN], "failed", False),
        ([UNKNOWN, group(GONE, group(AWAY))], "failed", False),
        ([UNKNOWN, GONE], "succeeded", False),
        ([TRANSIENT, REFUSED], "failed", False),
        ([REFUSED], "ignored", False),
    ],
)
def test_a_category_is_asked_of_each_error_in_a_group(clock, errors, breaker_counts, all_named):
    several = group(*errors)
    breaker = breaker_of(clock, failure_threshold=1000, on="transient")
    assert verdict_on(breaker, several) == breaker_counts
    retry = retry_of(clock, on="transient", attempts=2)
    flaky = Flaky(clock, error=several)
    with pytest.raises(ExceptionGroup):
        retry.call(flaky)
    assert len(flaky.made) == (2 if all_named else 1)
    assert hf.Fallback(1, on="transient").try_call(fail, several).ok == all_named


def test_an_ignored_category_in_a_group_takes_nothing_from_the_others(clock):
    breaker = breaker_of(clock, failure_threshold=1000, ignore="permanent")
    assert verdict_on(breaker, group(PERMANENT, GONE)) == "ignored"
    assert verdict_on(breaker, group(PERMANENT, UNKNOWN)) == "failed"
    assert not hf.Fallback(1, ignore="permanent").try_call(fail, group(GONE, UNKNOWN)).ok


@pytest.mark.parametrize("field", ["on", "ignore"])
def test_a_predicate_gets_the_group_itself(clock, field):
    several = group(UNKNOWN, group(GONE))
    for make in (breaker_of, retry_of, lambda clock, **given: hf.Fallback(1, **given)):
        shown: list[object] = []
        policy = make(clock, **({"on": Exception} | {field: shown.append}))
        policy.try_call(fail, several)
        assert shown[0] is several


# ---- predicates that raise ----


@pytest.mark.parametrize("field", ["on", "ignore"])
@pytest.mark.parametrize("kind", ["breaker", "retry", "fallback"])
def test_the_error_of_a_predicate_is_the_calls_own_and_shows_which_call_it_was(clock, kind, field):
    def ask(error: Exception) -> bool:
        raise ZeroDivisionError

    given: Any = {"on": Exception} | {field: ask}
    policy: Any
    if kind == "breaker":
        policy = breaker_of(clock, failure_threshold=1, **given)
    else:
        policy = retry_of(clock, **given) if kind == "retry" else hf.Fallback(1, **given)
    error = policy.try_call(fail, UNKNOWN).error
    assert type(error) is ZeroDivisionError
    assert error.__context__ is UNKNOWN
    if kind == "breaker":
        assert (policy.state, policy.snapshot().ignored) == (hf.State.CLOSED, 1)
    elif kind == "fallback":
        assert counts(policy) == (1, 0, 0, 0)


def test_an_error_of_a_fallbacks_predicate_is_no_rejection_of_the_call():
    limiter = hf.RateLimiter("l", rate=1, burst=1)
    pipe = hf.Pipeline("p", hf.Fallback(1, on=lambda error: 1 / 0), limiter)
    assert pipe.try_call(int).ok
    outcome = pipe.try_call(int)
    assert (type(outcome.error), outcome.rejection) == (ZeroDivisionError, None)


# ---- both predicates and is_failure ----


def test_on_is_asked_before_is_failure_and_ignore_before_on(clock):
    asked: list[str] = []

    def says(field: str, answer: bool) -> Callable[[object], bool]:
        return lambda about: asked.append(field) or answer

    fields = ("ignore", "on", "is_failure")
    for answers, counted in {
        (True, True, True): "ignored",
        (False, False, True): "succeeded",
        (False, True, False): "succeeded",
        (False, True, True): "failed",
    }.items():
        asked.clear()
        settings: Any = dict(zip(fields, map(says, fields, answers), strict=True))
        breaker = breaker_of(clock, failure_threshold=1000, **settings)
        breaker.try_call(fail, UNKNOWN)
        assert getattr(breaker.snapshot(), counted) == 1
        assert asked == list(fields[: len(asked)])


# ---- what is seen of it ----


def test_a_setting_is_shown_as_it_is_meant_and_compares_by_what_it_means():
    retry = hf.Retry("r", on=["transient"], ignore=(OSError, Category.LOGIC), shared=True)
    assert "on='transient', ignore=(OSError, 'logic')" in retry.describe()
    same = hf.Retry("r", on=Category.TRANSIENT, ignore=[OSError, "logic"], shared=True)
    assert same is retry
    with pytest.raises(hf.ConfigError, match="ignore: got"):
        hf.Retry("r", ignore=OSError, shared=True)


def test_a_retry_without_settings_repeats_transient_failures(clock):  # ER-04, RT-20
    for error, attempts in ((ConnectionResetError(), 4), (TimeoutError(), 4), (ValueError(), 1)):
        retry = hf.Retry("r", clock=clock, backoff=hf.Constant(0))
        flaky = Flaky(clock, error=error)
        with pytest.raises(type(error)):
            retry.call(flaky)
        assert len(flaky.made) == attempts
