"""How this interpreter looks up what a `with` statement calls: what entry.c relies on."""

import sys
from typing import Any

import pytest


def looked_up(coroutine: bool) -> list[str]:
    """What a block of this interpreter does with the methods, in order."""
    log: list[str] = []

    class Method:
        def __init__(self, name: str) -> None:
            self.name = name

        def __get__(self, obj: Any, cls: type) -> Any:
            log.append(f"look up {self.name}")

            def call(*args: Any) -> Any:
                log.append(f"call {self.name}")
                return done() if coroutine else None

            return call

    class Manager:
        __enter__ = Method("enter")
        __exit__ = Method("exit")
        __aenter__ = Method("enter")
        __aexit__ = Method("exit")

    async def done() -> None:
        pass

    async def ablock() -> None:
        async with Manager():
            log.append("body")

    if coroutine:
        with pytest.raises(StopIteration):
            ablock().send(None)
    else:
        with Manager():
            log.append("body")
    return log


@pytest.mark.parametrize("coroutine", [False, True])
def test_both_methods_are_looked_up_before_the_first_is_called(coroutine: bool) -> None:
    names = ["look up enter", "look up exit"]
    if sys.version_info >= (3, 14):
        names.reverse()
    assert looked_up(coroutine) == [*names, "call enter", "body", "call exit"]
