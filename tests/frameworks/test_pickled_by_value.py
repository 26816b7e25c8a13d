"""cloudpickle: a guard that can be imported is pickled by its name, and no other is."""

import functools
import os
import subprocess
import sys
from typing import Any

import cloudpickle
import pytest

from holdfast import CircuitBreaker, Pipeline

breaker = CircuitBreaker("cloudpickle")


@breaker
def importable(n: int) -> int:
    return 2 * n


class Shop:
    @breaker
    def sell(self) -> Any:
        return self


class Called:
    def __call__(self) -> None: ...


def test_a_guard_that_can_be_imported_is_pickled_by_its_name() -> None:
    for thing in (importable, Shop.sell, functools.partial(importable, 2)):
        revived = cloudpickle.loads(cloudpickle.dumps(thing))
        assert revived is thing or revived() == 4
    assert isinstance(cloudpickle.loads(cloudpickle.dumps(Shop().sell))(), Shop)
    by_value = cloudpickle.loads(cloudpickle.dumps(lambda n: importable(n)))
    assert by_value(2) == 4


def test_a_guard_that_cannot_is_refused_and_the_policy_named() -> None:
    offset = 1

    @breaker
    def local(n: int) -> int:
        return n

    @Pipeline("p", breaker)
    def closed(n: int) -> int:
        return n + offset

    class Local:
        @breaker
        async def method(self) -> None: ...

    for thing in (local, closed, breaker(lambda: 1), Local, Local().method, lambda: local(1)):
        with pytest.raises(TypeError, match=r"cannot pickle '(CircuitBreaker|Pipeline)'"):
            cloudpickle.dumps(thing)
    for nameless in (breaker(functools.partial(importable)), breaker(Called())):
        with pytest.raises(TypeError, match="it cannot be imported by a name"):
            cloudpickle.dumps(nameless)


SCRIPT = """
import cloudpickle
from holdfast import CircuitBreaker

@CircuitBreaker("b")
def main(n):
    return n

try:
    cloudpickle.dumps(main)
except TypeError as refusal:
    print(refusal)
"""


def test_a_guard_of_a_script_is_not_sent_unguarded_to_a_worker() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=os.environ
    )
    assert "CircuitBreaker" in done.stdout
