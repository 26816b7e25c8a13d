"""Ping, threshold and composite: checks that are made of functions, and of other checks."""

import asyncio
import gc
import warnings
from collections import Counter
from decimal import Decimal
from functools import partial
from itertools import product
from math import inf, nan
from unittest.mock import AsyncMock

import pytest
from hypothesis import given
from hypothesis import strategies as st

import holdfast as hf
from holdfast.health import Check, CheckResult

PASSED, FAILED = CheckResult.passed(), CheckResult.failed("down")
DEGRADED, UNPROVEN = CheckResult.degraded("slow"), CheckResult.unproven("late")
BY_WORD = {"p": PASSED, "f": FAILED, "d": DEGRADED, "u": UNPROVEN, ".": None}


def ping(name="a", result=None, **settings):
    return hf.PingCheck(name, lambda: result, **settings)


# ---- ping ----


async def acoro(result=None):
    return result


@pytest.mark.parametrize(
    ("fn", "is_async"),
    [
        (lambda: None, False), (acoro, True), (partial(acoro, True), True), (int, None),
        (AsyncMock(return_value=True), True),
    ],
    ids=["function", "coroutine function", "partial", "class", "mock"],
)  # fmt: skip
def test_a_ping_calls_any_function_sync_or_async(fn, is_async):  # HC-02
    check = hf.PingCheck("a", fn)
    verdict = "failed" if is_async is None else "passed"  # int() is 0, which says nothing
    assert check.is_async is bool(is_async)
    assert check.fn is fn
    assert check.run().verdict == verdict
    assert asyncio.run(check.arun()).verdict == verdict


def test_a_ping_with_a_function_that_hides_a_coroutine_fails_and_says_what_to_give():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = hf.PingCheck("a", lambda: acoro()).run()
        gc.collect()
    told = "the check returned an awaitable: give it a coroutine function (async def)"
    assert (result.verdict, result.message) == ("failed", told)


def generates():
    yield


@pytest.mark.parametrize("fn", [5, None, len, lambda one: one, generates, partial(generates)])
def test_a_ping_refuses_what_cannot_be_called_without_arguments(fn):
    with pytest.raises(hf.ConfigError, match=r"fn: got .*without arguments"):
        hf.PingCheck("a", fn)


# ---- threshold ----


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(-0.01, "failed"), (0, "passed"), (80, "passed"), (80.01, "failed"), (Decimal(5), "passed")],
)
def test_the_limits_of_a_threshold_are_inclusive(value, verdict):  # HC-02, HC-11
    assert hf.ThresholdCheck("cpu", lambda: value, 0, 80).run().verdict == verdict


def test_a_threshold_tells_the_value_and_the_limit():  # HC-09, HC-12
    check = hf.ThresholdCheck("a", lambda: value, min=2, max=3)
    value = 1.5
    assert check.run().message == "value 1.50 below minimum threshold 2.00"
    value = 3.254
    assert check.run().message == "value 3.25 exceeds maximum threshold 3.00"
    assert check.run().details == {"value": 3.254}
    assert check.limits == (2.0, 3.0)


@pytest.mark.parametrize(
    ("value", "limit", "told"),
    [
        (0.002, 0.001, "value 0.0020 exceeds maximum threshold 0.0010"),
        (0.0104, 0.01, "value 0.0104 exceeds maximum threshold 0.0100"),
        (3.000000000001, 3, "value 3.000000000001 exceeds maximum threshold 3.0"),
        (1e200, 3, "value 1e+200 exceeds maximum threshold 3.0"),
    ],
)
def test_a_message_never_shows_a_value_and_its_limit_as_equal(value, limit, told):  # HC-12
    assert hf.ThresholdCheck("a", lambda: value, max=limit).run().message == told


@pytest.mark.parametrize("value", [nan, inf, -inf, None, "5", b"5", [5], acoro])
def test_what_is_no_finite_number_fails(value):
    result = hf.ThresholdCheck("a", lambda: value, max=80).run()
    assert result.verdict == "failed"
    assert "no finite number" in result.message


def test_a_threshold_can_be_degraded_before_it_fails():
    check = hf.ThresholdCheck("a", lambda: value, 0, 95, degraded_min=10, degraded_max=90)
    for value, verdict in [  # noqa: B007 - read by the check
        (-1, "failed"), (5, "degraded"), (10, "passed"), (90, "passed"), (91, "degraded"),
        (96, "failed"),
    ]:  # fmt: skip
        assert check.run().verdict == verdict


def test_a_threshold_asks_a_coroutine_function():
    check = hf.ThresholdCheck("a", partial(acoro, 5), max=3)
    assert check.is_async
    assert asyncio.run(check.arun()).message == "value 5.00 exceeds maximum threshold 3.00"
    assert check.run().verdict == "failed"


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"min": 2, "max": 1}, "min: got 2.0, allowed at most max, which is 1"),
        ({}, "min: got None, allowed a number, if max"),
        ({"max": "80"}, "max: got '80', allowed a number"),
        ({"max": nan}, "max: got nan"),
        ({"max": 5, "degraded_max": 6}, "degraded_max: got 6.0, allowed at most max, which is 5"),
    ],
)
def test_impossible_limits_are_refused(limits, told):
    with pytest.raises(hf.ConfigError) as caught:
        hf.ThresholdCheck("a", int, **limits)
    assert told in str(caught.value)


# ---- composite ----


def composite(word, quorum=1.0):
    """Return what a composite says of members whose results are given by letters."""
    checks = [ping(f"m{at}") for at in range(len(word))]
    result = hf.CompositeCheck("all", *checks, quorum=quorum).judge([BY_WORD[one] for one in word])
    return None if result is None else result.verdict


