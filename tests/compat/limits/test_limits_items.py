"""Items of limits: what is limited, read from text, compared, and turned into keys."""

import copy
import pickle
from inspect import signature

import pytest

import holdfast.compat.limits as face
from holdfast.compat.limits import parse, parse_many
from holdfast.compat.limits.limits import (
    GRANULARITIES,
    TIME_TYPES,
    Granularity,
    RateLimitItem,
    RateLimitItemMeta,
    safe_string,
)
from holdfast.compat.limits.util import EXPR, granularity_from_string

SECONDS = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86400,
    "month": 2592000,
    "year": 31104000,
}


class PerFortnight(face.RateLimitItem):
    """Of a user."""

    GRANULARITY = Granularity(14 * 86_400, "fortnight")


# ---- RT-18 ----


def test_the_module_says_which_version_it_is_the_face_of():
    assert face.__version__ == "5.8.0"
    assert all(hasattr(face, name) for name in face.__all__)


@pytest.mark.parametrize("word", SECONDS)
def test_each_unit_has_its_seconds_in_the_singular_the_plural_and_any_case(word):
    for text in (f"3/{word}", f"3 per {word}s", f"3 PER 1 {word.upper()}", f" 3 / {word} "):
        item = parse(text)
        assert (item.amount, item.multiples, item.get_expiry()) == (3, 1, SECONDS[word])
    assert parse(f"3 per 4 {word}").get_expiry() == 4 * SECONDS[word]


def test_limits_of_one_text_are_separated_by_comma_semicolon_or_bar():
    shown = [str(item) for item in parse_many("1/second; 5 per 2 minutes,100/hour|3/day")]
    assert shown == [
        "1 per 1 second",
        "5 per 2 minute",
        "100 per 1 hour",
        "3 per 1 day",
    ]
    assert parse("1/second; 5/minute") == parse("1/second")


@pytest.mark.parametrize(
    "text", [None, 7, "", "meow", "1 per millenium", "x/second", "1/second;", "-1/second"]
)
def test_text_that_names_no_limit_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"couldn't parse|no granularity"):
        parse_many(text)


def test_a_word_that_no_class_has_is_a_value_error():
    with pytest.raises(ValueError, match="no granularity matched for decade"):
        granularity_from_string("decade")
    assert EXPR.match("1/second")


def test_a_class_of_the_user_is_found_by_its_word():
    assert GRANULARITIES["fortnight"] is PerFortnight
    assert parse("2/3 fortnights") == PerFortnight(2, 3)
    assert isinstance(PerFortnight, RateLimitItemMeta)


def test_a_key_has_namespace_identifiers_amount_multiples_and_unit():
    item = face.RateLimitItemPerMinute(10, 2, "API")
    assert item.key_for() == "API/10/2/minute"
    assert item.key_for("a", b"b", 3, 1.5, None) == "API/a/b/3/1.5/None/10/2/minute"
    assert [safe_string(one) for one in (b"x", "y", 1)] == ["x", "y", "1"]


def test_items_are_equal_whatever_their_namespace_and_sorted_by_unit():
    per_minute = face.RateLimitItemPerMinute
    assert per_minute(1, 1, "A") == per_minute(1, 1, "B")
    assert per_minute(1) != per_minute(1, 2)
    assert per_minute(1) != face.RateLimitItemPerHour(1)
    assert per_minute(1) != "1 per 1 minute"
    assert sorted([face.RateLimitItemPerDay(1), per_minute(9)]) == [
        per_minute(9),
        face.RateLimitItemPerDay(1),
    ]
    assert per_minute(1) >= face.RateLimitItemPerSecond(1)
    assert len({per_minute(1), per_minute(1), per_minute(1, 1, "A")}) == 2


def test_amounts_are_whole_numbers_and_no_multiples_are_one():
    item = face.RateLimitItemPerHour("5", None)
    assert (item.amount, item.multiples) == (5, 1)
    with pytest.raises(ValueError, match="invalid literal"):
        face.RateLimitItemPerHour("many")


def test_the_constructor_has_the_arguments_of_the_original():
    assert str(signature(RateLimitItem.__init__)) == (
        "(self, amount: 'int', multiples: 'int | None' = 1, namespace: 'str' = 'LIMITER') -> 'None'"
    )


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_an_item_is_copied_and_pickled_with_all_it_has(again):
    item = face.RateLimitItemPerMinute(10, 2, "API")
    assert item.policy.name == "API/10/2/minute"  # what it keeps for itself does not matter
    other = again(item)
    assert (other, other.namespace, type(other)) == (item, "API", type(item))
    assert other.key_for("u") == item.key_for("u")


def test_an_item_has_slots_alone_unless_its_class_says_otherwise():
    with pytest.raises(AttributeError):
        face.RateLimitItemPerMinute(1).note = "x"

    class Noted(face.RateLimitItem):
        __slots__ = ["note"]
        GRANULARITY = TIME_TYPES["day"]

    noted = Noted(3)
    noted.note = "x"
    assert (noted.note, noted.get_expiry()) == ("x", 86_400)


def test_an_item_that_is_changed_is_another_limit_from_then_on():
    limiter = face.strategies.FixedWindowRateLimiter(face.storage.MemoryStorage())
    item = face.RateLimitItemPerMinute(1, namespace="changed")
    assert [limiter.hit(item), limiter.hit(item)] == [True, False]
    item.amount = 2
    assert limiter.hit(item)  # its key is another one
    assert item.policy.name == "changed/2/1/minute"
