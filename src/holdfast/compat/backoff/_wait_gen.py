"""Wait generators: they yield the pauses of one call, in seconds.

Each yields nothing of use first: whoever makes one begins with ``send(None)``.
"""

from __future__ import annotations

from itertools import repeat

from holdfast.validation import MAX_NS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from typing import Any

__all__ = ["constant", "expo", "fibo", "runtime"]

_LONGEST = MAX_NS // 10**9  # a hundred years: nothing that can be slept grows beyond (trap 49)


def expo(
    base: float = 2, factor: float = 1, max_value: float | None = None
) -> Generator[float, Any, None]:
    """Yield ``factor * base ** n``, for n from 0 on.

    Args:
        base: What each is multiplied by.
        factor: The first, in seconds.
        max_value: What is yielded from where the others would be more; None for a hundred years.
    """
    yield 0
    most = _LONGEST if max_value is None else max_value
    n = 0
    while True:
        try:
            value = factor * base**n
        except OverflowError:
            value = most
        if value < most:
            yield value
            n += 1
        else:
            yield most


def fibo(max_value: int | None = None) -> Generator[int, None, None]:
    """Yield the numbers of Fibonacci, from 1, 1, 2, 3 on.

    Args:
        max_value: What is yielded from where the others would be more; None for a hundred years.
    """
    yield 0
    most = _LONGEST if max_value is None else max_value
    value, following = 1, 1
    while True:
        if value < most:
            yield value
            value, following = following, value + following
        else:
            yield most


def constant(interval: int | Iterable[float] = 1) -> Generator[float, None, None]:
    """Yield the same pause for ever, or given ones one after the other.

    Args:
        interval: Seconds, or several of them; after the last the call is given up.
    """
    yield 0
    given: Any = interval
    pauses: Iterable[float] = given if hasattr(given, "__iter__") else repeat(given)
    for pause in pauses:  # noqa: UP028 - what is sent is not for them
        yield pause


def runtime(*, value: Callable[[Any], float]) -> Generator[float, None, None]:
    """Yield what a function makes of each result or exception of the call.

    Args:
        value: Called with what the function returned or raised; returns seconds.
    """
    found: Any = yield 0
    while True:
        found = yield value(found)
