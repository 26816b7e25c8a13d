"""What users pass in is refused early, with field, value and range, and all of it at once."""

import datetime
import enum
import functools
import inspect
import math
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import ConfigError
from holdfast.categories import Category
from holdfast.validation import (
    CATEGORIES,
    MAX_NS,
    Problems,
    answers_at_once,
    require_callable,
    seconds_to_ns,
    shown,
)


class Hostile:
    """An object that fails at whatever is asked of it."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")


class Lines:
    def __repr__(self) -> str:
        return "two\nlines"


NO_NUMBERS: list[object] = [
    "1", b"1", None, [], {}, object(), Hostile(), 1j, math.nan, math.inf, -math.inf, True, False,
    10**400, -(10**400),
]  # fmt: skip


def one_problem(check: Callable[[Problems], object]) -> str:
    """Return the only problem that the check finds."""
    problems = Problems("Thing", "x")
    check(problems)
    with pytest.raises(ConfigError) as caught:
        problems.done()
    (problem,) = caught.value.problems
    assert str(caught.value) == f"Thing 'x': {problem}"
    return problem


def test_nothing_wrong_raises_nothing() -> None:
    Problems("Thing", "x").done()


def test_every_problem_is_named_at_once() -> None:
    problems = Problems("Thing", "payments")
    problems.integer("size", 0, least=1, most=5)
    problems.duration("wait", -1)
    problems.refuse("burst", 3, "at most the rate")
    with pytest.raises(ConfigError) as caught:
        problems.done()
    assert caught.value.problems == (
        "size: got 0, allowed an integer from 1 to 5",
        "wait: got -1, allowed seconds or a timedelta from 0 to 3153600000",
        "burst: got 3, allowed at most the rate",
    )
    assert str(caught.value) == "Thing 'payments': " + "; ".join(caught.value.problems)


OUT_OF_RANGE: list[tuple[Callable[[Problems, Any], object], list[object], str]] = [
    (
        lambda p, value: p.integer("size", value, least=1, most=5),
        [1.0, 2.5, 0, 6, -1],
        "an integer from 1 to 5",
    ),
    (lambda p, value: p.fraction("size", value), [-0.1, 1.1], "a number from 0 to 1"),
    (
        lambda p, value: p.number("size", value, least=1.0, most=10.0),
        [0.9, 10.1],
        "a number from 1 to 10",
    ),
    (
        lambda p, value: p.duration("size", value),
        [-1, -0.001, -1e-300, timedelta(days=-1), timedelta.max, 1e300, MAX_NS / 1e9 + 1],
        "seconds or a timedelta from 0 to 3153600000",
    ),
]


@pytest.mark.parametrize(
    ("check", "value", "allowed"),
    [(check, value, text) for check, more, text in OUT_OF_RANGE for value in [*NO_NUMBERS, *more]],
)
def test_a_number_is_finite_and_in_range(check: Any, value: object, allowed: str) -> None:
    problem = one_problem(lambda p: check(p, value))
    assert problem.startswith("size: got ")
    assert problem.partition(": write")[0].endswith(f"allowed {allowed}")


def test_an_integer_may_be_of_any_type_that_is_one() -> None:
    class Index:
        def __index__(self) -> int:
            return 3

    problems = Problems("x")
    assert [problems.integer("n", n, least=1, most=5) for n in (1, 5, Index())] == [1, 5, 3]
    problems.done()


def test_what_fails_to_say_its_number_is_no_integer() -> None:
    class Broken:
        def __index__(self) -> int:
            raise RuntimeError("no index")

    assert one_problem(lambda p: p.integer("n", Broken(), least=1, most=5)).startswith("n: got <")


def test_a_fraction_may_have_to_be_above_0() -> None:
    problem = one_problem(lambda p: p.fraction("rate", 0, zero=False))
    assert problem == "rate: got 0, allowed a number above 0, up to 1"
    problems = Problems("x")
    assert problems.fraction("rate", 0) == 0.0
    assert problems.fraction("rate", 5e-324, zero=False) == 5e-324
    problems.done()


@pytest.mark.parametrize(("value", "ns"), [
    (0, 0), (-0.0, 0), (1, 10**9), (0.1, 10**8), (0.25, 25 * 10**7), (1e-9, 1),
    (timedelta(milliseconds=250), 25 * 10**7),
    (timedelta(days=1, microseconds=1), 86_400 * 10**9 + 1000), (100 * 365 * 86_400, MAX_NS),
])  # fmt: skip
def test_seconds_become_nanoseconds(value: float | timedelta, ns: int) -> None:
    assert seconds_to_ns("wait", value) == ns


def test_a_duration_above_nothing_never_becomes_nothing() -> None:
    assert seconds_to_ns("wait", 1e-300) == 1


def test_a_duration_given_to_a_method_is_refused_by_its_own_name() -> None:
    with pytest.raises(ConfigError) as caught:
        seconds_to_ns("timeout", -1)
    assert str(caught.value) == caught.value.problems[0]
    assert (
        str(caught.value) == "timeout: got -1, allowed seconds or a timedelta from 0 to 3153600000"
    )


def test_a_duration_has_the_range_its_field_allows() -> None:
    check = functools.partial(Problems.duration, field="slice", least_ns=10**6, most_ns=10**9)
    assert one_problem(lambda p: check(p, value=0.0009)).endswith("a timedelta from 0.001 to 1")
    assert one_problem(lambda p: check(p, value=1.1)).endswith("a timedelta from 0.001 to 1")
    problems = Problems("x")
    assert (check(problems, value=0.001), check(problems, value=1)) == (10**6, 10**9)
    problems.done()


@given(st.floats(min_value=0, max_value=MAX_NS / 1e9))
def test_seconds_are_rounded_to_the_nearest_nanosecond(seconds: float) -> None:
    ns = seconds_to_ns("wait", seconds)
    assert abs(ns - seconds * 1e9) <= max(1.0, seconds * 1e9 * 2**-52)


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=36_000)))
def test_timedeltas_are_exact(delta: datetime.timedelta) -> None:
    ns = seconds_to_ns("wait", delta)
    assert ns == ((delta.days * 86_400 + delta.seconds) * 10**6 + delta.microseconds) * 1000


def test_none_is_a_value_only_where_it_is_allowed() -> None:
    problems = Problems("x")
    assert problems.integer("a", None, least=1, most=2, none=True) is None
    assert problems.number("b", None, none=True) is None
    assert problems.fraction("c", None, none=True) is None
    assert problems.duration("d", None, none=True) is None
    assert problems.callable("e", None) is None
    problems.done()
    assert one_problem(lambda p: p.duration("d", -1, none=True)).endswith(", or None")
    assert one_problem(lambda p: p.callable("e", None, none=False)).startswith("e: got None")


@pytest.mark.parametrize("value", ["", "a\nb", "\x00", "x" * 201, 5, None, b"name", Hostile()])
def test_a_name_is_short_and_printable(value: object) -> None:
    assert one_problem(lambda p: p.name(value)).startswith("name: got ")


def test_a_name_may_be_in_any_language() -> None:
    problems = Problems("x")
    assert [problems.name(name) for name in ("платежи", "x" * 200)] == ["платежи", "x" * 200]
    problems.done()


def test_a_name_is_what_a_string_holds_not_what_it_shows() -> None:
    class Peer(str, enum.Enum):  # noqa: UP042 - unlike a StrEnum it shows as Peer.RED
        RED = "red"

    class Shouting(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "two\nlines"

    problems = Problems("x")
    names = [problems.name(Peer.RED), problems.name(Shouting("quiet"))]
    problems.done()
    assert names == ["red", "quiet"]
    assert [type(name) for name in names] == [str, str]


@pytest.mark.parametrize("value", [1, 0, "yes", None, Hostile()])
def test_a_flag_is_a_bool(value: object) -> None:
    assert one_problem(lambda p: p.flag("shared", value)).endswith("allowed True or False")


def test_a_choice_is_one_of_a_few_and_of_its_type() -> None:
    problems = Problems("x")
    assert problems.choice("window", "sliding", (None, "sliding")) == "sliding"
    assert problems.choice("window", None, (None, "sliding")) is None
    problems.done()
    for value in ("Sliding", 0, Hostile(), True):
        problem = one_problem(
            lambda p, value=value: p.choice("window", value, (None, "sliding", 1))
        )
        assert "allowed one of None, 'sliding', 1" in problem


MATCHES = (
    "subclasses of Exception, categories ('transient', 'permanent', 'resource', 'logic'), "
    "or a predicate"
)


@pytest.mark.parametrize("value", [
    "ValueError", (ValueError, "x"), KeyboardInterrupt, (BaseException,),
    (ValueError, GeneratorExit), ValueError("instance"), None, int, Hostile(),
    (ValueError, bool), ["logic", None], {"transient": 1}, b"transient", "", "TRANSIENCE",
])  # fmt: skip
def test_only_subclasses_of_exception_and_categories_can_be_named(value: object) -> None:
    # trap 5: cancellation, KeyboardInterrupt, SystemExit and GeneratorExit prove nothing.
    assert MATCHES in one_problem(lambda p: p.matcher("on", value))


@pytest.mark.parametrize(("word", "meant"), [
    ("transiet", "transient"), ("Transient", "transient"), ("resources", "resource"),
])  # fmt: skip
def test_a_misspelt_category_is_answered_with_the_nearest(word: str, meant: str) -> None:
    for value in (word, (ValueError, word)):
        problem = one_problem(lambda p, value=value: p.matcher("on", value))
        assert problem.endswith(f": did you mean {meant!r}?")


@pytest.mark.parametrize(("value", "setting", "classes", "bits"), [
    (ValueError, (ValueError,), (ValueError,), 0), ((), (), (), 0),
    ((ValueError, OSError), (ValueError, OSError), (ValueError, OSError), 0),
    ([ValueError], (ValueError,), (ValueError,), 0),
    ("transient", "transient", (), 1), (Category.LOGIC, "logic", (), 8),
    (["resource"], "resource", (), 4),
    ((OSError, "logic", Category.PERMANENT), (OSError, "logic", "permanent"), (OSError,), 10),
])  # fmt: skip
def test_exceptions_may_be_one_or_several_or_none(
    value: object, setting: object, classes: tuple[type[Exception], ...], bits: int
) -> None:
    problems = Problems("x")
    assert problems.matcher("on", value) == (setting, classes, bits, None)
    problems.done()


def test_the_order_of_a_set_says_nothing() -> None:
    many = [type(f"E{n}", (Exception,), {}) for n in range(50)]
    given = ({*many, "logic"}, frozenset({"logic", *reversed(many)}))
    one, other = (Problems("x").matcher("on", each)[0] for each in given)
    assert one == other
    assert len(one) == 51


def test_the_words_of_categories_are_those_of_the_enum() -> None:
    assert list(CATEGORIES) == list(Category)
    assert list(CATEGORIES.values()) == [1, 2, 4, 8]


def test_a_setting_that_must_name_an_exception_is_not_empty() -> None:
    problem = one_problem(lambda p: p.matcher("on", (), empty=False))
    assert problem == f"on: got (), allowed at least one of {MATCHES}"


def plain() -> None: ...
async def coroutine() -> None: ...
def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


class Callables:
    def method(self) -> None: ...
    async def async_method(self) -> None: ...
    @staticmethod
    async def async_static() -> None: ...
    @classmethod
    async def async_class(cls) -> None: ...
    def __call__(self) -> None: ...


class AsyncCallable:
    async def __call__(self) -> None: ...


def marked() -> object:
    return coroutine()


if hasattr(inspect, "markcoroutinefunction"):  # since Python 3.12
    inspect.markcoroutinefunction(marked)


# One that bears an attribute does not merge with the one that wraps it.
noted = functools.partial(coroutine)
noted.note = "kept"  # type: ignore[attr-defined]

LATER = [
    coroutine, async_generator, generator, functools.partial(generator),
    Callables().async_method, Callables.async_method,
    Callables.async_static, Callables.async_class, functools.partial(coroutine),
    functools.partial(functools.partial(Callables().async_method)), functools.partial(noted),
    AsyncCallable(),
]  # fmt: skip
AT_ONCE = [
    plain, Callables().method, Callables(), Callables, AsyncCallable, len, print,
    functools.partial(plain), lambda: None, dict.get, "text".upper, functools.lru_cache(plain),
]  # fmt: skip


@pytest.mark.parametrize("fn", LATER)
def test_what_must_be_awaited_or_iterated_is_told_from_what_answers_at_once(fn: object) -> None:
    assert not answers_at_once(fn)
    assert one_problem(lambda p: p.callable("is_failure", fn)).endswith(
        "a callable that is not a coroutine or generator function, or None"
    )
    with pytest.raises(TypeError, match=r"fn: got .* allowed a callable that is not a coroutine"):
        require_callable("fn", fn)


@pytest.mark.parametrize("fn", AT_ONCE)
def test_what_answers_at_once_is_taken(fn: Callable[..., Any]) -> None:
    assert answers_at_once(fn)
    require_callable("fn", fn)
    problems = Problems("x")
    assert problems.callable("is_failure", fn) is fn
    problems.done()


@pytest.mark.parametrize(
    "fn", [marked, *(fn for fn in LATER + AT_ONCE if not isinstance(fn, AsyncCallable))]
)
def test_the_answer_is_that_of_inspect(fn: Callable[..., Any]) -> None:
    later = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)
    assert answers_at_once(fn) != any(is_one(fn) for is_one in later)


@pytest.mark.parametrize("value", [5, None, "len", Hostile()])
def test_what_cannot_be_called_is_no_callable(value: object) -> None:
    assert one_problem(lambda p: p.callable("is_failure", value, none=False))
    with pytest.raises(TypeError, match="fn: got "):
        require_callable("fn", value)


@given(st.one_of(st.text(), st.integers(), st.binary(), st.lists(st.text())))
def test_any_value_is_shown_short_and_on_one_line(value: object) -> None:
    text = shown(value)
    assert len(text) <= 1000
    assert text.isprintable()


@pytest.mark.parametrize(("value", "text"), [
    (Hostile(), "<Hostile without a repr>"), (10**5000, "an integer of 16610 bits"),
    ("x" * 1000, "'" + "x" * 78 + "…"), (1.5, "1.5"), (Lines(), "two\\nlines"),
], ids=["raises", "huge", "long", "plain", "lines"])  # fmt: skip
def test_awkward_values_are_shown_too(value: object, text: str) -> None:
    assert shown(value) == text
