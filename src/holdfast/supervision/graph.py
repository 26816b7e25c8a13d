"""What depends on what: the order of starts, circles, and who comes before whom. Pure.

Elsewhere: who may start or stop at this moment (``crew``).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["find_circle", "start_order"]


def find_circle(needs: Mapping[str, Sequence[str]], first: str) -> tuple[str, ...]:
    """Return a circle of dependencies from ``first`` to ``first``; () if there is none.

    Args:
        needs: By name, what it depends on. What is no key depends on nothing.
        first: The name where to begin.

    >>> find_circle({"a": ["b"], "b": ["c", "a"]}, "b")
    ('b', 'a', 'b')
    """
    done: set[str] = set()
    # A stack of its own: a chain may be longer than Python's.
    stack = [(first, iter(needs.get(first, ())))]
    while stack:
        found = next((one for one in stack[-1][1] if one not in done), None)
        if found is None:
            stack.pop()
        elif found == first:
            return (*(name for name, _ in stack), first)
        else:
            done.add(found)
            stack.append((found, iter(needs.get(found, ()))))
    return ()


def start_order(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names, each after all that it depends on, and else in their given order.

    Args:
        needs: By name, what it depends on, without circles. Names that are no keys are left out.

    >>> start_order({"web": ["db"], "cron": [], "db": []})
    ['db', 'web', 'cron']
    """
    order: dict[str, None] = {}
    for first in needs:
        stack = [(first, iter(needs[first]))] if first not in order else []
        while stack:
            name, left = stack[-1]
            found = next((one for one in left if one in needs and one not in order), None)
            if found is None:
                order[name] = None
                stack.pop()
            else:
                stack.append((found, iter(needs[found])))
    return list(order)
