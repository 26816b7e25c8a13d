"""help() and inspect.signature show what every public class and method takes."""

import inspect
import pydoc

import pytest

import holdfast as hf
import holdfast.categories
import holdfast.health
import holdfast.telemetry.prometheus
import holdfast.telemetry.rules
import holdfast.testing
from holdfast.policies.retry import snapshot as of_retry

MODULES = (
    hf,
    holdfast.testing,
    holdfast.telemetry.prometheus,
    holdfast.telemetry.rules,
    holdfast.categories,
    holdfast.health,
)
PUBLIC = [getattr(module, name) for module in MODULES for name in module.__all__]
CLASSES = [type(hf.registry), *(one for one in PUBLIC if isinstance(one, type))]
FUNCTIONS = [one for one in PUBLIC if callable(one) and not isinstance(one, type)]
POLICIES = [cls for cls in CLASSES if issubclass(cls, hf.Policy) and cls is not hf.Policy]
# The constructor of exceptions is the interpreter's, which says nothing of itself.
MADE = [
    cls
    for cls in CLASSES
    if cls is not hf.Clock and (not issubclass(cls, Exception) or inspect.isfunction(cls.__init__))
]
ENTERED = ("__enter__", "__exit__", "__aenter__", "__aexit__")


def own_methods(cls):
    """Yield the methods of a class that holdfast has written."""
    for name in dir(cls):
        if name.startswith("_") and name not in (*ENTERED, "__call__"):
            continue
        homes = [base for base in cls.__mro__ if name in vars(base)]
        if callable(getattr(cls, name)) and homes[0].__module__.startswith("holdfast"):
            yield name, getattr(cls, name)


METHODS = [(cls, name, method) for cls in CLASSES for name, method in own_methods(cls)]


def parameters(callable_):
    return [one for one in inspect.signature(callable_).parameters if one != "self"]


@pytest.mark.parametrize("cls", MADE)
def test_the_signature_of_a_class_is_that_of_its_constructor(cls):
    shown = inspect.signature(cls)
    init = cls.__dict__.get("__init__")
    if inspect.isfunction(init):
        assert list(shown.parameters) == parameters(init)
        assert "_Made" not in str(shown)


@pytest.mark.parametrize("cls", POLICIES)
def test_help_on_a_policy_begins_with_its_arguments_and_shows_nothing_private(cls):
    text = pydoc.render_doc(cls, renderer=pydoc.plaintext)
    first = text.split("Method resolution order")[0]
    for name in parameters(cls.__init__):
        assert f"{name}: " in first
    private = [line for line in text.splitlines() if line.startswith(" |  _") and "__" not in line]
    assert private == []


@pytest.mark.parametrize(
    ("cls", "name", "method"), METHODS, ids=[f"{cls.__name__}.{name}" for cls, name, _ in METHODS]
)
def test_each_public_method_shows_its_arguments_and_says_what_it_does(cls, name, method):
    inspect.signature(method)  # or it raises
    assert inspect.getdoc(method) or name in ENTERED
    shown = getattr(method, "__name__", name)
    assert shown == name or shown.startswith("_refuse"), "help() names it otherwise"


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda one: one.__name__)
def test_each_public_function_shows_its_arguments_and_says_what_it_does(function):
    assert inspect.signature(function)
    assert inspect.getdoc(function)


def test_methods_that_policies_share_show_what_they_take():
    breaker, limiter = hf.CircuitBreaker("b"), hf.RateLimiter("l", rate=5)
    for method in (breaker.call, breaker.try_call, breaker.acall, breaker.try_acall):
        assert str(inspect.signature(method)) == "(fn, /, *args, **kwargs)"
    assert str(inspect.signature(breaker.acquire)) == "()"
    assert str(inspect.signature(limiter.try_acquire)) == "(n=1)"
    assert parameters(breaker) == ["fn"]


def test_a_class_of_the_user_shows_its_own_arguments_and_keeps_native_methods():
    class Own(hf.CircuitBreaker):
        __slots__ = ()

        def __init__(self, name, colour="red"):
            super().__init__(name)

    assert str(inspect.signature(Own)) == "(name, colour='red')"
    assert inspect.getdoc(Own.call) == inspect.getdoc(hf.CircuitBreaker.call)
    assert Own.acquire.__name__ == "acquire"


def test_a_guarded_function_shows_the_signature_of_the_function():
    def charge(card: str, amount: int = 1) -> float:
        """Charge a card."""

    assert inspect.signature(hf.CircuitBreaker("b")(charge)) == inspect.signature(charge)
    text = pydoc.render_doc(hf.CircuitBreaker("b")(charge), renderer=pydoc.plaintext)
    assert "charge(card: str, amount: int = 1) -> float\n    Charge a card." in text


def test_a_shell_completes_public_names_only():
    names = {name for name in dir(hf) if not name.startswith("__")}
    assert names - set(hf.__all__) <= {"categories", "telemetry", "testing"}


BACKOFFS = [
    hf.Exponential(0.1, factor=3, max=9, jitter=0.2, jitter_mode="equal"),
    hf.Linear(1, 0.5),
    hf.Fibonacci(0.5, max=9),
    hf.Constant(1, jitter=0.5),
    hf.Decorrelated(0.1, max=3),
    hf.Constant(1) + hf.Linear(1, 1),
    hf.chain(hf.Constant(1), hf.Constant(2)),
    hf.AdaptiveBackoff(hf.Constant(1), k=2),
]
VALUES = [hf.CountWindow(3), hf.TimeWindow(2.5), hf.RetryBudget(ratio=0.5), hf.ManualClock(3.0)]


@pytest.mark.parametrize("value", [*BACKOFFS, *VALUES], ids=repr)
def test_what_is_shown_of_a_value_makes_it_again(value):
    again = eval(repr(value), vars(hf))
    assert (type(again), repr(again)) == (type(value), repr(value))


def test_data_shows_its_fields():
    assert "delay" in inspect.signature(of_retry.RetryState).parameters
