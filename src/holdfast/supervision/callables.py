"""CallableComponent: functions that start, stop and check something, as a component."""

from __future__ import annotations

from holdfast.supervision.component import Component
from holdfast.validation import Problems, explains_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["CallableComponent"]


class CallableComponent(Component):
    """Functions as a component. Each may be a coroutine function.

    Args:
        name: For messages and metrics, 1 to 200 characters.
        start: Called without arguments, to start; raising means that the start failed.
        stop: Called without arguments, to stop, also after a failed start; None: do
            nothing.
        check: Called without arguments, to check: it returns None, True, False or a
            ``CheckResult``, or raises. None: without a check.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Immutable, so as safe to share between threads and event loops as the functions are.

    >>> from holdfast.supervision import CallableComponent
    >>> entries = {}
    >>> cache = CallableComponent("cache", lambda: entries.update(a=1), entries.clear)
    >>> cache.start(); entries
    {'a': 1}
    """

    @explains_names
    def __init__(
        self,
        name: str,
        start: Callable[[], object],
        stop: Callable[[], object] | None = None,
        check: Callable[[], object] | None = None,
    ) -> None:
        problems = Problems("CallableComponent", name)
        self.name = problems.name(name)
        functions: dict[str, Any] = {"start": start, "stop": stop, "check": check}
        for field, function in functions.items():
            if not callable(function) and (function is not None or field == "start"):
                none = "" if field == "start" else ", or None"
                problems.refuse(field, function, f"a function or a coroutine function{none}")
        problems.done()
        # As they are: a supervisor looks whether a function is a coroutine function.
        for field, function in functions.items():
            if function is not None:
                setattr(self, field, function)

    def stop(self) -> Any:
        """Do nothing: there is nothing to stop."""
