"""What a component manager is given as a component: an object, or a factory that makes one anew.

An object may be shaped as those of other systems: ``close`` in place of ``stop``, ``health_check``
or ``is_healthy`` in place of ``check``. Elsewhere: when it is started, and made anew
(``component_manager``, ``supervisor``).
"""

from __future__ import annotations

import inspect

from holdfast.supervision.component import Component
from holdfast.supervision.settings import DEFAULT, LEAST_NS, read_needs, read_rules
from holdfast.supervision.supervisor import Supervisor
from holdfast.validation import answers_at_once, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from holdfast.validation import Problems

__all__ = ["Adapted", "Given", "check_settings", "read_given"]

_STOPS = ("stop", "close", "aclose")
_ASYNC_STOPS = ("astop", "aclose")
_CHECKS = ("check", "health_check", "is_healthy")
#: The settings of ``Supervisor.add`` and their defaults.
_OF_ADD: dict[str, Any] = inspect.unwrap(Supervisor.add).__kwdefaults__
_NOT_RULES = ("check", "depends_on", "recreate", "cool_down")
_ALLOWED = (
    "an object with a start() and a stop() or close(), or a callable without arguments that returns"
    " one"
)


class Adapted(Component):
    """An object under the name of its part, with the methods that a supervisor calls.

    Attributes:
        given: The object.
    """

    def __init__(self, name: str, given: Any) -> None:
        super().__init__(name)
        self.given = given
        for method, names in (
            ("start", ("start",)),
            ("stop", _STOPS),
            ("check", _CHECKS),
            ("watch", ("watch",)),
            ("astart", ("astart",)),
            ("astop", _ASYNC_STOPS if callable(getattr(given, "astart", None)) else ()),
        ):
            if (found := _first(given, names)) is not None:
                setattr(self, method, found)

    def __repr__(self) -> str:
        return f"<{self.name}: {self.given!r}>"


class Given:
    """One part of a component manager: what it was given, and how it is supervised.

    Attributes:
        name: The name of the part.
        phase: The number of its phase.
        settings: Those of ``Supervisor.add`` besides the component.
        made: The component that was made last.
    """

    __slots__ = ("_factory", "made", "name", "phase", "settings")

    def __init__(
        self,
        name: str,
        phase: int,
        given: Any,
        factory: Callable[[], Any] | None,
        settings: dict[str, Any],
    ) -> None:
        self.name = name
        self.phase = phase
        self.settings = settings
        self._factory = factory
        self.made = given

    def component(self) -> Component:
        """Return what is to be started: a new object if there is a factory for it."""
        if self._factory is not None:
            self.made = self._adapted(self._factory())
        elif not isinstance(self.made, Component):
            self.made = Adapted(self.name, self.made)
        made: Component = self.made
        return made

    def options(self) -> dict[str, Any]:
        """Return the settings for the supervisor."""
        if self._factory is None:
            return self.settings
        return {"recreate": self.component, **self.settings}

    @property
    def object(self) -> Any:
        """What the user's factory or the user has made."""
        return self.made.given if isinstance(self.made, Adapted) else self.made

    def _adapted(self, given: Any) -> Component:
        if not is_startable(given):
            raise TypeError(
                f"the factory of {self.name!r} returned {given!r}: it is to be an object"
                " with a start() and a stop() or close()"
            )
        return Adapted(self.name, given)


def read_given(
    problems: Problems, name: str, phase: int, value: Any, settings: dict[str, Any]
) -> Given | None:
    """Return a part that was given as an object or as a factory; None if it is neither.

    Args:
        problems: Where to note that it is neither.
        name: The name of the part, and of the argument.
        phase: The number of its phase.
        value: What was given.
        settings: Those of ``Supervisor.add``.
    """
    if isinstance(value, type) or not is_startable(value):
        if callable(value) and answers_at_once(value):
            return Given(name, phase, None, value, settings)
        problems.refuse(name, value, _ALLOWED)
        return None
    same = isinstance(value, Component) and value.name == name
    return Given(name, phase, value if same else Adapted(name, value), None, settings)


def check_settings(problems: Problems, settings: dict[str, Any], own: Iterable[str]) -> None:
    """Note what is wrong with settings of ``Supervisor.add``, before there is a component.

    Args:
        problems: Where to note it.
        settings: The settings by name.
        own: Other names that are allowed beside them, for a hint.
    """
    known = dict(_OF_ADD)
    for name, value in settings.items():
        if name in known:
            known[name] = value
        else:
            hint = nearest(name, (*own, *known))
            problems.refuse(name, value, f"only settings that exist{hint}")
    read_needs(problems, known["depends_on"])
    problems.callable("recreate", known["recreate"])
    cool_down_ns = None
    if known["cool_down"] is not DEFAULT:
        cool_down_ns = problems.duration(
            "cool_down", known["cool_down"], least_ns=LEAST_NS, none=True
        )
    rules = {name: value for name, value in known.items() if name not in _NOT_RULES}
    read_rules(problems, **rules, cool_down_ns=cool_down_ns, has_check=False)


def is_startable(value: Any) -> bool:
    """Return whether an object has a start, and a stop or a close."""
    return _first(value, ("start",)) is not None and _first(value, _STOPS) is not None


def _first(given: Any, names: tuple[str, ...]) -> Any:
    for name in names:
        if callable(found := getattr(given, name, None)):
            return found
    return None
