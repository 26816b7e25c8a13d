"""RestartComponent: something that runs elsewhere, and that a function restarts, as a component."""

from __future__ import annotations

from holdfast.supervision.component import Component
from holdfast.validation import Problems, answers_at_once, explains_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["RestartComponent"]


class RestartComponent(Component):
    """Something that has a restart function, such as a unit of systemd or a connection pool.

    The first ``start`` leaves it as it is, for it is expected to run. Each later one calls
    ``restart``. So the supervisor checks it, restarts it when its check fails, and leaves it alone
    when it stops. Each function may be a coroutine function.

    Args:
        name: For messages and metrics, 1 to 200 characters.
        restart: Called without arguments; raising means that the restart failed.
        stop: Called without arguments, when the supervisor stops it, and before each restart;
            None: do nothing.
        check: As of ``CallableComponent``.
        restart_first: Whether also the first ``start`` calls ``restart``.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    As safe to share between threads and event loops as the functions are.

    >>> from holdfast.supervision import RestartComponent
    >>> pool = RestartComponent("pool", lambda: print("restarted"))
    >>> pool.start()
    >>> pool.start()
    restarted
    """

    @explains_names
    def __init__(
        self,
        name: str,
        restart: Callable[[], object],
        *,
        stop: Callable[[], object] | None = None,
        check: Callable[[], object] | None = None,
        restart_first: bool = False,
    ) -> None:
        problems = Problems("RestartComponent", name)
        self.name = problems.name(name)
        functions: dict[str, Any] = {"restart": restart, "stop": stop, "check": check}
        for field, function in functions.items():
            if not callable(function) and (function is not None or field == "restart"):
                none = "" if field == "restart" else ", or None"
                problems.refuse(field, function, f"a function or a coroutine function{none}")
        self._is_due = problems.flag("restart_first", restart_first)
        problems.done()
        self._restart: Any = restart
        del functions["restart"]
        for field, function in functions.items():
            if function is not None:
                setattr(self, field, function)
        if not answers_at_once(restart):
            setattr(self, "start", self._astart)  # noqa: B010 - a method, for this object only

    def start(self) -> Any:
        """Call ``restart``, unless this is the first start."""
        due, self._is_due = self._is_due, True
        if due:
            self._restart()

    async def _astart(self) -> None:
        due, self._is_due = self._is_due, True
        if due:
            await self._restart()

    def stop(self) -> Any:
        """Do nothing: it is left to run."""
