"""Which of several functions runs at a level: plain, in tasks, and as decorators."""

import asyncio
import functools
import inspect

import pytest

import holdfast as hf
from holdfast.degradation import DegradationManager, Level

NORMAL, DEGRADED, SEVERELY, EMERGENCY = Level


@pytest.fixture
def manager(clock):
    return DegradationManager("shop", clock=clock)


@pytest.fixture
def search(manager):
    return manager.component("search")


def fresh(text):
    return f"fresh {text}"


def cached(text):
    return f"cached {text}"


def static(text):
    return f"static {text}"


async def afresh(text):
    await asyncio.sleep(0)
    return f"fresh {text}"


async def acached(text):
    await asyncio.sleep(0)
    return f"cached {text}"


RUNS = [
    (NORMAL, "fresh x"),
    (DEGRADED, "cached x"),
    (SEVERELY, "cached x"),
    (EMERGENCY, "static x"),
]
at_each_level = pytest.mark.parametrize(("level", "result"), RUNS)


@at_each_level
def test_each_level_runs_its_own_function(search, level, result):  # DG-03, D-DG-1
    search.force(level)
    assert search.execute(fresh, cached, static, args=("x",)) == result
    assert search.execute(fresh, cached, static, kwargs={"text": "x"}) == result


@at_each_level
async def test_each_level_runs_its_own_function_in_a_task(search, level, result):  # DG-03, D-DG-1
    search.force(level)
    assert await search.aexecute(afresh, acached, static, args=("x",)) == result


def test_without_a_degraded_function_the_normal_one_runs(search):  # DG-03
    for level in (DEGRADED, SEVERELY):
        search.force(level)
        assert search.execute(fresh, args=("x",)) == "fresh x"


async def test_without_an_emergency_function_the_call_is_refused(search, clock):  # DG-03
    search.set(EMERGENCY)
    with pytest.raises(hf.EmergencyModeError) as caught:
        search.execute(fresh, cached, args=("x",))
    error = caught.value
    assert (error.name, error.reason, error.retry_after) == ("search", "emergency", None)
    with pytest.raises(hf.EmergencyModeError):
        await search.aexecute(afresh, args=("x",))


def test_a_refusal_says_when_the_level_may_rise(search, clock):
    search.set(EMERGENCY)
    search.recover("manual")
    clock.advance(10)
    with pytest.raises(
        hf.EmergencyModeError, match=r"'search' \(emergency\); retry in 20"
    ) as caught:
        search.execute(fresh)
    assert caught.value.retry_after == 20


@pytest.mark.parametrize(
    ("levels", "at", "runs"),
    [
        ([0, 1, 2, 3], 0, 0),
        ([0, 1, 2, 3], 1, 1),
        ([0, 1, 2, 3], 3, 3),
        ([0, 3], 1, 3),
        ([0, 2], 1, 2),
        ([1, 3], 0, 1),
        ([3], 0, 3),
        ([0], 1, None),
        ([0, 1, 2], 3, None),
    ],
)
async def test_the_function_of_this_level_runs_else_of_the_next_more_degraded(
    search, levels, at, runs
):  # DG-04, D-DG-1
    search.force(at)
    choices = {Level(level): functools.partial(int, level) for level in levels}
    if runs is None:
        with pytest.raises(hf.EmergencyModeError):
            search.execute_with_fallback(choices)
        with pytest.raises(hf.EmergencyModeError):
            await search.aexecute_with_fallback(choices)
    else:
        assert search.execute_with_fallback(choices) == runs
        assert await search.aexecute_with_fallback(choices) == runs


def test_choices_that_make_no_sense_are_refused(search):
    for wrong in ({}, {4: fresh}, [fresh], {"sometimes": fresh}):
        with pytest.raises(hf.ConfigError, match="choices: got"):
            search.execute_with_fallback(wrong)
    with pytest.raises(TypeError, match=r"choices\[NORMAL\]: got 3, allowed a callable"):
        search.execute_with_fallback({NORMAL: 3})