@pytest.mark.parametrize(
    ("word", "quorum", "verdict"),
    [
        ("ppp", 1.0, "passed"), ("ppf", 1.0, "failed"), ("pp.", 1.0, None), ("..f", 1.0, "failed"),
        ("ppd", 1.0, "degraded"), ("p.d", 1.0, None), ("ppu", 1.0, "unproven"),
        ("pf", 0.5, "passed"), ("p...", 0.25, "passed"), ("ffp.", 0.5, None),
        ("fffp", 0.5, "failed"), ("fff.", 0.5, "failed"), ("f", 0.5, "failed"),
        ("dd..", 0.5, None), ("ddf.", 0.5, "degraded"), ("ddpp", 0.5, "passed"),
        ("ffuu", 0.5, "unproven"), ("ffu.", 0.5, None),
    ],
)  # fmt: skip
def test_a_composite_decides_as_soon_as_its_quorum_is_certain(word, quorum, verdict):  # HC-20
    assert composite(word, quorum) == verdict


@given(st.text("pfdu", min_size=1, max_size=6), st.sampled_from([0.01, 0.3, 0.5, 0.7, 1.0]))
def test_an_early_decision_of_a_composite_is_the_final_one(word, quorum):
    final = composite(word, quorum)
    assert final is not None
    for known in range(len(word)):
        early = composite(word[:known] + "." * (len(word) - known), quorum)
        assert early in (None, final)


@pytest.mark.parametrize("quorum", [0.1, 0.5, 0.75, 1.0])
def test_how_many_results_there_are_tells_when_a_composite_decides(quorum):  # HC-20
    check = hf.CompositeCheck("all", *(ping(f"m{at}") for at in range(4)), quorum=quorum)
    for word in product(BY_WORD, repeat=4):
        results = [BY_WORD[one] for one in word]
        counts = Counter(result.verdict for result in results if result is not None)
        assert check._may_judge(counts) == (check.judge(results) is not None)


def test_a_quorum_of_seven_tenths_of_ten_is_seven():
    assert composite("pppppppfff", 0.7) == "passed"
    assert composite("ppppppffff", 0.7) == "failed"


def test_a_failed_composite_names_its_first_failure():  # HC-02
    checks = [ping("db", True), ping("cache", FAILED), ping("disk", False)]
    result = hf.CompositeCheck("all", *checks).run()
    assert result.message == "cache: down"
    result = hf.CompositeCheck("all", *checks, quorum=0.5).run()
    assert result.message == "cache: down (2 of 3 failed)"
    assert result.details == {"members": 3, "needed": 2, "passed": 1, "degraded": 0, "failed": 2}


def test_a_service_with_half_of_its_workers_is_healthy():  # HC-20
    running = [hf.PingCheck(f"worker-{n}", lambda n=n: n < 2) for n in range(4)]
    assert hf.CompositeCheck("workers", *running, quorum=0.5).run().verdict == "passed"


def test_a_composite_alone_stops_when_the_result_is_certain():
    def probe():
        ran.append(1)
        return False

    ran = []
    check = hf.CompositeCheck("all", hf.PingCheck("a", probe), hf.PingCheck("b", probe))
    assert check.run().verdict == "failed"
    assert len(ran) == 1


def test_a_composite_may_have_members_of_both_kinds():
    check = hf.CompositeCheck("all", ping("a"), hf.PingCheck("b", acoro))
    assert check.is_async
    assert check.run().verdict == "passed"
    assert asyncio.run(check.arun()).verdict == "passed"
    plain = hf.CompositeCheck("all", ping("a"))
    assert not plain.is_async
    assert asyncio.run(plain.arun()).verdict == "passed"


async def test_a_member_that_hangs_is_cut_and_the_others_decide():
    hangs = hf.PingCheck("a", asyncio.Event().wait, timeout=0.01)
    check = hf.CompositeCheck("all", hangs, hf.PingCheck("b", acoro), quorum=0.5)
    assert (await check.arun()).message == "a: took longer than 0.01 s"


def test_a_composite_of_composites_has_their_members():
    inner = hf.CompositeCheck("workers", ping("w1"), ping("w2"), quorum=0.5)
    outer = hf.CompositeCheck("all", ping("db"), inner)
    assert [member.name for member in outer.members] == ["db", "w1", "w2"]
    assert outer.checks[1] is inner
    assert outer.judge([PASSED, FAILED, None]) is None
    assert outer.judge([PASSED, FAILED, PASSED]).verdict == "passed"
    assert outer.judge([None, FAILED, FAILED]).message == "workers: w1: down (2 of 2 failed)"
    with pytest.raises(ValueError, match="2 results of 3 members"):
        outer.judge([PASSED, FAILED])


def test_a_composite_measures_this_process_if_all_its_members_do():
    class Own(Check):
        measures_self = True

        def probe(self):
            return True

    assert hf.CompositeCheck("all", Own("a")).measures_self
    assert not hf.CompositeCheck("all", Own("a"), ping("b")).measures_self


@pytest.mark.parametrize(
    ("checks", "settings", "told"),
    [
        ([], {}, "checks: got (), allowed at least one check"),
        ([ping()], {"quorum": 1.5}, "quorum: got 1.5, allowed a number above 0, up to 1"),
        ([ping()], {"quorum": 0}, "quorum: got 0, allowed a number above 0"),
        ([ping(), 5], {}, "checks[1]: got 5, allowed a check"),
        ([ping(), ping()], {}, "checks: got 'a', allowed members of which each has another name"),
    ],
)
def test_an_impossible_composite_is_refused(checks, settings, told):
    with pytest.raises(hf.ConfigError) as caught:
        hf.CompositeCheck("all", *checks, **settings)
    assert told in str(caught.value)
