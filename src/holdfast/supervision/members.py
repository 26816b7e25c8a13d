"""A component as its supervisor holds it: the object, its check, and how it is made anew.

Elsewhere: when any of it is called (``run``).
"""

from __future__ import annotations

from holdfast.health.check import Check
from holdfast.supervision.component import Component, Exit, as_component, has_check
from holdfast.validation import answers_at_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from holdfast.supervision.figures import Figures

__all__ = ["Member", "needs_loop"]


class Member:
    """One component of a supervisor.

    Attributes:
        component: The object that is started and stopped; another one after each recreation.
        check: What is asked whether it works; None: its own check, if it has one.
        figures: What metrics show of it.
        pace_ns: How soon its check is asked again while a start is to be verified.
    """

    __slots__ = ("_has_begun", "check", "component", "figures", "name", "pace_ns", "recreate")

    def __init__(
        self,
        component: Component,
        check: Check | None,
        recreate: Callable[[], object] | None,
        figures: Figures,
    ) -> None:
        self.name = component.name
        self.figures = figures
        self.component = component
        self.check = check
        self.recreate = recreate
        self.pace_ns = 0
        self._has_begun = False

    @property
    def has_check(self) -> bool:
        """Whether a start has to be verified."""
        return self.check is not None or has_check(self.component)

    @property
    def check_name(self) -> str:
        """The name under which its check runs."""
        return self.name if self.check is None else self.check.name

    def runs_in_task(self, verb: str) -> bool:
        """Return whether its start or stop is to be awaited, where there is an event loop."""
        one: Any = self.component
        return callable(getattr(one, f"a{verb}", None)) or not answers_at_once(getattr(one, verb))

    def start(self, ended: Callable[[Exit], object], *, in_task: bool) -> Any:
        """Start it, made anew if it has a factory and was started before."""
        if self.recreate is not None and self._has_begun:
            self.component = self._made_anew(self.recreate)
        self._has_begun = True
        self.component.watch(ended)
        return self._method("start", in_task)()

    def stop(self, *, in_task: bool) -> Any:
        """Stop it."""
        return self._method("stop", in_task)()

    def check_for(self, name: str) -> Check:
        """Return the check of the start that comes now.

        Each start has its own if it is the component's: one that hangs holds up no later one.
        """
        if self.check is not None:
            return self.check
        if answers_at_once(self.component.check):
            return _OwnCheck(name, self.component)
        return _OwnAsyncCheck(name, self.component)

    def _method(self, verb: str, in_task: bool) -> Callable[[], Any]:
        one: Any = self.component
        awaited = getattr(one, f"a{verb}", None) if in_task else None
        return awaited if callable(awaited) else getattr(one, verb)  # type: ignore[no-any-return]

    def _made_anew(self, recreate: Callable[[], object]) -> Component:
        made: Component = as_component(recreate(), field="what recreate() returned")
        return made


def needs_loop(component: Component) -> bool:
    """Return whether a component can only be started in an event loop."""
    return not (answers_at_once(component.start) and answers_at_once(component.stop))


class _OwnCheck(Check):
    """The check that a component has itself."""

    __slots__ = ("_component",)

    def __init__(self, name: str, component: Component) -> None:
        super().__init__(name)
        self._component = component

    def probe(self) -> object:
        return self._component.check()


class _OwnAsyncCheck(Check):
    """The same of a component whose check is a coroutine function."""

    __slots__ = ("_component",)

    def __init__(self, name: str, component: Component) -> None:
        super().__init__(name)
        self._component = component

    async def aprobe(self) -> object:
        return await self._component.check()