async def test_the_manager_calls_by_the_name_of_the_component(manager):
    manager.set("search", DEGRADED)
    assert manager.execute("search", fresh, cached, args=("x",)) == "cached x"
    assert await manager.aexecute("search", afresh, acached, args=("x",)) == "cached x"
    choices = {NORMAL: fresh, DEGRADED: cached}
    assert manager.execute_with_fallback("search", choices, ("x",)) == "cached x"
    assert await manager.aexecute_with_fallback("search", choices, ("x",)) == "cached x"


@at_each_level
def test_a_decorated_function_runs_what_stands_in_for_it(search, level, result):
    guarded = search(degraded=cached, emergency=static)(fresh)
    search.force(level)
    assert guarded("x") == result
    assert guarded.__name__ == "fresh"
    assert inspect.signature(guarded) == inspect.signature(fresh)


@at_each_level
async def test_a_decorated_coroutine_function_runs_what_stands_in_for_it(search, level, result):
    guarded = search(degraded=acached, emergency=static)(afresh)
    assert inspect.iscoroutinefunction(guarded)
    search.force(level)
    assert await guarded("x") == result


def test_a_bare_decorator_refuses_in_an_emergency_only(search):
    guarded = search(fresh)
    search.set(SEVERELY)
    assert guarded("x") == "fresh x"
    search.set(EMERGENCY)
    with pytest.raises(hf.EmergencyModeError):
        guarded("x")


def test_a_decorated_method_has_its_object(search):
    class Shop:
        name = "shop"

        def cached(self):
            return f"cached {self.name}"

        @search(degraded=cached)
        def find(self):
            return f"fresh {self.name}"

    assert Shop().find() == "fresh shop"
    search.set(DEGRADED)
    assert Shop().find() == "cached shop"


def test_a_coroutine_function_in_a_plain_call_is_refused_at_every_level(search):
    for functions in ((afresh, None, None), (fresh, acached, None), (fresh, None, acached)):
        with pytest.raises(TypeError, match=r"is a coroutine function: use aexecute\(\)"):
            search.execute(*functions, args=("x",))
    with pytest.raises(TypeError, match="is a coroutine function: use aexecute"):
        search.execute_with_fallback({NORMAL: fresh, DEGRADED: acached}, ("x",))
    with pytest.raises(TypeError, match="the call returned a coroutine"):
        search.execute(lambda text: afresh(text), args=("x",))
    with pytest.raises(
        TypeError, match=r"is a coroutine function, but .*fresh.*, which it replaces, is not"
    ):
        search(degraded=acached)(fresh)


async def test_what_is_not_callable_is_refused(search):
    with pytest.raises(TypeError, match="normal: got 3, allowed a callable"):
        search.execute(3)
    with pytest.raises(TypeError, match="degraded: got 3, allowed a callable, or None"):
        search.execute(fresh, 3)
    with pytest.raises(TypeError, match="emergency: got 3"):
        await search.aexecute(afresh, emergency=3)
    with pytest.raises(TypeError, match="normal: got 3"):
        search(degraded=cached)(3)


def test_what_the_function_raises_is_passed_on_and_runs_no_other(search):
    search.set(DEGRADED)
    ran = []
    with pytest.raises(ZeroDivisionError):
        search.execute(lambda: ran.append("normal"), lambda: 1 / 0, lambda: ran.append("emergency"))
    assert ran == []


async def test_arguments_that_are_no_tuple_are_refused_and_not_taken_apart(search):
    with pytest.raises(
        TypeError, match=r"args: got 'shoes', allowed a tuple, .* args=\('shoes',\)"
    ):
        search.execute(print, args=("shoes"))
    with pytest.raises(TypeError, match="args: got 7, allowed a tuple"):
        await search.aexecute_with_fallback({NORMAL: print}, args=7)
