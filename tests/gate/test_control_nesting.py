"""Controlled calls within controlled calls: however many, the C stack holds them or says so."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import holdfast as hf

MANY = 100_000


def controlled() -> hf.Pipeline:
    places = hf.Bulkhead("b", max_concurrent=1_000_000)
    return hf.Pipeline(
        "controlled", hf.Fallback(3, on=KeyError), hf.Timeout(30), hf.Retry("r"), places
    )


def nested(pipe: hf.Pipeline, fn: Any, times: int) -> Any:
    for _ in range(times):
        fn = pipe(fn)
    return fn


def plain() -> int:
    return 1


async def coroutine() -> int:
    await asyncio.sleep(0)
    return 1


@pytest.mark.parametrize("fn", [plain, coroutine])
def test_a_call_through_too_many_controlled_guards_is_a_recursion_error(
    fn: Callable[[], Any],
) -> None:
    pipe = controlled()
    with pytest.raises(RecursionError):
        nested(pipe, fn, MANY)()
    assert pipe.policies[-1].in_flight == 0
    assert hf.deadline() is None


def test_controlled_guards_within_the_limit_call_through() -> None:
    pipe = controlled()
    assert nested(pipe, plain, 50)() == 1
    assert asyncio.run(nested(pipe, coroutine, 50)()) == 1
    assert pipe.policies[-1].in_flight == 0


def test_a_function_may_call_itself_through_its_own_pipeline() -> None:
    pipe = controlled()

    def down(n: int) -> int:
        return 0 if n == 0 else 1 + pipe.call(down, n - 1)

    assert down(50) == 50
    with pytest.raises(RecursionError):
        down(MANY)
    assert pipe.policies[-1].in_flight == 0
    assert hf.deadline() is None
