"""What depends on what: the order of starts, circles, and who comes before whom. Pure.

Elsewhere: who may start or stop at this moment (``crew``).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["find_circle", "start_order"]


def find_circle(needs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return a circle of dependencies, its first name again at its end; () if there is none.

    Args:
        needs: By name, what it depends on. What is no key depends on nothing.

    >>> find_circle({"a": ["b"], "b": ["c"], "c": ["b"]})
    ('b', 'c', 'b')
    """
    done: set[str] = set()
    for first in needs:
        path: dict[str, None] = {}
        # A stack of its own: a chain may be longer than Python's.
        stack = [(first, iter(needs.get(first, ())))]
        path[first] = None
        while stack and first not in done:
            name, left = stack[-1]
            found = next((one for one in left if one not in done), None)
            if found is None:
                stack.pop()
                path.pop(name)
                done.add(name)
            elif found in path:
                names = list(path)
                return (*names[names.index(found) :], found)
            else:
                path[found] = None
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
